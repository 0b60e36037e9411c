/**
 * Local times of meters as instants. A wall clock shows one hour of autumn twice and leaves one of
 * spring out; which of two a reading means, its register tells, for it never falls.
 */

const LOCAL = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?$/;

/**
 * A local time without a zone, in milliseconds as if it were UTC.
 * @throws RangeError when it is not `YYYY-MM-DDTHH:MM:SS`, or no such day or time
 */
export function parseLocalTime(text: string): number {
  const match = LOCAL.exec(text);
  if (!match)
    throw new RangeError(`not a local time such as 2026-06-01T12:15:00: ${text.slice(0, 40)}`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six;
  const fraction = Math.floor(Number(match[7] ?? 0) * 1_000);
  return localMillis([year, month, day, hour, minute, second]) + fraction;
}

type Six = [number, number, number, number, number, number];

/** @throws RangeError when there is no such day or time of day, or it is before 1970 */
export function localMillis([year, month, day, hour, minute, second]: Six): number {
  const millis = Date.UTC(year, month - 1, day, hour, minute, second);
  const date = new Date(millis);
  const isReal =
    year >= 1970 &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second;
  if (!isReal) throw new RangeError('no such day or time of day');
  return millis;
}

/** The instants at which clocks of the zone showed this: none in spring's gap, two in autumn's hour. */
export function instantsOf(localMillisValue: number, timeZone: string): number[] {
  const offsets = [-DAY_MILLIS, DAY_MILLIS].map((shift) =>
    offsetMillis(localMillisValue + shift, timeZone),
  );
  return [...new Set(offsets)]
    .map((offset) => localMillisValue - offset)
    .filter((instant) => instant + offsetMillis(instant, timeZone) === localMillisValue)
    .sort((a, b) => a - b);
}

/**
 * A local time with DSMR's flag for summer (S) or winter (W) time.
 * @param timeZone one that changes its clocks says by how much; any other counts as Central European
 */
export function flaggedInstant(
  localMillisValue: number,
  flag: 'S' | 'W',
  timeZone: string,
): number {
  const year = new Date(localMillisValue).getUTCFullYear();
  const [january, july] = [0, 6].map((month) => offsetMillis(Date.UTC(year, month, 1), timeZone));
  const [winter, summer] =
    january === july ? [HOUR_MILLIS, 2 * HOUR_MILLIS] : [january!, july!].sort((a, b) => a - b);
  return localMillisValue - (flag === 'S' ? summer! : winter!);
}

/** What the registers showed; null where a register is absent. */
export interface Shown {
  importMicroWh: bigint | null;
  exportMicroWh: bigint | null;
}

export type LocalVerdict = number | 'no_such_time' | 'ambiguous';

/** Remembers a meter's latest readings, to tell the two autumn hours apart. */
export class LocalClock {
  private readonly seen: (Shown & { at: number })[] = [];

  constructor(private readonly timeZone: string) {}

  /**
   * Of two instants: the one that keeps every register from falling; if both do, the one close to
   * the arrival; if neither is, the first one not before the latest reading.
   */
  resolve(localMillisValue: number, shown: Shown, receivedAtMillis: number): LocalVerdict {
    const candidates = instantsOf(localMillisValue, this.timeZone);
    if (candidates.length === 0) return 'no_such_time';
    const instant =
      candidates.length === 1 ? candidates[0]! : this.choose(candidates, shown, receivedAtMillis);
    if (instant === undefined) return 'ambiguous';
    this.seen.push({ ...shown, at: instant });
    if (this.seen.length > MOST_SEEN) this.seen.shift();
    return instant;
  }

  private choose(
    candidates: readonly number[],
    shown: Shown,
    receivedAtMillis: number,
  ): number | undefined {
    const possible = candidates.filter((at) =>
      this.seen.every((other) => neverFalls({ ...shown, at }, other)),
    );
    if (possible.length < 2) return possible[0];
    const arriving = possible.filter((at) => Math.abs(receivedAtMillis - at) <= LIVE_MILLIS);
    if (arriving.length === 1) return arriving[0];
    const latest = this.seen.at(-1)?.at;
    if (latest === undefined || possible[0]! - latest > DAY_MILLIS) return undefined;
    return possible.find((at) => at >= latest);
  }
}

function neverFalls(one: Shown & { at: number }, other: Shown & { at: number }): boolean {
  return (['importMicroWh', 'exportMicroWh'] as const).every((register) => {
    const [a, b] = [one[register], other[register]];
    if (a === null || b === null) return true;
    if (one.at === other.at) return a === b;
    return one.at > other.at ? a >= b : a <= b;
  });
}

function offsetMillis(instant: number, timeZone: string): number {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    clocks.set(timeZone, clock);
  }
  const parts = new Map(
    clock.formatToParts(instant).map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const local = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  );
  return local - Math.floor(instant / 1_000) * 1_000;
}

/** By zone, of which there are some hundreds. */
const clocks = new Map<string, Intl.DateTimeFormat>();

const HOUR_MILLIS = 3_600_000;
const DAY_MILLIS = 24 * HOUR_MILLIS;
/** Half of what the two hours are apart. */
const LIVE_MILLIS = HOUR_MILLIS / 2;
const MOST_SEEN = 256;
