import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { inOrderOfId, rowsByKey } from '../../src/market/canonical-order.js';

const named = (ids: readonly string[]) => ids.map((id) => ({ id }));
const idsOf = (orders: readonly { id: string }[]) => orders.map(({ id }) => id);

// Shared beginnings, one id the beginning of another, and every UTF-16 code unit there is.
const id = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.string({ unit: fc.constantFrom('a', 'b', '\u0000', '\uffff', '\ud800'), maxLength: 6 }),
  fc.integer({ min: 0, max: 3000 }).map((number) => `street-of-many-houses/h${number}`),
);

describe('the canonical order', () => {
  test('is that of the code units, whatever the ids', () => {
    fc.assert(
      fc.property(fc.uniqueArray(id, { maxLength: 60 }), (ids) => {
        expect(idsOf(inOrderOfId(named(ids)))).toEqual([...ids].sort());
      }),
      { numRuns: 2000 },
    );
  });

  test('holds for thousands of rows that share their beginning', () => {
    const ids = Array.from({ length: 5000 }, (_, row) => `h${(row * 7919) % 5003}`);
    expect(idsOf(inOrderOfId(named(ids)))).toEqual([...ids].sort());
  });

  test('knows no id twice', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(id, { minLength: 1, maxLength: 30 }),
        fc.nat(),
        fc.nat(),
        (ids, from, to) => {
          const twice = ids.toSpliced(to % (ids.length + 1), 0, ids[from % ids.length]!);
          expect(() => inOrderOfId(named(twice))).toThrow('twice');
        },
      ),
    );
  });
});

test('rows are sorted by key and then as they come, also where keys fill a number', () => {
  const key = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger());
  fc.assert(
    fc.property(fc.array(key, { maxLength: 40 }), (keys) => {
      const expected = keys.map((_, row) => row).sort((a, b) => keys[a]! - keys[b]! || a - b);
      expect([...rowsByKey(Float64Array.from(keys))]).toEqual(expected);
    }),
  );
});
