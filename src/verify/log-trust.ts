import { MalformedError } from '../transparency/bytes.js';
import type { Checkpoint } from '../transparency/checkpoint.js';
import { formatVerifierKey, parseVerifierKey } from '../transparency/signed-note.js';
import { openByPolicy, parsePolicy, type Policy } from '../transparency/tlog-policy.js';

/** Whose signatures make the checkpoints of one log good for whoever verifies. */
export interface LogTrust {
  origin: string;
  policy: Policy;
}

/** Trust in the log alone. @throws MalformedError on a text that is no verifier key */
export function trustInKey(verifierKey: string): LogTrust {
  const key = parseVerifierKey(verifierKey.trim());
  const policy: Policy = { logs: [{ key }], witnesses: [], groups: [], quorum: 'none' };
  return { origin: key.name, policy };
}

/** @throws MalformedError on a text that is no policy, or one of several logs */
export function trustInPolicy(text: string | Uint8Array): LogTrust {
  const policy = parsePolicy(text);
  const origins = new Set(policy.logs.map(({ key }) => key.name));
  const [origin] = origins;
  if (origins.size !== 1) throw new MalformedError(`a policy of ${origins.size} logs, not of one`);
  return { origin: origin!, policy };
}

/** The same without witnesses: who else signed something kept does not matter any more. */
export function withoutWitnesses({ origin, policy }: LogTrust): LogTrust {
  return { origin, policy: { ...policy, witnesses: [], groups: [], quorum: 'none' } };
}

/** The log's key in C2SP form. */
export function verifierKeyIn({ policy }: LogTrust): string {
  return formatVerifierKey(policy.logs[0]!.key);
}

/** All of them: two while the log changes its key. */
export function verifierKeysIn({ policy }: LogTrust): string[] {
  return policy.logs.map(({ key }) => formatVerifierKey(key));
}

/** What a good checkpoint is, for messages. */
export function asked({ origin, policy }: LogTrust): string {
  const { witnesses, quorum } = policy;
  if (quorum === 'none') return `a checkpoint signed by ${origin}`;
  return `a checkpoint signed by ${origin} and the quorum of ${witnesses.length} witnesses`;
}

/** The checkpoint inside, with the witnesses that cosigned it, or why it is not good. */
export function openSigned(
  note: string | Uint8Array,
  trust: LogTrust,
): { checkpoint: Checkpoint; cosigned: string[] } | string {
  try {
    const verdict = openByPolicy(note, trust.policy);
    if (verdict.outcome !== 'verified') return verdict.outcome.replaceAll('_', ' ');
    return {
      checkpoint: verdict.checkpoint,
      cosigned: verdict.cosigned.map(({ name }) => name),
    };
  } catch (error) {
    if (error instanceof MalformedError) return error.message;
    throw error;
  }
}
