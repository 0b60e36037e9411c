import type { Sql } from '../database/database.service.js';
import type { Instant } from '../units/slot.js';
import type { RegisterSlot } from './border.store.js';
import type { Register } from './reading.js';

/** Marks of readings that came, and borders that moved, behind what was settled. */

export interface Mark {
  meterId: string;
  register: Register;
  readAt: Instant;
  /** How often it was marked: a renewed mark is not the one that was looked at. */
  times: number;
}

/** The oldest marks; one walk of a key that is empty when nothing came late. */
export async function readMarks(sql: Sql, microgridId: string, limit: number): Promise<Mark[]> {
  return sql.query<Mark>(MARKS, [microgridId, limit]);
}

/**
 * Closed slots whose borders these marks may have moved, of meters active in them: everything
 * between the sixteenth reading before and the sixteenth after, and back to the last real one as
 * settled: a late reading may bring those around it into another light.
 */
export async function slotsAround(
  sql: Sql,
  microgridId: string,
  marks: readonly Mark[],
  since: Instant,
): Promise<RegisterSlot[]> {
  return sql.query<RegisterSlot>(SLOTS_AROUND, [
    microgridId,
    marks.map(({ meterId }) => meterId),
    marks.map(({ register }) => register),
    marks.map(({ readAt }) => readAt),
    since,
  ]);
}

/** Removes marks that were looked at, unless they were renewed meanwhile. */
export async function removeMarks(
  sql: Sql,
  microgridId: string,
  marks: readonly Mark[],
): Promise<void> {
  if (marks.length === 0) return;
  await sql.query(REMOVE_MARKS, [
    microgridId,
    marks.map(({ meterId }) => meterId),
    marks.map(({ register }) => register),
    marks.map(({ readAt }) => readAt),
    marks.map(({ times }) => times),
  ]);
}

/** Marks places of registers, so that the slots around them are compared again. */
export async function mark(
  sql: Sql,
  microgridId: string,
  places: readonly { meterId: string; register: Register; at: Instant }[],
): Promise<void> {
  if (places.length === 0) return;
  await sql.query(INSERT_MARKS, [
    microgridId,
    places.map(({ meterId }) => meterId),
    places.map(({ register }) => register),
    places.map(({ at }) => at),
  ]);
}

const MARKS = `
SELECT meter_id AS "meterId", register, read_at AS "readAt", times
FROM late_reading WHERE microgrid_id = $1
ORDER BY meter_id, register, read_at LIMIT $2`;

const SLOTS_AROUND = `
WITH grid AS (
  SELECT make_interval(mins => g.slot_minutes) AS length,
    (SELECT max(slot_start) FROM measurement WHERE microgrid_id = $1) AS last_slot
  FROM microgrid g WHERE g.microgrid_id = $1
), span AS (
  SELECT m.meter_id, m.register,
    greatest(least(m.read_at, earlier.read_at, settled.real_at), $5::timestamptz) AS from_at,
    greatest(m.read_at, later.read_at) AS to_at
  FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS m (meter_id, register, read_at)
  CROSS JOIN grid
  CROSS JOIN LATERAL (
    SELECT min(near.read_at) AS read_at FROM (
      SELECT r.read_at FROM reading r
      WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = m.register
        AND r.read_at < m.read_at
      ORDER BY r.read_at DESC LIMIT 16
    ) near
  ) earlier
  CROSS JOIN LATERAL (
    SELECT max(near.read_at) AS read_at FROM (
      SELECT r.read_at FROM reading r
      WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = m.register
        AND r.read_at > m.read_at
      ORDER BY r.read_at LIMIT 16
    ) near
  ) later
  CROSS JOIN LATERAL (
    SELECT min(b.real_at) AS real_at FROM register_border b
    WHERE b.microgrid_id = $1 AND b.meter_id = m.meter_id AND b.register = m.register
      AND b.border_at IN (date_bin(grid.length, m.read_at, 'epoch'),
        date_bin(grid.length, m.read_at, 'epoch') - grid.length)
  ) settled
), around AS (
  SELECT DISTINCT span.meter_id, span.register, slot_start, slot_start + grid.length AS slot_end
  FROM span CROSS JOIN grid CROSS JOIN LATERAL generate_series(
    date_bin(grid.length, span.from_at, 'epoch') - grid.length,
    least(span.to_at, grid.last_slot),
    grid.length) AS slot_start
)
SELECT a.meter_id AS "meterId", a.register,
  a.slot_start AS "slotStart", a.slot_end AS "slotEnd"
FROM around a
JOIN meter m ON m.microgrid_id = $1 AND m.meter_id = a.meter_id
  AND m.active_from <= a.slot_start
  AND (m.active_until IS NULL OR m.active_until >= a.slot_end)
WHERE a.slot_start >= $5
  AND EXISTS (SELECT FROM measurement c WHERE c.microgrid_id = $1 AND c.slot_start = a.slot_start)
ORDER BY a.slot_start, a.meter_id, a.register`;

const REMOVE_MARKS = `
DELETE FROM late_reading l
USING unnest($2::text[], $3::text[], $4::timestamptz[], $5::integer[])
  AS m (meter_id, register, read_at, times)
WHERE l.microgrid_id = $1 AND l.meter_id = m.meter_id AND l.register = m.register
  AND l.read_at = m.read_at AND l.times = m.times`;

const INSERT_MARKS = `
INSERT INTO late_reading (microgrid_id, meter_id, register, read_at)
SELECT DISTINCT $1::text, m.* FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS m
ORDER BY 2, 3, 4
ON CONFLICT (microgrid_id, meter_id, register, read_at)
  DO UPDATE SET times = late_reading.times + 1`;
