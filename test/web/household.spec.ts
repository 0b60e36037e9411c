import { describe, expect, test } from '@jest/globals';
import type { Settlement } from '../../web/src/answers.js';
import { addUp, largest } from '../../web/src/day-book.js';
import { addressOf, placeAt, placesOf } from '../../web/src/grants.js';
import { explainBuy, explainSell, parseLimit } from '../../web/src/limits.js';
import { powerOf } from '../../web/src/power.js';

describe('a household’s day', () => {
  const settlement = (changes: Partial<Settlement>): Settlement => ({
    household: 'h07',
    slot: '2026-06-01T10:15:00Z',
    producedWh: 0,
    consumedWh: 0,
    selfWh: 0,
    fromNeighborsWh: 0,
    toNeighborsWh: 0,
    fromGridWh: 0,
    toGridWh: 0,
    imbalanceWh: 0,
    netMicro: 0,
    currency: 'EUR',
    quality: 'measured',
    tariffMicro: 0,
    savedMicro: 0,
    sequence: 7,
    neighbors: [],
    ...changes,
  });
  const bought = (alias: string, energyWh: number, micro: number) =>
    ({ alias, side: 'bought', energyWh, micro }) as const;

  test('adds up by source, the greatest neighbor first', () => {
    const book = addUp([
      settlement({
        selfWh: 300,
        fromNeighborsWh: 150,
        fromGridWh: 50,
        netMicro: -33_000,
        tariffMicro: -60_000,
        savedMicro: 27_000,
        neighbors: [bought('Mill lane', 50, 6_000), bought('Hilltop', 100, 12_000)],
      }),
      settlement({
        selfWh: 200,
        fromNeighborsWh: 90,
        toGridWh: 40,
        quality: 'estimated',
        neighbors: [bought('Mill lane', 90, 9_000)],
      }),
    ]);
    expect(book).toMatchObject({
      slots: 2,
      estimatedSlots: 1,
      usedWh: 790,
      producedWh: 540,
      netMicro: -33_000,
      tariffMicro: -60_000,
      savedMicro: 27_000,
    });
    expect(book.used).toEqual([
      { kind: 'own', alias: '', energyWh: 500, micro: null },
      { kind: 'neighbor', alias: 'Mill lane', energyWh: 140, micro: 15_000 },
      { kind: 'neighbor', alias: 'Hilltop', energyWh: 100, micro: 12_000 },
      { kind: 'grid', alias: '', energyWh: 50, micro: null },
    ]);
  });

  test('energy of neighbors without a name is not lost', () => {
    const { used, usedWh } = addUp([settlement({ fromNeighborsWh: 70 })]);
    expect(used).toEqual([{ kind: 'neighbor', alias: 'Neighbors', energyWh: 70, micro: null }]);
    expect(usedWh).toBe(70);
  });

  test('a long list of neighbors ends in one line of the same sum', () => {
    const neighbors = Array.from({ length: 9 }, (_, at) => bought(`N${at}`, 90 - at, 1_000));
    const { used, usedWh } = addUp([
      settlement({ selfWh: 5, fromGridWh: 7, fromNeighborsWh: 774, neighbors }),
    ]);
    const shown = largest(used, 4);
    expect(shown.map(({ alias }) => alias)).toEqual(['', 'N0', 'N1', 'N2', '6 more neighbors', '']);
    expect(shown.reduce((sum, share) => sum + share.energyWh, 0)).toBe(usedWh);
    expect(shown.at(-2)).toMatchObject({ micro: 6_000 });
  });
});

describe('power', () => {
  test('of all meters says what the house uses', () => {
    const at = 0;
    expect(
      powerOf([
        { role: 'grid', at, watts: -900 },
        { role: 'generation', at, watts: 2_500 },
        { role: 'storage', at, watts: 600 },
      ]),
    ).toEqual({ gridW: -900, generatedW: 2_500, storageW: 600, usedW: 1_000 });
  });

  test('is not known before a meter speaks', () => {
    expect(powerOf([])).toEqual({ gridW: null, generatedW: null, storageW: null, usedW: null });
  });
});

describe('limits', () => {
  const tariff = {
    retailMicroPerKwh: 300_000,
    feedInMicroPerKwh: 50_000,
    gridFeeMicroPerKwh: 0,
  };

  test.each([
    ['0.12', 120_000],
    [' 0,125 ', 125_000],
    ['.1', 100_000],
    ['1.', 1_000_000],
    ['0.000001', 1],
    ['', null],
    ['  ', null],
  ])('%p is a limit of %p', (typed, limit) => {
    expect(parseLimit(typed)).toEqual({ ok: true, limit });
  });

  test.each(['-0.1', '0.1234567', '12 cents', '1e3', '101', '0.1.2', '1,000.5'])(
    '%p is refused in words',
    (typed) => {
      expect(parseLimit(typed)).toEqual({ ok: false, reason: expect.stringMatching(/\.|\?$/) });
    },
  );

  test('are said back in plain words', () => {
    expect(explainSell(null, tariff, 'EUR')).toMatch(/whenever they want it/);
    expect(explainSell(120_000, tariff, 'EUR')).toMatch(/is €0.12 or more\. .* €0.05/);
    expect(explainSell(300_001, tariff, 'EUR')).toMatch(/all your surplus goes to the grid/);
    expect(explainBuy(null, tariff, 'EUR')).toMatch(/whenever they have some/);
    expect(explainBuy(200_000, tariff, 'EUR')).toMatch(/is €0.20 or less\. .* €0.30/);
    expect(explainBuy(49_999, tariff, 'EUR')).toMatch(/all you need comes from the grid/);
    const withFee = { ...tariff, gridFeeMicroPerKwh: 20_000 };
    expect(explainBuy(200_000, withFee, 'EUR')).toMatch(/or less, the grid fee of €0.02 included/);
  });
});

describe('places', () => {
  const places = placesOf([
    { role: 'household', microgrid: 'street', household: 'h07' },
    { role: 'operator', microgrid: null, household: null },
    { role: 'simulator', microgrid: null, household: null },
    { role: 'household', microgrid: 'street', household: 'h07' },
  ]);

  test('are the grants, each once', () => {
    expect(places.map(addressOf)).toEqual(['#/household/h07', '#/operator']);
  });

  test('have an address, and a grant for all lets it choose', () => {
    expect(placeAt('', places)).toEqual({ role: 'household', id: 'h07' });
    expect(placeAt('#/operator', places)).toEqual({ role: 'operator', id: null });
    expect(placeAt('#/operator/street', places)).toEqual({ role: 'operator', id: 'street' });
    expect(placeAt('#/household/h08', places)).toEqual({ role: 'household', id: 'h07' });
    expect(placeAt('#/regulator/street', places)).toEqual({ role: 'household', id: 'h07' });
    expect(placeAt('', [])).toBeUndefined();
  });
});
