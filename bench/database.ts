import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { loadSettings, type Settings } from '../src/config.js';
import { CopyIn } from '../src/database/copy-in.js';
import type { DatabaseService, Sql } from '../src/database/database.service.js';
import { openDatabase } from '../src/database/open-database.service.js';

/** The database of a benchmark: a durable PostgreSQL of its own, and rows as plain as can be. */

export interface BenchDatabase {
  /** As the service, within its rights. */
  readonly database: DatabaseService;
  /** As the owner: makes the tables that others are measured with, and empties them. */
  readonly owner: DatabaseService;
  readonly settings: Settings;
  /** What it promises for a commit, as the server says it. */
  readonly durability: string;
}

/** Runs `work` on an embedded server in a temporary folder, which is removed afterwards. */
export async function withDatabase<T>(work: (bench: BenchDatabase) => Promise<T>): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-bench-'));
  // Started as root, the server runs as another user.
  await chmod(dataDir, 0o711);
  try {
    const settings = loadSettings({ DATA_DIR: dataDir, MARKET_CLOCK: 'simulated', MQTT_PORT: '0' });
    const database = await openDatabase(settings);
    const owner = await openDatabase(settings, 'owner');
    try {
      return await work({ database, owner, settings, durability: await durabilityOf(database) });
    } finally {
      await owner.close();
      await database.close();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** @throws Error unless a commit waits for the disk: other figures would say nothing */
async function durabilityOf(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ fsync: string; commit: string; version: string }>(
    `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
       current_setting('server_version') AS version`,
  );
  const { fsync, commit, version } = row!;
  if (fsync !== 'on' || commit !== 'on') throw new Error('the database is not durable');
  return `PostgreSQL ${version}, fsync ${fsync}, synchronous_commit ${commit}`;
}

/** The rows of one table as COPY takes them. */
export interface CopyText {
  readonly table: string;
  readonly rows: Buffer;
}

/** The rows of `table` that `condition` selects, in COPY's text format. */
export async function readCopyText(
  sql: Sql,
  table: string,
  condition: string,
  parameters: readonly unknown[],
): Promise<CopyText> {
  const columns = await sql.query<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
    [table],
  );
  const list = columns.map(({ name }) => `${name}::text`).join(', ');
  const rows = await sql.query<{ cells: (string | null)[] }>(
    `SELECT ARRAY[${list}] AS cells FROM ${table} WHERE ${condition}`,
    parameters,
  );
  const lines = rows.map(({ cells }) => `${cells.map(copyCell).join('\t')}\n`);
  return { table, rows: Buffer.from(lines.join('')) };
}

function copyCell(value: string | null): string {
  if (value === null) return '\\N';
  return value.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character]!);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

/** Copies into `schema` on one connection, all tables in one transaction. */
export async function copyIn(
  client: pg.Client,
  schema: string,
  texts: readonly CopyText[],
): Promise<void> {
  await client.query('BEGIN');
  for (const { table, rows } of texts) {
    await client.query(new CopyIn([{ text: `COPY ${schema}.${table} FROM STDIN`, rows }])).done;
  }
  await client.query('COMMIT');
}

/**
 * Copies of tables in a schema of their own, with the same columns, checks, keys and indexes; foreign
 * keys point to the tables of that schema where it has them, else to the originals.
 */
export async function cloneTables(
  sql: Sql & { transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> },
  schema: string,
  tables: readonly string[],
): Promise<void> {
  const keys = await sql.query<{ table: string; definition: string }>(
    `SELECT conrelid::regclass::text AS table, pg_get_constraintdef(oid) AS definition
     FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY ($1::text[])`,
    [tables],
  );
  await sql.transaction(async (inside) => {
    await inside.query(`CREATE SCHEMA ${schema}`);
    for (const table of tables) {
      await inside.query(`CREATE TABLE ${schema}.${table} (LIKE ${table} INCLUDING ALL)`);
    }
    await inside.query(`SET LOCAL search_path = ${schema}, public`);
    for (const { table, definition } of keys) {
      await inside.query(`ALTER TABLE ${schema}.${table} ADD ${definition}`);
    }
  });
}
