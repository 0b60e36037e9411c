import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiBody, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Allow, CurrentCaller, type Caller } from '../parties/access.decorator.js';
import { bodyOf } from '../parties/openapi.js';
import { pageOf, parsePage } from '../parties/page.js';
import { ident, instant, parse, positive } from '../parties/parse.js';
import { Problem } from '../units/problem.js';
import { AwardService, type RunOutcome } from './award.service.js';
import { RewardsService, type FundedProgram, type ProgramOutcome } from './rewards.service.js';

const MICROGRID = z.object({ microgrid: ident });
const PROGRAM = z.object({ microgrid: ident, program: ident });

const NEW_PROGRAM = z.strictObject({
  program: ident,
  name: z.string().trim().min(1).max(100),
  indicator: z.literal('neighbor-claimed').default('neighbor-claimed'),
  rateMicroPerKwh: positive,
  fundMicro: positive,
});
const FUNDING = z.strictObject({ reference: ident, amountMicro: positive });
const RUN = z.strictObject({ from: instant, to: instant });
const AWARDS_OF = z.object({ from: instant.optional() });

/** A position in the list of awards. */
const AWARD_POSITION = z
  .string()
  .regex(/^\S+ [0-9a-f]{32}$/)
  .transform((text) => text.split(' ') as [string, string])
  .pipe(z.tuple([instant, z.string()]));

/** A regulator founds, funds and runs programs, and sees what they paid under pseudonyms. */
@ApiTags('regulator')
@ApiBearerAuth()
@Controller('v1/regulator/microgrids/:microgrid/programs')
export class ProgramController {
  constructor(
    private readonly rewards: RewardsService,
    private readonly awards: AwardService,
  ) {}

  @Post()
  @Allow('program.write')
  @ApiOperation({ summary: 'Founds a program and funds it; the same request again is harmless' })
  @ApiBody(bodyOf(NEW_PROGRAM))
  async create(
    @Param() params: unknown,
    @Body() body: unknown,
    @CurrentCaller() { personId }: Caller,
  ): Promise<FundedProgram> {
    const { microgrid } = parse(MICROGRID, params);
    const request = { microgrid, ...parse(NEW_PROGRAM, body) };
    return accepted(await this.rewards.createProgram(request, personId));
  }

  @Get()
  @Allow('efficiency.read')
  @ApiOperation({ summary: 'The programs of a microgrid and what is left in their funds' })
  async programs(@Param() params: unknown) {
    const { microgrid } = parse(MICROGRID, params);
    return { items: await this.rewards.programs(microgrid), next: null };
  }

  @Post(':program/fundings')
  @Allow('program.write')
  @ApiOperation({ summary: 'Puts more money into a program, once for each reference' })
  @ApiBody(bodyOf(FUNDING))
  async fund(
    @Param() params: unknown,
    @Body() body: unknown,
    @CurrentCaller() { personId }: Caller,
  ): Promise<FundedProgram> {
    const { microgrid, program } = parse(PROGRAM, params);
    const funding = parse(FUNDING, body);
    return accepted(await this.rewards.fundProgram(microgrid, program, funding, personId));
  }

  @Post(':program/runs')
  @Allow('program.write')
  @ApiOperation({ summary: 'Awards what the members claimed from neighbors in closed slots' })
  @ApiBody(bodyOf(RUN))
  async run(
    @Param() params: unknown,
    @Body() body: unknown,
    @CurrentCaller() { personId }: Caller,
  ) {
    const { microgrid, program } = parse(PROGRAM, params);
    const period = parse(RUN, body);
    const result = await this.awards.run(microgrid, program, period, personId);
    if (result.outcome !== 'accepted') throw runProblem(result);
    return { program, ...result.run, currency: result.currency };
  }

  @Get(':program/runs')
  @Allow('efficiency.read')
  @ApiOperation({
    summary: 'The runs of a program, newest first, and in tenths what their awards rest on',
  })
  async runs(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentCaller() { personId }: Caller,
  ) {
    const { microgrid, program } = parse(PROGRAM, params);
    const { limit, after } = parsePage(query);
    const position = after === null ? null : parse(instant, after);
    const rows = await this.awards.runs(microgrid, program, { limit, after: position }, personId);
    return pageOf(
      known(rows),
      limit,
      ({ periodFrom }) => periodFrom,
      (row) => row,
    );
  }

  @Get(':program/awards')
  @Allow('efficiency.read')
  @ApiOperation({
    summary: 'The awards by pseudonym, of all runs or of the one that begins at from',
    description:
      '`quality` says in tenths of the claimed energy how much of it was measured at least and estimated or missing at most; null for awards made before that was told.',
  })
  async list(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentCaller() { personId }: Caller,
  ) {
    const { microgrid, program } = parse(PROGRAM, params);
    const { from } = parse(AWARDS_OF, query);
    const { limit, after } = parsePage(query);
    const position = after === null ? null : parse(AWARD_POSITION, after);
    const filter = {
      periodFrom: from ?? null,
      limit,
      after: position && { periodFrom: position[0], pseudonym: position[1] },
    };
    const rows = await this.awards.awards(microgrid, program, filter, personId);
    return pageOf(
      known(rows),
      limit,
      ({ periodFrom, pseudonym }) => `${periodFrom} ${pseudonym}`,
      (row) => row,
    );
  }
}

function accepted(result: ProgramOutcome): FundedProgram {
  switch (result.outcome) {
    case 'accepted':
      return result.program;
    case 'unknown_microgrid':
      throw new Problem(404, 'unknown_microgrid', 'There is no such microgrid.');
    case 'unknown_program':
      throw unknownProgram();
    case 'program_exists':
      throw new Problem(
        409,
        'program_exists',
        'A program of this id exists with other terms. Choose another id.',
      );
    case 'reference_used':
      throw new Problem(
        409,
        'reference_used',
        'This reference was used for another amount. Choose another reference.',
      );
  }
}

function known<T>(rows: T | null): T {
  if (rows === null) throw unknownProgram();
  return rows;
}

function runProblem(result: Exclude<RunOutcome, { outcome: 'accepted' }>): Problem {
  const { outcome } = result;
  switch (outcome) {
    case 'unknown_program':
      return unknownProgram();
    case 'not_whole_slots':
      return new Problem(
        422,
        outcome,
        'The period must run from a slot border to a later one. Choose slot borders.',
      );
    case 'not_closed_yet':
      return new Problem(
        409,
        outcome,
        'Slots of the period are not closed yet. Run it once they are.',
      );
    case 'overlaps_earlier_run':
      return new Problem(
        409,
        outcome,
        'A part of the period has been awarded already. Choose a period that no run has covered.',
      );
    case 'fund_does_not_cover':
      return new Problem(
        409,
        outcome,
        `The awards come to ${result.neededMicro} micro-units and the fund holds ${result.fundMicro}. Nothing was awarded: fund the program or run a shorter period.`,
      );
  }
}

function unknownProgram(): Problem {
  return new Problem(404, 'unknown_program', 'There is no such program in this microgrid.');
}
