import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CopyRows } from '../../src/database/copy-rows.js';
import type { Sql } from '../../src/database/database.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await fresh.asOwner((sql) =>
    sql.query(`CREATE TABLE note (id integer PRIMARY KEY, text text);
      GRANT ALL ON note TO neighborwatt_service`),
  );
});
afterAll(() => fresh.drop());

it('values arrive exact', async () => {
  const [row] = await fresh.database.query(`
    SELECT 9007199254740991::bigint AS int8, 1.50::numeric AS numeric, '\\x00ff'::bytea AS bytes,
      '2026-06-01T12:15:00.250+02:00'::timestamptz AS at, '2026-06-01T10:15:00Z'::timestamptz AS whole,
      '2026-06-01'::date AS day, 5::safe_integer AS safe, '{"a":[1]}'::jsonb AS json,
      ARRAY['a'::ident, 'b'] AS idents, ARRAY[1::safe_integer, NULL] AS counts,
      ARRAY[ARRAY[1, 2], ARRAY[3, 9007199254740991]]::bigint[] AS nested,
      ARRAY['2026-06-01T10:15:00Z'::timestamptz] AS instants`);
  expect(row).toEqual({
    int8: 9007199254740991,
    numeric: '1.50',
    bytes: Buffer.from([0, 255]),
    at: '2026-06-01T10:15:00.250Z',
    whole: '2026-06-01T10:15:00Z',
    day: '2026-06-01',
    safe: 5,
    json: { a: [1] },
    idents: ['a', 'b'],
    counts: [1, null],
    nested: [
      [1, 2],
      [3, 9007199254740991],
    ],
    instants: ['2026-06-01T10:15:00Z'],
  });
});

it('a number that would lie is refused', async () => {
  await expect(fresh.database.query('SELECT 9007199254740993::bigint AS n')).rejects.toThrow(
    'not a safe integer',
  );
});

it('every connection is in UTC', async () => {
  const zones = await Promise.all(
    Array.from({ length: 5 }, () => fresh.database.query(`SHOW timezone`)),
  );
  expect(zones.flat()).toEqual(Array.from({ length: 5 }, () => ({ TimeZone: 'UTC' })));
});

it('rows come back from every kind of statement', async () => {
  const { database } = fresh;
  expect(await database.query(`INSERT INTO note VALUES (1, 'a'), (2, 'b') RETURNING id`)).toEqual([
    { id: 1 },
    { id: 2 },
  ]);
  expect(await database.query(`UPDATE note SET text = 'c' WHERE id = $1 RETURNING *`, [2])).toEqual(
    [{ id: 2, text: 'c' }],
  );
  expect(await database.query('DELETE FROM note RETURNING id')).toHaveLength(2);
  expect(await database.query('DELETE FROM note')).toEqual([]);
});

it('a transaction is kept whole or not at all', async () => {
  const { database } = fresh;
  const kept = await database.transaction(async (sql) => {
    await sql.query(`INSERT INTO note VALUES (10, 'kept')`);
    return 'answer';
  });
  expect(kept).toBe('answer');
  const failing = database.transaction(async (sql) => {
    await sql.query(`INSERT INTO note VALUES (11, 'lost')`);
    throw new Error('changed my mind');
  });
  await expect(failing).rejects.toThrow('changed my mind');
  expect(await database.query('SELECT id FROM note WHERE id IN (10, 11)')).toEqual([{ id: 10 }]);
});

it('a transaction whose failure was overlooked is not taken for kept', async () => {
  const overlooked = fresh.database.transaction(async (sql) => {
    await sql.query(`INSERT INTO note VALUES (20, 'lost')`);
    await sql.query('SELECT 1 / 0').catch(() => undefined);
  });
  await expect(overlooked).rejects.toThrow('nothing was kept');
});

it('a transaction cannot be used after its end', async () => {
  let leaked: Sql | undefined;
  await fresh.database.transaction(async (sql) => {
    leaked = sql;
  });
  await expect(leaked!.query('SELECT 1')).rejects.toThrow('has ended');
});

it('a lost connection fails its transaction and nothing else', async () => {
  const { database } = fresh;
  const lost = database.transaction(async (sql) => {
    const [{ pid } = { pid: 0 }] = await sql.query<{ pid: number }>(
      'SELECT pg_backend_pid() AS pid',
    );
    await database.query('SELECT pg_terminate_backend($1)', [pid]);
    await sql.query('SELECT 1');
  });
  await expect(lost).rejects.toThrow();
  expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

it('copies into several tables all or nothing', async () => {
  await fresh.asOwner((sql) =>
    sql.query(`CREATE TABLE copied (a integer PRIMARY KEY); CREATE TABLE also (a integer);
      GRANT SELECT, INSERT ON copied, also TO neighborwatt_service`),
  );
  const rowsOf = (values: Iterable<number>) => {
    const rows = new CopyRows(1);
    for (const value of values) rows.row().int4(value);
    return rows.end();
  };
  const copies = (...values: number[]) =>
    ['also', 'copied'].map((table) => ({
      text: `COPY ${table} (a) FROM STDIN (FORMAT binary)`,
      rows: rowsOf(values),
    }));
  await fresh.database.copyIn(copies(1, 2));
  await expect(fresh.database.copyIn(copies(3, 2))).rejects.toThrow(/duplicate key/);
  // More than the server is sent at once, on the connection that was refused.
  await fresh.database.copyIn([
    { text: 'COPY also (a) FROM STDIN (FORMAT binary)', rows: rowsOf(Array(200_000).keys()) },
  ]);
  const [counts] = await fresh.database.query(
    `SELECT (SELECT count(*) FROM copied) AS copied, (SELECT count(*) FROM also) AS also`,
  );
  expect(counts).toEqual({ copied: 2, also: 200_002 });
});
