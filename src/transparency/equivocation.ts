import { z } from 'zod';
import { MalformedError, equalBytes, fromBase64, toBase64 } from './bytes.js';
import { openCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import { foldGrowth, growthHashes } from './merkle-proof.js';
import type { HashReader } from './merkle-proof.js';
import { ALGORITHM, formatVerifierKey, parseVerifierKey } from './signed-note.js';
import type { VerifierKey } from './signed-note.js';

/**
 * Evidence that a log told two stories: two checkpoints that it signed and that cannot both be true.
 * Of one size their roots differ; of two sizes, hashes lead to the root of the larger tree and show
 * that its first entries have another root than the smaller checkpoint says. Nothing else is needed
 * to check it.
 */
export interface Equivocation {
  /** The log's key as the finder knew it: compare it with what the log publishes. */
  readonly key: VerifierKey;
  /** Signed notes, with all their signatures; the smaller tree first. */
  readonly smaller: string;
  readonly larger: string;
  /** As `foldGrowth` takes them; none for trees of one size. */
  readonly hashes: readonly Uint8Array[];
}

export type EquivocationVerdict =
  | {
      readonly outcome: 'proven';
      readonly smaller: Checkpoint;
      readonly larger: Checkpoint;
      /** The root that the first entries of the larger tree have. */
      readonly actualRoot: Uint8Array;
    }
  | {
      readonly outcome:
        | 'not_a_checkpoint'
        | 'other_origin'
        | 'not_signed_by_log'
        | 'bad_signature'
        | 'hashes_do_not_fit'
        | 'no_contradiction';
    };

/** Checks the evidence, offline, against the key that it names. */
export function judgeEquivocation(evidence: Equivocation): EquivocationVerdict {
  const smaller = opened(evidence.smaller, evidence.key);
  if (typeof smaller === 'string') return { outcome: smaller };
  const larger = opened(evidence.larger, evidence.key);
  if (typeof larger === 'string') return { outcome: larger };
  const actualRoot = actualRootOf(smaller, larger, evidence.hashes);
  if (actualRoot === null) return { outcome: 'hashes_do_not_fit' };
  return equalBytes(actualRoot, smaller.root)
    ? { outcome: 'no_contradiction' }
    : { outcome: 'proven', smaller, larger, actualRoot };
}

/**
 * Looks for a contradiction between two signed checkpoints of one log.
 * @param key one that signed both
 * @param read the hashes of the larger tree; not asked for trees of one size
 * @returns null where there is none, or none that one key signed
 */
export async function findEquivocation(
  key: VerifierKey,
  notes: readonly [string, string],
  read: HashReader,
): Promise<Equivocation | null> {
  const found = notes.map((note) => ({ note, checkpoint: opened(note, key) }));
  const sizeOf = ({ checkpoint }: (typeof found)[number]) =>
    typeof checkpoint === 'string' ? -1 : checkpoint.size;
  const [smaller, larger] = found.sort((a, b) => sizeOf(a) - sizeOf(b));
  const [from, to] = [sizeOf(smaller!), sizeOf(larger!)];
  if (from <= 0) return null;
  const hashes = from === to ? [] : await growthHashes(from, to, read);
  const evidence = { key, smaller: smaller!.note, larger: larger!.note, hashes };
  return judgeEquivocation(evidence).outcome === 'proven' ? evidence : null;
}

const FORMAT = 'neighborwatt/equivocation@v1';
const EXPLANATION =
  'The log signed both checkpoints, and they cannot both be true: a log only appends. Of one size, ' +
  'their roots (third lines) differ. Of two sizes, the hashes are the consistency proof of RFC 9162 ' +
  '2.1.4 from the smaller to the larger tree, with the subtree that it begins at written out: they ' +
  'lead to the root of the larger checkpoint, and to another root than the smaller one says. ' +
  'Compare the verifier key with the one that the log publishes.';

const FILE = z.strictObject({
  format: z.literal(FORMAT),
  explanation: z.string().max(10_000),
  origin: z.string(),
  verifierKey: z.string().max(10_000),
  smaller: z.string().max(1_000_000),
  larger: z.string().max(1_000_000),
  hashes: z.array(z.string()).max(64),
});

/** The evidence as a file: JSON, with an explanation for whoever finds it. */
export function formatEquivocation({ key, smaller, larger, hashes }: Equivocation): string {
  const file: z.output<typeof FILE> = {
    format: FORMAT,
    explanation: EXPLANATION,
    origin: key.name,
    verifierKey: formatVerifierKey(key),
    smaller,
    larger,
    hashes: hashes.map(toBase64),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/** @throws MalformedError on a file that is not such evidence at all; `judgeEquivocation` says the rest */
export function parseEquivocation(text: string): Equivocation {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new MalformedError('a file of evidence that is not JSON');
  }
  const parsed = FILE.safeParse(json);
  if (!parsed.success) throw new MalformedError('a file of evidence that is not in its format');
  const { origin, verifierKey, smaller, larger, hashes } = parsed.data;
  const key = parseVerifierKey(verifierKey);
  if (key.algorithm !== ALGORITHM.ed25519 || key.name !== origin) {
    throw new MalformedError('a file of evidence whose key is not that of the log');
  }
  return { key, smaller, larger, hashes: hashes.map(fromBase64) };
}

type Refusal = 'not_a_checkpoint' | 'other_origin' | 'not_signed_by_log' | 'bad_signature';

function opened(note: string, log: VerifierKey): Checkpoint | Refusal {
  try {
    const verdict = openCheckpoint(note, { origin: log.name, log });
    return verdict.outcome === 'verified' ? verdict.checkpoint : verdict.outcome;
  } catch (error) {
    if (error instanceof MalformedError) return 'not_a_checkpoint';
    throw error;
  }
}

function actualRootOf(
  smaller: Checkpoint,
  larger: Checkpoint,
  hashes: readonly Uint8Array[],
): Uint8Array | null {
  if (smaller.size === larger.size) return hashes.length === 0 ? larger.root : null;
  const roots = foldGrowth(smaller.size, larger.size, hashes);
  return roots && equalBytes(roots.new, larger.root) ? roots.old : null;
}
