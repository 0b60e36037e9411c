import { sha256 as portable } from '@noble/hashes/sha2.js';

/**
 * SHA-256 and HMAC over it, at the speed of where they run: a closed slot hashes every field of every
 * record. In Node that is the built-in, several times as fast; in a browser it is noble's.
 */

/** The 32 bytes of SHA-256 (FIPS 180-4). */
export const sha256: (message: Uint8Array) => Uint8Array = builtIn() ?? portable;

/**
 * HMAC-SHA-256 (RFC 2104) under one key, for any number of messages.
 * @throws RangeError for a key longer than a block of 64 bytes, which would have to be hashed first
 */
export function hmacSha256(key: Uint8Array): (message: Uint8Array) => Uint8Array {
  if (key.length > BLOCK)
    throw new RangeError(`a key of ${key.length} bytes is longer than a block`);
  // Each holds its padded key and room for what is hashed behind it.
  let inner = padded(key, 0x36, BLOCK);
  const outer = padded(key, 0x5c, HASH);
  return (message) => {
    const length = BLOCK + message.length;
    if (length > inner.length) inner = padded(key, 0x36, 2 * message.length);
    inner.set(message, BLOCK);
    outer.set(sha256(inner.subarray(0, length)), BLOCK);
    return sha256(outer);
  };
}

const BLOCK = 64;
const HASH = 32;

function padded(key: Uint8Array, pad: number, room: number): Uint8Array {
  const block = new Uint8Array(BLOCK + room).fill(pad, 0, BLOCK);
  key.forEach((byte, at) => (block[at] = byte ^ pad));
  return block;
}

/** Asked for at run time, so that a bundle for the browser holds no trace of it. */
function builtIn(): ((message: Uint8Array) => Uint8Array) | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  const crypto = process?.getBuiltinModule?.('node:crypto') as
    { hash?: (algorithm: string, data: Uint8Array, encoding: 'latin1') => string } | undefined;
  const hash = crypto?.hash;
  if (!hash) return undefined;
  return (message) => {
    // As text, one character a byte: a buffer from outside the heap costs more than the hash itself.
    const text = hash('sha256', message, 'latin1');
    const bytes = new Uint8Array(HASH);
    for (let at = 0; at < HASH; at += 1) bytes[at] = text.charCodeAt(at);
    return bytes;
  };
}
