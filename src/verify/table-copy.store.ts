import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';

/** A table as bundles know it. */
export interface TableShape {
  table: string;
  /** In the order of the schema. */
  columns: readonly string[];
  key: readonly string[];
  /** Tables that rows of this one point to. */
  refersTo: readonly string[];
}

/**
 * One connection and one transaction, with rows going in and out as PostgreSQL's own CSV: exact to
 * the last digit, and a stream of any length. It is apart from the service's pool, because COPY takes
 * a connection for itself.
 */
export class TableCopy {
  private constructor(private readonly client: pg.Client) {}

  /** Begins a snapshot that nothing changes, for reading. */
  static snapshot(url: string): Promise<TableCopy> {
    return TableCopy.begin(url, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  }

  /** Begins a transaction that writes. */
  static writing(url: string): Promise<TableCopy> {
    return TableCopy.begin(url, 'ISOLATION LEVEL READ COMMITTED');
  }

  private static async begin(url: string, mode: string): Promise<TableCopy> {
    const client = new pg.Client({ connectionString: url, options: SESSION, keepAlive: true });
    // A connection lost between two statements is told by the next one.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(`BEGIN ${mode}`);
    return new TableCopy(client);
  }

  async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return (await this.client.query(text, [...parameters])).rows as Row[];
  }

  /** How many rows a statement changed. */
  async change(text: string, parameters: readonly unknown[] = []): Promise<number> {
    return (await this.client.query(text, [...parameters])).rowCount ?? 0;
  }

  /** The rows of a query as CSV with a header. */
  copyOut(select: string): Readable {
    return this.client.query(copyTo(`COPY (${select}) TO STDOUT (FORMAT csv, HEADER)`));
  }

  /** CSV with a header into a table. @throws pg.DatabaseError that says in `where` which line */
  async copyIn(table: string, columns: readonly string[], csv: Readable): Promise<void> {
    const target = `${table} (${columns.join(', ')})`;
    const into = this.client.query(
      copyFrom(`COPY ${target} FROM STDIN (FORMAT csv, HEADER MATCH)`),
    );
    await pipeline(csv, into);
  }

  /** The tables of the schema, each after those it refers to. */
  async tables(): Promise<TableShape[]> {
    const rows = await this.query<TableShape>(TABLES);
    const ordered: TableShape[] = [];
    const placed = new Set<string>();
    while (ordered.length < rows.length) {
      const next = rows.filter(
        ({ table, refersTo }) =>
          !placed.has(table) && refersTo.every((other) => other === table || placed.has(other)),
      );
      if (next.length === 0) throw new Error('tables that refer to one another in a circle');
      for (const shape of next) placed.add(shape.table);
      ordered.push(...next);
    }
    return ordered;
  }

  /** Rows of a query, a few thousand at a time. */
  async *rows<Row>(select: string): AsyncGenerator<Row[]> {
    await this.client.query(`DECLARE walk NO SCROLL CURSOR FOR ${select}`);
    for (;;) {
      const { rows } = await this.client.query(`FETCH ${FETCHED} FROM walk`);
      if (rows.length > 0) yield rows as Row[];
      if (rows.length < FETCHED) break;
    }
    await this.client.query('CLOSE walk');
  }

  async commit(): Promise<void> {
    await this.client.query('COMMIT');
    await this.client.end();
  }

  /** Ends it without a trace. Idempotent. */
  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }
}

/** Text as an SQL literal, for statements that take no parameters. */
export function literal(text: string): string {
  return pg.escapeLiteral(text);
}

/** Rows as CSV in PostgreSQL's form, for `copyIn`. */
export function csvOf(
  columns: readonly string[],
  rows: AsyncIterable<readonly (string | number | Uint8Array)[]>,
): Readable {
  return Readable.from(
    (async function* lines() {
      yield `${columns.join(',')}\n`;
      for await (const row of rows) yield `${row.map(cell).join(',')}\n`;
    })(),
  );
}

function cell(value: string | number | Uint8Array): string {
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : String(value);
}

const FETCHED = 4_096;

const SESSION =
  '-c TimeZone=UTC -c DateStyle=ISO,MDY -c bytea_output=hex -c idle_in_transaction_session_timeout=600000';

const TABLES = `
SELECT c.relname AS "table",
  (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  coalesce((SELECT array_agg(a.attname::text ORDER BY k.place)
   FROM pg_constraint p, unnest(p.conkey) WITH ORDINALITY AS k (attnum, place), pg_attribute a
   WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid AND a.attnum = k.attnum),
   '{}') AS key,
  coalesce((SELECT array_agg(DISTINCT confrelid::regclass::text) FROM pg_constraint f
   WHERE f.conrelid = c.oid AND f.contype = 'f'), '{}') AS "refersTo"
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
ORDER BY c.relname`;
