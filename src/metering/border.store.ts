import type { Sql } from '../database/database.service.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { BorderQuality, PastSlot } from './border.js';
import type { Register } from './reading.js';
import {
  areEnough,
  candidates,
  latestCandidates,
  likeEnergy,
  LOOKBACK_DAYS,
  shapeOf,
} from './estimation.js';
import type { Estimate, Gap, PastDays, Shape } from './estimation.js';
import { longGaps, type Evidence, type OfBorders } from './slot-borders.js';
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

/** The shapes of the long gaps that slots lie in, in the order of the evidence. */
export async function readShapes(
  sql: Sql,
  microgridId: string,
  evidence: readonly Evidence[],
): Promise<OfBorders<Shape>[]> {
  const gaps = evidence.map(longGaps);
  const asked = evidence.map((of, index) => ({ of, gaps: Object.values(gaps[index]!) }));
  const days = await readPastDays(sql, microgridId, asked);
  return gaps.map(({ start, end }, index) => ({
    start: start && shapeOf(start, days[index]!),
    end: end && shapeOf(end, days[index]!),
  }));
}

/** What these slots take on the average of their like days, in the order asked. */
export async function readLikeEnergy(
  sql: Sql,
  microgridId: string,
  slots: readonly RegisterSlot[],
): Promise<(Estimate | null)[]> {
  const asked = slots.map((of) => ({ of, gaps: [spanOf(of)] }));
  const days = await readPastDays(sql, microgridId, asked);
  return slots.map((slot, index) => likeEnergy(spanOf(slot), days[index]!));
}

function spanOf({ slotStart, slotEnd }: RegisterSlot): Gap {
  return { fromMillis: parseInstant(slotStart), toMillis: parseInstant(slotEnd) };
}

/** Of each register the days before its gaps: the latest, and all where these are not enough. */
async function readPastDays(
  sql: Sql,
  microgridId: string,
  slots: readonly { of: RegisterSlot; gaps: readonly (Gap | null)[] }[],
): Promise<PastDays[]> {
  const past = new Map<string, Map<number, (number | null)[]>>();
  const daysOf = ({ meterId, register }: RegisterSlot) => {
    const key = `${meterId}/${register}`;
    const days = past.get(key) ?? new Map<number, (number | null)[]>();
    past.set(key, days);
    return days;
  };
  const read = async (wanted: (gap: Gap, days: PastDays) => readonly number[]) => {
    const asked: { of: RegisterSlot; midnight: number }[] = [];
    for (const { of, gaps } of slots) {
      const days = daysOf(of);
      for (const gap of gaps) {
        if (!gap) continue;
        for (const midnight of wanted(gap, days)) {
          if (days.has(midnight)) continue;
          days.set(midnight, []);
          asked.push({ of, midnight });
        }
      }
    }
    if (asked.length === 0) return;
    const rows = await sql.query<{ levels: (number | null)[] }>(PAST_DAYS, [
      microgridId,
      asked.map(({ of }) => of.meterId),
      asked.map(({ of }) => of.register),
      asked.map(({ midnight }) => formatInstant(midnight)),
    ]);
    asked.forEach(({ of, midnight }, place) => daysOf(of).set(midnight, rows[place]!.levels));
  };
  await read(latestCandidates);
  await read((gap, days) => (areEnough(gap, days) ? [] : candidates(gap).flat()));
  return slots.map(({ of }) => daysOf(of));
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
  if (revision > 0) {
    await sql.query(MARK_MOVED_ENDS, [microgridId, ...moved(known)]);
    await sql.query(MARK_SHAPED, [microgridId, ...moved(known)]);
  }
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

/** Hours are added as such, for days are not all as long where a session's zone has summer time. */
const PAST_DAYS = `
SELECT (
  SELECT json_agg(known.value_wh ORDER BY hour.border_at)
  FROM generate_series(asked.midnight, asked.midnight + interval '24 hours', interval '1 hour')
    AS hour (border_at)
  LEFT JOIN LATERAL (
    SELECT CASE WHEN r.quality <> 'estimated' THEN r.value_wh END AS value_wh
    FROM register_border r WHERE ${OF_ASKED} AND r.border_at = hour.border_at
    ORDER BY r.revision DESC LIMIT 1
  ) known ON true
) AS levels
FROM unnest($2::text[], $3::text[], $4::timestamptz[])
  WITH ORDINALITY AS asked (meter_id, register, midnight, place)
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

/** Ends of a correction that were settled otherwise before. */
const MOVED = `
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::text[], $7::numeric[])
  AS asked (meter_id, register, border_at, value_wh, quality, real_wh)
CROSS JOIN LATERAL (
  SELECT r.value_wh, r.quality, r.real_wh FROM register_border r
  WHERE ${OF_ASKED} AND r.border_at = asked.border_at
  ORDER BY r.revision DESC LIMIT 1
) settled`;

const MOVED_OTHERWISE = `
(settled.value_wh, settled.quality, settled.real_wh)
  IS DISTINCT FROM (asked.value_wh, asked.quality, asked.real_wh)`;

const MARK_MOVED_ENDS = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT $1::text, asked.meter_id, asked.register, asked.border_at
${MOVED}
WHERE ${MOVED_OTHERWISE}
ORDER BY asked.meter_id, asked.register, asked.border_at
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;

/**
 * A moved full hour may be one that the shape of a later gap is taken from. Every gap of more than
 * two hours has a border between one and two hours behind the reading before it.
 */
const MARK_SHAPED = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT DISTINCT $1::text, asked.meter_id, asked.register, shaped.border_at
${MOVED}
CROSS JOIN LATERAL (
  SELECT r.border_at FROM register_border r
  WHERE ${OF_ASKED} AND r.quality = 'interpolated' AND r.border_at - r.real_at > interval '1 hour'
    AND r.border_at - r.real_at <= interval '2 hours'
    AND r.border_at > asked.border_at
    AND r.border_at <= asked.border_at + interval '${(LOOKBACK_DAYS + 2) * 24} hours'
) shaped
WHERE ${MOVED_OTHERWISE} AND date_bin('1 hour', asked.border_at, 'epoch') = asked.border_at
ORDER BY 2, 3, 4
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;
