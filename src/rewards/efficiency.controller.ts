import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import type { Scope } from '../parties/access.js';
import { Allow, CurrentCaller, CurrentScope, type Caller } from '../parties/access.decorator.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { MAX_SHARE_PERCENT, MIN_HOUSEHOLDS } from '../units/cell.js';
import { Problem } from '../units/problem.js';
import {
  EfficiencyService,
  type EfficiencyRefusal,
  type LoggedQuery,
} from './efficiency.service.js';
import { MONTH } from './month.js';

const month = z.string().regex(MONTH, 'must be a month such as 2026-06');
const QUESTION = z.object({ microgrid: ident, from: month, to: month });
const MICROGRID = z.object({ microgrid: ident });
const HOUSEHOLD = z.object({ household: ident });

/** A position in the access log. */
const POSITION = z
  .string()
  .transform((text) => text.split(' ') as [string, string])
  .pipe(z.tuple([instant, z.uuid()]));

/** Aggregates for regulators, and for households the log of who asked for what. */
@ApiTags('regulator')
@ApiBearerAuth()
@Controller('v1')
export class EfficiencyController {
  constructor(private readonly efficiency: EfficiencyService) {}

  @Get('regulator/efficiency')
  @Allow('efficiency.read')
  @ApiOperation({
    summary: 'Self-consumption, self-sufficiency and neighbor share of a microgrid, by month',
    description:
      'Whole months in UTC, from and to included. Answered only for at least 15 households, none of them with more than 15 % of the energy, and never so that two answers differ by fewer than 15 households. A sum of which one household has more than 15 % is withheld: null. selfWh and fromNeighborsWh count energy of proven local origin only. All are sums over slots as last settled: what a late reading showed after the correction window (true-ups) is in none of them. `quality` says of each sum what it rests on: parts that add up to it, of which each is empty or hides everyone in it as a cell does, and in tenths how much was measured at least and estimated or missing at most. Every query is logged for the households.',
  })
  @ApiQuery({ name: 'microgrid' })
  @ApiQuery({ name: 'from', example: '2026-05' })
  @ApiQuery({ name: 'to', example: '2026-06' })
  async months(@Query() query: unknown, @CurrentCaller() { personId }: Caller) {
    const question = parse(QUESTION, query);
    const result = await this.efficiency.efficiency({ ...question, by: personId });
    if (result.outcome !== 'answered') throw refusal(result.outcome, result.month);
    return { microgrid: question.microgrid, items: result.months, next: null };
  }

  @Get('households/:household/access-log')
  @Allow('household.read')
  @ApiOperation({ summary: "Regulators' queries about the household's microgrid, newest first" })
  async logOfHousehold(
    @Param() params: unknown,
    @Query() query: unknown,
    @CurrentScope() { microgrid }: Scope,
  ): Promise<Page<LoggedQuery>> {
    return this.page(microgrid!, parse(HOUSEHOLD, params).household, query);
  }

  @Get('microgrids/:microgrid/access-log')
  @Allow('regulator-log.read')
  @ApiOperation({ summary: "Regulators' queries about the microgrid, newest first" })
  async logOfMicrogrid(
    @Param() params: unknown,
    @Query() query: unknown,
  ): Promise<Page<LoggedQuery>> {
    return this.page(parse(MICROGRID, params).microgrid, null, query);
  }

  private async page(
    microgrid: string,
    household: string | null,
    query: unknown,
  ): Promise<Page<LoggedQuery>> {
    const { limit, after } = parsePage(query);
    const position = after === null ? null : parse(POSITION, after);
    const rows = await this.efficiency.queries(microgrid, household, {
      limit,
      after: position && { askedAt: position[0], query: position[1] },
    });
    return pageOf(
      rows,
      limit,
      (row) => `${row.askedAt} ${row.query}`,
      (row) => row,
    );
  }
}

/** What a refusal says; never a number of households below the threshold. */
function refusal(outcome: EfficiencyRefusal, about: string): Problem {
  switch (outcome) {
    case 'unknown_microgrid':
      return new Problem(404, outcome, 'There is no such microgrid.');
    case 'no_such_months':
      return new Problem(
        422,
        outcome,
        'from must not be later than to, and a query covers at most 12 months. Ask for fewer months.',
      );
    case 'month_not_closed':
      return new Problem(
        409,
        outcome,
        `Not every slot of ${about} is closed yet. Ask once the month is over and closed.`,
      );
    case 'too_few_households':
      return new Problem(
        403,
        outcome,
        `Fewer than ${MIN_HOUSEHOLDS} households had energy in ${about}: nothing is released about so few.`,
      );
    case 'dominated_by_one_household':
      return new Problem(
        403,
        outcome,
        `One household had more than ${MAX_SHARE_PERCENT} % of the energy in ${about}: an answer would tell of it alone.`,
      );
    case 'too_close_to_earlier_answer':
      return new Problem(
        409,
        outcome,
        `An answer about ${about} would differ from an earlier one by fewer than ${MIN_HOUSEHOLDS} households: the earlier answer stands.`,
      );
  }
}
