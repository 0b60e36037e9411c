import { readFileSync } from 'node:fs';
import { trustInKey, trustInPolicy, type LogTrust } from '../../verify/log-trust.js';
import type { Finding } from '../../verify/finding.js';
import type { KeptCheckpoint, PublicLog } from '../../verify/public-log.js';

/** What the ways of verifying without a database have in common. */

export const TRUST_OPTIONS = {
  policy: { type: 'string' },
  vkey: { type: 'string' },
  checkpoint: { type: 'string', multiple: true, default: [] as string[] },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

export const TRUST_HELP = `  --policy FILE      whose signatures count (C2SP tlog-policy), as you were given it
  --vkey KEY         the log's verifier key, where no witness is asked for
  --checkpoint FILE  a checkpoint that you kept: the log must still contain it
  --json             one JSON document on standard output
`;

/** Null where neither a policy nor a key is given. */
export function trustGiven(values: { policy?: string; vkey?: string }): LogTrust | null {
  if (values.policy !== undefined && values.vkey !== undefined) {
    throw new Error('give --policy or --vkey, not both');
  }
  if (values.policy !== undefined) return trustInPolicy(readFileSync(values.policy));
  return values.vkey === undefined ? null : trustInKey(values.vkey);
}

export function keptCheckpoints(files: readonly string[]): KeptCheckpoint[] {
  return files.map((name) => ({ name, note: readFileSync(name, 'utf8') }));
}

/** Findings as the document has them: of files, not of tables. */
export function inFiles(findings: readonly Finding[]) {
  return findings.map(({ table: file, ...rest }) => ({ file, ...rest }));
}

/** The checkpoint that was verified, for the document. */
export function shown(log: PublicLog | null) {
  if (!log) return null;
  const { origin, size, root } = log.checkpoint;
  return { origin, size, root: Buffer.from(root).toString('base64'), cosigned: log.cosigned };
}

/** One line that says what was looked at, and one for everything that does not fit. */
export function report(
  what: string,
  findings: readonly Finding[],
  facts: readonly string[],
): string {
  const lines = findings.map(
    ({ table, row, field, expected, found }) =>
      `  ${table} [${row}] ${field}: expected ${expected}, found ${found}\n`,
  );
  if (lines.length === 0) {
    return `${what}: everything fits\n${facts.map((fact) => `  ${fact}\n`).join('')}`;
  }
  const found = lines.length === 1 ? 'one thing does' : `${lines.length} things do`;
  return `${what}: ${found} not fit\n${lines.join('')}`;
}

/** What the signatures on the checkpoint mean. */
export function signedBy(log: PublicLog | null, isOwnWord: boolean): string[] {
  if (!log) return [];
  const { origin, size } = log.checkpoint;
  const witnesses = log.cosigned.length > 0 ? ` and cosigned by ${log.cosigned.join(', ')}` : '';
  const facts = [`${size} entries, signed by ${origin}${witnesses}`];
  if (!isOwnWord) return facts;
  return [...facts, 'the key is the one found there: give --policy or --vkey to trust your own'];
}
