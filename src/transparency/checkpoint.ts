import { MalformedError, parseDecimal, parseHash, toBase64 } from './bytes.js';
import { cosignatureVerifier, timestampOf } from './cosignature.js';
import { ed25519Verifier, parseNote, signNote, verifyNote } from './signed-note.js';
import type {
  NoteSignature,
  NoteSigner,
  NoteVerifier,
  SignedNote,
  VerifierKey,
} from './signed-note.js';

/**
 * C2SP tlog-checkpoint: a log's promise that at this size its tree had this root, signed as a note.
 */
export interface Checkpoint {
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Further lines a log may add; ours adds none. */
  readonly extensions: readonly string[];
}

/** Whose word is taken: the log's own key, or keys while it is changed, and those of witnesses. */
export interface CheckpointKeys {
  readonly origin: string;
  readonly log: VerifierKey | readonly VerifierKey[];
  readonly witnesses?: readonly VerifierKey[];
}

/** A key whose cosignature holds, and the latest time that it gave, in POSIX seconds. */
export interface Cosigned {
  readonly name: string;
  readonly keyId: number;
  readonly timestampSeconds: number;
}

export type CheckpointVerdict =
  | {
      readonly outcome: 'verified';
      readonly checkpoint: Checkpoint;
      readonly note: SignedNote;
      /** Witnesses whose cosignature holds, each once, with the latest time it gave. */
      readonly cosigned: readonly Cosigned[];
    }
  | { readonly outcome: 'other_origin' | 'not_signed_by_log' | 'bad_signature' };

/** The signed note of a checkpoint. */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  return signNote(formatCheckpoint(checkpoint), signers);
}

/**
 * Reads a signed checkpoint and judges it against known keys.
 * @throws MalformedError when it is no note or no checkpoint at all
 */
export function openCheckpoint(
  signed: string | Uint8Array,
  keys: CheckpointKeys,
): CheckpointVerdict {
  const note = parseNote(signed);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== keys.origin) return { outcome: 'other_origin' };
  const logs = [keys.log].flat().map(ed25519Verifier);
  const witnesses = (keys.witnesses ?? []).map(cosignatureVerifier);
  const verdict = verifyNote(note, [...logs, ...witnesses]);
  if (verdict.outcome === 'bad_signature') return { outcome: 'bad_signature' };
  const good = verdict.outcome === 'verified' ? verdict.signatures : [];
  const isBy = (key: NoteVerifier) => (one: NoteSignature) =>
    one.name === key.name && one.keyId === key.keyId;
  if (!logs.some((log) => good.some(isBy(log)))) {
    return { outcome: 'not_signed_by_log' };
  }
  const cosigned = witnesses.flatMap((witness) => {
    const { name, keyId } = witness;
    const times = good.filter(isBy(witness)).map((one) => timestampOf(one.signature)!);
    return times.length > 0 ? [{ name, keyId, timestampSeconds: Math.max(...times) }] : [];
  });
  return { outcome: 'verified', checkpoint, note, cosigned };
}

/** The note text: origin, size and root, one a line. @throws MalformedError on an impossible one */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const lines = [origin, String(size), toBase64(root), ...extensions];
  const text = `${lines.join('\n')}\n`;
  parseCheckpoint(text);
  return text;
}

/** @throws MalformedError on anything `formatCheckpoint` does not write */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw new MalformedError('a checkpoint that does not end in a newline');
  const lines = text.slice(0, -1).split('\n');
  const [origin, size, root, ...extensions] = lines;
  if (root === undefined) throw new MalformedError('a checkpoint of fewer than three lines');
  if (lines.some((line) => line === ''))
    throw new MalformedError('a checkpoint with an empty line');
  return {
    origin: origin!,
    size: parseDecimal(size!, "a checkpoint's size"),
    root: parseHash(root, "a checkpoint's root"),
    extensions,
  };
}
