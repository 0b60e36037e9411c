import { divideHalfEven } from '../units/integer.js';

/**
 * What a household will sell or need in a coming slot, told from its own measurements alone: three
 * simple guesses, blended by how far each was off lately, and how far the blend was off as the measure
 * of its uncertainty. Energy is what the grid meter shows, export less import: above zero is a surplus.
 */

/** Energy in Wh of the slot that starts then, epoch milliseconds; undefined where it is not known. */
export type Series = (startMillis: number) => number | undefined;

export interface ForecastTask {
  /** Start of the slot to be forecast, epoch milliseconds. */
  readonly slotMillis: number;
  /** Start of the newest slot that may be looked at. */
  readonly newestMillis: number;
  readonly history: Series;
  /**
   * Weather of a slot, past or coming, in any integer unit that rises with the sun; a household without
   * one is forecast from its measurements alone.
   */
  readonly weather?: Series;
}

export interface Forecast {
  readonly expectedWh: number;
  /** What may come, ascending: the expected energy and each recent error on top of it. */
  readonly outcomesWh: readonly number[];
}

/** Days whose errors say what a guess is worth. */
export const ERROR_DAYS = 14;
/** The most that any guess looks back behind a day whose error counts. */
export const GUESS_DAYS = 7;
const DAY_MILLIS = 86_400_000;

/**
 * @returns null while nothing at all is known that a guess could use
 * @throws RangeError when the newest slot is not before the one to be forecast
 * @example a household that had 800 Wh to sell at this hour yesterday and a week ago, and 200 Wh three
 *   hours ago: between 200 and 800 Wh, nearer to what was right in the past two weeks
 */
export function forecast(asked: ForecastTask): Forecast | null {
  const task = { ...asked, history: upTo(asked.newestMillis, asked.history) };
  const guesses = guessesOf(task);
  const errors = guesses.map((guess) => meanError(task, guess));
  // A guess that could not be tried yet counts like the worst of the others.
  const worst = errors.reduce<number>((most, error) => Math.max(most, error ?? 0), 0);
  const weights = errors.map((error) => weightOf(error ?? worst));
  const blend = (slotMillis: number): number | null =>
    blended(
      guesses.map((guess) => guess(slotMillis)),
      weights,
    );
  const expectedWh = blend(task.slotMillis);
  if (expectedWh === null) return null;
  const outcomes = pastDays(task.slotMillis).flatMap((slotMillis) => {
    const [was, told] = [task.history(slotMillis), blend(slotMillis)];
    return was === undefined || told === null ? [] : [expectedWh + was - told];
  });
  if (outcomes.length === 0) outcomes.push(expectedWh);
  return { expectedWh, outcomesWh: outcomes.sort((a, b) => a - b) };
}

/** Starts of all slots that `forecast` may ask the history for, ascending. */
export function slotsLookedAt({
  slotMillis,
  newestMillis,
}: Pick<ForecastTask, 'slotMillis' | 'newestMillis'>): number[] {
  const lagMillis = lagOf({ slotMillis, newestMillis });
  const starts = new Set<number>();
  for (let day = 0; day <= ERROR_DAYS; day += 1)
    starts.add(slotMillis - lagMillis - day * DAY_MILLIS);
  const first = wholeDays(lagMillis);
  for (let day = first; day <= ERROR_DAYS + Math.max(GUESS_DAYS, first); day += 1) {
    starts.add(slotMillis - day * DAY_MILLIS);
  }
  return [...starts].sort((a, b) => a - b);
}

/**
 * The outcome that is not exceeded with this probability, nearest rank.
 * @param thousandths 0 the least, 1000 the most
 */
export function quantile({ outcomesWh }: Forecast, thousandths: number): number {
  const rank = Number(divideHalfEven(BigInt(thousandths * (outcomesWh.length - 1)), 1000n));
  return outcomesWh[rank]!;
}

/** Nothing behind the newest slot is looked at, whoever keeps the history. */
function upTo(newestMillis: number, history: Series): Series {
  return (startMillis) => (startMillis > newestMillis ? undefined : history(startMillis));
}

/** What a guess says of a slot; null where it knows nothing. */
type Guess = (slotMillis: number) => number | null;

/** Persistence, the same time yesterday and a week ago, and the recent day whose weather was most alike. */
function guessesOf({ slotMillis, newestMillis, history, weather }: ForecastTask): Guess[] {
  const lagMillis = lagOf({ slotMillis, newestMillis });
  const yesterday = wholeDays(lagMillis);
  const daysBefore = (days: number): Guess => {
    return (at) => history(at - days * DAY_MILLIS) ?? null;
  };
  return [
    (at) => history(at - lagMillis) ?? null,
    daysBefore(yesterday),
    daysBefore(Math.max(GUESS_DAYS, yesterday)),
    ...(weather ? [mostAlike(history, weather, yesterday)] : []),
  ];
}

function mostAlike(history: Series, weather: Series, yesterday: number): Guess {
  return (at) => {
    const coming = weather(at);
    if (coming === undefined) return null;
    let [nearest, energyWh]: [number, number | null] = [Infinity, null];
    for (let day = yesterday; day <= Math.max(GUESS_DAYS, yesterday); day += 1) {
      const [was, measured] = [weather(at - day * DAY_MILLIS), history(at - day * DAY_MILLIS)];
      if (was === undefined || measured === undefined) continue;
      const distance = Math.abs(was - coming);
      // Of days equally alike the latest.
      if (distance < nearest) [nearest, energyWh] = [distance, measured];
    }
    return energyWh;
  };
}

/** Mean absolute error of a guess over the past days, rounded down; null where it could not be tried. */
function meanError({ slotMillis, history }: ForecastTask, guess: Guess): number | null {
  let [sum, count] = [0, 0];
  for (const at of pastDays(slotMillis)) {
    const [was, told] = [history(at), guess(at)];
    if (was === undefined || told === null) continue;
    sum += Math.abs(was - told);
    count += 1;
  }
  return count === 0 ? null : Math.floor(sum / count);
}

/**
 * The inverse of an error as a whole number: only the ratio of weights matters, and a thousand million
 * keeps it exact to a millionth of a Wh for errors up to 1 kWh.
 */
function weightOf(errorWh: number): bigint {
  return BigInt(Math.max(1, Math.floor(1_000_000_000 / (errorWh + 1))));
}

function blended(values: readonly (number | null)[], weights: readonly bigint[]): number | null {
  let [sum, total] = [0n, 0n];
  values.forEach((value, index) => {
    if (value === null) return;
    sum += BigInt(value) * weights[index]!;
    total += weights[index]!;
  });
  return total === 0n ? null : Number(divideHalfEven(sum, total));
}

/** The same time on each day whose error counts, the latest first. */
function pastDays(slotMillis: number): number[] {
  return Array.from({ length: ERROR_DAYS }, (_, index) => slotMillis - (index + 1) * DAY_MILLIS);
}

function lagOf({
  slotMillis,
  newestMillis,
}: Pick<ForecastTask, 'slotMillis' | 'newestMillis'>): number {
  if (newestMillis >= slotMillis) throw new RangeError('a slot that has begun needs no forecast');
  return slotMillis - newestMillis;
}

/** The fewest whole days that reach back to what is known. */
function wholeDays(lagMillis: number): number {
  return Math.ceil(lagMillis / DAY_MILLIS);
}
