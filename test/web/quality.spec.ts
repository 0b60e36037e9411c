import { expect, test } from '@jest/globals';
import { boundsInWords, restsOn, splitInWords } from '../../web/src/quality.js';

/** What figures rest on, as people are told it. */

const THIN = '\u202f';
const bounds = { measuredAtLeastPercent: 90, estimatedAtMostPercent: 10 };

test.each([
  [
    [['measured', 960] as const, ['estimated', 40] as const],
    `96.0${THIN}% measured, 4.0${THIN}% estimated`,
  ],
  [[['measured', 960] as const, ['interpolated', 0] as const], 'all measured'],
  [[['measured', 0] as const, ['interpolated', 0] as const], 'no energy'],
])('parts %j', (parts, words) => {
  const told = parts.map(([quality, energyWh]) => ({ qualities: [quality], energyWh }));
  expect(restsOn({ parts: told, ...bounds })).toBe(words);
});

test('qualities that are told together are named together, the better one first', () => {
  const parts = [
    { qualities: ['measured' as const], energyWh: 1 },
    { qualities: ['missing' as const, 'estimated' as const], energyWh: 3 },
  ];
  expect(restsOn({ parts, ...bounds })).toBe(
    `25.0${THIN}% measured, 75.0${THIN}% estimated or missing`,
  );
});

test('where only bounds may be told, they are', () => {
  const qualities = ['measured', 'interpolated', 'estimated', 'missing'] as const;
  const parts = [{ qualities: [...qualities], energyWh: 1_000 }];
  expect(restsOn({ parts, ...bounds })).toBe('at least 90 % measured, at most 10 % estimated');
  expect(boundsInWords({ measuredAtLeastPercent: 0, estimatedAtMostPercent: 0 })).toBe(
    'at least 0 % measured, none estimated',
  );
  expect(boundsInWords({ measuredAtLeastPercent: 100, estimatedAtMostPercent: 0 })).toBe(
    'all measured',
  );
});

test('awards from before say so', () => {
  expect(boundsInWords(null)).toBe('not told then');
  expect(splitInWords(null)).toBe('not told then');
  const split = { measuredWh: 500, interpolatedWh: 250, estimatedWh: 0, missingWh: 250 };
  expect(splitInWords(split)).toBe(
    `50.0${THIN}% measured, 25.0${THIN}% interpolated, 25.0${THIN}% missing`,
  );
});
