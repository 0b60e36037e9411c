import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { DatabaseService } from '../../src/database/database.service.js';
import { startServer } from '../../src/database/embedded-postgres.service.js';

export interface FreshDatabase {
  readonly url: string;
  readonly database: DatabaseService;
  /** Closes its connections and removes it. */
  drop(): Promise<void>;
}

/**
 * A migrated database of its own, copied from a template on the one server of the test run.
 * @example const { database, drop } = await freshDatabase();
 */
export async function freshDatabase(): Promise<FreshDatabase> {
  const { url, drop } = await copyOf(await templateUrl());
  const database = await DatabaseService.open({ url, poolSize: 5 });
  return {
    url,
    database,
    async drop() {
      await database.close();
      await drop();
    },
  };
}

/** A database without any table, for tests of the migrations themselves. */
export async function emptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  return copyOf(await serverUrl('template0'));
}

async function copyOf(templateUrlText: string): Promise<{ url: string; drop(): Promise<void> }> {
  const template = new URL(templateUrlText).pathname.slice(1);
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return {
    url: await serverUrl(name),
    drop: async () => {
      await administer((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

let template: Promise<string> | undefined;

/** Migrated once a run by whichever test comes first. */
function templateUrl(): Promise<string> {
  template ??= administer(async (client) => {
    const url = await serverUrl(TEMPLATE);
    await client.query('SELECT pg_advisory_lock(1)');
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [
      TEMPLATE,
    ]);
    if (rowCount === 0) {
      const building = `${TEMPLATE}_building`;
      await client.query(`CREATE DATABASE ${building}`);
      const database = await DatabaseService.open({ url: await serverUrl(building), poolSize: 2 });
      await database.close();
      await client.query(`ALTER DATABASE ${building} RENAME TO ${TEMPLATE}`);
    }
    return url;
  });
  return template;
}

async function administer<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: await serverUrl('postgres') });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

let server: Promise<string> | undefined;

async function serverUrl(database: string): Promise<string> {
  const dataDir = process.env.TEST_DATABASE_DIR;
  if (!dataDir) throw new Error('Tests with a database run through npm test.');
  server ??= startServer(dataDir, { durable: false }).then(({ url }) => url);
  const url = new URL(await server);
  url.pathname = `/${database}`;
  return url.href;
}

const TEMPLATE = 'migrated';
