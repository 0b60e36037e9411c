import type { Sql } from '../database/database.service.js';
import type { MeterRole } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';

/** A meter as its household sees it. */
export interface HouseholdMeter {
  meterId: string;
  role: MeterRole;
  activeUntil: Instant | null;
  /** Whether a one-time code waits to be used. */
  claimable: boolean;
  claimedAt: Instant | null;
  /** Of the readings that came after it was claimed; null: none did, or it was never claimed. */
  firstReadAt: Instant | null;
  lastReadAt: Instant | null;
}

/** The first reading of a meter after it was claimed. */
export interface FirstReading {
  meterId: string;
  householdId: string;
  claimedAt: Instant;
  readAt: Instant;
}

export async function householdMeters(
  sql: Sql,
  microgridId: string,
  householdId: string,
): Promise<HouseholdMeter[]> {
  return sql.query<HouseholdMeter>(HOUSEHOLD_METERS, [microgridId, householdId]);
}

/** Of the meters of these households that were claimed in the last days. */
export async function firstReadings(
  sql: Sql,
  microgridId: string,
  householdIds: readonly string[],
): Promise<FirstReading[]> {
  return sql.query<FirstReading>(FIRST_READINGS, [microgridId, householdIds, RECENT_DAYS]);
}

/** As long as a code is good: until then whoever claimed the meter may still be waiting for it. */
const RECENT_DAYS = 3;

/** The earliest reading behind those of before the claim, of either register. */
const FIRST = `
  SELECT min(each.read_at) AS read_at FROM unnest(ARRAY['import', 'export']) AS name (register)
  CROSS JOIN LATERAL (
    SELECT r.read_at FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = name.register
      AND claim.used_at IS NOT NULL AND r.read_at > coalesce(claim.read_before, '-infinity')
    ORDER BY r.read_at LIMIT 1
  ) each`;

const HOUSEHOLD_METERS = `
SELECT m.meter_id AS "meterId", m.role, m.active_until AS "activeUntil",
  coalesce(claim.used_at IS NULL AND claim.expires_at > now(), false) AS claimable,
  claim.used_at AS "claimedAt", first.read_at AS "firstReadAt", latest.read_at AS "lastReadAt"
FROM meter m
LEFT JOIN meter_claim claim USING (microgrid_id, meter_id)
LEFT JOIN LATERAL (${FIRST}) first ON true
LEFT JOIN LATERAL (
  SELECT max(each.read_at) AS read_at
  FROM unnest(ARRAY['import', 'export']) AS name (register)
  CROSS JOIN LATERAL (
    SELECT r.read_at FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = name.register
    ORDER BY r.read_at DESC LIMIT 1
  ) each
) latest ON true
WHERE m.microgrid_id = $1 AND m.household_id = $2
ORDER BY m.meter_id`;

const FIRST_READINGS = `
SELECT m.meter_id AS "meterId", m.household_id AS "householdId", claim.used_at AS "claimedAt",
  first.read_at AS "readAt"
FROM meter_claim claim JOIN meter m USING (microgrid_id, meter_id)
CROSS JOIN LATERAL (${FIRST}) first
WHERE claim.microgrid_id = $1 AND claim.used_at > now() - make_interval(days => $3)
  AND m.household_id = ANY ($2::text[]) AND first.read_at IS NOT NULL
ORDER BY m.meter_id`;
