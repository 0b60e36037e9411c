import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  commitmentOf,
  LEAVES,
  openedValues,
  openRecord,
  type Leaf,
  type OpenedField,
} from '../../src/ledger/opening.js';
import { commitment, fieldSalts, recordFields } from '../../src/ledger/record.js';
import { recordBody, type RecordBody } from '../../src/ledger/record.js';
import { canonicalJson, type Json } from '../../src/units/canonical-json.js';

/** A record opened in part: the leaves lead to the commitment, and to no other. */

const KEY = Uint8Array.from({ length: 32 }, (_, at) => at);

function bodyWith(facts: Record<string, Json>): RecordBody {
  const draft = {
    kind: 'trade' as const,
    at: '2026-06-01T10:15:00Z',
    cause: 'slot/2026-06-01T10:00:00Z/trade/1',
    keyHolder: '',
    households: ['A', 'B'],
    facts,
    transfers: [],
  };
  return recordBody('street', 7, draft);
}

const BODY = bodyWith({ energyWh: 800, buyer: 'B', seller: 'A', note: null, claimed: [{ wh: 1 }] });

const FACTS = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc.oneof(fc.maxSafeInteger(), fc.string(), fc.constant(null), fc.array(fc.maxSafeInteger())),
  { maxKeys: 20 },
);

describe('a record opened in part', () => {
  test('leads to its commitment whichever fields are open, and to that of a naive root', () => {
    fc.assert(
      fc.property(FACTS, fc.infiniteStream(fc.boolean()), (facts, choice) => {
        const body = bodyWith(facts);
        const chosen = new Set(
          recordFields(body)
            .map(({ name }) => name)
            .filter(() => choice.next().value),
        );
        const leaves = LEAVES.parse(
          JSON.parse(JSON.stringify(openRecord(KEY, body, (name) => chosen.has(name)))),
        );
        expect(hex(commitmentOf(leaves))).toBe(hex(commitment(KEY, body)));
        expect(hex(naiveRoot(leaves.map(naiveLeaf)))).toBe(hex(commitment(KEY, body)));
        expect([...openedValues(leaves).keys()]).toEqual([...chosen]);
      }),
      { numRuns: 200 },
    );
  });

  test('shows the values as they are', () => {
    const values = openedValues(openRecord(KEY, BODY, (name) => name.startsWith('facts.')));
    expect(Object.fromEntries(values)).toEqual({
      'facts.buyer': 'B',
      'facts.claimed': [{ wh: 1 }],
      'facts.energyWh': 800,
      'facts.note': null,
      'facts.seller': 'A',
    });
  });

  const open = (name: string) => ['facts.buyer', 'facts.energyWh', 'kind'].includes(name);

  const TAMPERED: [string, (leaves: Leaf[]) => Leaf[]][] = [
    ['another value', (all) => changed(all, { value: 801 })],
    ['the same number as text', (all) => changed(all, { value: '800' })],
    ['another name', (all) => changed(all, { name: 'facts.energyWi' })],
    ['another salt', (all) => changed(all, { salt: flipped(fieldOf(all).salt) })],
    ['another closed hash', (all) => all.map((leaf) => ('leafHash' in leaf ? closed(leaf) : leaf))],
    ['a leaf left out', (all) => all.slice(1)],
    ['a leaf twice', (all) => [all[0]!, ...all]],
    ['two closed leaves exchanged', (all) => exchanged(all, ...closedPlaces(all))],
    ['all of it turned round', (all) => [...all].reverse()],
  ];
  test.each(TAMPERED)('is no longer it with %s', (_, tamper) => {
    const leaves = tamper(openRecord(KEY, BODY, open));
    expect(rootOrFault(leaves)).not.toBe(hex(commitment(KEY, BODY)));
  });

  const REFUSED: [string, (leaves: Leaf[]) => Leaf[], string][] = [
    ['no leaf', () => [], 'without fields'],
    ['a salt cut short', (all) => changed(all, { salt: 'AAAA' }), 'salt of facts.energyWh'],
    ['a salt that is no base64', (all) => changed(all, { salt: '!' }), 'base64'],
    ['a fraction', (all) => changed(all, { value: 0.5 }), 'value of facts.energyWh'],
    ['a hash cut short', (all) => [{ leafHash: 'AAAA' }, ...all], 'closed field'],
    ['a name twice', (all) => [...all, all.find((leaf) => 'name' in leaf)!], 'order, or twice'],
  ];
  test.each(REFUSED)('is refused with %s', (_, tamper, message) => {
    expect(() => commitmentOf(tamper(openRecord(KEY, BODY, open)))).toThrow(message);
  });

  test('is refused with any member more or less', () => {
    for (const leaf of [{ name: 'v', value: 1 }, { leafHash: 'x', name: 'v' }, {}, null]) {
      expect(LEAVES.safeParse([leaf]).success).toBe(false);
    }
  });

  test('keeps closed what is closed: opened salts are not the keys of others', () => {
    const leaves = openRecord(KEY, BODY, (name) => name !== 'facts.energyWh');
    const names = recordFields(BODY).map(({ name }) => name);
    const secret = fieldSalts(KEY, BODY.sequence, names)[names.indexOf('facts.energyWh')]!;
    const hidden = leaves.find((leaf) => 'leafHash' in leaf)!;
    const text = JSON.stringify(leaves);
    expect(text).not.toContain(Buffer.from(secret).toString('base64'));
    // Every energy there may be, under every salt that the opening shows: none fits the closed leaf.
    const salts = leaves.flatMap((leaf) => ('leafHash' in leaf ? [] : [leaf.salt]));
    const guesses = [...salts, Buffer.alloc(32).toString('base64')].flatMap((salt) =>
      [799, 800, 801].map((value) => naiveLeaf({ name: 'facts.energyWh', value, salt })),
    );
    const found = guesses.some((guess) => guess.toString('base64') === hidden.leafHash);
    expect(found).toBe(false);
    expect(new Set(salts).size).toBe(salts.length);
  });
});

function fieldOf(leaves: readonly Leaf[]): OpenedField {
  return leaves.find((leaf) => 'name' in leaf && leaf.name === 'facts.energyWh') as OpenedField;
}

function changed(leaves: readonly Leaf[], change: Partial<OpenedField>): Leaf[] {
  const field = fieldOf(leaves);
  return leaves.map((leaf) => (leaf === field ? { ...field, ...change } : leaf));
}

function closed({ leafHash }: { leafHash: string }): Leaf {
  return { leafHash: flipped(leafHash) };
}

function closedPlaces(leaves: readonly Leaf[]): [number, number] {
  const places = leaves.flatMap((leaf, at) => ('leafHash' in leaf ? [at] : []));
  return [places[0]!, places[1]!];
}

function exchanged(leaves: readonly Leaf[], a: number, b: number): Leaf[] {
  return leaves.map((leaf, at) => (at === a ? leaves[b]! : at === b ? leaves[a]! : leaf));
}

function flipped(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  bytes[5]! ^= 1;
  return bytes.toString('base64');
}

function rootOrFault(leaves: Leaf[]): string {
  try {
    return hex(commitmentOf(leaves));
  } catch (error) {
    return String(error);
  }
}

/** A leaf's hash as the format says it, with nothing of ours but the canonical JSON. */
function naiveLeaf(leaf: Leaf): Buffer {
  if ('leafHash' in leaf) return Buffer.from(leaf.leafHash, 'base64');
  const name = Buffer.from(leaf.name);
  const value = Buffer.from(canonicalJson(leaf.value));
  const [two, four] = [Buffer.alloc(2), Buffer.alloc(4)];
  two.writeUInt16BE(name.length);
  four.writeUInt32BE(value.length);
  return sha256(Buffer.of(0), Buffer.from(leaf.salt, 'base64'), two, name, four, value);
}

/** RFC 9162 2.1.1 as it is written there. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

function sha256(...parts: Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
