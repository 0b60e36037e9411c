import type { Sql } from '../database/database.service.js';
import type { MeterRole } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
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
