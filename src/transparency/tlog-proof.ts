import { MalformedError, fromBase64, parseDecimal, parseHash, toBase64 } from './bytes.js';
import { openCheckpoint } from './checkpoint.js';
import type { Checkpoint, CheckpointKeys } from './checkpoint.js';
import { verifyInclusion } from './merkle-proof.js';
import { openByPolicy } from './tlog-policy.js';
import type { Policy, PolicyVerdict } from './tlog-policy.js';

/**
 * C2SP tlog-proof: one text file that proves offline that an entry is in a log.
 */
export interface TlogProof {
  readonly index: number;
  /** The inclusion proof, leaf's sibling first. */
  readonly hashes: readonly Uint8Array[];
  /** Bytes that travel along and that nothing vouches for. */
  readonly extra?: Uint8Array;
  /** The signed checkpoint, cosignatures included. */
  readonly checkpoint: string;
}

export type TlogProofVerdict =
  | { readonly outcome: 'verified'; readonly checkpoint: Checkpoint }
  | {
      readonly outcome:
        | 'other_origin'
        | 'not_signed_by_log'
        | 'bad_signature'
        | 'too_few_cosignatures'
        | 'not_included';
    };

/**
 * Checks a proof for an entry's leaf hash: the log's signature, then the witnesses', then inclusion.
 * @param requiredCosignatures how many of the known witnesses must have cosigned
 * @throws MalformedError when the checkpoint inside is none
 */
export function verifyTlogProof(
  proof: TlogProof,
  leafHash: Uint8Array,
  keys: CheckpointKeys,
  requiredCosignatures = 0,
): TlogProofVerdict {
  const verdict = openCheckpoint(proof.checkpoint, keys);
  if (verdict.outcome !== 'verified') return verdict;
  if (verdict.cosigned.length < requiredCosignatures) return { outcome: 'too_few_cosignatures' };
  const { checkpoint } = verdict;
  const { index, hashes } = proof;
  const { size, root } = checkpoint;
  return verifyInclusion({ index, size, leafHash, proof: hashes, root })
    ? { outcome: 'verified', checkpoint }
    : { outcome: 'not_included' };
}

/**
 * Checks a proof as `verifyTlogProof` does, by a policy: any of its logs, and its quorum of witnesses.
 * @throws MalformedError when the checkpoint inside is none
 */
export function verifyTlogProofByPolicy(
  proof: TlogProof,
  leafHash: Uint8Array,
  policy: Policy,
): PolicyVerdict | { readonly outcome: 'not_included' } {
  const verdict = openByPolicy(proof.checkpoint, policy);
  if (verdict.outcome !== 'verified') return verdict;
  const { size, root } = verdict.checkpoint;
  const { index, hashes } = proof;
  return verifyInclusion({ index, size, leafHash, proof: hashes, root })
    ? verdict
    : { outcome: 'not_included' };
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const MAX_HASHES = 63;

/** @throws MalformedError on a proof that `parseTlogProof` would refuse */
export function formatTlogProof({ index, hashes, extra, checkpoint }: TlogProof): string {
  const lines = [
    HEADER,
    ...(extra ? [`extra ${toBase64(extra)}`] : []),
    `index ${index}`,
    ...hashes.map(toBase64),
  ];
  const text = `${lines.join('\n')}\n\n${checkpoint}`;
  parseTlogProof(text);
  return text;
}

/** @throws MalformedError on anything `formatTlogProof` does not write */
export function parseTlogProof(text: string): TlogProof {
  const border = text.indexOf('\n\n');
  if (border < 0) throw new MalformedError('a proof without an empty line before its checkpoint');
  const checkpoint = text.slice(border + 2);
  if (!checkpoint.endsWith('\n')) throw new MalformedError('a proof without its checkpoint');
  const [header, ...lines] = text.slice(0, border).split('\n');
  if (header !== HEADER) throw new MalformedError(`a proof that does not begin with ${HEADER}`);
  const extra = lines[0]?.startsWith('extra ') ? fromBase64(lines.shift()!.slice(6)) : undefined;
  if (extra?.length === 0) throw new MalformedError('a proof with an empty extra line');
  const indexLine = lines.shift() ?? '';
  if (!indexLine.startsWith('index ')) throw new MalformedError('a proof without its index line');
  if (lines.length > MAX_HASHES) throw new MalformedError('a proof of more than 63 hashes');
  return {
    index: parseDecimal(indexLine.slice(6), "a proof's index"),
    hashes: lines.map((line) => parseHash(line, 'a hash of a proof')),
    ...(extra ? { extra } : {}),
    checkpoint,
  };
}
