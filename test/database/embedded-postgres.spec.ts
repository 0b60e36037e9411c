import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import pg from 'pg';
import {
  EmbeddedPostgres,
  startServer,
  stopServer,
} from '../../src/database/embedded-postgres.service.js';
import { openDatabase } from '../../src/database/open-database.service.js';
import { findPrograms } from '../../src/database/postgres-binaries.service.js';

let made: string;
let dataDir: string;
beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'neighborwatt-made-'));
  await (await EmbeddedPostgres.join(made)).leave();
});
afterAll(() => rm(made, { recursive: true, force: true }));
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-embedded-'));
});
afterEach(async () => {
  await stopServer(dataDir).catch(() => undefined);
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

it('makes a durable server with a secret of its own, on the loopback only', async () => {
  const database = await openDatabase({ databaseUrl: undefined, dataDir, databasePoolSize: 3 });
  const [settings] = await database.query(`
    SELECT current_setting('fsync') AS fsync, current_setting('data_checksums') AS checksums,
      current_setting('listen_addresses') AS addresses, current_setting('password_encryption') AS passwords,
      current_setting('synchronous_commit') AS commits`);
  expect(settings).toEqual({
    fsync: 'on',
    checksums: 'on',
    addresses: '127.0.0.1',
    passwords: 'scram-sha-256',
    commits: 'on',
  });
  expect((await stat(join(dataDir, 'postgres.json'))).mode & 0o777).toBe(0o600);
  const rules = await readFile(join(dataDir, 'postgres', 'pg_hba.conf'), 'utf8');
  const methods = rules.split('\n').filter((line) => /^(local|host)/.test(line));
  expect(methods.every((line) => line.endsWith('scram-sha-256'))).toBe(true);

  const url = new URL(database.url);
  url.password = 'password';
  await expect(new pg.Client({ connectionString: url.href }).connect()).rejects.toThrow('password');

  await database.close();
  expect(await serverPid()).toBeUndefined();
});

it('instances that start at once share one server; whoever leaves last stops it', async () => {
  const instances = await Promise.all(
    Array.from({ length: 3 }, () => EmbeddedPostgres.join(dataDir)),
  );
  expect(new Set(instances.map((one) => one.urlOf('owner'))).size).toBe(1);
  for (const instance of instances) {
    expect(await serverPid()).toBeDefined();
    expect(await answer(instances.at(-1)!.urlOf('service'), 'SELECT 1 AS one')).toEqual([
      { one: 1 },
    ]);
    await instance.leave();
  }
  expect(await serverPid()).toBeUndefined();
});

it('joins and leaves at the same moments never leave anyone without a server', async () => {
  useMade();
  await Promise.all(
    Array.from({ length: 4 }, async (_, person) => {
      for (let visit = 0; visit < 2; visit += 1) {
        await sleep(person * 7);
        const server = await EmbeddedPostgres.join(dataDir);
        expect(await answer(server.urlOf('owner'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
        await server.leave();
      }
    }),
  );
  expect(await serverPid()).toBeUndefined();
});

it('a server that a killed service left running is used on, with all that was committed', async () => {
  useMade();
  const left = await startServer(dataDir);
  await answer(left.urls.owner, 'CREATE TABLE kept (id integer); INSERT INTO kept VALUES (1)');
  const found = await EmbeddedPostgres.join(dataDir);
  expect(await serverPid()).toBe(left.pid);
  expect(await answer(found.urlOf('owner'), 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  await found.leave();
  expect(await serverPid()).toBeUndefined();
});

it('a server that was killed too is started again, on the same port', async () => {
  useMade();
  const first = await startServer(dataDir);
  await answer(first.urls.owner, 'CREATE TABLE kept (id integer); INSERT INTO kept VALUES (1)');
  process.kill(first.pid, 'SIGKILL');
  const second = await startServer(dataDir);
  expect(second.started).toBe(true);
  expect(second.urls.owner).toBe(first.urls.owner);
  expect(await answer(second.urls.owner, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
});

it('a server that somebody had only begun to start, and was killed over, is no obstacle', async () => {
  useMade();
  const { postgres, account } = await findPrograms(dataDir);
  const cluster = join(dataDir, 'postgres');
  // Of a folder that root alone may enter, its account knows the working directory.
  const begin = () =>
    spawn(
      postgres,
      [account ? '-D/proc/self/cwd' : `-D${cluster}`, '-clisten_addresses=', '-cfsync=off'],
      { ...account, cwd: cluster, env: {}, stdio: 'ignore' },
    );
  // One of these is quicker to the lock file than the server which is being started.
  for (const delayMillis of [5, 10, 15, 20, 25]) {
    const joining = EmbeddedPostgres.join(dataDir);
    await sleep(delayMillis);
    const begun = begin();
    const ended = once(begun, 'exit');
    await sleep(150);
    begun.kill('SIGQUIT');
    await ended;
    const joined = await joining;
    expect(await answer(joined.urlOf('owner'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await joined.leave();
  }
});

it('a server that dies while in use is started again', async () => {
  useMade();
  const server = await EmbeddedPostgres.join(dataDir);
  const pid = await serverPid();
  process.kill(pid!, 'SIGKILL');
  for (let waited = 0; (await serverPid()) === pid && waited < 300; waited += 1) await sleep(50);
  for (let waited = 0; waited < 300; waited += 1) {
    if (await answer(server.urlOf('owner'), 'SELECT 1').catch(() => undefined)) break;
    await sleep(50);
  }
  expect(await answer(server.urlOf('owner'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await server.leave();
});

it('another program on the kept port: another port is taken and kept', async () => {
  useMade();
  const first = await startServer(dataDir);
  await stopServer(dataDir);
  const port = Number(new URL(first.urls.owner).port);
  const other = createServer().listen(port, '127.0.0.1');
  await once(other, 'listening');
  const second = await startServer(dataDir);
  expect(Number(new URL(second.urls.owner).port)).not.toBe(port);
  expect(JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8'))).toMatchObject({
    port: Number(new URL(second.urls.owner).port),
  });
  other.close();
});

it('what a first start left behind when it was killed is cleared', async () => {
  await mkdir(join(dataDir, 'postgres.new', 'cluster'), { recursive: true });
  await writeFile(join(dataDir, 'postgres.new', 'cluster', 'half'), '');
  const dead = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(dead, 'close');
  await writeFile(join(dataDir, 'postgres.starting'), `${dead.pid} 1 abc`);
  expect((await startServer(dataDir)).started).toBe(true);
});

it('a folder that only its owner may enter does not stop root', async () => {
  await chmod(dataDir, 0o700);
  await mkdir(join(dataDir, 'inner'));
  const server = await EmbeddedPostgres.join(join(dataDir, 'inner'));
  await server.leave();
  const again = await EmbeddedPostgres.join(join(dataDir, 'inner'));
  expect(await answer(again.urlOf('owner'), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await again.leave();
});

it.each([
  {
    situation: 'the secret is gone',
    async spoil() {
      await stopServer(dataDir);
      await rm(join(dataDir, 'postgres.json'));
    },
    says: /postgres\.json, which holds its secret, is missing: restore it/,
  },
  {
    situation: 'the secret is not the running server’s',
    async spoil() {
      const file = join(dataDir, 'postgres.json');
      const access = JSON.parse(await readFile(file, 'utf8')) as object;
      await writeFile(file, JSON.stringify({ ...access, password: 'other' }));
    },
    says: /process \d+, port \d+\) holds .* does not answer \(password .*\): stop it with "kill -INT \d+"/,
  },
  {
    situation: 'the lock file names a process that is something else',
    async spoil() {
      await stopServer(dataDir);
      await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${process.pid}\n\n1\n1\n`);
    },
    says: /names process \d+, which is now .* delete that file and start again/,
  },
  {
    situation: 'the files belong to another version',
    async spoil() {
      await stopServer(dataDir);
      await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '9.6\n');
    },
    says: /did not start: .*incompatible/,
  },
])('says in one line what is in the way: $situation', async ({ spoil, says }) => {
  useMade();
  await startServer(dataDir);
  await spoil();
  const problem = await startServer(dataDir).catch((error: Error) => error.message);
  expect(problem).toMatch(says);
  expect(problem).not.toContain('\n');
});

/** A database that was made before and stopped: quicker than making one. */
function useMade(): void {
  execFileSync('cp', ['-a', `${made}/.`, dataDir]);
}

async function serverPid(): Promise<number | undefined> {
  const text = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => '');
  return text === '' ? undefined : Number(text.split('\n')[0]);
}

async function answer(url: string, query: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(query)).rows as unknown[];
  } finally {
    await client.end();
  }
}
