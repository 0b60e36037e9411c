import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { dealingAlarms, type Dealing } from '../../src/market/dealing.js';
import { meteredMarket } from '../../src/market/metered-market.js';
import { groupBy } from '../../src/units/group-by.js';
import { sharedFile } from '../support/shared.js';

/** `A > B: 9000 Wh in 20`: what A sold to B in the window, and in how many slots. */
function dealt(lines: string[]): Dealing[] {
  return lines.map((line) => {
    const [, seller, buyer, energyWh, slots] = /^(\w+) > (\w+): (\d+) Wh in (\d+)$/.exec(line)!;
    return { seller: seller!, buyer: buyer!, energyWh: +energyWh!, slots: +slots! };
  });
}

/** What others on the street do: everybody sells to everybody. */
const CROWD = ['E', 'F', 'G', 'H'].flatMap((seller) =>
  ['E', 'F', 'G', 'H']
    .filter((buyer) => buyer !== seller)
    .map((buyer) => `${seller} > ${buyer}: 3000 Wh in 9`),
);

/** Accounts that one person can act for, as `A B`. */
function alarms(lines: string[], ...owned: string[]) {
  const owners = new Map(owned.map((ids, index) => [`person ${index}`, ids.split(' ')]));
  return dealingAlarms(dealt(lines), owners).map(
    ({ kind, severity, households, linked }) =>
      `${severity} ${kind}: ${households.join(' ')}${linked ? ' (linked)' : ''}`,
  );
}

describe('who deals with whom', () => {
  test('a crowd that trades all ways round is no alarm', () => {
    expect(alarms(CROWD)).toEqual([]);
  });

  test('two that pass energy to and fro, and hardly trade with anybody else', () => {
    const wash = ['A > B: 9000 Wh in 20', 'B > A: 8000 Wh in 18', 'A > E: 1000 Wh in 3'];
    expect(alarms([...CROWD, ...wash])).toEqual(['serious wash-trades: A B']);
    const looser = [...wash, 'F > A: 2000 Wh in 5'];
    expect(alarms([...CROWD, ...looser])).toEqual(['warning wash-trades: A B']);
    expect(alarms([...CROWD, ...wash], 'A B')).toEqual(['serious wash-trades: A B (linked)']);
  });

  test('not when they trade as much with others, one way only, seldom, or little', () => {
    const others = ['A > E: 9000 Wh in 20', 'F > A: 9000 Wh in 20'];
    const both = ['A > B: 9000 Wh in 20', 'B > A: 8000 Wh in 18'];
    expect(alarms([...CROWD, ...both, ...others])).toEqual([]);
    expect(alarms([...CROWD, 'A > B: 9000 Wh in 20', 'B > A: 3000 Wh in 9'])).toEqual([]);
    expect(alarms([...CROWD, 'A > B: 9000 Wh in 3', 'B > A: 8000 Wh in 3'])).toEqual([]);
    expect(alarms([...CROWD, 'A > B: 900 Wh in 20', 'B > A: 800 Wh in 18'])).toEqual([]);
  });

  test('not where there is nobody else to trade with', () => {
    const three = ['A > B: 9000 Wh in 20', 'B > A: 8000 Wh in 18', 'A > C: 10 Wh in 1'];
    expect(alarms(three)).toEqual([]);
  });

  test('energy that comes back by way of others', () => {
    const circle = ['C > A: 7000 Wh in 9', 'A > D: 8000 Wh in 9', 'D > C: 9000 Wh in 9'];
    expect(alarms([...CROWD, ...circle])).toEqual(['serious circular-trades: A D C']);
    const loose = [...circle, 'E > A: 3000 Wh in 9', 'C > F: 4000 Wh in 9'];
    expect(alarms([...CROWD, ...loose])).toEqual(['warning circular-trades: A D C']);
    expect(alarms([...CROWD, ...loose], 'A C')).toEqual([
      'serious circular-trades: A D C (linked)',
      'notice linked-trades: A C (linked)',
    ]);
    const chain = ['C > A: 7000 Wh in 9', 'A > D: 8000 Wh in 9'];
    expect(alarms([...CROWD, ...chain])).toEqual([]);
    const net = ['C > A: 2000 Wh in 9', 'A > D: 8000 Wh in 9', 'D > C: 9000 Wh in 9'];
    expect(alarms([...CROWD, ...net])).toEqual([]);
  });

  test('accounts of one owner: to and fro is washing, one way is worth a look', () => {
    const oneWay = ['A > B: 3000 Wh in 9', 'A > E: 5000 Wh in 9', 'F > B: 5000 Wh in 9'];
    expect(alarms([...CROWD, ...oneWay], 'A B')).toEqual(['notice linked-trades: A B (linked)']);
    const back = [...oneWay, 'B > A: 2000 Wh in 9'];
    expect(alarms([...CROWD, ...back], 'A B')).toEqual(['serious wash-trades: A B (linked)']);
    expect(alarms(['A > B: 3000 Wh in 9', 'B > A: 2000 Wh in 9'], 'B A')).toEqual([
      'serious wash-trades: A B (linked)',
    ]);
    const little = ['A > B: 1000 Wh in 9', 'A > E: 5000 Wh in 9', 'F > B: 5000 Wh in 9'];
    expect(alarms([...CROWD, ...little], 'A B')).toEqual([]);
  });

  test('a planted circle is found in any crowd that trades elsewhere, whatever the order of rows', () => {
    const crowd = fc.array(
      fc.record({
        seller: fc.constantFrom('E', 'F', 'G', 'H', 'I', 'J'),
        buyer: fc.constantFrom('K', 'L', 'M', 'N', 'O', 'P'),
        energyWh: fc.integer({ min: 1, max: 9_000 }),
        slots: fc.integer({ min: 1, max: 9 }),
      }),
      { minLength: 4, maxLength: 40 },
    );
    const unique = crowd.map((rows) => [
      ...new Map(rows.map((row) => [`${row.seller} ${row.buyer}`, row])).values(),
    ]);
    const planted = fc.integer({ min: 2, max: 4 }).map((length) =>
      ['A', 'B', 'C', 'D'].slice(0, length).map((seller, index, all) => ({
        seller,
        buyer: all[(index + 1) % length]!,
        energyWh: 5_000 + index,
        slots: 8,
      })),
    );
    fc.assert(
      fc.property(unique, planted, (rows, circle) => {
        const found = dealingAlarms([...rows, ...circle], new Map());
        expect(found.map(({ households }) => households)).toEqual([
          circle.map(({ seller }) => seller),
        ]);
        expect(dealingAlarms([...circle, ...rows].reverse(), new Map())).toEqual(found);
      }),
    );
  });
});

const MEASURED = sharedFile('data/citylearn2022_load_pv_hourly.csv');
const TARIFF = { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 };

(MEASURED === null ? describe.skip : describe)('a measured year on an honest street', () => {
  if (MEASURED === null) return;
  const rows = readFileSync(MEASURED, 'utf8').trim().split('\n').slice(1);
  const slots = [
    ...groupBy(
      rows.map((row) => row.split(',')),
      ([at]) => at,
    ).values(),
  ];

  test.each([17, 6, 4])('raises no alarm in any week among %i homes', (homes) => {
    for (let week = 0; week + 168 <= slots.length; week += 168) {
      expect(dealingAlarms(dealingsOf(slots.slice(week, week + 168), homes), new Map())).toEqual(
        [],
      );
    }
  });

  function dealingsOf(week: string[][][], homes: number): Dealing[] {
    const trades = week.flatMap((slot) => {
      const households = slot.slice(0, homes).map(([, household, load, pv]) => ({
        householdId: household!,
        feeder: null,
        toSellWh: Math.max(0, Number(pv) - Number(load)),
        toBuyWh: Math.max(0, Number(load) - Number(pv)),
        sellAboveMicroPerKwh: null,
        buyBelowMicroPerKwh: null,
        availableMicro: 1_000_000_000,
      }));
      const rules = {
        kThousandths: 500,
        pricing: 'clearing',
        rationing: 'pro-rata',
        slotMinutes: 60,
        network: null,
      } as const;
      return meteredMarket({ households, tariff: TARIFF, rules }).trades;
    });
    return [...groupBy(trades, ({ seller, buyer }) => `${seller} ${buyer}`).values()].map(
      (all) => ({
        seller: all[0]!.seller,
        buyer: all[0]!.buyer,
        energyWh: all.reduce((sum, { energyWh }) => sum + energyWh, 0),
        slots: all.length,
      }),
    );
  }
});
