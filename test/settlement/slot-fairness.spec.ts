import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ClearingRules } from '../../src/market/clearing.js';
import { clearOrders, type BookOrder } from '../../src/market/gate-clearing.js';
import type { GatedOrder } from '../../src/market/market-records.js';
import { REASON_CODES, type ReasonCode } from '../../src/market/order-reasons.js';
import type { MatchedTrade } from '../../src/market/trade.js';
import type { NetworkNode, Tariff } from '../../src/parties/microgrid.js';
import { closeSlot, type SlotHousehold, type SlotTerms } from '../../src/settlement/close-slot.js';
import {
  explainClose,
  explainOrders,
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
import { rules } from '../market/rules.js';

/** Why orders were served as they were: every reason by a street made for it, all figures by oracles. */

const SEED = Number(process.env['FAIRNESS_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = Number(process.env['FAIRNESS_RUNS'] ?? 200);

const TARIFF: Tariff = {
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 0,
};

interface Chosen {
  rules?: Partial<ClearingRules>;
  tariff?: Partial<Tariff>;
  sharing?: SlotTerms['sharing'];
}

function termsOf({ rules: chosen, tariff, sharing = null }: Chosen): SlotTerms {
  return {
    microgridId: 'street',
    slot: '2026-06-01T10:15:00Z',
    slotEnd: '2026-06-01T10:30:00Z',
    currency: 'EUR',
    mechanism: sharing === null ? 'metered' : 'sharing',
    rules: rules(chosen),
    sharing,
    tariff: { ...TARIFF, ...tariff },
  };
}

interface Home {
  sellAbove?: number;
  buyBelow?: number;
  wallet?: number;
  feeder?: string;
  parts?: number;
}

/** `+900` has 900 Wh to sell, `-800` needs 800 Wh. */
function home(householdId: string, netWh: number, more: Home = {}): SlotHousehold {
  const [exportWh, importWh] = [Math.max(netWh, 0), Math.max(-netWh, 0)];
  return {
    householdId,
    feeder: more.feeder ?? null,
    share: { parts: more.parts ?? 1, rank: 0 },
    energy: {
      importWh,
      exportWh,
      generatedWh: exportWh,
      chargedWh: 0,
      dischargedWh: 0,
      consumptionWh: importWh,
      unexplainedWh: 0,
      quality: 'measured',
    },
    limits: {
      sellAboveMicroPerKwh: more.sellAbove ?? null,
      buyBelowMicroPerKwh: more.buyBelow ?? null,
    },
    availableMicro: more.wallet ?? 1_000_000_000,
    usableWh: 0,
    lots: [],
  };
}

/** Closes a slot of these households and explains it from what its records would say. */
function closed(households: SlotHousehold[], chosen: Chosen = {}): ExplainedSlot {
  const terms = termsOf(chosen);
  const { trades } = closeSlot({ terms, households, trades: [] });
  const book = explainClose(terms, households, trades);
  return { terms, basis: 'close', revision: 0, at: terms.slotEnd, timeZone: 'Europe/Berlin', book };
}

/** `['b1', 'B', 'bid', 500, 200_000]` */
type OrderRow = [
  id: string,
  household: string,
  side: 'bid' | 'ask',
  energyWh: number,
  price: number,
];

/** Clears a gate of these orders and explains it. */
function gated(
  rows: readonly OrderRow[],
  chosen: Chosen = {},
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const terms: SlotTerms = { ...termsOf(chosen), mechanism: 'call-auction' };
  const orders = rows.map(([id, household, side, energyWh, price], index) => ({
    microgrid: 'street',
    id,
    orderId: id,
    household,
    householdId: household,
    slot: terms.slot,
    side,
    energyWh,
    priceMicroPerKwh: price,
    delivery: 'delivered' as const,
    feeder: null,
    holdId: null,
    sequence: index + 1,
  }));
  return explainedOrders(terms, orders, coverMicro);
}

function explainedOrders(
  terms: SlotTerms,
  orders: readonly (GatedOrder & BookOrder)[],
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const { tariff } = terms;
  const { trades } = clearOrders({ orders, tariff, rules: terms.rules, coverMicro });
  const book = explainOrders(terms, orders, trades);
  return { terms, basis: 'gate', revision: 0, at: terms.slotEnd, timeZone: 'Europe/Berlin', book };
}

/** `outbid 500: You bid ...` */
function reasons(slot: ExplainedSlot, household: string): string[] {
  return orderFairness(slot, household).flatMap((order) =>
    order.reasons.map(({ code, energyWh, words }) => `${code} ${energyWh}: ${words}`),
  );
}

/** Substation, and a feeder to the east whose wire carries 1,000 W, 250 Wh in a quarter of an hour. */
function wires(east: Partial<NetworkNode> = {}): Partial<ClearingRules> {
  const node = { feeMicroPerKwh: 0, capacityUpW: null, capacityDownW: null };
  return {
    network: {
      validFrom: '2026-06-01T00:00:00Z',
      nodes: [
        { node: 'substation', parent: null, ...node },
        { node: 'east', parent: 'substation', ...node, ...east },
      ],
    },
  };
}

const STREETS: Record<ReasonCode, [street: () => ExplainedSlot, whose: string, told: string[]][]> =
  {
    filled: [
      [
        () => closed([home('A', 300), home('B', -300)]),
        'B',
        ['filled 300: 300 Wh bought at 0.175 EUR/kWh; your limit was 0.30 EUR/kWh.'],
      ],
      [
        () => closed([home('A', 300), home('B', -300)], { tariff: { gridFeeMicroPerKwh: 20_000 } }),
        'A',
        ['filled 300: 300 Wh sold at 0.165 EUR/kWh; your limit was 0.05 EUR/kWh.'],
      ],
      [
        () =>
          gated(
            [
              ['b1', 'B', 'bid', 200, 200_000],
              ['b2', 'C', 'bid', 200, 180_000],
              ['a1', 'A', 'ask', 400, 100_000],
            ],
            { rules: { pricing: 'pay-as-bid' } },
          ),
        'A',
        ['filled 400: 400 Wh sold at 0.18 EUR/kWh to 0.20 EUR/kWh; your limit was 0.10 EUR/kWh.'],
      ],
    ],
    'outside-tariffs': [
      [
        () => closed([home('A', 300), home('B', -300, { buyBelow: 40_000 })]),
        'B',
        [
          'outside-tariffs 300: You pay up to 0.04 EUR/kWh, which is less than the feed-in tariff of 0.05 EUR/kWh: no neighbor sells for less than the utility pays.',
        ],
      ],
      [
        () => closed([home('A', 300, { sellAbove: 310_000 }), home('B', -300)]),
        'A',
        [
          'outside-tariffs 300: You sell from 0.31 EUR/kWh on, which is more than the retail tariff of 0.30 EUR/kWh: no neighbor pays more than the utility asks.',
        ],
      ],
    ],
    wallet: [
      [
        () => closed([home('A', 900), home('B', -800, { wallet: 90_001 })]),
        'B',
        [
          'filled 300: 300 Wh bought at 0.05 EUR/kWh; your limit was 0.30 EUR/kWh.',
          'wallet 500: Your wallet covered 300 Wh of 800 Wh.',
        ],
      ],
      [
        () =>
          closed([home('A', 900), home('B', -800, { wallet: 52_501 })], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'dynamic', priceMicroPerKwh: null },
          }),
        'B',
        [
          'filled 300: 300 Wh bought at 0.175 EUR/kWh; your limit was 0.30 EUR/kWh.',
          'wallet 500: Your wallet covered 300 Wh of 800 Wh.',
        ],
      ],
    ],
    'wallet-rounding': [
      [
        // 2 × 3 Wh at 0.1115 cost 334.5 micro-units each, rounded 334; the wallet has 667.
        () =>
          gated(
            [
              ['b1', 'B', 'bid', 6, 111_500],
              ['a1', 'A', 'ask', 3, 111_500],
              ['a2', 'C', 'ask', 3, 111_500],
            ],
            {},
            () => 667,
          ),
        'B',
        [
          'filled 5: 5 Wh bought at 0.1115 EUR/kWh; your limit was 0.1115 EUR/kWh.',
          'wallet-rounding 1: 1 Wh were given up because your wallet lacked some millionths once each trade was rounded.',
        ],
      ],
    ],
    'no-counterpart': [
      [
        () => closed([home('B', -300)]),
        'B',
        ['no-counterpart 300: Nobody within reach had energy to sell in this slot.'],
      ],
      [
        () =>
          closed([home('A', 300)], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'static', priceMicroPerKwh: null },
          }),
        'A',
        ['no-counterpart 300: Nobody within reach wanted to buy in this slot.'],
      ],
    ],
    'beyond-limit': [
      [
        () =>
          closed([home('A', 300, { sellAbove: 200_000 }), home('B', -300, { buyBelow: 180_000 })], {
            tariff: { gridFeeMicroPerKwh: 10_000 },
          }),
        'B',
        ['beyond-limit 300: You pay up to 0.18 EUR/kWh, the lowest ask was 0.21 EUR/kWh.'],
      ],
      [
        () =>
          gated([
            ['a1', 'A', 'ask', 300, 200_000],
            ['b1', 'B', 'bid', 300, 180_000],
          ]),
        'A',
        ['beyond-limit 300: You asked 0.20 EUR/kWh, the highest bid was 0.18 EUR/kWh.'],
      ],
    ],
    outbid: [
      [
        () =>
          gated([
            ['b1', 'B', 'bid', 500, 172_000],
            ['b2', 'C', 'bid', 500, 175_000],
            ['a1', 'A', 'ask', 500, 100_000],
          ]),
        'B',
        ['outbid 500: You bid 0.172 EUR/kWh, the last bid served was 0.175 EUR/kWh.'],
      ],
    ],
    rationed: [
      [
        () => closed([home('A', 900), home('B', -800), home('C', 300)]),
        'A',
        [
          'filled 600: 600 Wh sold at 0.05 EUR/kWh; your limit was 0.05 EUR/kWh.',
          'rationed 300: You sell from 0.05 EUR/kWh on, as did the last asks served: of 1200 Wh at that limit 800 Wh could be served, in proportion.',
        ],
      ],
    ],
    'own-orders': [
      [
        () =>
          gated([
            ['b1', 'A', 'bid', 300, 200_000],
            ['a1', 'A', 'ask', 300, 100_000],
          ]),
        'A',
        [
          'own-orders 300: You asked 0.10 EUR/kWh; what was left within that limit was of your own household.',
          'own-orders 300: You bid 0.20 EUR/kWh; what was left within that limit was of your own household.',
        ],
      ],
    ],
    'wire-full': [
      [
        () =>
          closed([home('A', 900), home('B', -800, { feeder: 'east' })], {
            rules: wires({ capacityDownW: 1_000 }),
          }),
        'B',
        [
          'filled 250: 250 Wh bought at 0.30 EUR/kWh; your limit was 0.30 EUR/kWh.',
          'wire-full 550: The wire of east was full from 12:15 to 12:30: it carries 250 Wh a slot towards you. Energy from beyond it would have cost 0.05 EUR/kWh, and you pay up to 0.30 EUR/kWh.',
        ],
      ],
      [
        () =>
          closed([home('A', 900, { feeder: 'east' }), home('B', -800)], {
            rules: wires({ capacityUpW: 0 }),
          }),
        'A',
        [
          'wire-full 900: The wire of east was full from 12:15 to 12:30: it carries 0 Wh a slot away from you. Energy sold beyond it would have brought 0.30 EUR/kWh, and you sell from 0.05 EUR/kWh on.',
        ],
      ],
    ],
    'wire-fees': [
      [
        () =>
          closed([home('A', 900), home('B', -800, { feeder: 'east', buyBelow: 80_000 })], {
            rules: wires({ feeMicroPerKwh: 40_000 }),
          }),
        'B',
        [
          'wire-fees 800: You pay up to 0.08 EUR/kWh; at substation energy cost 0.05 EUR/kWh, and the wires from there take 0.04 EUR/kWh more.',
        ],
      ],
    ],
    'node-price': [
      [
        () =>
          closed(
            [
              home('A', 900, { sellAbove: 100_000 }),
              home('B', -800, { feeder: 'east', buyBelow: 80_000 }),
            ],
            {
              rules: wires({ feeMicroPerKwh: 40_000 }),
            },
          ),
        'B',
        [
          'node-price 800: You pay up to 0.08 EUR/kWh, the price at your place in the network was 0.14 EUR/kWh.',
        ],
      ],
    ],
    'beyond-price': [
      [
        () =>
          closed([home('A', 900), home('B', -800, { buyBelow: 120_000 })], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'dynamic', priceMicroPerKwh: null },
          }),
        'B',
        [
          "beyond-price 800: You pay up to 0.12 EUR/kWh: your limit was below the community's price of 0.175 EUR/kWh.",
        ],
      ],
    ],
    'shared-out': [
      [
        () =>
          closed([home('A', 600), home('B', -800), home('C', -400)], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'dynamic', priceMicroPerKwh: null },
          }),
        'B',
        [
          'filled 400: 400 Wh bought at 0.175 EUR/kWh; your limit was 0.30 EUR/kWh.',
          'shared-out 400: Neighbors offered 600 Wh, and 1200 Wh were needed: divided in proportion to need.',
        ],
      ],
    ],
    'surplus-left': [
      [
        () =>
          closed([home('A', 600), home('B', -200), home('C', -400)], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'static', priceMicroPerKwh: null },
          }),
        'A',
        [
          'filled 400: 400 Wh sold at 0.175 EUR/kWh; your limit was 0.05 EUR/kWh.',
          'surplus-left 200: Of the 600 Wh offered neighbors took 400 Wh: every seller sold the same part of its own.',
        ],
      ],
    ],
  };

describe('why an order was served as it was', () => {
  test.each(REASON_CODES)('%s', (code) => {
    for (const [street, whose, told] of STREETS[code]) {
      expect(reasons(street(), whose)).toEqual(told);
      expect(told.some((line) => line.startsWith(`${code} `))).toBe(true);
    }
  });
});

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
          const spelled = name.endsWith('MicroPerKwh') ? formatMicro(Number(figure)) : `${figure}`;
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
          raised.map(({ id, trader, node, price, quantity, side, sequence = 0 }) => ({
            microgrid: 'street',
            id,
            orderId: id,
            household: trader,
            householdId: trader,
            slot: terms.slot,
            side,
            energyWh: quantity,
            priceMicroPerKwh: price * KILO,
            delivery: 'delivered' as const,
            feeder: node,
            holdId: null,
            sequence,
          })),
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
