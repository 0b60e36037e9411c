import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { PartiesService } from '../parties/parties.service.js';
import { SettlementService } from '../settlement/settlement.service.js';
import type { JsonObject } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { FIGURES, indicatorsOf, type Figure, type Indicators } from './indicators.js';
import { monthsThrough, type Month } from './month.js';
import { judgeCell, type CellRefusal, type CellVerdict, type EarlierAnswer } from './privacy.js';
import { figuresOf, type QualityShown } from './quality.js';
import * as store from './query-log.store.js';

/** One month of a microgrid as a regulator sees it. A null sum is withheld: one household dominates it. */
export type MonthEfficiency = Month &
  Indicators &
  Readonly<Record<Figure, number | null>> & {
    readonly households: number;
    readonly withheld: readonly Figure[];
    /** What the figures rest on; null where the sum is. */
    readonly quality: Readonly<Record<Figure, QualityShown | null>>;
  };

/** In order of precedence. */
export type EfficiencyRefusal =
  'unknown_microgrid' | 'no_such_months' | 'month_not_closed' | CellRefusal;

export type EfficiencyAnswer =
  | { readonly outcome: 'answered'; readonly months: readonly MonthEfficiency[] }
  | { readonly outcome: EfficiencyRefusal; readonly month: string };

export interface LoggedQuery {
  query: string;
  askedAt: Instant;
  by: string;
  question: JsonObject;
  outcome: string;
  /** Whether the household that asks was among those that the answer was made of. */
  concerned: boolean;
}

const MAX_MONTHS = 12;

type Released = Extract<CellVerdict, { outcome: 'released' }>;

/**
 * Answers regulators in aggregates under the privacy rule, whole or not at all, and writes every
 * query down, answered or refused, where the households read it.
 */
@Injectable()
export class EfficiencyService {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly settlement: SettlementService,
  ) {}

  /** The indicators of the months `from` to `to`, both included. */
  async efficiency(question: {
    microgrid: string;
    from: string;
    to: string;
    by: string;
  }): Promise<EfficiencyAnswer> {
    const { microgrid, from, to, by } = question;
    return this.database.transaction(async (sql) => {
      if (!(await this.parties.microgrid(sql, microgrid))) {
        return { outcome: 'unknown_microgrid', month: from };
      }
      await sql.query(store.LOCK_QUERIES, [microgrid]);
      const months = monthsThrough(from, to);
      const judged = await this.judge(sql, microgrid, months, from);
      const asked = { what: 'efficiency', from, to };
      if ('outcome' in judged) {
        await logQuery(sql, microgrid, by, asked, judged.outcome, []);
        return judged;
      }
      const concerned = new Set(judged.flatMap(({ answer }) => [...answer.keys()]));
      const query = await logQuery(sql, microgrid, by, asked, 'answered', [...concerned].sort());
      await keepAnswers(sql, microgrid, query, months, judged);
      return {
        outcome: 'answered',
        months: months.map((month, index) => shown(month, judged[index]!)),
      };
    });
  }

  /** The queries about a microgrid, newest first; one more than the limit when there are more. */
  async queries(
    microgridId: string,
    householdId: string | null,
    page: { limit: number; after: { askedAt: Instant; query: string } | null },
  ): Promise<LoggedQuery[]> {
    return this.database.query<LoggedQuery>(store.QUERIES, [
      microgridId,
      householdId,
      page.after?.askedAt ?? null,
      page.after?.query ?? null,
      page.limit + 1,
    ]);
  }

  /** Every month's verdict, or the first refusal: a part of an answer could tell of the rest. */
  private async judge(
    sql: Sql,
    microgridId: string,
    months: readonly Month[],
    from: string,
  ): Promise<Released[] | { outcome: EfficiencyRefusal; month: string }> {
    if (months.length === 0 || months.length > MAX_MONTHS) {
      return { outcome: 'no_such_months', month: from };
    }
    const closedThrough = await this.settlement.closedThrough(sql, microgridId);
    const open = months.find(({ to }) => closedThrough === null || isBefore(closedThrough, to));
    if (open) return { outcome: 'month_not_closed', month: open.month };
    const earlier = await earlierAnswers(sql, microgridId, months);
    const released: Released[] = [];
    for (const { month, from: start, to: end } of months) {
      const energies = await this.settlement.energyByQuality(sql, microgridId, start, end);
      const verdict = judgeCell(figuresOf(energies), earlier.get(month) ?? []);
      if (verdict.outcome !== 'released') return { outcome: verdict.outcome, month };
      released.push(verdict);
    }
    return released;
  }
}

/** Writes a query down in the caller's transaction. @returns its id */
export async function logQuery(
  sql: Sql,
  microgridId: string,
  by: string,
  question: JsonObject,
  outcome: string,
  households: readonly string[],
): Promise<string> {
  const [row] = await sql.query<{ queryId: string }>(store.LOG_QUERY, [
    microgridId,
    by,
    JSON.stringify(question),
    outcome,
    households,
  ]);
  return row!.queryId;
}

async function earlierAnswers(
  sql: Sql,
  microgridId: string,
  months: readonly Month[],
): Promise<Map<string, EarlierAnswer[]>> {
  const rows = await sql.query<{ month: string; households: string[]; energies: string[] }>(
    store.EARLIER_ANSWERS,
    [microgridId, months.map(({ month }) => month)],
  );
  const answers = new Map<string, EarlierAnswer[]>();
  for (const { month, households, energies } of rows) {
    const answer = new Map(households.map((id, at) => [id, energies[at]!]));
    answers.set(month, [...(answers.get(month) ?? []), answer]);
  }
  return answers;
}

async function keepAnswers(
  sql: Sql,
  microgridId: string,
  query: string,
  months: readonly Month[],
  verdicts: readonly Released[],
): Promise<void> {
  for (const [index, { answer, repeated }] of verdicts.entries()) {
    if (repeated) continue;
    await sql.query(store.INSERT_ANSWER, [
      microgridId,
      months[index]!.month,
      query,
      [...answer.keys()],
      [...answer.values()],
    ]);
  }
}

function shown(month: Month, { sums, quality, answer }: Released): MonthEfficiency {
  return {
    ...month,
    households: answer.size,
    ...sums,
    ...indicatorsOf(sums),
    withheld: FIGURES.filter((figure) => sums[figure] === null),
    quality,
  };
}

function isBefore(a: Instant, b: Instant): boolean {
  return parseInstant(a) < parseInstant(b);
}
