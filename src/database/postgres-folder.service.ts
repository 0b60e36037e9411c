import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresProblem, type Account } from './postgres-binaries.service.js';

/**
 * What the data folder holds for the embedded server: its cluster, its log, the secret and port it
 * is reached with, and the claim of the process that is just starting it.
 */
export interface PostgresFolder {
  readonly dataDir: string;
  readonly cluster: string;
  readonly log: string;
  readonly accessFile: string;
  readonly claimFile: string;
}

/** Kept in a file of mode 0600. */
export interface Access {
  readonly user: string;
  readonly password: string;
  readonly port: number;
}

/** The lines of PostgreSQL's own postmaster.pid that matter here. */
export interface Postmaster {
  readonly pid: number;
  readonly startedAtSeconds: number;
  readonly port: number;
}

export function folderIn(dataDir: string): PostgresFolder {
  return {
    dataDir,
    cluster: join(dataDir, 'postgres'),
    log: join(dataDir, 'postgres.log'),
    accessFile: join(dataDir, 'postgres.json'),
    claimFile: join(dataDir, 'postgres.starting'),
  };
}

/** Makes the data folder; for a server under another account, one that this account may enter. */
export async function makeDataDir(dataDir: string, account: Account | undefined): Promise<void> {
  try {
    const made = await mkdir(dataDir, { recursive: true });
    if (made !== undefined) await chmod(dataDir, account ? 0o711 : 0o700);
  } catch (error) {
    throw new EmbeddedPostgresProblem(
      `DATA_DIR ${dataDir} cannot be made (${(error as Error).message}): choose another or change its permissions.`,
    );
  }
}

/** The secret and port of the server; both are chosen at first start. */
export async function readAccess(folder: PostgresFolder): Promise<Access> {
  const kept = await readText(folder.accessFile);
  if (kept !== undefined) {
    try {
      const { user, password, port } = JSON.parse(kept) as Access;
      if (user && password && Number.isInteger(port)) return { user, password, port };
    } catch {
      // Told below.
    }
    throw new EmbeddedPostgresProblem(
      `${folder.accessFile}, which holds the database's secret, is damaged: restore it from a backup.`,
    );
  }
  if (await hasCluster(folder)) {
    throw new EmbeddedPostgresProblem(
      `${folder.cluster} holds a database but ${folder.accessFile}, which holds its secret, is missing: restore it from a backup.`,
    );
  }
  const access = {
    user: 'neighborwatt',
    password: randomBytes(32).toString('base64url'),
    port: await freePort(),
  };
  await writeAccess(folder, access);
  return access;
}

export async function writeAccess(folder: PostgresFolder, access: Access): Promise<void> {
  await writePrivately(folder.accessFile, JSON.stringify(access, null, 2));
}

/** Replaces a file of mode 0600 in one step, so that it is never seen half written. */
export async function writePrivately(file: string, text: string): Promise<void> {
  const staging = `${file}.${process.pid}`;
  await writeFile(staging, `${text}\n`, { mode: 0o600 });
  await rename(staging, file);
}

export async function hasCluster(folder: PostgresFolder): Promise<boolean> {
  return (await readText(join(folder.cluster, 'PG_VERSION'))) !== undefined;
}

/** The server that PostgreSQL's own lock file names, if its process lives. */
export async function livingPostmaster(folder: PostgresFolder): Promise<Postmaster | undefined> {
  const file = join(folder.cluster, 'postmaster.pid');
  const text = await readText(file);
  if (text === undefined) return undefined;
  const [pid, , startedAtSeconds, port] = text.split('\n').map(Number);
  if (!pid || !(await isAlive(pid))) return undefined;
  const command = (await readText(`/proc/${pid}/comm`))?.trim();
  if (command !== undefined && command !== 'postgres') {
    throw new EmbeddedPostgresProblem(
      `${file} names process ${pid}, which is now ${command} and no PostgreSQL: if nothing else uses ${folder.cluster}, delete that file and start again.`,
    );
  }
  return { pid, startedAtSeconds: startedAtSeconds ?? 0, port: port ?? 0 };
}

/** Whether a process lives; one that ended and was not yet collected by its parent does not. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const status = await readText(`/proc/${pid}/stat`);
  return status === undefined || !/\) [ZX] /.test(status);
}

/**
 * Runs `work` while no other process does so for this folder. A claim left by a process that died
 * is taken over.
 */
export async function whileClaimed<T>(folder: PostgresFolder, work: () => Promise<T>): Promise<T> {
  const mine = `${process.pid} ${await processStart(process.pid)} ${randomBytes(6).toString('hex')}`;
  const deadline = Date.now() + CLAIM_PATIENCE_MILLIS;
  while (!(await claim(folder.claimFile, mine))) {
    const holder = await readText(folder.claimFile);
    if (holder === undefined) continue;
    const [pid, start] = holder.split(' ');
    if (!(await isAlive(Number(pid))) || (await processStart(Number(pid))) !== start) {
      await dropClaim(folder.claimFile, holder);
    } else if (Date.now() > deadline) {
      throw new EmbeddedPostgresProblem(
        `Process ${pid} has been starting the database in ${folder.dataDir} for over ${CLAIM_PATIENCE_MILLIS / 1000} s: stop it, or wait for it, and start again.`,
      );
    } else {
      await sleep(50);
    }
  }
  try {
    return await work();
  } finally {
    await dropClaim(folder.claimFile, mine);
  }
}

/** A link fails where the name exists, and shows its content from the first moment. */
async function claim(file: string, content: string): Promise<boolean> {
  const staging = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`;
  await writeFile(staging, content, { mode: 0o600 });
  try {
    await link(staging, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(staging, { force: true });
  }
}

/** Removes the claim only if it is still the one that was read. */
async function dropClaim(file: string, content: string): Promise<void> {
  const aside = `${file}.dropped.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  if ((await readText(aside)) !== content) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}

/** When a process started, so that a number used again is not taken for the process that had it. */
async function processStart(pid: number): Promise<string> {
  const status = await readText(`/proc/${pid}/stat`);
  return status?.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? '-';
}

/** A TCP port on the loopback that nobody listens on: the preferred one if it is free. */
export async function freePort(preferred = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (preferred === 0) reject(error);
      else freePort().then(resolve, reject);
    });
    server.listen({ port: preferred, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Moves a long log aside, keeping one older piece. */
export async function trimLog(file: string): Promise<void> {
  const size = await stat(file).then(
    (status) => status.size,
    () => 0,
  );
  if (size > LOG_LIMIT_BYTES) await rename(file, `${file}.1`);
}

export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH') return undefined;
    throw error;
  }
}

const CLAIM_PATIENCE_MILLIS = 60_000;
const LOG_LIMIT_BYTES = 10_000_000;
