import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { walletTerms } from '../market/market-records.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { NOTHING, plus, type ByQuality } from '../settlement/by-quality.js';
import { SettlementService } from '../settlement/settlement.service.js';
import type { Instant } from '../units/slot.js';
import {
  awardsOf,
  claimWindows,
  periodFault,
  totalMicro,
  type Award,
  type Claim,
  type Membership,
  type Period,
  type PeriodFault,
} from './awards.js';
import { logQuery } from './efficiency.service.js';
import { boundsOf, figuresOf, type QualityBounds } from './quality.js';
import { runRecords } from './reward-records.js';
import { fundsMicro, programRow, type ProgramRow } from './rewards.service.js';
import * as store from './rewards.store.js';

export type Run = {
  readonly periodFrom: Instant;
  readonly periodTo: Instant;
  /** How many were awarded something. */
  readonly households: number;
  readonly awardedMicro: number;
  /** What the awards rest on; null where some of them were made before that was told. */
  readonly quality: QualityBounds | null;
};

/** An award without the name of whom it went to. */
type AwardTerms = {
  readonly periodFrom: Instant;
  readonly periodTo: Instant;
  readonly claimedWh: number;
  readonly rateMicroPerKwh: number;
  readonly amountMicro: number;
};

/** As its household is told of it; null in awards made before qualities were. */
export type OwnAward = AwardTerms & {
  readonly program: string;
  readonly sequence: number;
  readonly byQuality: ByQuality | null;
};

/** As a regulator is: exact energies by quality could be those of one household's broken meter. */
export type AwardShown = AwardTerms & {
  readonly pseudonym: string;
  readonly quality: QualityBounds | null;
};

export type RunOutcome =
  | { readonly outcome: 'accepted'; readonly run: Run; readonly currency: string }
  | { readonly outcome: 'unknown_program' | PeriodFault }
  | {
      readonly outcome: 'fund_does_not_cover';
      readonly neededMicro: number;
      readonly fundMicro: number;
    };

/**
 * Runs of programs, which pay a rate for energy used from neighbors, and the awards that they made:
 * to the regulator under the program's pseudonyms, to a household its own.
 */
@Injectable()
export class AwardService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly settlement: SettlementService,
    private readonly clock: MarketClockService,
  ) {}

  /** Awards what the members claimed from neighbors in the period: all of it in one transaction, or none. */
  async run(microgridId: string, program: string, period: Period, by: string): Promise<RunOutcome> {
    return this.database.transaction(async (sql) => {
      const microgrid = await this.parties.microgrid(sql, microgridId);
      await this.ledger.lock(sql, microgridId);
      const row = await programRow(sql, microgridId, program);
      if (!microgrid || !row) return { outcome: 'unknown_program' };
      const { from, to } = period;
      const fault = periodFault(period, {
        slotMinutes: microgrid.slotMinutes,
        closedThrough: await this.settlement.closedThrough(sql, microgridId),
        earlierRuns: await sql.query<Period>(store.RUNS_BETWEEN, [microgridId, program, from, to]),
      });
      if (fault) return { outcome: fault };
      const awards = awardsOf(
        await this.claims(sql, microgridId, program, period),
        row.rateMicroPerKwh,
      );
      const awardedMicro = totalMicro(awards);
      const [fundMicro] = await fundsMicro(this.ledger, sql, microgridId, [row]);
      if (awardedMicro > fundMicro!) {
        return { outcome: 'fund_does_not_cover', neededMicro: awardedMicro, fundMicro: fundMicro! };
      }
      await this.postRun(sql, microgrid, row, period, awards, by);
      const households = awards.length;
      const quality = boundsOf(awards.map(({ byQuality }) => byQuality).reduce(plus, NOTHING));
      const run = { periodFrom: from, periodTo: to, households, awardedMicro, quality };
      return { outcome: 'accepted', run, currency: microgrid.currency };
    });
  }

  /** The runs of a program, newest first; the query is logged. Null for an unknown program. */
  async runs(
    microgridId: string,
    program: string,
    page: { limit: number; after: Instant | null },
    by: string,
  ): Promise<Run[] | null> {
    return this.database.transaction(async (sql) => {
      if (!(await programRow(sql, microgridId, program))) return null;
      const rows = await sql.query<Omit<Run, 'quality'> & Told>(store.RUNS, [
        microgridId,
        program,
        page.after,
        page.limit + 1,
      ]);
      await logQuery(sql, microgridId, by, { what: 'runs', program }, 'answered', []);
      return rows.map(bounded);
    });
  }

  /** The awards of a program by pseudonym, newest run first; the query is logged. Null as above. */
  async awards(
    microgridId: string,
    program: string,
    filter: {
      periodFrom: Instant | null;
      limit: number;
      after: { periodFrom: Instant; pseudonym: string } | null;
    },
    by: string,
  ): Promise<AwardShown[] | null> {
    const { periodFrom, limit, after } = filter;
    return this.database.transaction(async (sql) => {
      if (!(await programRow(sql, microgridId, program))) return null;
      const rows = await sql.query<AwardTerms & Told & { pseudonym: string; householdId: string }>(
        store.AWARDS_OF_PROGRAM,
        [
          microgridId,
          program,
          periodFrom,
          after?.periodFrom ?? null,
          after?.pseudonym ?? null,
          limit + 1,
        ],
      );
      const question = { what: 'awards', program, periodFrom };
      const concerned = [...new Set(rows.map(({ householdId }) => householdId))].sort();
      await logQuery(sql, microgridId, by, question, 'answered', concerned);
      return rows.map(({ householdId: _hidden, ...row }) => bounded(row));
    });
  }

  /** What a household was awarded for slots that its reader may see, newest first. */
  async awardsOf(
    microgridId: string,
    householdId: string,
    filter: { from: Instant | null; until: Instant | null; limit: number; after: number | null },
  ): Promise<OwnAward[]> {
    const { from, until, limit, after } = filter;
    return this.database.query(store.AWARDS_OF_HOUSEHOLD, [
      microgridId,
      householdId,
      from,
      until,
      after,
      limit + 1,
    ]);
  }

  /** What the members claimed in their part of the period; only energy of proven local origin. */
  private async claims(
    sql: Sql,
    microgridId: string,
    program: string,
    period: Period,
  ): Promise<Claim[]> {
    const members = await sql.query<Membership>(store.MEMBERS_BETWEEN, [
      microgridId,
      program,
      period.from,
      period.to,
    ]);
    const claims: Claim[] = [];
    // One window for all who were members throughout, one more for each who came or went meanwhile.
    for (const { from, to, members: inWindow } of claimWindows(members, period)) {
      const figures = figuresOf(await this.settlement.energyByQuality(sql, microgridId, from, to));
      const claimed = new Map(
        figures.map(({ householdId, byQuality }) => [householdId, byQuality.fromNeighborsWh]),
      );
      for (const { householdId, pseudonym } of inWindow) {
        claims.push({ householdId, pseudonym, byQuality: claimed.get(householdId) ?? NOTHING });
      }
    }
    return claims;
  }

  private async postRun(
    sql: Sql,
    microgrid: Microgrid,
    row: ProgramRow,
    period: Period,
    awards: readonly Award[],
    by: string,
  ): Promise<void> {
    const { microgridId, currency } = microgrid;
    const drafts = runRecords({ ...row, currency }, period, awards, totalMicro(awards), {
      by,
      at: await this.clock.now(sql),
    });
    const households = await this.parties.householdsAfter(sql, microgridId, '', ALL_HOUSEHOLDS);
    const awarded = new Set(awards.map(({ householdId }) => householdId));
    const terms = households
      .filter(({ householdId }) => awarded.has(householdId))
      .map((household) => walletTerms(microgrid, household));
    const [first, ...sequences] = await this.ledger.append(sql, microgridId, drafts, terms);
    await sql.query(store.INSERT_RUN, [
      microgridId,
      row.program,
      period.from,
      period.to,
      totalMicro(awards),
      awards.length,
      first,
    ]);
    await sql.query(store.INSERT_AWARDS, [
      microgridId,
      row.program,
      period.from,
      awards.map(({ householdId }) => householdId),
      awards.map(({ pseudonym }) => pseudonym),
      awards.map(({ claimedWh }) => claimedWh),
      awards.map(({ amountMicro }) => amountMicro),
      awards.map(({ byQuality }) => byQuality.measuredWh),
      awards.map(({ byQuality }) => byQuality.interpolatedWh),
      awards.map(({ byQuality }) => byQuality.estimatedWh),
      awards.map(({ byQuality }) => byQuality.missingWh),
      sequences,
    ]);
  }
}

const ALL_HOUSEHOLDS = 1_000_000;

/** A row with what its claims rest on, where that was told when it was made. */
type Told = { readonly byQuality: ByQuality | null };

function bounded<T extends Told>({ byQuality, ...row }: T) {
  return { ...row, quality: byQuality && boundsOf(byQuality) };
}
