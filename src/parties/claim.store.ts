import type { Instant } from '../units/slot.js';

/** The statements of one-time codes for meters. */

export interface ClaimedRow {
  microgridId: string;
  householdId: string;
  activeUntil: Instant | null;
}

export interface OpenClaim {
  microgridId: string;
  householdId: string;
  codeHash: string;
}

export const METER = `
SELECT microgrid_id AS "microgridId", household_id AS "householdId", active_until AS "activeUntil"
FROM meter WHERE meter_id = $1`;

/** $1 microgrid, $2 meter, $3 hash, $4 hours. */
export const PUT_CODE = `
INSERT INTO meter_claim (microgrid_id, meter_id, code_hash, expires_at)
VALUES ($1, $2, $3, now() + make_interval(hours => $4))
ON CONFLICT (microgrid_id, meter_id) DO UPDATE SET code_hash = excluded.code_hash,
  made_at = now(), expires_at = excluded.expires_at, used_at = NULL, read_before = NULL
RETURNING expires_at AS "expiresAt"`;

export const OPEN_CLAIM = `
SELECT microgrid_id AS "microgridId", household_id AS "householdId", code_hash AS "codeHash"
FROM meter_claim JOIN meter USING (microgrid_id, meter_id)
WHERE meter_id = $1 AND used_at IS NULL AND expires_at > now()`;

/** Good once: a second use, even at the same moment, finds it used. */
export const USE_CODE = `
UPDATE meter_claim SET used_at = now(), read_before = (
  SELECT max(each.read_at) FROM unnest(ARRAY['import', 'export']) AS name (register)
  CROSS JOIN LATERAL (
    SELECT r.read_at FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = $2 AND r.register = name.register
    ORDER BY r.read_at DESC LIMIT 1
  ) each
)
WHERE microgrid_id = $1 AND meter_id = $2 AND code_hash = $3
  AND used_at IS NULL AND expires_at > now()
RETURNING meter_id`;
