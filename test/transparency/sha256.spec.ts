import { describe, expect, it } from '@jest/globals';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { hmacSha256, sha256 } from '../../src/transparency/sha256.js';

/** Two implementations that must never differ: what runs here, and what runs in a browser. */

const BYTES = fc.uint8Array({ maxLength: 300 });

describe('SHA-256', () => {
  it('of "abc" is that of FIPS 180-4', () => {
    expect(bytesToHex(sha256(utf8ToBytes('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('is the same here and in a browser', () => {
    fc.assert(
      fc.property(BYTES, (message) => {
        expect(bytesToHex(sha256(message))).toBe(bytesToHex(noble(message)));
      }),
    );
  });

  it('under a key is HMAC, case 2 of RFC 4231', () => {
    const mac = hmacSha256(utf8ToBytes('Jefe'))(utf8ToBytes('what do ya want for nothing?'));
    expect(bytesToHex(mac)).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  it('under any key of a block at most is the HMAC of noble', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), BYTES, (key, message) => {
        expect(bytesToHex(hmacSha256(key)(message))).toBe(bytesToHex(hmac(noble, key, message)));
      }),
    );
  });

  it('refuses a key that is longer than a block', () => {
    expect(() => hmacSha256(new Uint8Array(65))).toThrow(RangeError);
  });
});
