import { divideFloor } from '../units/integer.js';
import { formatInstant } from '../units/slot.js';

/**
 * How energy flowed that is known only as a sum: in a gap between two readings a register rises as
 * it did on the last days like those of the gap. Each border is the sum's share up to there, floored
 * once by `border.ts`, so that the slots of a gap add up to it exactly, whichever of them are asked
 * for and in what order (decision 042).
 */

/** Between readings no further apart energy is taken to flow evenly. */
export const STRAIGHT_LINE_MILLIS = 7_200_000;

/** Like days are looked for in so many days before the one in which a gap begins. */
export const LOOKBACK_DAYS = 14;

/** So many of the last like days make a course. */
const LIKE_DAYS = 3;

/** Two readings of a register, with none between them that counts. */
export interface Gap {
  fromMillis: number;
  toMillis: number;
}

/**
 * What a register showed on UTC days, by their midnights: in Wh at the 25 full hours from one
 * midnight to the next, null where readings did not enclose it. A day left out is not known.
 */
export type PastDays = ReadonlyMap<number, readonly (number | null)[]>;

/** Of which days a gap has its shape, and which part of its energy has flowed at an instant. */
export interface Shape {
  /** UTC dates, the last one of each kind of day first. */
  likeDays: string[];
  /** @returns micro-Wh of `rise` up to an instant within the gap, floored */
  partOf(riseMicroWh: bigint, atMillis: number): bigint;
}

/** The days that may be like those of a gap, the latest of each kind first. */
export function candidates(gap: Gap): number[][] {
  const gapDay = Math.floor(gap.fromMillis / DAY) * DAY;
  const before = Array.from({ length: LOOKBACK_DAYS }, (_, back) => gapDay - (back + 1) * DAY);
  return kindsIn(gap).map((kind) => before.filter((midnight) => kindOf(midnight) === kind));
}

/** Those that are enough as a rule: where all are known, no others are looked at. */
export function latestCandidates(gap: Gap): number[] {
  return candidates(gap).flatMap((ofKind) => ofKind.slice(0, LIKE_DAYS));
}

/** Whether days that are not among these cannot change the shape. */
export function areEnough(gap: Gap, days: PastDays): boolean {
  return candidates(gap).every((ofKind) => lastKnown(ofKind, days).length === LIKE_DAYS);
}

/** The full hours of a day, both midnights included. */
export function hoursOf(midnight: number): number[] {
  return Array.from({ length: 25 }, (_, hour) => midnight + hour * HOUR);
}

/**
 * The shape of a gap, or null where energy is taken to flow evenly: between readings that are near,
 * where no days of each kind in the gap are known, and where nothing flowed in them at its hours.
 *
 * @param days at least its `latestCandidates`, and all of its `candidates` unless they `areEnough`
 */
export function shapeOf(gap: Gap, days: PastDays): Shape | null {
  if (gap.toMillis - gap.fromMillis <= STRAIGHT_LINE_MILLIS) return null;
  const likeDays: number[] = [];
  const courses = new Map<DayKind, bigint[]>();
  for (const ofKind of candidates(gap)) {
    const known = lastKnown(ofKind, days);
    if (known.length === 0) return null;
    likeDays.push(...known.map(({ midnight }) => midnight));
    courses.set(kindOf(known[0]!.midnight), average(known.map(({ levels }) => levels)));
  }
  const flowedUpTo = (atMillis: number) => flowIn({ ...gap, toMillis: atMillis }, courses);
  const whole = flowedUpTo(gap.toMillis);
  if (whole === 0n) return null;
  return {
    likeDays: likeDays.map((midnight) => formatInstant(midnight).slice(0, 10)),
    partOf: (riseMicroWh, atMillis) => divideFloor(riseMicroWh * flowedUpTo(atMillis), whole),
  };
}

/** What a slot probably takes, and the days that say so, as `Shape` names them; absent without any. */
export interface Estimate {
  energyWh: number;
  likeDays?: string[];
}

/**
 * What a slot takes on the average of its like days; null where none is known. Parts of a day add up
 * to the whole of it: each is the difference of two values rounded down.
 *
 * @param slot within one UTC day
 * @param days as for `shapeOf`
 */
export function likeEnergy(slot: Gap, days: PastDays): Estimate | null {
  const known = lastKnown(candidates(slot)[0]!, days);
  if (known.length === 0) return null;
  const course = average(known.map(({ levels }) => levels));
  const midnight = Math.floor(slot.fromMillis / DAY) * DAY;
  const sinceMidnight = (atMillis: number) =>
    Number(upTo(course, atMillis - midnight) / BigInt(6 * HOUR));
  return {
    energyWh: sinceMidnight(slot.toMillis) - sinceMidnight(slot.fromMillis),
    likeDays: known.map((one) => formatInstant(one.midnight).slice(0, 10)),
  };
}

type DayKind = 'workday' | 'weekend';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function kindOf(dayMillis: number): DayKind {
  const weekday = new Date(dayMillis).getUTCDay();
  return weekday === 0 || weekday === 6 ? 'weekend' : 'workday';
}

/** The kinds of the days in a gap; a week has both. */
function kindsIn({ fromMillis, toMillis }: Gap): DayKind[] {
  const first = Math.floor(fromMillis / DAY) * DAY;
  const last = Math.min(toMillis - 1, first + 6 * DAY);
  const kinds = new Set<DayKind>();
  for (let day = first; day <= last; day += DAY) kinds.add(kindOf(day));
  return [...kinds].sort();
}

interface LikeDay {
  midnight: number;
  levels: number[];
}

/** The latest days at all hours of which the register was known. */
function lastKnown(midnights: readonly number[], days: PastDays): LikeDay[] {
  const known: LikeDay[] = [];
  for (const midnight of midnights) {
    const levels = days.get(midnight);
    if (levels && isKnown(levels)) known.push({ midnight, levels });
    if (known.length === LIKE_DAYS) break;
  }
  return known;
}

/** A level that falls was settled for two slots at different times, and tells nothing. */
function isKnown(levels: readonly (number | null)[]): levels is number[] {
  if (levels.length !== 25) return false;
  return levels.every((level, hour) => level !== null && level >= (levels[hour - 1] ?? 0));
}

/** What flowed since midnight at each full hour, six times the average: 1, 2 and 3 divide six. */
function average(days: readonly (readonly number[])[]): bigint[] {
  const factor = 6 / days.length;
  return Array.from({ length: 25 }, (_, hour) =>
    days.reduce((sum, levels) => sum + BigInt((levels[hour]! - levels[0]!) * factor), 0n),
  );
}

/** What the courses say of an interval, in their unit times milliseconds. */
function flowIn(
  { fromMillis, toMillis }: Gap,
  courses: ReadonlyMap<DayKind, readonly bigint[]>,
): bigint {
  let sum = 0n;
  for (let day = Math.floor(fromMillis / DAY) * DAY; day < toMillis; day += DAY) {
    const course = courses.get(kindOf(day))!;
    sum += upTo(course, Math.min(toMillis - day, DAY));
    sum -= upTo(course, Math.max(fromMillis - day, 0));
  }
  return sum;
}

/** Evenly within each hour. */
function upTo(course: readonly bigint[], millisOfDay: number): bigint {
  const hour = Math.min(Math.floor(millisOfDay / HOUR), 23);
  const before = course[hour]!;
  const within = BigInt(millisOfDay - hour * HOUR);
  return before * BigInt(HOUR) + (course[hour + 1]! - before) * within;
}
