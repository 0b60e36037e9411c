/** What an auditor reads: accounts, who looked at what, and the supply of every asset in manifests. */
import type { Instant } from '../../src/units/slot.js';

/** An account as the last record left it; its balance in micro-units of money, or in Wh. */
export interface Account {
  account: string;
  asset: string;
  balance: number;
}

/** A look that somebody took at a microgrid. */
export interface AccessLogEntry {
  query: string;
  askedAt: Instant;
  by: string;
  question: Record<string, unknown>;
  outcome: string;
}

/** A record of `/v1/regulator/manifests`: its fields with their salts, and where they are closed, hashes. */
export interface OpenedRecord {
  leaves: ({ name: string; value: unknown; salt: string } | { leafHash: string })[];
}

export interface ManifestList {
  records: OpenedRecord[];
  next: number | null;
}

/** What became of an asset from one manifest to the next; before + minted − retired = after. */
export interface Supply {
  asset: string;
  before: number;
  minted: number;
  retired: number;
  after: number;
}

export interface Manifest {
  sequence: number;
  at: Instant;
  supplies: Supply[];
}

const SUPPLY = 'facts.supply.';

/** The manifest that a record opens. */
export function manifestOf({ leaves }: OpenedRecord): Manifest {
  const fields = new Map(
    leaves.flatMap((leaf) => ('name' in leaf ? [[leaf.name, leaf.value]] : [])),
  );
  const supplies = [...fields].flatMap(([name, value]) =>
    name.startsWith(SUPPLY)
      ? [{ ...(value as Omit<Supply, 'asset'>), asset: name.slice(SUPPLY.length) }]
      : [],
  );
  return {
    sequence: Number(fields.get('sequence')),
    at: String(fields.get('at')),
    supplies: supplies.sort((a, b) => (a.asset < b.asset ? -1 : 1)),
  };
}

/** Whether a manifest adds up. */
export function addsUp({ before, minted, retired, after }: Supply): boolean {
  return before + minted - retired === after;
}
