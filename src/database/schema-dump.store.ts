import type { Sql } from './database.service.js';
import { ERASER_ROLE, SERVICE_ROLE, type Privilege } from './rights.js';
import { PRIVILEGES } from './rights.store.js';

/**
 * The schema as SQL that would make it again, read from PostgreSQL's catalogs. The same schema gives
 * the same text on every machine, so that a review sees in it what a migration changes.
 */
export async function dumpSchema(sql: Sql): Promise<string> {
  const domains = await sql.query<Definition>(DOMAINS);
  const functions = await sql.query<Definition>(FUNCTIONS);
  const tables = await sql.query<TableRow>(TABLES);
  const columns = await sql.query<Member>(COLUMNS);
  const constraints = await sql.query<Member & { foreign: boolean }>(CONSTRAINTS);
  const indexes = await sql.query<Definition>(INDEXES);
  const triggers = await sql.query<Definition>(TRIGGERS);
  const views = await sql.query<Definition>(VIEWS);
  const grants = await sql.query<Privilege>(PRIVILEGES, [[SERVICE_ROLE, ERASER_ROLE]]);
  const sections = [
    domains.map(statement),
    functions.map(statement),
    tables.map((table) => {
      const mine = ({ relation }: Member): boolean => relation === table.name;
      const lines = [...columns.filter(mine), ...constraints.filter((c) => mine(c) && !c.foreign)];
      const body = lines.map(({ definition }) => `  ${definition}`).join(',\n');
      return `CREATE TABLE ${table.name} (\n${body}\n)${table.suffix};`;
    }),
    constraints
      .filter(({ foreign }) => foreign)
      .map(({ relation, definition }) => `ALTER TABLE ${relation} ADD ${definition};`),
    views.map(statement),
    indexes.map(statement),
    triggers.map(statement),
    grantsOf(grants),
  ];
  const text = sections.filter((section) => section.length > 0).map((part) => part.join('\n\n'));
  return `${HEADER}\n${text.join('\n\n')}\n`;
}

interface Definition {
  readonly definition: string;
}

interface Member extends Definition {
  readonly relation: string;
}

interface TableRow {
  readonly name: string;
  readonly suffix: string;
}

/** One statement a table and role: privileges of columns after those of the table. */
function grantsOf(privileges: readonly Privilege[]): string[] {
  const byPlace = new Map<string, Map<string, string[]>>();
  for (const { table, role, privilege, column } of privileges) {
    const place = `${table} TO ${role}`;
    const named = byPlace.get(place) ?? new Map<string, string[]>();
    byPlace.set(place, named);
    const columns = named.get(column === null ? privilege : `${privilege} `) ?? [];
    named.set(column === null ? privilege : `${privilege} `, column ? [...columns, column] : []);
  }
  return [...byPlace].map(([place, named]) => {
    const rights = [...named]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([right, columns]) =>
        columns.length > 0 ? `${right.trim()} (${columns.join(', ')})` : right,
      );
    return `GRANT ${rights.join(', ')} ON ${place};`;
  });
}

function statement({ definition }: Definition): string {
  return `${definition.trim().replace(/;$/, '')};`;
}

const HEADER = `-- The schema that the migrations make. Written by test/database/schema.spec.ts under UPDATE_SCHEMA=1:
-- change a schema by a new migration, never here.
`;

const DOMAINS = `
SELECT 'CREATE DOMAIN ' || quote_ident(t.typname) || ' AS ' || format_type(t.typbasetype, t.typtypmod)
  || CASE WHEN t.typdefault IS NULL THEN '' ELSE ' DEFAULT ' || t.typdefault END
  || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
  || coalesce((
    SELECT string_agg(' CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid, true), ''
      ORDER BY c.conname)
    FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c'), '') AS definition
FROM pg_type t
WHERE t.typtype = 'd' AND t.typnamespace = current_schema()::regnamespace
ORDER BY t.typname`;

const FUNCTIONS = `
SELECT pg_get_functiondef(p.oid) AS definition
FROM pg_proc p
WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind IN ('f', 'p')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.proname, pg_get_function_identity_arguments(p.oid) COLLATE "C"`;

// A partition is made of its parent: its columns and constraints are the parent's.
const TABLES = `
SELECT quote_ident(c.relname) AS name,
  CASE WHEN c.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END AS suffix
FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname`;

const COLUMNS = `
SELECT quote_ident(c.relname) AS relation,
  quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
  || CASE WHEN d.adbin IS NULL THEN ''
     WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid, true) || ') STORED'
     ELSE ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid, true) END
  || CASE a.attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
     WHEN 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' ELSE '' END
  || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS definition
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum`;

// NOT NULL is told with its column.
const CONSTRAINTS = `
SELECT quote_ident(c.relname) AS relation, k.contype = 'f' AS foreign,
  'CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid, true) AS definition
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype IN ('p', 'u', 'c', 'f', 'x') AND NOT c.relispartition
  AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname, array_position('{p,u,x,c,f}'::"char"[], k.contype), k.conname`;

const INDEXES = `
SELECT pg_get_indexdef(i.indexrelid, 0, true) AS definition
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY c.relname, x.relname`;

const TRIGGERS = `
SELECT pg_get_triggerdef(t.oid, true) AS definition
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
ORDER BY c.relname, t.tgname`;

const VIEWS = `
SELECT 'CREATE VIEW ' || quote_ident(c.relname) || ' AS' || E'\\n' || pg_get_viewdef(c.oid, true) AS definition
FROM pg_class c
WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname`;
