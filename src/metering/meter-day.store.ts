import type { Sql } from '../database/database.service.js';
import type { MeterDayAsked, MeterDayRow } from './meter-day.js';

/** Reads a meter's day: raw readings, those that came too late to count, and borders. */

/** Up to `limit + 1`, in time. @returns null where there is no such meter of that household */
export async function meterDay(sql: Sql, asked: MeterDayAsked): Promise<MeterDayRow[] | null> {
  const { microgridId, meterId, householdId, from, to, after, limit } = asked;
  const known = await sql.query(METER, [microgridId, meterId, householdId]);
  if (known.length === 0) return null;
  const [at = null, register = null, kind = null, valueWh = null] = after?.split(' ') ?? [];
  return sql.query<MeterDayRow>(METER_DAY, [
    microgridId,
    meterId,
    from,
    to,
    at,
    register,
    kind,
    valueWh,
    limit + 1,
  ]);
}

const METER = `
SELECT FROM meter
WHERE microgrid_id = $1 AND meter_id = $2 AND ($3::text IS NULL OR household_id = $3)`;

const OF_METER = `microgrid_id = $1 AND meter_id = $2 AND register = ANY ('{import,export}')`;

const METER_DAY = `
WITH told AS (
  SELECT read_at AS at, register, 'reading' AS kind, value_wh AS value, suspect.rule,
    NULL AS quality, NULL::smallint AS revision
  FROM reading LEFT JOIN suspect_reading suspect USING (microgrid_id, meter_id, register, read_at)
  WHERE ${OF_METER} AND read_at BETWEEN $3 AND $4
  UNION ALL
  SELECT read_at, register, 'contradiction', value_wh, 'contradicts', NULL, NULL
  FROM reading_contradiction
  WHERE ${OF_METER} AND read_at BETWEEN $3 AND $4
  UNION ALL
  SELECT * FROM (
    SELECT DISTINCT ON (border_at, register) border_at, register, 'border', value_wh::numeric, NULL,
      quality, revision
    FROM register_border
    WHERE ${OF_METER} AND border_at BETWEEN $3 AND $4
    ORDER BY border_at, register, revision DESC) latest
)
SELECT at, register, kind, trim_scale(value)::text AS "valueWh", rule, quality, revision,
  concat_ws(' ', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), register, kind,
    trim_scale(value)) AS position
FROM told
WHERE $5::timestamptz IS NULL
  OR (at, register, kind, value) > ($5::timestamptz, $6::text, $7::text, $8::numeric)
ORDER BY at, register, kind, value LIMIT $9`;
