import { Controller, Get, Headers, Param, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { z } from 'zod';
import { DatabaseService } from '../database/database.service.js';
import { may, type Period } from '../parties/access.js';
import { Allow, CurrentCaller, CurrentPeriod, type Caller } from '../parties/access.decorator.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { pageOf, parsePage, type Page } from '../parties/page.js';
import { ident, instant, parse } from '../parties/parse.js';
import { PartiesService } from '../parties/parties.service.js';
import { csvOf } from '../units/csv.js';
import { Problem } from '../units/problem.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { householdsOf, postedBalance } from './accounts.js';
import { concernedBy } from './concerned.js';
import { isAccountPath } from './draft-check.js';
import {
  LedgerService,
  type AccountRow,
  type LinePosition,
  type StatementLine,
} from './ledger.service.js';

const sequence = z.coerce
  .number()
  .int('must be a whole number')
  .min(1)
  .max(Number.MAX_SAFE_INTEGER);
const format = z.enum(['json', 'csv']).optional();
const account = z.string().refine(isAccountPath, 'must be the id of an account');

const BOOKS = z.object({ microgrid: ident });
const BALANCES = z.object({ sequence: sequence.optional(), format });
const LINES = z.object({ from: instant.optional(), to: instant.optional(), format });
const ACCOUNT_LINES = LINES.extend({ account });
const OWN = z.object({
  household: ident,
  account: z.enum(['wallet', 'bill', 'production', 'consumption', 'storage']),
});

/**
 * Accounts of a microgrid at any point of its journal, and what moved on each, line by line with the
 * balance that it left; as JSON or as CSV.
 */
@ApiTags('ledger')
@ApiBearerAuth()
@ApiProduces('application/json', 'text/csv')
@Controller('v1')
export class AccountController {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  @Get('ledger/:microgrid/balances')
  @Allow('accounts.read')
  @ApiOperation({
    summary: 'All accounts as record `sequence` left them; an auditor: no households',
  })
  async balances(
    @Param() params: unknown,
    @Query() query: unknown,
    @Headers('accept') accept: string | undefined,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { microgrid } = parse(BOOKS, params);
    const { limit, after } = parsePage(query);
    const { sequence: asked, format: wanted } = parse(BALANCES, query);
    const head = await this.ledger.head(this.database, microgrid);
    if (asked !== undefined && asked > head) throw noRecord(asked, head);
    const through = asked ?? head;
    const rows = await this.ledger.accounts(
      this.database,
      microgrid,
      through,
      { after: after ?? '', limit: limit + 1 },
      await this.seesHouseholds(caller, microgrid),
    );
    const page = pageOf(rows, limit, ({ accountId }) => accountId, shownAccount);
    return answer({ ...page, sequence: through }, wantsCsv(wanted, accept), response);
  }

  @Get('ledger/:microgrid/statement')
  @Allow('accounts.read')
  @ApiOperation({ summary: 'What moved on `account`, with its running balance' })
  async statement(
    @Param() params: unknown,
    @Query() query: unknown,
    @Headers('accept') accept: string | undefined,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { microgrid } = parse(BOOKS, params);
    const { account: name, from = null, to = null, format: wanted } = parse(ACCOUNT_LINES, query);
    const { limit, after } = parsePage(query);
    const seesHouseholds = await this.seesHouseholds(caller, microgrid);
    const isHidden = !seesHouseholds && householdsOf(name).length > 0;
    const asset = isHidden ? null : await this.ledger.assetOf(this.database, microgrid, name);
    if (asset === null) {
      throw new Problem(404, 'no_such_account', 'There is no such account that you may see.');
    }
    const rows = await this.ledger.statement(
      this.database,
      microgrid,
      name,
      { from, to },
      { after: positionOf(after), limit: limit + 1 },
    );
    const page = pageOf(rows, limit, cursorOf, (line) =>
      seesHouseholds ? line : withoutOthers(line, []),
    );
    return answer({ account: name, asset, ...page }, wantsCsv(wanted, accept), response);
  }

  @Get('households/:household/accounts/:account/statement')
  @Allow('household.read')
  @ApiOperation({ summary: 'What moved on an account of a household, with its running balance' })
  async ownStatement(
    @Param() params: unknown,
    @Query() query: unknown,
    @Headers('accept') accept: string | undefined,
    @CurrentCaller() caller: Caller,
    @CurrentPeriod() period: Period,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { household, account: purpose } = parse(OWN, params);
    const { from, to, format: wanted } = parse(LINES, query);
    const { limit, after } = parsePage(query);
    const found = await this.parties.householdOf(this.database, household);
    if (!found) {
      throw new Problem(404, 'no_such_household', 'There is no such household that you may see.');
    }
    const { microgridId } = found;
    const name = `household/${household}/${purpose}`;
    const rows = await this.ledger.statement(
      this.database,
      microgridId,
      name,
      { from: laterOf(from ?? null, period.from), to: to ?? null },
      { after: positionOf(after), limit: limit + 1 },
    );
    const concerning = await this.concerning(microgridId, household, rows, caller);
    const page = pageOf(rows, limit, cursorOf, (line) => line);
    const items = page.items
      .filter((line) => concerning.has(line.sequence))
      .map((line) => withoutOthers(line, [household]));
    const asset = await this.ledger.assetOf(this.database, microgridId, name);
    const shown = { account: purpose, asset, items, next: page.next };
    return answer(shown, wantsCsv(wanted, accept), response);
  }

  /** An auditor checks the microgrid's books, not its people. */
  private async seesHouseholds(caller: Caller, microgrid: string): Promise<boolean> {
    return may(caller.grants, 'operator.read', { microgrid }, await this.clock.now());
  }

  /** Of these lines' records, those that the caller may read: a correction may be a former tenant's. */
  private async concerning(
    microgridId: string,
    household: string,
    lines: readonly StatementLine[],
    { grants }: Caller,
  ): Promise<Set<number>> {
    const sequences = [...new Set(lines.map((line) => line.sequence))];
    const now = await this.clock.now();
    if (may(grants, 'operator.read', { microgrid: microgridId }, now)) return new Set(sequences);
    const records = await this.ledger.recordsAt(this.database, microgridId, sequences);
    return new Set(
      records
        .filter((record) =>
          concernedBy({ ...record, households: [household] }, grants, now).includes(household),
        )
        .map((record) => record.sequence),
    );
  }
}

function shownAccount({ accountId, asset, ...balance }: AccountRow) {
  const { limited, creditLimit, debitLimit, ...sides } = balance;
  return {
    account: accountId,
    asset,
    ...sides,
    balance: postedBalance(balance),
    creditLimit: limited ? creditLimit : null,
    debitLimit,
  };
}

/** Other households' accounts by their purpose alone. */
function withoutOthers(line: StatementLine, own: readonly string[]): StatementLine {
  const [owner] = householdsOf(line.other);
  if (owner === undefined || own.includes(owner)) return line;
  return { ...line, other: `neighbor/${line.other.split('/')[2]}` };
}

function cursorOf({ sequence: at, line }: LinePosition): string {
  return `${at}.${line}`;
}

function positionOf(after: string | null): LinePosition {
  if (after === null) return { sequence: 0, line: -1 };
  const [at, line] = parse(CURSOR, after.split('.'));
  return { sequence: at, line };
}

const position = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const CURSOR = z.tuple([position, position]);

function laterOf(a: Instant | null, b: Instant | null): Instant | null {
  if (a === null || b === null) return a ?? b;
  return parseInstant(a) > parseInstant(b) ? a : b;
}

function wantsCsv(wanted: 'json' | 'csv' | undefined, accept = ''): boolean {
  return wanted === undefined ? /^text\/csv\b/.test(accept) : wanted === 'csv';
}

/** A page as it is, or its items as CSV with the next page's `after` in a header. */
function answer<Answer extends Page<object>>(
  page: Answer,
  asCsv: boolean,
  response: Response,
): Answer | string {
  if (!asCsv) return page;
  response.type('text/csv; charset=utf-8');
  if (page.next !== null) response.set('Next-After', page.next);
  return csvOf(page.items);
}

function noRecord(asked: number, head: number): Problem {
  return new Problem(
    404,
    'no_such_record',
    `There is no record ${asked}: the last one is ${head}.`,
  );
}
