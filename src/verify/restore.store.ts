import type { TableShape } from './table-copy.store.js';

/** SQL of restore: what came in lies in a temporary table beside the one it belongs to. */

export const LOCK_HEAD = `
  SELECT sequence::text AS sequence, coalesce(lease_until > now(), false) AS busy,
    lease_holder AS holder
  FROM journal_head WHERE microgrid_id = $1 FOR UPDATE`;

/** `:microgrid` as a literal: it is read with a cursor. */
export const OWN_ENTRIES = `
  SELECT entry FROM log_entry WHERE microgrid_id = :microgrid ORDER BY entry_index`;

export const MIGRATIONS_RUN = `SELECT count(*)::text AS count FROM schema_migration`;

export function incoming(table: string): string {
  return `incoming_${table}`;
}

export function createIncoming({ table }: TableShape): string {
  return `CREATE TEMP TABLE ${incoming(table)} (LIKE ${table} INCLUDING DEFAULTS) ON COMMIT DROP`;
}

export function insertMissing({ table, key }: TableShape, columns: readonly string[]): string {
  const list = columns.join(', ');
  return `INSERT INTO ${table} (${list}) SELECT ${list} FROM ${incoming(table)} incoming
    WHERE NOT EXISTS (SELECT FROM ${table} there WHERE ${sameKey(key)})`;
}

/** A row that came in twice, or that stands in the table and says something else. */
export function contradicting({ table, key }: TableShape, columns: readonly string[]): string {
  const row = `concat_ws(' ', ${key.map((column) => `incoming.${column}`).join(', ')})`;
  const list = (of: string) => columns.map((column) => `${of}.${column}`).join(', ');
  return `SELECT ${row} AS row FROM ${incoming(table)} incoming JOIN ${table} there ON ${sameKey(key)}
    WHERE (${list('incoming')}) IS DISTINCT FROM (${list('there')}) LIMIT 1`;
}

export function putAll({ table, key }: TableShape, columns: readonly string[]): string {
  const list = columns.join(', ');
  const others = columns.filter((column) => !key.includes(column));
  const changes = others.map((column) => `${column} = excluded.${column}`).join(', ');
  const meets = `ON CONFLICT (${key.join(', ')})`;
  const action = others.length > 0 ? `DO UPDATE SET ${changes}` : 'DO NOTHING';
  return `INSERT INTO ${table} (${list}) SELECT ${list} FROM ${incoming(table)} ${meets} ${action}`;
}

/**
 * Rows of the microgrid that the bundle does not have any more. Those of a household that was erased
 * since are left to the erasure, which finds by them what else there is of it.
 */
export function removeOthers({ table, key, columns }: TableShape): string {
  const erased = columns.includes('household_id')
    ? `AND NOT EXISTS (SELECT FROM ${incoming('erasure')} erased
        WHERE erased.household_id = there.household_id)`
    : '';
  return `DELETE FROM ${table} there WHERE there.microgrid_id = $1 ${erased}
    AND NOT EXISTS (SELECT FROM ${incoming(table)} incoming WHERE ${sameKey(key)})`;
}

function sameKey(key: readonly string[]): string {
  return key.map((column) => `there.${column} = incoming.${column}`).join(' AND ');
}

export const PARTED = `
  SELECT there.entry_index::text AS index
  FROM log_entry there LEFT JOIN incoming_log_entry incoming USING (microgrid_id, entry_index)
  WHERE there.microgrid_id = $1 AND there.entry_index < $2
    AND there.entry IS DISTINCT FROM incoming.entry
  ORDER BY there.entry_index LIMIT 1`;

export const PUT_TILES = `
  INSERT INTO log_tile (microgrid_id, level, tile, hashes)
  SELECT $1, * FROM unnest($2::smallint[], $3::bigint[], $4::bytea[])
  ON CONFLICT (microgrid_id, level, tile) DO UPDATE SET hashes = excluded.hashes`;
