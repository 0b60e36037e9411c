import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import { extendTiles, partialTilesOf } from '../transparency/tile.js';
import type { Instant } from '../units/slot.js';
import type { AccountTerms, Balance } from './accounts.js';
import * as store from './ledger.store.js';
import { accountChanges, type AccountChange, type Hold } from './posting.js';
import {
  causeHash,
  commitment,
  logEntry,
  recordBody,
  recordBytes,
  type RecordBody,
  type RecordDraft,
  type StoredRecord,
  type StoredTransfer,
} from './record.js';

/** A limited account would owe more than its credit limit; nothing of the batch was posted. */
export class LimitExceeded extends Error {
  constructor() {
    super('a limited account would exceed its credit limit');
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

const BODIES_A_PAGE = 2_000;

/** What one append needs and where it starts: the locked head of a microgrid's journal. */
interface Head {
  sequence: number;
  logEdge: Uint8Array;
}

/**
 * The only door to the books of a microgrid: records with their transfers go in, in one numbered
 * order, all of a call or none; balances and records come out. Every append locks the microgrid's
 * head row, writes a fixed number of statements, and gives each record exactly one log entry.
 */
@Injectable()
export class LedgerService {
  /** Locks the head until the transaction ends. @returns the last sequence, 0 for an empty journal */
  async lock(sql: Sql, microgridId: string): Promise<number> {
    return (await this.lockHead(sql, microgridId)).sequence;
  }

  /**
   * Numbers, posts, stores and logs the records in the order given.
   * @param terms of limited accounts, used where this append opens them
   * @returns the sequences, in the order of the drafts
   * @throws LimitExceeded when a limited account would owe too much; Error when an invariant breaks
   */
  async append(
    sql: Sql,
    microgridId: string,
    drafts: readonly RecordDraft[],
    terms: readonly AccountTerms[] = [],
  ): Promise<number[]> {
    if (drafts.length === 0) return [];
    const head = await this.lockHead(sql, microgridId);
    const opened = await openAccounts(sql, microgridId, drafts, terms);
    const bodies = drafts.map((draft, index) =>
      recordBody(microgridId, head.sequence + 1 + index, draft, opensOf(draft, opened)),
    );
    await post(
      sql,
      microgridId,
      bodies.flatMap((body) => body.transfers),
    );
    const commitments = await this.commitments(sql, microgridId, drafts, bodies);
    await writeRecords(sql, microgridId, drafts, bodies, commitments);
    await extendLog(sql, microgridId, head, commitments);
    return bodies.map((body) => body.sequence);
  }

  /** Balances by account id; an account that was never posted to is absent. */
  async balances(
    sql: Sql,
    microgridId: string,
    accounts: readonly string[],
  ): Promise<Map<string, Balance>> {
    const rows = await sql.query<Balance & { accountId: string }>(store.BALANCES, [
      microgridId,
      accounts,
    ]);
    return new Map(rows.map(({ accountId, ...balance }) => [accountId, balance]));
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

  private async lockHead(sql: Sql, microgridId: string): Promise<Head> {
    let [head] = await sql.query<Head>(store.LOCK_HEAD, [microgridId]);
    if (!head) {
      await sql.query(store.CREATE_HEAD, [microgridId]);
      [head] = await sql.query<Head>(store.LOCK_HEAD, [microgridId]);
    }
    if (!head) throw new Error(`no journal head for microgrid ${microgridId}`);
    return head;
  }

  /** Salts and hashes the bodies with their holders' keys, which are made on first use. */
  private async commitments(
    sql: Sql,
    microgridId: string,
    drafts: readonly RecordDraft[],
    bodies: readonly RecordBody[],
  ): Promise<Uint8Array[]> {
    const holders = [...new Set(drafts.map((draft) => draft.keyHolder))].sort();
    const keys = await readKeys(sql, microgridId, holders);
    const missing = holders.filter((holder) => !keys.has(holder));
    if (missing.length > 0) {
      const made = missing.map(() => randomBytes(32));
      await sql.query(store.CREATE_KEYS, [microgridId, missing, made]);
      missing.forEach((holder, index) => keys.set(holder, made[index]!));
    }
    return bodies.map((body, index) => commitment(keys.get(drafts[index]!.keyHolder)!, body));
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

async function readKeys(
  sql: Sql,
  microgridId: string,
  holders: readonly string[],
): Promise<Map<string, Uint8Array>> {
  const rows = await sql.query<{ holder: string; key: Uint8Array }>(store.READ_KEYS, [
    microgridId,
    holders,
  ]);
  return new Map(rows.map((row) => [row.holder, row.key]));
}

/** Opens what the drafts touch for the first time. @returns the terms of newly opened limited accounts */
async function openAccounts(
  sql: Sql,
  microgridId: string,
  drafts: readonly RecordDraft[],
  terms: readonly AccountTerms[],
): Promise<Map<string, AccountTerms>> {
  const assets = new Map<string, string>();
  for (const { transfers } of drafts) {
    for (const { debit, credit, asset } of transfers) {
      assets.set(debit, asset);
      assets.set(credit, asset);
    }
  }
  if (assets.size === 0) return new Map();
  const byAccount = new Map(terms.map((term) => [term.account, term]));
  const accounts = [...assets.keys()].sort();
  const opened = await sql.query<{ accountId: string }>(store.OPEN_ACCOUNTS, [
    microgridId,
    accounts,
    accounts.map((account) => assets.get(account)),
    accounts.map((account) => byAccount.get(account)?.limited ?? false),
    accounts.map((account) => byAccount.get(account)?.creditLimit ?? 0),
  ]);
  const limited = opened.flatMap(({ accountId }) => {
    const term = byAccount.get(accountId);
    return term?.limited ? [term] : [];
  });
  return new Map(limited.map((term) => [term.account, term]));
}

/** Takes from `opened` the accounts that this draft is the first to touch. */
function opensOf(draft: RecordDraft, opened: Map<string, AccountTerms>): AccountTerms[] {
  const opens: AccountTerms[] = [];
  for (const { debit, credit } of draft.transfers) {
    for (const account of [debit, credit]) {
      const term = opened.get(account);
      if (!term) continue;
      opens.push({ account, limited: term.limited, creditLimit: term.creditLimit });
      opened.delete(account);
    }
  }
  return opens;
}

async function post(
  sql: Sql,
  microgridId: string,
  transfers: readonly StoredTransfer[],
): Promise<void> {
  if (transfers.length === 0) return;
  const inBatch = new Set(transfers.map((transfer) => transfer.id));
  const resolved = transfers.flatMap(({ pending }) =>
    pending !== undefined && !inBatch.has(pending) ? [pending] : [],
  );
  const holds =
    resolved.length === 0 ? [] : await sql.query<Hold>(store.OPEN_HOLDS, [microgridId, resolved]);
  const changes = accountChanges(transfers, new Map(holds.map((hold) => [hold.id, hold])));
  await changeAccounts(sql, microgridId, changes);
}

async function changeAccounts(
  sql: Sql,
  microgridId: string,
  changes: readonly AccountChange[],
): Promise<void> {
  const rows = await sql
    .query(store.CHANGE_ACCOUNTS, [
      microgridId,
      changes.map((change) => change.account),
      changes.map((change) => change.asset),
      changes.map((change) => change.debitsPending),
      changes.map((change) => change.creditsPending),
      changes.map((change) => change.debitsPosted),
      changes.map((change) => change.creditsPosted),
    ])
    .catch((error: unknown) => {
      throw isLimitViolation(error) ? new LimitExceeded() : error;
    });
  if (rows.length !== changes.length) throw new Error('an account holds another asset');
}

function isLimitViolation(error: unknown): boolean {
  const cause = (error as { driverError?: unknown } | null)?.driverError ?? error;
  return (cause as { constraint?: unknown } | null)?.constraint === 'account_within_limit';
}

async function writeRecords(
  sql: Sql,
  microgridId: string,
  drafts: readonly RecordDraft[],
  bodies: readonly RecordBody[],
  commitments: readonly Uint8Array[],
): Promise<void> {
  const sequences = bodies.map((body) => body.sequence);
  await sql.query(store.INSERT_RECORD_HEADS, [
    microgridId,
    sequences,
    bodies.map((body) => body.kind),
    bodies.map((body) => body.at),
    bodies.map((body) => Buffer.from(causeHash(microgridId, body.cause))),
    commitments.map((hash) => Buffer.from(hash)),
  ]);
  await sql.query(store.INSERT_RECORD_BODIES, [
    microgridId,
    sequences,
    drafts.map((draft) => draft.keyHolder),
    bodies.map((body) => Buffer.from(recordBytes(body))),
  ]);
  const concerned = bodies.flatMap((body) =>
    body.households.map((household) => ({ household, sequence: body.sequence })),
  );
  await sql.query(store.INSERT_RECORD_HOUSEHOLDS, [
    microgridId,
    concerned.map((row) => row.household),
    concerned.map((row) => row.sequence),
  ]);
  const lines = bodies.flatMap((body) =>
    body.transfers.map((transfer, line) => ({ ...transfer, line, sequence: body.sequence })),
  );
  if (lines.length === 0) return;
  await sql.query(store.INSERT_TRANSFERS, [
    microgridId,
    lines.map((line) => line.id),
    lines.map((line) => line.sequence),
    lines.map((line) => line.line),
    lines.map((line) => line.debit),
    lines.map((line) => line.credit),
    lines.map((line) => line.asset),
    lines.map((line) => line.amount),
    lines.map((line) => line.code),
    lines.map((line) => line.state),
    lines.map((line) => line.pending ?? null),
  ]);
}

/** One entry a record, the tiles that they fill, and the head moved past them. */
async function extendLog(
  sql: Sql,
  microgridId: string,
  head: Head,
  commitments: readonly Uint8Array[],
): Promise<void> {
  const size = head.sequence;
  const entries = commitments.map(logEntry);
  const hashes = entries.map(leafHash);
  await sql.query(store.INSERT_LOG_ENTRIES, [
    microgridId,
    entries.map((_, index) => size + index),
    entries.map((entry) => Buffer.from(entry)),
  ]);
  const partial = partialTilesOf(size);
  const stored = await sql.query<{ level: number; tile: number; hashes: Uint8Array }>(
    store.READ_TILES,
    [microgridId, partial.map(({ level }) => level), partial.map(({ tile }) => tile)],
  );
  const tiles = extendTiles(size, hashes, stored);
  await sql.query(store.WRITE_TILES, [
    microgridId,
    tiles.map(({ level }) => level),
    tiles.map(({ tile }) => tile),
    tiles.map((tile) => Buffer.from(tile.hashes)),
  ]);
  const range = CompactRange.fromBytes(size, head.logEdge);
  for (const hash of hashes) range.append(hash);
  await sql.query(store.MOVE_HEAD, [microgridId, range.size, Buffer.from(range.toBytes())]);
}
