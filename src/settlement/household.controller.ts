import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import type { Period } from '../parties/access.js';
import { Allow, CurrentPeriod } from '../parties/access.decorator.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import { pageOf, parsePage } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { csvOf } from '../units/csv.js';
import { groupBy } from '../units/group-by.js';
import { Problem } from '../units/problem.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { billRows } from './bill-line.js';
import { SettlementService, type SettlementRow } from './settlement.service.js';
import * as store from './settlement.store.js';
import { dayOf, monthOf } from './statement.js';
import { StatementService } from './statement.service.js';

const RANGE = z.object({ from: instant.optional(), to: instant.optional() });
const MONTH = z.object({
  month: z
    .string()
    .regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month such as 2026-06')
    .optional(),
});

const AT_RECORD = z.object({
  sequence: z.coerce
    .number()
    .int('must be a whole number')
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional(),
});

const LINES = MONTH.extend({
  day: z.iso.date('must be a day such as 2026-06-01').optional(),
  format: z.enum(['json', 'csv']).default('json'),
});

/** What a household earned, paid, holds, and from whom it bought. */
@ApiTags('households')
@ApiBearerAuth()
@Controller('v1/households/:household')
export class HouseholdController {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly ledger: LedgerService,
    private readonly settlement: SettlementService,
    private readonly statements: StatementService,
  ) {}

  @Get('balances')
  @Allow('household.read')
  @ApiOperation({ summary: 'Wallet, bill and tokens, now or as record `sequence` left them' })
  async balances(
    @Param('household') id: string,
    @Query() query: unknown,
    @CurrentPeriod() period: Period,
  ) {
    const { microgrid, household } = await this.find(id);
    const { sequence } = parse(AT_RECORD, query);
    if (sequence !== undefined) await this.assertReadable(microgrid.microgridId, sequence, period);
    const balances = await this.settlement.balancesOf(
      this.database,
      microgrid,
      household,
      sequence,
    );
    return { ...balances, next: null };
  }

  @Get('settlements')
  @Allow('household.read')
  @ApiOperation({
    summary: 'Settled slots, newest first, with the tariff beside and neighbors by alias',
  })
  async settlements(
    @Param('household') id: string,
    @Query() query: unknown,
    @CurrentPeriod() period: Period,
  ) {
    const { microgrid, household } = await this.find(id);
    const { limit, after } = parsePage(query);
    const range = within(parse(RANGE, query), period);
    const rows = await this.database.query<SettlementRow>(store.SETTLEMENTS_OF_HOUSEHOLD, [
      microgrid.microgridId,
      household.householdId,
      range.from,
      range.to,
      after === null ? null : parse(instant, after),
      limit + 1,
    ]);
    const traded = await this.database.query<{
      slot: Instant;
      alias: string;
      side: 'bought' | 'sold';
      energyWh: number;
      micro: number;
    }>(store.NEIGHBORS_IN_SLOTS, [
      microgrid.microgridId,
      household.householdId,
      rows.map(({ slot }) => slot),
    ]);
    const neighbors = groupBy(traded, ({ slot }) => slot);
    return pageOf(
      rows,
      limit,
      ({ slot }) => slot,
      (row) => ({
        ...row,
        currency: microgrid.currency,
        savedMicro: row.netMicro - row.tariffMicro,
        neighbors: (neighbors.get(row.slot) ?? []).map(({ alias, side, energyWh, micro }) => ({
          alias,
          side,
          energyWh,
          micro,
        })),
      }),
    );
  }

  @Get('statements')
  @Allow('household.read')
  @ApiOperation({
    summary: 'A month in sums: energy, money by kind, and the same month at the tariff',
  })
  async statement(
    @Param('household') id: string,
    @Query() query: unknown,
    @CurrentPeriod() period: Period,
  ) {
    const { microgrid, household } = await this.find(id);
    const { month } = parse(MONTH, query);
    const { items } = await this.statements.statements(microgrid, household, {
      month: month === undefined ? null : monthOf(month, microgrid.timeZone),
      period,
    });
    return { items, next: null };
  }

  @Get('statements/lines')
  @Allow('household.read')
  @ApiOperation({
    summary:
      'A month, or a day, slot by slot, with the bill at the tariff beside it; as CSV with format=csv',
  })
  @ApiProduces('application/json', 'text/csv')
  async statementLines(
    @Param('household') id: string,
    @Query() query: unknown,
    @CurrentPeriod() period: Period,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { microgrid, household } = await this.find(id);
    const { limit, after } = parsePage(query);
    const { month, day, format } = parse(LINES, query);
    const { timeZone } = microgrid;
    const shown =
      day !== undefined
        ? dayOf(day, timeZone)
        : month === undefined
          ? null
          : monthOf(month, timeZone);
    const rows = await this.statements.lines(
      microgrid,
      household,
      { month: shown, period },
      { after: after === null ? null : parse(instant, after), limit },
    );
    const page = pageOf(
      rows,
      limit,
      ({ slot }) => slot,
      (line) => line,
    );
    if (format === 'json') return page;
    response.type('text/csv; charset=utf-8');
    if (page.next !== null) response.set('Next-After', page.next);
    return csvOf(page.items.flatMap(billRows));
  }

  /** A record of the caller's time in the household. @throws Problem 404 */
  private async assertReadable(
    microgridId: string,
    sequence: number,
    { from, until }: Period,
  ): Promise<void> {
    const at = await this.ledger.instantOf(this.database, microgridId, sequence);
    const isReadable =
      at !== null &&
      (from === null || parseInstant(at) >= parseInstant(from)) &&
      (until === null || parseInstant(at) <= parseInstant(until));
    if (isReadable) return;
    throw new Problem(404, 'no_such_record', `There is no record ${sequence} that you may see.`);
  }

  private async find(id: string): Promise<{ microgrid: Microgrid; household: Household }> {
    const household = await this.parties.householdOf(this.database, parse(ident, id));
    const microgrid =
      household && (await this.parties.microgrid(this.database, household.microgridId));
    if (!household || !microgrid) {
      throw new Problem(404, 'no_such_household', 'There is no such household that you may see.');
    }
    return { microgrid, household };
  }
}

/** The part of a range that the caller may read; null where there is no border. */
export function within(
  range: { from?: Instant | undefined; to?: Instant | undefined },
  period: Period,
): { from: Instant | null; to: Instant | null } {
  const later = (a: Instant | null, b: Instant | null) =>
    a === null || (b !== null && parseInstant(b) > parseInstant(a)) ? b : a;
  const earlier = (a: Instant | null, b: Instant | null) =>
    a === null || (b !== null && parseInstant(b) < parseInstant(a)) ? b : a;
  return {
    from: later(range.from ?? null, period.from),
    to: earlier(range.to ?? null, period.until),
  };
}
