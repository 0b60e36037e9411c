import type { ProfileReading } from './profiles/profile.js';
import type { DecodedReading } from './reading.js';

/**
 * What a device's session read, as intake takes it: one reading an instant with both registers. What
 * only shows a power is for display and makes no reading.
 */

/** The last power a device told, and when. */
export interface ToldPower {
  readonly powerW: number;
  readonly atMillis: number;
}

/** @param told the last power heard before these */
export function decodedReadings(
  readings: readonly ProfileReading[],
  told: ToldPower | null,
): DecodedReading[] {
  const byInstant = new Map<number, DecodedReading>();
  for (const { register, readAt, readAtMillis, microWh, quality } of readings) {
    if (microWh === null || quality !== 'measured') continue;
    const reading: DecodedReading = byInstant.get(readAtMillis) ?? {
      index: null,
      readAt,
      readAtMillis,
      importMicroWh: null,
      exportMicroWh: null,
      powerW: powerAt(readings, readAtMillis, told),
    };
    if (register === 'import') reading.importMicroWh = microWh;
    else reading.exportMicroWh = microWh;
    byInstant.set(readAtMillis, reading);
  }
  return [...byInstant.values()];
}

/** The last power among these readings, or else the one told before. */
export function lastPower(
  readings: readonly ProfileReading[],
  told: ToldPower | null,
): ToldPower | null {
  const last = readings.findLast(({ powerW }) => powerW !== null);
  return last ? { powerW: last.powerW!, atMillis: last.readAtMillis } : told;
}

function powerAt(
  readings: readonly ProfileReading[],
  atMillis: number,
  told: ToldPower | null,
): number | null {
  const own = readings.find((one) => one.powerW !== null && one.readAtMillis === atMillis);
  if (own) return bounded(own.powerW!);
  const isFresh = told !== null && Math.abs(atMillis - told.atMillis) <= FRESH_MILLIS;
  return isFresh ? bounded(told.powerW) : null;
}

function bounded(powerW: number): number | null {
  return Math.abs(powerW) <= MAX_POWER_W ? Math.round(powerW) + 0 : null;
}

/** A power that was told on another topic goes with registers this close to it. */
const FRESH_MILLIS = 60_000;
const MAX_POWER_W = 1_000_000_000;
