import { createHash } from 'node:crypto';
import { MalformedError } from '../transparency/bytes.js';
import { formatVerifierKey, parseNote } from '../transparency/signed-note.js';
import { openByPolicy, parsePolicy, type Policy } from '../transparency/tlog-policy.js';
import type { Findings } from './finding.js';
import type { LogKeys } from './log-keys.js';
import type { TableRows } from './table-rows.store.js';

const POLICIES = `
  SELECT policy_hash AS hash, policy FROM log_policy WHERE microgrid_id = $1 ORDER BY policy_hash`;

const PUBLICATIONS = `
  SELECT published.size::text AS size, published.note, published.policy_hash AS hash,
    signed.note AS signed
  FROM publication published LEFT JOIN checkpoint signed
    ON signed.microgrid_id = published.microgrid_id AND signed.size = published.size
  WHERE published.microgrid_id = $1 AND published.size > $2
  ORDER BY published.size LIMIT 2000`;

interface Publication {
  size: string;
  note: string;
  hash: Uint8Array;
  signed: string | null;
}

/**
 * Holds every published checkpoint against the signed one of its size and against the policy under
 * which it was published, and every policy against its hash and the log's keys. That the policy was
 * the one that was promised is for whoever keeps a copy of it to say.
 */
export async function checkPublications(
  microgridId: string,
  tables: TableRows,
  findings: Findings,
  keys: LogKeys,
): Promise<void> {
  const policies = await readPolicies(microgridId, tables, findings, keys);
  let after = '0';
  for (;;) {
    const rows = await tables.query<Publication>('publication', PUBLICATIONS, [after]);
    for (const row of rows) {
      if (findings.full) return;
      comparePublication(row, policies, findings);
      after = row.size;
    }
    if (rows.length === 0) return;
  }
}

async function readPolicies(
  microgridId: string,
  tables: TableRows,
  findings: Findings,
  keys: LogKeys,
): Promise<Map<string, Policy>> {
  const rows = await tables.query<{ hash: Uint8Array; policy: Uint8Array }>('log_policy', POLICIES);
  // Only where there is one is a key of the log needed.
  const own = rows.length > 0 ? keys.verifierKeys(microgridId) : [];
  return new Map(
    rows.flatMap(({ hash, policy }): [string, Policy][] => {
      const name = Buffer.from(hash).toString('hex');
      const digest = createHash('sha256').update(policy).digest();
      findings.same('log_policy', name, 'policy_hash, policy', digest, hash);
      const read = readPolicy(policy);
      if (typeof read === 'string') {
        findings.add('log_policy', name, 'policy', 'a tlog-policy of C2SP', read);
        return [];
      }
      const logs = read.logs.map(({ key }) => formatVerifierKey(key));
      if (!logs.some((log) => own.includes(log))) {
        findings.add('log_policy', name, 'policy', own.join(' or '), logs.join(', '));
      }
      return [[name, read]];
    }),
  );
}

function comparePublication(
  { size, note, hash, signed }: Publication,
  policies: ReadonlyMap<string, Policy>,
  findings: Findings,
): void {
  const policy = policies.get(Buffer.from(hash).toString('hex'));
  if (!policy) {
    findings.add('publication', size, 'policy_hash', 'a policy that is kept', hash);
    findings.add('log_policy', Buffer.from(hash).toString('hex'), 'its row', 'a policy', 'none');
  }
  if (signed === null) {
    findings.add('publication', size, 'size', 'the size of a signed checkpoint', size);
    return;
  }
  const text = textOf(note);
  findings.same('publication', size, 'size, note', textOf(signed), text);
  if (!policy) return;
  const outcome = text === null ? 'malformed' : openByPolicy(note, policy).outcome;
  if (outcome === 'verified') return;
  findings.add('publication', size, 'note', 'cosigned as its policy asks', outcome);
}

function readPolicy(bytes: Uint8Array): Policy | string {
  try {
    return parsePolicy(bytes);
  } catch (error) {
    if (error instanceof MalformedError) return error.message;
    throw error;
  }
}

/** What is signed; null for what is no note. */
function textOf(note: string): string | null {
  try {
    return parseNote(note).text;
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}
