import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { openCheckpoint, signCheckpoint } from '../src/transparency/checkpoint.js';
import { consistencyProof } from '../src/transparency/merkle-proof.js';
import { EMPTY_ROOT, leafHash, merkleRoot } from '../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  ed25519Signer,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
  verifierKeyOf,
  type SignerKey,
} from '../src/transparency/signed-note.js';
import { formatAddCheckpoint, readCosignature } from '../src/transparency/witness-protocol.js';
import { witnessServer } from '../src/witness-server.js';
import { WitnessStore } from '../src/witness-store.js';
import { buildProgram, startProgram, type Program } from './flow/program.js';
import { naiveRoot } from './transparency/naive-tree.js';

/** A witness as a log, a monitor and an attacker meet it, over HTTP; and as a process that is killed. */

const log: SignerKey = keyOf('street.example/log');
const ENTRIES = Array.from({ length: 40 }, (_, i) => Buffer.from(`entry ${i}`));
const FORK = ENTRIES.map((entry, i) => (i === 3 ? Buffer.from('forged') : entry));
const HASH = createHash('sha256').update(log.name).digest('hex');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neighborwatt-witness-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('over HTTP', () => {
  let store: WitnessStore;
  let server: Server;
  let url: string;
  let key: SignerKey;
  const faults: unknown[] = [];

  beforeEach(async () => {
    store = WitnessStore.open(join(folder, 'store'));
    key = store.readOrMakeKey(join(folder, 'store', 'witness.key'), 'wit.example/w1');
    server = witnessServer({
      store,
      key,
      keysOf: (origin) => (origin === log.name ? [verifierKeyOf(log)] : []),
      prefix: '/w1',
      onFault: (fault) => faults.push(fault),
    });
    url = await listening(server, '/w1');
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
    store.close();
    expect(faults.splice(0)).toEqual([]);
  });

  test('a log begins, grows, asks again, and is cosigned each time', async () => {
    for (const [from, to] of [
      [0, 5],
      [5, 8],
      [8, 8],
      [8, 40],
    ] as const) {
      const { status, body, type } = await post(url, await request(from, to));
      expect([status, type]).toEqual([200, 'text/plain; charset=utf-8']);
      const note = parseNote(noteOf(to));
      expect(readCosignature(body, note, verifierKeyOf(key))).not.toBeNull();
    }
    const { status, body } = await get(`${url}/${HASH}/checkpoint`);
    expect(status).toBe(200);
    expect(
      openCheckpoint(body, {
        origin: log.name,
        log: verifierKeyOf(log),
        witnesses: [verifierKeyOf(key)],
      }),
    ).toMatchObject({
      outcome: 'verified',
      checkpoint: { size: 40 },
      cosigned: [{ name: key.name }],
    });
  });

  test('what does not follow is told the size it must follow, and changes nothing', async () => {
    await post(url, await request(0, 8));
    expect(await post(url, await request(0, 20))).toEqual({
      status: 409,
      type: 'text/x.tlog.size',
      body: '8\n',
    });
    expect(await post(url, await request(5, 20))).toMatchObject({ status: 409, body: '8\n' });
    expect(await post(url, await request(8, 20, FORK))).toMatchObject({ status: 422 });
    expect(await post(url, await request(8, 8, FORK))).toMatchObject({ status: 422 });
    expect(await post(url, await request(8, 20))).toMatchObject({ status: 200 });
  });

  test('of many that come at once for the same step one is kept', async () => {
    await post(url, await request(0, 5));
    const sizes = [6, 7, 8, 9, 10, 11, 12, 13];
    const bodies = await Promise.all(sizes.map((size) => request(5, size)));
    const answers = await Promise.all(bodies.map((body) => post(url, body)));
    const taken = answers.flatMap(({ status }, at) => (status === 200 ? [sizes[at]!] : []));
    expect(taken).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(7);
    expect(store.latest(log.name)!.size).toBe(taken[0]);
  });

  test('anything else is refused with the status of the protocol', async () => {
    const other = keyOf('other.example');
    const table: [number, string, Promise<string> | string][] = [
      [404, 'an unknown log', request(0, 5, ENTRIES, other)],
      [403, 'a stranger in its name', request(0, 5, ENTRIES, { ...other, name: log.name })],
      [400, 'nothing', ''],
      [400, 'a page', '<html></html>'],
      [400, 'NULs', '\u0000'.repeat(1000)],
      [400, 'more than any request', 'old 0\n'.repeat(100_000)],
      [400, 'an old size beyond the new', request(9, 5)],
    ];
    for (const [status, what, body] of table) {
      expect([what, (await post(url, await body)).status]).toEqual([what, status]);
    }
    for (const path of [
      '',
      '/',
      '/add-checkpoint/',
      '/../add-checkpoint',
      `/${HASH}`,
      '/x/checkpoint',
    ]) {
      expect((await get(url + path)).status).toBe(404);
    }
    expect((await get(`${url}/${HASH}/checkpoint`)).status).toBe(404);
    expect((await get(`${url}/add-checkpoint`)).status).toBe(404);
  });

  test('a body that never ends is cut off', async () => {
    const sending = httpRequest(`${url}/add-checkpoint`, { method: 'POST' });
    sending.on('error', () => undefined);
    const answered = once(sending, 'response') as Promise<[{ statusCode: number }]>;
    const piece = Buffer.alloc(50_000, 'a');
    for (let sent = 0; sent < 20; sent += 1) sending.write(piece);
    expect((await answered)[0].statusCode).toBe(400);
    sending.destroy();
  });
});

describe('the store', () => {
  test('is one process’s at a time, and is taken over from one that was killed', () => {
    const store = WitnessStore.open(folder);
    expect(() => WitnessStore.open(folder)).toThrow(/is in use by process \d+: stop it first/);
    store.close();
    WitnessStore.open(folder).close();
    // The id of a process that is running, but that began at another time.
    writeFileSync(join(folder, 'lock'), `${process.ppid} 1\n`);
    WitnessStore.open(folder).close();
    writeFileSync(join(folder, 'lock'), '');
    WitnessStore.open(folder).close();
  });

  test('lets no two follow one size, even past the lock, and keeps little', async () => {
    const one = WitnessStore.open(folder);
    await rm(join(folder, 'lock'));
    const two = WitnessStore.open(folder);
    expect(one.advance(log.name, 0, noteOf(5))).toBe(true);
    expect(two.advance(log.name, 0, noteOf(6))).toBe(false);
    expect(two.latest(log.name)!.size).toBe(5);
    for (let size = 6; size <= 20; size += 1) {
      expect((size % 2 ? one : two).advance(log.name, size - 1, noteOf(size))).toBe(true);
    }
    // One that slept meanwhile: its step was tidied away, and is not to be had again.
    expect(one.advance(log.name, 5, noteOf(30))).toBe(false);
    expect(one.latest(log.name)!.size).toBe(20);
    expect(readdirSync(join(folder, HASH)).length).toBeLessThanOrEqual(3);
  });

  test('goes on from what was complete, whatever a killed process had begun', async () => {
    const store = WitnessStore.open(folder);
    store.advance(log.name, 0, noteOf(5));
    writeFileSync(join(folder, 'unfinished-0123456789abcdef'), noteOf(8).slice(0, 40));
    store.close();
    const again = WitnessStore.open(folder);
    expect(again.latest(log.name)!.size).toBe(5);
    expect(readdirSync(folder).filter((name) => name.startsWith('unfinished'))).toEqual([]);
    again.close();
    // What was damaged behind its back is not taken for nothing.
    await writeFile(join(folder, HASH, 'from-0000000000000000'), 'x');
    expect(() => WitnessStore.open(folder)).toThrow();
  });
});

describe('npm run witness', () => {
  beforeAll(buildProgram, 120_000);

  test('keeps its key and its word when it is killed, again and again', async () => {
    const logs = join(folder, 'logs');
    await writeFile(logs, 'quorum none\n');
    const store = join(folder, 'store');
    const args = [
      '--store',
      store,
      '--port',
      '0',
      '--logs',
      logs,
      '--name',
      'wit.example',
      '--json',
    ];
    const keys = new Set<string>();
    let told = 0;
    let running: { program: Program; url: string; verifierKey: string } | undefined;
    try {
      for (let round = 0; round < 3; round += 1) {
        running = await startWitness(args);
        keys.add(running.verifierKey);
        if (round === 0) {
          expect((await post(running.url, await request(0, 4))).status).toBe(404);
          // The list of logs is taken up without a restart.
          await writeFile(logs, `log ${formatVerifierKey(verifierKeyOf(log))}\nquorum none\n`);
          const second = startProgram(['scripts/run.mjs', 'witness', ...args], {});
          expect(await second.ended).toMatchObject({
            code: 2,
            stderr: expect.stringContaining('is in use by process'),
          });
        }
        // A step that was told is not to be taken again in another way.
        if (told > 0) {
          expect(await post(running.url, await request(told - 1, told, FORK))).toMatchObject({
            status: 409,
            body: `${told}\n`,
          });
        }
        for (let step = 0; step < 4; step += 1) {
          const to = told + 3;
          expect((await post(running.url, await request(told, to))).status).toBe(200);
          told = to;
        }
        const underWay = post(running.url, await request(told, told + 1)).catch(() => null);
        await running.program.kill();
        const last = await underWay;
        if (last?.status === 200) told += 1;
        const [file] = readdirSync(join(store, HASH)).sort().slice(-1);
        const kept = Number(readFileSync(join(store, HASH, file!), 'utf8').split('\n')[1]);
        // Never less than what was told; what was kept and not told is asked for again.
        expect([told, told + 1]).toContain(kept);
        told = kept;
      }
    } finally {
      await running?.program.kill();
    }
    expect(keys.size).toBe(1);
    expect(parseVerifierKey([...keys][0]!)).toMatchObject({ name: 'wit.example', algorithm: 4 });
  }, 60_000);

  test('says what is missing', async () => {
    for (const [args, message] of [
      [[], '--store DIR is missing'],
      [['--store', folder], 'no log to cosign'],
      [['--store', folder, '--log', 'x'], 'a key'],
      [
        ['--store', folder, '--log', formatVerifierKey(verifierKeyOf(log)), '--port', 'x'],
        '--port',
      ],
    ] as const) {
      const { code, stderr } = await startProgram(['scripts/run.mjs', 'witness', ...args], {})
        .ended;
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  }, 60_000);
});

async function startWitness(args: readonly string[]) {
  const program = startProgram(['scripts/run.mjs', 'witness', ...args], {});
  const died = program.ended.then(({ stderr }) => Promise.reject(new Error(stderr)));
  died.catch(() => undefined);
  const [line] = (await Promise.race([once(program.child.stdout!, 'data'), died])) as [string];
  return { program, ...(JSON.parse(line) as { verifierKey: string; url: string }) };
}

async function post(url: string, body: string) {
  const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body });
  const type = response.headers.get('content-type');
  return { status: response.status, type, body: await response.text() };
}

async function get(url: string) {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
}

async function listening(server: ReturnType<typeof createServer>, prefix: string): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address!.port : ''}${prefix}`;
}

function noteOf(size: number, entries = ENTRIES, signer = log): string {
  const root = size === 0 ? EMPTY_ROOT : merkleRoot(entries.slice(0, size));
  return signCheckpoint({ origin: signer.name, size, root, extensions: [] }, [
    ed25519Signer(signer),
  ]);
}

async function request(from: number, to: number, entries = ENTRIES, signer = log): Promise<string> {
  const leaves = entries.map(leafHash);
  const proof =
    from === 0 || from > to
      ? []
      : await consistencyProof(from, to, async (nodes) =>
          nodes.map(({ level, index }) =>
            naiveRoot(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)),
          ),
        );
  return formatAddCheckpoint({ oldSize: from, proof, checkpoint: noteOf(to, entries, signer) });
}

function keyOf(name: string): SignerKey {
  return {
    name,
    algorithm: ALGORITHM.ed25519,
    seed: createHash('sha256').update(name).digest(),
  };
}
