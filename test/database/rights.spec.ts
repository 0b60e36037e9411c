import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { DatabaseService } from '../../src/database/database.service.js';
import { migrate } from '../../src/database/migrate.store.js';
import { ERASER_ROLE, INSERT_ONLY, SERVICE_ROLE, TABLE_RIGHTS } from '../../src/database/rights.js';
import { emptyDatabase, freshDatabase, type FreshDatabase } from '../support/database.js';

/** What each role may do, tried on every table that there is. */

let fresh: FreshDatabase;
let eraser: DatabaseService;
let owner: pg.Client;
beforeAll(async () => {
  fresh = await freshDatabase();
  eraser = await DatabaseService.open({ url: fresh.eraserUrl, role: 'eraser', poolSize: 1 });
  owner = new pg.Client({ connectionString: fresh.ownerUrl });
  await owner.connect();
});
afterAll(async () => {
  await owner.end();
  await eraser.close();
  await fresh.drop();
});

/** UPDATE, DELETE and TRUNCATE, none of which needs a row to be refused. */
const changesOf = (table: string): string[] => [
  `UPDATE ${table} SET ${firstColumn.get(table)} = ${firstColumn.get(table)}`,
  `DELETE FROM ${table}`,
  `TRUNCATE ${table} CASCADE`,
];
const firstColumn = new Map<string, string>();
beforeAll(async () => {
  const rows = await fresh.database.query<{ table: string; column: string }>(`
    SELECT class.relname AS "table", attribute.attname AS "column"
    FROM pg_attribute attribute JOIN pg_class class ON class.oid = attribute.attrelid
    WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p')
      AND attribute.attnum = 1`);
  for (const { table, column } of rows) firstColumn.set(table, column);
});

it('every table there is has its rights told, and no other', () => {
  expect(Object.keys(TABLE_RIGHTS).sort()).toEqual([...firstColumn.keys()].sort());
});

it('a table whose rows the service may change says why', () => {
  for (const [table, { service, changes }] of Object.entries(TABLE_RIGHTS)) {
    const mayChange = service.some((right) => right !== 'INSERT');
    if (mayChange) expect([table, changes]).toEqual([table, expect.any(String)]);
  }
});

it('the journal, the log and the readings are among those that only grow', () => {
  expect(INSERT_ONLY).toEqual(
    expect.arrayContaining([
      'transfer',
      'record_head',
      'record_body',
      'record_household',
      'log_entry',
      'checkpoint',
      'reading',
      'reading_payload',
    ]),
  );
});

describe.each(INSERT_ONLY)('%s', (table) => {
  it('is changed neither by the service nor by the eraser beyond its rights', async () => {
    const [update, remove, truncate] = changesOf(table);
    for (const change of [update!, remove!, truncate!]) {
      await expect(fresh.database.query(change)).rejects.toThrow(
        `permission denied for table ${table}`,
      );
    }
    await expect(eraser.query(update!)).rejects.toThrow('permission denied');
    await expect(eraser.query(truncate!)).rejects.toThrow('permission denied');
  });

  it('is not changed by its owner, a superuser, without saying so to a trigger', async () => {
    for (const change of changesOf(table)) {
      await expect(owner.query(change)).rejects.toThrow(/refused: it is insert-only/);
    }
  });
});

it('nobody but the owner makes tables, and the roles have nothing beyond what is told', async () => {
  await expect(fresh.database.query('CREATE TABLE mine (id integer)')).rejects.toThrow(
    'permission denied for schema public',
  );
  await owner.query(`GRANT UPDATE ON transfer TO ${SERVICE_ROLE};
    GRANT UPDATE (alias) ON household TO ${SERVICE_ROLE};
    REVOKE INSERT ON reading FROM ${SERVICE_ROLE}`);
  // The next start puts it right.
  await (await DatabaseService.open({ url: fresh.ownerUrl, poolSize: 1 })).close();
  const rights = await fresh.database.query(
    `SELECT has_table_privilege($1, 'transfer', 'UPDATE') AS transfers,
       has_column_privilege($1, 'household', 'alias', 'UPDATE') AS aliases,
       has_table_privilege($1, 'reading', 'INSERT') AS readings`,
    [SERVICE_ROLE],
  );
  expect(rights).toEqual([{ transfers: false, aliases: false, readings: true }]);
});

it('a log-in without the right to migrate starts where nothing is to be done, and is told else', async () => {
  await (await DatabaseService.open({ url: fresh.url, poolSize: 1 })).close();
  await owner.query(`GRANT DELETE ON transfer TO ${SERVICE_ROLE}`);
  await expect(DatabaseService.open({ url: fresh.url, poolSize: 1 })).rejects.toThrow(
    /set DATABASE_OWNER_URL/,
  );
  await owner.query(`REVOKE DELETE ON transfer FROM ${SERVICE_ROLE}`);
});

it('one log-in for everything acts as the service all the same', async () => {
  const { url, drop } = await emptyDatabase();
  try {
    const database = await DatabaseService.open({ url, poolSize: 1 });
    expect(
      await database.query('SELECT current_user, session_user <> current_user AS lent'),
    ).toEqual([{ current_user: SERVICE_ROLE, lent: true }]);
    await expect(database.query('DELETE FROM transfer')).rejects.toThrow('permission denied');
    await database.close();
  } finally {
    await drop();
  }
});

describe('on a managed server, where nobody is a superuser', () => {
  it('the owner makes the roles and lends them, if it may; others are told what is missing', async () => {
    const { url, drop } = await emptyDatabase();
    const name = `elm_${process.pid}_${Date.now()}`;
    const database = new URL(url).pathname.slice(1);
    await owner.query(`CREATE ROLE ${name} LOGIN CREATEROLE PASSWORD 'a';
      CREATE ROLE ${name}_app LOGIN PASSWORD 'b';
      GRANT ${SERVICE_ROLE}, ${ERASER_ROLE} TO ${name} WITH ADMIN OPTION;
      ALTER DATABASE ${database} OWNER TO ${name}`);
    const ownUrl = new URL(url);
    ownUrl.username = name;
    ownUrl.password = 'a';
    const appUrl = new URL(url);
    appUrl.username = `${name}_app`;
    appUrl.password = 'b';
    try {
      const options = { url: appUrl.href, ownerUrl: ownUrl.href, poolSize: 1 };
      await expect(DatabaseService.open(options)).rejects.toThrow(
        /may not act as the service .*GRANT neighborwatt_service TO its user/,
      );
      await owner.query(`GRANT ${SERVICE_ROLE} TO ${name}_app`);
      const service = await DatabaseService.open(options);
      await expect(service.query('TRUNCATE transfer')).rejects.toThrow('permission denied');
      expect(await service.query('SELECT current_user AS acts')).toEqual([{ acts: SERVICE_ROLE }]);
      await service.close();
    } finally {
      await drop();
      await owner.query(`DROP OWNED BY ${name}, ${name}_app; DROP ROLE ${name}, ${name}_app`);
    }
  });
});

it('migrating twice changes nothing', async () => {
  const { DataSource } = await import('typeorm');
  const source = await new DataSource({ type: 'postgres', url: fresh.ownerUrl }).initialize();
  expect(await migrate(source)).toEqual([]);
  await source.destroy();
});
