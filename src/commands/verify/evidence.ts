import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  findEquivocation,
  formatEquivocation,
  judgeEquivocation,
  parseEquivocation,
} from '../../transparency/equivocation.js';
import type { HashReader } from '../../transparency/merkle-proof.js';
import { formatVerifierKey, parseVerifierKey } from '../../transparency/signed-note.js';
import { verifierKeysIn } from '../../verify/log-trust.js';
import { trustGiven } from './trust.js';

const HELP = `npm run verify -- evidence FILE [--vkey KEY | --policy FILE] [--json]

Checks, with nothing but the file, that a log signed two checkpoints that cannot both be true. Exits 0
when it did, 1 when the file does not prove it, 2 when it cannot be read.

  --vkey KEY     the log's verifier key, as you were given it: the evidence must be against this one
  --policy FILE  or the policy that names it
  --json         one JSON document on standard output
`;

/** `npm run verify -- evidence`. @returns the exit status */
export async function verifyEvidence(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      vkey: { type: 'string' },
      policy: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new Error('name one file; see --help');
  const evidence = parseEquivocation(readFileSync(file, 'utf8'));
  const verifierKey = formatVerifierKey(evidence.key);
  const trust = trustGiven(values);
  const isOther = trust !== null && !verifierKeysIn(trust).includes(verifierKey);
  const verdict = isOther ? ({ outcome: 'other_key' } as const) : judgeEquivocation(evidence);
  const proven = verdict.outcome === 'proven';
  if (values.json) {
    const document = { proven, outcome: verdict.outcome, origin: evidence.key.name, verifierKey };
    process.stdout.write(`${JSON.stringify(document)}\n`);
  } else if (verdict.outcome === 'proven') {
    const { smaller, larger } = verdict;
    process.stdout.write(
      `${evidence.key.name} signed two stories: size ${smaller.size} with root ${base64(smaller.root)}, ` +
        `and size ${larger.size}, whose first ${smaller.size} entries have root ${base64(verdict.actualRoot)}.\n` +
        (trust === null ? `Compare its key with the one you know: ${verifierKey}\n` : ''),
    );
  } else {
    process.stdout.write(`${file} proves nothing: ${verdict.outcome.replaceAll('_', ' ')}.\n`);
  }
  return proven ? 0 : 1;
}

/**
 * Writes a file of evidence where two signed checkpoints contradict each other.
 * @param folder to write it to
 * @param verifierKeys those of the log
 * @param read hashes of the larger tree
 * @returns its name, or null where there is no contradiction that can be proven
 */
export async function keepEvidence(
  folder: string,
  verifierKeys: readonly string[],
  notes: readonly [string, string],
  read: HashReader,
): Promise<string | null> {
  for (const text of verifierKeys) {
    const key = parseVerifierKey(text);
    // Hashes that are damaged as well prove nothing.
    const evidence = await findEquivocation(key, notes, read).catch(() => null);
    if (!evidence) continue;
    const file = formatEquivocation(evidence);
    const hash = createHash('sha256').update(file).digest('hex').slice(0, 16);
    const name = join(folder, `evidence-${hash}.json`);
    writeFileSync(name, file);
    process.stderr.write(
      `verify: the log signed two checkpoints that contradict each other: ${name}\n`,
    );
    return name;
  }
  return null;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
