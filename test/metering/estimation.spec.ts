import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  areEnough,
  candidates,
  hoursOf,
  latestCandidates,
  likeEnergy,
  LOOKBACK_DAYS,
  shapeOf as shapeFrom,
  STRAIGHT_LINE_MILLIS,
} from '../../src/metering/estimation.js';
import type { Gap, PastDays } from '../../src/metering/estimation.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A Monday. */
const MONDAY = Date.parse('2026-06-15T00:00:00Z');
const HOURS = LOOKBACK_DAYS * 24 + 1;

/** The full hours of the days before a gap, from the first midnight on; null where not known. */
type PastHours = readonly (number | null)[];

const dayOf = ({ fromMillis }: Gap): number => fromMillis - (fromMillis % DAY);
const hoursBefore = (midnight: number): number[] =>
  Array.from({ length: HOURS }, (_, hour) => midnight + hour * HOUR - LOOKBACK_DAYS * DAY);

const daysOf = (midnights: readonly number[], gap: Gap, hours: PastHours): PastDays => {
  const first = dayOf(gap) - LOOKBACK_DAYS * DAY;
  return new Map(
    midnights.map((midnight) => [
      midnight,
      hoursOf(midnight).map((hour) => hours[(hour - first) / HOUR]!),
    ]),
  );
};

/** With the days that are asked for at first, and all of them only where these are not enough. */
const shapeOf = (gap: Gap, hours: PastHours) => {
  const latest = daysOf(latestCandidates(gap), gap, hours);
  const all = daysOf(candidates(gap).flat(), gap, hours);
  return shapeFrom(gap, areEnough(gap, latest) ? latest : all);
};

/** A register that is known at all hours and rises by this much in each hour of the days before. */
function risingBy(energyIn: (hourOfDay: number, midnight: number) => number, gapDay = MONDAY) {
  let level = 1_000;
  return hoursBefore(gapDay).map((atMillis, index) => {
    if (index > 0) {
      const hour = atMillis - HOUR;
      level += energyIn((hour % DAY) / HOUR, hour - (hour % DAY));
    }
    return level;
  });
}

const at = (day: number, time: string): number =>
  MONDAY + day * DAY + Date.parse(`1970-01-01T${time}:00Z`);

/** Wh up to each instant of a gap, as `border.ts` floors them. */
const levels = (gap: Gap, hours: PastHours, riseWh: number, ...times: number[]) => {
  const shape = shapeOf(gap, hours);
  return (
    shape && times.map((time) => Number(shape.partOf(BigInt(riseWh) * 1_000_000n, time)) / 1e6)
  );
};

/** 100 Wh an hour, and 700 Wh from five to six in the evening; 10 Wh on weekends. */
const evenings = risingBy((hour, midnight) => {
  if ([0, 6].includes(new Date(midnight).getUTCDay())) return 10;
  return hour === 17 ? 700 : 100;
});

it('follows the last three days of the same kind', () => {
  const gap = { fromMillis: at(0, '16:00'), toMillis: at(0, '20:00') };
  expect(shapeOf(gap, evenings)!.likeDays).toEqual(['2026-06-12', '2026-06-11', '2026-06-10']);
  const borders = [at(0, '16:00'), at(0, '17:00'), at(0, '17:15'), at(0, '18:00'), at(0, '20:00')];
  expect(levels(gap, evenings, 500, ...borders)).toEqual([0, 50, 137.5, 400, 500]);
});

it('takes a weekend for a weekend, and a week as it comes', () => {
  const gap = { fromMillis: at(0, '00:00'), toMillis: at(7, '00:00') };
  const { likeDays } = shapeOf(gap, evenings)!;
  expect(likeDays).toEqual([
    '2026-06-14',
    '2026-06-13',
    '2026-06-07',
    '2026-06-12',
    '2026-06-11',
    '2026-06-10',
  ]);
  // Five workdays of 3,000 Wh and two days of 240 Wh, for twice as much energy.
  expect(levels(gap, evenings, 30_960, at(1, '00:00'), at(5, '00:00'), at(6, '12:00'))).toEqual([
    6_000, 30_000, 30_720,
  ]);
});

it.each([
  ['two hours or less', at(0, '16:00'), at(0, '18:00'), evenings],
  ['nothing known of any day', at(0, '16:00'), at(0, '20:00'), evenings.map(() => null)],
  [
    'no weekend known',
    at(4, '20:00'),
    at(5, '03:00'),
    evenings.map((level, hour) => (hour % 168 > 24 && hour % 168 < 72 ? null : level)),
  ],
  [
    'a register that stood still at these hours',
    at(0, '00:00'),
    at(0, '04:00'),
    risingBy((hour) => (hour > 8 ? 50 : 0)),
  ],
])('is a straight line with %s', (_, fromMillis, toMillis, hours) => {
  expect(shapeOf({ fromMillis, toMillis }, hours)).toBeNull();
});

it('passes over a day with an hour that is not known, or at which the register fell', () => {
  const hours: (number | null)[] = [...evenings];
  hours[(LOOKBACK_DAYS - 3) * 24 + 7] = null;
  hours[(LOOKBACK_DAYS - 4) * 24 + 9] = 1;
  const gap = { fromMillis: at(0, '16:00'), toMillis: at(0, '20:00') };
  expect(shapeOf(gap, hours)!.likeDays).toEqual(['2026-06-10', '2026-06-09', '2026-06-08']);
});

interface Drawn {
  /** Wh of each hour before the gap. */
  rises: number[];
  /** Hours of which nothing is known. */
  unknown: number[];
  day: number;
  fromMinute: number;
  minutes: number;
  riseMicroWh: bigint;
}

const random: fc.Arbitrary<Drawn> = fc.record({
  rises: fc.array(fc.nat(900), { minLength: HOURS - 1, maxLength: HOURS - 1 }),
  unknown: fc.array(fc.nat(HOURS - 1), { maxLength: 6 }),
  day: fc.nat(6),
  fromMinute: fc.nat(1_439),
  minutes: fc.integer({ min: 121, max: 3 * 1_440 }),
  riseMicroWh: fc.bigInt(0n, 90_000_000_000n),
});

function gapAndHours({ rises, unknown, day, fromMinute, minutes }: Drawn) {
  const fromMillis = MONDAY + day * DAY + fromMinute * MINUTE;
  const gap = { fromMillis, toMillis: fromMillis + minutes * MINUTE };
  const hours: (number | null)[] = risingBy(() => 0, dayOf(gap));
  let level = 0;
  rises.forEach((rise, index) => (hours[index + 1] = level += rise));
  hours[0] = 0;
  for (const index of unknown) hours[index] = null;
  return { gap, hours };
}

/** What each minute of a gap weighs: looked up in every day before it, one minute after another. */
function naiveWeights({ fromMillis, toMillis }: Gap, hours: PastHours): bigint[] | null {
  const isWeekend = (millis: number) => [0, 6].includes(new Date(millis).getUTCDay());
  const gapDay = fromMillis - (fromMillis % DAY);
  const weights: bigint[] = [];
  for (let minute = fromMillis; minute < toMillis; minute += MINUTE) {
    const found: number[] = [];
    for (let back = 1; back <= LOOKBACK_DAYS && found.length < 3; back += 1) {
      const first = (LOOKBACK_DAYS - back) * 24;
      const day = hours.slice(first, first + 25);
      if (isWeekend(gapDay - back * DAY) !== isWeekend(minute) || day.includes(null)) continue;
      const hour = Math.floor((minute % DAY) / HOUR);
      found.push(day[hour + 1]! - day[hour]!);
    }
    if (found.length === 0) return null;
    const sum = found.reduce((all, energyWh) => all + energyWh, 0);
    weights.push(BigInt((sum * 6) / found.length));
  }
  return weights.some((weight) => weight > 0n) ? weights : null;
}

it('gives each minute what the naive look at all days gives it', () => {
  fc.assert(
    fc.property(random, (drawn) => {
      const { gap, hours } = gapAndHours(drawn);
      const shape = shapeOf(gap, hours);
      const weights = naiveWeights(gap, hours);
      expect(shape === null).toBe(weights === null);
      if (!shape || !weights) return;
      const whole = weights.reduce((sum, weight) => sum + weight, 0n);
      let sum = 0n;
      weights.forEach((weight, minute) => {
        const part = shape.partOf(drawn.riseMicroWh, gap.fromMillis + minute * MINUTE);
        if (part !== (drawn.riseMicroWh * sum) / whole) throw new Error(`minute ${minute}`);
        sum += weight;
      });
      expect(shape.partOf(drawn.riseMicroWh, gap.toMillis)).toBe(drawn.riseMicroWh);
    }),
    { numRuns: 25 },
  );
});

it('adds up to the sum however it is cut, never falls, and says the same again', () => {
  fc.assert(
    fc.property(random, fc.array(fc.nat(3 * 1_440 * MINUTE)), (drawn, cuts) => {
      const { gap, hours } = gapAndHours(drawn);
      const shape = shapeOf(gap, hours);
      if (!shape) return;
      const span = gap.toMillis - gap.fromMillis;
      const times = [0, ...cuts.map((cut) => cut % span), span].sort((a, b) => a - b);
      const parts = times.map((time) => shape.partOf(drawn.riseMicroWh, gap.fromMillis + time));
      expect([parts[0], parts.at(-1)]).toEqual([0n, drawn.riseMicroWh]);
      parts.slice(1).forEach((part, place) => expect(part >= parts[place]!).toBe(true));
      const again = shapeOf({ ...gap }, [...hours])!;
      expect(
        times.toReversed().map((time) => again.partOf(drawn.riseMicroWh, gap.fromMillis + time)),
      ).toEqual(parts.toReversed());
    }),
    { numRuns: 25 },
  );
});

it('estimates the average of the last like days, and of a day what its parts add up to', () => {
  const hours = risingBy((hour, midnight) => (hour === 17 ? 3 * ((midnight / DAY) % 7) : 1));
  const slotAt = (fromMillis: number, minutes: number) => {
    const slot = { fromMillis, toMillis: fromMillis + minutes * MINUTE };
    return likeEnergy(
      slot,
      daysOf(candidates(slot).flat(), { ...slot, fromMillis: MONDAY }, hours),
    );
  };
  const ofDays = [10, 11, 12].map((day) => 3 * ((Date.UTC(2026, 5, day) / DAY) % 7));
  const sum = ofDays.reduce((all, energyWh) => all + energyWh, 0);
  expect(slotAt(at(0, '17:00'), 60)).toEqual({
    energyWh: sum / 3,
    likeDays: ['2026-06-12', '2026-06-11', '2026-06-10'],
  });
  const quarters = Array.from({ length: 96 }, (_, quarter) =>
    slotAt(MONDAY + quarter * 15 * MINUTE, 15),
  );
  expect(quarters.reduce((all, one) => all + one!.energyWh, 0)).toBe(23 + sum / 3);
  expect(likeEnergy({ fromMillis: MONDAY, toMillis: MONDAY + HOUR }, new Map())).toBeNull();
});

it('asks for days of the kinds in a gap, before the day in which it begins', () => {
  const gap = { fromMillis: at(3, '23:59'), toMillis: at(4, '23:59') };
  const asked = candidates(gap).flat();
  expect(asked).toHaveLength(10);
  expect(latestCandidates(gap)).toEqual([at(2, '00:00'), at(1, '00:00'), at(0, '00:00')]);
  expect(Math.min(...asked)).toBe(at(3 - LOOKBACK_DAYS, '00:00'));
  expect(candidates({ ...gap, toMillis: at(5, '00:01') })).toHaveLength(2);
  expect(STRAIGHT_LINE_MILLIS).toBe(2 * HOUR);
});
