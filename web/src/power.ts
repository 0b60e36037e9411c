/** What a household's meters say about its power at this moment. */
import type { MeterRole } from './answers.js';

/** The newest power of one meter, net import (+) or export (−), as the meter counts it. */
export interface MeterPower {
  role: MeterRole;
  /** Epoch milliseconds of the market. */
  at: number;
  watts: number;
}

export interface HouseholdPower {
  /** From the street (+) or into it (−). */
  gridW: number | null;
  generatedW: number | null;
  /** Charging (+) or discharging (−). */
  storageW: number | null;
  /** What the house itself uses. */
  usedW: number | null;
}

/** All meters of one household together; null where no meter of that role has spoken. */
export function powerOf(meters: Iterable<MeterPower>): HouseholdPower {
  const sums: Record<MeterRole, number | null> = { grid: null, generation: null, storage: null };
  for (const { role, watts } of meters) sums[role] = (sums[role] ?? 0) + watts;
  const generatedW = sums.generation === null ? null : Math.abs(sums.generation);
  const usedW =
    sums.grid === null ? null : Math.max(0, sums.grid + (generatedW ?? 0) - (sums.storage ?? 0));
  return { gridW: sums.grid, generatedW, storageW: sums.storage, usedW };
}
