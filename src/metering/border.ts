import { floorToWh } from '../units/energy.js';
import { divideFloor } from '../units/integer.js';
import type { Estimate, Shape } from './estimation.js';

/**
 * A cumulative register at a slot border, from the readings around it. Every border is floored once,
 * and both slots that touch it use the same value, so that slots' energies add up to the register's
 * own difference however time is cut.
 */

export type BorderQuality = 'measured' | 'interpolated' | 'estimated';

/** A register value really read. `plausibility.ts` says which ones count. */
export interface RegisterReading {
  atMillis: number;
  /** Goes on through exchanges of the meter and rollovers of its register. */
  microWh: bigint;
  /** What they added: the meter itself shows so much less. */
  offsetMicroWh?: bigint;
}

/** The readings that count on either side of a border; `before` may lie exactly on it. */
export interface Surroundings {
  before: RegisterReading | null;
  after: RegisterReading | null;
}

export interface BorderValue {
  valueWh: number;
  quality: BorderQuality;
  /** The readings that fix the value: none, one, or one on either side. */
  readings: RegisterReading[];
  /** The days that its place between two readings, or its estimate, is taken from. */
  likeDays?: string[];
}

/**
 * The register at `atMillis`, or null where readings do not enclose it.
 * A reading on the border is the value; between two readings energy is taken to flow evenly,
 * or as the shape says.
 * @param shape of the gap between these very readings
 */
export function registerAt(
  atMillis: number,
  around: Surroundings,
  shape: Shape | null = null,
): BorderValue | null {
  const { before, after } = around;
  if (!before) return null;
  if (before.atMillis > atMillis) throw new RangeError('the reading before lies after the border');
  if (before.atMillis === atMillis) {
    return { valueWh: floorToWh(before.microWh), quality: 'measured', readings: [before] };
  }
  if (!after) return null;
  if (after.atMillis <= atMillis) throw new RangeError('the reading after lies before the border');
  if (after.microWh < before.microWh) throw new RangeError('a falling register encloses nothing');
  const rise = after.microWh - before.microWh;
  const elapsed = BigInt(atMillis - before.atMillis);
  const span = BigInt(after.atMillis - before.atMillis);
  const part = shape ? shape.partOf(rise, atMillis) : divideFloor(rise * elapsed, span);
  return {
    valueWh: floorToWh(before.microWh + part),
    quality: 'interpolated',
    readings: [before, after],
    ...(shape ? { likeDays: shape.likeDays } : {}),
  };
}

/**
 * The end of a slot without a reading at or after it: the start plus an estimate of the energy, but
 * never below what the register has really shown.
 */
export function estimateEnd(
  startWh: number,
  { energyWh, likeDays }: Estimate,
  lastReal: RegisterReading | null,
): BorderValue {
  const seenWh = lastReal ? floorToWh(lastReal.microWh) : 0;
  return {
    valueWh: Math.max(startWh + Math.max(energyWh, 0), seenWh),
    quality: 'estimated',
    readings: lastReal ? [lastReal] : [],
    ...(likeDays ? { likeDays } : {}),
  };
}

/** One slot of a register's past, as it was settled. */
export interface PastSlot {
  startWh: number | null;
  startQuality: BorderQuality | null;
  endWh: number;
  endQuality: BorderQuality;
}

/** Without like days, what a slot probably took: the same slot yesterday if that was metered, else the slot before. */
export function estimateEnergy(yesterday: PastSlot | null, previous: PastSlot | null): number {
  const metered =
    yesterday?.startQuality && yesterday.startQuality !== 'estimated'
      ? yesterday.endQuality !== 'estimated'
      : false;
  const model = metered ? yesterday : previous;
  if (!model || model.startWh === null) return 0;
  return Math.max(model.endWh - model.startWh, 0);
}

/** The readings on either side of a border, of those that count. */
export function surroundings(atMillis: number, good: readonly RegisterReading[]): Surroundings {
  return {
    before: good.findLast((reading) => reading.atMillis <= atMillis) ?? null,
    after: good.find((reading) => reading.atMillis > atMillis) ?? null,
  };
}
