import type { Instant } from '../units/slot.js';

/** SQL of verify: it reads only. Instants come as text, so that nothing of them is lost. */

/** Heads from outside, and bodies and entries beside them; a head without a body was erased. */
export const RECORDS = `
  SELECT head.sequence, head.kind, head.at::text, head.cause_hash AS "causeHash",
    head.commitment, body.bytes, body.key_holder AS "keyHolder", entry.entry
  FROM record_head head
  LEFT JOIN record_body body USING (microgrid_id, sequence)
  LEFT JOIN log_entry entry ON entry.microgrid_id = head.microgrid_id
    AND entry.entry_index = head.sequence - 1
  WHERE head.microgrid_id = $1 AND head.sequence > $2 ORDER BY head.sequence LIMIT $3`;

export const BODIES = `
  SELECT body.bytes FROM record_body body
  JOIN unnest($2::bigint[], $3::bigint[]) AS span (first, last)
    ON body.sequence BETWEEN span.first AND span.last
  WHERE body.microgrid_id = $1 ORDER BY body.sequence`;

/** Of these records, which of the households $2 they concern. */
export const CONCERNED = `
  SELECT sequence, household_id AS household FROM record_household
  WHERE microgrid_id = $1 AND household_id = ANY ($2::text[]) AND sequence = ANY ($3::bigint[])`;

export const TRANSFERS = `
  SELECT sequence, transfer_id AS id, debit_account AS debit, credit_account AS credit, asset,
    amount, code, state, pending_id AS pending
  FROM transfer WHERE microgrid_id = $1 AND sequence = ANY ($2::bigint[]) ORDER BY sequence, line`;

export const ERASURES = `
  SELECT head.sequence, body.bytes
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.kind = 'erasure' ORDER BY head.sequence`;

export const KEYS = `SELECT key_holder AS holder, key FROM record_key WHERE microgrid_id = $1`;

export const PROGRAM_KEYS = `
  SELECT program_id AS program, pseudonym_key AS key FROM program WHERE microgrid_id = $1`;

export const HEAD = `
  SELECT sequence, log_edge AS "logEdge" FROM journal_head WHERE microgrid_id = $1`;

export const LATEST_CHECKPOINT = `
  SELECT size, note FROM checkpoint WHERE microgrid_id = $1 ORDER BY size DESC LIMIT 1`;

export const TILES = `
  SELECT stored.level, stored.tile, stored.hashes
  FROM log_tile stored JOIN unnest($2::smallint[], $3::bigint[]) AS wanted (level, tile)
    ON stored.level = wanted.level AND stored.tile = wanted.tile
  WHERE stored.microgrid_id = $1`;

/** Condition of the rows with these keys, in the order of `REGISTER_BORDER`'s. */
export const BORDER_KEYS = `(border_at, meter_id, register, revision) IN (
  SELECT * FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::smallint[]))`;

export const ORDER_IDS = `order_id = ANY ($2::text[])`;

/** The border that was known when only revisions up to the given one were, in the order asked. */
export const BORDERS_THEN = `
  SELECT known.value_wh AS "endWh", known.quality AS "endQuality", known.start_wh AS "startWh",
    known.start_quality AS "startQuality"
  FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::smallint[])
    WITH ORDINALITY AS asked (meter_id, register, border_at, revision, place)
  LEFT JOIN LATERAL (
    SELECT * FROM register_border border
    WHERE border.microgrid_id = $1 AND border.meter_id = asked.meter_id
      AND border.register = asked.register AND border.border_at = asked.border_at
      AND border.revision <= asked.revision
    ORDER BY border.revision DESC LIMIT 1
  ) known ON true
  ORDER BY asked.place`;

/** The readings of meters in a window; of a meter that ever signed, the messages that they came in. */
export const READINGS = `
  SELECT meter_id AS meter, register, read_at::text AS "readAt", value_wh::text AS "valueWh",
    encode(payload_hash, 'hex') AS "payloadHash",
    CASE WHEN EXISTS (
      SELECT FROM meter_counter signing
      WHERE signing.microgrid_id = reading.microgrid_id AND signing.meter_id = reading.meter_id
    ) THEN (
      SELECT bytes FROM reading_payload sent
      WHERE sent.microgrid_id = reading.microgrid_id AND sent.payload_hash = reading.payload_hash
    ) END AS message
  FROM reading
  WHERE microgrid_id = $1 AND meter_id = ANY ($2::text[])
    AND register = ANY ('{import,export}') AND read_at BETWEEN $3 AND $4`;

/** What a payload stands for in the other tables; ordered as the payloads are. */
export const READINGS_BY_PAYLOAD = `
  SELECT payload_hash AS "payloadHash", 'reading' AS "table", meter_id AS meter, register,
    read_at::text AS "readAt", value_wh::text AS "valueWh", power_w::text AS "powerW"
  FROM reading WHERE microgrid_id = $1
  UNION ALL
  SELECT payload_hash, 'reading_contradiction', meter_id, register, read_at::text, value_wh::text,
    NULL
  FROM reading_contradiction WHERE microgrid_id = $1
  ORDER BY 1`;

export const PAYLOADS = `
  SELECT payload_hash AS "payloadHash", bytes FROM reading_payload
  WHERE microgrid_id = $1 ORDER BY payload_hash`;

/**
 * For values that a payload says and no row of that payload has: whether they stand elsewhere, as a
 * repeat or a contradiction of any payload, or were refused. A meter of null is any meter.
 */
export const OTHERWISE_KEPT = `
  WITH refused AS MATERIALIZED (
    SELECT payload_hash, meter_id, reason FROM rejection
    WHERE microgrid_id = $1 AND payload_hash = ANY ($6::bytea[])
  )
  SELECT
    EXISTS (
      SELECT FROM meter JOIN reading USING (microgrid_id, meter_id)
      WHERE meter.microgrid_id = $1 AND meter.meter_id = coalesce(asked.meter_id, meter.meter_id)
        AND reading.register = asked.register AND reading.read_at = asked.read_at
        AND reading.value_wh = asked.value_wh
    ) OR EXISTS (
      SELECT FROM reading_contradiction other
      WHERE other.microgrid_id = $1 AND other.meter_id = coalesce(asked.meter_id, other.meter_id)
        AND other.register = asked.register AND other.read_at = asked.read_at
        AND other.value_wh = asked.value_wh
    ) OR coalesce(verdict.whole, false) AS kept,
    coalesce(verdict.contradicts, false) AS contradicts
  FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::bytea[])
    WITH ORDINALITY AS asked (meter_id, register, read_at, value_wh, payload_hash, place)
  CROSS JOIN LATERAL (
    SELECT bool_or(reason = 'contradicts') AS contradicts,
      bool_or(reason NOT IN ('contradicts', 'falling_register', 'beyond_connection', 'outlier'))
        AS whole
    FROM refused
    WHERE refused.payload_hash = asked.payload_hash
      AND refused.meter_id = coalesce(asked.meter_id, refused.meter_id)
  ) verdict
  ORDER BY asked.place`;

/** Contradictions that contradict nothing, or that were never counted as such. */
export const IDLE_CONTRADICTIONS = `
  SELECT meter_id AS meter, register, read_at::text AS "readAt", value_wh::text AS "valueWh"
  FROM reading_contradiction one
  WHERE microgrid_id = $1 AND NOT (EXISTS (
      SELECT FROM reading
      WHERE reading.microgrid_id = one.microgrid_id AND reading.meter_id = one.meter_id
        AND reading.register = one.register AND reading.read_at = one.read_at
        AND reading.value_wh <> one.value_wh
    ) AND EXISTS (
      SELECT FROM rejection
      WHERE rejection.microgrid_id = one.microgrid_id AND rejection.meter_id = one.meter_id
        AND rejection.reason = 'contradicts' AND rejection.payload_hash = one.payload_hash))
  ORDER BY meter_id, register, read_at LIMIT 20`;

/** The readings up to an instant, register by register in time, with the rule that suspects break. */
export function judgedReadings(through: Instant): string {
  return `
    SELECT meter_id AS meter, register, read_at::text AS "readAt", value_wh::text AS "valueWh", rule
    FROM reading LEFT JOIN suspect_reading USING (microgrid_id, meter_id, register, read_at)
    WHERE microgrid_id = $1 AND read_at <= '${through}'
    ORDER BY meter_id, register, read_at`;
}

/** Suspects that are no readings. */
export const IDLE_SUSPECTS = `
  SELECT meter_id AS meter, register, read_at::text AS "readAt" FROM suspect_reading
  WHERE microgrid_id = $1 AND NOT EXISTS (
    SELECT FROM reading
    WHERE reading.microgrid_id = suspect_reading.microgrid_id
      AND reading.meter_id = suspect_reading.meter_id
      AND reading.register = suspect_reading.register
      AND reading.read_at = suspect_reading.read_at)
  ORDER BY meter_id, register, read_at LIMIT 20`;

/** Registers in which something late has not been looked at. */
export const WAITING_REGISTERS = `
  SELECT DISTINCT meter_id AS meter, register FROM late_reading WHERE microgrid_id = $1`;

/** The columns of every table, and which of them need care when read as text. */
export const COLUMNS = `
  SELECT class.relname AS "table", attribute.attname AS "column",
    coalesce(base.typname, type.typname) AS type
  FROM pg_attribute attribute
  JOIN pg_class class ON class.oid = attribute.attrelid
  JOIN pg_type type ON type.oid = attribute.atttypid
  LEFT JOIN pg_type base ON base.oid = nullif(type.typbasetype, 0)
  WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p')
    AND attribute.attnum > 0 AND NOT attribute.attisdropped
  ORDER BY class.relname, attribute.attnum`;

/** The microgrids of which a table has rows: a walk of its key from one to the next. */
export function microgridsIn(table: string): string {
  return `
    WITH RECURSIVE found (id) AS (
      (SELECT microgrid_id FROM ${table} ORDER BY microgrid_id LIMIT 1)
      UNION ALL
      SELECT (
        SELECT microgrid_id FROM ${table} WHERE microgrid_id > found.id
        ORDER BY microgrid_id LIMIT 1)
      FROM found WHERE found.id IS NOT NULL
    )
    SELECT id FROM found WHERE id IS NOT NULL`;
}
