import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeReadings, readingHash, registersOf } from '../../src/metering/reading.js';
import { formatRegisterWh } from '../../src/units/energy.js';

const decode = (text: string) => decodeReadings(Buffer.from(text));

it('reads a single object, exactly and in UTC', () => {
  const { readings, rejections } = decode(
    '{"readAt":"2026-06-01T12:15:00.5+02:00","importWh":14737.142200,"exportWh":9007199254740993e-6,"powerW":-12.6}',
  );
  expect(rejections).toEqual([]);
  expect(readings).toEqual([
    {
      index: null,
      readAt: '2026-06-01T10:15:00.500Z',
      readAtMillis: Date.parse('2026-06-01T10:15:00.500Z'),
      importMicroWh: 14737142200n,
      exportMicroWh: 9007199254740993n,
      powerW: -13,
    },
  ]);
});

it('keeps the good readings of an array and names the bad ones by their index', () => {
  const { readings, rejections } = decode(
    `[{"readAt":"2026-06-01T10:00:00Z","importWh":1},
      {"readAt":"2026-06-01T10:15:00","importWh":2},
      {"readAt":"2026-06-01T10:15:00Z","importWh":-2},
      {"readAt":"2026-06-01T10:15:00Z","importWh":"2"},
      7, null, [],
      {"readAt":"2026-06-01T10:30:00Z","importWh":3,"exportWh":null}]`,
  );
  expect(readings.map(({ index }) => index)).toEqual([0, 7]);
  expect(rejections.map(({ reason }) => reason)).toEqual(Array(6).fill('malformed'));
  expect(rejections.map(({ detail }) => /^reading (\d)/.exec(detail)?.[1])).toEqual([...'123456']);
  expect(rejections[0]!.detail).toBe(
    'reading 1: readAt: not an RFC 3339 instant with a zone: 2026-06-01T10:15:00',
  );
});

it.each([
  ['', 'malformed'],
  ['{', 'malformed'],
  ['[]', 'malformed'],
  ['null', 'malformed'],
  ['12', 'malformed'],
  ['"text"', 'malformed'],
  ['{"readAt":"2026-02-31T00:00:00Z","importWh":1}', 'malformed'],
  ['{"readAt":"1969-12-31T00:00:00Z","importWh":1}', 'malformed'],
  ['{"readAt":20260601,"importWh":1}', 'malformed'],
  ['{"importWh":1}', 'malformed'],
  ['{"readAt":"2026-06-01T00:00:00Z","importWh":1e13}', 'malformed'],
  ['{"readAt":"2026-06-01T00:00:00Z","importWh":NaN}', 'malformed'],
  ['{"readAt":"2026-06-01T00:00:00Z","importWh":1,"importWh":2}', 'malformed'],
  ['{"readAt":"2026-06-01T00:00:00Z","importWh":1,"powerW":"much"}', 'malformed'],
  ['{"readAt":"2026-06-01T00:00:00Z","importWh":1,"powerW":1e300}', 'malformed'],
  ['{"__proto__":{"readAt":"2026-06-01T00:00:00Z","importWh":1}}', 'malformed'],
  ['[{"a":{"b":{"c":{}}}}]', 'malformed'],
  ['['.repeat(60_000), 'malformed'],
  [' '.repeat(65_537), 'too_large'],
  [`[${Array(1_001).fill('{}').join(',')}]`, 'too_large'],
])('refuses %.40j as %s', (text, reason) => {
  const { readings, rejections } = decode(text);
  expect(readings).toEqual([]);
  expect(rejections.map((rejection) => rejection.reason)).toEqual([reason]);
});

it('refuses bytes that are no text', () => {
  expect(decodeReadings(Buffer.from([0x7b, 0xff])).rejections).toEqual([
    { reason: 'malformed', detail: 'not UTF-8' },
  ]);
});

it('survives any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      decodeReadings(Buffer.from(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.json(), (text) => {
      const { readings, rejections } = decode(text);
      expect(readings.length + rejections.length).toBeGreaterThan(0);
    }),
  );
});

it('reads every register value exactly', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 18n - 1n), (microWh) => {
      const value = formatRegisterWh(microWh);
      const { readings } = decode(`{"readAt":"2026-06-01T00:00:00Z","importWh":${value}}`);
      expect(readings[0]!.importMicroWh).toBe(microWh);
    }),
  );
});

it.each([
  ['grid', 1n, null, ['import']],
  ['grid', 1n, 2n, ['import', 'export']],
  ['grid', null, 2n, ['export']],
  ['grid', null, null, 'register_missing'],
  ['generation', 1n, 2n, ['export']],
  ['generation', 1n, null, 'register_missing'],
  ['storage', 1n, null, ['import']],
  ['storage', 1n, 2n, ['import', 'export']],
] as const)('a %s meter sending %s and %s', (role, importMicroWh, exportMicroWh, expected) => {
  const registers = registersOf(role, { importMicroWh, exportMicroWh });
  const seen = Array.isArray(registers)
    ? registers.map(({ register }) => register)
    : 'reason' in registers && registers.reason;
  expect(seen).toEqual(expected);
});

it('names a reading by a hash of its canonical value', () => {
  const hash = readingHash('m1', '2026-06-01T10:15:00Z', 'import', 14737142200n);
  // SHA-256 of {"meter":"m1","readAt":"2026-06-01T10:15:00Z","register":"import","valueWh":"14737.1422"}
  expect(hash).toBe('43ccd44f9b69942da1f21be3c29029147e654fce6dd09b973eba83695fb21ff5');
});
