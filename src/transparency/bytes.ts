/**
 * Text and bytes of the transparency formats, read strictly: each reader accepts exactly the one
 * form its writer gives. Everything in this room runs in a browser as well.
 */

/** Input that is not in the one canonical form of its format. The message says what is wrong. */
export class MalformedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedError';
  }
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const SEXTET_OF = new Map([...BASE64].map((letter, sextet) => [letter, sextet]));

/** Standard base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const group = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    groups.push(
      BASE64[group >> 18]! +
        BASE64[(group >> 12) & 63]! +
        (left > 1 ? BASE64[(group >> 6) & 63]! : '=') +
        (left > 2 ? BASE64[group & 63]! : '='),
    );
  }
  return groups.join('');
}

/** @throws MalformedError on missing padding, other letters, or bits set beyond the last byte */
export function fromBase64(text: string): Uint8Array {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (text.length % 4 !== 0) throw new MalformedError('base64 whose length is not a multiple of 4');
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of text.slice(0, text.length - padding)) {
    const sextet = SEXTET_OF.get(letter);
    if (sextet === undefined) throw new MalformedError('base64 with a letter outside its alphabet');
    held = ((held << 6) | sextet) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
    }
  }
  if ((held & ((1 << bits) - 1)) !== 0) throw new MalformedError('base64 with stray trailing bits');
  return bytes;
}

/** Text as UTF-8. @throws MalformedError on an unpaired surrogate, which UTF-8 cannot hold */
export function toUtf8(text: string): Uint8Array {
  if (!text.isWellFormed()) throw new MalformedError('text with an unpaired surrogate');
  return new TextEncoder().encode(text);
}

/** @throws MalformedError when the bytes are not UTF-8; a leading U+FEFF is kept */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new MalformedError('bytes that are not UTF-8');
  }
}

/** A count in decimal without sign or leading zeros, up to 2^53 − 1. @throws MalformedError */
export function parseDecimal(text: string, what: string): number {
  const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new MalformedError(`${what} is not a plain decimal`);
  return value;
}

/** A SHA-256 hash in base64. @throws MalformedError */
export function parseHash(text: string, what: string): Uint8Array {
  const hash = fromBase64(text);
  if (hash.length !== 32) throw new MalformedError(`${what} is not 32 bytes long`);
  return hash;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
