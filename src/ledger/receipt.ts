import { z } from 'zod';
import { fromBase64, MalformedError, toBase64 } from '../transparency/bytes.js';
import { parseCheckpoint } from '../transparency/checkpoint.js';
import { verifyInclusion } from '../transparency/merkle-proof.js';
import { leafHash } from '../transparency/merkle-tree.js';
import { parseNote } from '../transparency/signed-note.js';
import { openByPolicy, type Policy, type PolicyVerdict } from '../transparency/tlog-policy.js';
import { parseTlogProof } from '../transparency/tlog-proof.js';
import { canonicalJson, type Json, type JsonObject } from '../units/canonical-json.js';
import { IDENT } from '../units/ids.js';
import { commitmentOf, LEAVES, openedValues, type Leaf } from './opening.js';
import { logEntry } from './record.js';

/**
 * A receipt: one file that shows, without asking anybody, that records stand in a microgrid's log as
 * the file tells them. Here is its form and what holds of every record in it; what the facts of a
 * record add up to is judged by the room that made them. Pure, and it runs in a browser.
 */

export const RECEIPT_FORMAT = 'neighborwatt-receipt/v1';
/** The same with what meters have signed. */
export const SIGNED_RECEIPT_FORMAT = 'neighborwatt-receipt/v2';

/** One record: its fields, the entry of the log that they hash to, and a C2SP tlog-proof of it. */
export interface ReceiptRecord {
  readonly leaves: readonly Leaf[];
  /** Version byte and commitment, base64. */
  readonly entry: string;
  readonly proof: string;
}

/** A message that readings of the receipt came in, as the meter sent it. */
export interface ReceiptMessage {
  readonly meter: string;
  /** Base64. */
  readonly bytes: string;
  /** Which of `keys` registered what it is signed with, by its sequence. */
  readonly key: number;
  /** Which of them says how the meter's device is read, where that matters. */
  readonly device?: number | undefined;
}

/** What meters have signed, and the records that registered their keys. */
export interface ReceiptSignatures {
  readonly keys: readonly ReceiptRecord[];
  readonly messages: readonly ReceiptMessage[];
}

export interface Receipt {
  readonly format: typeof RECEIPT_FORMAT | typeof SIGNED_RECEIPT_FORMAT;
  readonly microgrid: string;
  /** Whose receipt it is. */
  readonly household: string;
  /** The same as the opened fields say, for people. */
  readonly what: JsonObject;
  readonly records: readonly ReceiptRecord[];
  /** Absent where no meter has signed. */
  readonly signed?: ReceiptSignatures | undefined;
}

/** A record that the log holds, by what the receipt shows of it. */
export interface ShownRecord {
  readonly sequence: number;
  readonly kind: string;
  /** Opened fields by name, such as `facts.slot`. */
  readonly values: ReadonlyMap<string, Json>;
}

/** What does not fit: in which record (its sequence), what should be there, and what is. */
export interface Misfit {
  readonly record: number | null;
  readonly field: string;
  readonly expected: string;
  readonly found: string;
}

/** What a check found, in plain words, or the first thing that does not fit. */
export type Checked<T = unknown> =
  | { readonly good: true; readonly says: string; readonly value: T }
  | { readonly good: false; readonly misfit: Misfit };

const MAX_TEXT = 8_000_000;
const MAX_RECORDS = 2_000;
/** Messages of a receipt, and of all of them together the bytes. */
export const MAX_MESSAGES = 64;
export const MAX_MESSAGE_BYTES = 1_048_576;
/** Records of ours are nested a handful deep. */
const MAX_DEPTH = 64;

export const RECEIPT_RECORD = z.strictObject({
  leaves: LEAVES,
  entry: z.string(),
  proof: z.string(),
});

const sequence = z.int().positive();
const COMMON = {
  microgrid: z.string().regex(IDENT),
  household: z.string().regex(IDENT),
  what: z.record(z.string(), z.json()),
  records: z.array(RECEIPT_RECORD).min(1).max(MAX_RECORDS),
};

const SIGNATURES = z.strictObject({
  keys: z
    .array(RECEIPT_RECORD)
    .min(1)
    .max(2 * MAX_MESSAGES),
  messages: z
    .array(
      z.strictObject({
        meter: z.string().regex(IDENT),
        bytes: z.string().min(1),
        key: sequence,
        device: sequence.optional(),
      }),
    )
    .min(1)
    .max(MAX_MESSAGES),
});

const FORM = z.discriminatedUnion('format', [
  z.strictObject({
    format: z.literal(RECEIPT_FORMAT),
    ...COMMON,
    signed: z.undefined().optional(),
  }),
  z.strictObject({ format: z.literal(SIGNED_RECEIPT_FORMAT), ...COMMON, signed: SIGNATURES }),
]);

/** The file's text; it is read back by `readReceipt` alone. */
export function formatReceipt(receipt: Receipt): string {
  return `${JSON.stringify(receipt, null, 2)}\n`;
}

/** Reads a receipt; white space may differ from how it was written, and nothing else. */
export function readReceipt(text: string): Checked<Receipt> {
  const misfit = (field: string, expected: string, found: string): Checked<Receipt> =>
    bad(null, field, expected, found);
  if (text.length > MAX_TEXT) return misfit('the file', 'a receipt', 'a file of over 8 MB');
  if (isTooDeep(text)) return misfit('the file', 'a receipt', 'lists in lists without end');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return misfit('the file', 'JSON', 'something else');
  }
  const form = FORM.safeParse(parsed);
  if (!form.success) {
    const [issue] = form.error.issues;
    const field = issue?.path.map(String).join('.') || 'the file';
    return misfit(field, `as in ${RECEIPT_FORMAT} or v2`, issue?.message ?? 'something else');
  }
  // A member told twice would be read by some as the one, by others as the other.
  if (JSON.stringify(parsed) !== withoutSpace(text)) {
    return misfit('the file', 'each member once, plainly spelled', 'a member twice, or escapes');
  }
  const { microgrid, household, records, signed } = form.data;
  const count = counted(records.length, 'record');
  const more = signed ? `, and ${counted(signed.messages.length, 'message')} of its meters` : '';
  return good(
    `It is a receipt of household ${household} in microgrid ${microgrid}, with ${count}${more}.`,
    form.data,
  );
}

/** All records that a receipt shows: its own, and behind them those that registered meters' keys. */
export function recordsOf({ records, signed }: Receipt): readonly ReceiptRecord[] {
  return signed ? [...records, ...signed.keys] : records;
}

/** The fields of each record hash to its entry, and say which record it is. */
export function checkFields({
  records,
  microgrid,
}: Pick<Receipt, 'records' | 'microgrid'>): Checked<ShownRecord[]> {
  const shown: ShownRecord[] = [];
  let open = 0;
  let closed = 0;
  for (const [index, { leaves, entry }] of records.entries()) {
    const values = openedValues(leaves);
    const sequence = values.get('sequence');
    const kind = values.get('kind');
    if (typeof sequence !== 'number' || typeof kind !== 'string') {
      return bad(null, `records.${index}`, 'its sequence and kind opened', 'closed');
    }
    if (values.get('microgrid') !== microgrid) {
      return bad(sequence, 'microgrid', microgrid, shownText(values.get('microgrid')));
    }
    const expected = entryOrFault(leaves);
    if (expected instanceof MalformedError) {
      return bad(sequence, 'fields', 'fields as a record has them', expected.message);
    }
    if (entry !== expected) return bad(sequence, 'entry', expected, entry);
    open += values.size;
    closed += leaves.length - values.size;
    shown.push({ sequence, kind, values });
  }
  const kept = closed === 0 ? 'none is kept closed' : `${closed} are kept closed`;
  return good(`${open} fields are shown and ${kept}; they hash to what the log holds.`, shown);
}

/** Each entry stands in the tree of its checkpoint, at the place that its sequence gives it. */
export function checkInclusion(
  { records }: Pick<Receipt, 'records'>,
  shown: readonly ShownRecord[],
): Checked<readonly string[]> {
  const checkpoints = new Set<string>();
  let size = 0;
  for (const [at, { entry, proof }] of records.entries()) {
    const { sequence } = shown[at]!;
    try {
      const { index, hashes, checkpoint } = parseTlogProof(proof);
      if (index !== sequence - 1) return bad(sequence, 'index', sequence - 1, index);
      const tree = parseCheckpoint(parseNote(checkpoint).text);
      const included = verifyInclusion({
        index,
        size: tree.size,
        leafHash: leafHash(fromBase64(entry)),
        proof: hashes,
        root: tree.root,
      });
      if (!included) return bad(sequence, 'proof', 'the root of the checkpoint', 'another root');
      size = Math.max(size, tree.size);
      checkpoints.add(checkpoint);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      return bad(sequence, 'proof', 'a C2SP tlog-proof', error.message);
    }
  }
  return good(`All of it stands in the log, which held ${size} records then.`, [...checkpoints]);
}

/** What a policy says of a checkpoint, which is dear to find out: once is enough. */
export interface JudgedCheckpoint {
  readonly origin: string;
  readonly verdict: PolicyVerdict;
}

/** @param checkpoints notes that `checkInclusion` could read */
export function judge(checkpoints: readonly string[], policy: Policy): JudgedCheckpoint[] {
  return checkpoints.map((checkpoint) => ({
    origin: parseCheckpoint(parseNote(checkpoint).text).origin,
    verdict: openByPolicy(checkpoint, policy),
  }));
}

/** The log has signed every checkpoint, by a key of the policy, under this microgrid's name. */
export function checkLog(
  { microgrid }: Pick<Receipt, 'microgrid'>,
  judged: readonly JudgedCheckpoint[],
  policy: Policy,
): Checked {
  for (const { origin, verdict } of judged) {
    const { outcome } = verdict;
    if (outcome === 'other_origin') {
      const known = policy.logs.map(({ key }) => key.name).join(', ') || 'none';
      return bad(null, 'log', `a log of the policy: ${known}`, origin);
    }
    if (outcome === 'not_signed_by_log' || outcome === 'bad_signature') {
      return bad(null, 'log', `a checkpoint signed by ${origin}`, outcome.replaceAll('_', ' '));
    }
    if (!origin.endsWith(`/${microgrid}`)) return bad(null, 'log', `.../${microgrid}`, origin);
  }
  return good(`The log ${judged[0]?.origin} has signed it.`, null);
}

/** Witnesses enough for the policy's quorum have cosigned. */
export function checkWitnesses(judged: readonly JudgedCheckpoint[], policy: Policy): Checked {
  const names = new Set<string>();
  let earliest = Number.MAX_SAFE_INTEGER;
  for (const { verdict } of judged) {
    if (verdict.outcome !== 'verified') {
      return bad(null, 'witnesses', `the quorum of the policy: ${policy.quorum}`, 'fewer');
    }
    for (const { name, timestampSeconds } of verdict.cosigned) {
      names.add(name);
      earliest = Math.min(earliest, timestampSeconds);
    }
  }
  if (names.size === 0) {
    return good('The policy asks for no witness: the word of the log alone is taken.', null);
  }
  const since = new Date(earliest * 1000).toISOString().replace('.000Z', 'Z');
  return good(`Witnessed by ${[...names].join(', ')}, first on ${since}.`, null);
}

/** The entry that these leaves have in the log, base64. @throws MalformedError as `commitmentOf` */
export function entryOf(leaves: readonly Leaf[]): string {
  return toBase64(logEntry(commitmentOf(leaves)));
}

function entryOrFault(leaves: readonly Leaf[]): string | MalformedError {
  try {
    return entryOf(leaves);
  } catch (error) {
    if (error instanceof MalformedError) return error;
    throw error;
  }
}

/** @example counted(2, 'message') // '2 messages' */
export function counted(count: number, what: string): string {
  return count === 1 ? `one ${what}` : `${count} ${what}s`;
}

export function good<T>(says: string, value: T): Checked<T> {
  return { good: true, says, value };
}

export function bad<T>(
  record: number | null,
  field: string,
  expected: unknown,
  found: unknown,
): Checked<T> {
  return {
    good: false,
    misfit: { record, field, expected: shownText(expected), found: shownText(found) },
  };
}

/** Whether a value of a receipt is what it should be, to the byte of its canonical JSON. */
export function isJson(expected: Json, found: Json): boolean {
  try {
    return canonicalJson(expected) === canonicalJson(found);
  } catch (error) {
    // What no record can hold, such as a fraction, is not what it should be.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

const SHOWN = 200;

function shownText(value: unknown): string {
  if (value === undefined) return 'closed';
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, SHOWN);
}

/** Whether anybody nested this to make readers stumble. */
function isTooDeep(json: string): boolean {
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') depth += 1;
    if (token === ']' || token === '}') depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** JSON without what may stand between its tokens. */
function withoutSpace(json: string): string {
  return json.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_, text: string | undefined) => text ?? '');
}
