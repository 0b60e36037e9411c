/** The statements of people, grants, invitations and resets. */

export const INSERT_PERSON = `
INSERT INTO person (person_id, name, password_hash, password_must_change) VALUES ($1, $2, $3, $4)`;

export const INSERT_GRANTS = `
INSERT INTO person_grant (person_id, role, microgrid_id, household_id, valid_from)
SELECT $1, role, "microgridId", "householdId", "validFrom"
FROM jsonb_to_recordset($2::jsonb) AS given (role text, "microgridId" text, "householdId" text,
  "validFrom" timestamptz)`;

export const GRANTS_OF = `
SELECT role, microgrid_id AS "microgridId", household_id AS "householdId",
  valid_from AS "validFrom", valid_until AS "validUntil"
FROM person_grant WHERE person_id = $1`;

/** Locks a person's row, so that changes of grants wait for each other. */
export const LOCK_PERSON = `
SELECT person_id AS "personId" FROM person WHERE person_id = $1 AND disabled_at IS NULL FOR UPDATE`;

export const END_GRANT = `
UPDATE person_grant SET valid_until = greatest($5, valid_from)
WHERE person_id = $1 AND role = $2 AND microgrid_id IS NOT DISTINCT FROM $3::text
  AND household_id IS NOT DISTINCT FROM $4::text AND valid_until IS NULL
RETURNING role, microgrid_id AS "microgridId", household_id AS "householdId",
  valid_from AS "validFrom"`;

/** $1 household, $2 microgrid, $3 the person who is to be granted access. */
export const TENANCY = `
SELECT household.microgrid_id AS "microgridId", slot_minutes AS "slotMinutes",
  active_from AS "activeFrom", active_until AS "activeUntil",
  (SELECT max(valid_until) FROM person_grant AS other
    WHERE other.microgrid_id = household.microgrid_id
      AND other.household_id = household.household_id AND other.person_id <> $3) AS "vacatedAt"
FROM household JOIN microgrid USING (microgrid_id)
WHERE household_id = $1 AND household.microgrid_id = $2
FOR NO KEY UPDATE OF household`;

/** $1 token, $2 purpose, $3 person, $4 microgrid, $5 household, $6 valid from, $7 hours. */
export const INSERT_INVITATION = `
INSERT INTO invitation (token_hash, purpose, person_id, role, microgrid_id, household_id,
  valid_from, expires_at)
VALUES ($1, $2::text, $3, CASE WHEN $2::text = 'invitation' THEN 'household' END, $4, $5, $6,
  now() + make_interval(hours => $7))
RETURNING expires_at AS "expiresAt"`;

const OPEN_INVITATION = `token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()`;

export const IS_OPEN = `SELECT FROM invitation WHERE ${OPEN_INVITATION}`;

export const USE_INVITATION = `
UPDATE invitation SET used_at = now() WHERE ${OPEN_INVITATION}
RETURNING person_id AS "personId", microgrid_id AS "microgridId", household_id AS "householdId",
  valid_from AS "validFrom"`;

/** An older reset token of the person ends with a newer one. */
export const END_RESETS = `
UPDATE invitation SET used_at = now()
WHERE person_id = $1 AND purpose = 'password-reset' AND used_at IS NULL`;

export const SET_PASSWORD = `
UPDATE person SET password_hash = $2, password_must_change = false
WHERE person_id = $1 AND disabled_at IS NULL RETURNING person_id`;

export const DISABLE_PERSON = `
UPDATE person SET disabled_at = now() WHERE person_id = $1 AND disabled_at IS NULL
RETURNING person_id`;

/** $1 microgrid, $2 after, $3 limit. */
export const PEOPLE_OF_MICROGRID = `
SELECT grant_id AS "grantId", person_id AS person, name, role, household_id AS household,
  valid_from AS "validFrom", valid_until AS "validUntil"
FROM person_grant JOIN person USING (person_id)
WHERE microgrid_id = $1 AND disabled_at IS NULL
  AND person_id || '/' || grant_id::text COLLATE "C" > $2
ORDER BY person_id || '/' || grant_id::text COLLATE "C" LIMIT $3`;
