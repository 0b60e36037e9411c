import { z } from 'zod';
import { commitmentOf, LEAVES, openedValues, type Leaf } from '../ledger/opening.js';
import { logEntry, type RecordBody } from '../ledger/record.js';
import { MalformedError } from '../transparency/bytes.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import type { Receiver } from './bundle.js';
import { fieldsShown, OPENINGS } from './bundle-openings.js';
import type { Findings } from './finding.js';
import { ManifestChain } from './manifest-chain.js';

const LINE = z.strictObject({ sequence: z.number().int().min(1), leaves: LEAVES });

/**
 * Openings of a bundle held against the log: the leaves of each give the commitment that its entry
 * holds, nothing is open that the receiver may not see, the manifests are a chain, and the awards of a
 * run are those that the run says.
 */
export class OpeningCheck {
  private last = 0;
  private run: { sequence: number; awards: number; micro: number } | null = null;
  private readonly manifests: ManifestChain;
  count = 0;

  constructor(
    private readonly microgrid: string,
    private readonly receiver: Receiver,
    private readonly findings: Findings,
  ) {
    this.manifests = new ManifestChain(findings);
  }

  /** @returns the record's sequence, or null where the line is no opening */
  read(text: string): { sequence: number; leaves: readonly Leaf[] } | null {
    this.count += 1;
    const parsed = LINE.safeParse(jsonOf(text));
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      this.findings.add(OPENINGS, `line ${this.count}`, path.join('.'), 'an opening', message);
      return null;
    }
    const { sequence } = parsed.data;
    if (sequence <= this.last) {
      const expected = `more than ${this.last}`;
      this.findings.add(OPENINGS, `line ${this.count}`, 'sequence', expected, sequence);
    }
    this.last = Math.max(this.last, sequence);
    return parsed.data as { sequence: number; leaves: readonly Leaf[] };
  }

  compare(sequence: number, leaves: readonly Leaf[], entry: Uint8Array): void {
    const row = `record ${sequence}`;
    try {
      const committed = commitmentOf(leaves);
      if (!this.findings.same(OPENINGS, row, 'leaves', entry, logEntry(committed))) return;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.findings.add(OPENINGS, row, 'leaves', 'the leaves of a record', error.message);
      return;
    }
    const values = openedValues(leaves);
    this.findings.same(OPENINGS, row, 'microgrid', this.microgrid, values.get('microgrid'));
    this.findings.same(OPENINGS, row, 'sequence', sequence, values.get('sequence'));
    this.assertShown(row, values);
    this.addUp(row, sequence, values);
    const kind = values.get('kind');
    if (kind === 'slot-closed' || kind === 'manifest') {
      this.manifests.take({ sequence, kind, values });
    }
  }

  end(): void {
    this.manifests.end();
    this.endRun();
  }

  private endRun(): void {
    if (!this.run || (this.run.awards === 0 && this.run.micro === 0)) return;
    const row = `record ${this.run.sequence}`;
    this.findings.add(OPENINGS, row, 'facts.awards', 'as many awards as follow', this.run.awards);
  }

  private assertShown(row: string, values: ReadonlyMap<string, Json>): void {
    const facts: JsonObject = Object.fromEntries(
      [...values].flatMap(([name, value]) =>
        name.startsWith('facts.') ? [[name.slice('facts.'.length), value]] : [],
      ),
    );
    const households = (values.get('households') ?? []) as string[];
    const body = { kind: values.get('kind'), facts, households } as unknown as RecordBody;
    const shown = fieldsShown(body, this.receiver);
    for (const name of values.keys()) {
      if (shown?.has(name)) continue;
      this.findings.add(OPENINGS, row, name, `closed to a ${this.receiver}`, 'open');
    }
  }

  /** A run says how many awards follow it, and what they come to. */
  private addUp(row: string, sequence: number, values: ReadonlyMap<string, Json>): void {
    if (values.get('facts.action') === 'program-run') {
      this.endRun();
      const [awards, micro] = [values.get('facts.awards'), values.get('facts.awardedMicro')];
      this.run = { sequence, awards: Number(awards), micro: Number(micro) };
    } else if (values.get('kind') === 'award' && this.run) {
      this.run.awards -= 1;
      this.run.micro -= Number(values.get('facts.amountMicro'));
      if (this.run.awards !== 0) return;
      if (this.run.micro !== 0) {
        const found = `a sum that differs by ${this.run.micro}`;
        this.findings.add(OPENINGS, row, 'facts.amountMicro', "the run's awardedMicro", found);
      }
      this.run = null;
    }
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
