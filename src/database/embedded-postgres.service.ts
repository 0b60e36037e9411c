import { spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  EmbeddedPostgresProblem,
  findPrograms,
  mayEnter,
  type PostgresPrograms,
} from './postgres-binaries.service.js';
import {
  folderIn,
  freePort,
  hasCluster,
  isAlive,
  livingPostmaster,
  makeDataDir,
  readAccess,
  readText,
  trimLog,
  whileClaimed,
  writeAccess,
  type Access,
  type PostgresFolder,
  type Postmaster,
} from './postgres-folder.service.js';
import { ensureLogins, type Logins } from './postgres-logins.service.js';
import type { Role } from './rights.js';

export { EmbeddedPostgresProblem } from './postgres-binaries.service.js';

/**
 * The PostgreSQL server that lives in a data folder. It is a process of its own that survives a
 * killed service: whoever comes next uses it on. Everyone who uses it holds a shared lock in it,
 * and whoever leaves last stops it, whoever started it.
 */
export class EmbeddedPostgres {
  private leaving = false;

  private constructor(
    private readonly folder: PostgresFolder,
    private server: RunningServer,
    private keeper: pg.Client,
  ) {
    this.watch();
  }

  /** Starts the folder's server, or uses the one that runs. @throws EmbeddedPostgresProblem */
  static async join(dataDir: string): Promise<EmbeddedPostgres> {
    const { server, keeper } = await joinServer(dataDir);
    return new EmbeddedPostgres(folderIn(dataDir), server, keeper);
  }

  /** `postgres://...` of the database, with the log-in of the role. */
  urlOf(role: Role): string {
    return this.server.urls[role];
  }

  /** Stops the server unless somebody else uses it. Idempotent. */
  async leave(): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    // The lock is held until the server is down: whoever comes meanwhile waits, and starts it again.
    if (await lockAlone(this.keeper).catch(() => false)) await stopServer(this.folder.dataDir);
    await this.keeper.end().catch(() => undefined);
  }

  /** A server that ends while it is in use is started again, on the same port if that is free. */
  private watch(): void {
    let lost = false;
    const onLoss = (): void => {
      if (lost || this.leaving) return;
      lost = true;
      void this.rejoin();
    };
    this.keeper.on('error', onLoss);
    this.keeper.on('end', onLoss);
  }

  private async rejoin(): Promise<void> {
    while (!this.leaving) {
      try {
        // Never an empty database in place of one that has vanished.
        const { server, keeper } = await joinServer(this.folder.dataDir, { create: false });
        this.server = server;
        this.keeper = keeper;
        if (this.leaving) await keeper.end();
        else this.watch();
        return;
      } catch {
        await sleep(1_000, undefined, { ref: false });
      }
    }
  }
}

export interface RunningServer {
  /** Of the database, with the log-in of each role. */
  readonly urls: Readonly<Record<Role, string>>;
  readonly pid: number;
  /** Whether this call started it, as opposed to finding it running. */
  readonly started: boolean;
}

export interface ServerOptions {
  /** False only where the data may be lost with the machine, as in tests. */
  readonly durable?: boolean;
  /** False where there must be a database already. */
  readonly create?: boolean;
}

/**
 * Makes sure that the server of `dataDir` runs and answers, and has the service's database.
 * @throws EmbeddedPostgresProblem saying in one line what is in the way and what to do
 */
export async function startServer(
  dataDir: string,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const folder = folderIn(dataDir);
  if (options.create === false && !(await hasCluster(folder))) {
    throw new EmbeddedPostgresProblem(`The database in ${folder.cluster} has vanished.`);
  }
  const programs = await findPrograms(dataDir);
  await makeDataDir(dataDir, programs.account);
  return whileClaimed(folder, async () => {
    const access = await readAccess(folder);
    const found = await adopt(folder, access);
    if (found) return { ...found, started: false };
    await initialise(folder, access, programs);
    return { ...(await launch(folder, access, programs, options)), started: true };
  });
}

/** Stops the folder's server, if one runs: open transactions are rolled back, nothing is lost. */
export async function stopServer(dataDir: string): Promise<void> {
  const postmaster = await livingPostmaster(folderIn(dataDir));
  if (!postmaster) return;
  // PostgreSQL's "fast shutdown".
  process.kill(postmaster.pid, 'SIGINT');
  const deadline = Date.now() + STOP_PATIENCE_MILLIS;
  while (await isAlive(postmaster.pid)) {
    if (Date.now() > deadline) {
      throw new EmbeddedPostgresProblem(
        `PostgreSQL (process ${postmaster.pid}) in ${dataDir} is not stopping: see ${folderIn(dataDir).log}.`,
      );
    }
    await sleep(10);
  }
}

/** A server that has only begun, or children of one that is gone, still hold the cluster. */
class ClusterInUse extends EmbeddedPostgresProblem {}

async function joinServer(
  dataDir: string,
  options: ServerOptions = {},
): Promise<{ server: RunningServer; keeper: pg.Client }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const server = await startServer(dataDir, options);
      return { server, keeper: await keep(server.urls.owner) };
    } catch (error) {
      // The last one out may be stopping the server at this moment, or begun by somebody killed.
      const mayPass = error instanceof ClusterInUse || !(error instanceof EmbeddedPostgresProblem);
      if (!mayPass || attempt === JOIN_ATTEMPTS) throw error;
      await sleep(100);
    }
  }
}

/** A connection whose lock tells the others that the server is in use. */
async function keep(url: string): Promise<pg.Client> {
  const keeper = new pg.Client({ connectionString: url, keepAlive: true });
  keeper.on('error', () => undefined);
  try {
    await keeper.connect();
    await keeper.query(LOCK_SHARED);
    return keeper;
  } catch (error) {
    await keeper.end().catch(() => undefined);
    throw error;
  }
}

async function lockAlone(keeper: pg.Client): Promise<boolean> {
  await keeper.query(UNLOCK_SHARED);
  const { rows } = await keeper.query<{ alone: boolean }>(TRY_LOCK_ALONE);
  return rows[0]?.alone === true;
}

async function adopt(
  folder: PostgresFolder,
  access: Access,
): Promise<Omit<RunningServer, 'started'> | undefined> {
  const postmaster = await livingPostmaster(folder);
  if (!postmaster) return undefined;
  const answered = await awaitAnswer(access, postmaster, () => isAlive(postmaster.pid));
  if (answered === 'gone') return undefined;
  if (answered === 'ready') {
    const urls = await databaseUrls(folder, { ...access, port: postmaster.port });
    return { urls, pid: postmaster.pid };
  }
  throw new EmbeddedPostgresProblem(
    `PostgreSQL (process ${postmaster.pid}, port ${postmaster.port}) holds ${folder.cluster} but does not answer (${answered}): stop it with "kill -INT ${postmaster.pid}" and start again.`,
  );
}

/** Creates the cluster beside its place and moves it there when complete. */
async function initialise(
  folder: PostgresFolder,
  access: Access,
  { initdb, account }: PostgresPrograms,
): Promise<void> {
  if (await hasCluster(folder)) return;
  const staging = `${folder.cluster}.new`;
  const secret = join(staging, 'secret');
  const cluster = join(staging, 'cluster');
  await rm(staging, { recursive: true, force: true });
  await mkdir(cluster, { recursive: true, mode: 0o700 });
  await writeFile(secret, access.password, { mode: 0o600 });
  if (account) {
    for (const path of [staging, cluster, secret]) await chown(path, account.uid, account.gid);
  }
  const place = await placeFor(cluster, account);
  const child = spawn(
    initdb,
    [`--pgdata=${place}`, `--pwfile=${place}/../secret`, ...INITDB_OPTIONS],
    { ...account, cwd: cluster, env: SERVER_ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const { code, errors } = await finished(child);
  await rm(secret, { force: true });
  if (code !== 0) {
    throw new EmbeddedPostgresProblem(
      `The database could not be created in ${folder.dataDir}: ${lastLine(errors)}`,
    );
  }
  await rename(cluster, folder.cluster).catch((error: NodeJS.ErrnoException) => {
    throw new EmbeddedPostgresProblem(
      `${folder.cluster} is in the way (${error.code}) and holds no database: move it elsewhere and start again.`,
    );
  });
  await rm(staging, { recursive: true, force: true });
}

async function launch(
  folder: PostgresFolder,
  access: Access,
  { postgres, account }: PostgresPrograms,
  { durable = true }: ServerOptions,
): Promise<Omit<RunningServer, 'started'>> {
  const owner = (await stat(folder.cluster)).uid;
  const uid = account?.uid ?? process.getuid?.();
  if (uid !== undefined && owner !== uid) {
    throw new EmbeddedPostgresProblem(
      `${folder.cluster} belongs to the user with number ${owner}, but the database would run as number ${uid}: start as the user who made it, or run "chown -R ${uid} ${folder.cluster}".`,
    );
  }
  const place = await placeFor(folder.cluster, account);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(access.port);
    if (port !== access.port) await writeAccess(folder, { ...access, port });
    await trimLog(folder.log);
    const log = await open(folder.log, 'a', 0o600);
    const from = (await log.stat()).size;
    const child = spawn(
      postgres,
      ['-D', place, '-p', String(port), ...SERVER_OPTIONS, ...(durable ? DURABLE : VOLATILE)],
      {
        ...account,
        cwd: folder.cluster,
        env: SERVER_ENVIRONMENT,
        // A session of its own: a Ctrl-C at the terminal is for the service, which stops it after.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      },
    );
    let running = true;
    const end = finished(child).then(({ errors }) => {
      running = false;
      return errors;
    });
    child.unref();
    await log.close();
    const expected = { pid: child.pid ?? 0, port };
    const answered = await awaitAnswer(access, expected, () => Promise.resolve(running));
    if (answered === 'ready') {
      return { urls: await databaseUrls(folder, { ...access, port }), pid: expected.pid };
    }
    if (running) process.kill(expected.pid, 'SIGINT');
    const cause =
      answered === 'gone'
        ? (await end) || ((await readText(folder.log)) ?? '').slice(from)
        : answered;
    if (/could not bind/i.test(cause) && attempt < LAUNCH_ATTEMPTS) continue;
    const Problem = IN_USE.test(cause) ? ClusterInUse : EmbeddedPostgresProblem;
    throw new Problem(
      `The database in ${folder.dataDir} did not start: ${lastLine(cause)} (more in ${folder.log})`,
    );
  }
}

/**
 * The path by which the server's account names its folder. Where root keeps the folder below one
 * that only root may enter, the server is started inside it and knows it as its working directory.
 */
async function placeFor(path: string, account: PostgresPrograms['account']): Promise<string> {
  if (!account || (await mayEnter(account, path))) return path;
  if (process.platform === 'linux') return '/proc/self/cwd';
  throw new EmbeddedPostgresProblem(
    `The user under which PostgreSQL runs for root may not enter ${path}: set DATA_DIR to a folder that everybody may enter, or start as another user.`,
  );
}

/** `gone`: the process ended. `ready`: it answers, as the process that was meant. Else why not. */
async function awaitAnswer(
  access: Access,
  expected: Pick<Postmaster, 'pid' | 'port'> & Partial<Postmaster>,
  alive: () => Promise<boolean>,
): Promise<'ready' | 'gone' | (string & {})> {
  const deadline = Date.now() + START_PATIENCE_MILLIS;
  let reason = 'no answer';
  for (let pause = 10; Date.now() < deadline; pause = Math.min(pause * 1.5, 250)) {
    if (!(await alive())) return 'gone';
    try {
      const client = maintenanceClient({ ...access, port: expected.port });
      await client.connect();
      try {
        const { rows } = await client.query<{ pid: number }>(SERVER_PROCESS);
        if (rows[0]?.pid === expected.pid) return 'ready';
        reason = 'another server answers there';
      } finally {
        await client.end();
      }
    } catch (error) {
      const { code, message } = error as pg.DatabaseError;
      reason = message;
      // The password is wrong: waiting does not help.
      if (code === '28P01' || code === '28000') return reason;
    }
    await sleep(pause);
  }
  return reason;
}

async function databaseUrls(
  folder: PostgresFolder,
  access: Access,
): Promise<RunningServer['urls']> {
  const client = maintenanceClient(access);
  await client.connect();
  let logins: Logins;
  try {
    const { rowCount } = await client.query(FIND_DATABASE, [DATABASE]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    logins = await ensureLogins(folder, client);
  } finally {
    await client.end();
  }
  const url = ({ user, password }: Logins['service']) =>
    `postgres://${user}:${password}@127.0.0.1:${access.port}/${DATABASE}`;
  return { owner: url(access), service: url(logins.service), eraser: url(logins.eraser) };
}

function maintenanceClient({ user, password, port }: Access): pg.Client {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => undefined);
  return client;
}

async function finished(child: ChildProcess): Promise<{ code: number | null; errors: string }> {
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-10_000);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, errors: error.message }));
    child.once('close', (code) => resolve({ code, errors }));
  });
}

/** The last line that says what went wrong. */
function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.filter((line) => /\b(FATAL|PANIC|error):/i.test(line));
  return (telling.at(-1) ?? lines.at(-1) ?? 'it gave no reason').trim();
}

const DATABASE = 'neighborwatt';

// The builtin locale sorts alike on every machine.
const INITDB_OPTIONS = [
  '--username=neighborwatt',
  '--auth=scram-sha-256',
  '--encoding=UTF8',
  '--locale-provider=builtin',
  '--builtin-locale=C.UTF-8',
  '--locale=C',
  '--data-checksums',
];

const SERVER_OPTIONS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'password_encryption=scram-sha-256',
  'timezone=UTC',
  'log_timezone=UTC',
  'max_connections=200',
  'max_wal_size=2GB',
  'log_checkpoints=off',
].flatMap((option) => ['-c', option]);

const DURABLE = ['-c', 'fsync=on', '-c', 'synchronous_commit=on', '-c', 'full_page_writes=on'];
const VOLATILE = ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];

// PostgreSQL reads settings from PG* variables, which are not meant for this server.
const SERVER_ENVIRONMENT = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG'))),
  LC_ALL: 'C',
  TZ: 'UTC',
};

const START_PATIENCE_MILLIS = 120_000;
const STOP_PATIENCE_MILLIS = 60_000;
const JOIN_ATTEMPTS = 50;
const LAUNCH_ATTEMPTS = 3;
const IN_USE = /lock file "[^"]*" (already exists|is empty)|pre-existing shared memory block/;

// "NWKEEPER" in ASCII: held shared by everyone who uses the server.
const KEEPER_LOCK = `x'4e574b4545504552'::bigint`;
const LOCK_SHARED = `SELECT pg_advisory_lock_shared(${KEEPER_LOCK})`;
const UNLOCK_SHARED = `SELECT pg_advisory_unlock_shared(${KEEPER_LOCK})`;
const TRY_LOCK_ALONE = `SELECT pg_try_advisory_lock(${KEEPER_LOCK}) AS alone`;

// The first line of its postmaster.pid: what answers is the server that was meant.
const SERVER_PROCESS = `SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::integer AS pid`;

const FIND_DATABASE = `SELECT 1 FROM pg_database WHERE datname = $1`;
