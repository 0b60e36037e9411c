import { z } from 'zod';
import type { ShownRecord } from '../ledger/receipt.js';
import { checkWindows } from '../settlement/manifest-check.js';
import { OPENINGS } from './bundle-openings.js';
import type { Findings } from './finding.js';

const SUPPLY = z.strictObject({
  before: z.int(),
  minted: z.int(),
  retired: z.int(),
  after: z.int(),
});

/** The last manifest of a kind, and what it left of each asset. */
interface Link {
  sequence: number;
  after: Map<string, number>;
}

/**
 * The manifests of a bundle as a chain. Of each asset supply before + minted − retired is supply after,
 * and that is what the next one begins with, from nothing on: slot by slot, and day by day. A day says
 * in the end what its last slot said. Windows that are open to everyone follow one another likewise.
 */
export class ManifestChain {
  private readonly windows: ShownRecord[] = [];
  private readonly last = new Map<string, Link>();

  constructor(private readonly findings: Findings) {}

  /** Takes a record that was opened, in sequence. */
  take(record: ShownRecord): void {
    const { kind, values } = record;
    const opened = values.get('facts.opened');
    if (Array.isArray(opened) && opened.length > 0) this.windows.push(record);
    // A regulator sees windows alone.
    if (!values.has('facts.previous')) return;
    const before = this.last.get(kind);
    const link: Link = { sequence: record.sequence, after: new Map(before?.after) };
    for (const [name, value] of values) {
      const [, asset] = /^facts\.supply\.(.+)$/.exec(name) ?? [];
      if (asset !== undefined) this.follow(record, name, asset, value, link.after);
    }
    if (kind === 'manifest') {
      this.same(record, 'facts.previous', before?.sequence ?? 0, values.get('facts.previous'));
      for (const [asset, after] of this.last.get('slot-closed')?.after ?? []) {
        this.same(record, `facts.supply.${asset}.after`, after, link.after.get(asset));
      }
    }
    this.last.set(kind, link);
  }

  end(): void {
    const verdict = checkWindows(this.windows);
    if (verdict.good) return;
    const { record, field, expected, found } = verdict.misfit;
    this.findings.add(OPENINGS, `record ${record}`, field, expected, found);
  }

  private follow(
    record: ShownRecord,
    name: string,
    asset: string,
    value: unknown,
    supply: Map<string, number>,
  ): void {
    const parsed = SUPPLY.safeParse(value);
    if (!parsed.success) {
      const { message } = parsed.error.issues[0]!;
      this.findings.add(OPENINGS, `record ${record.sequence}`, name, 'a supply', message);
      return;
    }
    const { before, minted, retired, after } = parsed.data;
    this.same(record, `${name}.before`, supply.get(asset) ?? 0, before);
    this.same(record, `${name}.after`, before + minted - retired, after);
    supply.set(asset, after);
  }

  private same(record: ShownRecord, field: string, expected: unknown, found: unknown): void {
    this.findings.same(OPENINGS, `record ${record.sequence}`, field, expected, found);
  }
}
