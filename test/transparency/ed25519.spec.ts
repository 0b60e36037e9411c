import { describe, expect, it } from '@jest/globals';
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { portable, verifyEd25519 } from '../../src/transparency/ed25519.js';

/** Two verifiers that must never differ, whatever they are given. */

const SEED = fc.uint8Array({ minLength: 32, maxLength: 32 });
const MESSAGE = fc.uint8Array({ maxLength: 200 });
const NOTHING = new Uint8Array(0);

/** The eight points of small order, each also where its spelling is out of range or its sign wrong. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
].map((hex) => hexToBytes(hex));

/** Both verdicts, which must be one. */
function verdict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const here = verifyEd25519(key, message, signature);
  const what = [key, message, signature].map(bytesToHex);
  expect([here, ...what]).toEqual([portable(key, message, signature), ...what]);
  return here;
}

describe('an Ed25519 signature', () => {
  it('is good by test 1 of RFC 8032, section 7.1', () => {
    const key = hexToBytes('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    const signature = hexToBytes(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    );
    expect(verdict(key, NOTHING, signature)).toBe(true);
  });

  it('is judged alike, whole or with one bit changed in key, message or signature', () => {
    fc.assert(
      fc.property(SEED, MESSAGE, fc.nat(), (seed, message, where) => {
        const key = ed25519.getPublicKey(seed);
        const signature = ed25519.sign(message, seed);
        expect(verdict(key, message, signature)).toBe(true);
        for (const part of [key, message, signature]) {
          if (part.length === 0) continue;
          part[where % part.length]! ^= 1 << (where % 8);
          expect(verdict(key, message, signature)).toBe(false);
          part[where % part.length]! ^= 1 << (where % 8);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('is judged alike under keys of small order, and with points of small order', () => {
    const [seed] = fc.sample(SEED, { numRuns: 1, seed: 7 }) as [Uint8Array];
    const zero = new Uint8Array(32);
    for (const point of SMALL_ORDER) {
      for (const other of SMALL_ORDER) {
        for (const letter of [0, 1, 2])
          verdict(point, Uint8Array.of(letter), concatBytes(other, zero));
      }
      verdict(ed25519.getPublicKey(seed), NOTHING, concatBytes(point, zero));
    }
  });

  it('holds up to the cofactor where a point of small order was added to the key', () => {
    const { Point } = ed25519;
    for (const torsion of SMALL_ORDER.slice(8)) {
      for (let secret = 2n; secret < 8n; secret += 1n) {
        // RFC 8032, 5.1.6, under the key a·B + T: without the cofactor it holds only where k·T is nothing.
        const key = Point.BASE.multiply(secret).add(Point.fromBytes(torsion, true)).toBytes();
        const commitment = Point.BASE.multiply(secret + 1n).toBytes();
        const hash = numberOf(sha512(concatBytes(commitment, key)));
        const s = (secret + 1n + hash * secret) % Point.Fn.ORDER;
        expect(verdict(key, NOTHING, concatBytes(commitment, bytesOf(s)))).toBe(true);
      }
    }
  });

  it('whose second half is out of range is refused, although it would fit', () => {
    const order = ed25519.Point.Fn.ORDER;
    const seed = new Uint8Array(32).fill(3);
    const signature = ed25519.sign(NOTHING, seed);
    const beyond = bytesOf(order + numberOf(signature.slice(32)));
    const key = ed25519.getPublicKey(seed);
    expect(verdict(key, NOTHING, concatBytes(signature.slice(0, 32), beyond))).toBe(false);
  });

  it('of another length is none, nor is one under a key of another length', () => {
    const seed = new Uint8Array(32).fill(5);
    const [key, signature] = [ed25519.getPublicKey(seed), ed25519.sign(NOTHING, seed)];
    expect(verdict(key, NOTHING, signature.slice(1))).toBe(false);
    expect(verdict(key.slice(1), NOTHING, signature)).toBe(false);
    expect(verdict(concatBytes(key, key), NOTHING, signature)).toBe(false);
  });
});

/** Little-endian. */
function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);
}

function bytesOf(number: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, at) => Number((number >> BigInt(8 * at)) & 255n));
}
