import {
  causeHash,
  commitment,
  logEntry,
  recordBody,
  type RecordBody,
  type RecordDraft,
} from '../ledger/record.js';
import { canonicalJson, type Json } from '../units/canonical-json.js';
import type { Findings } from './finding.js';

/**
 * Records opened: the bytes are canonical, the commitment follows from them and the holder's key, and
 * head and log entry say the same. Of the three places that hold a commitment, the one that stands
 * alone is the one at fault.
 */

/** One record as three tables hold it. */
export interface StoredRow {
  sequence: number;
  kind: string;
  at: string;
  causeHash: Uint8Array;
  commitment: Uint8Array;
  /** Null when there is no body. */
  bytes: Uint8Array | null;
  keyHolder: string | null;
  entry: Uint8Array | null;
}

export interface OpenedRecord {
  body: RecordBody;
  keyHolder: string;
  /** Of a record that was erased, what its head says of its cause: the body holds what stays. */
  erased: { causeHash: Uint8Array } | null;
}

/** Of the records that one key salts: how many fit, and those that do not, while none does. */
interface Holder {
  fits: number;
  unfit: number;
  waiting: (() => void)[];
}

const WAITING = 20;

export class RecordOpener {
  private readonly holders = new Map<string, Holder>();

  /** @param keys by holder */
  constructor(
    private readonly microgridId: string,
    private readonly keys: ReadonlyMap<string, Uint8Array>,
    private readonly findings: Findings,
  ) {}

  /** @returns the record, null where it is not what was committed to, and its entry of the log */
  open(row: StoredRow): { record: OpenedRecord | null; entry: Uint8Array } {
    const entry = logEntry(row.commitment);
    const { findings } = this;
    const { sequence } = row;
    if (row.bytes === null && row.entry === null) {
      findings.add('record_head', sequence, 'sequence', 'a body and a log entry', 'a head alone');
      return { record: null, entry };
    }
    const read = this.read(row);
    if (!read) {
      findings.same('log_entry', sequence - 1, 'entry', entry, row.entry);
      return { record: null, entry };
    }
    const { record, root } = read;
    const committed = logEntry(root);
    const inHead = equal(root, row.commitment);
    const inLog = row.entry !== null && equal(committed, row.entry);
    if (!inHead && !inLog) {
      findings.same('log_entry', sequence - 1, 'entry', entry, row.entry);
      this.unfit(sequence, record.keyHolder, row.commitment, root);
      return { record: null, entry };
    }
    this.fit(record.keyHolder);
    if (!inHead) findings.add('record_head', sequence, 'commitment', root, row.commitment);
    if (!inLog) findings.add('log_entry', sequence - 1, 'entry', committed, row.entry);
    this.compareHead(row, record.body);
    return { record, entry: committed };
  }

  /** Of a record without its body, head and log still say the same. @returns its entry of the log */
  entryOf({ sequence, commitment: inHead, entry: inLog }: StoredRow): Uint8Array {
    const entry = logEntry(inHead);
    this.findings.same('log_entry', sequence - 1, 'entry', entry, inLog);
    return entry;
  }

  /** What only shows when all records are known: a key that opens nothing, or is nobody's. */
  end(): void {
    for (const [holder, { fits, unfit, waiting }] of this.holders) {
      if (fits > 0 || unfit === 0) continue;
      const expected = `the key of ${unfit} records`;
      this.findings.add('record_key', holder, 'key', expected, 'a key that opens none');
      // With one record alone it may as well be the record.
      if (unfit === 1) for (const report of waiting) report();
    }
    for (const holder of this.keys.keys()) {
      if (this.holders.has(holder)) continue;
      this.findings.add('record_key', holder, 'key_holder', 'a holder of records', holder);
    }
  }

  private read({ sequence, bytes, keyHolder }: StoredRow) {
    const { findings, microgridId } = this;
    if (bytes === null || keyHolder === null) {
      findings.add('record_body', sequence, 'sequence', 'a body', 'none');
      return null;
    }
    const body = readBody(bytes);
    if (!body) {
      findings.add(
        'record_body',
        sequence,
        'bytes',
        'a record as canonical JSON',
        'something else',
      );
      return null;
    }
    const key = this.keys.get(keyHolder);
    if (!key) {
      findings.add('record_body', sequence, 'key_holder', 'the holder of a key', keyHolder);
      if (!this.holders.has(keyHolder)) {
        findings.add(
          'record_key',
          keyHolder,
          'key_holder',
          `the key of record ${sequence}`,
          'none',
        );
      }
      this.holder(keyHolder);
      return null;
    }
    if (body.v !== 1 && body.v !== 2) findings.add('record_body', sequence, 'v', '1 or 2', body.v);
    findings.same('record_body', sequence, 'microgrid', microgridId, body.microgrid);
    return { record: { body, keyHolder, erased: null }, root: commitment(key, body) };
  }

  private compareHead(row: StoredRow, body: RecordBody): void {
    const inHead = (field: string, expected: unknown, found: unknown) =>
      this.findings.same('record_head', row.sequence, field, expected, found);
    inHead('sequence', body.sequence, row.sequence);
    inHead('kind', body.kind, row.kind);
    inHead('at', body.at, row.at);
    inHead('cause_hash', causeHash(this.microgridId, body.cause), row.causeHash);
  }

  private fit(keyHolder: string): void {
    const holder = this.holder(keyHolder);
    holder.fits += 1;
    for (const report of holder.waiting.splice(0)) report();
  }

  private unfit(sequence: number, keyHolder: string, expected: unknown, found: unknown): void {
    const holder = this.holder(keyHolder);
    const report = () =>
      this.findings.add('record_body', sequence, 'bytes, key_holder', expected, found);
    holder.unfit += 1;
    if (holder.fits > 0) report();
    else if (holder.waiting.length < WAITING) holder.waiting.push(report);
  }

  private holder(keyHolder: string): Holder {
    let holder = this.holders.get(keyHolder);
    if (!holder) {
      holder = { fits: 0, unfit: 0, waiting: [] };
      this.holders.set(keyHolder, holder);
    }
    return holder;
  }
}

/** Compares a record with what it had to be, member by member, facts one by one. */
export function compareRecord(
  { body, keyHolder }: OpenedRecord,
  draft: RecordDraft,
  findings: Findings,
): void {
  const { sequence } = body;
  const wanted = recordBody(body.microgrid, sequence, draft);
  const same = (field: string, expected: Json | undefined, found: Json | undefined) => {
    if (isSame(expected, found)) return;
    findings.add('record_body', sequence, field, shown(expected), shown(found));
  };
  findings.same('record_body', sequence, 'key_holder', draft.keyHolder, keyHolder);
  for (const name of new Set([...Object.keys(wanted.facts), ...Object.keys(body.facts)])) {
    same(`facts.${name}`, wanted.facts[name], body.facts[name]);
  }
  for (const name of ['kind', 'at', 'cause', 'households', 'transfers'] as const) {
    same(name, wanted[name], body[name]);
  }
}

/** Whether two values have the same canonical JSON. */
export function isSame(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item: Json, index) => isSame(item, b[index] as Json));
  }
  const [left, right] = [a as Record<string, Json>, b as Record<string, Json>];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && isSame(left[name], right[name]))
  );
}

function shown(value: Json | undefined): string {
  return value === undefined ? 'absent' : canonicalJson(value);
}

function readBody(bytes: Uint8Array): RecordBody | null {
  try {
    const text = Buffer.from(bytes).toString('utf8');
    const body = JSON.parse(text) as RecordBody;
    const isCanonical =
      (isOrdered(body) && JSON.stringify(body) === text) || canonicalJson(body) === text;
    return isCanonical && isPlain(body) && isPlain(body.facts) && isCounted(body) ? body : null;
  } catch {
    return null;
  }
}

/**
 * What RFC 8785 asks beyond what JSON.stringify writes, and much sooner known: members in order, and
 * whole numbers. JavaScript orders members named like numbers by itself; those take the long way.
 */
function isOrdered(value: unknown): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isOrdered);
  let before = '';
  for (const [name, inner] of Object.entries(value)) {
    if (name < before || !name.isWellFormed() || !isOrdered(inner)) return false;
    before = name;
  }
  return true;
}

/** From version 2 on a record counts accounts and households; members without any are no fields. */
function isCounted({ v, versions, numbers }: RecordBody): boolean {
  if (v === 1) return versions === undefined && numbers === undefined;
  return isPlain(versions) && isPlain(numbers);
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
