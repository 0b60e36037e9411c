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

/** One record as three tables hold it. */
export interface StoredRow {
  sequence: number;
  kind: string;
  at: string;
  causeHash: Uint8Array;
  commitment: Uint8Array;
  /** Null when the body was erased. */
  bytes: Uint8Array | null;
  keyHolder: string | null;
  entry: Uint8Array | null;
}

/**
 * Opens a record: its bytes are canonical, its head says the same, its commitment follows from them
 * and the holder's key, and its log entry is that commitment.
 * @returns the body, or null where it cannot be read
 */
export function openRecord(
  microgridId: string,
  row: StoredRow,
  keys: ReadonlyMap<string, Uint8Array>,
  findings: Findings,
): RecordBody | null {
  const { sequence } = row;
  findings.same('log_entry', sequence - 1, 'entry', logEntry(row.commitment), row.entry);
  if (row.bytes === null) {
    findings.add('record_body', sequence, 'bytes', 'a body', 'none');
    return null;
  }
  const body = readBody(row.bytes);
  if (!body) {
    findings.add('record_body', sequence, 'bytes', 'canonical JSON', 'something else');
    return null;
  }
  const inHead = (field: string, expected: unknown, found: unknown) =>
    findings.same('record_head', sequence, field, expected, found);
  findings.same('record_body', sequence, 'microgrid', microgridId, body.microgrid);
  inHead('sequence', body.sequence, sequence);
  inHead('kind', body.kind, row.kind);
  inHead('at', body.at, row.at);
  inHead('cause_hash', causeHash(microgridId, body.cause), row.causeHash);
  const key = keys.get(row.keyHolder ?? '');
  if (!key) {
    findings.add('record_body', sequence, 'key_holder', 'the holder of a key', row.keyHolder);
  } else if (!Buffer.from(commitment(key, body)).equals(row.commitment)) {
    findings.add(
      'record_body',
      sequence,
      'bytes, key_holder, or record_key.key',
      `what was committed to: ${Buffer.from(row.commitment).toString('hex')}`,
      Buffer.from(commitment(key, body)).toString('hex'),
    );
  }
  return body;
}

/** Compares a record with what it had to be, member by member, facts one by one. */
export function compareRecord(
  body: RecordBody,
  keyHolder: string | null,
  draft: RecordDraft,
  findings: Findings,
): void {
  const wanted = recordBody(body.microgrid, body.sequence, draft, body.opens);
  findings.same('record_body', body.sequence, 'key_holder', draft.keyHolder, keyHolder);
  const names = new Set([...Object.keys(wanted.facts), ...Object.keys(body.facts)]);
  for (const name of names) {
    sameJson(findings, body.sequence, `facts.${name}`, wanted.facts[name], body.facts[name]);
  }
  for (const name of ['kind', 'at', 'cause', 'households', 'transfers'] as const) {
    sameJson(findings, body.sequence, name, wanted[name], body[name]);
  }
}

function sameJson(
  findings: Findings,
  sequence: number,
  field: string,
  expected: Json | undefined,
  found: Json | undefined,
): void {
  const text = (value: Json | undefined) => (value === undefined ? 'absent' : canonicalJson(value));
  findings.same('record_body', sequence, field, text(expected), text(found));
}

function readBody(bytes: Uint8Array): RecordBody | null {
  try {
    const text = Buffer.from(bytes).toString('utf8');
    const body = JSON.parse(text) as RecordBody;
    return canonicalJson(body) === text ? body : null;
  } catch {
    return null;
  }
}
