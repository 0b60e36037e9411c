import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { proRata, ration } from '../../src/market/rationing.js';
import { RATIONINGS, type Rationing } from '../../src/parties/microgrid.js';
import { largestRemainder } from '../../src/units/integer.js';

const wanted = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 });
/** Something to share, never more than is wanted. */
const scarcity = wanted
  .filter((quantities) => quantities.some((quantity) => quantity > 0))
  .chain((quantities) =>
    fc.record({
      quantities: fc.constant(quantities),
      total: fc.integer({ min: 0, max: quantities.reduce((sum, quantity) => sum + quantity, 0) }),
      arrivals: fc.array(fc.integer({ min: 0, max: 4 }), {
        minLength: quantities.length,
        maxLength: quantities.length,
      }),
    }),
  );

describe('scarcity on a street', () => {
  // Who wanted what, in order of id, when they came, and who gets how much of 10.
  const table: [Rationing, number[], number[], number[]][] = [
    ['time', [6, 6, 6], [3, 1, 2], [0, 6, 4]],
    ['time', [6, 6, 6], [1, 1, 1], [6, 4, 0]],
    ['pro-rata', [6, 6, 6], [3, 1, 2], [4, 3, 3]],
    ['pro-rata', [2, 10, 8], [], [1, 5, 4]],
    ['max-min', [2, 10, 8], [], [2, 4, 4]],
    ['max-min', [1, 10, 8], [], [1, 5, 4]],
    ['max-min', [3, 3, 4], [], [3, 3, 4]],
  ];
  test.each(table)('%s: %j, arrivals %j: %j', (rule, quantities, arrivals, shares) => {
    expect(ration(rule, 10, quantities, arrivals)).toEqual(shares);
  });
});

describe.each(RATIONINGS)('%s', (rule) => {
  test('gives away all there is, and nobody more than it wanted', () => {
    fc.assert(
      fc.property(scarcity, ({ total, quantities, arrivals }) => {
        const shares = ration(rule, total, quantities, arrivals);
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(total);
        shares.forEach((share, index) => {
          expect(share).toBeGreaterThanOrEqual(0);
          expect(share).toBeLessThanOrEqual(quantities[index]!);
        });
      }),
    );
  });
});

test('equal shares are those of handing out unit by unit to whoever has least and wants more', () => {
  fc.assert(
    fc.property(scarcity, ({ total, quantities }) => {
      const naive = quantities.map(() => 0);
      for (let unit = 0; unit < total; unit += 1) {
        const open = [...naive.keys()].filter((index) => naive[index]! < quantities[index]!);
        const least = Math.min(...open.map((index) => naive[index]!));
        naive[open.find((index) => naive[index] === least)!]! += 1;
      }
      expect(ration('max-min', total, quantities)).toEqual(naive);
    }),
  );
});

test('shares in proportion are those of the exact largest remainder, also beyond 2^53', () => {
  const huge = fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.oneof(wanted, huge), fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
      const sum = all.reduce((total, quantity) => total + quantity, 0);
      const total = Math.min(Math.floor(part * sum), Number.MAX_SAFE_INTEGER);
      if (sum === 0 || total > sum) return;
      expect(proRata(total, all)).toEqual(largestRemainder(total, all));
    }),
  );
});

test('who came first is served first', () => {
  fc.assert(
    fc.property(scarcity, ({ total, quantities, arrivals }) => {
      const shares = ration('time', total, quantities, arrivals);
      shares.forEach((share, late) => {
        if (share === 0) return;
        arrivals.forEach((arrival, early) => {
          if (arrival < arrivals[late]!) expect(shares[early]).toBe(quantities[early]);
        });
      });
    }),
  );
});

test('more than is wanted cannot be shared', () => {
  expect(() => ration('time', 3, [1, 1])).toThrow(RangeError);
  expect(() => ration('max-min', 3, [1, 1])).toThrow(RangeError);
});
