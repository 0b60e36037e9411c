/** SQL of export. Statements with `:names` take literals, because COPY and cursors take no parameters. */

export const HEAD = `
  SELECT head.sequence::text AS records,
    (SELECT count(*)::text FROM schema_migration) AS schema
  FROM journal_head head WHERE head.microgrid_id = $1`;

export const SCHEMA = `SELECT count(*)::text AS schema FROM schema_migration`;

export const JOURNALS = `
  SELECT microgrid_id AS id FROM journal_head WHERE sequence > 0 ORDER BY microgrid_id`;

/** What was published, with its policy, before what is signed alone. */
export const PUBLISHED = `
  SELECT signed.note, signed.policy FROM (
    SELECT 1 AS choice, size, note, policy
    FROM publication JOIN log_policy USING (microgrid_id, policy_hash) WHERE microgrid_id = $1
    UNION ALL
    SELECT 2, size, note, NULL FROM checkpoint WHERE microgrid_id = $1) signed
  ORDER BY signed.choice, signed.size DESC LIMIT 1`;

export const ENTRIES = `
  SELECT entry FROM log_entry
  WHERE microgrid_id = :microgrid AND entry_index < :size ORDER BY entry_index`;

/** Records of these kinds with the keys that open them. */
export const RECORDS_TO_OPEN = `
  SELECT body.bytes, holder.key
  FROM record_head head
  JOIN record_body body USING (microgrid_id, sequence)
  JOIN record_key holder USING (microgrid_id, key_holder)
  WHERE microgrid_id = :microgrid AND sequence <= :size AND kind IN (:kinds) ORDER BY sequence`;

export const GRANTED = `
  SELECT 1 AS granted FROM person_grant
  WHERE person_id = $2 AND role = $3 AND (microgrid_id IS NULL OR microgrid_id = $1)
    AND (valid_until IS NULL OR valid_until > now()) LIMIT 1`;
