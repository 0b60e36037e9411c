import { randomBytes } from 'node:crypto';
import { CopyRows } from '../database/copy-rows.js';
import type { Sql } from '../database/database.service.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import { extendTiles, partialTilesOf } from '../transparency/tile.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { isAccountPath, isTransferId, type KnownRecord } from './draft-check.js';
import * as store from './ledger.store.js';
import { householdsOf } from './accounts.js';
import { movesTime, type Account, type Books, type Hold } from './books.js';
import type { Decision, PostedRecord } from './posting.js';
import { causeHash, logEntry, sealRecord, type RecordBody, type RecordDraft } from './record.js';

/**
 * The statements around a decision: what it needs is read under the lock of the microgrid's head, and
 * what it comes to is written, each in a number of statements that does not grow with the batch.
 */

/** Where a microgrid's journal stands, locked until the transaction ends. */
export interface Head {
  sequence: number;
  logEdge: Uint8Array;
}

export async function lockHead(sql: Sql, microgridId: string): Promise<Head> {
  let [head] = await sql.query<Head>(store.LOCK_HEAD, [microgridId]);
  if (!head) {
    await sql.query(store.CREATE_HEAD, [microgridId]);
    [head] = await sql.query<Head>(store.LOCK_HEAD, [microgridId]);
  }
  if (!head) throw new Error(`no journal head for microgrid ${microgridId}`);
  return head;
}

/**
 * All that deciding on these drafts needs, and the keys of those whom they may concern.
 * @param sequence of the locked head
 */
export async function loadBooks(
  sql: Sql,
  microgridId: string,
  sequence: number,
  drafts: readonly RecordDraft[],
): Promise<{ books: Books; keys: Map<string, Uint8Array> }> {
  const rowsOf = async <Row>(text: string, names: readonly unknown[]): Promise<Row[]> =>
    names.length === 0 ? [] : sql.query<Row>(text, [microgridId, names]);
  const moving = drafts.filter(movesTime);
  const due =
    moving.length === 0
      ? []
      : await sql.query<Hold>(store.DUE_HOLDS, [microgridId, latest(moving)]);
  const lines = drafts.flatMap((draft) => draft.transfers);
  const accounts = unique([...lines, ...due].flatMap(({ debit, credit }) => [debit, credit]));
  const ids = lines.flatMap(({ id }) => id ?? []).filter(isTransferId);
  const named = lines.flatMap(({ pendingId }) => pendingId ?? []).filter(isTransferId);
  const timed = [...due, ...lines.filter(({ timeoutSeconds }) => timeoutSeconds !== undefined)];
  const names = [
    ...drafts.flatMap(({ households, keyHolder }) => [...households, keyHolder]),
    // An expiry within the batch concerns those of the hold, whoever its record concerns.
    ...timed.flatMap(({ debit, credit }) => householdsOf(debit, credit)),
    '',
  ];
  const causes = new Map(
    drafts.map(({ cause }) => [hex(causeHash(microgridId, cause)), cause] as const),
  );
  const accountRows = await rowsOf<Account>(store.ACCOUNTS, accounts.filter(isAccountPath));
  const holdRows = await rowsOf<Hold>(store.HOLDS, unique([...ids, ...named]));
  const known = await sql.query<KnownRow>(store.KNOWN_CAUSES, [
    microgridId,
    [...causes.keys()].map((hash) => Buffer.from(hash, 'hex')),
    unique([...causes.keys(), ...ids]),
  ]);
  const failed = known.filter(({ sequence: recorded }) => recorded === null);
  const holders = await rowsOf<Holder>(store.HOLDERS, unique(names));
  return {
    keys: new Map(holders.flatMap(({ holder, key }) => (key ? [[holder, key] as const] : []))),
    books: {
      microgridId,
      sequence,
      due,
      accounts: new Map(accountRows.map((row) => [row.account, row])),
      holds: new Map(holdRows.map((row) => [row.id, row])),
      records: new Map(known.flatMap((row) => readKnown(causes.get(row.id), row))),
      failedCauses: new Set(failed.flatMap(({ id }) => causes.get(id) ?? [])),
      failedIds: new Set(failed.map(({ id }) => id)),
      numbers: new Map(
        holders.flatMap(({ holder, number }) => (number === null ? [] : [[holder, number]])),
      ),
    },
  };
}

/** Stores, seals and logs what was decided, and moves the head past it. */
export async function writePosting(
  sql: Sql,
  microgridId: string,
  head: Head,
  decision: Decision,
  keys: Map<string, Uint8Array>,
): Promise<void> {
  const { records, failedCauses, failedIds } = decision;
  const failed = [...failedCauses.map((cause) => hex(causeHash(microgridId, cause))), ...failedIds];
  if (failed.length > 0) await sql.query(store.INSERT_FAILED_IDS, [microgridId, failed]);
  if (records.length === 0) return;
  await writeAccounts(sql, microgridId, decision);
  await makeKeys(sql, microgridId, records, keys);
  const entries = await writeRecords(sql, microgridId, records, keys);
  await writeTimeouts(sql, microgridId, decision);
  await extendLog(sql, microgridId, head, entries);
}

/** Every account once, however many transfers touch it. */
async function writeAccounts(sql: Sql, microgridId: string, { accounts }: Decision): Promise<void> {
  const opened = accounts.flatMap(({ now, was }) => (was ? [] : [now]));
  if (opened.length > 0) {
    const column = <Key extends keyof Account>(key: Key) => opened.map((one) => one[key]);
    await sql.query(store.OPEN_ACCOUNTS, [
      microgridId,
      column('account'),
      column('asset'),
      column('limited'),
      column('creditLimit'),
      column('debitLimit'),
      column('debitsPending'),
      column('creditsPending'),
      column('debitsPosted'),
      column('creditsPosted'),
      column('version'),
    ]);
  }
  const changed = accounts.flatMap(({ now, was }) => (was ? [{ now, was }] : []));
  if (changed.length === 0) return;
  const change = (key: Sum) => changed.map(({ now, was }) => now[key] - was[key]);
  const rows = await sql.query(store.CHANGE_ACCOUNTS, [
    microgridId,
    changed.map(({ now }) => now.account),
    change('debitsPending'),
    change('creditsPending'),
    change('debitsPosted'),
    change('creditsPosted'),
    change('version'),
  ]);
  if (rows.length !== changed.length) throw new Error('an account has gone');
}

type Sum = 'debitsPending' | 'creditsPending' | 'debitsPosted' | 'creditsPosted' | 'version';

/** Makes the keys that salt these records where there is none yet. */
async function makeKeys(
  sql: Sql,
  microgridId: string,
  records: readonly PostedRecord[],
  keys: Map<string, Uint8Array>,
): Promise<void> {
  const holders = unique(records.map(({ keyHolder }) => keyHolder));
  const missing = holders.filter((holder) => !keys.has(holder)).sort();
  if (missing.length === 0) return;
  const made = missing.map(() => randomBytes(32));
  await sql.query(store.CREATE_KEYS, [microgridId, missing, made]);
  missing.forEach((holder, index) => keys.set(holder, made[index]!));
}

/** The records with their log entries. @returns these, in sequence */
async function writeRecords(
  sql: Sql,
  microgridId: string,
  records: readonly PostedRecord[],
  keys: ReadonlyMap<string, Uint8Array>,
): Promise<Uint8Array[]> {
  const heads = new CopyRows(6);
  const bodies = new CopyRows(4);
  const households = new CopyRows(4);
  const transfers = new CopyRows(11);
  const log = new CopyRows(3);
  const entries = records.map(({ body, keyHolder }) => {
    const { sequence, kind, at, cause } = body;
    const { bytes, commitment } = sealRecord(keys.get(keyHolder)!, body);
    const causedBy = causeHash(microgridId, cause);
    heads.row().text(microgridId).int8(sequence).text(kind).timestamptz(at);
    heads.bytea(causedBy).bytea(commitment);
    bodies.row().text(microgridId).int8(sequence).text(keyHolder).bytea(bytes);
    for (const [household, number] of Object.entries(body.numbers!)) {
      households.row().text(microgridId).text(household).int8(sequence).int8(number);
    }
    body.transfers.forEach((transfer, line) => {
      transfers.row().text(microgridId).text(transfer.id).int8(sequence).int4(line);
      transfers.text(transfer.debit).text(transfer.credit).text(transfer.asset);
      transfers.int8(transfer.amount).text(transfer.code).text(transfer.state);
      transfers.text(transfer.pending ?? null);
    });
    const entry = logEntry(commitment);
    log.row().text(microgridId);
    log.int8(sequence - 1).bytea(entry);
    return entry;
  });
  const copies: [string, CopyRows][] = [
    [store.COPY_RECORD_HEADS, heads],
    [store.COPY_RECORD_BODIES, bodies],
    [store.COPY_RECORD_HOUSEHOLDS, households],
    [store.COPY_TRANSFERS, transfers],
    [store.COPY_LOG_ENTRIES, log],
  ];
  await sql.copyIn(
    copies.flatMap(([text, rows]) => (rows.isEmpty ? [] : [{ text, rows: rows.end() }])),
  );
  return entries;
}

async function writeTimeouts(
  sql: Sql,
  microgridId: string,
  { timeoutsSet, timeoutsEnded }: Decision,
): Promise<void> {
  if (timeoutsSet.length > 0) {
    await sql.query(store.SET_TIMEOUTS, [
      microgridId,
      timeoutsSet.map(({ id }) => id),
      timeoutsSet.map(({ expiresAt }) => expiresAt),
    ]);
  }
  if (timeoutsEnded.length > 0) {
    await sql.query(store.END_TIMEOUTS, [microgridId, timeoutsEnded.map(({ id }) => id)]);
  }
}

/** The tiles that the entries fill, and the head moved past them. */
async function extendLog(
  sql: Sql,
  microgridId: string,
  head: Head,
  entries: readonly Uint8Array[],
): Promise<void> {
  const size = head.sequence;
  const hashes = entries.map((entry) => leafHash(entry));
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

/** A record, erased where it has no body; or with no sequence what failed. */
interface KnownRow {
  /** Hash of the cause in hex, or the id of a transfer. */
  id: string;
  sequence: number | null;
  keyHolder: string | null;
  bytes: Uint8Array | null;
}

interface Holder {
  holder: string;
  number: number | null;
  key: Uint8Array | null;
}

function readKnown(
  cause: string | undefined,
  { sequence, keyHolder, bytes }: KnownRow,
): [string, KnownRecord][] {
  if (cause === undefined || sequence === null) return [];
  const body = bytes && (JSON.parse(Buffer.from(bytes).toString('utf8')) as RecordBody);
  return [[cause, { sequence, keyHolder, body }]];
}

/** Of the drafts' instants, in order of time, which is not that of their texts. */
function latest(drafts: readonly RecordDraft[]): Instant {
  let last = drafts[0]!.at;
  for (const { at } of drafts) if (at !== last && parseInstant(at) > parseInstant(last)) last = at;
  return last;
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
