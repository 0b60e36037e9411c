import { brainpoolP256r1, brainpoolP384r1 } from '@noble/curves/misc.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { ecdsa, weierstrass, type ECDSA } from '@noble/curves/abstract/weierstrass.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { verifyEd25519 } from '../transparency/ed25519.js';
import type { OcmfCurve } from './profiles/ocmf-document.js';

/**
 * Signatures of meters, checked without Node: Ed25519, and ECDSA over SHA-256 on every curve that OCMF
 * names. It says the same as the built-in, by which messages are believed when they come in, at a tenth
 * of its speed. Pure, and it runs in a browser.
 */

/** A public key as it is registered, taken apart. */
export interface OpenedKey {
  readonly curve: 'ed25519' | OcmfCurve;
  /** The 32 bytes of an Ed25519 key, or a point of the curve. */
  readonly point: Uint8Array;
}

/** @param spki SubjectPublicKeyInfo, DER @returns null for a key of another kind */
export function openKey(spki: Uint8Array): OpenedKey | null {
  // RFC 5280, 4.1: SEQUENCE { SEQUENCE { algorithm, parameters }, BIT STRING }.
  const outer = element(spki, SEQUENCE);
  const identifier = outer && element(outer.body, SEQUENCE);
  const algorithm = identifier && element(identifier.body, OBJECT_IDENTIFIER);
  const bits = identifier && element(identifier.rest, BIT_STRING);
  if (!outer || !algorithm || !bits) return null;
  if (outer.rest.length > 0 || bits.rest.length > 0 || bits.body[0] !== 0) return null;
  const point = bits.body.subarray(1);
  if (bytesToHex(algorithm.body) === ED25519) {
    return algorithm.rest.length === 0 && point.length === 32 ? { curve: 'ed25519', point } : null;
  }
  const named = element(algorithm.rest, OBJECT_IDENTIFIER);
  if (bytesToHex(algorithm.body) !== EC_PUBLIC_KEY || !named || named.rest.length > 0) return null;
  const curve = CURVE_OF[bytesToHex(named.body)];
  return curve ? { curve, point } : null;
}

/** Whether the key signed exactly these bytes. @param signature 64 bytes of Ed25519, or DER of ECDSA */
export function isSignatureOf(
  { curve, point }: OpenedKey,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (curve === 'ed25519') return verifyEd25519(point, message, signature);
  try {
    // OpenSSL takes both of the signatures (r, s) and (r, -s), and so do meters.
    return CURVES[curve]().verify(signature, message, point, { format: 'der', lowS: false });
  } catch {
    return false;
  }
}

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const BIT_STRING = 0x03;

/** RFC 8410, 1.3.101.112, and RFC 5480, 1.2.840.10045.2.1. */
const ED25519 = '2b6570';
const EC_PUBLIC_KEY = '2a8648ce3d0201';
/** RFC 5480, SEC 2 and RFC 5639. */
const CURVE_OF: Readonly<Record<string, OcmfCurve>> = {
  '2b8104001f': 'secp192k1',
  '2a8648ce3d030101': 'prime192v1',
  '2b8104000a': 'secp256k1',
  '2a8648ce3d030107': 'prime256v1',
  '2b81040022': 'secp384r1',
  '2b81040023': 'secp521r1',
  '2b2403030208010107': 'brainpoolP256r1',
  '2b240303020801010b': 'brainpoolP384r1',
};

/** Made when asked for: those of 192 bits, SEC 2 2.2, are in no library any more. */
const CURVES: Readonly<Record<OcmfCurve, () => ECDSA>> = {
  secp192k1: () =>
    ecdsa(
      weierstrass({
        p: 0xfffffffffffffffffffffffffffffffffffffffeffffee37n,
        n: 0xfffffffffffffffffffffffe26f2fc170f69466a74defd8dn,
        h: 1n,
        a: 0n,
        b: 3n,
        Gx: 0xdb4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7dn,
        Gy: 0x9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9dn,
      }),
      sha256,
    ),
  prime192v1: () =>
    ecdsa(
      weierstrass({
        p: 0xfffffffffffffffffffffffffffffffeffffffffffffffffn,
        n: 0xffffffffffffffffffffffff99def836146bc9b1b4d22831n,
        h: 1n,
        a: 0xfffffffffffffffffffffffffffffffefffffffffffffffcn,
        b: 0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1n,
        Gx: 0x188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012n,
        Gy: 0x07192b95ffc8da78631011ed6b24cdd573f977a11e794811n,
      }),
      sha256,
    ),
  secp256k1: () => ecdsa(secp256k1.Point, sha256),
  prime256v1: () => ecdsa(p256.Point, sha256),
  secp384r1: () => ecdsa(p384.Point, sha256),
  secp521r1: () => ecdsa(p521.Point, sha256),
  brainpoolP256r1: () => ecdsa(brainpoolP256r1.Point, sha256),
  brainpoolP384r1: () => ecdsa(brainpoolP384r1.Point, sha256),
};

/** The element of DER at the beginning, and what stands behind it; null where there is none such. */
function element(bytes: Uint8Array, tag: number): { body: Uint8Array; rest: Uint8Array } | null {
  const [found, first = 0, second = 0] = bytes;
  // A length of up to 127 stands by itself, one of up to 255 behind 0x81; no key of ours is longer.
  const [length, from] = first < 0x80 ? [first, 2] : first === 0x81 ? [second, 3] : [Infinity, 0];
  if (found !== tag || from + length > bytes.length) return null;
  return { body: bytes.subarray(from, from + length), rest: bytes.subarray(from + length) };
}
