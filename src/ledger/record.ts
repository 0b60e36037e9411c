import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { CompactRange } from '../transparency/merkle-tree.js';
import { hmacSha256, sha256 } from '../transparency/sha256.js';
import { canonicalJson, type Json, type JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import type { AccountTerms } from './accounts.js';

/**
 * A record: one cause, its facts and its transfers. Its canonical bytes are built once here; its
 * commitment is the root of a small tree over individually salted fields, so that one field can be
 * opened alone and all of it is lost to sight when the key that salts it is destroyed.
 */

export const RECORD_KINDS = [
  'enrolment',
  'tariff',
  'operator-action',
  'order',
  'gate',
  'household-slot',
  'trade',
  'slot-closed',
  'manifest',
  'deposit',
  'award',
  'correction',
  'true-up',
  'erasure',
  'expiry',
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** `expire` is a void that the ledger itself writes once a hold's time is over. */
export type TransferState = 'posted' | 'pending' | 'post' | 'void' | 'expire';

/** Which side is not to be moved beyond its limit: the amount becomes what it still allows. */
export type Balancing = 'debit' | 'credit' | 'both';

/**
 * `amount` units of `asset` from one account to another. `pending` holds it; `post` settles up to
 * the held amount of `pendingId` and frees the rest; `void` frees all of it (amount 0).
 */
export interface TransferDraft {
  /** 16 bytes in hex of the client's making; else they follow from cause and line. */
  id?: string;
  debit: string;
  credit: string;
  asset: string;
  amount: number;
  code: string;
  state?: TransferState;
  pendingId?: string;
  /** How long a hold lasts, in market time from the record's `at`. */
  timeoutSeconds?: number;
  /** Makes `amount` the most that is moved. */
  balancing?: Balancing;
}

export interface RecordDraft {
  kind: RecordKind;
  /** Market time. */
  at: Instant;
  /** What made it, unique in the microgrid, e.g. `slot/2026-06-01T10:00:00Z/household/h01`. */
  cause: string;
  /** The household whose key salts the record, or '' for the microgrid's own. */
  keyHolder: string;
  /** The households that it concerns. */
  households: readonly string[];
  facts: JsonObject;
  transfers: readonly TransferDraft[];
}

export type StoredTransfer = {
  id: string;
  debit: string;
  credit: string;
  asset: string;
  amount: number;
  code: string;
  state: TransferState;
  pending?: string;
  timeoutSeconds?: number;
  balancing?: Balancing;
  /** What was asked of a balancing transfer; `amount` is what was moved. */
  atMost?: number;
};

/** What a record says of the accounts and households it comes to, so that none can be left out. */
export type Standing = {
  /** Limited accounts that this record is the first to touch. */
  opens: AccountTerms[];
  /** By account: how many records have touched it, this one included. */
  versions: Record<string, number>;
  /** By household: how many records concern it, this one included. */
  numbers: Record<string, number>;
};

/** The body of a record as its canonical bytes spell it. Version 1 has no `versions` and `numbers`. */
export type RecordBody = {
  v: 1 | 2;
  microgrid: string;
  sequence: number;
  kind: RecordKind;
  at: Instant;
  cause: string;
  households: string[];
  opens: Standing['opens'];
  versions?: Standing['versions'];
  numbers?: Standing['numbers'];
  facts: JsonObject;
  transfers: StoredTransfer[];
};

export interface StoredRecord {
  microgridId: string;
  sequence: number;
  kind: RecordKind;
  at: Instant;
  households: string[];
  facts: JsonObject;
  transfers: StoredTransfer[];
}

const NOTHING: Standing = { opens: [], versions: {}, numbers: {} };

/** The record of a draft; of a balancing transfer it says what was asked, as if that were moved. */
export function recordBody(
  microgridId: string,
  sequence: number,
  draft: RecordDraft,
  standing: Standing = NOTHING,
): RecordBody {
  const transfers = draft.transfers.map((transfer, line) =>
    storedTransfer(transfer, transfer.id ?? transferId(microgridId, draft.cause, line)),
  );
  return bodyOf(microgridId, sequence, { ...draft, transfers }, standing);
}

/** The record of a draft whose transfers have their ids and amounts. */
export function bodyOf(
  microgridId: string,
  sequence: number,
  draft: Omit<RecordDraft, 'transfers'> & { transfers: StoredTransfer[] },
  { opens, versions, numbers }: Standing,
): RecordBody {
  const { kind, at, cause, facts, transfers } = draft;
  return {
    v: 2,
    microgrid: microgridId,
    sequence,
    kind,
    at,
    cause,
    households: uniqueSorted(draft.households),
    opens,
    versions,
    numbers,
    facts,
    transfers,
  };
}

export function storedTransfer(transfer: TransferDraft, id: string): StoredTransfer {
  const { debit, credit, asset, amount, code, pendingId, timeoutSeconds, balancing } = transfer;
  return {
    id,
    debit,
    credit,
    asset,
    amount,
    code,
    state: transfer.state ?? 'posted',
    ...(pendingId === undefined ? {} : { pending: pendingId }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(balancing === undefined ? {} : { balancing, atMost: amount }),
  };
}

export function uniqueSorted(texts: readonly string[]): string[] {
  return texts.length < 2 ? [...texts] : [...new Set(texts)].sort();
}

/** @throws RangeError when a fact is not an integer, text, list or object */
export function recordBytes(body: RecordBody): Uint8Array {
  return utf8ToBytes(canonicalJson(body));
}

/** The id that line `line` of the record caused by `cause` has: 16 bytes in hex. */
export function transferId(microgridId: string, cause: string, line: number): string {
  const bytes = utf8ToBytes(`neighborwatt/transfer/v1\n${microgridId}\n${cause}\n${line}`);
  return bytesToHex(sha256(bytes)).slice(0, 32);
}

/** 32 bytes that stand for the cause; two records of one microgrid never share it. */
export function causeHash(microgridId: string, cause: string): Uint8Array {
  return sha256(utf8ToBytes(`neighborwatt/cause/v1\n${microgridId}\n${cause}`));
}

/** A field of a record that is committed to on its own: a top-level member, or one of a group. */
export interface RecordField {
  name: string;
  value: Uint8Array;
}

/** Members whose own members are fields: a household opens its versions and not its neighbor's. */
const GROUPS: ReadonlySet<string> = new Set(['facts', 'versions', 'numbers']);

/** The fields of a record in the order of their leaves: sorted by name, facts as `facts.<name>`. */
export function recordFields(body: RecordBody): RecordField[] {
  return fieldTexts(body).fields.map(({ name, text }) => ({ name, value: utf8ToBytes(text) }));
}

interface FieldText {
  name: string;
  text: string;
}

/**
 * The texts of the fields and the text of the whole, which is put together from them.
 * @throws RangeError for what is no record
 */
function fieldTexts(body: RecordBody): { fields: FieldText[]; text: string } {
  if (!isPlain(body.facts ?? null)) throw new RangeError('a record has facts');
  const fields: FieldText[] = [];
  const members = sortedEntries(body).map(([name, value]) => {
    if (!GROUPS.has(name) || !isPlain(value)) {
      const text = canonicalJson(value);
      fields.push({ name, text });
      return `${JSON.stringify(name)}:${text}`;
    }
    const inner = sortedEntries(value).map(([key, one]) => {
      const text = canonicalJson(one);
      fields.push({ name: `${name}.${key}`, text });
      return `${JSON.stringify(key)}:${text}`;
    });
    return `${JSON.stringify(name)}:{${inner.join(',')}}`;
  });
  return { fields, text: `{${members.join(',')}}` };
}

function isPlain(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sortedEntries(object: JsonObject): [string, Json][] {
  return Object.keys(object)
    .sort()
    .map((name) => [name, object[name]!]);
}

/** The salts of a record's fields, in the order of `names`: HMAC chains from the holder's key. */
export function fieldSalts(
  holderKey: Uint8Array,
  sequence: number,
  names: readonly string[],
): Uint8Array[] {
  const recordSalt = hmacSha256(holderKey)(utf8ToBytes(`neighborwatt/record/v1\n${sequence}`));
  const saltOf = hmacSha256(recordSalt);
  return names.map((name) => saltOf(UTF_8.encode(name)));
}

/** The input of a field's leaf: salt, then name and value, each behind its length (u16, u32 BE). */
export function fieldLeaf(salt: Uint8Array, field: RecordField): Uint8Array {
  const name = utf8ToBytes(field.name);
  const lengths = new Uint8Array(6);
  const view = new DataView(lengths.buffer);
  view.setUint16(0, name.length);
  view.setUint32(2, field.value.length);
  return concatBytes(salt, lengths.subarray(0, 2), name, lengths.subarray(2), field.value);
}

/** The 32-byte commitment to a record: RFC 6962 root over its salted fields. */
export function commitment(holderKey: Uint8Array, body: RecordBody): Uint8Array {
  return rootOf(holderKey, body.sequence, fieldTexts(body).fields);
}

/** The canonical bytes and the commitment, at the price of one serialisation. */
export function sealRecord(
  holderKey: Uint8Array,
  body: RecordBody,
): { bytes: Uint8Array; commitment: Uint8Array } {
  const { fields, text } = fieldTexts(body);
  return { bytes: UTF_8.encode(text), commitment: rootOf(holderKey, body.sequence, fields) };
}

function rootOf(holderKey: Uint8Array, sequence: number, fields: readonly FieldText[]): Uint8Array {
  const salts = fieldSalts(
    holderKey,
    sequence,
    fields.map(({ name }) => name),
  );
  const range = CompactRange.empty();
  fields.forEach(({ name, text }, index) => range.append(leafHashOf(salts[index]!, name, text)));
  return range.root();
}

/**
 * `leafHash(fieldLeaf(salt, field))`, put together in one buffer for all: a closed slot has tens of
 * thousands of fields, and buffers of their own cost more than hashing them.
 */
function leafHashOf(salt: Uint8Array, name: string, text: string): Uint8Array {
  const most = 1 + salt.length + 2 + 3 * name.length + 4 + 3 * text.length;
  if (scratch.length < most) scratch = new Uint8Array(2 * most);
  scratch[0] = 0;
  scratch.set(salt, 1);
  const nameAt = 1 + salt.length + 2;
  const nameLength = UTF_8.encodeInto(name, scratch.subarray(nameAt)).written;
  const textAt = nameAt + nameLength + 4;
  const textLength = UTF_8.encodeInto(text, scratch.subarray(textAt)).written;
  const view = new DataView(scratch.buffer);
  view.setUint16(nameAt - 2, nameLength);
  view.setUint32(textAt - 4, textLength);
  return sha256(scratch.subarray(0, textAt + textLength));
}

let scratch = new Uint8Array(4_096);
const UTF_8 = new TextEncoder();

/** What stands in the log for a record: version byte 1 and the commitment. */
export function logEntry(recordCommitment: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(1), recordCommitment);
}
