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
  'erasure',
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

export type TransferState = 'posted' | 'pending' | 'post' | 'void';

/**
 * `amount` units of `asset` from one account to another. `pending` holds it; `post` settles up to
 * the held amount of `pendingId` and frees the rest; `void` frees all of it (amount 0).
 */
export interface TransferDraft {
  debit: string;
  credit: string;
  asset: string;
  amount: number;
  code: string;
  state?: TransferState;
  pendingId?: string;
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
};

/** The body of a record as its canonical bytes spell it. */
export type RecordBody = {
  v: 1;
  microgrid: string;
  sequence: number;
  kind: RecordKind;
  at: Instant;
  cause: string;
  households: string[];
  /** Limited accounts that this record is the first to touch. */
  opens: AccountTerms[];
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

/** The record as its canonical bytes: RFC 8785 JSON, UTF-8. Every transfer gets its id from the cause. */
export function recordBody(
  microgridId: string,
  sequence: number,
  draft: RecordDraft,
  opens: readonly AccountTerms[],
): RecordBody {
  return {
    v: 1,
    microgrid: microgridId,
    sequence,
    kind: draft.kind,
    at: draft.at,
    cause: draft.cause,
    households: [...new Set(draft.households)].sort(),
    opens: [...opens],
    facts: draft.facts,
    transfers: draft.transfers.map((transfer, line) => ({
      id: transferId(microgridId, draft.cause, line),
      debit: transfer.debit,
      credit: transfer.credit,
      asset: transfer.asset,
      amount: transfer.amount,
      code: transfer.code,
      state: transfer.state ?? 'posted',
      ...(transfer.pendingId === undefined ? {} : { pending: transfer.pendingId }),
    })),
  };
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

/** A field of a record that is committed to on its own: a top-level member, or one of the facts. */
export interface RecordField {
  name: string;
  value: Uint8Array;
}

/** The fields of a record in the order of their leaves: sorted by name, facts as `facts.<name>`. */
export function recordFields(body: RecordBody): RecordField[] {
  return fieldTexts(body).map(({ name, text }) => ({ name, value: utf8ToBytes(text) }));
}

function fieldTexts(body: RecordBody): { name: string; text: string }[] {
  const { facts, ...rest } = body;
  const members: [string, Json][] = [
    ...Object.entries<Json>(rest),
    ...Object.entries(facts).map(([name, value]): [string, Json] => [`facts.${name}`, value]),
  ];
  return members
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, text: canonicalJson(value) }));
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
  const fields = fieldTexts(body);
  const salts = fieldSalts(
    holderKey,
    body.sequence,
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
