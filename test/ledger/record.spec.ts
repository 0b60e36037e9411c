import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  causeHash,
  commitment,
  fieldLeaf,
  fieldSalts,
  logEntry,
  recordBody,
  recordBytes,
  recordFields,
  sealRecord,
  transferId,
  type RecordBody,
  type RecordDraft,
  type Standing,
} from '../../src/ledger/record.js';
import { leafHash, nodeHash } from '../../src/transparency/merkle-tree.js';
import type { Json } from '../../src/units/canonical-json.js';

/**
 * What a record's bytes, ids and commitment are: computed once by another program from the format
 * alone. They stand in logs, and must never be others.
 */

const DRAFT: RecordDraft = {
  kind: 'trade',
  at: '2026-06-01T10:15:00Z',
  cause: 'slot/2026-06-01T10:00:00Z/trade/1',
  keyHolder: '',
  households: ['B', 'A', 'B'],
  facts: { slot: '2026-06-01T10:00:00Z', energyWh: 800, seller: 'A', buyer: 'B', note: null },
  transfers: [
    {
      debit: 'household/B/wallet',
      credit: 'household/A/wallet',
      asset: 'EUR',
      amount: 96_000,
      code: 'trade',
    },
    {
      debit: 'household/B/wallet',
      credit: 'system/market',
      asset: 'EUR',
      amount: 0,
      code: 'trade-hold',
      state: 'void',
      pendingId: '00112233445566778899aabbccddeeff',
    },
  ],
};
const OPENS = [{ account: 'household/B/wallet', limited: true, creditLimit: 5_000_000 }];
const STANDING: Standing = {
  opens: OPENS,
  versions: { 'household/B/wallet': 4, 'household/A/wallet': 12, 'system/market': 9 },
  numbers: { A: 31, B: 5 },
};
const BODY = recordBody('street', 7, DRAFT, STANDING);
/** As records were written before they counted accounts and households. */
const BODY_V1 = Object.fromEntries(
  Object.entries({ ...BODY, v: 1 }).filter(([name]) => name !== 'versions' && name !== 'numbers'),
) as RecordBody;

const BYTES_V1 =
  '{"at":"2026-06-01T10:15:00Z","cause":"slot/2026-06-01T10:00:00Z/trade/1","facts":{"buyer":"B",' +
  '"energyWh":800,"note":null,"seller":"A","slot":"2026-06-01T10:00:00Z"},"households":["A","B"],' +
  '"kind":"trade","microgrid":"street","opens":[{"account":"household/B/wallet",' +
  '"creditLimit":5000000,"limited":true}],"sequence":7,"transfers":[{"amount":96000,' +
  '"asset":"EUR","code":"trade","credit":"household/A/wallet","debit":"household/B/wallet",' +
  '"id":"457dc8e58619cd2690de9f3093285e35","state":"posted"},{"amount":0,"asset":"EUR",' +
  '"code":"trade-hold","credit":"system/market","debit":"household/B/wallet",' +
  '"id":"d5d45e3eb108152c9ad2213dfb6ffa81","pending":"00112233445566778899aabbccddeeff",' +
  '"state":"void"}],"v":1}';
const BYTES = BYTES_V1.replace('"opens"', '"numbers":{"A":31,"B":5},"opens"').replace(
  '"v":1}',
  '"v":2,"versions":{"household/A/wallet":12,"household/B/wallet":4,"system/market":9}}',
);

const NO_KEY = new Uint8Array(32);
const OTHER_KEY = new Uint8Array(32).fill(1);

describe('the bytes of a record', () => {
  test('are the same wherever and whenever it is written', () => {
    expect(Buffer.from(recordBytes(BODY)).toString()).toBe(BYTES);
    expect(createHash('sha256').update(recordBytes(BODY)).digest('hex')).toBe(
      'c78af1182411cfdfd654e629364942608ae10ec915d8989c4f7c90c330581a25',
    );
    expect(Buffer.from(recordBytes(BODY_V1)).toString()).toBe(BYTES_V1);
    expect(createHash('sha256').update(recordBytes(BODY_V1)).digest('hex')).toBe(
      'c387221b4e916f7a450fc49c39dc8bf070c017a8ad0bc2c5e99897fd9afb9194',
    );
  });

  test('do not depend on the order in which members were given', () => {
    const turned = Object.fromEntries(Object.entries(DRAFT.facts).reverse());
    const body = recordBody(
      'street',
      7,
      { ...DRAFT, households: ['A', 'B'], facts: turned },
      STANDING,
    );
    expect(recordBytes(body)).toEqual(recordBytes(BODY));
  });

  test('hold no fraction, no NaN and nothing undefined', () => {
    for (const value of [0.5, Number.NaN, 2 ** 53, undefined as unknown as Json]) {
      const body = recordBody('street', 7, { ...DRAFT, facts: { value } });
      expect(() => recordBytes(body)).toThrow(RangeError);
    }
  });

  test('name transfers and causes by hashes of where they stand', () => {
    expect(transferId('street', DRAFT.cause, 1)).toBe('d5d45e3eb108152c9ad2213dfb6ffa81');
    expect(Buffer.from(causeHash('street', DRAFT.cause)).toString('hex')).toBe(
      '02b54825956f3d71733c8252f7cd8f48da41da2ede4ee3d1a7563de63bdf754e',
    );
    const ids = [
      transferId('street', DRAFT.cause, 0),
      transferId('street', DRAFT.cause, 1),
      transferId('avenue', DRAFT.cause, 0),
      transferId('street', 'another', 0),
    ];
    expect(new Set(ids).size).toBe(4);
  });
});

describe('the commitment to a record', () => {
  test('is the same for the same key, another for another one', () => {
    expect(hexOf(commitment(NO_KEY, BODY))).toBe(
      '7f72b291e7a65b46f08601b7cb0ea5d7041a5be3f1bc539c4a754ab34c2cad15',
    );
    expect(hexOf(commitment(OTHER_KEY, BODY))).toBe(
      '26feede34ede49c66a844ae5910d96156059b6041a19cf07c521bcc7d517ed3d',
    );
    expect(hexOf(logEntry(commitment(NO_KEY, BODY)))).toMatch(/^017f72b291.{56}$/);
    expect(hexOf(commitment(NO_KEY, BODY_V1))).toBe(
      '5e8f548e828eb3a6b5442604b970a3a54710539ef6ec91d40b9573d67d0826b6',
    );
    expect(hexOf(commitment(OTHER_KEY, BODY_V1))).toBe(
      '15d2657ca7ffbf4f97395b1f9f3f75a31a06361f81a2cee55b664620e7c630a0',
    );
  });

  test('comes with the bytes at the price of one serialisation', () => {
    for (const body of [BODY, BODY_V1, { ...BODY, facts: {}, versions: {}, numbers: {} }]) {
      const sealed = sealRecord(OTHER_KEY, body);
      expect(hexOf(sealed.bytes)).toBe(hexOf(recordBytes(body)));
      expect(hexOf(sealed.commitment)).toBe(hexOf(commitment(OTHER_KEY, body)));
    }
  });

  test('is over every member, fact, version and number, sorted by name', () => {
    expect(recordFields(BODY).map(({ name }) => name)).toEqual([
      'at',
      'cause',
      'facts.buyer',
      'facts.energyWh',
      'facts.note',
      'facts.seller',
      'facts.slot',
      'households',
      'kind',
      'microgrid',
      'numbers.A',
      'numbers.B',
      'opens',
      'sequence',
      'transfers',
      'v',
      'versions.household/A/wallet',
      'versions.household/B/wallet',
      'versions.system/market',
    ]);
  });

  test('changes with every single field', () => {
    const changed: Partial<RecordBody>[] = [
      { microgrid: 'avenue' },
      { sequence: 8 },
      { kind: 'gate' },
      { at: '2026-06-01T10:15:01Z' },
      { cause: `${DRAFT.cause}0` },
      { households: ['A'] },
      { opens: [] },
      { versions: { ...STANDING.versions, 'system/market': 10 } },
      { versions: {} },
      { numbers: { A: 31, B: 6 } },
      { numbers: { A: 31 } },
      { facts: { ...BODY.facts, energyWh: 801 } },
      { facts: { ...BODY.facts, more: 1 } },
      { facts: { ...BODY.facts, seller: 'B', buyer: 'A' } },
      { transfers: BODY.transfers.slice(0, 1) },
      { transfers: [...BODY.transfers].reverse() },
      { transfers: BODY.transfers.map((one) => ({ ...one, amount: one.amount + 1 })) },
    ];
    const commitments = [BODY, ...changed.map((change) => ({ ...BODY, ...change }))].map((body) =>
      hexOf(commitment(NO_KEY, body)),
    );
    expect(new Set(commitments).size).toBe(commitments.length);
  });

  test('changes with any fact, whatever the facts are', () => {
    const facts = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.integer(), { maxKeys: 5 });
    fc.assert(
      fc.property(facts, facts, (one, two) => {
        const [a, b] = [one, two].map((each) =>
          hexOf(commitment(NO_KEY, { ...BODY, facts: each })),
        );
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(two));
        expect(a === b).toBe(same);
      }),
      { numRuns: 100 },
    );
  });

  test('lets one field be opened alone: its salt and the hashes beside it lead to the root', () => {
    const names = recordFields(BODY).map(({ name }) => name);
    const salts = fieldSalts(NO_KEY, BODY.sequence, names);
    const leaves = recordFields(BODY).map((field, at) => leafHash(fieldLeaf(salts[at]!, field)));
    expect(new Set(salts.map(hexOf)).size).toBe(names.length);
    expect(hexOf(rootOf(leaves))).toBe(hexOf(commitment(NO_KEY, BODY)));
    // The same field of another record has another salt.
    expect(hexOf(fieldSalts(NO_KEY, 8, names)[0]!)).not.toBe(hexOf(salts[0]!));
  });
});

/** RFC 9162 2.1.1 as it is written there. */
function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function sorted(facts: Record<string, number>): [string, number][] {
  return Object.entries(facts)
    .map(([name, value]): [string, number] => [name, value + 0])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
