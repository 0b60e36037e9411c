import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { forecast, quantile, slotsLookedAt, type Series } from '../../src/market/forecast.js';

/** What a household's past says of its next slot, against a twin that computes in fractions. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SLOT = Date.parse('2026-06-30T12:00:00Z');
const LAG = 3 * HOUR;

function told(history: Series, weather?: Series) {
  return forecast({
    slotMillis: SLOT,
    newestMillis: SLOT - LAG,
    history,
    ...(weather ? { weather } : {}),
  });
}

/** Energy by hours before the slot. */
const hoursBefore = (wh: (hours: number) => number | undefined): Series => {
  return (start) => wh((SLOT - start) / HOUR);
};

describe('a forecast', () => {
  test('is what has always been, without doubt', () => {
    const always = told(hoursBefore(() => 700));
    expect(always).toEqual({ expectedWh: 700, outcomesWh: Array.from({ length: 14 }, () => 700) });
  });

  test('trusts the guess that was right: each day like the day before', () => {
    // By day only, and more each week: three hours ago and last week are both wrong, yesterday is not.
    const days = hoursBefore((hours) =>
      hours % 24 === 0 ? 1000 - 100 * Math.ceil(hours / 168) : 0,
    );
    expect(told(days)!.expectedWh).toBeGreaterThan(850);
  });

  test('knows nothing before the first measurement', () => {
    expect(told(() => undefined)).toBeNull();
  });

  test('on the first day goes by the newest slot, and cannot say how sure it is', () => {
    expect(told(hoursBefore((hours) => (hours === 3 ? -250 : undefined)))).toEqual({
      expectedWh: -250,
      outcomesWh: [-250],
    });
  });

  test('never looks at a slot that is newer than it may', () => {
    const history: Series = (start) => (start > SLOT - LAG ? 1_000_000 : -100);
    expect(told(history)!.expectedWh).toBe(-100);
    expect(() => forecast({ slotMillis: SLOT, newestMillis: SLOT, history })).toThrow(RangeError);
  });

  test('asks for no slot beyond those it names', () => {
    const named = new Set(slotsLookedAt({ slotMillis: SLOT, newestMillis: SLOT - LAG }));
    const asked = new Set<number>();
    told(
      (start) => {
        asked.add(start);
        return 1;
      },
      () => 5,
    );
    expect([...asked].filter((start) => start <= SLOT - LAG && !named.has(start))).toEqual([]);
  });

  test('with weather goes by the day whose weather was most alike', () => {
    // The sun shone on even days; tomorrow's weather is an even day's.
    const sunny = (start: number) => ((SLOT - start) / DAY) % 2 === 0;
    const history: Series = (start) => (sunny(start) ? 2000 : -500);
    const blind = told(history)!;
    const seeing = told(history, (start) => (start === SLOT || sunny(start) ? 900 : 100))!;
    expect(blind.expectedWh).toBeLessThan(1000);
    expect(seeing.expectedWh).toBeGreaterThan(1900);
  });

  test('agrees with a twin that computes in fractions', () => {
    const series = fc.array(fc.option(fc.integer({ min: -4000, max: 4000 }), { freq: 8 }), {
      minLength: 24 * 22,
      maxLength: 24 * 22,
    });
    fc.assert(
      fc.property(series, (values) => {
        const history = hoursBefore((hours) => values[hours] ?? undefined);
        const twin = naiveForecast(history);
        const ours = told(history);
        if (twin === null || ours === null) return ours === twin;
        expect(Math.abs(ours.expectedWh - twin.expected)).toBeLessThanOrEqual(1);
        expect(ours.outcomesWh.length).toBe(twin.outcomes.length);
        ours.outcomesWh.forEach((wh, index) => {
          expect(Math.abs(wh - twin.outcomes[index]!)).toBeLessThanOrEqual(2);
        });
        return true;
      }),
      { numRuns: Number(process.env['FORECAST_RUNS'] ?? 150) },
    );
  });
});

test('quantiles are of the nearest rank', () => {
  const wide = { expectedWh: 0, outcomesWh: [-300, -100, 0, 100, 900] };
  expect([0, 250, 500, 900, 1000].map((each) => quantile(wide, each))).toEqual([
    -300, -100, 0, 900, 900,
  ]);
  expect(quantile({ expectedWh: 5, outcomesWh: [5] }, 900)).toBe(5);
});

/** The same in floating point, written down straight from the definition. */
function naiveForecast(all: Series): { expected: number; outcomes: number[] } | null {
  const history: Series = (start) => (start > SLOT - LAG ? undefined : all(start));
  const guesses = [LAG, DAY, 7 * DAY].map((back) => (start: number) => history(start - back));
  const days = Array.from({ length: 14 }, (_, day) => SLOT - (day + 1) * DAY);
  const errors = guesses.map((guess) => {
    const off = days.flatMap((start) => {
      const [was, said] = [history(start), guess(start)];
      return was === undefined || said === undefined ? [] : [Math.abs(was - said)];
    });
    return off.length === 0
      ? undefined
      : Math.floor(off.reduce((sum, each) => sum + each, 0) / off.length);
  });
  const worst = Math.max(0, ...errors.map((error) => error ?? 0));
  const blend = (start: number) => {
    let [sum, weights] = [0, 0];
    guesses.forEach((guess, index) => {
      const said = guess(start);
      if (said === undefined) return;
      const weight = 1 / ((errors[index] ?? worst) + 1);
      sum += weight * said;
      weights += weight;
    });
    return weights === 0 ? undefined : sum / weights;
  };
  const expected = blend(SLOT);
  if (expected === undefined) return null;
  const outcomes = days.flatMap((start) => {
    const [was, said] = [history(start), blend(start)];
    return was === undefined || said === undefined ? [] : [expected + was - said];
  });
  return {
    expected,
    outcomes: (outcomes.length > 0 ? outcomes : [expected]).sort((a, b) => a - b),
  };
}
