import { QUALITIES, type MeasurementQuality } from '../metering/measurement.js';
import {
  energyOf,
  NOTHING,
  only,
  plus,
  totalWh,
  type ByQuality,
  type MarkedEnergy,
} from '../settlement/by-quality.js';
import { isDominant, MIN_HOUSEHOLDS } from '../units/cell.js';
import { FIGURES, type Figure, type Figures } from './indicators.js';

/**
 * How good the readings are that a figure rests on: its energy by the quality of the settlements that
 * it is summed from. A regulator is told as much of it as tells of no single household.
 */

/** What may be told of any sum, be it of one household: tenths of it, rounded so that it holds. */
export interface QualityBounds {
  readonly measuredAtLeastPercent: number;
  /** Estimated or missing. */
  readonly estimatedAtMostPercent: number;
}

/** What is told of a cell's figure: qualities that only few households have are told as one. */
export interface QualityShown extends QualityBounds {
  /** Every quality once; their energies add up to the figure. */
  readonly parts: readonly {
    readonly qualities: readonly MeasurementQuality[];
    readonly energyWh: number;
  }[];
}

/** A household's figures, and each of them by quality. */
export interface HouseholdFigures extends Figures {
  readonly householdId: string;
  readonly byQuality: Readonly<Record<Figure, ByQuality>>;
}

/** Sums of settlements as figures; only energy of proven local origin counts as own or neighbors'. */
export function figuresOf(rows: readonly MarkedEnergy[]): HouseholdFigures[] {
  const households = new Map<string, Record<Figure, ByQuality>>();
  for (const row of rows) {
    const { householdId, quality, neighborQuality } = row;
    const sums = households.get(householdId) ?? {
      producedWh: NOTHING,
      usedWh: NOTHING,
      selfWh: NOTHING,
      fromNeighborsWh: NOTHING,
    };
    households.set(householdId, {
      producedWh: plus(sums.producedWh, only(quality, row.producedWh)),
      usedWh: plus(sums.usedWh, only(quality, row.usedWh)),
      selfWh: plus(sums.selfWh, only(quality, row.cleanSelfWh)),
      fromNeighborsWh: plus(sums.fromNeighborsWh, only(neighborQuality, row.cleanFromNeighborsWh)),
    });
  }
  return [...households].map(([householdId, byQuality]) => {
    const figures = FIGURES.map((figure) => [figure, totalWh(byQuality[figure])]);
    return { householdId, ...(Object.fromEntries(figures) as Figures), byQuality };
  });
}

/** A figure of a cell by quality, in the finest way of which every part is a cell of its own. */
export function shownQuality(households: readonly ByQuality[]): QualityShown {
  const finest = PARTITIONS.find((partition) =>
    partition.every((part) => isCell(households.map((one) => energyOf(one, part)))),
  );
  const sum = households.reduce(plus, NOTHING);
  const parts = (finest ?? [QUALITIES]).map((qualities) => ({
    qualities,
    energyWh: energyOf(sum, qualities),
  }));
  return { parts, ...boundsOf(sum) };
}

/** Of no energy at all, all of it is measured and none estimated. */
export function boundsOf(sum: ByQuality): QualityBounds {
  const [whole, measured, estimated] = [
    BigInt(totalWh(sum)),
    BigInt(sum.measuredWh),
    BigInt(energyOf(sum, ['estimated', 'missing'])),
  ];
  if (whole === 0n) return { measuredAtLeastPercent: 100, estimatedAtMostPercent: 0 };
  return {
    measuredAtLeastPercent: Number((measured * 10n) / whole) * 10,
    estimatedAtMostPercent: Number((estimated * 10n + whole - 1n) / whole) * 10,
  };
}

/** Nobody has any of it, or so many do that none stands out. */
function isCell(energiesWh: readonly number[]): boolean {
  const having = energiesWh.filter((energyWh) => energyWh > 0);
  const whole = having.reduce((sum, energyWh) => sum + BigInt(energyWh), 0n);
  if (having.length === 0) return true;
  return having.length >= MIN_HOUSEHOLDS && !having.some((energyWh) => isDominant(energyWh, whole));
}

/** Finest first. Whether registers were read matters more than whether they were at the very border. */
const PARTITIONS: readonly (readonly (readonly MeasurementQuality[])[])[] = [
  [['measured'], ['interpolated'], ['estimated'], ['missing']],
  [['measured'], ['interpolated'], ['estimated', 'missing']],
  [
    ['measured', 'interpolated'],
    ['estimated', 'missing'],
  ],
  [['measured'], ['interpolated', 'estimated', 'missing']],
];
