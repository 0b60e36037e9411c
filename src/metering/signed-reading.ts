import { verify } from 'node:crypto';
import { promisify } from 'node:util';
import type { MeterKey } from '../parties/meter-key.js';
import type { SignedCounter } from './profiles/session.js';
import { decodeReadings, MAX_PAYLOAD_BYTES } from './reading.js';
import type { Decoded, Rejection } from './reading.js';

/**
 * Signed messages of meters, `{"payload","signature","counter"}`. The signature (Ed25519, RFC 8032) is
 * over the exact bytes that `payload` stands for in base64url, and over nothing else. So the counter
 * has to be in them too: the highest `sequence` of the payload's readings is the counter.
 */
export interface SignedMessage {
  /** What was signed: a reading, or an array of them. */
  content: Buffer;
  signature: Buffer;
  counter: number;
}

/** Null for what is not signed; a rejection for what begins as such a message and is none. */
export function openSigned(bytes: Buffer): SignedMessage | Rejection | null {
  // Before anything is parsed: of most messages nothing is signed.
  if (!bytes.includes('"signature"') || bytes.length > MAX_PAYLOAD_BYTES) return null;
  const json = parseObject(bytes);
  if (!json || !('signature' in json) || !('payload' in json)) return null;
  const { payload, signature, counter } = json;
  const content = base64url(payload);
  if (!content) return malformed('payload is not base64url');
  const signed = base64url(signature);
  if (signed?.length !== SIGNATURE_BYTES) return malformed('signature is not 64 bytes, base64url');
  if (!Number.isSafeInteger(counter) || Number(counter) < 0) {
    return malformed('counter is not a whole number');
  }
  return { content, signature: signed, counter: Number(counter) };
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

function highestSequence(content: Buffer): number | null {
  let json: unknown;
  try {
    json = JSON.parse(content.toString('utf8'));
  } catch {
    return null;
  }
  const sequences = (Array.isArray(json) ? json : [json]).map((one: unknown) =>
    typeof one === 'object' && one !== null && 'sequence' in one ? one.sequence : null,
  );
  const known = sequences.filter((one): one is number => Number.isSafeInteger(one));
  return known.length === 0 ? null : known.reduce((a, b) => Math.max(a, b));
}

function parseObject(bytes: Buffer): Record<string, unknown> | null {
  // The members are text and numbers: a bracket inside is something else, or an attack on the stack.
  const text = bytes.toString('utf8');
  if (!/^\s*\{[^{}[\]]*\}\s*$/.test(text)) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** Undefined for anything but canonical base64url, with or without padding. */
function base64url(value: unknown): Buffer | undefined {
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64url');
  return bytes.toString('base64url') === value.replace(/=+$/, '') ? bytes : undefined;
}

function malformed(what: string): Rejection {
  return { reason: 'malformed', detail: `signed message: ${what}` };
}

const SIGNATURE_BYTES = 64;
