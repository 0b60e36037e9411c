import { MalformedError, fromUtf8, parseDecimal, toBase64, toUtf8 } from './bytes.js';
import { openCheckpoint, parseCheckpoint } from './checkpoint.js';
import type { Checkpoint, Cosigned } from './checkpoint.js';
import {
  ALGORITHM,
  formatVerifierKey,
  keyIdOf,
  parseNote,
  parseVerifierKey,
} from './signed-note.js';
import type { SignedNote, VerifierKey } from './signed-note.js';

/**
 * C2SP tlog-policy: whose signatures make a checkpoint good. Any one of the logs signs, and the
 * quorum of witnesses cosigns. Names of witnesses and groups mean nothing outside of the policy; they
 * are octet strings, held here as text of one character an octet.
 */
export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** Each names only what stands before it. */
  readonly groups: readonly PolicyGroup[];
  /** The name of a witness or group, or `none`. */
  readonly quorum: string;
}

export interface PolicyLog {
  /** Its name is the log's origin. */
  readonly key: VerifierKey;
  readonly url?: string;
}

export interface PolicyWitness {
  readonly name: string;
  readonly key: VerifierKey;
  /** The submission prefix of C2SP tlog-witness. */
  readonly url?: string;
}

/** Witnesses a checkpoint when at least `threshold` of its members do. */
export interface PolicyGroup {
  readonly name: string;
  readonly threshold: number;
  readonly members: readonly string[];
}

export type PolicyVerdict =
  | {
      readonly outcome: 'verified';
      readonly checkpoint: Checkpoint;
      readonly note: SignedNote;
      /** Witnesses of the policy whose cosignature holds. */
      readonly cosigned: readonly Cosigned[];
    }
  | {
      readonly outcome: 'other_origin' | 'not_signed_by_log' | 'bad_signature' | 'quorum_not_met';
    };

/**
 * Reads a signed checkpoint and judges it by a policy.
 * @throws MalformedError when it is no note or no checkpoint at all
 */
export function openByPolicy(signed: string | Uint8Array, policy: Policy): PolicyVerdict {
  const { origin } = parseCheckpoint(parseNote(signed).text);
  const named = policy.logs.map(({ key }) => key).filter(({ name }) => name === origin);
  if (named.length === 0) return { outcome: 'other_origin' };
  // What is signed with ML-DSA-44 alone cannot be checked, and counts as not signed.
  const log = named.filter(({ algorithm }) => algorithm === ALGORITHM.ed25519);
  const witnesses = policy.witnesses
    .map(({ key }) => key)
    .filter(({ algorithm }) => algorithm === ALGORITHM.cosignature);
  const verdict = openCheckpoint(signed, { origin, log, witnesses });
  if (verdict.outcome !== 'verified') return verdict;
  const { cosigned } = verdict;
  const by = policy.witnesses.filter(({ key }) => {
    const id = keyIdOf(key);
    return cosigned.some(({ name, keyId }) => name === key.name && keyId === id);
  });
  return meetsQuorum(
    policy,
    by.map(({ name }) => name),
  )
    ? verdict
    : { outcome: 'quorum_not_met' };
}

/** Whether these witnesses, by their names in the policy, are enough. */
export function meetsQuorum(policy: Policy, witnesses: readonly string[]): boolean {
  const met = new Set([NONE, ...witnesses]);
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => met.has(member)).length >= threshold) met.add(name);
  }
  return met.has(policy.quorum);
}

/** @throws MalformedError naming the line that breaks a rule of the format */
export function parsePolicy(text: string | Uint8Array): Policy {
  const octets = typeof text === 'string' ? toUtf8(text) : text;
  if (octets.length > MAX_BYTES)
    throw new MalformedError('a policy of more than four million bytes');
  const whole = octetString(octets);
  if (!whole.endsWith('\n')) throw new MalformedError('a policy that does not end in a newline');
  const reader = new PolicyReader();
  whole
    .slice(0, -1)
    .split('\n')
    .forEach((line, index) => {
      try {
        reader.read(line);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        throw new MalformedError(`line ${index + 1} of the policy: ${error.message}`);
      }
    });
  return reader.policy();
}

/** The policy without comments: logs, witnesses, groups and quorum, one a line. */
export function formatPolicy(policy: Policy): Uint8Array {
  const url = (of: { url?: string }) => (of.url === undefined ? [] : [of.url]);
  const lines = [
    ...policy.logs.map((log) => ['log', keyText(log.key), ...url(log)]),
    ...policy.witnesses.map((one) => ['witness', one.name, keyText(one.key), ...url(one)]),
    ...policy.groups.map(({ name, threshold, members }) => [
      'group',
      name,
      threshold === members.length ? 'all' : threshold === 1 ? 'any' : String(threshold),
      ...members,
    ]),
    ['quorum', policy.quorum],
  ];
  const text = lines.map((items) => `${items.join(' ')}\n`).join('');
  const octets = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  parsePolicy(octets);
  return octets;
}

const NONE = 'none';
const MAX_BYTES = 4_000_000;

class PolicyReader {
  private readonly logs: PolicyLog[] = [];
  private readonly witnesses: PolicyWitness[] = [];
  private readonly groups: PolicyGroup[] = [];
  private readonly keys = new Set<string>();
  private readonly defined = new Set<string>();
  private readonly grouped = new Set<string>();
  private quorum: string | undefined;

  read(line: string): void {
    // Only tab of the control characters, and no DEL; above ASCII every octet is opaque.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(line)) throw new MalformedError('a control character');
    const items = line.split(/[ \t]+/).filter((item) => item !== '');
    const [keyword, ...rest] = items;
    if (keyword === undefined || keyword.startsWith('#')) return;
    if (keyword === 'log') this.readLog(rest);
    else if (keyword === 'witness') this.readWitness(rest);
    else if (keyword === 'group') this.readGroup(rest);
    else if (keyword === 'quorum') this.readQuorum(rest);
    else throw new MalformedError('it begins with none of log, witness, group and quorum');
  }

  policy(): Policy {
    const { logs, witnesses, groups, quorum } = this;
    if (quorum === undefined) throw new MalformedError('a policy without a quorum line');
    return { logs, witnesses, groups, quorum };
  }

  private readLog([vkey, url, ...more]: string[]): void {
    if (vkey === undefined || more.length > 0) throw new MalformedError('not log <vkey> [<url>]');
    const key = readKey(vkey, [ALGORITHM.ed25519, ALGORITHM.mlDsa44]);
    this.assertNew(key, 'log');
    this.logs.push(url === undefined ? { key } : { key, url });
  }

  private readWitness([name, vkey, url, ...more]: string[]): void {
    if (name === undefined || vkey === undefined || more.length > 0) {
      throw new MalformedError('not witness <name> <vkey> [<url>]');
    }
    const key = readKey(vkey, [ALGORITHM.cosignature, ALGORITHM.mlDsa44]);
    this.assertNew(key, 'witness');
    this.define(name);
    this.witnesses.push(url === undefined ? { name, key } : { name, key, url });
  }

  private readGroup([name, most, ...members]: string[]): void {
    if (name === undefined || most === undefined || members.length === 0) {
      throw new MalformedError('not group <name> all|any|<k> <name>...');
    }
    for (const member of members) {
      if (!this.defined.has(member)) throw new MalformedError('a member not defined before');
      if (this.grouped.has(member)) throw new MalformedError('a member of a group already');
      this.grouped.add(member);
    }
    const threshold = thresholdOf(most, members.length);
    this.define(name);
    this.groups.push({ name, threshold, members });
  }

  private readQuorum([name, ...more]: string[]): void {
    if (name === undefined || more.length > 0) throw new MalformedError('not quorum <name>');
    if (this.quorum !== undefined) throw new MalformedError('a second quorum line');
    if (name !== NONE && !this.defined.has(name)) {
      throw new MalformedError('a quorum not defined before');
    }
    this.quorum = name;
  }

  /** The same public key under another name is the same key. */
  private assertNew({ publicKey }: VerifierKey, kind: string): void {
    const text = `${kind} ${toBase64(publicKey)}`;
    if (this.keys.has(text)) throw new MalformedError('a public key listed before');
    this.keys.add(text);
  }

  /** Witnesses and groups share one namespace. */
  private define(name: string): void {
    if (name === NONE) throw new MalformedError('the name none, which is predefined');
    if (this.defined.has(name)) throw new MalformedError('a name defined before');
    this.defined.add(name);
  }
}

function thresholdOf(most: string, members: number): number {
  if (most === 'all') return members;
  if (most === 'any') return 1;
  const threshold = parseDecimal(most, 'the threshold of a group');
  if (threshold < 1 || threshold > members) {
    throw new MalformedError('a threshold that is not from 1 to the number of members');
  }
  return threshold;
}

function readKey(vkey: string, algorithms: readonly number[]): VerifierKey {
  const key = parseVerifierKey(fromUtf8(Uint8Array.from(vkey, (letter) => letter.charCodeAt(0))));
  if (!algorithms.includes(key.algorithm)) {
    throw new MalformedError('a key of a type that is not for this');
  }
  return key;
}

function keyText(key: VerifierKey): string {
  return octetString(toUtf8(formatVerifierKey(key)));
}

function octetString(octets: Uint8Array): string {
  let text = '';
  for (const octet of octets) text += String.fromCharCode(octet);
  return text;
}
