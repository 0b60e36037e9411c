import { ed25519 } from '@noble/curves/ed25519.js';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';

/**
 * Verifies Ed25519 signatures at the speed of where it runs: a log of a year has thousands of signed
 * checkpoints. In Node the built-in says yes a dozen times as fast; in a browser it is noble's.
 *
 * The two say the same of every signature (test/transparency/ed25519.spec.ts). The built-in accepts
 * fewer than noble, since it does not multiply by the cofactor: its no is asked again. It also accepts
 * keys that noble refuses, those spelled out of range and those of small order: such keys never reach it.
 */

/** RFC 8032 verification; a key or signature that is no point is a failure, not an exception. */
export function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 64) return false;
  return builtInAccepts(publicKey, message, signature) || portable(publicKey, message, signature);
}

/** The same in every place. */
export function portable(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 64) return false;
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

interface Crypto {
  createPublicKey(from: { key: Uint8Array; format: 'der'; type: 'spki' }): object;
  verify(algorithm: null, message: Uint8Array, key: object, signature: Uint8Array): boolean;
}

/** Asked for at run time, so that a bundle for the browser holds no trace of it. */
const crypto = (
  globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }
).process?.getBuiltinModule?.('node:crypto') as Crypto | undefined;

/** Keys as the built-in takes them, null for those it must not judge; few logs have many. */
const keys = new Map<string, object | null>();
const MAX_KEYS = 256;

/** RFC 8410: what stands before the 32 bytes of a key. */
const SPKI = hexToBytes('302a300506032b6570032100');

function builtInAccepts(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (!crypto) return false;
  const name = publicKey.join();
  let key = keys.get(name);
  if (key === undefined) {
    key = isSound(publicKey)
      ? crypto.createPublicKey({ key: concatBytes(SPKI, publicKey), format: 'der', type: 'spki' })
      : null;
    if (keys.size >= MAX_KEYS) keys.clear();
    keys.set(name, key);
  }
  return key !== null && crypto.verify(null, message, key, signature);
}

function isSound(publicKey: Uint8Array): boolean {
  try {
    return !ed25519.Point.fromBytes(publicKey).isSmallOrder();
  } catch {
    return false;
  }
}
