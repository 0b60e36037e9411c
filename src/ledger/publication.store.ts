/** SQL of publication: which signed checkpoints wait for their witnesses, and what was published. */

/** The latest signed checkpoint of every microgrid with records, and the size published last. */
export const STANDINGS = `
  SELECT head.microgrid_id AS "microgridId", signed.size, signed.root, signed.note,
    published.size AS published
  FROM journal_head head
  LEFT JOIN LATERAL (
    SELECT size, root, note FROM checkpoint
    WHERE microgrid_id = head.microgrid_id ORDER BY size DESC LIMIT 1) signed ON true
  LEFT JOIN LATERAL (
    SELECT size FROM publication
    WHERE microgrid_id = head.microgrid_id ORDER BY size DESC LIMIT 1) published ON true
  ORDER BY head.microgrid_id`;

export const LOGS = `
  SELECT microgrid_id AS "microgridId" FROM microgrid ORDER BY microgrid_id`;

export const KEEP_POLICY = `
  INSERT INTO log_policy (microgrid_id, policy_hash, policy) VALUES ($1, $2, $3)
  ON CONFLICT DO NOTHING`;

export const PUBLISH = `
  INSERT INTO publication (microgrid_id, size, note, policy_hash) VALUES ($1, $2, $3, $4)
  ON CONFLICT DO NOTHING`;
