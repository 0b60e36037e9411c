import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { availableBalance, programOf } from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { formatInstant, parseInstant, slotStartOf, type Instant } from '../units/slot.js';
import { pseudonymOf, type Membership } from './awards.js';
import {
  consentChanged,
  fundTerms,
  programCreated,
  programFunded,
  type ProgramTerms,
} from './reward-records.js';
import * as store from './rewards.store.js';

export type ProgramRequest = ProgramTerms & {
  readonly microgrid: string;
  readonly name: string;
  readonly fundMicro: number;
};

export type Program = ProgramTerms & { readonly name: string };
export type FundedProgram = Program & { readonly fundMicro: number; readonly currency: string };

export type ProgramOutcome =
  | { readonly outcome: 'accepted'; readonly program: FundedProgram }
  | {
      readonly outcome:
        'unknown_microgrid' | 'unknown_program' | 'program_exists' | 'reference_used';
    };

export type ConsentOutcome =
  | { readonly outcome: 'accepted'; readonly joinedFrom: Instant; readonly leftAt: Instant | null }
  | { readonly outcome: 'unknown_program' | 'not_a_member' };

/** A program with what only its own service may know. */
export type ProgramRow = Program & { pseudonymKey: Uint8Array; openingMicro: number };

/**
 * Reward programs: a regulator's money and the households' consent. Each change is one transaction
 * that locks the journal first and stands in it as a record.
 */
@Injectable()
export class RewardsService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  /** Founds a program and funds it. The same request again changes nothing and is accepted. */
  async createProgram(request: ProgramRequest, by: string): Promise<ProgramOutcome> {
    const { microgrid: microgridId, program, name, fundMicro: amountMicro } = request;
    return this.database.transaction(async (sql) => {
      const microgrid = await this.parties.microgrid(sql, microgridId);
      if (!microgrid) return { outcome: 'unknown_microgrid' };
      await this.ledger.lock(sql, microgridId);
      const existing = await programRow(sql, microgridId, program);
      if (existing) {
        if (!isSameProgram(existing, request)) return { outcome: 'program_exists' };
        return this.funded(sql, microgrid, existing);
      }
      const { currency } = microgrid;
      const now = await this.clock.now(sql);
      const funding = { program, reference: OPENING, amountMicro, currency };
      const sequences = await this.ledger.append(
        sql,
        microgridId,
        [programCreated(request, by, now), programFunded(funding, now)],
        [fundTerms(program)],
      );
      const { indicator, rateMicroPerKwh } = request;
      await sql.query(store.INSERT_PROGRAM, [
        microgridId,
        program,
        name,
        by,
        indicator,
        rateMicroPerKwh,
        randomBytes(32),
        sequences[0],
      ]);
      await sql.query(store.INSERT_FUNDING, [
        microgridId,
        program,
        OPENING,
        amountMicro,
        by,
        sequences[1],
      ]);
      return this.funded(sql, microgrid, { program, name, indicator, rateMicroPerKwh });
    });
  }

  /** Puts more money into a program, once a reference. */
  async fundProgram(
    microgridId: string,
    program: string,
    funding: { reference: string; amountMicro: number },
    by: string,
  ): Promise<ProgramOutcome> {
    const { reference, amountMicro } = funding;
    return this.database.transaction(async (sql) => {
      const microgrid = await this.parties.microgrid(sql, microgridId);
      await this.ledger.lock(sql, microgridId);
      const existing = await programRow(sql, microgridId, program);
      if (!microgrid || !existing) return { outcome: 'unknown_program' };
      const [before] = await sql.query<{ amountMicro: number }>(store.FUNDING, [
        microgridId,
        program,
        reference,
      ]);
      if (before && before.amountMicro !== amountMicro) return { outcome: 'reference_used' };
      if (!before) {
        const { currency } = microgrid;
        const draft = programFunded(
          { program, reference, amountMicro, currency },
          await this.clock.now(sql),
        );
        const [sequence] = await this.ledger.append(
          sql,
          microgridId,
          [draft],
          [fundTerms(program)],
        );
        await sql.query(store.INSERT_FUNDING, [
          microgridId,
          program,
          reference,
          amountMicro,
          by,
          sequence,
        ]);
      }
      return this.funded(sql, microgrid, existing);
    });
  }

  /** The programs of a microgrid with what is left in their funds. */
  async programs(microgridId: string): Promise<FundedProgram[]> {
    const microgrid = await this.parties.microgrid(this.database, microgridId);
    const rows = await this.database.query<Program>(store.PROGRAMS, [microgridId]);
    if (!microgrid || rows.length === 0) return [];
    const funds = await fundsMicro(this.ledger, this.database, microgridId, rows);
    return rows.map((row, at) => ({ ...row, fundMicro: funds[at]!, currency: microgrid.currency }));
  }

  /** A household's consent, from the next slot on. */
  async join(householdId: string, program: string, by: string): Promise<ConsentOutcome> {
    return this.changeConsent(householdId, program, async (sql, { microgrid, household, head }) => {
      const { microgridId } = microgrid;
      const row = (await programRow(sql, microgridId, program))!;
      const current = await openMembership(sql, microgridId, program, householdId);
      if (current) return { outcome: 'accepted', joinedFrom: current.joinedFrom, leftAt: null };
      const now = await this.clock.now(sql);
      const joinedFrom = laterOf(nextSlot(now, microgrid), household.activeFrom);
      const action = 'program-joined';
      await this.ledger.append(sql, microgridId, [
        consentChanged(
          { action, program, household: householdId, by, from: joinedFrom },
          head + 1,
          now,
        ),
      ]);
      const pseudonym = pseudonymOf(row.pseudonymKey, householdId);
      await sql.query(store.JOIN, [
        microgridId,
        program,
        householdId,
        pseudonym,
        by,
        joinedFrom,
        head + 1,
      ]);
      return { outcome: 'accepted', joinedFrom, leftAt: null };
    });
  }

  /** The end of a household's consent, from the next slot on; what it claimed until then counts. */
  async leave(householdId: string, program: string, by: string): Promise<ConsentOutcome> {
    return this.changeConsent(householdId, program, async (sql, { microgrid, head }) => {
      const { microgridId } = microgrid;
      const current = await openMembership(sql, microgridId, program, householdId);
      if (!current) return { outcome: 'not_a_member' };
      const { joinedFrom } = current;
      const now = await this.clock.now(sql);
      const leftAt = laterOf(nextSlot(now, microgrid), joinedFrom);
      const action = 'program-left';
      await this.ledger.append(sql, microgridId, [
        consentChanged(
          { action, program, household: householdId, by, from: leftAt },
          head + 1,
          now,
        ),
      ]);
      await sql.query(store.LEAVE, [microgridId, program, householdId, leftAt]);
      return { outcome: 'accepted', joinedFrom, leftAt };
    });
  }

  /** Every program of the household's microgrid, and whether it takes part. */
  async programsOf(
    microgridId: string,
    householdId: string,
  ): Promise<(Program & { joinedFrom: Instant | null; leftAt: Instant | null })[]> {
    return this.database.query(store.PROGRAMS_OF_HOUSEHOLD, [microgridId, householdId]);
  }

  private async changeConsent(
    householdId: string,
    program: string,
    change: (
      sql: Sql,
      context: { microgrid: Microgrid; household: Household; head: number },
    ) => Promise<ConsentOutcome>,
  ): Promise<ConsentOutcome> {
    return this.database.transaction(async (sql) => {
      const household = await this.parties.householdOf(sql, householdId);
      const microgrid = household && (await this.parties.microgrid(sql, household.microgridId));
      if (!microgrid) return { outcome: 'unknown_program' };
      const head = await this.ledger.lock(sql, microgrid.microgridId);
      if (!(await programRow(sql, microgrid.microgridId, program))) {
        return { outcome: 'unknown_program' };
      }
      return change(sql, { microgrid, household, head });
    });
  }

  private async funded(sql: Sql, microgrid: Microgrid, row: Program): Promise<ProgramOutcome> {
    const { microgridId, currency } = microgrid;
    const [fundMicro] = await fundsMicro(this.ledger, sql, microgridId, [row]);
    const { program, name, indicator, rateMicroPerKwh } = row;
    return {
      outcome: 'accepted',
      program: { program, name, indicator, rateMicroPerKwh, fundMicro: fundMicro!, currency },
    };
  }
}

/** What is left in the funds of these programs, in their order. */
export async function fundsMicro(
  ledger: LedgerService,
  sql: Sql,
  microgridId: string,
  programs: readonly Program[],
): Promise<number[]> {
  const accounts = programs.map(({ program }) => programOf(program));
  const balances = await ledger.balances(sql, microgridId, accounts);
  return accounts.map((account) => {
    const balance = balances.get(account);
    return balance ? availableBalance(balance) : 0;
  });
}

/** The reference of what a program was founded with. */
const OPENING = 'opening';

/** @returns null where the microgrid has no such program */
export async function programRow(
  sql: Sql,
  microgridId: string,
  program: string,
): Promise<ProgramRow | null> {
  const [row] = await sql.query<ProgramRow>(store.PROGRAM_BY_ID, [microgridId, program]);
  return row ?? null;
}

async function openMembership(
  sql: Sql,
  microgridId: string,
  program: string,
  householdId: string,
): Promise<Membership | null> {
  const [row] = await sql.query<Membership>(store.OPEN_MEMBERSHIP, [
    microgridId,
    program,
    householdId,
  ]);
  return row ?? null;
}

function isSameProgram(existing: ProgramRow, request: ProgramRequest): boolean {
  return (
    existing.name === request.name &&
    existing.indicator === request.indicator &&
    existing.rateMicroPerKwh === request.rateMicroPerKwh &&
    existing.openingMicro === request.fundMicro
  );
}

function nextSlot(now: Instant, { slotMinutes }: Microgrid): Instant {
  return formatInstant(slotStartOf(parseInstant(now), slotMinutes) + slotMinutes * 60_000);
}

function laterOf(a: Instant, b: Instant): Instant {
  return parseInstant(a) < parseInstant(b) ? b : a;
}
