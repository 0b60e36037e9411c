import { ERASER_ROLE, INSERT_ONLY, privilegesOn, SERVICE_ROLE, type Privilege } from './rights.js';

/** What runs a statement on the one connection of a migration. */
interface Runner {
  query(text: string, parameters?: unknown[]): Promise<unknown>;
}

/**
 * Makes the two roles where the server has none, and grants them exactly what `rights.ts` says: a
 * privilege beyond it is taken away. Changes nothing where nothing differs, so that a database which
 * was restored on another server gets its roles and rights back at the next start.
 */
export async function applyRights(runner: Runner): Promise<void> {
  for (const role of await missingRoles(runner)) await runner.query(makeRole(role));
  const statements = await differences(runner);
  if (statements.length === 0) return;
  await runner.query(statements.join(';\n'));
  // To a log-in that owns nothing, PostgreSQL only murmurs that no privilege was revoked.
  if ((await differences(runner)).length > 0) throw new RightsRefused();
}

/** A trigger that refuses every change, on each insert-only table that has none yet. */
export async function applyTriggers(runner: Runner): Promise<void> {
  const tables = (await runner.query(UNGUARDED, [INSERT_ONLY])) as { name: string }[];
  for (const { name } of tables) await runner.query(guard(name));
}

/** What would have to be granted and revoked, and this log-in may not. */
export class RightsRefused extends Error {
  override name = 'RightsRefused';
}

async function differences(runner: Runner): Promise<string[]> {
  const wanted = await wantedPrivileges(runner);
  const found = (await runner.query(PRIVILEGES, [[SERVICE_ROLE, ERASER_ROLE]])) as Privilege[];
  const wants = new Set(wanted.map(nameOf));
  const finds = new Set(found.map(nameOf));
  return [
    ...found
      .filter((one) => !wants.has(nameOf(one)))
      .map((one) => `REVOKE ${named(one)} FROM ${one.role}`),
    ...wanted
      .filter((one) => !finds.has(nameOf(one)))
      .map((one) => `GRANT ${named(one)} TO ${one.role}`),
  ];
}

/** Roles that there are not, or that this log-in may not act as. */
async function missingRoles(runner: Runner): Promise<string[]> {
  const roles = [SERVICE_ROLE, ERASER_ROLE];
  const rows = (await runner.query(MEMBERSHIPS, [roles])) as { role: string; mine: boolean }[];
  return roles.filter((role) => !rows.some((row) => row.role === role && row.mine));
}

async function wantedPrivileges(runner: Runner): Promise<Privilege[]> {
  const rows = (await runner.query(TABLES)) as { name: string }[];
  return privilegesOn(rows.map(({ name }) => name));
}

function nameOf({ table, role, privilege, column }: Privilege): string {
  return `${table} ${role} ${privilege} ${column ?? ''}`;
}

function named({ table, privilege, column }: Privilege): string {
  return `${privilege}${column === null ? '' : ` (${column})`} ON ${table}`;
}

/**
 * Another database of the same server may make the role at the same moment. The log-in that migrates
 * becomes a member where it may, so that a deployment with one log-in can act as either.
 */
function makeRole(role: string): string {
  return `
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${role}') THEN
    BEGIN
      CREATE ROLE ${role} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END IF;
  BEGIN
    GRANT ${role} TO CURRENT_USER;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
END $$`;
}

const UNGUARDED = `
SELECT relname AS name FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
  AND relname = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = pg_class.oid AND tgname = relname || '_insert_only')
ORDER BY relname`;

function guard(table: string): string {
  return `CREATE TRIGGER ${table}_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`;
}

const MEMBERSHIPS = `
SELECT rolname AS role, pg_has_role(current_user, oid, 'MEMBER') AS mine
FROM pg_roles WHERE rolname = ANY ($1::text[])`;

const TABLES = `
SELECT relname AS name FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
ORDER BY relname`;

export const PRIVILEGES = `
SELECT class.relname AS "table", grantee.rolname AS role, acl.privilege_type AS privilege,
  NULL::text AS "column"
FROM pg_class class
CROSS JOIN LATERAL aclexplode(class.relacl) acl
JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p')
  AND grantee.rolname = ANY ($1::text[])
UNION ALL
SELECT class.relname, grantee.rolname, acl.privilege_type, attribute.attname
FROM pg_attribute attribute
JOIN pg_class class ON class.oid = attribute.attrelid
CROSS JOIN LATERAL aclexplode(attribute.attacl) acl
JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p')
  AND grantee.rolname = ANY ($1::text[])
ORDER BY 1, 2, 3, 4`;
