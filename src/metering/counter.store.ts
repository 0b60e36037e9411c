import { createHash } from 'node:crypto';
import type { Sql } from '../database/database.service.js';
import type { JudgedMessage } from './intake-verdict.js';

/**
 * The counters of signed messages, held and counted on in the transaction that keeps the readings, so
 * that neither a restart nor another instance forgets one.
 */

/** A key was registered or revoked since the messages were judged: judge them again. */
export class KeysChanged extends Error {
  override name = 'KeysChanged';
}

/**
 * The messages as they are believed, in the order in which they came: each counter must be higher
 * than the one before. What the broker brings again, or what this instance once had and could not
 * keep, is no replay.
 * @throws KeysChanged when a key of one of the meters is another one by now
 */
export async function believeCounters(
  sql: Sql,
  messages: readonly JudgedMessage[],
): Promise<readonly JudgedMessage[]> {
  const judged = messages.filter(({ readings }) => readings.length > 0);
  await assertKeys(sql, judged);
  const signed = messages.filter(({ counter }) => counter !== null);
  if (signed.length === 0) return messages;
  const counters = await lockCounters(sql, signed);
  const behind: JudgedMessage[] = [];
  for (const message of signed) {
    const { counter, overdue } = message;
    const name = nameOf(message);
    if (counter!.value > counters.get(name)!) counters.set(name, counter!.value);
    else if (!overdue) behind.push(message);
  }
  await saveCounters(sql, signed, counters);
  const replayed = new Set(await withoutRepeats(sql, behind));
  return messages.map((message) => (replayed.has(message) ? asReplayed(message) : message));
}

function asReplayed(message: JudgedMessage): JudgedMessage {
  const detail = `counter ${message.counter!.value} is not above the last one`;
  return { ...message, readings: [], rejections: [{ reason: 'replayed', detail }] };
}

/** @throws KeysChanged when a key of one of the meters is not the one that it was judged with */
export async function assertKeys(sql: Sql, messages: readonly JudgedMessage[]): Promise<void> {
  if (messages.length === 0) return;
  const judgedWith = new Map(messages.map(({ meterId, keyNumber }) => [meterId, keyNumber]));
  const microgridIds = new Set(messages.map(({ microgridId }) => microgridId));
  const rows = await sql.query<{ meterId: string; number: number }>(LATEST_KEYS, [
    [...microgridIds],
    [...judgedWith.keys()],
  ]);
  const latest = new Map(rows.map(({ meterId, number }) => [meterId, number]));
  for (const [meterId, number] of judgedWith) {
    if (number !== (latest.get(meterId) ?? 0)) throw new KeysChanged();
  }
}

/** In the order of their keys, so that two batches cannot wait for each other in a circle. */
async function lockCounters(
  sql: Sql,
  signed: readonly JudgedMessage[],
): Promise<Map<string, number>> {
  const rows = await sql.query<CounterRow>(LOCK_COUNTERS, columnsOf(oneOfEach(signed)));
  return new Map(rows.map((row) => [`${row.meterId} ${row.context}`, row.counter]));
}

async function saveCounters(
  sql: Sql,
  signed: readonly JudgedMessage[],
  counters: ReadonlyMap<string, number>,
): Promise<void> {
  const counted = oneOfEach(signed);
  const values = counted.map((message) => counters.get(nameOf(message))!);
  await sql.query(SAVE_COUNTERS, [...columnsOf(counted), values]);
}

interface CounterRow {
  meterId: string;
  context: string;
  counter: number;
}

function columnsOf(messages: readonly JudgedMessage[]): unknown[][] {
  return [
    messages.map(({ microgridId }) => microgridId),
    messages.map(({ meterId }) => meterId),
    messages.map(({ keyNumber }) => keyNumber),
    messages.map(({ counter }) => counter?.context ?? ''),
  ];
}

/** Those that the broker did not bring again, and those whose exact bytes were never kept. */
async function withoutRepeats(
  sql: Sql,
  behind: readonly JudgedMessage[],
): Promise<JudgedMessage[]> {
  const again = behind.filter(({ mayRepeat }) => mayRepeat);
  if (again.length === 0) return [...behind];
  const hashes = again.map(({ payload }) => createHash('sha256').update(payload).digest());
  const rows = await sql.query<{ place: number }>(KEPT_PAYLOADS, [
    again.map(({ microgridId }) => microgridId),
    hashes,
  ]);
  const kept = new Set(rows.map(({ place }) => again[place - 1]!));
  return behind.filter((message) => !kept.has(message));
}

/** One message of each meter, and of each context in which it counts. */
function oneOfEach(messages: readonly JudgedMessage[]): JudgedMessage[] {
  return [...new Map(messages.map((message) => [nameOf(message), message])).values()];
}

function nameOf({ meterId, counter }: JudgedMessage): string {
  return `${meterId} ${counter?.context ?? ''}`;
}

// An id is one meter's in all of a deployment. Most meters have no key, and no row here.
const LATEST_KEYS = `
SELECT meter_id AS "meterId", max(number) AS number FROM meter_key
WHERE microgrid_id = ANY ($1::text[]) AND meter_id = ANY ($2::text[])
GROUP BY meter_id`;

const LOCK_COUNTERS = `
INSERT INTO meter_counter AS held (microgrid_id, meter_id, key_number, context, counter)
SELECT *, -1 FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[]) ORDER BY 1, 2, 3, 4
ON CONFLICT (microgrid_id, meter_id, key_number, context) DO UPDATE SET counter = held.counter
RETURNING meter_id AS "meterId", context, counter`;

const SAVE_COUNTERS = `
UPDATE meter_counter held SET counter = counted.counter
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::bigint[])
  AS counted (microgrid_id, meter_id, key_number, context, counter)
WHERE held.microgrid_id = counted.microgrid_id AND held.meter_id = counted.meter_id
  AND held.key_number = counted.key_number AND held.context = counted.context
  AND held.counter < counted.counter`;

const KEPT_PAYLOADS = `
SELECT asked.place::integer FROM unnest($1::text[], $2::bytea[])
  WITH ORDINALITY AS asked (microgrid_id, payload_hash, place)
JOIN reading_payload USING (microgrid_id, payload_hash)`;
