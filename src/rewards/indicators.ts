import { divideHalfEven, toSafeInteger } from '../units/integer.js';

/**
 * How well a group of households uses what it produces. Only energy of proven local origin counts
 * as own or from neighbors: discharge of what the grid had charged does not (design section 5).
 */
export interface Indicators {
  /** Own use of own production, of all production. */
  readonly selfConsumptionBasisPoints: number | null;
  /** Use covered by own production and by neighbors, of all use. */
  readonly selfSufficiencyBasisPoints: number | null;
  /** Use covered by neighbors, of all use. */
  readonly neighborShareBasisPoints: number | null;
}

/** The sums that indicators are made of, in Wh. */
export const FIGURES = ['producedWh', 'usedWh', 'selfWh', 'fromNeighborsWh'] as const;
export type Figure = (typeof FIGURES)[number];
export type Figures = Readonly<Record<Figure, number>>;

/** The indicators; null where a sum is withheld, or where there is nothing to divide by. */
export function indicatorsOf(sums: Readonly<Record<Figure, number | null>>): Indicators {
  const { producedWh, usedWh, selfWh, fromNeighborsWh } = sums;
  const local = selfWh === null || fromNeighborsWh === null ? null : selfWh + fromNeighborsWh;
  return {
    selfConsumptionBasisPoints: basisPoints(selfWh, producedWh),
    selfSufficiencyBasisPoints: basisPoints(local, usedWh),
    neighborShareBasisPoints: basisPoints(fromNeighborsWh, usedWh),
  };
}

/** `part` of `whole` in hundredths of a percent, half to even. */
function basisPoints(part: number | null, whole: number | null): number | null {
  if (part === null || whole === null || whole === 0) return null;
  return toSafeInteger(divideHalfEven(BigInt(part) * 10_000n, BigInt(whole)), 'basis points');
}
