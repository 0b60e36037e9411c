import { bytesToHex } from '@noble/hashes/utils.js';
import { sha256 } from '../transparency/sha256.js';
import { formatInstant, type Instant } from '../units/slot.js';
import { parseJson } from './exact-json.js';
import { isSignatureOf, openKey, type OpenedKey } from './meter-signature.js';
import { isOcmf, readOcmf, splitOcmf } from './profiles/ocmf-document.js';
import { readingHash, readingsIn } from './reading.js';
import type { Register } from './reading.js';
import { highestSequence, openEnvelope } from './signed-message.js';

/**
 * What the signature of a meter's message vouches for, told from nothing but the message and the key:
 * the readings in it, by the hashes under which records name them. Pure, and it runs in a browser.
 */

/** A message as the meter sent it: `{"payload","signature","counter"}`, or a document in OCMF. */
export interface MeterMessage {
  readonly meter: string;
  readonly bytes: Uint8Array;
}

/** What a meter signs with, and how what it says is to be read. */
export interface MeterSigner {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Whether only documents in OCMF are believed by it: a key of its device, not of the meter. */
  readonly isOfDevice: boolean;
  /** OCMF: its import is the meter's export and the reverse. */
  readonly inverted: boolean;
  /** OCMF: what a document has to call the meter; null where anything does. */
  readonly serial: string | null;
}

/** One register value that a signed message says. */
export interface VouchedReading {
  readonly hash: string;
  readonly meter: string;
  readonly register: Register;
  readonly readAt: Instant;
  readonly microWh: bigint;
}

/** What is wrong with a message: where, what should be there, and what is. */
export interface MessageFault {
  readonly field: 'bytes' | 'signature' | 'counter' | 'meter';
  readonly expected: string;
  readonly found: string;
}

/** The readings that a message says, whether or not it is signed by anybody. */
export function readingsSaid(
  { meter, bytes }: MeterMessage,
  { inverted }: Pick<MeterSigner, 'inverted'>,
): VouchedReading[] {
  const payloadHash = bytesToHex(sha256(bytes));
  const said = saidIn(bytes);
  return said.flatMap(({ readAt, importMicroWh, exportMicroWh }) => {
    const values: [Register, bigint | null][] = inverted
      ? [
          ['import', exportMicroWh],
          ['export', importMicroWh],
        ]
      : [
          ['import', importMicroWh],
          ['export', exportMicroWh],
        ];
    return values.flatMap(([register, microWh]) =>
      microWh === null
        ? []
        : {
            hash: readingHash(meter, readAt, register, microWh, payloadHash),
            meter,
            register,
            readAt,
            microWh,
          },
    );
  });
}

/** Why the signer does not vouch for the message; null where it does. */
export function messageFault({ bytes }: MeterMessage, signer: MeterSigner): MessageFault | null {
  const key = openKey(signer.publicKey);
  const fault = (field: MessageFault['field'], expected: string, found: string) => ({
    field,
    expected,
    found,
  });
  if (!key) return fault('signature', 'a key that a meter may have', 'another kind of key');
  if (isOcmf(bytes)) return ocmfFault(bytes, key, signer);
  const opened = openEnvelope(bytes);
  if (!opened || 'reason' in opened) return fault('bytes', 'a signed message', 'something else');
  if (key.curve !== 'ed25519' || signer.isOfDevice) {
    return fault('signature', "one by the meter's Ed25519 key", 'a key of another kind');
  }
  if (!isSignatureOf(key, opened.content, opened.signature)) return UNSIGNED;
  const sequence = highestSequence(opened.content);
  if (sequence === opened.counter) return null;
  return fault('counter', String(sequence ?? 'a sequence that was signed'), String(opened.counter));
}

const UNSIGNED: MessageFault = {
  field: 'signature',
  expected: "the meter's over these very bytes",
  found: 'none that holds',
};

function ocmfFault(
  bytes: Uint8Array,
  key: OpenedKey,
  { serial }: MeterSigner,
): MessageFault | null {
  try {
    const { payload, curve, signature } = splitOcmf(bytes);
    if (curve !== key.curve || !isSignatureOf(key, payload, signature)) return UNSIGNED;
    const { meter } = readOcmf(payload);
    const isOther = serial !== null && meter !== undefined && meter !== serial;
    return isOther ? { field: 'meter', expected: serial, found: meter } : null;
  } catch (error) {
    return { field: 'bytes', expected: 'a document in OCMF', found: messageOf(error) };
  }
}

interface Said {
  readAt: Instant;
  importMicroWh: bigint | null;
  exportMicroWh: bigint | null;
}

/** Empty for what is no signed message. */
function saidIn(bytes: Uint8Array): Said[] {
  try {
    if (isOcmf(bytes)) return ocmfSays(bytes);
    const opened = openEnvelope(bytes);
    return opened && 'content' in opened ? readingsIn(parseJson(opened.content)).readings : [];
  } catch {
    return [];
  }
}

/** Each value at its own time; those that the meter itself does not call good are no readings. */
function ocmfSays(bytes: Uint8Array): Said[] {
  return readOcmf(splitOcmf(bytes).payload).values.flatMap((value) => {
    if ('reason' in value || value.at.kind !== 'instant') return [];
    const { importMicroWh = null, exportMicroWh = null } = value.found;
    return { readAt: formatInstant(value.at.millis), importMicroWh, exportMicroWh };
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'something else';
}
