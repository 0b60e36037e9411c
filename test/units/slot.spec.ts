import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatInstant, parseInstant, readInstant } from '../../src/units/slot.js';

const seconds = fc
  .integer({ min: Date.UTC(1000, 0, 1) / 1_000, max: Date.UTC(9999, 11, 31) / 1_000 })
  .map((second) => 1_000 * second);

it('reads canonical text as the engine does', () => {
  fc.assert(
    fc.property(seconds, (millis) => {
      const text = formatInstant(millis);
      expect(parseInstant(text)).toBe(millis);
      expect(readInstant(text)).toEqual({ instant: text, millis });
    }),
    { numRuns: 2_000 },
  );
});

it('takes no instant that the engine does not know, and none that is no day', () => {
  const part = (most: number) => fc.nat(most).map((value) => String(value).padStart(2, '0'));
  const text = fc
    .tuple(
      fc.constantFrom('2026', '2024', '0026', '20x6'),
      part(14),
      part(33),
      part(26),
      part(62),
      part(62),
    )
    .map(([year, month, day, ...time]) => `${year}-${month}-${day}T${time.join(':')}Z`);
  fc.assert(
    fc.property(text, (instant) => {
      const millis = Date.parse(instant);
      const isDay =
        new Date(millis - (instant.includes('T24:') ? 1 : 0)).getUTCDate() ===
        Number(instant.slice(8, 10));
      if (Number.isNaN(millis) || !isDay) expect(() => parseInstant(instant)).toThrow(RangeError);
      else expect(readInstant(instant)).toEqual({ instant: formatInstant(millis), millis });
    }),
    { numRuns: 5_000 },
  );
});

it.each([
  ['2026-06-01T12:15:00+02:00', '2026-06-01T10:15:00Z'],
  ['2026-06-01t10:15:00z', '2026-06-01T10:15:00Z'],
  ['2026-06-01T10:15:00.000Z', '2026-06-01T10:15:00Z'],
  ['2026-06-01T10:15:00.25Z', '2026-06-01T10:15:00.250Z'],
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
  ['2026-06-01T24:00:00Z', '2026-06-02T00:00:00Z'],
])('reads %s as %s', (text, canonical) => {
  expect(readInstant(text)).toEqual({ instant: canonical, millis: Date.parse(canonical) });
});

it.each([
  '2026-02-29T00:00:00Z',
  '2026-06-31T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-06-01T10:15:00',
  '2026-06-01 10:15:00Z',
  '2026-06-01T10:15:60Z',
])('refuses %s', (text) => {
  expect(() => parseInstant(text)).toThrow(RangeError);
});
