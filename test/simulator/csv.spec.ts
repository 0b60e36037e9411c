import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readCsv } from '../../simulator/csv.js';
import { splitIntervals, type MeasuredStreet } from '../../simulator/measured-street.js';
import { matchableWh, readingSteps } from '../../simulator/measured-day.js';
import { sharedFile } from '../support/shared.js';

const HEADER = 'timestamp,household,load_wh,pv_wh';

function streetOf(lines: string[], selection = {}): MeasuredStreet {
  const outcome = readCsv([HEADER, ...lines].join('\n'), selection);
  if (!outcome.ok) throw new Error(outcome.errors.join('; '));
  return outcome.street;
}

function errorsOf(text: string, selection = {}): string[] {
  const outcome = readCsv(text, selection);
  return outcome.ok ? [] : outcome.errors;
}

const TWO_HOURS = [
  '2026-06-01T10:00:00Z,h1,300,1200',
  '2026-06-01T10:00:00Z,h2,800,0',
  '2026-06-01T11:00:00Z,h1,400,100',
  '2026-06-01T11:00:00Z,h2,700,0',
];

describe('measured data', () => {
  test('detects the step and arranges households by name', () => {
    expect(streetOf(TWO_HOURS)).toEqual({
      stepMinutes: 60,
      derivedFromMinutes: null,
      startsAt: Date.UTC(2026, 5, 1, 10),
      intervals: 2,
      households: [
        { household: 'h1', loadWh: [300, 400], pvWh: [1200, 100] },
        { household: 'h2', loadWh: [800, 700], pvWh: [0, 0] },
      ],
    });
  });

  test('takes columns in any order, further columns, quotes, CRLF and a byte order mark', () => {
    const text =
      '\uFEFFpv_wh,note,household,timestamp,load_wh\r\n' +
      '5,"a, b",h1,2026-06-01T10:00:00Z,7\r\n\r\n6,,h1,2026-06-01T12:05:00+02:00,8\r\n';
    const outcome = readCsv(text);
    expect(outcome).toMatchObject({
      ok: true,
      street: { stepMinutes: 5, households: [{ household: 'h1', loadWh: [7, 8], pvWh: [5, 6] }] },
    });
  });

  test('missing rows and empty cells are gaps', () => {
    const street = streetOf([
      ...TWO_HOURS,
      '2026-06-01T12:00:00Z,h1,,100',
      '2026-06-01T14:00:00Z,h1,10,0',
      '2026-06-01T14:00:00Z,h3,,',
    ]);
    expect(street.intervals).toBe(5);
    expect(street.households.map(({ loadWh }) => loadWh)).toEqual([
      [300, 400, null, null, 10],
      [800, 700, null, null, null],
    ]);
    expect(street.households[0]!.pvWh[2]).toBeNull();
  });

  test('selects half-open in time, and by household', () => {
    const to = Date.UTC(2026, 5, 1, 11);
    expect(streetOf(TWO_HOURS, { to })).toMatchObject({ intervals: 1 });
    expect(streetOf(TWO_HOURS, { from: to })).toMatchObject({ startsAt: to, intervals: 1 });
    expect(streetOf(TWO_HOURS, { households: ['h2'] }).households).toHaveLength(1);
    expect(errorsOf([HEADER, ...TWO_HOURS].join('\n'), { households: ['h2', 'h9'] })).toEqual([
      'household h9 is not in the file',
    ]);
    expect(errorsOf([HEADER, ...TWO_HOURS].join('\n'), { to: 0 })).toHaveLength(1);
  });

  test('names every bad row by line and column, before anything is used', () => {
    const text = [
      HEADER,
      ...TWO_HOURS,
      '2026-06-01 12:00,h1,1,2',
      '2026-06-01T12:00:00Z,h 1,1,2',
      '2026-06-01T12:00:00Z,h1,-1,2',
      '2026-06-01T12:00:00Z,h2,1,0.5',
      '2026-06-01T13:00:00Z,h2,9999999,1e3',
      '2026-06-01T13:00:00Z,h1,1',
      '2026-06-01T13:10:00Z,h1,1,1',
      '2026-06-01T11:00:00Z,h2,1,1',
      '2026-02-31T11:00:00Z,h2,1,1',
    ].join('\n');
    expect(errorsOf(text)).toEqual([
      expect.stringMatching(/^line 6, column timestamp: "2026-06-01 12:00"/),
      expect.stringMatching(/^line 7, column household: "h 1"/),
      expect.stringMatching(/^line 8, column load_wh: "-1"/),
      expect.stringMatching(/^line 9, column pv_wh: "0.5"/),
      expect.stringMatching(/^line 10, column load_wh: "9999999"/),
      expect.stringMatching(/^line 10, column pv_wh: "1e3"/),
      expect.stringMatching(/^line 11: 3 columns where the header has 4/),
      expect.stringMatching(/^line 14, column timestamp: "2026-02-31/),
      expect.stringMatching(/^line 12, column timestamp: 2026-06-01T13:10:00Z is no UTC border/),
      expect.stringMatching(/^line 13, column household: h2 already has this interval in line 5/),
    ]);
  });

  test('lists the first twenty and counts the rest', () => {
    const rows = Array.from({ length: 100 }, () => '2026-06-01T12:00:00Z,h1,x,0');
    expect(readCsv([HEADER, ...TWO_HOURS, ...rows].join('\n'))).toMatchObject({
      ok: false,
      errors: { length: 20 },
      unlisted: 80,
    });
  });

  test.each([
    ['', 'the header lacks timestamp, household, load_wh, pv_wh'],
    ['timestamp,household,load_wh\n', 'the header lacks pv_wh'],
    [HEADER, 'no rows'],
    [`${HEADER}\n2026-06-01T10:00:00Z,h1,1,1`, 'the step cannot be detected'],
    [`${HEADER}\n"2026`, 'line'],
  ])('refuses %j', (text, reason) => {
    expect(errorsOf(text)).toEqual([expect.stringContaining(reason)]);
  });
});

describe('splitting into shorter slots', () => {
  test('gives the units left over to the first parts', () => {
    const street = splitIntervals(streetOf(TWO_HOURS.map((row) => row.replace('300', '302'))), 15);
    expect(street).toMatchObject({ stepMinutes: 15, derivedFromMinutes: 60, intervals: 8 });
    expect(street.households[0]!.loadWh).toEqual([76, 76, 75, 75, 100, 100, 100, 100]);
  });

  test('keeps the sum of every interval, and its gaps', () => {
    const wh = fc.option(fc.nat(1_000_000));
    fc.assert(
      fc.property(
        fc.array(wh, { minLength: 1 }),
        fc.constantFrom(5, 15, 30),
        (values, slotMinutes) => {
          const street = splitIntervals(
            {
              stepMinutes: 60,
              derivedFromMinutes: null,
              startsAt: 0,
              intervals: values.length,
              households: [{ household: 'h', loadWh: values, pvWh: values }],
            },
            slotMinutes as 5,
          );
          const parts = 60 / slotMinutes;
          values.forEach((value, index) => {
            const split = street.households[0]!.loadWh.slice(index * parts, (index + 1) * parts);
            if (value === null) expect(new Set(split)).toEqual(new Set([null]));
            else expect(split.reduce((sum, one) => sum! + one!, 0)).toBe(value);
          });
        },
      ),
    );
  });

  test('a slot as long as the step or longer leaves the data alone', () => {
    const street = streetOf(TWO_HOURS);
    expect(splitIntervals(street, 60)).toBe(street);
  });

  test('a slot that does not divide the step is refused', () => {
    const street = { ...streetOf(TWO_HOURS), stepMinutes: 20 };
    expect(() => splitIntervals(street, 15)).toThrow('do not divide');
  });
});

describe('the CityLearn week of May 2017', () => {
  const file = sharedFile('data/citylearn2022_load_pv_hourly.csv');
  const ifPresent = file === null ? test.skip : test;

  ifPresent('sums to what is known of it, and its registers tell the same', () => {
    const outcome = readCsv(readFileSync(file!, 'utf8'), {
      from: Date.UTC(2017, 4, 1, 7),
      to: Date.UTC(2017, 4, 8, 7),
    });
    if (!outcome.ok) throw new Error(outcome.errors.join('\n'));
    const { street } = outcome;
    expect(street).toMatchObject({ stepMinutes: 60, intervals: 168 });
    expect(street.households).toHaveLength(17);
    expect(matchableWh(street, 60)).toBe(377_545);
    let production = 0;
    let consumption = 0;
    let self = 0;
    for (const { loadWh, pvWh } of street.households) {
      loadWh.forEach((load, index) => {
        production += pvWh[index]!;
        consumption += load!;
        self += Math.min(load!, pvWh[index]!);
      });
    }
    expect([production, consumption, self]).toEqual([2_346_847, 2_912_037, 1_207_480]);

    const steps = [...readingSteps(street)];
    expect(steps).toHaveLength(169);
    expect(steps.every(({ readings }) => readings.length === 34)).toBe(true);
    const last = steps.at(-1)!.readings;
    const total = (suffix: string, register: 'importWh' | 'exportWh') =>
      last
        .filter(({ meter }) => meter.endsWith(suffix))
        .reduce((sum, reading) => sum + reading[register], 0);
    expect(total('-pv', 'exportWh')).toBe(2_346_847);
    expect(total('-grid', 'importWh')).toBe(2_912_037 - 1_207_480);
    expect(total('-grid', 'exportWh')).toBe(2_346_847 - 1_207_480);
    // Quarters derived from hours can match no less than the hours did.
    expect(matchableWh(splitIntervals(street, 15), 15)).toBeGreaterThan(370_000);
  });

  ifPresent('the whole year has one hour without data', () => {
    const outcome = readCsv(readFileSync(file!, 'utf8'));
    if (!outcome.ok) throw new Error(outcome.errors.join('\n'));
    const { street } = outcome;
    expect(street.intervals).toBe(8_760);
    const gaps = street.households.map(({ loadWh }) => loadWh.filter((wh) => wh === null).length);
    expect(new Set(gaps)).toEqual(new Set([1]));
  });
});
