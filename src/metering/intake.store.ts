import { hash } from 'node:crypto';
import { CopyRows } from '../database/copy-rows.js';
import type { Sql } from '../database/database.service.js';
import { meterKey } from '../parties/meter-key.js';
import type { MeterRole } from '../parties/microgrid.js';
import { formatRegisterWh } from '../units/energy.js';
import { parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { assertKeys, believeCounters } from './counter.store.js';
import type { EnrolledMeter, JudgedMessage, NewReading } from './intake-verdict.js';
import { markLate, mayBeLate, readClosedThrough } from './late.store.js';
import { isSameRegister } from './newest-readings.js';
import type { NewestReadings } from './newest-readings.js';
import { RejectionTally } from './rejection-tally.js';

/** Writes a batch of messages in a handful of statements, whatever their number. */

export interface StoredBatch {
  accepted: number;
  repeated: number;
  /** By reason. */
  rejected: Record<string, number>;
  /** What each register is known to have said by now: the readings accepted, and those repeated. */
  kept: readonly NewReading[];
}

/** What is known besides the messages, to save work. */
export interface BatchHints {
  readonly newest: NewestReadings;
  /**
   * Readings behind the last one of their register are copied in without asking whether they are there
   * already: when one is, PostgreSQL reports a violated key and the batch is to be stored again without.
   */
  readonly mayCopy: boolean;
}

/**
 * Keeps a batch against which nothing speaks, as nearly every one is: nothing of it is signed, refused,
 * known or late. What there is to ask is asked at once, and all the rest is one round trip.
 * @returns null, with nothing written, for every other batch
 * @throws KeysChanged when a key of one of the meters is another one by now
 */
export async function copyBatch(
  sql: Sql,
  messages: readonly JudgedMessage[],
  newest: NewestReadings,
): Promise<StoredBatch | null> {
  const isPlain = messages.every(
    ({ counter, rejections }) => counter === null && rejections.length === 0,
  );
  if (!isPlain) return null;
  const incoming = incomingByKey(hashed(messages));
  if (splitByNews(incoming, newest).known.length > 0) return null;
  const kept = incoming.map(({ reading }) => reading);
  const [closed] = await Promise.all([readClosedThrough(sql, kept), assertKeys(sql, messages)]);
  // A slot that closes from here on finds that its end has moved when the next one closes.
  if (mayBeLate(kept, newest, closed).length > 0) return null;
  await copyFresh(sql, incoming);
  return { accepted: kept.length, repeated: 0, rejected: {}, kept };
}

/**
 * Keeps readings, raw payloads and rejections of the messages. The first value of a reading counts;
 * the same again is a repeat, another one a contradiction, which is kept beside it.
 * Rows go in by key, so that two batches cannot wait for each other in a circle.
 */
export async function storeBatch(
  sql: Sql,
  messages: readonly JudgedMessage[],
  { newest, mayCopy }: BatchHints,
): Promise<StoredBatch> {
  const believed = await believeCounters(sql, messages);
  const sources = hashed(believed);
  const incoming = incomingByKey(sources);
  const { fresh, known } = mayCopy ? splitByNews(incoming, newest) : { fresh: [], known: incoming };
  const rejections = new RejectionTally();
  for (const { message, payloadHash } of sources) {
    for (const rejection of message.rejections) {
      rejections.add(message, bytesOf(payloadHash), rejection);
    }
  }
  await copyFresh(sql, fresh);
  const counts = { accepted: fresh.length, repeated: 0 };
  if (known.length > 0) {
    const columns = columnsOf(known);
    const [inserted] = await sql.query<{ count: number }>(INSERT_READINGS, columns);
    counts.accepted += inserted!.count;
    counts.repeated = known.length - inserted!.count;
    if (counts.repeated > 0) {
      const places = await sql.query<{ place: number }>(KEEP_CONTRADICTIONS, columns);
      counts.repeated -= places.length;
      for (const { place } of places) {
        const { source, reading } = known[place - 1]!;
        const detail = `${reading.readAt} already has another ${reading.register} value: the first one counts`;
        rejections.add(source.message, bytesOf(source.payloadHash), {
          reason: 'contradicts',
          detail,
        });
      }
    }
    await insertPayloads(sql, known);
  }
  const kept = incoming.map(({ reading }) => reading);
  if (counts.accepted > 0) await markLate(sql, kept, newest);
  if (!rejections.isEmpty) await sql.query(UPSERT_REJECTIONS, rejections.columns());
  return { ...counts, rejected: rejections.countsByReason(), kept };
}

/** Enrolled meters by id; those that are not enrolled are absent. */
export async function readMeters(
  sql: Sql,
  meterIds: readonly string[],
): Promise<Map<string, EnrolledMeter>> {
  const rows = await sql.query<MeterRow>(METERS_BY_ID, [meterIds]);
  return new Map(
    rows.map((row) => [
      row.meter_id,
      {
        microgridId: row.microgrid_id,
        meterId: row.meter_id,
        role: row.role,
        activeFromMillis: parseInstant(row.active_from),
        activeUntilMillis: row.active_until === null ? null : parseInstant(row.active_until),
        correctionDays: row.correction_days,
        key: row.key_number === null ? null : meterKey(row.key_number, row.public_key),
      },
    ]),
  );
}

interface HashedMessage {
  message: JudgedMessage;
  /** SHA-256, its bytes as characters: a batch has thousands, and a buffer each would burden the heap. */
  payloadHash: string;
}

interface Incoming {
  reading: NewReading;
  source: HashedMessage;
}

function hashed(messages: readonly JudgedMessage[]): HashedMessage[] {
  return messages.map((message) => ({
    message,
    payloadHash: hash('sha256', message.payload, 'binary'),
  }));
}

/** Messages first, so that nearly nothing is left to sort when their readings are. */
function incomingByKey(sources: readonly HashedMessage[]): Incoming[] {
  return sources
    .filter(({ message }) => message.readings.length > 0)
    .sort((a, b) => byKey(a.message.readings[0]!, b.message.readings[0]!))
    .flatMap((source) => source.message.readings.map((reading) => ({ reading, source })))
    .sort((a, b) => byKey(a.reading, b.reading));
}

function byKey(a: NewReading, b: NewReading): number {
  return (
    compare(a.microgridId, b.microgridId) ||
    compare(a.meterId, b.meterId) ||
    compare(a.register, b.register) ||
    a.readAtMillis - b.readAtMillis
  );
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** @param incoming by key; a key's second reading is not news */
function splitByNews(
  incoming: readonly Incoming[],
  newest: NewestReadings,
): { fresh: Incoming[]; known: Incoming[] } {
  const fresh: Incoming[] = [];
  const known: Incoming[] = [];
  let previous: NewReading | undefined;
  let lastMillis = -Infinity;
  for (const each of incoming) {
    const { reading } = each;
    if (!previous || !isSameRegister(previous, reading)) {
      lastMillis = newest.of(reading) ?? -Infinity;
    }
    (reading.readAtMillis > lastMillis ? fresh : known).push(each);
    lastMillis = Math.max(lastMillis, reading.readAtMillis);
    previous = reading;
  }
  return { fresh, known };
}

/** Readings and their payloads in one round trip. */
async function copyFresh(sql: Sql, fresh: readonly Incoming[]): Promise<void> {
  if (fresh.length === 0) return;
  const readings = new CopyRows(7);
  for (const { reading, source } of fresh) {
    readings
      .row()
      .text(reading.microgridId)
      .text(reading.meterId)
      .text(reading.register)
      .epochMillis(reading.readAtMillis)
      .numeric6(reading.microWh)
      .int4(reading.powerW)
      .latin1(source.payloadHash);
  }
  const payloads = new CopyRows(3);
  for (const { message, payloadHash } of payloadsOf(fresh)) {
    payloads.row().text(message.microgridId).latin1(payloadHash).bytea(message.payload);
  }
  await sql.copyIn([
    { text: COPY_READINGS, rows: readings.end() },
    { text: COPY_PAYLOADS, rows: payloads.end() },
  ]);
}

function columnsOf(incoming: readonly Incoming[]): unknown[][] {
  return [
    incoming.map(({ reading }) => reading.microgridId),
    incoming.map(({ reading }) => reading.meterId),
    incoming.map(({ reading }) => reading.register),
    incoming.map(({ reading }) => reading.readAt),
    incoming.map(({ reading }) => formatRegisterWh(reading.microWh)),
    incoming.map(({ reading }) => reading.powerW),
    incoming.map(({ source }) => bytesOf(source.payloadHash)),
  ];
}

async function insertPayloads(sql: Sql, incoming: readonly Incoming[]): Promise<void> {
  const rows = payloadsOf(incoming);
  await sql.query(INSERT_PAYLOADS, [
    rows.map(({ message }) => message.microgridId),
    rows.map(({ payloadHash }) => bytesOf(payloadHash)),
    rows.map(({ message }) => message.payload),
  ]);
}

/** The payloads that these readings came in, by key, each once. */
function payloadsOf(incoming: readonly Incoming[]): HashedMessage[] {
  const sources = new Set(incoming.map(({ source }) => source));
  return [...sources]
    .sort(byPayloadKey)
    .filter((source, index, sorted) => index === 0 || byPayloadKey(sorted[index - 1]!, source) < 0);
}

function bytesOf(payloadHash: string): Buffer {
  return Buffer.from(payloadHash, 'latin1');
}

function byPayloadKey(a: HashedMessage, b: HashedMessage): number {
  return (
    compare(a.message.microgridId, b.message.microgridId) || compare(a.payloadHash, b.payloadHash)
  );
}

interface MeterRow {
  microgrid_id: string;
  meter_id: string;
  role: MeterRole;
  active_from: Instant;
  active_until: Instant | null;
  correction_days: number;
  key_number: number | null;
  public_key: Buffer | null;
}

const METERS_BY_ID = `
SELECT m.microgrid_id, m.meter_id, m.role, m.active_from, m.active_until, g.correction_days,
  last.number AS key_number, last.public_key
FROM meter m JOIN microgrid g USING (microgrid_id)
LEFT JOIN LATERAL (
  SELECT k.number, k.public_key FROM meter_key k
  WHERE k.microgrid_id = m.microgrid_id AND k.meter_id = m.meter_id
  ORDER BY k.number DESC LIMIT 1
) last ON true
WHERE m.meter_id = ANY ($1::text[])`;

const COPY_READINGS = `
COPY reading (microgrid_id, meter_id, register, read_at, value_wh, power_w, payload_hash)
FROM STDIN (FORMAT binary)`;

const COPY_PAYLOADS = `
COPY reading_payload (microgrid_id, payload_hash, bytes) FROM STDIN (FORMAT binary)`;

const INSERT_READINGS = `
WITH inserted AS (
  INSERT INTO reading (microgrid_id, meter_id, register, read_at, value_wh, power_w, payload_hash)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[],
    $6::integer[], $7::bytea[])
  ON CONFLICT (microgrid_id, meter_id, register, read_at) DO NOTHING
  RETURNING 1
)
SELECT count(*) AS count FROM inserted`;

// A statement of its own, after the insert: it must see what other batches committed meanwhile.
const KEEP_CONTRADICTIONS = `
WITH contradicting AS (
  SELECT i.* FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[],
    $6::integer[], $7::bytea[]) WITH ORDINALITY
    AS i (microgrid_id, meter_id, register, read_at, value_wh, power_w, payload_hash, place)
  JOIN reading r USING (microgrid_id, meter_id, register, read_at)
  WHERE r.value_wh <> i.value_wh
), kept AS (
  INSERT INTO reading_contradiction
    (microgrid_id, meter_id, register, read_at, value_wh, payload_hash)
  SELECT microgrid_id, meter_id, register, read_at, value_wh, payload_hash FROM contradicting
  ORDER BY place
  ON CONFLICT (microgrid_id, meter_id, register, read_at, value_wh) DO NOTHING
)
SELECT place FROM contradicting ORDER BY place`;

const INSERT_PAYLOADS = `
INSERT INTO reading_payload (microgrid_id, payload_hash, bytes)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])
ON CONFLICT (microgrid_id, payload_hash) DO NOTHING`;

const UPSERT_REJECTIONS = `
INSERT INTO rejection
  (microgrid_id, meter_id, reason, payload_hash, topic, detail, payload, count)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
  $7::bytea[], $8::bigint[])
ON CONFLICT (microgrid_id, meter_id, reason, payload_hash) DO UPDATE
SET count = rejection.count + excluded.count, last_seen_at = now()`;
