import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { z } from 'zod';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';

/** The public keys of meters that sign: as an operator hands them in, and as they are kept. */

/** What a meter has to sign with. */
export interface MeterKey {
  /** Counts the registrations and revocations of the meter. */
  number: number;
  /** Null once it is revoked: then nothing is believed until another is registered. */
  publicKey: KeyObject | null;
  /** SHA-256 of its SubjectPublicKeyInfo, in hex; '' once it is revoked. */
  keyHash: string;
}

/** The facts of the record that registers or revokes a key. */
export type MeterKeyFacts = {
  action: 'meter-key';
  by: string;
  meter: string;
  number: number;
  /** SubjectPublicKeyInfo, DER, base64; null revokes. */
  publicKey: string | null;
  /** Of the first key: readings of later instants are all signed. */
  unsignedUntil?: Instant;
};

/** What made the record of a meter's key. @param number counts its registrations and revocations */
export function causeOfKey(meterId: string, number: number): string {
  return `meter/${meterId}/key/${number}`;
}

export const METER_KEY = z.strictObject({
  publicKey: z.string().trim().min(1, 'must not be empty').max(2_000, 'is too long for a key'),
});

/**
 * A public key in PEM, or in hexadecimal, base64 or base64url: the 32 bytes of an Ed25519 key, or a
 * SubjectPublicKeyInfo, which may also be of ECDSA, for OCMF. Answers the latter, DER.
 * @throws Problem 400 for what is no such key, or for one that proves nothing
 */
export function parsePublicKey(text: string): Buffer {
  let key: KeyObject;
  try {
    key = text.includes('-----BEGIN') ? createPublicKey(text) : keyOf(bytesOf(text));
  } catch {
    throw unusable(
      'is no public key: give PEM, or the 32 bytes of an Ed25519 key in hex or base64',
    );
  }
  const der = key.export({ format: 'der', type: 'spki' });
  if (key.asymmetricKeyType === 'ed25519') assertOrder(der.subarray(-ED25519_BYTES));
  else if (key.asymmetricKeyType !== 'ec') throw unusable('must be an Ed25519 or an ECDSA key');
  return der;
}

/** A key as it is kept; null revokes. */
export function meterKey(number: number, der: Uint8Array | null): MeterKey {
  if (der === null) return { number, publicKey: null, keyHash: '' };
  const keyHash = createHash('sha256').update(der).digest('hex');
  return { number, publicKey: publicKeyOf(der), keyHash };
}

/** Under a key of small order one signature fits many texts. */
function assertOrder(bytes: Buffer): void {
  let isSmall: boolean;
  try {
    isSmall = ed25519.Point.fromBytes(bytes).isSmallOrder();
  } catch {
    throw unusable('is no point of the curve');
  }
  if (isSmall) throw unusable('is a key of small order, which proves nothing');
}

function publicKeyOf(der: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
}

function keyOf(bytes: Buffer): KeyObject {
  if (bytes.length !== ED25519_BYTES) return publicKeyOf(bytes);
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') },
    format: 'jwk',
  });
}

function bytesOf(text: string): Buffer {
  if (/^([0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) throw new RangeError('neither hex nor base64');
  return Buffer.from(text, 'base64');
}

function unusable(what: string): Problem {
  return new Problem(400, 'unusable_key', `publicKey ${what}.`);
}

const ED25519_BYTES = 32;
