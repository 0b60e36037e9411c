import type { Sql } from '../database/database.service.js';
import type { MeterRole } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import { REPEATED_SLOTS, SUN_DAYS } from './meter-flags.js';
import type { MeterFigures } from './meter-flags.js';
import type { RejectionReason } from './reading.js';

/** What an operator looks after: refused messages, and meters that fell silent. */

export interface StoredRejection {
  meterId: string;
  reason: RejectionReason;
  topic: string;
  detail: string;
  payload: Buffer;
  payloadHash: Buffer;
  count: number;
  firstSeenAt: Instant;
  lastSeenAt: Instant;
  /** Where the next page goes on. */
  position: string;
}

export interface MeterState {
  meterId: string;
  householdId: string;
  role: MeterRole;
  gatewayId: string | null;
  activeFrom: Instant;
  activeUntil: Instant | null;
  lastReadAt: Instant | null;
  /** Counts by reason. */
  rejected: Partial<Record<RejectionReason, number>>;
}

/** What flags are told from, but how long the meter has been silent. */
export type StoredFigures = Omit<MeterFigures, 'silentSeconds'> & { meterId: string };

interface Asked {
  limit: number;
  after: string | null;
}

/** Up to `limit + 1`, latest first. */
export async function rejections(
  sql: Sql,
  microgridId: string,
  { limit, after }: Asked,
): Promise<StoredRejection[]> {
  const [seenAt = null, meterId = null, reason = null, hash = null] = after?.split(' ') ?? [];
  const parameters = [microgridId, seenAt, meterId, reason, hash, limit + 1];
  return sql.query<StoredRejection>(REJECTIONS, parameters);
}

/** Up to `limit + 1`, by id, after the meter `after`. */
export async function meterStates(
  sql: Sql,
  microgridId: string,
  { limit, after }: Asked,
): Promise<MeterState[]> {
  return sql.query<MeterState>(METER_STATES, [microgridId, after ?? '', limit + 1]);
}

/** Of these meters, what is known of late. @param now market time */
export async function meterFigures(
  sql: Sql,
  microgridId: string,
  meterIds: readonly string[],
  now: Instant,
): Promise<StoredFigures[]> {
  if (meterIds.length === 0) return [];
  return sql.query<StoredFigures>(METER_FIGURES, [microgridId, meterIds, now]);
}

// The position counts microseconds: two rejections of one millisecond must not hide each other.
const REJECTIONS = `
SELECT meter_id AS "meterId", reason, topic, detail, payload, payload_hash AS "payloadHash", count,
  first_seen_at AS "firstSeenAt", last_seen_at AS "lastSeenAt",
  concat_ws(' ', to_char(last_seen_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), meter_id, reason,
    encode(payload_hash, 'hex')) AS position
FROM rejection
WHERE microgrid_id = $1 AND ($2::timestamptz IS NULL OR
  (last_seen_at, meter_id, reason, payload_hash)
    < ($2::timestamptz, $3::text, $4::text, decode($5::text, 'hex')))
ORDER BY last_seen_at DESC, meter_id DESC, reason DESC, payload_hash DESC LIMIT $6`;

const METER_STATES = `
SELECT m.meter_id AS "meterId", m.household_id AS "householdId", m.role,
  m.gateway_id AS "gatewayId", m.active_from AS "activeFrom", m.active_until AS "activeUntil",
  latest.read_at AS "lastReadAt", coalesce(refused.counts, '{}') AS rejected
FROM meter m
LEFT JOIN LATERAL (
  SELECT max(each.read_at) AS read_at
  FROM unnest(ARRAY['import', 'export']) AS name (register)
  CROSS JOIN LATERAL (
    SELECT r.read_at FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = name.register
    ORDER BY r.read_at DESC LIMIT 1
  ) each
) latest ON true
LEFT JOIN LATERAL (
  SELECT jsonb_object_agg(reason, count) AS counts FROM (
    SELECT reason, sum(count)::bigint AS count FROM rejection
    WHERE microgrid_id = $1 AND meter_id = m.meter_id GROUP BY reason
  ) by_reason
) refused ON true
WHERE m.microgrid_id = $1 AND m.meter_id > $2
ORDER BY m.meter_id LIMIT $3`;

/**
 * Energies are those of the household, of the kind that the meter counts. Sunny are slots in which the
 * others generated anything. A clock is told by the latest reading of each message: who sends an hour
 * of readings at once is not an hour behind.
 */
const METER_FIGURES = `
WITH asked AS (
  SELECT meter_id, household_id, role FROM meter
  WHERE microgrid_id = $1 AND meter_id = ANY ($2::text[])
), lately AS (
  SELECT DISTINCT ON (slot_start, household_id) slot_start, household_id, quality, import_wh,
    export_wh, generated_wh, charged_wh, discharged_wh
  FROM measurement
  WHERE microgrid_id = $1 AND slot_start >= $3::timestamptz - interval '${SUN_DAYS} days'
  ORDER BY slot_start, household_id, revision DESC
), street AS (
  SELECT slot_start, sum(generated_wh) AS generated_wh FROM lately GROUP BY slot_start
)
SELECT asked.meter_id AS "meterId", coalesce(suspect.counts, '{}') AS suspects,
  repeated.energy_wh AS "repeatedWh",
  (SELECT slot_minutes FROM microgrid WHERE microgrid_id = $1) AS "slotMinutes", sun.correlation AS "sunCorrelation",
  coalesce(sun.slots, 0) AS "sunnySlots", clock.behind AS "clockBehindSeconds"
FROM asked
LEFT JOIN LATERAL (
  SELECT jsonb_object_agg(rule, count) AS counts FROM (
    SELECT rule, count(*) AS count FROM suspect_reading s
    WHERE s.microgrid_id = $1 AND s.meter_id = asked.meter_id
      AND s.read_at >= $3::timestamptz - interval '1 day'
    GROUP BY rule) by_rule
) suspect ON true
LEFT JOIN LATERAL (
  SELECT min(last.energy_wh)::bigint AS energy_wh FROM (
    SELECT quality, CASE asked.role WHEN 'generation' THEN generated_wh
      WHEN 'storage' THEN charged_wh + discharged_wh ELSE import_wh + export_wh END AS energy_wh
    FROM lately WHERE lately.household_id = asked.household_id
    ORDER BY slot_start DESC LIMIT ${REPEATED_SLOTS}) last
  HAVING count(*) = ${REPEATED_SLOTS} AND min(last.energy_wh) = max(last.energy_wh)
    AND bool_and(last.quality = 'measured')
) repeated ON true
LEFT JOIN LATERAL (
  SELECT corr(own.import_wh, street.generated_wh - own.generated_wh) AS correlation,
    count(*) FILTER (WHERE street.generated_wh > own.generated_wh)::bigint AS slots
  FROM lately own JOIN street USING (slot_start)
  WHERE own.household_id = asked.household_id AND asked.role = 'grid'
) sun ON true
LEFT JOIN LATERAL (
  SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY
    extract(epoch FROM p.received_at - message.read_at))::numeric, 3)::double precision AS behind
  FROM (
    SELECT each.payload_hash, max(each.read_at) AS read_at
    FROM unnest(ARRAY['import', 'export']) AS name (register)
    CROSS JOIN LATERAL (
      SELECT r.read_at, r.payload_hash FROM reading r
      WHERE r.microgrid_id = $1 AND r.meter_id = asked.meter_id AND r.register = name.register
      ORDER BY r.read_at DESC LIMIT 20) each
    GROUP BY each.payload_hash
  ) message
  JOIN reading_payload p ON p.microgrid_id = $1 AND p.payload_hash = message.payload_hash
) clock ON true`;
