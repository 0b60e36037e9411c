import { randomBytes } from 'node:crypto';
import { hashSecret, SALT_BYTES } from '../broker/mosquitto-password.js';
import type { Sql } from '../database/database.service.js';
import type { IssuedSecret } from './microgrid.js';

/** Credentials of devices. Access ends by market time, as everything that ends at a slot border. */

/** A random secret of 192 bits for each, of which only the hash is stored. */
export async function issueSecrets(
  sql: Sql,
  microgridId: string | null,
  named: readonly Omit<IssuedSecret, 'secret'>[],
): Promise<IssuedSecret[]> {
  const issued = named.map((one) => ({ ...one, secret: randomBytes(24).toString('base64url') }));
  const hashes = await Promise.all(
    issued.map((one) => hashSecret(one.secret, randomBytes(SALT_BYTES))),
  );
  await sql.query(SET_CREDENTIALS, [
    issued.map((one) => one.username),
    issued.map((one) => one.kind),
    microgridId,
    hashes,
  ]);
  return issued;
}
/** $1 usernames, $2 kinds, $3 microgrid, $4 hashes; replaces what was there. */
export const SET_CREDENTIALS = `
INSERT INTO mqtt_credential (username, kind, microgrid_id, secret_hash)
SELECT username, kind, $3, secret_hash
FROM unnest($1::text[], $2::text[], $4::text[]) AS issued (username, kind, secret_hash)
ON CONFLICT (username) DO UPDATE
SET secret_hash = excluded.secret_hash, created_at = now(), revoked_at = NULL`;

/** Those of $1 whose access has not ended at market time $2. */
export const CREDENTIALS = `
SELECT username, kind, microgrid_id AS "microgridId", secret_hash AS "secretHash"
FROM mqtt_credential
WHERE username = ANY($1) AND (revoked_at IS NULL OR revoked_at > $2)`;

/** Every credential whose access has not ended at market time $1, for a broker's password file. */
export const ALL_CREDENTIALS = `
SELECT username, kind, microgrid_id AS "microgridId", secret_hash AS "secretHash"
FROM mqtt_credential
WHERE revoked_at IS NULL OR revoked_at > $1 ORDER BY username COLLATE "C"`;

/** The meters these gateways may publish for at market time $2. */
export const METERS_OF_GATEWAYS = `
SELECT gateway_id AS username, meter_id AS "meterId" FROM meter
WHERE gateway_id = ANY($1) AND (active_until IS NULL OR active_until > $2)
ORDER BY meter_id COLLATE "C"`;

/**
 * Devices' topics with who may use them, the gateway where the meter has one: of $1, or of all where
 * that is null, at market time $2.
 */
export const TOPICS = `
SELECT coalesce(gateway_id, meter_id) AS username, microgrid_id AS "microgridId",
  meter_id AS "meterId", topic
FROM meter_profile JOIN meter USING (microgrid_id, meter_id)
WHERE ($1::text[] IS NULL OR coalesce(gateway_id, meter_id) = ANY ($1))
  AND (active_until IS NULL OR active_until > $2)
ORDER BY 1, meter_id COLLATE "C"`;

/** A device of a microgrid, whose it is, and when it ends. */
export const DEVICE = `
SELECT username, kind,
  coalesce(meter.household_id, household.household_id) AS "householdId",
  coalesce(meter.active_until, household.active_until) AS "activeUntil"
FROM mqtt_credential
LEFT JOIN meter ON meter_id = username
LEFT JOIN household ON household.household_id = username
WHERE username = $1 AND mqtt_credential.microgrid_id = $2`;

export const REVOKE_CREDENTIAL = `
UPDATE mqtt_credential SET revoked_at = $2
WHERE username = $1 AND (revoked_at IS NULL OR revoked_at > $2)`;

/** Numbers the changes of a device, so that each is journalled once. */
export const COUNT_CHANGE = `
UPDATE mqtt_credential SET changes = changes + 1 WHERE username = $1 RETURNING changes`;

export const SERVICE = `
SELECT username FROM mqtt_credential WHERE username = $1 AND kind = 'service'`;
