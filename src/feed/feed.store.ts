/** The statements of the feed. It only reads, but for how far a consumer has followed a journal. */

/**
 * The last sequence up to $3 that each household's room has heard of.
 * $1 microgrid, $2 households
 */
export const LAST_SEEN_BY_HOUSEHOLDS = `
SELECT household, (
  SELECT max(sequence) FROM record_household
  WHERE microgrid_id = $1 AND household_id = household AND sequence <= $3) AS sequence
FROM unnest($2::text[]) AS household`;

/** The last record up to $3 of one of the kinds $2. */
export const LAST_SEEN_BY_KINDS = `
SELECT sequence FROM record_head
WHERE microgrid_id = $1 AND kind = ANY($2::text[]) AND sequence <= $3
ORDER BY sequence DESC LIMIT 1`;

/** Of the sessions $1 those that are not revoked, with what their people are granted now. */
export const GRANTS_OF_SESSIONS = `
SELECT session.session_id AS "sessionId", coalesce(json_agg(json_build_object(
    'role', role, 'microgridId', microgrid_id, 'householdId', household_id,
    'validFrom', to_char(valid_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'validUntil', to_char(valid_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))
    FILTER (WHERE grant_id IS NOT NULL AND NOT password_must_change), '[]') AS grants
FROM session JOIN person USING (person_id) LEFT JOIN person_grant USING (person_id)
WHERE session_id = ANY($1::uuid[]) AND revoked_at IS NULL AND disabled_at IS NULL
GROUP BY session.session_id`;

/** True for the one transaction at a time that publishes for the consumer $1. */
export const TRY_LOCK_CONSUMER = `
SELECT pg_try_advisory_xact_lock(hashtextextended('feed/' || $1, 0)) AS locked`;

/** The next journals after microgrid $2 that consumer $1 has not followed to the end, at most $3. */
export const UNFOLLOWED = `
SELECT head.microgrid_id AS "microgridId", coalesce(cursor.sequence, 0) AS since,
  head.sequence AS head
FROM journal_head AS head
LEFT JOIN feed_cursor AS cursor ON cursor.microgrid_id = head.microgrid_id AND cursor.consumer = $1
WHERE head.microgrid_id > $2 AND head.sequence > coalesce(cursor.sequence, 0)
ORDER BY head.microgrid_id LIMIT $3`;

/** $1 consumer, $2 microgrids, $3 sequences. */
export const MOVE_CURSORS = `
INSERT INTO feed_cursor (consumer, microgrid_id, sequence)
SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (microgrid_id, consumer) DO UPDATE
SET sequence = greatest(feed_cursor.sequence, excluded.sequence)`;
