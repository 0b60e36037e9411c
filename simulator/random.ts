import { createHash } from 'node:crypto';

/**
 * Seeded randomness: xoshiro128** 1.1 (Blackman and Vigna, prng.di.unimi.it), its 128-bit state taken
 * from the first 16 bytes of SHA-256 of a text. Streams with different names are independent, so a
 * value for an hour of a household can be asked for at any time and is always the same.
 */
export interface Random {
  /** The next 32 bits. */
  next(): number;
  /** In [0, 1). */
  uniform(): number;
  /** A whole number, both ends included, without bias. */
  between(low: number, high: number): number;
}

/**
 * The stream of that name.
 * @example randomFrom('1/house-03/pv').between(3, 10)
 */
export function randomFrom(name: string): Random {
  const digest = createHash('sha256').update(name).digest();
  return randomFromState([0, 4, 8, 12].map((offset) => digest.readUInt32LE(offset)));
}

/** A stream from four 32-bit words that are not all zero. */
export function randomFromState(words: readonly number[]): Random {
  let [a, b, c, d] = words as [number, number, number, number];
  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const between = (low: number, high: number): number => {
    const span = high - low + 1;
    // Draws beyond the last whole multiple of the span would favour the low values.
    const limit = 2 ** 32 - (2 ** 32 % span);
    let draw = next();
    while (draw >= limit) draw = next();
    return low + (draw % span);
  };
  return { next, uniform: () => next() / 2 ** 32, between };
}

/** The items in a random order (Fisher and Yates); the argument is left as it is. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = random.between(0, last);
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
