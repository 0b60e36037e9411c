import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import type { Instant } from '../units/slot.js';
import type { AccountTerms, Balance } from './accounts.js';
import * as store from './ledger.store.js';
import type { Outcome } from './outcome.js';
import { decide } from './posting.js';
import { loadBooks, lockHead, writePosting } from './posting.store.js';
import {
  causeHash,
  type RecordBody,
  type RecordDraft,
  type StoredRecord,
  type TransferState,
} from './record.js';

/** A limited account would owe or hold more than its limit; nothing of the batch was posted. */
export class LimitExceeded extends Error {
  constructor(what: string) {
    super(`a limited account would exceed its limit: ${what}`);
  }
}

/** The size of a microgrid's books. */
export interface JournalSummary {
  records: number;
  transfers: number;
  sequence: number;
  /** Hex. */
  journalSha256: string;
}

/** An account's posted balance before and after a period, and what changed it, by code. */
export interface AccountMovements {
  openingMicro: number;
  /** Credits less debits. */
  lines: { code: string; lines: number; micro: number }[];
  closingMicro: number;
}

/** An account with its four sides. */
export interface AccountRow extends Balance {
  accountId: string;
  asset: string;
}

/** Where a line stands in the journal. */
export interface LinePosition {
  sequence: number;
  line: number;
}

/** A transfer as one of its accounts sees it, and what that account came to with it. */
export interface StatementLine extends LinePosition {
  at: Instant;
  code: string;
  state: TransferState;
  side: 'debit' | 'credit';
  /** The account on the other side. */
  other: string;
  amount: number;
  /** Posted credits less posted debits. */
  balance: number;
  /** Debits pending, and credits pending. */
  held: number;
  expected: number;
}

const BODIES_A_PAGE = 2_000;

/**
 * The only door to the books of a microgrid: records with their transfers go in, in one numbered
 * order, all of a call or none; balances and records come out. Every append locks the microgrid's
 * head row, writes a fixed number of statements, and gives each record exactly one log entry.
 */
@Injectable()
export class LedgerService {
  /** Locks the head until the transaction ends. @returns the last sequence, 0 for an empty journal */
  async lock(sql: Sql, microgridId: string): Promise<number> {
    return (await lockHead(sql, microgridId)).sequence;
  }

  /**
   * Posts each record whole or not at all, in the order given: one that is refused leaves nothing
   * and does not stop those behind it. A repeat of what is recorded is a success. An id that was
   * refused for a transient reason stays refused.
   * @param terms of limited accounts, used where a record opens them
   * @returns one outcome a draft, in their order
   */
  async submit(
    sql: Sql,
    microgridId: string,
    drafts: readonly RecordDraft[],
    terms: readonly AccountTerms[] = [],
  ): Promise<Outcome[]> {
    if (drafts.length === 0) return [];
    const head = await lockHead(sql, microgridId);
    const { books, keys } = await loadBooks(sql, microgridId, head.sequence, drafts);
    const decision = decide(books, drafts, terms);
    await writePosting(sql, microgridId, head, decision, keys);
    return decision.outcomes;
  }

  /**
   * The same for records that cannot be refused: all of them or none.
   * @returns the sequences, in the order of the drafts
   * @throws LimitExceeded when a limited account would owe or hold too much; Error for every other
   *   refusal, and for a cause that is recorded already: a broken invariant of the caller
   */
  async append(
    sql: Sql,
    microgridId: string,
    drafts: readonly RecordDraft[],
    terms: readonly AccountTerms[] = [],
  ): Promise<number[]> {
    if (drafts.length === 0) return [];
    const head = await lockHead(sql, microgridId);
    const { books, keys } = await loadBooks(sql, microgridId, head.sequence, drafts);
    const decision = decide(books, drafts, terms);
    const sequences = decision.outcomes.map((outcome, index) => {
      if (outcome.status === 'created') return outcome.sequence!;
      throw refusalOf(drafts[index]!, outcome);
    });
    await writePosting(sql, microgridId, head, decision, keys);
    return sequences;
  }

  /**
   * Balances by account id; an account that was never posted to is absent.
   * @param through the record after which they stood so; absent: the last
   */
  async balances(
    sql: Sql,
    microgridId: string,
    accounts: readonly string[],
    through?: number,
  ): Promise<Map<string, Balance>> {
    const rows = await (through === undefined
      ? sql.query<AccountRow>(store.BALANCES, [microgridId, accounts])
      : sql.query<AccountRow>(store.BALANCES_THEN, [microgridId, through, accounts]));
    return new Map(rows.map((row) => [row.accountId, row]));
  }

  /**
   * Accounts in the order of their ids, as the record `through` left them.
   * @param page behind which account, and how many
   * @param ofHouseholds whether those of households are among them
   */
  async accounts(
    sql: Sql,
    microgridId: string,
    through: number,
    page: { after: string; limit: number },
    ofHouseholds: boolean,
  ): Promise<AccountRow[]> {
    return sql.query<AccountRow>(store.ACCOUNTS_THEN, [
      microgridId,
      through,
      page.after,
      ofHouseholds,
      page.limit,
    ]);
  }

  /** What moved on an account, line by line in the order of the journal. */
  async statement(
    sql: Sql,
    microgridId: string,
    account: string,
    range: { from: Instant | null; to: Instant | null },
    page: { after: LinePosition; limit: number },
  ): Promise<StatementLine[]> {
    return sql.query<StatementLine>(store.STATEMENT, [
      microgridId,
      account,
      page.after.sequence,
      page.after.line,
      range.from,
      range.to,
      page.limit,
    ]);
  }

  /** The asset that an account holds; null where it was never posted to. */
  async assetOf(sql: Sql, microgridId: string, account: string): Promise<string | null> {
    const [row] = await sql.query<{ asset: string }>(store.ASSET_OF, [microgridId, account]);
    return row?.asset ?? null;
  }

  /** The market time of a record; null where there is none. */
  async instantOf(sql: Sql, microgridId: string, sequence: number): Promise<Instant | null> {
    const [row] = await sql.query<{ at: Instant }>(store.INSTANT_OF, [microgridId, sequence]);
    return row?.at ?? null;
  }

  /** The last sequence; 0 where the journal is empty or the microgrid unknown. */
  async head(sql: Sql, microgridId: string): Promise<number> {
    const [row] = await sql.query<{ sequence: number }>(store.READ_HEAD, [microgridId]);
    return row?.sequence ?? 0;
  }

  /** The last sequence of every microgrid. */
  async heads(sql: Sql): Promise<Map<string, number>> {
    const rows = await sql.query<{ microgridId: string; sequence: number }>(store.READ_HEADS);
    return new Map(rows.map((row) => [row.microgridId, row.sequence]));
  }

  /** Records after `since` in sequence, optionally only those that concern one household. */
  async records(
    sql: Sql,
    microgridId: string,
    range: { since: number; limit: number; household?: string },
  ): Promise<StoredRecord[]> {
    const rows = await sql.query<{ bytes: Buffer }>(store.RECORDS, [
      microgridId,
      range.since,
      range.limit,
      range.household ?? null,
    ]);
    return rows.map((row) => readRecord(row.bytes));
  }

  /** These records, in sequence; erased ones are absent. */
  async recordsAt(
    sql: Sql,
    microgridId: string,
    sequences: readonly number[],
  ): Promise<StoredRecord[]> {
    const rows = await sql.query<{ bytes: Buffer }>(store.RECORDS_AT, [microgridId, sequences]);
    return rows.map((row) => readRecord(row.bytes));
  }

  /** What moved on an account in the records of [from, to) of market time, summed by code. */
  async movements(
    sql: Sql,
    microgridId: string,
    account: string,
    from: Instant,
    to: Instant,
  ): Promise<AccountMovements> {
    const rows = await sql.query<{ code: string; before: number; during: number; lines: number }>(
      store.MOVEMENTS,
      [microgridId, account, from, to],
    );
    const opening = rows.reduce((sum, { before }) => sum + before, 0);
    const during = rows.filter(({ lines }) => lines > 0);
    return {
      openingMicro: opening,
      lines: during.map(({ code, during: micro, lines }) => ({ code, lines, micro })),
      closingMicro: during.reduce((sum, { during: micro }) => sum + micro, opening),
    };
  }

  /** The record that this cause made, or null. */
  async recordOfCause(sql: Sql, microgridId: string, cause: string): Promise<StoredRecord | null> {
    const [row] = await sql.query<{ bytes: Buffer }>(store.RECORD_OF_CAUSE, [
      microgridId,
      Buffer.from(causeHash(microgridId, cause)),
    ]);
    return row ? readRecord(row.bytes) : null;
  }

  /** The records that these causes made, in sequence; those that are not there or were erased are absent. */
  async recordsOfCauses(
    sql: Sql,
    microgridId: string,
    causes: readonly string[],
  ): Promise<StoredRecord[]> {
    if (causes.length === 0) return [];
    const rows = await sql.query<{ bytes: Buffer }>(store.RECORDS_OF_CAUSES, [
      microgridId,
      causes.map((cause) => Buffer.from(causeHash(microgridId, cause))),
    ]);
    return rows.map((row) => readRecord(row.bytes));
  }

  /**
   * How much there is, and the SHA-256 over the canonical bytes of all records in sequence; read in
   * pages, so that a journal of any length fits.
   */
  async summary(sql: Sql, microgridId: string): Promise<JournalSummary> {
    const [counts] = await sql.query<Omit<JournalSummary, 'journalSha256'>>(store.COUNTS, [
      microgridId,
    ]);
    const hash = createHash('sha256');
    for await (const { bytes } of this.bodies(sql, microgridId)) hash.update(bytes);
    return { ...counts!, journalSha256: hash.digest('hex') };
  }

  /** The canonical bytes of all records in sequence. */
  async *bodies(
    sql: Sql,
    microgridId: string,
  ): AsyncGenerator<{ sequence: number; keyHolder: string; bytes: Buffer }> {
    for (let after = 0; ;) {
      const page = await sql.query<{ sequence: number; keyHolder: string; bytes: Buffer }>(
        store.BODIES,
        [microgridId, after, BODIES_A_PAGE],
      );
      yield* page;
      if (page.length < BODIES_A_PAGE) return;
      after = page.at(-1)!.sequence;
    }
  }

  /** The last sequence up to `through` that concerns the household; 0 when there is none. */
  async lastSequenceOf(
    sql: Sql,
    microgridId: string,
    household: string,
    through: number,
  ): Promise<number> {
    const [row] = await sql.query<{ sequence: number }>(store.LAST_SEQUENCE_OF_HOUSEHOLD, [
      microgridId,
      household,
      through,
    ]);
    return row?.sequence ?? 0;
  }
}

/** A stored record from its canonical bytes. */
export function readRecord(bytes: Uint8Array): StoredRecord {
  const body = JSON.parse(Buffer.from(bytes).toString('utf8')) as RecordBody;
  return {
    microgridId: body.microgrid,
    sequence: body.sequence,
    kind: body.kind,
    at: body.at,
    households: body.households,
    facts: body.facts,
    transfers: body.transfers,
  };
}

function refusalOf(draft: RecordDraft, { status, line }: Outcome): Error {
  const at = line === null ? null : draft.transfers[line]!;
  const where = at ? `, line ${line} (${at.debit} > ${at.credit} ${at.amount} ${at.asset})` : '';
  const what = `record ${draft.cause}${where}: ${status}`;
  const isOfLimit = status === 'exceeds_credits' || status === 'exceeds_debits';
  return isOfLimit ? new LimitExceeded(what) : new Error(what);
}
