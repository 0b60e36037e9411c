import type { DatabaseService, Sql } from './database/database.service.js';
import { billOf, consumptionOf, productionOf, storageOf, walletOf } from './ledger/accounts.js';
import { erasureDraft, sequencesHash, type ErasedBalance } from './ledger/erasure.js';
import type { LedgerService } from './ledger/ledger.service.js';
import type { RecordBody } from './ledger/record.js';
import { decodeMessage } from './metering/signed-reading.js';
import { formatRegisterWh } from './units/energy.js';
import { Problem } from './units/problem.js';
import { formatInstant, parseInstant, type Instant } from './units/slot.js';
import * as store from './erasure.store.js';

/** What an erasure came to. */
export interface Erased {
  microgrid: string;
  household: string;
  /** The record that tells of it. */
  sequence: number;
  /** Whether an earlier run had erased it: then `rows` are those that had come back. */
  repeated: boolean;
  balances: ErasedBalance[];
  /** Rows removed, by what they were. */
  rows: Record<string, number>;
}

/**
 * Erases households that have gone: everything they said and all that tells who they were. What the
 * neighbors and the law need stays under the household's id: heads and commitments of its records,
 * transfers, trades. It acts as the eraser, who alone may remove such rows, and only of a household
 * whose erasure stands in the journal.
 */
export class ErasureService {
  /** @param database opened as the eraser */
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
  ) {}

  /**
   * Erases a household in one transaction, which locks its microgrid's journal; again, and nothing is
   * left to do. A dry run does the same and takes it back.
   * @param now market time
   * @throws Problem 404 where there is no such household, 409 before its final settlement
   */
  async erase(
    householdId: string,
    by: string,
    now: (sql: Sql) => Promise<Instant>,
    options: { dryRun: boolean },
  ): Promise<Erased> {
    let erased: Erased | undefined;
    const undo = new Error('a dry run is taken back');
    try {
      await this.database.transaction(async (sql) => {
        erased = await this.eraseIn(sql, householdId, by, await now(sql));
        if (options.dryRun) throw undo;
      });
    } catch (error) {
      if (error !== undo) throw error;
    }
    return erased!;
  }

  /**
   * Erases again what has come back of households whose erasure the journal tells of, as after the
   * restore of an older backup. Idempotent.
   * @param microgridId null for all
   * @returns the households, each with what was removed now
   */
  async replay(microgridId: string | null = null): Promise<Erased[]> {
    const records = await this.database.query<{ microgridId: string; bytes: Buffer }>(
      store.ERASURES,
      [microgridId],
    );
    const replayed: Erased[] = [];
    for (const { microgridId: microgrid, bytes } of records) {
      const { sequence, facts } = JSON.parse(bytes.toString('utf8')) as RecordBody;
      const household = String(facts['household']);
      await this.database.transaction(async (sql) => {
        await this.ledger.lock(sql, microgrid);
        const rows = await this.remove(sql, microgrid, household, sequence);
        const balances = facts['balances'] as ErasedBalance[];
        replayed.push({ microgrid, household, sequence, repeated: true, balances, rows });
      });
    }
    return replayed;
  }

  private async eraseIn(sql: Sql, householdId: string, by: string, now: Instant): Promise<Erased> {
    const known = await this.household(sql, householdId);
    const { microgridId } = known;
    await this.ledger.lock(sql, microgridId);
    const household = await this.household(sql, householdId);
    const balances = await sql.query<ErasedBalance>(store.BALANCES, [
      microgridId,
      [walletOf, billOf, productionOf, consumptionOf, storageOf].map((of) => of(householdId)),
    ]);
    const erased = { microgrid: microgridId, household: householdId, balances };
    if (household.erasedBy !== null) {
      const rows = await this.remove(sql, microgridId, householdId, household.erasedBy);
      return { ...erased, sequence: household.erasedBy, repeated: true, rows };
    }
    const activeUntil = await this.requireFinal(sql, householdId, household, balances);
    const records = await sql.query<{ sequence: number }>(store.RECORDS, [
      microgridId,
      householdId,
    ]);
    const sequences = records.map(({ sequence }) => sequence);
    const facts = {
      household: householdId,
      by,
      activeFrom: household.activeFrom,
      activeUntil,
      creditLimitMicro: household.creditLimitMicro,
      balances,
      records: sequences.length,
      sequencesSha256: sequencesHash(sequences),
    };
    const [sequence] = await this.ledger.append(sql, microgridId, [erasureDraft(facts, now)]);
    const rows = await this.remove(sql, microgridId, householdId, sequence!);
    return { ...erased, sequence: sequence!, repeated: false, rows };
  }

  private async household(sql: Sql, householdId: string): Promise<HouseholdRow> {
    const [row] = await sql.query<HouseholdRow>(store.HOUSEHOLD, [householdId]);
    if (row) return row;
    throw new Problem(404, 'unknown_household', `There is no household ${householdId}.`);
  }

  /** Nothing of it may be settled, corrected or paid any more. @returns when it ended */
  private async requireFinal(
    sql: Sql,
    householdId: string,
    { microgridId, activeFrom, activeUntil, correctionDays }: HouseholdRow,
    balances: readonly ErasedBalance[],
  ): Promise<Instant> {
    const refuse = (code: string, detail: string): never => {
      throw new Problem(409, code, `${householdId} cannot be erased: ${detail}`);
    };
    if (activeUntil === null) {
      return refuse('not_moved_out', 'it has not moved out. Use move-out first.');
    }
    const [final] = await sql.query<{
      closedThrough: Instant | null;
      unsettledSlot: Instant | null;
      hasOpenOrders: boolean;
    }>(store.FINALITY, [microgridId, householdId, activeFrom, activeUntil]);
    const { closedThrough, unsettledSlot, hasOpenOrders } = final!;
    if (closedThrough === null || parseInstant(closedThrough) < parseInstant(activeUntil)) {
      const upTo = closedThrough === null ? 'none yet' : `up to ${closedThrough}`;
      refuse('not_settled', `it ends at ${activeUntil}, and slots are settled ${upTo}.`);
    }
    if (unsettledSlot !== null) {
      refuse('not_settled', `its slot ${unsettledSlot} was set aside. Release that slot first.`);
    }
    const finalMillis = parseInstant(activeUntil) + correctionDays * 86_400_000;
    if (parseInstant(closedThrough!) < finalMillis) {
      refuse(
        'correction_window_open',
        `late readings may correct its slots until slots are settled up to ${formatInstant(finalMillis)}; they are up to ${closedThrough}.`,
      );
    }
    if (hasOpenOrders || balances.some((one) => one.debitsPending > 0 || one.creditsPending > 0)) {
      refuse('still_held', 'an order of it is open, or money is held for one.');
    }
    return activeUntil;
  }

  private async remove(
    sql: Sql,
    microgridId: string,
    householdId: string,
    sequence: number,
  ): Promise<Record<string, number>> {
    const both = [microgridId, householdId];
    await sql.query(store.NOTE, [...both, sequence]);
    await this.removeRepeats(sql, microgridId, householdId);
    const people = await sql.query<{ person_id: string }>(store.PEOPLE, both);
    const named = people.map(({ person_id }) => person_id);
    const rows: Record<string, number> = {};
    const given = { household: both, people: [named], both: [...both, named] };
    for (const { what, whose, text } of store.STEPS) {
      const [row] = await sql.query<{ count: number }>(text, given[whose]);
      rows[what] = row!.count;
    }
    await sql.query(store.FORGET_HOUSEHOLD, [...both, `erased-${sequence}`]);
    return rows;
  }

  /**
   * Payloads that only repeated what other payloads had brought: no reading names them. Those that say
   * something the household's meters said go, unless others said all of it as well.
   */
  private async removeRepeats(sql: Sql, microgridId: string, householdId: string): Promise<void> {
    for (let after: Buffer = Buffer.alloc(0); ;) {
      const page = await sql.query<{ hash: Buffer; bytes: Buffer }>(store.UNNAMED_PAYLOADS, [
        microgridId,
        after,
        PAYLOADS_A_PAGE,
      ]);
      const said = page.flatMap(({ hash, bytes }) =>
        valuesIn(bytes).map((one) => ({ hash, ...one })),
      );
      const placesIn = async (text: string) => {
        const rows = await sql.query<{ place: number }>(text, [
          microgridId,
          householdId,
          said.map(({ register }) => register),
          said.map(({ readAt }) => readAt),
          said.map(({ valueWh }) => valueWh),
        ]);
        return new Set(rows.map(({ place }) => place - 1));
      };
      const here = await placesIn(store.KEPT_HERE);
      if (here.size > 0) {
        const elsewhere = await placesIn(store.KEPT_ELSEWHERE);
        const touched = new Set([...here].map((place) => hex(said[place]!.hash)));
        const foreign = said.filter((_, place) => !elsewhere.has(place));
        const own = new Set(foreign.map(({ hash }) => hex(hash)).filter((one) => touched.has(one)));
        const hashes = [...own].map((one) => Buffer.from(one, 'hex'));
        await sql.query(store.DELETE_PAYLOADS, [microgridId, hashes]);
      }
      if (page.length < PAYLOADS_A_PAGE) return;
      after = page.at(-1)!.hash;
    }
  }
}

interface HouseholdRow {
  microgridId: string;
  activeFrom: Instant;
  activeUntil: Instant | null;
  creditLimitMicro: number;
  correctionDays: number;
  erasedBy: number | null;
}

const PAYLOADS_A_PAGE = 500;

function valuesIn(bytes: Buffer): { register: string; readAt: Instant; valueWh: string }[] {
  return decodeMessage(bytes).readings.flatMap(({ readAt, importMicroWh, exportMicroWh }) => [
    ...(importMicroWh === null
      ? []
      : [{ register: 'import', readAt, valueWh: formatRegisterWh(importMicroWh) }]),
    ...(exportMicroWh === null
      ? []
      : [{ register: 'export', readAt, valueWh: formatRegisterWh(exportMicroWh) }]),
  ]);
}

function hex(bytes: Buffer): string {
  return bytes.toString('hex');
}
