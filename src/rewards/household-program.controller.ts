import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import type { Period, Scope } from '../parties/access.js';
import {
  Allow,
  CurrentCaller,
  CurrentPeriod,
  CurrentScope,
  type Caller,
} from '../parties/access.decorator.js';
import { bodyOf } from '../parties/openapi.js';
import { pageOf, parsePage } from '../parties/page.js';
import { ident, parse } from '../parties/parse.js';
import { Problem } from '../units/problem.js';
import { AwardService } from './award.service.js';
import { RewardsService, type ConsentOutcome } from './rewards.service.js';

const HOUSEHOLD = z.object({ household: ident });
const MEMBERSHIP = z.object({ household: ident, program: ident });
const JOINING = z.strictObject({
  program: ident,
  consent: z.literal(true, 'must be true: a household takes part only with its consent'),
});
const SEQUENCE = z.coerce.number().int().min(1);

/** A household gives and takes back its consent to a program, and sees what it was awarded. */
@ApiTags('households')
@ApiBearerAuth()
@Controller('v1/households/:household')
export class HouseholdProgramController {
  constructor(
    private readonly rewards: RewardsService,
    private readonly awards: AwardService,
  ) {}

  @Get('programs')
  @Allow('household.read')
  @ApiOperation({ summary: 'The programs on offer, and since when the household takes part' })
  async programs(@Param() params: unknown, @CurrentScope() { microgrid }: Scope) {
    const { household } = parse(HOUSEHOLD, params);
    return { items: await this.rewards.programsOf(microgrid!, household), next: null };
  }

  @Post('programs')
  @Allow('program.join')
  @ApiOperation({ summary: 'Joins a program from the next slot on, with consent' })
  @ApiBody(bodyOf(JOINING))
  async join(
    @Param() params: unknown,
    @Body() body: unknown,
    @CurrentCaller() { personId }: Caller,
  ) {
    const { household } = parse(HOUSEHOLD, params);
    const { program } = parse(JOINING, body);
    return shown(household, program, await this.rewards.join(household, program, personId));
  }

  @Delete('programs/:program')
  @Allow('program.join')
  @ApiOperation({ summary: 'Leaves a program from the next slot on' })
  async leave(@Param() params: unknown, @CurrentCaller() { personId }: Caller) {
    const { household, program } = parse(MEMBERSHIP, params);
    return shown(household, program, await this.rewards.leave(household, program, personId));
  }

  @Get('awards')
  @Allow('household.read')
  @ApiOperation({
    summary: 'What the household was awarded, newest first, and on which readings it rests',
    description:
      '`byQuality` splits claimedWh, by the worst of the own and the sellers’ readings; null for awards made before that was told.',
  })
  async list(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentScope() { microgrid }: Scope,
    @CurrentPeriod() period: Period,
  ) {
    const { household } = parse(HOUSEHOLD, params);
    const { limit, after } = parsePage(query);
    const position = after === null ? null : parse(SEQUENCE, after);
    const filter = { ...period, limit, after: position };
    const rows = await this.awards.awardsOf(microgrid!, household, filter);
    return pageOf(
      rows,
      limit,
      ({ sequence }) => sequence,
      (row) => row,
    );
  }
}

function shown(household: string, program: string, result: ConsentOutcome) {
  switch (result.outcome) {
    case 'accepted': {
      const { joinedFrom, leftAt } = result;
      return { program, household, joinedFrom, leftAt };
    }
    case 'unknown_program':
      throw new Problem(404, 'unknown_program', 'There is no such program in this microgrid.');
    case 'not_a_member':
      throw new Problem(409, 'not_a_member', 'The household does not take part in this program.');
  }
}
