import { verify } from 'node:crypto';
import { promisify } from 'node:util';
import type { MeterKey } from '../parties/meter-key.js';
import type { SignedCounter } from './profiles/session.js';
import { decodeReadings, MAX_PAYLOAD_BYTES } from './reading.js';
import type { Decoded, Rejection } from './reading.js';
import { highestSequence, openEnvelope } from './signed-message.js';
import type { SignedEnvelope } from './signed-message.js';

/** Which messages of meters that sign are believed; `signed-message.ts` tells how they are written. */

/** A message as it was opened. */
export interface SignedMessage extends SignedEnvelope {
  content: Buffer;
}

/** Null for what is not signed; a rejection for what begins as such a message and is none. */
export function openSigned(bytes: Buffer): SignedMessage | Rejection | null {
  // Before anything is parsed: of most messages nothing is signed.
  if (!bytes.includes('"signature"') || bytes.length > MAX_PAYLOAD_BYTES) return null;
  const opened = openEnvelope(bytes);
  if (!opened || 'reason' in opened) return opened;
  const { content, signature, counter } = opened;
  return { content: Buffer.from(content.buffer), signature, counter };
}

/** What a message says, be it signed or not; whether a signature is good is not asked. */
export function decodeMessage(bytes: Buffer): Decoded & { signed: SignedMessage | null } {
  const opened = openSigned(bytes);
  if (opened && 'reason' in opened) return { readings: [], rejections: [opened], signed: null };
  return { ...decodeReadings(opened?.content ?? bytes), signed: opened };
}

/**
 * Why a message is not believed, or null.
 * @param signed as it was opened, or what a profile has found to be signed
 * @param key of the meter that the topic names; null for a meter that never had one
 */
export async function signatureFault(
  signed: SignedMessage | SignedCounter | null,
  key: MeterKey | null,
): Promise<Rejection | null> {
  if (!key && !signed) return null;
  if (!key) {
    // The key that a profile checked with stands in the meter's mapping.
    if (signed && 'keyHash' in signed) return null;
    return { reason: 'unknown_key', detail: 'signed, but no key of the meter is known' };
  }
  if (!key.publicKey) return { reason: 'revoked_key', detail: "the meter's key was revoked" };
  if (!signed) return { reason: 'unsigned', detail: 'the meter has a key and has to sign' };
  if (!(await isSignedBy(signed, key))) {
    return { reason: 'bad_signature', detail: "not signed with the meter's key" };
  }
  if ('keyHash' in signed) return null;
  const sequence = highestSequence(signed.content);
  if (sequence !== signed.counter) {
    const found = sequence === null ? 'no sequence' : `sequence ${sequence}`;
    const detail = `counter ${signed.counter}, but ${found} in what was signed: they must be equal`;
    return { reason: 'unsigned_counter', detail };
  }
  return null;
}

/** Whether it was signed with this key. Beside the event loop: a check takes 0.1 ms. */
export async function isSignedBy(
  signed: SignedMessage | SignedCounter,
  { publicKey, keyHash }: MeterKey,
): Promise<boolean> {
  if ('keyHash' in signed) return signed.keyHash === keyHash;
  if (publicKey?.asymmetricKeyType !== 'ed25519') return false;
  return verifySignature(null, signed.content, publicKey, signed.signature);
}

const verifySignature = promisify(verify);

/** Whether a message that was kept was signed, as such a message or as OCMF. */
export function isSigned(bytes: Buffer): boolean {
  if (bytes.toString('latin1', 0, 5) === 'OCMF|') return true;
  const opened = openSigned(bytes);
  return opened !== null && !('reason' in opened);
}
