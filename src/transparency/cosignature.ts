import { ed25519 } from '@noble/curves/ed25519.js';
import { concatBytes } from '@noble/hashes/utils.js';
import { MalformedError, toUtf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';
import { ALGORITHM, keyIdOf, verifierKeyOf } from './signed-note.js';
import type { NoteSigner, NoteVerifier, SignerKey, VerifierKey } from './signed-note.js';

/**
 * C2SP cosignature/v1 with Ed25519 (type 04): a witness states that, at a time, this was the
 * largest tree of the log it had seen, consistent with all it saw before.
 */
export function cosigner(key: SignerKey, timestampSeconds: number): NoteSigner {
  if (key.algorithm !== ALGORITHM.cosignature) {
    throw new RangeError(`${key.name} is not the key of a cosigner`);
  }
  return {
    name: key.name,
    keyId: keyIdOf(verifierKeyOf(key)),
    sign: (text) =>
      concatBytes(
        timestampBytes(timestampSeconds),
        ed25519.sign(cosignedMessage(text, timestampSeconds), key.seed),
      ),
  };
}

/** Judges the timestamped cosignatures of one witness. */
export function cosignatureVerifier(key: VerifierKey): NoteVerifier {
  if (key.algorithm !== ALGORITHM.cosignature) {
    throw new RangeError(`${key.name} is not the key of a cosigner`);
  }
  return {
    name: key.name,
    keyId: keyIdOf(key),
    verify: (text, signature) => {
      const timestampSeconds = timestampOf(signature);
      return (
        timestampSeconds !== null &&
        verifyEd25519(
          key.publicKey,
          cosignedMessage(text, timestampSeconds),
          signature.subarray(TIMESTAMP_BYTES),
        )
      );
    },
  };
}

/** When a cosignature says it was made, in POSIX seconds; null when it is not 72 bytes or beyond 2^53. */
export function timestampOf(signature: Uint8Array): number | null {
  if (signature.length !== TIMESTAMP_BYTES + 64) return null;
  const view = new DataView(signature.buffer, signature.byteOffset, signature.byteLength);
  const seconds = Number(view.getBigUint64(0));
  return Number.isSafeInteger(seconds) ? seconds : null;
}

/** What is signed: the whole note text, extension lines and final newline included. */
export function cosignedMessage(text: string, timestampSeconds: number): Uint8Array {
  return toUtf8(`cosignature/v1\ntime ${timestampSeconds}\n${text}`);
}

const TIMESTAMP_BYTES = 8;

function timestampBytes(seconds: number): Uint8Array {
  if (!Number.isSafeInteger(seconds) || seconds < 0) {
    throw new MalformedError(`not a time in POSIX seconds: ${seconds}`);
  }
  const bytes = new Uint8Array(TIMESTAMP_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(seconds));
  return bytes;
}
