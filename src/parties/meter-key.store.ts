/** SQL of the keys of meters. $1 is the microgrid, $2 the meter where nothing else is said. */

/** Locked, so that keys are numbered one after another. */
export const METER = `
SELECT household_id AS "householdId", active_until AS "activeUntil" FROM meter
WHERE microgrid_id = $1 AND meter_id = $2 FOR UPDATE`;

export const KEYS = `
SELECT number, public_key AS "publicKey", registered_at AS "registeredAt" FROM meter_key
WHERE microgrid_id = $1 AND meter_id = $2 ORDER BY number`;

/** $3 number, $4 key or null, $5 market time. */
export const INSERT_KEY = `
INSERT INTO meter_key (microgrid_id, meter_id, number, public_key, registered_at)
VALUES ($1, $2, $3, $4, $5)`;

/** $2 meters: how many keys and revocations each had, and how often its device was changed. */
export const COUNTS = `
SELECT asked.meter_id AS "meterId",
  (SELECT count(*) FROM meter_key
   WHERE microgrid_id = $1 AND meter_id = asked.meter_id)::integer AS keys,
  coalesce((SELECT changes FROM mqtt_credential
   WHERE microgrid_id = $1 AND username = asked.meter_id), 0) AS changes
FROM unnest($2::text[]) AS asked (meter_id)`;
