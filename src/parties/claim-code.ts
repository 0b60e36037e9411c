/**
 * The one-time code by which a household takes a meter into use: short enough to be typed from a
 * letter, without letters that are read as others.
 */

/** Crockford's base 32: no I, L, O and U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CHARACTERS = 10;

/** How many random bytes a code is made of; each gives one character of 5 bits. */
export const CODE_BYTES = CHARACTERS;

/** @example claimCode(Buffer.alloc(10)) === '00000-00000' */
export function claimCode(random: Uint8Array): string {
  if (random.length < CODE_BYTES) throw new RangeError(`a code takes ${CODE_BYTES} random bytes`);
  const characters = [...random.subarray(0, CODE_BYTES)].map((byte) => ALPHABET[byte & 31]);
  return `${characters.slice(0, 5).join('')}-${characters.slice(5).join('')}`;
}

/** The code that was meant, whatever its case, its hyphen and look-alikes; null for none. */
export function readClaimCode(text: string): string | null {
  const plain = text.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (plain.length !== CHARACTERS || [...plain].some((one) => !ALPHABET.includes(one))) return null;
  return `${plain.slice(0, 5)}-${plain.slice(5)}`;
}
