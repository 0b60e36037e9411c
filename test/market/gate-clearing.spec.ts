import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clearOrders, tradeCostMicro, type BookOrder } from '../../src/market/gate-clearing.js';
import type { Tariff } from '../../src/parties/microgrid.js';
import { costMicro } from '../../src/units/money.js';
import { rules } from './rules.js';

const TARIFF: Tariff = {
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 0,
};

type Row = [
  id: string,
  household: string,
  side: 'bid' | 'ask',
  wh: number,
  price: number,
  delivery?: 'firm',
];

const orders = (...rows: Row[]): BookOrder[] =>
  rows.map(([orderId, householdId, side, energyWh, priceMicroPerKwh, delivery], at): BookOrder => ({
    orderId,
    householdId,
    side,
    energyWh,
    priceMicroPerKwh,
    delivery: delivery ?? 'delivered',
    feeder: null,
    sequence: at + 1,
  }));

const clear = (
  book: BookOrder[],
  tariff = TARIFF,
  coverMicro: (id: string) => number = () => 1e12,
) => clearOrders({ orders: book, tariff, rules: rules(), coverMicro });

describe('a gate', () => {
  test('serves orders fully, partly or not, and a trade is firm when both its orders are', () => {
    const gate = clear(
      orders(
        ['b1', 'B', 'bid', 600, 200_000, 'firm'],
        ['b2', 'C', 'bid', 600, 150_000],
        ['b3', 'D', 'bid', 100, 60_000, 'firm'],
        ['a1', 'A', 'ask', 300, 100_000, 'firm'],
        ['a2', 'E', 'ask', 500, 120_000],
      ),
    );
    expect(gate.clearingPrice).toBe(150_000);
    expect(gate.tradedWh).toBe(800);
    expect(gate.orders.map(({ orderId, status, filledWh }) => [orderId, status, filledWh])).toEqual(
      [
        ['a1', 'filled', 300],
        ['a2', 'filled', 500],
        ['b1', 'filled', 600],
        ['b2', 'partly-filled', 200],
        ['b3', 'unfilled', 0],
      ],
    );
    expect(
      gate.trades.map(({ bidId, askId, energyWh, firm }) => [bidId, askId, energyWh, firm]),
    ).toEqual([
      ['b1', 'a1', 300, true],
      ['b1', 'a2', 300, false],
      ['b2', 'a2', 200, false],
    ]);
  });

  test('a bid includes the grid fee; a tariff that changed since moves limits or excludes them', () => {
    const fee = clear(orders(['b', 'B', 'bid', 500, 200_000], ['a', 'A', 'ask', 900, 60_000]), {
      ...TARIFF,
      gridFeeMicroPerKwh: 30_000,
    });
    expect(fee.trades[0]).toMatchObject({
      buyerPriceMicroPerKwh: 90_000,
      sellerPriceMicroPerKwh: 60_000,
    });
    const lower = clear(orders(['b', 'B', 'bid', 500, 300_000], ['a', 'A', 'ask', 300, 290_000]), {
      ...TARIFF,
      retailMicroPerKwh: 280_000,
    });
    expect(lower).toMatchObject({ clearingPrice: null, tradedWh: 0, trades: [] });
    expect(lower.orders.map(({ status }) => status)).toEqual(['unfilled', 'unfilled']);
  });

  test('an empty book has no price', () => {
    expect(clear([])).toEqual({ clearingPrice: null, tradedWh: 0, trades: [], orders: [] });
  });

  test('a buyer whose money is just the hold never spends more, and loses next to nothing', () => {
    const ask = fc.record({ wh: fc.integer({ min: 1, max: 40 }), price: fc.nat(30) });
    const bid = fc.record({ wh: fc.integer({ min: 1, max: 90 }), price: fc.nat(30) });
    const tariff = { retailMicroPerKwh: 30, feedInMicroPerKwh: 0, gridFeeMicroPerKwh: 0 };
    const side = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 8 });
    const scaleOf = fc.constantFrom(1, 100, 10_000);
    fc.assert(
      fc.property(side(bid), side(ask), scaleOf, (bids, asks, scale) => {
        const book = orders(
          ...bids.map(({ wh, price }, i): Row => [`b${i}`, `B${i % 3}`, 'bid', wh, price * scale]),
          ...asks.map(({ wh, price }, i): Row => [`a${i}`, `A${i % 3}`, 'ask', wh, price * scale]),
        );
        const scaled = { ...tariff, retailMicroPerKwh: 30 * scale };
        const held = new Map<string, number>();
        for (const { householdId, side: of, energyWh, priceMicroPerKwh } of book) {
          if (of === 'ask') continue;
          const cost = costMicro(energyWh, priceMicroPerKwh);
          held.set(householdId, (held.get(householdId) ?? 0) + cost);
        }
        const rich = clear(book, scaled);
        const poor = clear(book, scaled, (id) => held.get(id) ?? 0);
        const spent = new Map<string, number>();
        for (const trade of poor.trades) {
          spent.set(trade.buyer, (spent.get(trade.buyer) ?? 0) + tradeCostMicro(trade));
          expect(trade.energyWh).toBeGreaterThan(0);
        }
        for (const [buyer, micro] of spent) expect(micro).toBeLessThanOrEqual(held.get(buyer)!);
        if (scale === 10_000) {
          expect(rich.tradedWh - poor.tradedWh).toBeLessThanOrEqual(rich.trades.length);
        }
        const filled = (of: 'bid' | 'ask') =>
          poor.orders
            .filter(({ orderId }) => orderId.startsWith(of[0]!))
            .reduce((sum, { filledWh }) => sum + filledWh, 0);
        expect([filled('bid'), filled('ask')]).toEqual([poor.tradedWh, poor.tradedWh]);
      }),
      { numRuns: 600 },
    );
  });
});
