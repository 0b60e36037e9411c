/**
 * Exact integers. Energy (Wh), money (micro-units) and prices (micro-units per kWh) are JS numbers
 * that are proven safe integers at every door; products are taken in bigint and divided with a
 * rounding that has a name.
 */

/** `value` as a safe integer. @throws RangeError when it is a fraction, NaN or beyond 2^53 − 1. */
export function safeInteger(value: number, what = 'value'): number {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${what} is not a safe integer: ${value}`);
  return value;
}

/** A bigint as a safe integer number. @throws RangeError beyond 2^53 − 1. */
export function toSafeInteger(value: bigint, what = 'value'): number {
  return safeInteger(Number(value), what);
}

/** `numerator / denominator` rounded to the nearest integer, ties to even. */
export function divideHalfEven(numerator: bigint, denominator: bigint): bigint {
  if (denominator <= 0n) throw new RangeError(`denominator must be positive: ${denominator}`);
  const quotient = divideFloor(numerator, denominator);
  const twice = 2n * (numerator - quotient * denominator);
  if (twice > denominator || (twice === denominator && quotient % 2n !== 0n)) return quotient + 1n;
  return quotient;
}

/** `numerator / denominator` rounded towards minus infinity. */
export function divideFloor(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  return numerator % denominator !== 0n && numerator < 0n !== denominator < 0n
    ? quotient - 1n
    : quotient;
}

/**
 * Splits `total` in proportion to `weights` so that the shares sum to `total` exactly: each share is
 * floored, and the units left over go to the largest remainders, ties to the lower index.
 * @param total non-negative integer
 * @param weights non-negative integers; when all are zero, `total` must be zero
 * @returns shares in the order of the weights
 */
export function largestRemainder(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + BigInt(safeInteger(weight, 'weight')), 0n);
  if (total < 0 || weights.some((weight) => weight < 0)) {
    throw new RangeError('total and weights must not be negative');
  }
  if (sum === 0n) {
    if (total !== 0) throw new RangeError('nobody to share with');
    return weights.map(() => 0);
  }
  const shares: number[] = [];
  const remainders: { index: number; remainder: bigint }[] = [];
  let given = 0;
  weights.forEach((weight, index) => {
    const product = BigInt(total) * BigInt(weight);
    const share = Number(product / sum);
    shares.push(share);
    given += share;
    remainders.push({ index, remainder: product % sum });
  });
  remainders.sort((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const { index } of remainders.slice(0, total - given)) shares[index]! += 1;
  return shares;
}
