import { createHash } from 'node:crypto';
import type { Sql } from '../database/database.service.js';
import { meterKey } from '../parties/meter-key.js';
import type { MeterRole } from '../parties/microgrid.js';
import { formatRegisterWh } from '../units/energy.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { believeCounters } from './counter.store.js';
import type { EnrolledMeter, JudgedMessage, NewReading } from './intake-verdict.js';
import type { Rejection } from './reading.js';

/** Writes a batch of messages in a handful of statements, whatever their number. */

export interface StoredCounts {
  accepted: number;
  repeated: number;
  /** By reason. */
  rejected: Record<string, number>;
}

/**
 * Keeps readings, raw payloads and rejections of the messages. The first value of a reading counts;
 * the same again is a repeat, another one a contradiction, which is kept beside it.
 * Rows go in by key, so that two batches cannot wait for each other in a circle.
 */
export async function storeBatch(
  sql: Sql,
  messages: readonly JudgedMessage[],
): Promise<StoredCounts> {
  const believed = await believeCounters(sql, messages);
  const hashed = believed.map((message) => ({
    message,
    payloadHash: createHash('sha256').update(message.payload).digest(),
  }));
  const incoming = hashed
    .flatMap(({ message, payloadHash }) =>
      message.readings.map((reading) => ({ ...reading, message, payloadHash })),
    )
    .sort(byKey);
  const rejections = new RejectionTally();
  for (const { message, payloadHash } of hashed) {
    for (const rejection of message.rejections) rejections.add(message, payloadHash, rejection);
  }
  let accepted = 0;
  let contradicting = 0;
  if (incoming.length > 0) {
    const columns = columnsOf(incoming);
    const [inserted] = await sql.query<{ count: number }>(INSERT_READINGS, columns);
    accepted = inserted!.count;
    if (accepted < incoming.length) {
      const places = await sql.query<{ place: number }>(KEEP_CONTRADICTIONS, columns);
      contradicting = places.length;
      for (const { place } of places) {
        const { message, payloadHash, readAt, register } = incoming[place - 1]!;
        const detail = `${readAt} already has another ${register} value: the first one counts`;
        rejections.add(message, payloadHash, { reason: 'contradicts', detail });
      }
    }
    await insertPayloads(sql, incoming);
    if (accepted > 0) await markLate(sql, incoming);
  }
  if (rejections.rows.length > 0) await sql.query(UPSERT_REJECTIONS, rejections.columns());
  return {
    accepted,
    repeated: incoming.length - accepted - contradicting,
    rejected: rejections.countsByReason(),
  };
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

type Incoming = NewReading & { message: JudgedMessage; payloadHash: Buffer };

function byKey(a: NewReading, b: NewReading): number {
  return (
    compare(a.microgridId, b.microgridId) ||
    compare(a.meterId, b.meterId) ||
    compare(a.register, b.register) ||
    a.readAtMillis - b.readAtMillis
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function columnsOf(incoming: readonly Incoming[]): unknown[][] {
  return [
    incoming.map(({ microgridId }) => microgridId),
    incoming.map(({ meterId }) => meterId),
    incoming.map(({ register }) => register),
    incoming.map(({ readAt }) => readAt),
    incoming.map(({ microWh }) => formatRegisterWh(microWh)),
    incoming.map(({ powerW }) => powerW),
    incoming.map(({ payloadHash }) => payloadHash),
  ];
}

/**
 * A reading comes late when it lies up to the end of the last closed slot, or behind that but
 * between readings that reach across it: then it moves the border they were settled with.
 * @param incoming by key
 */
async function markLate(sql: Sql, incoming: readonly Incoming[]): Promise<void> {
  const microgridIds = [...new Set(incoming.map(({ microgridId }) => microgridId))];
  const closed = await sql.query<{ microgrid_id: string; through: Instant }>(CLOSED_THROUGH, [
    microgridIds,
  ]);
  const throughMillis = new Map(
    closed.map(({ microgrid_id, through }) => [microgrid_id, parseInstant(through)]),
  );
  const suspects = incoming.filter((reading, index) => {
    const through = throughMillis.get(reading.microgridId);
    if (through === undefined || reading.readAtMillis <= through) return through !== undefined;
    // Behind another one that is itself behind the border, it does not reach across.
    const previous = incoming[index - 1];
    const follows = previous && previous.readAtMillis > through && sameRegister(previous, reading);
    return !follows;
  });
  if (suspects.length === 0) return;
  await sql.query(MARK_LATE, [
    suspects.map(({ microgridId }) => microgridId),
    suspects.map(({ meterId }) => meterId),
    suspects.map(({ register }) => register),
    suspects.map(({ readAt }) => readAt),
    suspects.map(({ microgridId }) => formatInstant(throughMillis.get(microgridId)!)),
  ]);
}

function sameRegister(a: NewReading, b: NewReading): boolean {
  return a.microgridId === b.microgridId && a.meterId === b.meterId && a.register === b.register;
}

async function insertPayloads(sql: Sql, incoming: readonly Incoming[]): Promise<void> {
  const payloads = new Map<string, Incoming>();
  for (const reading of incoming) {
    payloads.set(`${reading.microgridId}/${reading.payloadHash.toString('latin1')}`, reading);
  }
  const rows = [...payloads.values()].sort(
    (a, b) => compare(a.microgridId, b.microgridId) || Buffer.compare(a.payloadHash, b.payloadHash),
  );
  await sql.query(INSERT_PAYLOADS, [
    rows.map(({ microgridId }) => microgridId),
    rows.map(({ payloadHash }) => payloadHash),
    rows.map(({ message }) => message.payload),
  ]);
}

interface RejectionRow {
  message: JudgedMessage;
  reason: string;
  payloadHash: Buffer;
  detail: string;
  count: number;
}

/** Rejections of a batch, one row for each meter, reason and payload. */
class RejectionTally {
  private readonly byKey = new Map<string, RejectionRow>();

  get rows(): RejectionRow[] {
    return [...this.byKey.entries()]
      .sort(([a], [b]) => compare(a, b))
      .map(([, rejection]) => rejection);
  }

  add(message: JudgedMessage, payloadHash: Buffer, { reason, detail }: Rejection): void {
    const { microgridId, meterId } = message;
    const key = [microgridId, meterId, reason, payloadHash.toString('hex')].join('/');
    const known = this.byKey.get(key);
    if (known) known.count += 1;
    else this.byKey.set(key, { message, reason, payloadHash, detail, count: 1 });
  }

  countsByReason(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { reason, count } of this.byKey.values()) {
      counts[reason] = (counts[reason] ?? 0) + count;
    }
    return counts;
  }

  columns(): unknown[][] {
    const rows = this.rows;
    return [
      rows.map(({ message }) => message.microgridId),
      rows.map(({ message }) => message.meterId),
      rows.map(({ reason }) => reason),
      rows.map(({ payloadHash }) => payloadHash),
      rows.map(({ message }) => storable(message.topic, MAX_TOPIC_CHARACTERS)),
      rows.map(({ detail }) => storable(detail, MAX_DETAIL_CHARACTERS)),
      rows.map(({ message }) => message.payload.subarray(0, MAX_KEPT_BYTES)),
      rows.map(({ count }) => count),
    ];
  }
}

/** PostgreSQL's text holds neither NUL nor half a surrogate pair. */
function storable(text: string, maxCharacters: number): string {
  return text
    .slice(0, maxCharacters)
    .toWellFormed()
    .replace(/\p{Cc}/gu, '\uFFFD');
}

const MAX_TOPIC_CHARACTERS = 512;
const MAX_DETAIL_CHARACTERS = 300;
const MAX_KEPT_BYTES = 4_096;

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

const CLOSED_THROUGH = `
SELECT g.microgrid_id, closed.slot_start + make_interval(mins => g.slot_minutes) AS through
FROM microgrid g
CROSS JOIN LATERAL (
  SELECT m.slot_start FROM measurement m WHERE m.microgrid_id = g.microgrid_id
  ORDER BY m.slot_start DESC LIMIT 1
) closed
WHERE g.microgrid_id = ANY ($1::text[])`;

const MARK_LATE = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT DISTINCT i.microgrid_id, i.meter_id, i.register, i.read_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
  AS i (microgrid_id, meter_id, register, read_at, through)
WHERE i.read_at <= i.through OR (
  NOT EXISTS (
    SELECT FROM reading r
    WHERE r.microgrid_id = i.microgrid_id AND r.meter_id = i.meter_id AND r.register = i.register
      AND r.read_at >= i.through AND r.read_at < i.read_at
  ) AND EXISTS (
    SELECT FROM reading r
    WHERE r.microgrid_id = i.microgrid_id AND r.meter_id = i.meter_id AND r.register = i.register
      AND r.read_at > i.read_at
  )
)
ORDER BY 1, 2, 3, 4
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;

const UPSERT_REJECTIONS = `
INSERT INTO rejection
  (microgrid_id, meter_id, reason, payload_hash, topic, detail, payload, count)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
  $7::bytea[], $8::bigint[])
ON CONFLICT (microgrid_id, meter_id, reason, payload_hash) DO UPDATE
SET count = rejection.count + excluded.count, last_seen_at = now()`;
