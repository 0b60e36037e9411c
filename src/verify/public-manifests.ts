import { MANIFEST_LIST, checkManifests } from '../settlement/manifest-check.js';
import type { ReceiptRecord } from '../ledger/receipt.js';
import { parseTlogProof } from '../transparency/tlog-proof.js';
import { MalformedError } from '../transparency/bytes.js';
import type { Findings } from './finding.js';
import type { LogTrust } from './log-trust.js';
import { readFile, type LogSource, type TakeEntries } from './public-log.js';

const PATH = 'manifests';
const MOST_PAGE_BYTES = 8_000_000;
const MOST_PAGES = 1_000;

/**
 * The windows that a microgrid's manifests open to everyone, as its log serves them: each is proven by
 * a checkpoint of its own, adds up, follows the one before, and is the entry that the tree has there.
 */
export class PublicManifests {
  private index = 0;

  private constructor(
    private readonly entries: ReadonlyMap<number, string>,
    private readonly findings: Findings,
    /** How many windows are open. */
    readonly windows: number,
  ) {}

  /** Reads and judges all pages, before the entries are read. */
  static async read(
    source: LogSource,
    microgrid: string,
    trust: LogTrust,
    findings: Findings,
  ): Promise<PublicManifests> {
    const records = await allPages(source, microgrid, findings);
    const verdict = checkManifests({ microgrid, records }, trust.policy);
    if (!verdict.good) {
      const { record, field, expected, found } = verdict.misfit;
      findings.add(PATH, record === null ? 'list' : `record ${record}`, field, expected, found);
    }
    const entries = new Map(records.flatMap((record) => placeOf(record, findings)));
    return new PublicManifests(entries, findings, verdict.good ? verdict.value.length : 0);
  }

  /** To be handed the entries as they are read: what the proofs lead to must be the same log. */
  readonly take: TakeEntries = (entries) => {
    for (const entry of entries) {
      const proven = this.entries.get(this.index);
      const read = Buffer.from(entry).toString('base64');
      this.index += 1;
      if (proven === undefined || proven === read) continue;
      this.findings.add(PATH, `record ${this.index}`, 'entry', read, proven);
    }
  };
}

async function allPages(
  source: LogSource,
  microgrid: string,
  findings: Findings,
): Promise<ReceiptRecord[]> {
  const records: ReceiptRecord[] = [];
  let after = 0;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const bytes = await readFile(source, `${PATH}?after=${after}`, MOST_PAGE_BYTES, findings);
    if (!bytes) return records;
    const parsed = MANIFEST_LIST.safeParse(jsonOf(bytes));
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]!;
      findings.add(PATH, 'list', path.join('.') || 'JSON', 'a list of manifests', message);
      return records;
    }
    findings.same(PATH, 'list', 'microgrid', microgrid, parsed.data.microgrid);
    records.push(...parsed.data.records);
    const { next } = parsed.data;
    if (next === null) return records;
    if (next <= after) {
      findings.add(PATH, 'list', 'next', `more than ${after}`, next);
      return records;
    }
    after = next;
  }
  findings.add(PATH, 'list', 'next', `at most ${MOST_PAGES} pages`, 'more');
  return records;
}

/** Where the proof of a record says that its entry stands. */
function placeOf({ entry, proof }: ReceiptRecord, findings: Findings): [number, string][] {
  try {
    return [[parseTlogProof(proof).index, entry]];
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    findings.add(PATH, 'list', 'proof', 'a tlog-proof', error.message);
    return [];
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
