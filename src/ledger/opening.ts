import { z } from 'zod';
import { fromBase64, MalformedError, parseHash, toBase64, toUtf8 } from '../transparency/bytes.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import { canonicalJson, type Json } from '../units/canonical-json.js';
import { fieldLeaf, fieldSalts, recordFields, type RecordBody } from './record.js';

/**
 * A record opened in part: the leaves of its commitment in their order, each field either shown with
 * the salt that hides it, or as nothing but its hash. From the leaves alone anybody computes the
 * commitment; a field that was kept closed cannot be guessed, because its salt is 32 secret bytes,
 * and the salts of opened fields say nothing about others (HMAC under a key that is not shown).
 * Pure, and it runs in a browser.
 */

/** A field with its value, and its salt in base64. */
export interface OpenedField {
  readonly name: string;
  readonly value: Json;
  readonly salt: string;
}

/** A field that is not shown: the leaf hash of RFC 6962 in base64. */
export interface ClosedField {
  readonly leafHash: string;
}

export type Leaf = OpenedField | ClosedField;

/** More leaves than any record has. */
const MAX_LEAVES = 20_000;
const MAX_NAME = 400;
const SALT_BYTES = 32;

/** Of JSON as parsed: exact members, bounded; what the texts hold is judged by `commitmentOf`. */
export const LEAVES = z
  .array(
    z.union([
      z.strictObject({ name: z.string().min(1).max(MAX_NAME), value: z.json(), salt: z.string() }),
      z.strictObject({ leafHash: z.string() }),
    ]),
  )
  .min(1)
  .max(MAX_LEAVES);

/**
 * The leaves of a record, with those fields open that `isOpen` names.
 * @param holderKey the key that salts the record
 * @example commitmentOf(openRecord(key, body, () => false)) // equals commitment(key, body)
 */
export function openRecord(
  holderKey: Uint8Array,
  body: RecordBody,
  isOpen: (name: string) => boolean,
): Leaf[] {
  const fields = recordFields(body);
  const salts = fieldSalts(
    holderKey,
    body.sequence,
    fields.map(({ name }) => name),
  );
  return fields.map((field, index): Leaf => {
    const salt = salts[index]!;
    if (!isOpen(field.name)) return { leafHash: toBase64(leafHash(fieldLeaf(salt, field))) };
    const value = JSON.parse(new TextDecoder().decode(field.value)) as Json;
    return { name: field.name, value, salt: toBase64(salt) };
  });
}

/**
 * The 32-byte commitment that these leaves belong to.
 * @throws MalformedError on a salt or hash of another length, a value that no record can hold, and
 * opened fields that are not in the order of their names, each once
 */
export function commitmentOf(leaves: readonly Leaf[]): Uint8Array {
  if (leaves.length === 0 || leaves.length > MAX_LEAVES) {
    throw new MalformedError('a record without fields, or with more than a record has');
  }
  const range = CompactRange.empty();
  let before = '';
  for (const leaf of leaves) {
    if ('leafHash' in leaf) {
      range.append(parseHash(leaf.leafHash, 'the hash of a closed field'));
      continue;
    }
    if (leaf.name <= before) {
      throw new MalformedError(`the field ${leaf.name} out of its order, or twice`);
    }
    before = leaf.name;
    range.append(leafHash(fieldLeaf(saltOf(leaf), { name: leaf.name, value: valueBytes(leaf) })));
  }
  return range.root();
}

/** The values of the opened fields by name; believe them once `commitmentOf` gave the commitment. */
export function openedValues(leaves: readonly Leaf[]): Map<string, Json> {
  return new Map(leaves.flatMap((leaf) => ('leafHash' in leaf ? [] : [[leaf.name, leaf.value]])));
}

function saltOf({ name, salt }: OpenedField): Uint8Array {
  const bytes = fromBase64(salt);
  if (bytes.length !== SALT_BYTES) throw new MalformedError(`the salt of ${name} is not 32 bytes`);
  return bytes;
}

/** The value as the record spells it. */
function valueBytes({ name, value }: OpenedField): Uint8Array {
  try {
    return toUtf8(canonicalJson(value));
  } catch {
    throw new MalformedError(`the value of ${name} is none that a record can hold`);
  }
}
