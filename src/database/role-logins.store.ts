import type { DatabaseService, Sql } from './database.service.js';
import { ERASER_ROLE, SERVICE_ROLE } from './rights.js';

/** Log-ins of a database server, each of which can act as one role and as nothing else. */

/** Where a log-in is to connect with, and what it may act as. */
export interface RoleLogin {
  /** `postgres://user:password@host/database` */
  readonly url: string;
  readonly role: 'service' | 'eraser';
}

/**
 * Makes the log-ins that these URLs name, or gives them these passwords. Idempotent.
 * @param database opened as its owner, who may make roles
 * @returns their users, in the order given
 * @throws Error where a URL names no user or no password, or the owner's own user
 */
export async function makeLogins(
  database: DatabaseService,
  logins: readonly RoleLogin[],
): Promise<string[]> {
  return database.transaction(async (sql) => {
    const users: string[] = [];
    for (const { url, role } of logins) users.push(await makeLogin(sql, url, role));
    return users;
  });
}

async function makeLogin(sql: Sql, url: string, role: RoleLogin['role']): Promise<string> {
  const { username, password } = new URL(url);
  const [user, secret] = [decodeURIComponent(username), decodeURIComponent(password)];
  if (user === '' || secret === '') throw new Error(`the ${role}'s URL names no user or password`);
  const groups = { service: SERVICE_ROLE, eraser: ERASER_ROLE };
  const [there] = await sql.query<{ known: boolean; own: boolean }>(FIND, [user]);
  if (there!.own) throw new Error(`the ${role}'s user ${user} is the owner's: name another`);
  const [statement] = await sql.query<{ text: string }>(there!.known ? ALTER : CREATE, [
    user,
    secret,
  ]);
  await sql.query(statement!.text);
  const [grant] = await sql.query<{ text: string }>(GRANT, [groups[role], user]);
  await sql.query(grant!.text);
  return user;
}

const FIND = `
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS known, $1 = session_user AS own`;

// Roles and passwords take no parameters: the server quotes them.
const CREATE = `SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text) AS text`;
const ALTER = `SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text) AS text`;
const GRANT = `SELECT format('GRANT %I TO %I', $1::text, $2::text) AS text`;
