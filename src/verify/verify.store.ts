import type { TABLES_AT_END, TABLES_BY_SEQUENCE } from './tables.js';

/** SQL of verify: reads only, in pages of the journal's sequence. */

export const MICROGRIDS = `SELECT microgrid_id AS id FROM microgrid ORDER BY microgrid_id`;

/** Heads from outside and bodies beside them; a head without a body was erased. */
export const RECORDS = `
  SELECT head.sequence, head.kind, head.at, head.cause_hash AS "causeHash", head.commitment,
    body.bytes, body.key_holder AS "keyHolder", entry.entry
  FROM record_head head
  LEFT JOIN record_body body USING (microgrid_id, sequence)
  LEFT JOIN log_entry entry ON entry.microgrid_id = head.microgrid_id
    AND entry.entry_index = head.sequence - 1
  WHERE head.microgrid_id = $1 AND head.sequence > $2 ORDER BY head.sequence LIMIT $3`;

export const COUNTS = `
  SELECT (SELECT count(*) FROM record_body WHERE microgrid_id = $1)::bigint AS bodies,
    (SELECT count(*) FROM log_entry WHERE microgrid_id = $1)::bigint AS entries,
    (SELECT count(*) FROM log_tile WHERE microgrid_id = $1)::bigint AS tiles,
    (SELECT count(*) FROM register_border WHERE microgrid_id = $1)::bigint AS borders,
    (SELECT count(*) FROM record_key WHERE microgrid_id = $1)::bigint AS keys`;

export const BODIES = `
  SELECT body.bytes FROM record_body body
  JOIN unnest($2::bigint[], $3::bigint[]) AS span (first, last)
    ON body.sequence BETWEEN span.first AND span.last
  WHERE body.microgrid_id = $1 ORDER BY body.sequence`;

export const KEYS = `SELECT key_holder AS holder, key FROM record_key WHERE microgrid_id = $1`;

export const HEAD = `
  SELECT sequence, log_edge AS "logEdge" FROM journal_head WHERE microgrid_id = $1`;

export const CHECKPOINTS = `
  SELECT size, root, note FROM checkpoint
  WHERE microgrid_id = $1 AND size > $2 ORDER BY size LIMIT $3`;

export const TILES = `
  SELECT stored.level, stored.tile, stored.hashes
  FROM log_tile stored JOIN unnest($2::smallint[], $3::bigint[]) AS wanted (level, tile)
    ON stored.level = wanted.level AND stored.tile = wanted.tile
  WHERE stored.microgrid_id = $1`;

export const BORDERS = `
  SELECT stored.* FROM register_border stored
  JOIN unnest($2::timestamptz[], $3::text[], $4::text[], $5::smallint[])
    AS wanted (border_at, meter_id, register, revision)
    ON stored.border_at = wanted.border_at AND stored.meter_id = wanted.meter_id
      AND stored.register = wanted.register AND stored.revision = wanted.revision
  WHERE stored.microgrid_id = $1`;

/** The readings around borders: those in a window, by meter. */
export const READINGS = `
  SELECT meter_id AS meter, register, read_at AS "readAt", value_wh AS "valueWh"
  FROM reading
  WHERE microgrid_id = $1 AND meter_id = ANY ($2::text[]) AND read_at BETWEEN $3 AND $4`;

/** Readings with their payloads, in order of the key after ($2, $3, $4). */
export const READINGS_WITH_PAYLOAD = `
  SELECT reading.meter_id AS meter, reading.register, reading.read_at AS "readAt",
    reading.value_wh AS "valueWh", reading.power_w AS "powerW",
    reading.payload_hash AS "payloadHash", payload.bytes
  FROM reading LEFT JOIN reading_payload payload USING (microgrid_id, payload_hash)
  WHERE reading.microgrid_id = $1
    AND (reading.meter_id, reading.register, reading.read_at) > ($2, $3, $4::timestamptz)
  ORDER BY reading.meter_id, reading.register, reading.read_at LIMIT $5`;

export const CONTRADICTIONS_WITH_PAYLOAD = `
  SELECT meter_id AS meter, register, read_at AS "readAt", value_wh AS "valueWh",
    payload_hash AS "payloadHash", payload.bytes
  FROM reading_contradiction LEFT JOIN reading_payload payload USING (microgrid_id, payload_hash)
  WHERE microgrid_id = $1
  ORDER BY meter_id, register, read_at, value_wh`;

export const PAYLOADS = `
  SELECT payload_hash AS "payloadHash", bytes FROM reading_payload
  WHERE microgrid_id = $1 AND payload_hash > $2 ORDER BY payload_hash LIMIT $3`;

/** Borders whose last real reading is not among the readings. */
export const UNREAL_BORDERS = `
  SELECT border_at AS "borderAt", meter_id AS meter, register, revision, real_at AS "realAt",
    real_wh AS "realWh"
  FROM register_border border
  WHERE microgrid_id = $1 AND real_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM reading
    WHERE reading.microgrid_id = border.microgrid_id AND reading.meter_id = border.meter_id
      AND reading.register = border.register AND reading.read_at = border.real_at
      AND reading.value_wh = border.real_wh)
  ORDER BY border_at, meter_id, register, revision LIMIT 20`;

/** What a household had claimed from neighbors, as it stood before a record. */
export const CLAIMED_BEFORE = `
  SELECT coalesce(sum(clean_from_neighbors_wh), 0)::bigint AS "claimedWh"
  FROM settlement
  WHERE microgrid_id = $1 AND household_id = $2 AND sequence < $3
    AND slot_start = ANY (ARRAY(
      SELECT slot_start FROM slot WHERE microgrid_id = $1 AND slot_start >= $4 AND slot_start < $5))
    AND NOT EXISTS (
      SELECT FROM settlement later
      WHERE later.microgrid_id = settlement.microgrid_id
        AND later.slot_start = settlement.slot_start
        AND later.household_id = settlement.household_id
        AND later.revision > settlement.revision AND later.sequence < $3)`;

type Covered = (typeof TABLES_BY_SEQUENCE)[keyof typeof TABLES_BY_SEQUENCE]['table'];

/** The rows that records ($2, $3] left in one of the tables keyed by sequence. */
export function rowsOfRecords(table: Covered): string {
  return `SELECT * FROM ${table} WHERE microgrid_id = $1 AND sequence > $2 AND sequence <= $3`;
}

type CoveredAtEnd = (typeof TABLES_AT_END)[keyof typeof TABLES_AT_END]['table'];

export function allRows(table: CoveredAtEnd): string {
  return `SELECT * FROM ${table} WHERE microgrid_id = $1`;
}

/** Rows of a table whose sequence belongs to no record: left over, or moved. */
export function strayRows(table: Covered): string {
  return `
    SELECT sequence FROM ${table}
    WHERE microgrid_id = $1 AND (sequence <= 0 OR sequence > $2) ORDER BY sequence LIMIT 1`;
}
