import { describe, expect, test } from '@jest/globals';
import { giniThousandths, summaryOf, table, type Outcome } from '../../simulator/comparison.js';

/** The table of ways of trading: what is added up, and how unevenly savings fall. */

const outcome = (claimedWh: number, costs: Record<string, number>): Outcome => ({
  claimedWh,
  matchableWh: 1000,
  withGridWh: 300,
  homes: Object.entries(costs).map(([household, costMicro]) => ({
    household,
    costMicro,
    tariffCostMicro: 5_000_000,
  })),
  prices: [
    { priceMicroPerKwh: 100_000, tradedWh: 300 },
    { priceMicroPerKwh: 200_000, tradedWh: 100 },
    { priceMicroPerKwh: 300_000, tradedWh: 0 },
  ],
});

test('periods are added up, home by home', () => {
  const weeks = [
    outcome(600, { A: 4_000_000, B: 5_000_001 }),
    outcome(900, { A: 4_000_000, B: 5_000_000 }),
  ];
  expect(summaryOf(weeks)).toEqual({
    claimedThousandths: 750,
    claimedWh: 1500,
    matchableWh: 2000,
    withGridWh: 600,
    paidMicro: 18_000_001,
    savedMicro: 1_999_999,
    price: { meanMicro: 125_000, lowMicro: 100_000, highMicro: 200_000 },
    saved: { leastMicro: -1, medianMicro: -1, mostMicro: 2_000_000, giniThousandths: 500 },
    worseOff: ['B'],
  });
});

describe('how unevenly savings fall', () => {
  test.each([
    [[5, 5, 5, 5], 0],
    [[0, 0, 0, 8], 750],
    [[1, 2, 3], 222],
    [[0, 0], 0],
    [[], 0],
  ])('%j: %d thousandths', (savings, gini) => {
    expect(giniThousandths(savings)).toBe(gini);
  });
});

test('what the service refuses stands in the table', () => {
  const way = { mechanism: 'call-auction', pricing: 'clearing', strategy: 'fixed' };
  const lines = table(
    [
      { ...way, summary: summaryOf([outcome(750, { A: 4_000_000 })]) },
      { ...way, mechanism: 'barter', refused: 'There is no such mechanism.' },
    ],
    'EUR',
  ).split('\n');
  expect(lines[2]).toMatch(
    /^\| call-auction \| clearing \| fixed \| 75\.0 % \| 1 \| 4\.00 \| 1\.00 \|/,
  );
  expect(lines[3]).toMatch(/^\| barter \| clearing \| fixed \| There is no such mechanism\. \|/);
  expect(new Set(lines.map((line) => line.split('|').length)).size).toBe(1);
});
