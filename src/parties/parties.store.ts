/** The statements of microgrids, members and tariffs; every list is written in one statement. */

export const MICROGRID_COLUMNS = `
  microgrid_id AS "microgridId", name, time_zone AS "timeZone", currency,
  slot_minutes AS "slotMinutes", mechanism, pricing, price_k_thousandths AS "priceKThousandths",
  rationing, sharing_key AS "sharingKey", sharing_price_micro_per_kwh AS "sharingPriceMicroPerKwh",
  grace_seconds AS "graceSeconds", gate_closure_seconds AS "gateClosureSeconds",
  correction_days AS "correctionDays", unexplained_tolerance_wh AS "unexplainedToleranceWh",
  credit_limit_micro AS "creditLimitMicro", starts_at AS "startsAt"`;

export const MICROGRID_BY_ID = `SELECT ${MICROGRID_COLUMNS} FROM microgrid WHERE microgrid_id = $1`;

export const MICROGRIDS = `SELECT ${MICROGRID_COLUMNS} FROM microgrid ORDER BY microgrid_id COLLATE "C"`;

// Two enrolments of one microgrid wait for each other; readers and foreign keys do not.
export const LOCK_MICROGRID = `
SELECT ${MICROGRID_COLUMNS} FROM microgrid WHERE microgrid_id = $1 FOR NO KEY UPDATE`;

export const INSERT_MICROGRID = `
INSERT INTO microgrid (microgrid_id, name, time_zone, currency, slot_minutes, mechanism, pricing,
  price_k_thousandths, rationing, sharing_key, sharing_price_micro_per_kwh, grace_seconds,
  gate_closure_seconds, correction_days, unexplained_tolerance_wh, credit_limit_micro, starts_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (microgrid_id) DO NOTHING RETURNING microgrid_id`;

const HOUSEHOLD_COLUMNS = `
  microgrid_id AS "microgridId", household_id AS "householdId", alias, feeder,
  share_parts AS "shareParts", share_rank AS "shareRank", import_limit_w AS "importLimitW", export_limit_w AS "exportLimitW",
  credit_limit_micro AS "creditLimitMicro", active_from AS "activeFrom",
  active_until AS "activeUntil"`;

/** One that was erased is there for the trades of others alone. */
export const HOUSEHOLD_BY_ID = `
SELECT ${HOUSEHOLD_COLUMNS} FROM household WHERE household_id = $1
  AND NOT EXISTS (SELECT FROM erasure
    WHERE erasure.microgrid_id = household.microgrid_id
      AND erasure.household_id = household.household_id)`;

export const NEIGHBORS = `
SELECT household_id AS "householdId", alias FROM household
WHERE microgrid_id = $1 AND (alias = ANY ($2::text[]) OR household_id = ANY ($3::text[]))`;

export const HOUSEHOLDS_IN_SLOT = `
SELECT ${HOUSEHOLD_COLUMNS} FROM household
WHERE microgrid_id = $1 AND active_from <= $2 AND (active_until IS NULL OR active_until > $2)
ORDER BY household_id COLLATE "C"`;

export const HOUSEHOLDS_AFTER = `
SELECT ${HOUSEHOLD_COLUMNS} FROM household
WHERE microgrid_id = $1 AND household_id COLLATE "C" > $2
ORDER BY household_id COLLATE "C" LIMIT $3`;

const METER_COLUMNS = `
  meter.microgrid_id AS "microgridId", meter_id AS "meterId", meter.household_id AS "householdId",
  role, usable_wh AS "usableWh", gateway_id AS "gatewayId", meter.active_from AS "activeFrom",
  meter.active_until AS "activeUntil"`;

export const METERS_IN_SLOT = `
SELECT ${METER_COLUMNS} FROM meter JOIN household USING (microgrid_id, household_id)
WHERE microgrid_id = $1
  AND meter.active_from <= $2 AND (meter.active_until IS NULL OR meter.active_until > $2)
  AND household.active_from <= $2 AND (household.active_until IS NULL OR household.active_until > $2)
ORDER BY meter_id COLLATE "C"`;

export const METERS_BY_ID = `
SELECT ${METER_COLUMNS} FROM meter
WHERE microgrid_id = $1 AND meter_id = ANY($2) ORDER BY meter_id COLLATE "C"`;

export const METERS_OF_HOUSEHOLDS = `
SELECT ${METER_COLUMNS} FROM meter
WHERE microgrid_id = $1 AND household_id = ANY($2) ORDER BY meter_id COLLATE "C"`;

// The versions in force in [$2, $3]: the last that began by $2 and all that begin until $3.
export const NETWORK_VERSIONS = `
SELECT valid_from AS "validFrom", node_id AS node, parent_id AS parent,
  fee_micro_per_kwh AS "feeMicroPerKwh", capacity_up_w AS "capacityUpW",
  capacity_down_w AS "capacityDownW"
FROM network_node
WHERE microgrid_id = $1 AND valid_from <= $3 AND valid_from >= coalesce(
  (SELECT max(valid_from) FROM network_node WHERE microgrid_id = $1 AND valid_from <= $2), $2)
ORDER BY valid_from, node_id COLLATE "C"`;

export const INSERT_NETWORK = `
INSERT INTO network_node (microgrid_id, valid_from, node_id, parent_id, fee_micro_per_kwh,
  capacity_up_w, capacity_down_w)
SELECT $1::text, $2::timestamptz, node, parent, "feeMicroPerKwh", "capacityUpW", "capacityDownW"
FROM jsonb_to_recordset($3::jsonb) AS one (node text, parent text, "feeMicroPerKwh" bigint,
  "capacityUpW" integer, "capacityDownW" integer)
WHERE NOT EXISTS (
  SELECT FROM network_node WHERE microgrid_id = $1::text AND valid_from = $2::timestamptz)
RETURNING node_id`;

// The version in force at $2 and all that begin before $3; before the first version, the first.
export const TARIFF_VERSIONS = `
SELECT valid_from AS "validFrom", from_minute AS "fromMinute",
  retail_micro_per_kwh AS "retailMicroPerKwh", feed_in_micro_per_kwh AS "feedInMicroPerKwh",
  grid_fee_micro_per_kwh AS "gridFeeMicroPerKwh"
FROM tariff
WHERE microgrid_id = $1
  AND valid_from >= coalesce(
    (SELECT max(valid_from) FROM tariff WHERE microgrid_id = $1 AND valid_from <= $2),
    (SELECT min(valid_from) FROM tariff WHERE microgrid_id = $1))
  AND (valid_from < $3 OR valid_from <= $2
    OR valid_from = (SELECT min(valid_from) FROM tariff WHERE microgrid_id = $1))
ORDER BY valid_from, from_minute`;

export const INSERT_TARIFF = `
INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
  feed_in_micro_per_kwh, grid_fee_micro_per_kwh)
SELECT $1::ident, $2::timestamptz, "fromMinute", "retailMicroPerKwh", "feedInMicroPerKwh", "gridFeeMicroPerKwh"
FROM jsonb_to_recordset($3::jsonb) AS band ("fromMinute" smallint, "retailMicroPerKwh" bigint,
  "feedInMicroPerKwh" bigint, "gridFeeMicroPerKwh" bigint)
WHERE NOT EXISTS (
  SELECT FROM tariff WHERE microgrid_id = $1::ident AND valid_from = $2::timestamptz)
RETURNING from_minute`;

/** Ends what is open-ended, or would end later, at $3; what has not begun by then never does. */
export const END_HOUSEHOLD = `
UPDATE household SET active_until = $3
WHERE microgrid_id = $1 AND household_id = $2 AND active_until IS NULL AND active_from < $3
RETURNING household_id AS "householdId"`;

export const END_METERS = `
UPDATE meter SET active_until = greatest($3, active_from)
WHERE microgrid_id = $1 AND household_id = $2 AND (active_until IS NULL OR active_until > $3)
RETURNING meter_id AS "meterId"`;

export const END_GRANTS = `
UPDATE person_grant SET valid_until = greatest($3, valid_from)
WHERE microgrid_id = $1 AND household_id = $2 AND (valid_until IS NULL OR valid_until > $3)
RETURNING grant_id`;

export const END_INVITATIONS = `
UPDATE invitation SET used_at = now()
WHERE microgrid_id = $1 AND household_id = $2 AND purpose = 'invitation' AND used_at IS NULL`;

export const END_CREDENTIALS = `
UPDATE mqtt_credential SET revoked_at = $2
WHERE username = ANY($1) AND (revoked_at IS NULL OR revoked_at > $2)`;
