/** SQL of openings: records with the keys that salt them; what was erased is absent. */

export const BODIES_WITH_KEYS = `
  SELECT body.sequence, body.bytes, holder.key, head.commitment
  FROM record_body body
  JOIN record_head head USING (microgrid_id, sequence)
  JOIN record_key holder USING (microgrid_id, key_holder)
  WHERE body.microgrid_id = $1 AND body.sequence = ANY ($2::bigint[]) ORDER BY body.sequence`;
