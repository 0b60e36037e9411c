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
  lastReadAt: Instant | null;
}

export async function householdMeters(
  sql: Sql,
  microgridId: string,
  householdId: string,
): Promise<HouseholdMeter[]> {
  return sql.query<HouseholdMeter>(HOUSEHOLD_METERS, [microgridId, householdId]);
}

const HOUSEHOLD_METERS = `
SELECT m.meter_id AS "meterId", m.role, m.active_until AS "activeUntil",
  coalesce(claim.used_at IS NULL AND claim.expires_at > now(), false) AS claimable,
  claim.used_at AS "claimedAt", latest.read_at AS "lastReadAt"
FROM meter m
LEFT JOIN meter_claim claim USING (microgrid_id, meter_id)
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
