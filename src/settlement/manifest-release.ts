import type { RecordBody } from '../ledger/record.js';

/** Who may see what of a manifest. Pure: the same list serves the service and those who check it. */

export const MANIFEST_KINDS = ['slot-closed', 'manifest'] as const;
export type ManifestKind = (typeof MANIFEST_KINDS)[number];

/**
 * The fields of a manifest that are open to everyone: its windows of tokens that were opened, and what
 * tells which record it is. Null where nothing is open: then not even its place in the journal is told,
 * because the number of records of a day tells how many households there are.
 */
export function publicFields({ kind, facts }: RecordBody): ReadonlySet<string> | null {
  const { opened } = facts;
  if (kind !== 'manifest' || !Array.isArray(opened) || opened.length === 0) return null;
  return new Set([
    ...ENVELOPE,
    'facts.opened',
    ...opened.map((token) => `facts.window.${String(token)}`),
  ]);
}

/** What an auditor sees: every fact of it. */
export function auditedFields({ facts }: RecordBody): ReadonlySet<string> {
  return new Set([...ENVELOPE, ...Object.keys(facts).map((name) => `facts.${name}`)]);
}

/** What tells which record it is. */
const ENVELOPE = ['at', 'kind', 'microgrid', 'sequence', 'v'];
