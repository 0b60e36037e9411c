import { formatInstant, type Instant } from '../units/slot.js';

/** A statement's month runs from local midnight to local midnight, whatever the clocks did between. */
export interface Month {
  /** `YYYY-MM` */
  month: string;
  from: Instant;
  to: Instant;
}

/** @param month `YYYY-MM` @param timeZone IANA name */
export function monthOf(month: string, timeZone: string): Month {
  const [year, number] = month.split('-').map(Number) as [number, number];
  return {
    month,
    from: formatInstant(localMidnight(year, number, 1, timeZone)),
    to: formatInstant(localMidnight(year, number + 1, 1, timeZone)),
  };
}

/** The part of its month that a local day is. @param day `YYYY-MM-DD` */
export function dayOf(day: string, timeZone: string): Month {
  const [year, month, number] = day.split('-').map(Number) as [number, number, number];
  return {
    month: day.slice(0, 7),
    from: formatInstant(localMidnight(year, month, number, timeZone)),
    to: formatInstant(localMidnight(year, month, number + 1, timeZone)),
  };
}

/** The local month in which an instant lies. */
export function monthAt(epochMillis: number, timeZone: string): string {
  const parts = localParts(epochMillis, timeZone);
  return `${String(parts.year).padStart(4, '0')}-${String(parts.month).padStart(2, '0')}`;
}

/** The local day in which an instant lies, `YYYY-MM-DD`. */
export function dayAt(epochMillis: number, timeZone: string): string {
  const { day } = localParts(epochMillis, timeZone);
  return `${monthAt(epochMillis, timeZone)}-${String(day).padStart(2, '0')}`;
}

/** The local time of day, `HH:MM`. */
export function timeAt(epochMillis: number, timeZone: string): string {
  const { hour, minute } = localParts(epochMillis, timeZone);
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
}

/** Epoch milliseconds of 00:00 on a day in a time zone; a day behind the month's last is of the next. */
function localMidnight(year: number, month: number, day: number, timeZone: string): number {
  const wanted = Date.UTC(year, month - 1, day);
  let guess = wanted;
  // An offset can only change once on the way: two steps reach the fixed point.
  for (let step = 0; step < 2; step += 1) {
    const local = localParts(guess, timeZone);
    const shown = Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute);
    guess += wanted - shown;
  }
  return guess;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function localParts(epochMillis: number, timeZone: string) {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    });
    clocks.set(timeZone, clock);
  }
  const parts = clock.formatToParts(epochMillis);
  const part = (type: Intl.DateTimeFormatPartTypes) =>
    Number(parts.find((one) => one.type === type)!.value);
  return {
    year: part('year'),
    month: part('month'),
    day: part('day'),
    hour: part('hour'),
    minute: part('minute'),
  };
}
