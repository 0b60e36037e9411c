import type { Sql } from '../database/database.service.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import type { NewReading } from './intake-verdict.js';
import { isSameRegister } from './newest-readings.js';
import type { NewestReadings } from './newest-readings.js';

/** Which readings come after the slots they touch were closed. */

/** Marks those that come late, so that what they touch is settled again. @param readings by key */
export async function markLate(
  sql: Sql,
  readings: readonly NewReading[],
  newest: NewestReadings,
): Promise<void> {
  const closed = await readClosedThrough(sql, readings);
  const suspects = mayBeLate(readings, newest, closed);
  if (suspects.length === 0) return;
  await sql.query(MARK_LATE, [
    suspects.map(({ reading }) => reading.microgridId),
    suspects.map(({ reading }) => reading.meterId),
    suspects.map(({ reading }) => reading.register),
    suspects.map(({ reading }) => reading.readAt),
    suspects.map(({ through }) => formatInstant(through)),
  ]);
}

/** The end of each microgrid's last closed slot, in epoch milliseconds; absent where there is none. */
export async function readClosedThrough(
  sql: Sql,
  readings: readonly NewReading[],
): Promise<Map<string, number>> {
  const microgridIds = new Set(readings.map(({ microgridId }) => microgridId));
  if (microgridIds.size === 0) return new Map();
  const rows = await sql.query<{ microgrid_id: string; through: Instant }>(CLOSED_THROUGH, [
    [...microgridIds],
  ]);
  return new Map(rows.map(({ microgrid_id, through }) => [microgrid_id, parseInstant(through)]));
}

/**
 * A reading comes late when it lies up to the end of the last closed slot, or behind that but
 * between readings that reach across it: then it moves the border they were settled with.
 * @param readings by key
 * @param closed as `readClosedThrough`
 * @returns those of which only the database knows better
 */
export function mayBeLate(
  readings: readonly NewReading[],
  newest: NewestReadings,
  closed: ReadonlyMap<string, number>,
): { reading: NewReading; through: number }[] {
  const suspects: { reading: NewReading; through: number }[] = [];
  let previous: NewReading | undefined;
  for (const reading of readings) {
    const through = closed.get(reading.microgridId);
    const before = previous;
    previous = reading;
    if (through === undefined) continue;
    if (reading.readAtMillis > through) {
      // Behind another one that is itself behind the border, it does not reach across.
      if (before && before.readAtMillis > through && isSameRegister(before, reading)) continue;
      const last = newest.of(reading);
      if (last !== undefined && last >= through && last < reading.readAtMillis) continue;
    }
    suspects.push({ reading, through });
  }
  return suspects;
}

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
