import { fromBase64, MalformedError } from '../transparency/bytes.js';
import type { Rejection } from './reading.js';

/**
 * Signed messages of meters, `{"payload","signature","counter"}`. The signature (Ed25519, RFC 8032) is
 * over the exact bytes that `payload` stands for in base64url, and over nothing else. So the counter
 * has to be in them too: the highest `sequence` of the payload's readings is the counter. Pure, and it
 * runs in a browser.
 */
export interface SignedEnvelope {
  /** What was signed: a reading, or an array of them. */
  content: Uint8Array;
  signature: Uint8Array;
  counter: number;
}

/** Null for what is not signed; a rejection for what begins as such a message and is none. */
export function openEnvelope(bytes: Uint8Array): SignedEnvelope | Rejection | null {
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

/** The counter that was signed; null where the content says none. */
export function highestSequence(content: Uint8Array): number | null {
  let json: unknown;
  try {
    json = JSON.parse(UTF_8.decode(content));
  } catch {
    return null;
  }
  const sequences = (Array.isArray(json) ? json : [json]).map((one: unknown) =>
    typeof one === 'object' && one !== null && 'sequence' in one ? one.sequence : null,
  );
  const known = sequences.filter((one): one is number => Number.isSafeInteger(one));
  return known.length === 0 ? null : known.reduce((a, b) => Math.max(a, b));
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | null {
  // The members are text and numbers: a bracket inside is something else, or an attack on the stack.
  const text = UTF_8.decode(bytes);
  if (!/^\s*\{[^{}[\]]*\}\s*$/.test(text)) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** Undefined for anything but canonical base64url, with or without padding. */
function base64url(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.replace(/=+$/, '');
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const standard = text.replaceAll('-', '+').replaceAll('_', '/');
  try {
    return fromBase64(standard.padEnd(4 * Math.ceil(text.length / 4), '='));
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function malformed(what: string): Rejection {
  return { reason: 'malformed', detail: `signed message: ${what}` };
}

const SIGNATURE_BYTES = 64;
const UTF_8 = new TextDecoder('utf-8', { ignoreBOM: true });
