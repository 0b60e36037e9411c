import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type pg from 'pg';
import { EmbeddedPostgresProblem } from './postgres-binaries.service.js';
import { ERASER_ROLE, SERVICE_ROLE } from './rights.js';
import { readText, writePrivately, type PostgresFolder } from './postgres-folder.service.js';

/**
 * The log-ins of the embedded server beside its owner's: one for the service and one for the eraser,
 * each with a secret of its own in a file of its own (0600). Whoever runs commands as the same user of
 * the machine can read all of them; a fault in a statement of the service cannot.
 */
export interface Login {
  readonly user: string;
  readonly password: string;
}

export interface Logins {
  readonly service: Login;
  readonly eraser: Login;
}

/** Reads both, and makes what is missing, in the folder or in the server. @param client the owner's */
export async function ensureLogins(folder: PostgresFolder, client: pg.Client): Promise<Logins> {
  return {
    service: await ensureLogin(join(folder.dataDir, 'postgres-service.json'), SERVICE_ROLE, client),
    eraser: await ensureLogin(join(folder.dataDir, 'postgres-eraser.json'), ERASER_ROLE, client),
  };
}

async function ensureLogin(file: string, user: string, client: pg.Client): Promise<Login> {
  const kept = await readLogin(file, user);
  const password = kept ?? randomBytes(32).toString('base64url');
  const { rows } = await client.query<{ ready: boolean }>(FIND_LOGIN, [user]);
  if (kept !== undefined && rows[0]?.ready) return { user, password };
  if (rows.length === 0) await client.query(`CREATE ROLE ${user}`);
  // Base64url: nothing in it ends the text. PostgreSQL keeps its scram-sha-256 alone.
  await client.query(`ALTER ROLE ${user} LOGIN PASSWORD '${password}'`);
  if (kept === undefined) await writePrivately(file, JSON.stringify({ user, password }, null, 2));
  return { user, password };
}

async function readLogin(file: string, user: string): Promise<string | undefined> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    const login = JSON.parse(text) as Login;
    if (login.user === user && /^[\w-]{32,}$/.test(login.password)) return login.password;
  } catch {
    // Told below.
  }
  throw new EmbeddedPostgresProblem(
    `${file}, which holds a secret of the database, is damaged: remove it, and the next start makes a new one.`,
  );
}

const FIND_LOGIN = `
SELECT rolcanlogin AND rolpassword IS NOT NULL AS ready FROM pg_authid WHERE rolname = $1`;
