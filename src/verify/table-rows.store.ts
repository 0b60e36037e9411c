import type { Sql } from '../database/database.service.js';
import type { Row } from './finding.js';
import * as store from './verify.store.js';

/** A table that cannot be read: its files, or a value in it, are damaged beyond comparing. */
export class UnreadableTable extends Error {
  constructor(
    readonly table: string,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

interface Column {
  column: string;
  type: string;
}

/**
 * The rows of one microgrid, read in the caller's transaction as PostgreSQL writes them: text as it
 * stands and bytes as bytes, so that no change is too small to be seen and no value too strange to be
 * read.
 */
export class TableRows {
  private readonly cursors: string[] = [];

  private constructor(
    private readonly sql: Sql,
    private readonly microgridId: string,
    private readonly columns: ReadonlyMap<string, readonly Column[]>,
  ) {}

  static async open(sql: Sql, microgridId: string): Promise<TableRows> {
    const columns = new Map<string, Column[]>();
    for (const { table, ...column } of await sql.query<Column & { table: string }>(store.COLUMNS)) {
      columns.set(table, [...(columns.get(table) ?? []), column]);
    }
    return new TableRows(sql, microgridId, columns);
  }

  /**
   * Rows of a statement whose first parameter is the microgrid.
   * @param table to be named when the statement meets damage
   * @throws UnreadableTable for damage; other errors, such as a lost connection, as they are
   */
  async query<Result>(
    table: string,
    text: string,
    parameters: readonly unknown[] = [],
  ): Promise<Result[]> {
    return this.guarded(table, () =>
      this.sql.query<Result>(text, [this.microgridId, ...parameters]),
    );
  }

  /** Whole rows of a table. @param condition with parameters from $2 on */
  async rows(
    table: string,
    condition = 'true',
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    const text = `${this.select(table)} AND ${condition}`;
    return (await this.query<Row>(table, text, parameters)).map((row) => this.exact(table, row));
  }

  async count(table: string): Promise<number> {
    const text = `SELECT count(*)::text AS rows FROM ${table} WHERE microgrid_id = $1`;
    const [counted] = await this.query<{ rows: string }>(table, text);
    return Number(counted!.rows);
  }

  /**
   * All rows of a table, in order, a few thousand at a time.
   * @param order with the table before each column: alone it would name the column's text
   */
  async inOrder(table: string, order: string): Promise<RowStream<Row>> {
    const stream = await this.stream<Row>(table, `${this.select(table)} ORDER BY ${order}`);
    return stream.as((row) => this.exact(table, row));
  }

  /** The rows of a statement whose only parameter is the microgrid, a few thousand at a time. */
  async stream<Result>(table: string, text: string): Promise<RowStream<Result>> {
    const name = `verify_${this.cursors.length}`;
    await this.query(table, `DECLARE ${name} NO SCROLL CURSOR FOR ${text}`);
    this.cursors.push(name);
    return new RowStream((count) =>
      this.guarded(table, () => this.sql.query<Result>(`FETCH ${count} FROM ${name}`)),
    );
  }

  /** Ends the streams. After damage the transaction has failed, and they with it. */
  async close(): Promise<void> {
    for (const name of this.cursors.splice(0)) {
      await this.sql.query(`CLOSE ${name}`).catch(() => undefined);
    }
  }

  private select(table: string): string {
    const listed = (this.columns.get(table) ?? []).map(({ column, type }) =>
      type === 'bytea' ? column : `${column}::text`,
    );
    return `SELECT ${listed.join(', ')} FROM ${table} WHERE microgrid_id = $1`;
  }

  private exact(table: string, row: Row): Row {
    const exact: Record<string, unknown> = { ...row };
    for (const { column, type } of this.columns.get(table) ?? []) {
      const value = row[column];
      if (type === 'timestamptz' && typeof value === 'string') exact[column] = exactInstant(value);
    }
    return exact;
  }

  private async guarded<Result>(table: string, read: () => Promise<Result>): Promise<Result> {
    try {
      return await read();
    } catch (error) {
      throw isDamage(error) ? new UnreadableTable(table, error) : error;
    }
  }
}

const FETCHED = 4_000;

/** Rows in their order, taken as far as they are wanted. */
export class RowStream<Result> {
  private fetched: Result[] = [];
  private place = 0;
  private ended = false;

  constructor(private readonly fetch: (count: number) => Promise<Result[]>) {}

  as<Other>(change: (row: Result) => Other): RowStream<Other> {
    return new RowStream(async (count) => (await this.fetch(count)).map(change));
  }

  /** The next rows for as long as they are wanted. */
  async takeWhile(isWanted: (row: Result) => boolean): Promise<Result[]> {
    const taken: Result[] = [];
    for (;;) {
      while (this.place < this.fetched.length) {
        const row = this.fetched[this.place]!;
        if (!isWanted(row)) return taken;
        taken.push(row);
        this.place += 1;
      }
      if (this.ended) return taken;
      this.fetched = await this.fetch(FETCHED);
      this.place = 0;
      this.ended = this.fetched.length < FETCHED;
    }
  }

  /** The next row, or undefined at the end. */
  async next(): Promise<Result | undefined> {
    let isFirst = true;
    const [row] = await this.takeWhile(() => {
      const wanted = isFirst;
      isFirst = false;
      return wanted;
    });
    return row;
  }
}

/** A timestamptz as PostgreSQL writes it, as an instant to its last digit; odd ones as they are. */
export function exactInstant(text: string): string {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(\.\d+)?\+00$/.exec(text);
  if (!match) return text;
  const fraction = match[3] === undefined ? '' : match[3].padEnd(4, '0');
  return `${match[1]}T${match[2]}${fraction}Z`;
}

/**
 * Classes XX and 58 of PostgreSQL's errors are damaged files and failing disks; a RangeError is a
 * value that none of our columns can hold.
 */
function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof RangeError || (typeof code === 'string' && /^(XX|58)/.test(code));
}
