import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { LimitOrder } from '../../src/market/call-auction.js';
import { priceSetters, type PricedSlot } from '../../src/market/price-setter.js';

const [FEED_IN, RETAIL] = [50_000, 300_000];

/** `A +900@120` sells 900 Wh from 0.12 on, `B -800` buys 800 Wh at the tariff. */
function slot(number: number, book: string[]): PricedSlot {
  const orders = book.map((line) => {
    const [, trader, sign, quantity, milli] = /^(\w+) ([+-])(\d+)(?:@(\d+))?$/.exec(line)!;
    const tariff = sign === '+' ? FEED_IN : RETAIL;
    const price = milli === undefined ? tariff : Number(milli) * 1000;
    const order: LimitOrder = { id: trader!, trader: trader!, price, quantity: Number(quantity) };
    return { sign, order };
  });
  const of = (side: string) => orders.filter(({ sign }) => sign === side).map(({ order }) => order);
  const name = `2026-06-01T${String(number).padStart(2, '0')}:00:00Z`;
  return {
    slot: name,
    bids: of('-'),
    asks: of('+'),
    kThousandths: 500,
    feedIn: FEED_IN,
    retail: RETAIL,
  };
}

/** The same book in so many hours, and another in the rest of twelve. */
const hours = (times: number, book: string[], rest: string[]) =>
  Array.from({ length: 12 }, (_, hour) => slot(hour, hour < times ? book : rest));

const brief = (slots: PricedSlot[]) =>
  priceSetters(slots).map(
    ({ severity, household, side, slots: set, tradedSlots, meanMoveMicroPerKwh }) =>
      `${severity}: ${household} ${side} in ${set.length} of ${tradedSlots}, by ${meanMoveMicroPerKwh}`,
  );

describe('who sets the price', () => {
  const AT_TARIFF = ['A +900', 'B +300', 'C -800'];
  /** Without B's limit, sun would be in excess and the price at the feed-in tariff. */
  const HELD_UP = ['A +500', 'B +900@200', 'C -800'];

  test('a seller whose limit alone keeps the price up, in a half of the slots', () => {
    expect(brief(hours(6, HELD_UP, AT_TARIFF))).toEqual(['warning: B ask in 6 of 12, by 150000']);
    const [alarm] = priceSetters(hours(6, HELD_UP, AT_TARIFF));
    expect(alarm!.residualBasisPoints).toBe(6250);
    expect(alarm!.slots[0]).toBe('2026-06-01T00:00:00Z');
  });

  test('a buyer whose limit alone keeps it down', () => {
    const held = ['A +500', 'B -400', 'C -900@100'];
    expect(brief(hours(6, held, AT_TARIFF))).toEqual(['warning: C bid in 6 of 12, by 200000']);
  });

  test('not in few slots, nor by little', () => {
    expect(brief(hours(5, HELD_UP, AT_TARIFF))).toEqual([]);
    expect(brief(hours(12, ['A +500', 'B +900@60', 'C -800'], AT_TARIFF))).toEqual([]);
  });

  test('not where another has the same limit: neither moves the price alone', () => {
    expect(brief(hours(12, ['A +500', 'B +900@200', 'D +900@200', 'C -800'], AT_TARIFF))).toEqual(
      [],
    );
  });

  test('not who is the only seller, or the last one needed, and takes any price', () => {
    expect(brief(hours(12, ['A +500', 'C -800'], AT_TARIFF))).toEqual([]);
    expect(brief(hours(12, ['A +500', 'B +300', 'C -800'], AT_TARIFF))).toEqual([]);
  });

  test('not who asks so much that it sells nothing', () => {
    expect(brief(hours(12, ['A +400', 'B +900@200', 'C -400'], AT_TARIFF))).toEqual([]);
  });

  test('never anybody on a street where all have the tariffs as limits', () => {
    const home = fc.record({ sells: fc.boolean(), quantity: fc.integer({ min: 1, max: 3000 }) });
    const day = fc.array(fc.array(home, { minLength: 2, maxLength: 8 }), {
      minLength: 12,
      maxLength: 12,
    });
    fc.assert(
      fc.property(day, (all) => {
        const slots = all.map((homes, hour) =>
          slot(
            hour,
            homes.map(({ sells, quantity }, index) => `h${index} ${sells ? '+' : '-'}${quantity}`),
          ),
        );
        expect(priceSetters(slots)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
