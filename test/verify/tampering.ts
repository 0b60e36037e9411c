import type { Sql } from '../../src/database/database.service.js';
import type { Finding } from '../../src/verify/finding.js';
import type { CoveredTable } from '../../src/verify/tables.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import type { Rooms } from './rooms.js';

/** Changes to the tables behind the back of the service, each taken back after it was looked for. */

export interface Column {
  table: string;
  column: string;
  type: string;
  nullable: boolean;
  /** Among the columns of its table. */
  place: number;
  /** Values that a check allows, where it lists them. */
  allowed: string[];
}

/** Every column of every table. */
export async function readColumns(sql: Sql): Promise<Column[]> {
  return sql.query<Column>(`
    SELECT c.table_name AS "table", c.column_name AS "column", c.udt_name AS type,
      c.is_nullable = 'YES' AS nullable, c.ordinal_position::int AS place,
      coalesce((
        SELECT array_agg(one[1])
        FROM pg_constraint listed,
          regexp_matches(pg_get_constraintdef(listed.oid), '''([^'']+)''::text', 'g') AS one
        WHERE listed.contype = 'c' AND listed.conrelid = to_regclass(c.table_name)
          AND pg_get_constraintdef(listed.oid)
            LIKE 'CHECK ((' || c.column_name || ' = ANY (ARRAY[%'
      ), '{}') AS allowed
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'
    ORDER BY c.table_name, c.ordinal_position`);
}

/** The least that can be done to a value, as SQL over the column; the first that the key allows counts. */
export interface Change {
  name: string;
  /** Which rows it can be done to. */
  where: string;
  to: string[];
}

export function changesOf({ table, column, type, nullable, allowed }: Column): Change[] {
  const some = `${column} IS NOT NULL`;
  const changes: Change[] = [];
  const last = `(SELECT max(${column}) + 1 FROM ${table})`;
  switch (type) {
    case 'bool':
      changes.push({ name: 'the other one', where: some, to: [`NOT ${column}`] });
      break;
    case 'int2':
    case 'int4':
    case 'int8':
      changes.push({ name: 'one more', where: some, to: [`${column} + 1`, last] });
      break;
    case 'numeric':
      changes.push({ name: 'a millionth more', where: some, to: [`${column} + 0.000001`] });
      break;
    case 'timestamptz':
      changes.push(
        { name: 'a microsecond later', where: some, to: [`${column} + interval '1 microsecond'`] },
        {
          name: 'an hour earlier',
          where: some,
          to: [`${column} - interval '1 hour'`, `${column} + interval '100 hours'`],
        },
      );
      break;
    case 'bytea':
      changes.push(
        {
          name: 'one bit',
          where: `${column} <> ''`,
          to: [
            `set_bit(${column}, 8 * length(${column}) - 1, 1 - get_bit(${column}, 8 * length(${column}) - 1))`,
          ],
        },
        {
          name: 'a byte less',
          where: `${column} <> ''`,
          to: [`substring(${column} FOR length(${column}) - 1)`],
        },
      );
      break;
    case '_int8':
      changes.push({ name: 'one entry more', where: some, to: [`${column} || 1::bigint`] });
      break;
    default:
      changes.push({
        name: allowed.length > 0 ? 'another of the values allowed' : 'one letter',
        where: some,
        to:
          allowed.length > 0
            ? allowed.map(
                (value) => `CASE WHEN ${column} <> '${value}' THEN '${value}' ELSE 'x' END`,
              )
            : [`left(${column}, -1) || chr(ascii(right(${column}, 1) || 'x') # 1)`],
      });
  }
  // A second root is refused by an index, whoever tries.
  if (nullable && `${table}.${column}` !== 'network_node.parent_id') {
    changes.push({ name: 'nothing', where: some, to: ['NULL'] });
    changes.push({ name: 'something', where: `${column} IS NULL`, to: [SOMETHING[type] ?? `'x'`] });
  }
  return changes;
}

const SOMETHING: Record<string, string> = {
  int4: '1',
  int8: '1',
  numeric: '1',
  timestamptz: `'2026-06-01T09:00:00Z'`,
};

/** What may be done in the transaction that is undone. */
export interface Tampering {
  sql: Sql;
  /** Runs a statement that may fail; whether it changed a row. */
  attempt(text: string, parameters?: readonly unknown[]): Promise<boolean>;
  verify(microgrid: string, kept?: readonly string[]): Promise<Finding[]>;
}

/** Does something to the tables, with neither triggers nor checks in its way, and undoes it. */
export async function undone<Result>(
  rooms: Rooms,
  tables: readonly string[],
  work: (tampering: Tampering) => Promise<Result>,
): Promise<Result> {
  const undo = new Error('undone');
  const service = new VerifyService(rooms.database);
  let result: Result | undefined;
  const attempted = rooms.asOwner(async (sql) => {
    for (const statement of await dropsOf(sql, tables)) await sql.query(statement);
    result = await work({
      sql,
      async attempt(text, parameters) {
        await sql.query('SAVEPOINT before');
        try {
          return (await sql.query(text, parameters)).length > 0;
        } catch {
          await sql.query('ROLLBACK TO before');
          return false;
        }
      },
      async verify(microgrid, kept) {
        const report = await service.verifyIn(sql, microgrid, rooms.log, kept);
        return report.findings;
      },
    });
    throw undo;
  });
  await attempted.catch((error: unknown) => {
    if (error !== undo) throw error;
  });
  return result!;
}

/** Statements that take away every check of these tables and their domains; primary keys stay. */
async function dropsOf(sql: Sql, tables: readonly string[]): Promise<string[]> {
  const rows = await sql.query<{ statement: string }>(
    `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) AS statement
     FROM pg_constraint
     WHERE contype IN ('c', 'f', 'u') AND conrelid = ANY ($1::text[]::regclass[])
     UNION ALL
     SELECT format('ALTER DOMAIN %s DROP CONSTRAINT %I', contypid::regtype, conname)
     FROM pg_constraint WHERE contype = 'c' AND contypid <> 0
       AND contypid IN (SELECT oid FROM pg_type WHERE typnamespace = current_schema()::regnamespace)`,
    [tables],
  );
  return rows.map(({ statement }) => statement);
}

/** The microgrids that have such a row. */
export async function microgridsWith(sql: Sql, table: string, where: string): Promise<string[]> {
  const rows = await sql.query<{ id: string }>(
    `SELECT microgrid_id AS id FROM ${table} WHERE ${where} GROUP BY 1 ORDER BY 1`,
  );
  return rows.map(({ id }) => id);
}

/** One row of many, always the same. */
export function oneRow({ table, key }: CoveredTable, where: string, place = 0): string {
  const columns = key.map((column) => `${column}::text`).join(', ');
  return `(SELECT ctid FROM ${table} WHERE microgrid_id = $1 AND ${where}
    ORDER BY md5(concat_ws(' ', ${columns})) LIMIT 1 OFFSET ${place})`;
}

/** Whether one of the findings tells of this column of this table, or of the row it stands in. */
export function names(
  findings: readonly Finding[],
  { table, key }: CoveredTable,
  column: string,
): boolean {
  const isKey = key.includes(column) || column === 'microgrid_id' || column === 'sequence';
  return findings.some((one) => one.table === table && (isKey || one.field.includes(column)));
}
