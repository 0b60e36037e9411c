import { toSafeInteger } from '../units/integer.js';
import { isDominant, MIN_HOUSEHOLDS } from '../units/cell.js';
import { FIGURES, type Figure } from './indicators.js';
import { shownQuality, type HouseholdFigures, type QualityShown } from './quality.js';

/**
 * What a regulator may learn of a cell, which is one microgrid in one month: at least 15 households,
 * none with more than 15 % of the cell's energy, and never two answers about a cell that differ by
 * fewer than 15 households, because their difference would tell about those few.
 */

/**
 * The households of an answer given before about the same cell, each with its energy as text: the
 * figures, and behind them, but in the oldest answers, each of them by quality.
 */
export type EarlierAnswer = ReadonlyMap<string, string>;

/** In order of precedence. */
export type CellRefusal =
  'too_few_households' | 'dominated_by_one_household' | 'too_close_to_earlier_answer';

export type CellVerdict =
  | {
      readonly outcome: 'released';
      /** Null: withheld, because one household has more than 15 % of this figure. */
      readonly sums: Readonly<Record<Figure, number | null>>;
      /** Null where the sum is. */
      readonly quality: Readonly<Record<Figure, QualityShown | null>>;
      readonly answer: EarlierAnswer;
      /** Whether the very same was answered before. */
      readonly repeated: boolean;
    }
  | { readonly outcome: CellRefusal };

/** Judges one cell. Households without any energy hide nobody: they do not count. */
export function judgeCell(
  households: readonly HouseholdFigures[],
  earlier: readonly EarlierAnswer[],
): CellVerdict {
  const cell = households.filter((one) => one.producedWh + one.usedWh > 0);
  if (cell.length < MIN_HOUSEHOLDS) return { outcome: 'too_few_households' };
  if (isDominated(cell.map((one) => one.producedWh + one.usedWh))) {
    return { outcome: 'dominated_by_one_household' };
  }
  const answer = new Map(cell.map((one) => [one.householdId, energyText(one)]));
  const distances = earlier.map((other) => differing(answer, other));
  if (distances.some((distance) => distance > 0 && distance < MIN_HOUSEHOLDS)) {
    return { outcome: 'too_close_to_earlier_answer' };
  }
  const sums = Object.fromEntries(
    FIGURES.map((figure) => {
      const values = cell.map((one) => one[figure]);
      return [figure, isDominated(values) ? null : toSafeInteger(sumOf(values), figure)];
    }),
  ) as Record<Figure, number | null>;
  const quality = Object.fromEntries(
    FIGURES.map((figure) => [
      figure,
      sums[figure] === null ? null : shownQuality(cell.map((one) => one.byQuality[figure])),
    ]),
  ) as Record<Figure, QualityShown | null>;
  const repeated = earlier.some((other) => isSame(answer, other));
  return { outcome: 'released', sums, quality, answer, repeated };
}

/** How many households are in one answer only, or in both with another energy or quality of it. */
export function differing(one: EarlierAnswer, other: EarlierAnswer): number {
  const all = new Set([...one.keys(), ...other.keys()]);
  return [...all].filter((household) => differ(one.get(household), other.get(household))).length;
}

/** Of an answer that told no qualities only its figures can differ. */
function differ(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined) return true;
  const [a, b] = [one.split(' '), other.split(' ')];
  const told = Math.min(a.length, b.length);
  return a.slice(0, told).join(' ') !== b.slice(0, told).join(' ');
}

function isSame(one: EarlierAnswer, other: EarlierAnswer): boolean {
  return one.size === other.size && [...one].every(([id, energy]) => other.get(id) === energy);
}

function isDominated(energiesWh: readonly number[]): boolean {
  const whole = sumOf(energiesWh);
  return energiesWh.some((energyWh) => isDominant(energyWh, whole));
}

function sumOf(values: readonly number[]): bigint {
  return values.reduce((sum, value) => sum + BigInt(value), 0n);
}

function energyText(household: HouseholdFigures): string {
  const figures = FIGURES.map((figure) => household[figure]);
  const qualities = FIGURES.flatMap((figure) => {
    const { interpolatedWh, estimatedWh, missingWh } = household.byQuality[figure];
    return [interpolatedWh, estimatedWh, missingWh];
  });
  return [...figures, ...qualities].join(' ');
}
