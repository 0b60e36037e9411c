import { readFile, writeFile } from 'node:fs/promises';
import { expect, it } from '@jest/globals';
import pg from 'pg';
import type { Sql } from '../../src/database/database.service.js';
import { dumpSchema } from '../../src/database/schema-dump.store.js';
import { emptyDatabase, freshDatabase } from '../support/database.js';

const SCHEMA = new URL('../../src/database/schema.sql', import.meta.url);

it('schema.sql is what the migrations make', async () => {
  const { database, drop } = await freshDatabase();
  try {
    const made = await dumpSchema(database);
    if (process.env.UPDATE_SCHEMA === '1') await writeFile(SCHEMA, made);
    // Written again with: UPDATE_SCHEMA=1 npm test -- test/database/schema.spec.ts
    expect(await readFile(SCHEMA, 'utf8')).toBe(made);
  } finally {
    await drop();
  }
});

it('schema.sql makes the same schema when it is run', async () => {
  const { url, drop } = await emptyDatabase();
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const text = await readFile(SCHEMA, 'utf8');
    await client.query(text);
    const sql: Sql = {
      query: async (query, parameters = []) =>
        (await client.query(query, [...parameters])).rows as never,
      copyIn: () => Promise.reject(new Error('nothing is copied here')),
    };
    expect(await dumpSchema(sql)).toBe(text);
  } finally {
    await client.end();
    await drop();
  }
});

it('every key of a microgrid starts with the microgrid', async () => {
  const { database, drop } = await freshDatabase();
  try {
    const rows = await database.query<{ relation: string; first: string }>(`
      SELECT c.relname AS relation, a.attname AS first
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
      WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace
        AND EXISTS (SELECT FROM pg_attribute m
          WHERE m.attrelid = c.oid AND m.attname = 'microgrid_id' AND m.attnotnull)`);
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter(({ first }) => first !== 'microgrid_id')).toEqual([]);
  } finally {
    await drop();
  }
});
