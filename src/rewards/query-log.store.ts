/** SQL of the log of regulators' queries, and of the answers that later ones are compared with. */

/** One query at a time and microgrid: two answers given at once would not know of each other. */
export const LOCK_QUERIES = `
  SELECT pg_advisory_xact_lock(hashtextextended('regulator-query/' || $1::text, 0))`;

export const LOG_QUERY = `
  INSERT INTO regulator_query (microgrid_id, person_id, question, outcome, households)
  VALUES ($1, $2, $3::jsonb, $4, $5::text[])
  RETURNING query_id AS "queryId"`;

export const EARLIER_ANSWERS = `
  SELECT month, households, energies FROM regulator_answer
  WHERE microgrid_id = $1 AND month = ANY ($2::text[])`;

export const INSERT_ANSWER = `
  INSERT INTO regulator_answer (microgrid_id, month, query_id, households, energies)
  VALUES ($1, $2, $3, $4::text[], $5::text[])`;

/** Newest first, before the position ($3, $4); `concerned` says whether household $2 was in it. */
export const QUERIES = `
  SELECT query_id AS query, asked_at AS "askedAt", person_id AS by, question, outcome,
    coalesce($2::text = ANY (households::text[]), false) AS concerned
  FROM regulator_query
  WHERE microgrid_id = $1
    AND ($3::timestamptz IS NULL OR (asked_at, query_id) < ($3, $4::uuid))
  ORDER BY asked_at DESC, query_id DESC LIMIT $5`;
