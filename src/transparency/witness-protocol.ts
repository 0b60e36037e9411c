import {
  MalformedError,
  equalBytes,
  fromUtf8,
  parseDecimal,
  parseHash,
  toBase64,
} from './bytes.js';
import { openCheckpoint, parseCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import { cosignatureVerifier } from './cosignature.js';
import { verifyConsistency } from './merkle-proof.js';
import { EMPTY_ROOT } from './merkle-tree.js';
import { parseNote, parseSignature } from './signed-note.js';
import type { NoteSignature, SignedNote, VerifierKey } from './signed-note.js';

/**
 * C2SP tlog-witness: a log shows a witness its new checkpoint, and that it only appends to the last
 * one that the witness cosigned; the witness judges, and answers with its cosignature.
 */
export interface AddCheckpoint {
  /** Size of the checkpoint that the witness is thought to have cosigned last; 0 for none. */
  readonly oldSize: number;
  /** From the old size to that of the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The signed note of the checkpoint. */
  readonly checkpoint: string;
}

/** What a witness answers, by status of HTTP. With 200 it must cosign, and keep before it answers. */
export type WitnessVerdict =
  | { readonly status: 200; readonly checkpoint: Checkpoint; readonly note: SignedNote }
  | { readonly status: 409; readonly size: number }
  | { readonly status: 400 | 403 | 404 | 422; readonly reason: string };

/**
 * Judges a request as the protocol says, in its order.
 * @param body as received, of any content
 * @param keysOf the keys trusted for an origin, none for one not known
 * @param latestOf the checkpoint cosigned last for an origin
 */
export function judgeAddCheckpoint(
  body: Uint8Array,
  keysOf: (origin: string) => readonly VerifierKey[],
  latestOf: (origin: string) => Checkpoint | null,
): WitnessVerdict {
  const request = readRequest(body);
  if (typeof request === 'string') return { status: 400, reason: request };
  const { oldSize, proof, checkpoint: signed, origin } = request;
  const keys = keysOf(origin);
  if (keys.length === 0) return { status: 404, reason: 'the log is not known here' };
  const opened = openCheckpoint(signed, { origin, log: keys });
  if (opened.outcome !== 'verified') {
    return { status: 403, reason: 'no good signature of a key that is trusted for the log' };
  }
  const { checkpoint, note } = opened;
  if (oldSize > checkpoint.size) {
    return { status: 400, reason: 'the old size is larger than that of the checkpoint' };
  }
  const latest = latestOf(origin);
  if (oldSize !== (latest?.size ?? 0)) return { status: 409, size: latest?.size ?? 0 };
  const fault = faultOfGrowth(latest, checkpoint, proof);
  return fault === null ? { status: 200, checkpoint, note } : { status: 422, reason: fault };
}

/** @throws MalformedError on a request that `parseAddCheckpoint` would refuse */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const lines = [`old ${oldSize}`, ...proof.map(toBase64)];
  const text = `${lines.join('\n')}\n\n${checkpoint}`;
  parseAddCheckpoint(text);
  return text;
}

/** @throws MalformedError on anything `formatAddCheckpoint` does not write */
export function parseAddCheckpoint(text: string): AddCheckpoint {
  const border = text.indexOf('\n\n');
  if (border < 0) throw new MalformedError('a request without an empty line');
  const [first, ...hashes] = text.slice(0, border).split('\n');
  if (!first!.startsWith('old ')) throw new MalformedError('a request without its old size');
  if (hashes.length > MAX_HASHES) throw new MalformedError('a proof of more than 63 hashes');
  const checkpoint = text.slice(border + 2);
  parseCheckpoint(parseNote(checkpoint).text);
  return {
    oldSize: parseDecimal(first!.slice(4), 'the old size'),
    proof: hashes.map((line) => parseHash(line, 'a hash of a proof')),
    checkpoint,
  };
}

/** The body of an answer 409: the size cosigned last. */
export function formatSizeLine(size: number): string {
  return `${size}\n`;
}

/** @throws MalformedError on anything `formatSizeLine` does not write */
export function parseSizeLine(text: string): number {
  if (!text.endsWith('\n')) throw new MalformedError('a size without its newline');
  return parseDecimal(text.slice(0, -1), 'the size of a tree');
}

/**
 * The cosignature of one witness out of its answer 200; lines of keys not known are passed over.
 * @returns null when there is none that holds
 * @throws MalformedError when the answer is not signature lines and nothing else
 */
export function readCosignature(
  answer: string,
  note: SignedNote,
  witness: VerifierKey,
): NoteSignature | null {
  if (!answer.endsWith('\n')) throw new MalformedError('cosignatures without their newline');
  const lines = answer.slice(0, -1).split('\n');
  if (lines.length > MAX_COSIGNATURES) throw new MalformedError('more than 100 cosignatures');
  const verifier = cosignatureVerifier(witness);
  const good = lines
    .map(parseSignature)
    .filter(({ name, keyId }) => name === verifier.name && keyId === verifier.keyId)
    .filter(({ signature }) => verifier.verify(note.text, signature));
  return good.at(-1) ?? null;
}

const MAX_HASHES = 63;
const MAX_COSIGNATURES = 100;

function readRequest(body: Uint8Array): (AddCheckpoint & { origin: string }) | string {
  try {
    const request = parseAddCheckpoint(fromUtf8(body));
    const { origin } = parseCheckpoint(parseNote(request.checkpoint).text);
    return { ...request, origin };
  } catch (error) {
    if (error instanceof MalformedError) return error.message;
    throw error;
  }
}

/** Why the checkpoint does not only append to the latest; null when it does. */
function faultOfGrowth(
  latest: Checkpoint | null,
  { size, root }: Checkpoint,
  proof: readonly Uint8Array[],
): string | null {
  if (size === 0 && !equalBytes(root, EMPTY_ROOT)) return 'an empty tree with another root';
  if (latest === null || latest.size === 0) {
    return proof.length === 0 ? null : 'a proof from an empty tree, of which there is none';
  }
  if (size === latest.size && !equalBytes(root, latest.root)) {
    return 'another root of the size that was cosigned';
  }
  const claim = { oldSize: latest.size, newSize: size, oldRoot: latest.root, newRoot: root, proof };
  return verifyConsistency(claim) ? null : 'the consistency proof does not hold';
}
