import { QUALITIES, type MeasurementQuality } from '../metering/measurement.js';
import { safeInteger, toSafeInteger } from '../units/integer.js';

/** Settled energy by how good the readings are that it rests on: the quality of its settlements. */

/** Wh by quality; together they are the figure that they are of, exactly. */
export type ByQuality = {
  readonly measuredWh: number;
  readonly interpolatedWh: number;
  readonly estimatedWh: number;
  /** Of slots in which a meter of the household said nothing. */
  readonly missingWh: number;
};

/** What a household's settlements of the same two qualities add up to. */
export interface MarkedEnergy {
  householdId: string;
  /** That of the settlements themselves. */
  quality: MeasurementQuality;
  /** The worst of it and of those of the neighbors whose energy was claimed in the slot. */
  neighborQuality: MeasurementQuality;
  producedWh: number;
  usedWh: number;
  /** Of these two, what is of proven local origin. */
  cleanSelfWh: number;
  cleanFromNeighborsWh: number;
}

export const NOTHING: ByQuality = {
  measuredWh: 0,
  interpolatedWh: 0,
  estimatedWh: 0,
  missingWh: 0,
};

/** Energy of one quality alone. */
export function only(quality: MeasurementQuality, energyWh: number): ByQuality {
  return { ...NOTHING, [`${quality}Wh`]: energyWh };
}

/** @throws RangeError beyond 2^53 − 1 */
export function plus(a: ByQuality, b: ByQuality): ByQuality {
  return {
    measuredWh: safeInteger(a.measuredWh + b.measuredWh),
    interpolatedWh: safeInteger(a.interpolatedWh + b.interpolatedWh),
    estimatedWh: safeInteger(a.estimatedWh + b.estimatedWh),
    missingWh: safeInteger(a.missingWh + b.missingWh),
  };
}

/** The energy of some qualities together. */
export function energyOf(sum: ByQuality, qualities: readonly MeasurementQuality[]): number {
  const energiesWh = qualities.map((quality) => BigInt(sum[`${quality}Wh` as const]));
  return toSafeInteger(energiesWh.reduce((all, energyWh) => all + energyWh, 0n));
}

export function totalWh(sum: ByQuality): number {
  return energyOf(sum, QUALITIES);
}
