import type { Rationing } from '../parties/microgrid.js';
import { largestRemainder, safeInteger } from '../units/integer.js';

/**
 * How a quantity that is too small for all who are entitled to it is divided among them, in whole
 * units: by time, in proportion to what they want, or as evenly as possible. What does not divide goes
 * to whoever stands first.
 */

/**
 * Divides `total` by a rule:
 * - `time`: who came first is served first.
 * - `pro-rata`: in proportion to what is wanted, by largest remainder.
 * - `max-min`: equal shares, as water fills vessels: nobody could be given more without taking it from
 *   somebody who has no more.
 * @param total at most the sum of what is wanted
 * @param wanted not negative, in the order in which units that do not divide are given: by id
 * @param arrivals for `time` only: lower comes first, ties as they stand
 * @returns shares in the order of `wanted`, none above it, which sum to `total`
 * @example ration('max-min', 10, [2, 9, 9]) // [2, 4, 4]
 */
export function ration(
  rule: Rationing,
  total: number,
  wanted: readonly number[],
  arrivals: readonly number[] = [],
): readonly number[] {
  if (rule === 'pro-rata') return proRata(total, wanted);
  return rule === 'time' ? byTime(total, wanted, arrivals) : maxMin(total, wanted);
}

/**
 * Largest remainder, ties to the lower index, in plain numbers where every product is exact: the
 * same result as `largestRemainder`, much faster on a long list.
 */
export function proRata(total: number, weights: readonly number[]): readonly number[] {
  let sum = 0;
  let largest = 0;
  for (const weight of weights) {
    sum += weight;
    if (weight > largest) largest = weight;
  }
  if (sum === total) return weights;
  if (!Number.isSafeInteger(total * largest) || !Number.isSafeInteger(sum)) {
    return largestRemainder(total, weights);
  }
  if (sum === 0) throw new RangeError('nobody to share with');
  let left = total;
  const remainders = new Float64Array(weights.length);
  const shares = weights.map((weight, index) => {
    const product = total * weight;
    const remainder = product % sum;
    remainders[index] = remainder;
    const share = (product - remainder) / sum;
    left -= share;
    return share;
  });
  if (left === 0) return shares;
  // Whoever is above the smallest remainder that still gets a unit; then those at it, in order.
  const smallest = remainders.toSorted()[weights.length - left]!;
  for (const remainder of remainders) if (remainder > smallest) left -= 1;
  return shares.map((share, index) => {
    const remainder = remainders[index]!;
    if (remainder < smallest || (remainder === smallest && left-- <= 0)) return share;
    return share + 1;
  });
}

function byTime(
  total: number,
  wanted: readonly number[],
  arrivals: readonly number[],
): readonly number[] {
  // Sorting is stable: who came together stays in order.
  const order = wanted.map((_, index) => index);
  order.sort((a, b) => (arrivals[a] ?? 0) - (arrivals[b] ?? 0));
  const shares = wanted.map(() => 0);
  let left = total;
  for (const index of order) {
    if (left === 0) break;
    shares[index] = Math.min(wanted[index]!, left);
    left -= shares[index];
  }
  if (left > 0) throw new RangeError('more to share than is wanted');
  return shares;
}

/** Vessels are filled from the smallest on; all that are not full stand at one level, or one above. */
function maxMin(total: number, wanted: readonly number[]): readonly number[] {
  const ascending = Float64Array.from(wanted).sort();
  let left = total;
  let full = 0;
  while (full < ascending.length && ascending[full]! * (ascending.length - full) <= left) {
    left -= ascending[full]!;
    full += 1;
  }
  if (full === ascending.length) {
    if (left > 0) throw new RangeError('more to share than is wanted');
    return wanted;
  }
  const level = Math.floor(left / (ascending.length - full));
  let above = safeInteger(left - level * (ascending.length - full));
  return wanted.map((quantity) => {
    if (quantity <= level) return quantity;
    return above-- > 0 ? level + 1 : level;
  });
}
