import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  callAuction,
  type Ask,
  type Bid,
  type CallAuctionResult,
} from '../../src/market/call-auction.js';
import { largestRemainder } from '../../src/units/integer.js';
import { bruteForceWelfare, naiveAuction } from './naive-auction.js';

const order = (maxPrice: number, maxQuantity: number) =>
  fc.record({
    price: fc.integer({ min: 0, max: maxPrice }),
    quantity: fc.integer({ min: 0, max: maxQuantity }),
    trader: fc.integer({ min: 0, max: 5 }),
  });

/** Few prices, so that ties are the rule; ids in no relation to the order of the rows. */
function book(maxOrders = 9, maxPrice = 7, maxQuantity = 6) {
  const side = fc.array(order(maxPrice, maxQuantity), { maxLength: maxOrders });
  return fc.record({ bids: side, asks: side, k: fc.integer({ min: 0, max: 1000 }) }).map((one) => ({
    bids: named(one.bids, 'buyer', 'b'),
    asks: named(one.asks, 'seller', 'a'),
    kThousandths: one.k,
  }));
}

function named(
  rows: readonly { price: number; quantity: number; trader: number }[],
  kind: string,
  prefix: string,
): Bid[] {
  return rows.map((row, index) => ({
    id: `${prefix}${(index * 7919) % 1009}`,
    trader: `${kind}${row.trader}`,
    price: row.price,
    quantity: row.quantity,
  }));
}

const welfareOf = ({ trades }: CallAuctionResult): number =>
  trades.reduce((sum, { bid, ask, quantity }) => sum + quantity * (bid.price - ask.price), 0);

/** What each order was served, by its id: ids differ between the sides here. */
const filledById = ({ filled }: CallAuctionResult): Map<string, number> =>
  new Map([...filled].map(([{ id }, quantity]) => [id, quantity]));

describe('a call auction', () => {
  test('trades the volume and welfare of the naive twin, inside its interval', () => {
    fc.assert(
      fc.property(book(), ({ bids, asks, kThousandths }) => {
        const naive = naiveAuction(bids, asks);
        const result = callAuction({ bids, asks, kThousandths });
        expect(result.volume).toBe(naive.volume);
        expect(welfareOf(result)).toBe(naive.welfare);
        expect(result.interval).toEqual(naive.interval);
        if (naive.interval === null) {
          expect(result.price).toBeNull();
        } else {
          const [low, high] = naive.interval;
          expect(result.price).toBe(low + Math.floor((kThousandths * (high - low)) / 1000));
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('reaches the welfare of the best of all pairings', () => {
    fc.assert(
      fc.property(book(3, 6, 2), ({ bids, asks, kThousandths }) => {
        const result = callAuction({ bids, asks, kThousandths });
        expect(welfareOf(result)).toBe(bruteForceWelfare(bids, asks));
      }),
      { numRuns: 300 },
    );
  });

  test('asks nobody to trade at a price it did not agree to, nor beyond its quantity', () => {
    const pricings = fc.constantFrom('clearing' as const, 'mid-market' as const);
    fc.assert(
      fc.property(book(), pricings, ({ bids, asks, kThousandths }, pricing) => {
        const result = callAuction({ bids, asks, kThousandths, pricing, retail: 6, feedIn: 1 });
        const traded = new Map<string, number>();
        for (const { bid, ask, quantity } of result.trades) {
          expect(quantity).toBeGreaterThan(0);
          expect(ask.price).toBeLessThanOrEqual(result.price!);
          expect(bid.price).toBeGreaterThanOrEqual(result.price!);
          for (const { id } of [bid, ask]) traded.set(id, (traded.get(id) ?? 0) + quantity);
        }
        for (const order of [...bids, ...asks]) {
          expect(result.filled.get(order)).toBe(traded.get(order.id) ?? 0);
          expect(result.filled.get(order)).toBeLessThanOrEqual(order.quantity);
        }
        expect(result.trades.length).toBeLessThanOrEqual(
          Math.max(0, bids.length + asks.length - 1),
        );
      }),
      { numRuns: 1000 },
    );
  });

  test('serves all before the margin, and at the margin by largest remainder in order of id', () => {
    fc.assert(
      fc.property(book(), ({ bids, asks, kThousandths }) => {
        const result = callAuction({ bids, asks, kThousandths });
        const [filled, { volume }] = [filledById(result), result];
        if (volume === 0) return;
        for (const [side, sign] of [
          [bids, -1],
          [asks, 1],
        ] as const) {
          const ranked = [...side].sort((x, y) => sign * (x.price - y.price));
          const served = ranked.filter(({ id }) => filled.get(id)! > 0);
          const margin = served.at(-1)!.price;
          const before = ranked.filter(({ price }) => sign * (price - margin) < 0);
          for (const { id, quantity } of before) expect(filled.get(id)).toBe(quantity);
          const left = volume - before.reduce((sum, { quantity }) => sum + quantity, 0);
          const at = ranked
            .filter(({ price }) => price === margin)
            .sort((x, y) => (x.id < y.id ? -1 : 1));
          const shares = largestRemainder(
            left,
            at.map(({ quantity }) => quantity),
          );
          expect(at.map(({ id }) => filled.get(id))).toEqual(shares);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('does not depend on the order of the rows', () => {
    const shuffled = book().chain((one) =>
      fc.record({
        one: fc.constant(one),
        bids: fc.shuffledSubarray(one.bids, { minLength: one.bids.length }),
        asks: fc.shuffledSubarray(one.asks, { minLength: one.asks.length }),
      }),
    );
    const sorted = (result: CallAuctionResult) => ({
      ...result,
      filled: [...filledById(result)].sort(),
    });
    fc.assert(
      fc.property(shuffled, ({ one, bids, asks }) => {
        expect(sorted(callAuction({ ...one, bids, asks }))).toEqual(sorted(callAuction(one)));
      }),
    );
  });

  test('stays exact where products exceed 2^53', () => {
    const huge = 4_000_000_000_000_001;
    const result = callAuction({
      bids: [{ id: 'b', trader: 'B', price: 9, quantity: 3_000_000_000_000_000 }],
      asks: [
        { id: 'a1', trader: 'A1', price: 5, quantity: huge },
        { id: 'a2', trader: 'A2', price: 5, quantity: huge },
        { id: 'a3', trader: 'A3', price: 5, quantity: 2 },
      ],
      kThousandths: 500,
    });
    const filled = filledById(result);
    expect(result.volume).toBe(3_000_000_000_000_000);
    expect([filled.get('a1'), filled.get('a2'), filled.get('a3')]).toEqual([
      1_500_000_000_000_000, 1_499_999_999_999_999, 1,
    ]);
  });

  test('the price rule is exact between the largest prices', () => {
    const high = Number.MAX_SAFE_INTEGER;
    for (const kThousandths of [0, 1, 333, 500, 999, 1000]) {
      const { price } = callAuction({
        bids: [{ id: 'b', trader: 'B', price: high, quantity: 1 }],
        asks: [{ id: 'a', trader: 'A', price: 12, quantity: 1 }],
        kThousandths,
      });
      expect(BigInt(price!)).toBe(12n + (BigInt(kThousandths) * BigInt(high - 12)) / 1000n);
    }
  });

  test('mid-market is the middle of the tariffs, moved into what the served orders agreed to', () => {
    const middle = (bid: number, ask: number) =>
      callAuction({
        bids: [{ id: 'b', trader: 'B', price: bid, quantity: 5 }],
        asks: [{ id: 'a', trader: 'A', price: ask, quantity: 9 }],
        kThousandths: 500,
        pricing: 'mid-market',
        retail: 30,
        feedIn: 5,
      }).price;
    expect(middle(30, 5)).toBe(17);
    expect(middle(12, 5)).toBe(12);
    expect(middle(30, 20)).toBe(20);
  });

  test('refuses an id twice, fractions and negative quantities', () => {
    const bid = { id: 'x', trader: 'X', price: 5, quantity: 1 };
    const ask = { id: 'y', trader: 'Y', price: 5, quantity: 1 };
    const clear = (bids: Bid[], asks: Ask[]) => () => callAuction({ bids, asks, kThousandths: 0 });
    expect(clear([bid, bid], [ask])).toThrow('twice');
    expect(clear([{ ...bid, price: 0.5 }], [ask])).toThrow(RangeError);
    expect(clear([bid], [{ ...ask, quantity: -1 }])).toThrow(RangeError);
  });
});
