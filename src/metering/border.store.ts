import type { Sql } from '../database/database.service.js';
import type { Instant } from '../units/slot.js';
import type { BorderQuality, PastSlot } from './border.js';
import type { Register } from './reading.js';
import type { MeteredSlot, SlotBorders } from './slot-borders.js';

/** What slots were settled with, for any number of meters and slots at once. */

/** One register over one slot. */
export interface RegisterSlot {
  meterId: string;
  register: Register;
  slotStart: Instant;
  slotEnd: Instant;
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
    known.map(({ anchor }) => anchor?.readAt ?? null),
    known.map(({ anchor }) => anchor?.valueWh ?? null),
  ]);
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
    known.map(({ lastReal }) => lastReal?.valueWh ?? null),
  ];
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
  value_wh, quality, start_wh, start_quality, real_at, real_wh, anchor_at, anchor_wh)
SELECT $1::text, $2::smallint, b.*
FROM unnest($3::timestamptz[], $4::text[], $5::text[], $6::bigint[], $7::text[],
  $8::bigint[], $9::text[], $10::timestamptz[], $11::numeric[], $12::timestamptz[], $13::numeric[])
  AS b`;

const MARK_MOVED_ENDS = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT $1::text, asked.meter_id, asked.register, asked.border_at
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[], $7::numeric[])
  AS asked (meter_id, register, border_at, value_wh, quality, real_wh)
CROSS JOIN LATERAL (
  SELECT r.value_wh, r.quality, r.real_wh FROM register_border r
  WHERE ${OF_ASKED} AND r.border_at = asked.border_at
  ORDER BY r.revision DESC LIMIT 1
) settled
WHERE (settled.value_wh, settled.quality, settled.real_wh)
  IS DISTINCT FROM (asked.value_wh, asked.quality, asked.real_wh)
ORDER BY asked.meter_id, asked.register, asked.border_at
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;
