import type { OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { CopyIn, type Copy } from './copy-in.js';
import { migrate } from './migrate.store.js';
import { ERASER_ROLE, SERVICE_ROLE, type Role } from './rights.js';
import { parserOf } from './value-types.js';

/** What runs SQL: the service itself, or the one connection of a transaction. */
export interface Sql {
  /** The rows of one statement, also of `INSERT`, `UPDATE` and `DELETE ... RETURNING`. */
  query<Row = Record<string, unknown>>(
    text: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
  /** Rows by the thousand, for tables that only grow; all tables in one round trip. */
  copyIn(copies: readonly Copy[]): Promise<void>;
}

export interface DatabaseOptions {
  /** `postgres://user:secret@host:port/database`, of a log-in that may act as the role. */
  readonly url: string;
  /** Of the log-in that migrates; the same unless given. */
  readonly ownerUrl?: string;
  /** Whom every connection acts as: the service, unless said otherwise. */
  readonly role?: Role;
  readonly poolSize?: number;
  /** Run after the pool is closed, e.g. to leave the embedded server. */
  readonly afterClose?: () => Promise<void>;
}

/**
 * The door to PostgreSQL: statements on a pool, and transactions on one connection of it. A service
 * that was opened has a migrated database behind it. Values arrive as `value-types.ts` says.
 */
export class DatabaseService implements Sql, OnApplicationShutdown {
  private constructor(
    /** TypeORM's data source, for mapping rows to entities. */
    readonly dataSource: DataSource,
    private readonly pool: pg.Pool,
    readonly url: string,
    private readonly afterClose: () => Promise<void>,
  ) {}

  /** Brings the schema up to date and connects as the role. Rejects when either fails. */
  static async open(options: DatabaseOptions): Promise<DatabaseService> {
    const { url, ownerUrl = url, role = 'service', poolSize = 10 } = options;
    const owner = await connected(ownerUrl, 1, { options: SESSION });
    await migrate(owner).finally(() => owner.destroy());
    const types = new pg.TypeOverrides();
    const dataSource = await connected(url, poolSize, {
      types,
      options: `${SESSION}${ACTING_AS[role]}`,
      keepAlive: true,
    }).catch((error: unknown) => {
      throw mayNotAct(error, role) ?? error;
    });
    const { master } = dataSource.driver as unknown as { master: pg.Pool };
    try {
      await learnTypes(master, types);
    } catch (error) {
      await dataSource.destroy();
      throw error;
    }
    const afterClose = options.afterClose ?? (() => Promise.resolve());
    return new DatabaseService(dataSource, master, options.url, afterClose);
  }

  async query<Row = Record<string, unknown>>(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    return rowsOf<Row>(await this.pool.query(text, [...parameters]));
  }

  /** All of it or nothing: statements sent as one text are one transaction. */
  async copyIn(copies: readonly Copy[]): Promise<void> {
    if (copies.length === 0) return;
    await this.onClient((client) => client.query(new CopyIn(copies)).done);
  }

  /**
   * Runs `work` on one connection, READ COMMITTED: commits when it resolves, rolls everything back
   * when it rejects. The `Sql` it is given refuses to be used afterwards.
   */
  async transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.onClient(async (client, breaks) => {
      const sql = new Transaction(client);
      try {
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
        const result = await work(sql);
        sql.close();
        const end = await client.query('COMMIT');
        // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error.
        if (end.command !== 'COMMIT')
          throw new Error('The transaction had failed; nothing was kept.');
        return result;
      } catch (error) {
        sql.close();
        await client.query('ROLLBACK').catch(breaks);
        throw error;
      }
    });
  }

  /** Runs `work` on a connection of its own, which is given up where it `breaks`. */
  private async onClient<T>(
    work: (client: pg.PoolClient, breaks: (cause: Error) => void) => Promise<T>,
  ): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    // Without a listener, a connection lost between two statements would end the process.
    const breaks = (cause: Error): void => {
      broken = cause;
    };
    client.on('error', breaks);
    try {
      return await work(client, breaks);
    } finally {
      client.off('error', breaks);
      client.release(broken);
    }
  }

  /** Ends the connections. Idempotent. */
  async close(): Promise<void> {
    if (!this.dataSource.isInitialized) return;
    await this.dataSource.destroy();
    await this.afterClose();
  }

  /** The last phase of a shutdown: others finish their work in the phases before it. */
  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }
}

class Transaction implements Sql {
  private open = true;

  constructor(private readonly client: pg.PoolClient) {}

  async query<Row = Record<string, unknown>>(
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    if (!this.open) throw new Error('This transaction has ended.');
    return rowsOf<Row>(await this.client.query(text, [...parameters]));
  }

  async copyIn(copies: readonly Copy[]): Promise<void> {
    if (!this.open) throw new Error('This transaction has ended.');
    if (copies.length > 0) await this.client.query(new CopyIn(copies)).done;
  }

  close(): void {
    this.open = false;
  }
}

async function connected(url: string, poolSize: number, extra: object): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    poolSize,
    applicationName: 'neighborwatt',
    connectTimeoutMS: CONNECT_TIMEOUT_MILLIS,
    logging: false,
    installExtensions: false,
    // A connection that dies while idle is replaced by the next query; nothing is lost with it.
    poolErrorHandler: () => undefined,
    extra,
  }).initialize();
}

function mayNotAct(error: unknown, role: Role): Error | null {
  const message = error instanceof Error ? error.message : '';
  if (!/permission denied to set role|role ".*" does not exist/.test(message)) return null;
  return new Error(
    `The database's log-in may not act as the ${role} (${message}): have an administrator run GRANT neighborwatt_${role} TO its user.`,
    { cause: error },
  );
}

/** Several statements in one text answer an array of results: the rows of the last count. */
function rowsOf<Row>(result: pg.QueryResult | pg.QueryResult[]): Row[] {
  const last = Array.isArray(result) ? result.at(-1) : result;
  return (last?.rows ?? []) as Row[];
}

/**
 * Registers the parsers, also for arrays of the schema's domains: PostgreSQL describes a column of a
 * domain by its base type, but `array_agg` over it by an array type of this database alone.
 */
async function learnTypes(pool: pg.Pool, types: pg.TypeOverrides): Promise<void> {
  const { rows } = await pool.query<{ oid: string; array_oid: string; base: string }>(ALL_TYPES);
  const builtIn = pg.types.getTypeParser as (oid: number) => (text: string) => unknown;
  for (const { oid, array_oid, base } of rows) {
    const known = parserOf(Number(base));
    if (known) types.setTypeParser(Number(oid), 'text', known);
    const parse = known ?? builtIn(Number(base));
    types.setTypeParser(Number(array_oid), 'text', (text: string) =>
      mapLeaves(builtIn(TEXT_ARRAY)(text) as unknown[], parse),
    );
  }
}

function mapLeaves(items: readonly unknown[], parse: (text: string) => unknown): unknown[] {
  return items.map((item) =>
    Array.isArray(item) ? mapLeaves(item, parse) : typeof item === 'string' ? parse(item) : item,
  );
}

const TEXT_ARRAY = 1009;

const CONNECT_TIMEOUT_MILLIS = 30_000;

// A transaction left idle would hold its microgrid's lock for ever.
const SESSION =
  '-c TimeZone=UTC -c DateStyle=ISO,MDY -c idle_in_transaction_session_timeout=300000';

/** The role is taken with the session, by whatever log-in it was opened. */
const ACTING_AS: Readonly<Record<Role, string>> = {
  owner: '',
  service: ` -c role=${SERVICE_ROLE}`,
  eraser: ` -c role=${ERASER_ROLE}`,
};

// As text, because the parsers are what is being prepared here. The numbers are those of int8, date,
// timestamp, timestamptz and numeric.
const ALL_TYPES = `
SELECT t.oid::text AS oid, t.typarray::text AS array_oid,
  CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END::text AS base
FROM pg_type t WHERE t.typtype = 'd' OR t.oid IN (20, 1082, 1114, 1184, 1700)`;
