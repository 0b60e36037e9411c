import { describe, expect, test } from '@jest/globals';
import { REASON_CODES, type ReasonCode } from '../../src/market/order-reasons.js';
import { orderFairness, type ExplainedSlot } from '../../src/settlement/slot-fairness.js';
import { closed, gated, home, traded, wires } from './explained.js';

/** Every reason that an order can be told, by a street made for it. */

/** `outbid 500: You bid ...` */
function reasons(slot: ExplainedSlot, household: string): string[] {
  return orderFairness(slot, household).flatMap((order) =>
    order.reasons.map(({ code, energyWh, words }) => `${code} ${energyWh}: ${words}`),
  );
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
    wish: [
      [
        () =>
          closed([
            home('A', 300),
            home('B', -300, { buyBelow: 200_000 }),
            home('C', -300, { buyBelow: 200_000, sun: 20_000 }),
          ]),
        'B',
        [
          'wish 150: 150 Wh went to a neighbor who pays a premium for a wish that they meet.',
          'rationed 150: You pay up to 0.20 EUR/kWh, as did the last bids served: of 600 Wh at that limit 300 Wh could be served, in proportion.',
        ],
      ],
    ],
    'taken-back': [
      [
        // The newer ask comes to meet the older bid of the same household, which gives way.
        () =>
          traded([
            ['b1', 'B', 'bid', 500, 200_000],
            ['a1', 'A', 'ask', 200, 150_000],
            ['a2', 'B', 'ask', 100, 180_000],
          ]),
        'B',
        [
          'filled 200: 200 Wh bought at 0.20 EUR/kWh; your limit was 0.20 EUR/kWh.',
          'taken-back 300: 300 Wh were taken back before anybody met them, by you or for a newer order of yours that came to meet it.',
          'no-counterpart 100: Nobody else wanted to buy within reach in this slot.',
        ],
      ],
    ],
    'not-met': [
      [
        () =>
          traded(
            [
              ['b1', 'B', 'bid', 500, 170_000],
              ['b2', 'C', 'bid', 400, 180_000],
              ['a1', 'A', 'ask', 600, 140_000],
              ['a2', 'D', 'ask', 100, 190_000],
            ],
            { tariff: { gridFeeMicroPerKwh: 20_000 } },
          ),
        'B',
        [
          'filled 200: 200 Wh bought at 0.17 EUR/kWh; your limit was 0.17 EUR/kWh.',
          'not-met 300: You bid 0.17 EUR/kWh. Until the gate, all that was asked within that limit met better or earlier bids; the lowest ask left then was 0.21 EUR/kWh.',
        ],
      ],
    ],
    'not-at-once': [
      [
        () =>
          traded([
            ['a1', 'A', 'ask', 200, 150_000],
            ['b1', 'B', 'bid', 500, 200_000, 'ioc'],
            ['a2', 'A', 'ask', 300, 150_000],
          ]),
        'B',
        [
          'filled 200: 200 Wh bought at 0.15 EUR/kWh; your limit was 0.20 EUR/kWh.',
          'not-at-once 300: You bid 0.20 EUR/kWh, at once or not at all: when it came, no more was left within that limit.',
        ],
      ],
    ],
    'no-counterpart': [
      [
        () => closed([home('B', -300)]),
        'B',
        ['no-counterpart 300: Nobody else had energy to sell within reach in this slot.'],
      ],
      [
        () =>
          closed([home('A', 300)], {
            rules: { pricing: 'mid-market' },
            sharing: { key: 'static', priceMicroPerKwh: null },
          }),
        'A',
        ['no-counterpart 300: Nobody else wanted to buy within reach in this slot.'],
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
          'own-orders 300: You bid 0.20 EUR/kWh; what was left within that limit was of your own household.',
          'own-orders 300: You asked 0.10 EUR/kWh; what was left within that limit was of your own household.',
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
