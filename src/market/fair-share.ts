import { largestRemainder } from '../units/integer.js';

/**
 * Sharing what is not enough for all, within what each can take: everybody gets in proportion to a
 * weight, except who would then be below its least or above its most. With the quantities as weights
 * that is pro rata, with equal weights as equal as can be (max-min).
 */

export interface Sharer {
  /** Above zero. */
  readonly weight: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Shares that sum to `total`, in the order of the sharers. Who is between its least and its most shares
 * by largest remainder, ties to the lower index; so a share is never beyond either.
 * @throws RangeError when `total` is less than all leasts or more than all mosts
 * @example shareWithin(10, [{ weight: 1, least: 0, most: 2 }, { weight: 1, least: 0, most: 9 }]) // [2, 8]
 */
export function shareWithin(total: number, sharers: readonly Sharer[]): number[] {
  const bounds = sharers.flatMap(({ weight, least, most }, index) => [
    { index, at: least, weight, leaves: false },
    { index, at: most, weight, leaves: true },
  ]);
  // A level is a quantity for each unit of weight: where a sharer begins and ends to take part.
  bounds.sort((a, b) => compareProducts(a.at, b.weight, b.at, a.weight) || +a.leaves - +b.leaves);
  const shares = sharers.map(({ least }) => least);
  const taking = new Set<number>();
  let settled = shares.reduce((sum, least) => sum + least, 0);
  let weights = 0;
  for (const { index, at, weight, leaves } of bounds) {
    // At this level those who take part get weights · at / weight.
    if (compareProducts(total - settled, weight, weights, at) <= 0) break;
    if (leaves) {
      taking.delete(index);
      weights -= weight;
      settled += at;
      shares[index] = at;
    } else {
      taking.add(index);
      weights += weight;
      settled -= at;
    }
  }
  const sharing = [...taking].sort((a, b) => a - b);
  if (sharing.length === 0 && settled !== total) throw new RangeError(`cannot share ${total}`);
  largestRemainder(
    total - settled,
    sharing.map((index) => sharers[index]!.weight),
  ).forEach((share, place) => (shares[sharing[place]!] = share));
  return shares;
}

/** The sign of a·b − c·d, exact. */
function compareProducts(a: number, b: number, c: number, d: number): number {
  const [one, other] = [a * b, c * d];
  if (Number.isSafeInteger(one) && Number.isSafeInteger(other)) return Math.sign(one - other);
  const exact = BigInt(a) * BigInt(b) - BigInt(c) * BigInt(d);
  return exact === 0n ? 0 : exact > 0n ? 1 : -1;
}
