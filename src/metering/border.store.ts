import type { Sql } from '../database/database.service.js';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import { parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { BorderQuality, PastSlot, RegisterReading } from './border.js';
import type { Register } from './reading.js';
import type { Evidence, MeteredSlot, SlotBorders } from './slot-borders.js';

/** What PostgreSQL knows of registers around slots, for any number of meters and slots at once. */

/** One register over one slot. */
export interface RegisterSlot {
  meterId: string;
  register: Register;
  slotStart: Instant;
  slotEnd: Instant;
}

/** Evidence for every asked register and slot, in the order asked. */
export async function readEvidence(
  sql: Sql,
  microgridId: string,
  asked: readonly RegisterSlot[],
): Promise<(Evidence & { falling: number })[]> {
  if (asked.length === 0) return [];
  const rows = await sql.query<EvidenceRow>(EVIDENCE, [microgridId, ...columnsOf(asked)]);
  return rows.map((row, index) => ({
    ...asked[index]!,
    carried:
      row.carried_wh === null ? null : { valueWh: row.carried_wh, quality: row.carried_quality! },
    beforeStart: readingOf(row.before_at, row.before_wh),
    firstInside: readingOf(row.first_at, row.first_wh),
    lastInside: readingOf(row.last_at, row.last_wh),
    afterEnd: readingOf(row.after_at, row.after_wh),
    falling: row.falling,
  }));
}

/** The same slot yesterday and the slot before, of every register asked, in the order asked. */
export async function readPast(
  sql: Sql,
  microgridId: string,
  asked: readonly RegisterSlot[],
): Promise<{ yesterday: PastSlot | null; previous: PastSlot | null }[]> {
  if (asked.length === 0) return [];
  const rows = await sql.query<PastRow>(PAST, [microgridId, ...columnsOf(asked)]);
  return rows.map((row) => ({
    yesterday: pastOf(row.y_start, row.y_start_quality, row.y_end, row.y_end_quality),
    previous: pastOf(row.p_start, row.p_start_quality, row.p_end, row.p_end_quality),
  }));
}

/** What each slot was last settled with, in the order asked; both null where nothing was kept. */
export async function readSettled(
  sql: Sql,
  microgridId: string,
  asked: readonly RegisterSlot[],
): Promise<SlotBorders[]> {
  if (asked.length === 0) return [];
  const rows = await sql.query<PastRow>(SETTLED, [microgridId, ...columnsOf(asked)]);
  return rows.map((row) => {
    const past = pastOf(row.p_start, row.p_start_quality, row.p_end, row.p_end_quality);
    if (!past) return { start: null, end: null };
    return {
      start: settledBorder(past.startWh, past.startQuality),
      end: settledBorder(past.endWh, past.endQuality),
    };
  });
}

/** Keeps what a slot was settled with; a correction's borders that moved make the next slot due. */
export async function saveBorders(
  sql: Sql,
  microgridId: string,
  revision: number,
  slots: readonly MeteredSlot[],
): Promise<void> {
  const known = slots.flatMap((slot) => (slot.end ? [{ ...slot, end: slot.end }] : []));
  if (known.length === 0) return;
  if (revision > 0) await sql.query(MARK_MOVED_ENDS, [microgridId, ...moved(known)]);
  await sql.query(INSERT_BORDERS, [
    microgridId,
    revision,
    known.map(({ slotEnd }) => slotEnd),
    known.map(({ meterId }) => meterId),
    known.map(({ register }) => register),
    known.map(({ end }) => end.valueWh),
    known.map(({ end }) => end.quality),
    known.map(({ start }) => start?.valueWh ?? null),
    known.map(({ start }) => start?.quality ?? null),
    known.map(({ lastReal }) => lastReal?.readAt ?? null),
    known.map(({ lastReal }) => lastReal?.valueWh ?? null),
  ]);
}

/** Keeps falling readings of these slots as rejections, once each; answers how many were new. */
export async function rejectFalling(
  sql: Sql,
  microgridId: string,
  found: readonly Evidence[],
): Promise<number> {
  if (found.length === 0) return 0;
  const [row] = await sql.query<{ count: number }>(REJECT_FALLING, [
    microgridId,
    ...columnsOf(found),
    found.map(({ beforeStart }) => (beforeStart ? formatRegisterWh(beforeStart.microWh) : null)),
  ]);
  return row!.count;
}

function columnsOf(asked: readonly RegisterSlot[]): unknown[][] {
  return [
    asked.map(({ meterId }) => meterId),
    asked.map(({ register }) => register),
    asked.map(({ slotStart }) => slotStart),
    asked.map(({ slotEnd }) => slotEnd),
  ];
}

function moved(known: readonly (MeteredSlot & { end: { valueWh: number; quality: string } })[]) {
  return [
    known.map(({ meterId }) => meterId),
    known.map(({ register }) => register),
    known.map(({ slotEnd }) => slotEnd),
    known.map(({ end }) => end.valueWh),
    known.map(({ end }) => end.quality),
  ];
}

function readingOf(at: Instant | null, valueWh: string | null): RegisterReading | null {
  if (at === null || valueWh === null) return null;
  return { atMillis: parseInstant(at), microWh: parseRegisterWh(valueWh) };
}

function pastOf(
  startWh: number | null,
  startQuality: BorderQuality | null,
  endWh: number | null,
  endQuality: BorderQuality | null,
): PastSlot | null {
  if (endWh === null || endQuality === null) return null;
  return { startWh, startQuality, endWh, endQuality };
}

function settledBorder(valueWh: number | null, quality: BorderQuality | null) {
  return valueWh === null || quality === null ? null : { valueWh, quality, readingHashes: [] };
}

interface EvidenceRow {
  carried_wh: number | null;
  carried_quality: BorderQuality | null;
  before_at: Instant | null;
  before_wh: string | null;
  first_at: Instant | null;
  first_wh: string | null;
  last_at: Instant | null;
  last_wh: string | null;
  after_at: Instant | null;
  after_wh: string | null;
  falling: number;
}

interface PastRow {
  y_start: number | null;
  y_start_quality: BorderQuality | null;
  y_end: number | null;
  y_end_quality: BorderQuality | null;
  p_start: number | null;
  p_start_quality: BorderQuality | null;
  p_end: number | null;
  p_end_quality: BorderQuality | null;
}

const ASKED = `
unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
  WITH ORDINALITY AS asked (meter_id, register, slot_start, slot_end, place)`;

const OF_ASKED = `
r.microgrid_id = $1::text AND r.meter_id = asked.meter_id AND r.register = asked.register`;

/**
 * A reading is real when no earlier one is higher. So the last real one of any stretch is its
 * highest, the latest of equals. Before the slot eight readings back are looked at, and the last
 * real reading of the slot before, which was kept: a register can never restart unnoticed, however
 * many low readings follow one another. Each probe walks the primary key, and stops at the first
 * reading that serves.
 */
const EVIDENCE = `
SELECT
  carried.value_wh AS carried_wh, carried.quality AS carried_quality,
  before_start.read_at AS before_at, before_start.value_wh AS before_wh,
  first_inside.read_at AS first_at, first_inside.value_wh AS first_wh,
  last_inside.read_at AS last_at, last_inside.value_wh AS last_wh,
  after_end.read_at AS after_at, after_end.value_wh AS after_wh,
  inside.falling
FROM ${ASKED}
LEFT JOIN LATERAL (
  SELECT r.value_wh, r.quality, r.real_at, r.real_wh
  FROM register_border r WHERE ${OF_ASKED} AND r.border_at = asked.slot_start
  ORDER BY r.revision DESC LIMIT 1
) carried ON true
LEFT JOIN LATERAL (
  SELECT known.read_at, known.value_wh FROM (
    (SELECT r.read_at, r.value_wh FROM reading r
      WHERE ${OF_ASKED} AND r.read_at <= asked.slot_start
      ORDER BY r.read_at DESC LIMIT 8)
    UNION ALL
    SELECT carried.real_at, carried.real_wh WHERE carried.real_at IS NOT NULL
  ) known
  ORDER BY known.value_wh DESC, known.read_at DESC LIMIT 1
) before_start ON true
LEFT JOIN LATERAL (
  SELECT r.read_at, r.value_wh FROM reading r
  WHERE ${OF_ASKED} AND r.read_at > asked.slot_start AND r.read_at <= asked.slot_end
    AND r.value_wh >= coalesce(before_start.value_wh, 0)
  ORDER BY r.read_at LIMIT 1
) first_inside ON true
LEFT JOIN LATERAL (
  SELECT r.read_at, r.value_wh FROM reading r
  WHERE ${OF_ASKED} AND r.read_at > asked.slot_start AND r.read_at <= asked.slot_end
    AND r.value_wh >= coalesce(before_start.value_wh, 0)
  ORDER BY r.value_wh DESC, r.read_at DESC LIMIT 1
) last_inside ON true
LEFT JOIN LATERAL (
  SELECT next.read_at, next.value_wh FROM (
    SELECT r.read_at, r.value_wh FROM reading r
    WHERE ${OF_ASKED} AND r.read_at > asked.slot_end
    ORDER BY r.read_at LIMIT 1000
  ) next
  WHERE next.value_wh >= coalesce(last_inside.value_wh, before_start.value_wh, 0)
  ORDER BY next.read_at LIMIT 1
) after_end ON true
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (
    WHERE seen.value_wh < greatest(seen.highest_before, before_start.value_wh)) AS falling
  FROM (
    SELECT r.value_wh, max(r.value_wh) OVER (
      ORDER BY r.read_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS highest_before
    FROM reading r
    WHERE ${OF_ASKED} AND r.read_at > asked.slot_start AND r.read_at <= asked.slot_end
  ) seen
) inside
ORDER BY asked.place`;

const PAST = `
SELECT
  y.start_wh AS y_start, y.start_quality AS y_start_quality,
  y.value_wh AS y_end, y.quality AS y_end_quality,
  p.start_wh AS p_start, p.start_quality AS p_start_quality,
  p.value_wh AS p_end, p.quality AS p_end_quality
FROM ${ASKED}
LEFT JOIN LATERAL (
  SELECT r.* FROM register_border r
  WHERE ${OF_ASKED} AND r.border_at = asked.slot_end - interval '24 hours'
  ORDER BY r.revision DESC LIMIT 1
) y ON true
LEFT JOIN LATERAL (
  SELECT r.* FROM register_border r WHERE ${OF_ASKED} AND r.border_at = asked.slot_start
  ORDER BY r.revision DESC LIMIT 1
) p ON true
ORDER BY asked.place`;

const SETTLED = `
SELECT
  p.start_wh AS p_start, p.start_quality AS p_start_quality,
  p.value_wh AS p_end, p.quality AS p_end_quality
FROM ${ASKED}
LEFT JOIN LATERAL (
  SELECT r.* FROM register_border r WHERE ${OF_ASKED} AND r.border_at = asked.slot_end
  ORDER BY r.revision DESC LIMIT 1
) p ON true
ORDER BY asked.place`;

const INSERT_BORDERS = `
INSERT INTO register_border (microgrid_id, revision, border_at, meter_id, register,
  value_wh, quality, start_wh, start_quality, real_at, real_wh)
SELECT $1::text, $2::smallint, b.*
FROM unnest($3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::text[],
  $8::bigint[], $9::text[], $10::timestamptz[], $11::numeric[]) AS b`;

const MARK_MOVED_ENDS = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT $1::text, asked.meter_id, asked.register, asked.border_at
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[])
  AS asked (meter_id, register, border_at, value_wh, quality)
CROSS JOIN LATERAL (
  SELECT r.value_wh, r.quality FROM register_border r
  WHERE ${OF_ASKED} AND r.border_at = asked.border_at
  ORDER BY r.revision DESC LIMIT 1
) settled
WHERE (settled.value_wh, settled.quality) IS DISTINCT FROM (asked.value_wh, asked.quality)
ORDER BY asked.meter_id, asked.register, asked.border_at
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;

const REJECT_FALLING = `
WITH fallen AS (
  SELECT asked.meter_id, asked.register, seen.*
  FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::numeric[])
    AS asked (meter_id, register, slot_start, slot_end, before_wh)
  CROSS JOIN LATERAL (
    SELECT r.read_at, r.value_wh, r.payload_hash, greatest(asked.before_wh, max(r.value_wh) OVER (
      ORDER BY r.read_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS highest_before
    FROM reading r
    WHERE ${OF_ASKED} AND r.read_at > asked.slot_start AND r.read_at <= asked.slot_end
  ) seen
  WHERE seen.value_wh < seen.highest_before
), kept AS (
  INSERT INTO rejection (microgrid_id, meter_id, reason, payload_hash, topic, detail, payload, count)
  SELECT $1::text, f.meter_id, 'falling_register', f.payload_hash,
    'microgrids/' || $1::text || '/meters/' || f.meter_id || '/readings',
    min(f.register || ' register of ' || to_char(f.read_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
      || ' is lower than one before: not used'),
    coalesce(substring((array_agg(p.bytes))[1] FROM 1 FOR 4096), ''), count(*)
  FROM fallen f
  LEFT JOIN reading_payload p ON p.microgrid_id = $1::text AND p.payload_hash = f.payload_hash
  GROUP BY f.meter_id, f.payload_hash
  ON CONFLICT (microgrid_id, meter_id, reason, payload_hash) DO NOTHING
  RETURNING count
)
SELECT coalesce(sum(count), 0)::bigint AS count FROM kept`;
