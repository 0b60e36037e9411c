import type { Sql } from '../../src/database/database.service.js';
import {
  causeHash,
  commitment,
  logEntry,
  recordBytes,
  type RecordBody,
} from '../../src/ledger/record.js';
import { CompactRange, leafHash } from '../../src/transparency/merkle-tree.js';
import { extendTiles } from '../../src/transparency/tile.js';

/** What somebody could do who has the database and its keys: to write history anew and seal it. */

export async function readBody(sql: Sql, microgrid: string, sequence: number): Promise<RecordBody> {
  const [row] = await sql.query<{ bytes: Buffer }>(
    'SELECT bytes FROM record_body WHERE microgrid_id = $1 AND sequence = $2',
    [microgrid, sequence],
  );
  return JSON.parse(row!.bytes.toString('utf8')) as RecordBody;
}

/** Puts another record in the place of one: body, head and log entry agree again. */
export async function rewrite(sql: Sql, microgrid: string, body: RecordBody): Promise<void> {
  const { sequence } = body;
  const [key] = await sql.query<{ key: Buffer }>(
    `SELECT key FROM record_key JOIN record_body USING (microgrid_id, key_holder)
     WHERE microgrid_id = $1 AND sequence = $2`,
    [microgrid, sequence],
  );
  const root = commitment(key!.key, body);
  const at = [microgrid, sequence];
  await sql.query('UPDATE record_body SET bytes = $3 WHERE (microgrid_id, sequence) = ($1, $2)', [
    ...at,
    Buffer.from(recordBytes(body)),
  ]);
  await sql.query(
    `UPDATE record_head SET commitment = $3, cause_hash = $4, kind = $5, at = $6
     WHERE (microgrid_id, sequence) = ($1, $2)`,
    [...at, Buffer.from(root), Buffer.from(causeHash(microgrid, body.cause)), body.kind, body.at],
  );
  await sql.query(
    'UPDATE log_entry SET entry = $3 WHERE (microgrid_id, entry_index) = ($1, $2 - 1)',
    [...at, Buffer.from(logEntry(root))],
  );
}

/** Builds tiles and head anew over the first entries, and takes away every checkpoint. */
export async function reseal(sql: Sql, microgrid: string, size: number): Promise<void> {
  await sql.query('DELETE FROM log_entry WHERE microgrid_id = $1 AND entry_index >= $2', [
    microgrid,
    size,
  ]);
  const entries = await sql.query<{ entry: Buffer }>(
    'SELECT entry FROM log_entry WHERE microgrid_id = $1 ORDER BY entry_index',
    [microgrid],
  );
  const hashes = entries.map(({ entry }) => leafHash(entry));
  const range = CompactRange.empty();
  for (const hash of hashes) range.append(hash);
  await sql.query('DELETE FROM log_tile WHERE microgrid_id = $1', [microgrid]);
  for (const { level, tile, hashes: inTile } of extendTiles(0, hashes, [])) {
    await sql.query('INSERT INTO log_tile VALUES ($1, $2, $3, $4)', [
      microgrid,
      level,
      tile,
      Buffer.from(inTile),
    ]);
  }
  await sql.query('UPDATE journal_head SET sequence = $2, log_edge = $3 WHERE microgrid_id = $1', [
    microgrid,
    size,
    Buffer.from(range.toBytes()),
  ]);
  await sql.query('DELETE FROM checkpoint WHERE microgrid_id = $1', [microgrid]);
}

export type Path = (string | number)[];

/** Where the values of a record stand. */
export function leavesOf(value: unknown, path: Path = []): Path[] {
  if (value === null || typeof value !== 'object') return [path];
  return Object.entries(value).flatMap(([name, inner]) =>
    leavesOf(inner, [...path, Array.isArray(value) ? Number(name) : name]),
  );
}

/** The record with one value changed a little. */
export function changed(body: RecordBody, path: Path): RecordBody {
  const copy = structuredClone(body);
  let holder = copy as unknown as Record<string | number, unknown>;
  for (const name of path.slice(0, -1)) holder = holder[name] as typeof holder;
  const last = path.at(-1)!;
  holder[last] = other(holder[last]);
  return copy;
}

function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return 1;
  if (value.endsWith(':00Z')) return value.replace(':00Z', ':01Z');
  return `${value.slice(0, -1)}${value.endsWith('x') ? 'y' : 'x'}`;
}
