import type { Findings } from './finding.js';
import {
  assertPayload,
  nameOf,
  withoutPayload,
  type MetersTold,
  type Payload,
  type PayloadRow,
  type Unkept,
} from './payload.js';
import { exactInstant, type TableRows } from './table-rows.store.js';
import * as store from './verify.store.js';

const LOOKED_UP = 1_000;

/**
 * Holds every reading and every contradiction against the payload that it came in, and every payload
 * against them. Both are walked in the order of payloads' hashes, each once.
 * @returns how many readings there are
 */
export async function checkPayloads(
  tables: TableRows,
  told: MetersTold,
  findings: Findings,
): Promise<number> {
  const payloads = await tables.stream<Payload>('reading_payload', store.PAYLOADS);
  const rows = (await tables.stream<PayloadRow>('reading', store.READINGS_BY_PAYLOAD)).as(exact);
  let count = 0;
  let unkept: Unkept[] = [];
  for (;;) {
    const payload = await payloads.next();
    const before = await rows.takeWhile(
      (row) => !payload || Buffer.compare(row.payloadHash, payload.payloadHash) < 0,
    );
    withoutPayload(before, findings);
    count += countReadings(before);
    if (!payload || findings.full) break;
    const own = await rows.takeWhile((row) => equal(row.payloadHash, payload.payloadHash));
    count += countReadings(own);
    unkept.push(...(await assertPayload(payload, own, told, findings)));
    if (unkept.length >= LOOKED_UP) {
      await lookUp(tables, unkept, findings);
      unkept = [];
    }
  }
  await lookUp(tables, unkept, findings);
  await checkContradictions(tables, findings);
  return count;
}

/** A repeat in another payload is kept there; what was refused is kept as refused. */
async function lookUp(
  tables: TableRows,
  unkept: readonly Unkept[],
  findings: Findings,
): Promise<void> {
  if (unkept.length === 0) return;
  const answers = await tables.query<{ kept: boolean; contradicts: boolean }>(
    'reading',
    store.OTHERWISE_KEPT,
    [
      unkept.map(({ meter }) => meter),
      unkept.map(({ register }) => register),
      unkept.map(({ readAt }) => readAt),
      unkept.map(({ valueWh }) => valueWh),
      unkept.map(({ payloadHash }) => payloadHash),
    ],
  );
  answers.forEach(({ kept, contradicts }, place) => {
    if (kept) return;
    const one = unkept[place]!;
    const table = contradicts ? 'reading_contradiction' : 'reading';
    const hash = Buffer.from(one.payloadHash).toString('hex');
    findings.add(table, nameOf(one), 'value_wh', `${one.valueWh}, as payload ${hash} says`, 'none');
  });
}

async function checkContradictions(tables: TableRows, findings: Findings): Promise<void> {
  const table = 'reading_contradiction';
  for (const row of await tables.query<PayloadRow>(table, store.IDLE_CONTRADICTIONS)) {
    const name = nameOf(exact(row));
    findings.add(table, name, 'meter_id', 'a meter that contradicted itself', row.meter);
  }
}

function countReadings(rows: readonly PayloadRow[]): number {
  return rows.filter(({ table }) => table === 'reading').length;
}

function exact(row: PayloadRow): PayloadRow {
  return { ...row, readAt: exactInstant(row.readAt) };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
