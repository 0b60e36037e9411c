/** The statements of sessions. Tokens end by the database's clock, which all instances share. */

// Grants begin and end at slot borders, so whole seconds say all.
const GRANTS_OF_PERSON = `
  coalesce((SELECT json_agg(json_build_object(
      'role', role, 'microgridId', microgrid_id, 'householdId', household_id,
      'validFrom', to_char(valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'validUntil', to_char(valid_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
      ORDER BY role, microgrid_id, household_id, valid_from)
    FROM person_grant WHERE person_grant.person_id = person.person_id), '[]')`;

export const CALLER_BY_TOKEN = `
SELECT person_id AS "personId", session_id AS "sessionId", expires_at AS "expiresAt",
  password_must_change AS "mustChangePassword", ${GRANTS_OF_PERSON} AS grants
FROM session JOIN person USING (person_id)
WHERE token_hash = $1 AND expires_at > now() AND revoked_at IS NULL AND disabled_at IS NULL`;

export const LIVE_SESSIONS = `
SELECT session_id AS "sessionId" FROM session JOIN person USING (person_id)
WHERE session_id = ANY($1::uuid[]) AND refresh_expires_at > now() AND revoked_at IS NULL
  AND disabled_at IS NULL`;

export const PERSON = `
SELECT person_id AS "personId", name, password_hash AS "passwordHash"
FROM person WHERE person_id = $1 AND disabled_at IS NULL`;

/** $1 person, $2 token, $3 refresh token, $4 minutes, $5 days. */
export const INSERT_SESSION = `
INSERT INTO session (person_id, token_hash, refresh_hash, expires_at, refresh_expires_at)
VALUES ($1, $2, $3, now() + make_interval(mins => $4), now() + make_interval(days => $5))
RETURNING expires_at AS "expiresAt"`;

/** $1 old refresh token, $2 token, $3 refresh token, $4 minutes, $5 days. */
export const ROTATE_SESSION = `
WITH rotated AS (
  UPDATE session SET token_hash = $2, refresh_hash = $3,
    expires_at = now() + make_interval(mins => $4),
    refresh_expires_at = now() + make_interval(days => $5)
  FROM person
  WHERE refresh_hash = $1 AND refresh_expires_at > now() AND revoked_at IS NULL
    AND person.person_id = session.person_id AND disabled_at IS NULL
  RETURNING session_id, expires_at
), spent AS (
  INSERT INTO spent_refresh (refresh_hash, session_id) SELECT $1, session_id FROM rotated
)
SELECT expires_at AS "expiresAt" FROM rotated`;

export const REVOKE_BY_SPENT = `
UPDATE session SET revoked_at = now()
WHERE revoked_at IS NULL
  AND session_id = (SELECT session_id FROM spent_refresh WHERE refresh_hash = $1)
RETURNING session_id AS "sessionId"`;

export const REVOKE_SESSION = `
UPDATE session SET revoked_at = now() WHERE session_id = $1 AND revoked_at IS NULL`;

/** All sessions of a person but one. */
export const REVOKE_OTHERS = `
UPDATE session SET revoked_at = now()
WHERE person_id = $1 AND session_id IS DISTINCT FROM $2::uuid AND revoked_at IS NULL`;

export const DELETE_OLD_SESSIONS = `
DELETE FROM session WHERE person_id = $1
  AND (refresh_expires_at < now() OR revoked_at < now() - interval '1 day')`;

export const NAME_OF = `SELECT name FROM person WHERE person_id = $1`;
