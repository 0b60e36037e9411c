import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ClearingRules } from '../../src/market/clearing.js';
import type { MatchedTrade } from '../../src/market/trade.js';
import type { Tariff } from '../../src/parties/microgrid.js';
import {
  explainClose,
  nodeFairness,
  orderFairness,
  regulatorFairness,
  slotFairness,
  type ExplainedSlot,
} from '../../src/settlement/slot-fairness.js';
import { formatMicro } from '../../src/units/money.js';
import { optimumOf } from '../market/linear-program.js';
import { naiveAuction } from '../market/naive-auction.js';
import { anyBook } from '../market/network-books.js';
import { linearProgramWelfare } from '../market/network-oracle.js';
import {
  closed,
  explainedOrders,
  gated,
  home,
  order,
  termsOf,
  traded,
  wires,
  type OrderRow,
} from './explained.js';

/** What slots are told to have reached and made possible, held against oracles that know no reasons. */

const SEED = Number(process.env['FAIRNESS_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['FAIRNESS_RUNS'] ?? 60);

describe('a slot', () => {
  test('tells of the auction: its interval, its rule, and that no welfare was missed', () => {
    const slot = closed([home('A', 300), home('B', -300), home('C', -100, { buyBelow: 90_000 })]);
    expect(slotFairness(slot)).toEqual({
      slot: '2026-06-01T10:15:00Z',
      slotEnd: '2026-06-01T10:30:00Z',
      mechanism: 'metered',
      basis: 'close',
      revision: 0,
      currency: 'EUR',
      priceMicroPerKwh: 195_000,
      priceIntervalMicroPerKwh: [90_000, 300_000],
      shareThousandths: 1000,
      rule: {
        pricing: 'clearing',
        kThousandths: 500,
        words:
          'One price for all trades, 50 % of the way up the range in which nobody willing is left out, from 0.09 EUR/kWh to 0.30 EUR/kWh: 0.195 EUR/kWh.',
      },
      rationing: {
        rule: 'pro-rata',
        words: 'Where the last limit served is that of several, they are served in proportion.',
      },
      tradedWh: 300,
      possibleWh: 300,
      welfareMicro: 75_000,
      possibleWelfareMicro: 75_000,
    });
    expect(nodeFairness(slot)).toEqual([]);
  });

  test('counts the wishes that it met', () => {
    const slot = closed([
      home('A', 300),
      home('B', -300, { buyBelow: 200_000 }),
      home('C', -300, { buyBelow: 200_000, sun: 20_000 }),
    ]);
    // 300 Wh worth 0.20 and 0.02 for the wish, from a seller at 0.05.
    expect(slotFairness(slot)).toMatchObject({
      welfareMicro: 51_000,
      possibleWelfareMicro: 51_000,
      shareThousandths: 1000,
      priceIntervalMicroPerKwh: null,
    });
    const [order] = orderFairness(slot, 'C');
    // Alike but for the wish, both would have had half of it.
    expect(order!.reasons).toMatchObject([
      { figures: { metWh: 300, extraMicro: 0, withoutWh: 150, withoutMicro: 30_000 } },
    ]);
    expect(order!.reasons[0]!.words).toContain(
      'Of it 300 Wh were as you wished, for 0.00 EUR more. Had nobody a wish, you would have bought 150 Wh for 0.03 EUR.',
    );
  });

  test('tells a regulator neither energy nor a limit', () => {
    const slot = closed([home('A', 300), home('B', -300, { buyBelow: 234_567 })]);
    const told = JSON.stringify(regulatorFairness(slot));
    expect(JSON.parse(told)).toMatchObject({ priceMicroPerKwh: 142_283, shareThousandths: 1000 });
    expect(told).not.toMatch(/Wh"|234|welfareMicro|Interval/);
  });

  test('says what sharing by fixed parts leaves undone', () => {
    const slot = closed([home('A', 600), home('B', -200), home('C', -400)], {
      rules: { pricing: 'mid-market' },
      sharing: { key: 'static', priceMicroPerKwh: null },
    });
    // Half of it is B's part, who needs 200 of its 300 Wh; A's own part nobody uses.
    expect(slotFairness(slot)).toMatchObject({
      tradedWh: 400,
      possibleWh: 600,
      welfareMicro: 100_000,
      possibleWelfareMicro: 150_000,
      shareThousandths: 666,
      rationing: { rule: 'static' },
    });
  });

  test('closes where nothing in the network bounds the price from one side', () => {
    const slot = closed([home('A', 300, { feeder: 'east' }), home('B', -300, { feeder: 'east' })], {
      rules: { ...wires({ capacityDownW: 0 }), kThousandths: 0 },
    });
    expect(slotFairness(slot)).toMatchObject({ tradedWh: 300, shareThousandths: 1000 });
    expect(() => JSON.stringify(nodeFairness(slot))).not.toThrow();
  });

  test('where nothing can meet, nothing was missed', () => {
    expect(slotFairness(closed([home('A', 300)]))).toMatchObject({
      priceMicroPerKwh: null,
      priceIntervalMicroPerKwh: null,
      tradedWh: 0,
      possibleWelfareMicro: 0,
      shareThousandths: null,
    });
  });

  test('shows the price of every node, what wires carried, fees and rent', () => {
    const slot = closed([home('A', 900), home('B', -800, { feeder: 'east' })], {
      rules: wires({ capacityDownW: 1_000, feeMicroPerKwh: 10_000 }),
    });
    expect(nodeFairness(slot)).toEqual([
      {
        node: 'east',
        priceMicroPerKwh: 300_000,
        priceIntervalMicroPerKwh: [300_000, 300_000],
        wire: {
          flowWh: -250,
          capacityUpWh: null,
          capacityDownWh: 250,
          full: 'down',
          feesMicro: 2_500,
          congestionRentMicro: 60_000,
        },
      },
      {
        node: 'substation',
        priceMicroPerKwh: 50_000,
        priceIntervalMicroPerKwh: [50_000, 50_000],
        wire: null,
      },
    ]);
    expect(slotFairness(slot)).toMatchObject({
      priceIntervalMicroPerKwh: null,
      shareThousandths: 1000,
    });
  });
});

const KILO = 1_000;
/** Every price of the random books lies between them, so that nothing is moved. */
const WIDE: Tariff = { retailMicroPerKwh: 40 * KILO, feedInMicroPerKwh: 0, gridFeeMicroPerKwh: 0 };

const anyHome = fc.record({
  netWh: fc.integer({ min: -6, max: 6 }),
  limit: fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 12 })),
  parts: fc.nat(3),
});
const anyStreet = fc.array(anyHome, { maxLength: 9 }).map((homes) =>
  homes.map(({ netWh, limit, parts }, at) =>
    home(`h${at}`, netWh, {
      parts,
      ...(limit === null ? {} : { sellAbove: limit * KILO, buyBelow: limit * KILO }),
    }),
  ),
);

/** The street's orders in units in which welfare is whole: a Wh at a price of 1 is one micro-unit. */
function sidesOf(slot: ExplainedSlot) {
  const side = (wanted: 'bid' | 'ask') =>
    [...slot.book.booked].flatMap(([key, order]) =>
      key.startsWith(wanted) ? [{ ...order, price: order.price / KILO }] : [],
    );
  return { bids: side('bid'), asks: side('ask') };
}

/** Every Wh has one reason, and its words have all of its figures. */
function assertTold(slot: ExplainedSlot, households: Iterable<string>): void {
  for (const household of new Set(households)) {
    for (const order of orderFairness(slot, household)) {
      const sum = order.reasons.reduce((wh, { energyWh }) => wh + energyWh, 0);
      expect(sum).toBe(order.wantedWh);
      for (const { code, energyWh, figures, words } of order.reasons) {
        expect(energyWh).toBeGreaterThan(0);
        if (code === 'filled') expect(energyWh).toBe(order.filledWh);
        for (const [name, figure] of Object.entries(figures)) {
          if (name === 'key') continue;
          const spelled = /Micro(PerKwh)?$/.test(name) ? formatMicro(Number(figure)) : `${figure}`;
          expect({ code, words, has: words.includes(spelled) }).toMatchObject({ has: true });
        }
      }
    }
  }
}

describe(`the figures (seed ${SEED})`, () => {
  test('of a metered slot are those of the naive auction', () => {
    fc.assert(
      fc.property(anyStreet, fc.integer({ min: 0, max: 3 }), (homes, fee) => {
        const tariff = { ...WIDE, gridFeeMicroPerKwh: fee * KILO };
        const slot = closed(homes, { tariff });
        const { bids, asks } = sidesOf(slot);
        const naive = naiveAuction(bids, asks);
        expect(slotFairness(slot)).toMatchObject({
          tradedWh: naive.volume,
          possibleWh: naive.volume,
          welfareMicro: naive.welfare,
          possibleWelfareMicro: naive.welfare,
          priceIntervalMicroPerKwh: naive.interval && naive.interval.map((bound) => bound * KILO),
          shareThousandths: naive.welfare === 0 ? null : 1000,
        });
        assertTold(
          slot,
          homes.map(({ householdId }) => householdId),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('of sharing never exceed what the naive auction finds possible', () => {
    const keys = fc.constantFrom('static' as const, 'dynamic' as const, 'hybrid' as const);
    fc.assert(
      fc.property(anyStreet, keys, (homes, key) => {
        const slot = closed(homes, {
          tariff: WIDE,
          rules: { pricing: 'supply-demand-ratio' },
          sharing: { key, priceMicroPerKwh: null },
        });
        const { bids, asks } = sidesOf(slot);
        const told = slotFairness(slot);
        expect(told.possibleWelfareMicro).toBe(naiveAuction(bids, asks).welfare);
        expect(told.welfareMicro).toBeLessThanOrEqual(told.possibleWelfareMicro);
        assertTold(
          slot,
          homes.map(({ householdId }) => householdId),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('of a gate are those of the linear program, whoever has several orders', () => {
    const anyOrder = fc.record({
      household: fc.nat(4),
      side: fc.constantFrom('bid' as const, 'ask' as const),
      energyWh: fc.integer({ min: 1, max: 6 }),
      price: fc.integer({ min: 0, max: 12 }),
    });
    const rationing = fc.constantFrom('time' as const, 'pro-rata' as const, 'max-min' as const);
    fc.assert(
      fc.property(fc.array(anyOrder, { maxLength: 8 }), rationing, (orders, rule) => {
        const slot = gated(
          orders.map(({ household, side, energyWh, price }, at): OrderRow => [
            `o${at}`,
            `h${household}`,
            side,
            energyWh,
            price * KILO,
          ]),
          { tariff: WIDE, rules: { rationing: rule } },
        );
        const { bids, asks } = sidesOf(slot);
        const optimum = optimumOf(bids, asks);
        expect(slotFairness(slot)).toMatchObject({
          tradedWh: optimum.volume,
          possibleWh: optimum.volume,
          welfareMicro: optimum.welfare,
          possibleWelfareMicro: optimum.welfare,
        });
        assertTold(
          slot,
          orders.map(({ household }) => `h${household}`),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('of continuous trading never exceed what the linear program finds possible', () => {
    const anyOrder = fc.record({
      household: fc.nat(4),
      side: fc.constantFrom('bid' as const, 'ask' as const),
      energyWh: fc.integer({ min: 1, max: 6 }),
      price: fc.integer({ min: 0, max: 12 }),
      timeInForce: fc.constantFrom('gtc' as const, 'gtc' as const, 'ioc' as const, 'fok' as const),
    });
    fc.assert(
      fc.property(fc.array(anyOrder, { maxLength: 9 }), (orders) => {
        const slot = traded(
          orders.map(({ household, side, energyWh, price, timeInForce }, at): OrderRow => [
            `o${at}`,
            `h${household}`,
            side,
            energyWh,
            price * KILO,
            timeInForce,
          ]),
          { tariff: WIDE },
        );
        const { bids, asks } = sidesOf(slot);
        const told = slotFairness(slot);
        expect(told.possibleWelfareMicro).toBe(optimumOf(bids, asks).welfare);
        expect(told.welfareMicro).toBeLessThanOrEqual(told.possibleWelfareMicro);
        assertTold(
          slot,
          orders.map(({ household }) => `h${household}`),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('in a network are those of its linear program, and a full wire is full', () => {
    fc.assert(
      fc.property(anyBook(), ({ network, bids, asks, kThousandths, rationing }) => {
        const chosen: Partial<ClearingRules> = {
          kThousandths,
          rationing,
          slotMinutes: 60,
          network: {
            validFrom: '2026-06-01T00:00:00Z',
            nodes: network.map(({ id, parent, feePerUnit, capacityUp, capacityDown }) => ({
              node: id,
              parent,
              feeMicroPerKwh: feePerUnit * KILO,
              capacityUpW: capacityUp ?? null,
              capacityDownW: capacityDown ?? null,
            })),
          },
        };
        const terms = termsOf({ tariff: WIDE, rules: chosen });
        const raised = [
          ...bids.map((order) => ({ ...order, side: 'bid' as const })),
          ...asks.map((order) => ({ ...order, side: 'ask' as const })),
        ].flatMap((order) => (order.quantity === 0 ? [] : [{ ...order, price: order.price + 2 }]));
        const slot = explainedOrders(
          terms,
          raised.map(({ id, trader, node, price, quantity, side, sequence = 0 }) =>
            order([id, trader, side, quantity, price * KILO], sequence, node),
          ),
        );
        const [wanted, offered] = [bids, asks].map((side) =>
          side.map((order) => ({ ...order, price: order.price + 2 })),
        );
        const most = linearProgramWelfare({ bids: wanted!, asks: offered!, network });
        expect(slotFairness(slot)).toMatchObject({
          welfareMicro: most,
          possibleWelfareMicro: most,
        });
        const nodes = new Map(nodeFairness(slot).map(({ node, wire }) => [node, wire]));
        for (const { trader } of raised) {
          for (const { side, reasons: why } of orderFairness(slot, trader)) {
            for (const { code, figures } of why) {
              if (code !== 'wire-full') continue;
              const wire = nodes.get(String(figures['wire']))!;
              expect(Math.abs(wire.flowWh)).toBe(figures['capacityWh']);
              const [better, own] = [figures['beyondMicroPerKwh']!, figures['limitMicroPerKwh']!];
              expect(side === 'bid' ? better < own : better > own).toBe(true);
            }
          }
        }
        assertTold(
          slot,
          raised.map(({ trader }) => trader),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('say what trades left undone that could have been made', () => {
    const slot = closed([home('A', 300), home('B', -300)]);
    const { terms, book } = slot;
    const less: MatchedTrade[] = book.trades.map((trade) => ({ ...trade, energyWh: 100 }));
    const households = [home('A', 300), home('B', -300)];
    const told = slotFairness({ ...slot, book: explainClose(terms, households, less) });
    expect(told).toMatchObject({
      tradedWh: 100,
      possibleWh: 300,
      welfareMicro: 25_000,
      possibleWelfareMicro: 75_000,
      shareThousandths: 333,
    });
  });
});
