import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { RegisterReading } from '../../src/metering/border.js';
import {
  DEFAULT_CONNECTION_W,
  follows,
  judge,
  LOOKAHEAD,
  type Exchange,
  type SuspectRule,
} from '../../src/metering/plausibility.js';

/** Which readings count, as tables of what a meter said minute by minute. */

const MINUTE = 60_000;
const at = (minute: number, wh: number): RegisterReading => ({
  atMillis: minute * MINUTE,
  microWh: BigInt(Math.round(wh * 1e6)),
});

const RULES: Record<string, SuspectRule> = {
  v: 'falling_register',
  '^': 'beyond_connection',
  x: 'outlier',
};

/**
 * Readings one a minute: a plain number counts; `v`, `^` and `x` before it say by which rule it does
 * not. `...` is a quarter of an hour.
 */
function day(text: string): { readings: RegisterReading[]; expected: string[] } {
  const readings: RegisterReading[] = [];
  const expected: string[] = [];
  let minute = 0;
  for (const word of text.split(' ')) {
    if (word === '...') {
      minute += 14;
      continue;
    }
    const rule = RULES[word[0]!];
    const reading = at(minute, Number(rule ? word.slice(1) : word));
    readings.push(reading);
    if (rule) expected.push(`${minute} ${rule}`);
    minute += 1;
  }
  return { readings, expected };
}

function suspectsOf(
  readings: readonly RegisterReading[],
  maxW = DEFAULT_CONNECTION_W,
  exchanges: readonly Exchange[] = [],
): string[] {
  return judge(readings, null, maxW, exchanges)
    .suspects.map(({ reading, rule }) => `${reading.atMillis / MINUTE} ${rule}`)
    .toSorted((a, b) => Number(a.split(' ')[0]) - Number(b.split(' ')[0]));
}

it.each([
  ['rises', '1000 1010 1020 1030'],
  ['stands still', '5000 5000 5000 5000'],
  ['of a new meter starts at zero', '0 0 0 3 5'],
  ['is followed by zero each time', '7000 v0 7010 v0 7020 v0 7030 v0'],
  ['is zero before each reading', 'x0 700000 v0 700010 v0 700020 v0'],
  ['stands still and is zero each other time', 'x0 900000 v0 900000 v0 900000 v0 900000'],
  ['drops by thousands and returns', '9000 9010 v4000 9020 9030'],
  ['drops for long and returns', '9000 9010 v10 v20 v30 v40 v50 v60 v70 v80 v90 v95 9020 9030'],
  ['drops and stays', '9000 9010 v10 v20 v30 v40 v50 v60 v70 v80 v90 v100 v110'],
  ['leaps and comes back', '1000 1010 ^900000 1020 1030'],
  ['leaps and says no more', '1000 1010 ^900000'],
  ['leaps for long and comes back', '1000 1005 ^900000 ^900001 ^900002 ^900003 1020 1030'],
  ['rises a little too high and comes back', '1000 1010 x1700 1020 1030 1040'],
  ['rises too high twice and comes back', '1000 1010 x1700 x1701 1020 1030 1040'],
  ['begins with a leap', 'x900000 1000 1010 1020'],
  ['begins with a drop', 'x1000 90000 90010 90020'],
  ['begins with zeros', 'x0 x0 900000 900010 900020'],
  ['counts whole kWh', '5000 5000 5000 6000 6000 6000 7000'],
])('a register that %s', (_, text) => {
  const { readings, expected } = day(text);
  expect(suspectsOf(readings)).toEqual(expected);
});

it('believes a leap once the connection can have carried it since', () => {
  const maxW = 10_000;
  // 40 kWh at 15 kW take 2 h 36 min.
  const held = [at(0, 10), at(15, 1_000), at(30, 41_000), at(120, 41_500), at(150, 41_600)];
  expect(suspectsOf(held, maxW)).toHaveLength(3);
  const later = [...held, at(200, 42_000), at(215, 42_100)];
  expect(suspectsOf(later, maxW)).toHaveLength(3);
  expect(judge(later, null, maxW).good.at(-1)).toEqual(at(215, 42_100));
});

describe('rejects nothing of', () => {
  it.each([
    ['a small flat that uses 1 kWh a day', 1_000 / 96, 25 * 230],
    ['a big house with a heat pump and a wallbox', 8_500, 25 * 3 * 230 * 2],
    ['the same where no limit is enrolled', 8_500, DEFAULT_CONNECTION_W],
    ['an empty house', 0, 3_000],
  ])('%s', (_, slotWh, maxW) => {
    for (const round of [(wh: number) => wh, Math.floor, (wh: number) => wh - (wh % 1_000)]) {
      const readings = Array.from({ length: 30 * 96 }, (_slot, slot) =>
        at(slot * 15, round(3_000_000 + slot * slotWh)),
      );
      expect(suspectsOf(readings, maxW)).toEqual([]);
    }
  });
});

describe('a rollover', () => {
  const SPAN = 100_000_000;
  it.each([
    ['goes on behind the last digit', '99999700 99999900 100 300 500', [0, 200, 400, 600, 800]],
    ['is not believed of one reading', '99999700 99999900 100', [0, 200]],
    ['is no zero between readings', '99999700 0 99999800 0 99999900 0 0', [0, 100, 200]],
    ['does not happen in the middle', '50000000 50000100 100 300 500', [0, 100]],
  ])('%s', (_, text, rises) => {
    const { good } = judge(day(text).readings, null, DEFAULT_CONNECTION_W);
    const first = good[0]!.microWh;
    expect(good.map(({ microWh }) => Number((microWh - first) / 1_000_000n))).toEqual(rises);
    for (const { microWh, offsetMicroWh = 0n } of good) {
      expect([0n, BigInt(SPAN) * 1_000_000n]).toContain(offsetMicroWh);
      expect(microWh - offsetMicroWh).toBeLessThan(BigInt(SPAN) * 1_000_000n);
    }
  });
});

it('goes on behind an exchange with what the new meter shows', () => {
  const readings = [at(0, 5_000), at(10, 5_100), at(30, 12), at(40, 40)];
  expect(suspectsOf(readings)).toEqual(['30 falling_register', '40 falling_register']);
  const exchange = {
    atMillis: 20 * MINUTE,
    oldFinalMicroWh: 5_150_000_000n,
    newFirstMicroWh: 2_000_000n,
  };
  const { good, suspects } = judge(readings, null, DEFAULT_CONNECTION_W, [exchange]);
  expect(suspects).toEqual([]);
  expect(good.map(({ microWh }) => Number(microWh / 1_000_000n))).toEqual([
    5_000, 5_100, 5_150, 5_150, 5_160, 5_188,
  ]);
});

it('ends an exchanged meter at its last value, whatever it showed beyond', () => {
  const readings = [at(0, 5_000), at(10, 5_100), at(15, 5_300), at(30, 12), at(40, 40)];
  const exchange = {
    atMillis: 20 * MINUTE,
    oldFinalMicroWh: 5_150_000_000n,
    newFirstMicroWh: 2_000_000n,
  };
  expect(suspectsOf(readings, DEFAULT_CONNECTION_W, [exchange])).toEqual(['15 outlier']);
});

it('a register of whole kWh moves by one at once on the smallest connection', () => {
  const readings = [at(0, 7_000), at(1, 7_000), at(2, 8_000), at(3, 8_000), at(4, 9_000)];
  expect(suspectsOf(readings, 1_000)).toEqual([]);
  expect(suspectsOf([...readings, at(5, 11_000)], 1_000)).toEqual(['5 beyond_connection']);
});

it.each([
  // Registers of 99,999 kWh, after days in which a connection of 250 kW could have filled the rest.
  ['from below nine tenths', 80_000_000, 0],
  ['to above a tenth', 95_000_000, 12_000_000],
])('no rollover leads %s', (_, lastWh, nextWh) => {
  const days = 4 * 24 * 60;
  const readings = [
    ...[1, 2, 3].map((minute) => at(minute, lastWh + 100 * minute)),
    ...[1, 2, 3].map((minute) => at(days + minute, nextWh + 100 * minute)),
  ];
  expect(suspectsOf(readings)).toEqual(
    [1, 2, 3].map((minute) => `${days + minute} falling_register`),
  );
});

/** Mostly rising, with zeros, drops, leaps and stuck values among the readings. */
const stream = fc
  .array(
    fc.record({
      minutes: fc.integer({ min: 1, max: 30 }),
      rise: fc.nat(900),
      glitch: fc.constantFrom('', '', '', '', 'zero', 'drop', 'leap', 'bump'),
      size: fc.integer({ min: 1, max: 3_000 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .map((steps) => {
    let minute = 0;
    let wh = 500_000;
    return steps.map(({ minutes, rise, glitch, size }) => {
      minute += minutes;
      wh += rise;
      if (glitch === 'zero') return at(minute, 0);
      if (glitch === 'drop') return at(minute, wh - size * 100);
      if (glitch === 'leap') return at(minute, wh + size * 1_000);
      if (glitch === 'bump') return at(minute, wh + (size % 900));
      return at(minute, wh);
    });
  });

const MAX_W = 20_000;

/** The first of the longest run behind a reading, by trying every subset of the few that follow. */
function naiveNext(
  base: RegisterReading,
  readings: readonly RegisterReading[],
): RegisterReading | null {
  const first = readings.findIndex(
    (one) => one.atMillis > base.atMillis && follows(base, one, MAX_W),
  );
  if (first < 0) return null;
  const window = readings.slice(first, first + LOOKAHEAD);
  let best: number[] = [];
  for (let mask = 1; mask < 1 << window.length; mask += 1) {
    const run = window.flatMap((_, place) => (mask & (1 << place) ? [place] : []));
    const values = [base, ...run.map((place) => window[place]!)];
    if (!values.every((one, place) => place === 0 || follows(values[place - 1]!, one, MAX_W))) {
      continue;
    }
    if (isBetter(run, best, window)) best = run;
  }
  return window[best[0]!]!;
}

function isBetter(
  run: readonly number[],
  best: readonly number[],
  window: readonly RegisterReading[],
): boolean {
  if (best.length === 0 || run.length !== best.length) return run.length > best.length;
  const last = (places: readonly number[]) => window[places.at(-1)!]!.microWh;
  if (last(run) !== last(best)) return last(run) < last(best);
  return run[0]! < best[0]!;
}

it('finds what trying every subset finds', () => {
  fc.assert(
    fc.property(stream, (readings) => {
      const { good, suspects } = judge(readings, null, MAX_W);
      expect(good.length + suspects.length).toBe(readings.length);
      good.forEach((reading, place) => {
        expect(naiveNext(reading, readings)).toEqual(good[place + 1] ?? null);
      });
    }),
  );
});

it('gives the same from any reading that counts, and whatever comes behind those settled', () => {
  fc.assert(
    fc.property(stream, fc.nat(), (readings, chosen) => {
      const whole = judge(readings, null, MAX_W);
      const anchor = whole.good[chosen % whole.good.length]!;
      expect(judge(readings, anchor, MAX_W).good).toEqual(
        whole.good.filter(({ atMillis }) => atMillis > anchor.atMillis),
      );
      const known = readings.slice(0, 1 + (chosen % readings.length));
      const settled = known.at(-1 - LOOKAHEAD)?.atMillis ?? -1;
      const early = judge(known, null, MAX_W).good.filter(({ atMillis }) => atMillis <= settled);
      expect(whole.good.slice(0, early.length)).toEqual(early);
    }),
  );
});

it('never falls, never outruns the connection, and keeps every register that does neither', () => {
  fc.assert(
    fc.property(stream, (readings) => {
      const { good } = judge(readings, null, MAX_W);
      good.forEach((reading, place) => {
        if (place > 0) expect(follows(good[place - 1]!, reading, MAX_W)).toBe(true);
      });
      expect(judge(good, null, MAX_W).suspects).toEqual([]);
    }),
  );
});
