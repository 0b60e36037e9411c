import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { DatabaseService, type Sql } from '../../src/database/database.service.js';
import { startServer, type RunningServer } from '../../src/database/embedded-postgres.service.js';

export interface FreshDatabase {
  /** With the log-in of the service. */
  readonly url: string;
  readonly ownerUrl: string;
  readonly eraserUrl: string;
  /** As the service acts on it: within its rights. */
  readonly database: DatabaseService;
  /** Runs `work` in one transaction as the owner, past every trigger: for what nobody may do. */
  asOwner<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Closes its connections and removes it. */
  drop(): Promise<void>;
}

/**
 * A migrated database of its own, copied from a template on the one server of the test run.
 * @example const { database, drop } = await freshDatabase();
 */
export async function freshDatabase(): Promise<FreshDatabase> {
  const { url: ownerUrl, name, drop } = await copyOf(await templateName());
  const url = await serverUrl(name, 'service');
  const database = await DatabaseService.open({ url, poolSize: 5 });
  let owner: Promise<DatabaseService> | undefined;
  return {
    url,
    ownerUrl,
    eraserUrl: await serverUrl(name, 'eraser'),
    database,
    async asOwner(work) {
      owner ??= DatabaseService.open({ url: ownerUrl, role: 'owner', poolSize: 2 });
      return (await owner).transaction(async (sql) => {
        await sql.query('SET LOCAL session_replication_role = replica');
        return work(sql);
      });
    },
    async drop() {
      await database.close();
      await (await owner)?.close();
      await drop();
    },
  };
}

/** A database without any table, with the owner's log-in, for tests of the migrations themselves. */
export async function emptyDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  return copyOf('template0');
}

async function copyOf(
  template: string,
): Promise<{ url: string; name: string; drop(): Promise<void> }> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer((client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return {
    url: await serverUrl(name),
    name,
    drop: async () => {
      await administer((client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

let template: Promise<string> | undefined;

/** Migrated once a run by whichever test comes first. */
function templateName(): Promise<string> {
  template ??= administer(async (client) => {
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
    return TEMPLATE;
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

let server: Promise<RunningServer> | undefined;

async function serverUrl(
  database: string,
  role: keyof RunningServer['urls'] = 'owner',
): Promise<string> {
  const dataDir = process.env.TEST_DATABASE_DIR;
  if (!dataDir) throw new Error('Tests with a database run through npm test.');
  server ??= startServer(dataDir, { durable: false });
  const url = new URL((await server).urls[role]);
  url.pathname = `/${database}`;
  return url.href;
}

const TEMPLATE = 'migrated';
