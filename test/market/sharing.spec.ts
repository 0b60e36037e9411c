import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  share,
  sharingPrices,
  ALL_SHARING_KEYS,
  type GivenTo,
  type SharingInput,
  type SharingPricing,
} from '../../src/market/sharing.js';
import { largestRemainder } from '../../src/units/integer.js';

const sum = (all: readonly number[]) => all.reduce((total, each) => total + each, 0);

describe('a street with a roof of 900 Wh and a roof of 300 Wh', () => {
  const supply = [
    { id: 'roof-1', quantity: 900 },
    { id: 'roof-2', quantity: 300 },
  ];
  const needs = (...rows: [id: string, quantity: number, key?: number][]) =>
    rows.map(([id, quantity, key]) =>
      key === undefined ? { id, quantity } : { id, quantity, key },
    );
  const table: [string, Omit<SharingInput, 'supply'>, number[], number[]][] = [
    [
      'static keeps the parts, whoever needs more',
      { key: 'static', demand: needs(['a', 1000, 1], ['b', 500, 1]) },
      [600, 500],
      [825, 275],
    ],
    [
      'static parts of a larger whole leave the rest',
      { key: 'static', keyTotal: 1000, demand: needs(['a', 1000, 400], ['b', 500, 100]) },
      [480, 120],
      [450, 150],
    ],
    [
      'dynamic goes by need',
      { key: 'dynamic', demand: needs(['a', 1000], ['b', 500]) },
      [800, 400],
      [900, 300],
    ],
    [
      'hybrid shares what static parts leave',
      { key: 'hybrid', demand: needs(['a', 1000, 1], ['b', 500, 1]) },
      [700, 500],
      [900, 300],
    ],
    [
      'cascade serves the first group first',
      { key: 'cascade', demand: needs(['a', 1000, 2], ['b', 500, 1], ['c', 1400, 2]) },
      [292, 500, 408],
      [900, 300],
    ],
    [
      'equal fills the small needs',
      { key: 'equal', demand: needs(['a', 1000], ['b', 100], ['c', 1400]) },
      [550, 100, 550],
      [900, 300],
    ],
    [
      'a matrix follows each roof',
      {
        key: 'matrix',
        demand: needs(['a', 500], ['b', 700]),
        matrix: [
          { from: 'roof-1', to: 'a', key: 2 },
          { from: 'roof-1', to: 'b', key: 1 },
          { from: 'roof-2', to: 'b', key: 5 },
        ],
      },
      [500, 600],
      [800, 300],
    ],
    [
      'a roof uses its own first',
      { key: 'dynamic', demand: needs(['roof-1', 1000], ['b', 500]) },
      [50, 250],
      [0, 300],
    ],
  ];
  test.each(table)('%s', (_, input, received, given) => {
    const shared = share({ supply, ...input });
    expect(shared.received).toEqual(received);
    expect(shared.given).toEqual(given);
  });

  test('names who is not there', () => {
    const matrix = [{ from: 'roof-3', to: 'a', key: 1 }];
    expect(() => share({ supply, demand: needs(['a', 1]), key: 'matrix', matrix })).toThrow(
      'roof-3',
    );
  });
});

const member = fc.nat({ max: 30 });
const slot = fc
  .record({
    key: fc.constantFrom(...ALL_SHARING_KEYS),
    supply: fc.array(member, { maxLength: 5 }),
    demand: fc.array(fc.record({ quantity: member, key: fc.nat({ max: 4 }) }), { maxLength: 7 }),
    weights: fc.array(fc.nat({ max: 3 }), { minLength: 35, maxLength: 35 }),
    // Now and then somebody is on both sides.
    shared: fc.nat({ max: 3 }),
  })
  .map(({ key, supply, demand, weights, shared }): SharingInput & { matrix: GivenTo[] } => {
    const demandId = (row: number) => (row < shared ? `s${row}` : `d${row}`);
    return {
      key,
      supply: supply.map((quantity, row) => ({ id: `s${row}`, quantity })),
      demand: demand.map((one, row) => ({ id: demandId(row), ...one })),
      matrix: supply.flatMap((_, from) =>
        demand.flatMap((__, to) =>
          demandId(to) === `s${from}`
            ? []
            : [{ from: `s${from}`, to: demandId(to), key: weights[from * 7 + to]! }],
        ),
      ),
    };
  });

describe('whatever the key', () => {
  test('nobody gets more than it needs or gives more than it has, and what is given is received', () => {
    fc.assert(
      fc.property(slot, (input) => {
        const { given, received, ownUse, volume, pairs } = share(input);
        const own = (id: string) => ownUse.get(id) ?? 0;
        input.supply.forEach(({ id, quantity }, row) => {
          expect(given[row]! + own(id)).toBeLessThanOrEqual(quantity);
        });
        input.demand.forEach(({ id, quantity }, row) => {
          expect(received[row]! + own(id)).toBeLessThanOrEqual(quantity);
        });
        expect([sum(given), sum(received), sum(pairs.map(({ quantity }) => quantity))]).toEqual([
          volume,
          volume,
          volume,
        ]);
        for (const { from, to, quantity } of pairs) {
          expect(from).not.toBe(to);
          expect(quantity).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('but static and matrix, everything that is needed and there is shared', () => {
    fc.assert(
      fc.property(slot, (input) => {
        if (input.key === 'static' || input.key === 'matrix') return;
        const { volume, ownUse } = share(input);
        const own = sum([...ownUse.values()]);
        const total = (rows: readonly { quantity: number }[]) =>
          sum(rows.map(({ quantity }) => quantity)) - own;
        expect(volume).toBe(Math.min(total(input.supply), total(input.demand)));
      }),
      { numRuns: 500 },
    );
  });

  test('the order of the rows does not matter', () => {
    fc.assert(
      fc.property(slot, (input) => {
        const byId = (rows: readonly { id: string }[], parts: readonly number[]) =>
          rows.map(({ id }, row) => `${id} ${parts[row]}`).sort();
        const turned = {
          ...input,
          supply: input.supply.toReversed(),
          demand: input.demand.toReversed(),
          matrix: input.matrix.toReversed(),
        };
        const [one, other] = [share(input), share(turned)];
        expect(byId(turned.supply, other.given)).toEqual(byId(input.supply, one.given));
        expect(byId(turned.demand, other.received)).toEqual(byId(input.demand, one.received));
      }),
    );
  });

  test('dynamic parts are those of the largest remainder', () => {
    fc.assert(
      fc.property(slot, (input) => {
        const demand = input.demand.filter(({ id }) => id.startsWith('d'));
        const shared = share({ ...input, demand, key: 'dynamic' });
        const needs = demand.map(({ quantity }) => quantity);
        expect(shared.received).toEqual(largestRemainder(shared.volume, needs));
      }),
    );
  });
});

describe('the price of what is shared', () => {
  const tariffs = { retail: 30, feedIn: 10 };
  // Rule, supply, demand, and then what is shared, bought and sold on the mean.
  const table: [SharingPricing, number, number, [number, number, number]][] = [
    ['mid-market', 100, 60, [20, 20, 16]],
    ['mid-market', 60, 100, [20, 24, 20]],
    ['supply-demand-ratio', 100, 60, [10, 10, 10]],
    ['supply-demand-ratio', 50, 100, [15, 22, 15]],
    ['supply-demand-ratio', 0, 100, [30, 30, 30]],
    ['bill-sharing', 60, 100, [0, 12, 0]],
    ['bill-sharing', 100, 60, [0, 0, 4]],
    ['fixed', 60, 100, [12, 19, 12]],
  ];
  test.each(table)('%s, %i for %i: %j', (pricing, supply, demand, expected) => {
    const rule = { pricing, ...tariffs, price: 12 };
    const prices = sharingPrices(rule, supply, demand, Math.min(supply, demand));
    expect([prices.shared, prices.buy, prices.sell]).toEqual(expected);
  });

  test('never makes a member worse off than its tariff, where it lies between the tariffs', () => {
    const pricing = fc.constantFrom<SharingPricing>('mid-market', 'supply-demand-ratio');
    const energy = fc.nat({ max: 1_000_000 });
    fc.assert(
      fc.property(pricing, energy, energy, fc.nat(), fc.nat(), (rule, supply, demand, a, b) => {
        const prices = { retail: Math.max(a, b), feedIn: Math.min(a, b) };
        const { shared } = sharingPrices(
          { pricing: rule, ...prices },
          supply,
          demand,
          Math.min(supply, demand),
        );
        expect(shared).toBeGreaterThanOrEqual(prices.feedIn);
        expect(shared).toBeLessThanOrEqual(prices.retail);
      }),
    );
  });
});
