import { createHash } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { signCheckpoint } from '../../src/transparency/checkpoint.js';
import { leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  ed25519Signer,
  formatVerifierKey,
  verifierKeyOf,
} from '../../src/transparency/signed-note.js';
import {
  encodeEntryBundle,
  extendTiles,
  formatTilePath,
  TILE_WIDTH,
} from '../../src/transparency/tile.js';
import { Findings, type Finding } from '../../src/verify/finding.js';
import { HttpLog } from '../../src/verify/http-log.service.js';
import { trustInKey } from '../../src/verify/log-trust.js';
import { checkPublicLog } from '../../src/verify/public-log.js';

/** A log behind a server that is honest, and behind one that lies in every way it can. */

const ORIGIN = 'grid.example/elm';
const SIZE = 70_000;
const SMALL = 600;
const KEY = { name: ORIGIN, algorithm: ALGORITHM.ed25519, seed: Buffer.alloc(32, 1) };
const OTHER_KEY = { ...KEY, seed: Buffer.alloc(32, 2) };
const TRUST = trustInKey(formatVerifierKey(verifierKeyOf(KEY)));

const entries = entriesOf(SIZE);
const honest = filesOf(entries.slice(0, SMALL));

type Answer = Uint8Array | ((response: ServerResponse) => void);

let server: Server;
let url: string;
let files: ReadonlyMap<string, Answer>;

beforeAll(async () => {
  server = createServer(({ url: asked }, response) => {
    const answer = files.get(decodeURIComponent(asked ?? '').slice('/log/elm/'.length));
    if (typeof answer === 'function') answer(response);
    else if (answer) response.end(answer);
    else response.writeHead(404).end('no such file');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' ? address!.port : 0}/log/elm/`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

describe('an honest log', () => {
  it.each([1, 255, 256, 257, 512, SMALL])('of %i entries fits', async (size) => {
    const { findings, taken, size: seen } = await look(filesOf(entries.slice(0, size)));
    expect({ findings, taken, seen }).toEqual({ findings: [], taken: size, seen: size });
  });

  it('of three levels fits', async () => {
    const { findings, taken } = await look(filesOf(entries));
    expect({ findings, taken }).toEqual({ findings: [], taken: SIZE });
  });

  it.each([1, 255, 256, 300, SMALL])('contains the checkpoint kept at size %i', async (size) => {
    expect(await lies({}, checkpointOf(entries.slice(0, size)))).toEqual([]);
  });

  it('may have gone on while it is read, and keep only full tiles', async () => {
    const grown = new Map([
      ...filesOf(entries.slice(0, 1_024)),
      ['checkpoint', honest.get('checkpoint')!],
      ['tile/1/000.p/2', honest.get('tile/1/000.p/2')!],
    ]);
    expect((await look(grown)).findings).toEqual([]);
  });
});

describe('a log that lies is named with the file it lies in:', () => {
  const partial = `.p/${SMALL % TILE_WIDTH}`;
  const fork = entries.slice(0, SMALL).map((entry, at) => (at === 100 ? entries[SMALL]! : entry));

  const cases: [string, Record<string, Answer | null>, Partial<Finding>][] = [
    [
      'a checkpoint older than the one that was kept',
      Object.fromEntries(filesOf(entries.slice(0, 300))),
      { table: 'checkpoint', field: 'size', found: '300' },
    ],
    [
      'another story under the same key',
      Object.fromEntries(filesOf(fork)),
      { table: 'checkpoint', field: 'root at size 500, which kept shows signed' },
    ],
    ['another root', { checkpoint: checkpointOf(fork) }, { table: 'checkpoint', field: 'root' }],
    [
      'a checkpoint signed with another key',
      { checkpoint: checkpointOf(entries.slice(0, SMALL), OTHER_KEY) },
      { table: 'checkpoint', found: 'not signed by log' },
    ],
    [
      'the checkpoint of another log',
      { checkpoint: checkpointOf(entries.slice(0, SMALL), { ...KEY, name: 'grid.example/oak' }) },
      { table: 'checkpoint', found: 'other origin' },
    ],
    ['no checkpoint', { checkpoint: null }, { table: 'checkpoint', found: 'none' }],
    ['a page', { checkpoint: Buffer.from('<html>\n') }, { table: 'checkpoint', field: 'note' }],
    ['no text', { checkpoint: Buffer.from([0xff, 0xfe, 10]) }, { table: 'checkpoint' }],
    ['a missing tile', { 'tile/0/001': null }, { table: 'tile/0/001', found: 'none' }],
    ['missing entries', { 'tile/entries/001': null }, { table: 'tile/entries/001' }],
    [
      'entries cut short',
      { 'tile/entries/001': cut('tile/entries/001', 35) },
      { table: 'tile/entries/001', field: 'entries', found: '255' },
    ],
    [
      'entries cut within one',
      { 'tile/entries/001': cut('tile/entries/001', 7) },
      { table: 'tile/entries/001', found: 'an entry bundle that is cut short' },
    ],
    [
      'a tile cut short',
      { [`tile/0/002${partial}`]: cut(`tile/0/002${partial}`, 32) },
      { table: `tile/0/002${partial}`, field: 'bytes' },
    ],
    [
      'a changed entry',
      { 'tile/entries/000': flipped('tile/entries/000', 35 * 100 + 20) },
      { table: 'tile/entries/000', row: 'entry 100' },
    ],
    [
      'a changed hash',
      { 'tile/0/001': flipped('tile/0/001', 32 * 44 + 5) },
      { table: 'tile/0/001', row: 'hash 300' },
    ],
    [
      'a changed hash above',
      { 'tile/1/000.p/2': flipped('tile/1/000.p/2', 40) },
      { table: 'tile/1/000.p/2', row: 'hashes' },
    ],
    [
      'an answer without end',
      {
        'tile/0/000': (response) => {
          const more = () => response.writable && response.write(Buffer.alloc(65_536), more);
          more();
        },
      },
      { table: 'tile/0/000', found: 'more than 8192 bytes' },
    ],
    [
      'a small answer that unpacks to a large one',
      {
        'tile/0/000': (response) => {
          response.writeHead(200, { 'content-encoding': 'gzip' });
          response.end(gzipSync(Buffer.alloc(50_000_000)));
        },
      },
      { table: 'tile/0/000', found: 'more than 8192 bytes' },
    ],
    [
      'an answer that never comes',
      { 'tile/0/000': () => undefined },
      { table: 'tile/0/000', found: 'no answer within 700 ms' },
    ],
    [
      'an answer that stops halfway',
      { 'tile/0/000': (response) => void response.write('x') },
      { table: 'tile/0/000', found: 'no answer within 700 ms' },
    ],
    [
      'a redirect',
      { checkpoint: (response) => response.writeHead(302, { location: url }).end() },
      { table: 'checkpoint', found: 'a redirect, which is not followed' },
    ],
    [
      'a failure',
      { 'tile/entries/000': (response) => response.writeHead(500).end('oops') },
      { table: 'tile/entries/000', found: 'HTTP 500' },
    ],
    [
      'a connection that breaks',
      { 'tile/entries/000': (response) => response.destroy() },
      { table: 'tile/entries/000' },
    ],
  ];
  it.each(cases)('%s', async (name, changes, expected) => {
    const patience = name.startsWith('an answer that') ? 700 : undefined;
    const findings = await lies(changes, checkpointOf(entries.slice(0, 500)), patience);
    expect(findings[0]).toMatchObject(expected);
  });

  it('a checkpoint kept of another log, or signed with another key', async () => {
    for (const key of [OTHER_KEY, { ...KEY, name: 'grid.example/oak' }]) {
      const [finding] = await lies({}, checkpointOf(entries.slice(0, 300), key));
      expect(finding).toMatchObject({ table: 'kept', field: 'note' });
    }
  });
});

it('an address that is none of a log is refused', () => {
  for (const wrong of ['file:///etc', 'ftp://grid.example', 'http://grid.example/?q=1']) {
    expect(() => new HttpLog(wrong)).toThrow(wrong);
  }
});

async function lies(
  changes: Record<string, Answer | null>,
  kept: Uint8Array,
  patienceMillis?: number,
): Promise<Finding[]> {
  const changed = new Map<string, Answer>(honest);
  for (const [path, answer] of Object.entries(changes)) {
    if (answer) changed.set(path, answer);
    else changed.delete(path);
  }
  return (await look(changed, kept, patienceMillis)).findings;
}

async function look(
  served: ReadonlyMap<string, Answer>,
  kept?: Uint8Array,
  patienceMillis?: number,
) {
  files = served;
  const findings = new Findings(20);
  let taken = 0;
  const notes = kept ? [{ name: 'kept', note: Buffer.from(kept).toString('utf8') }] : [];
  const log = await checkPublicLog(
    new HttpLog(url, patienceMillis),
    TRUST,
    notes,
    findings,
    (some) => {
      taken += some.length;
    },
  );
  return { findings: findings.all, taken, size: log?.checkpoint.size };
}

/** Entries as ours are: a version byte and 32 bytes. */
function entriesOf(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) =>
    Buffer.concat([Buffer.of(1), createHash('sha256').update(String(at)).digest()]),
  );
}

function filesOf(all: readonly Uint8Array[]): Map<string, Uint8Array> {
  const made = new Map<string, Uint8Array>([['checkpoint', checkpointOf(all)]]);
  for (let first = 0; first < all.length; first += TILE_WIDTH) {
    const some = all.slice(first, first + TILE_WIDTH);
    const tile = first / TILE_WIDTH;
    made.set(
      formatTilePath({ level: 'entries', tile, width: some.length }),
      encodeEntryBundle(some),
    );
  }
  for (const { level, tile, hashes } of extendTiles(0, all.map(leafHash), [])) {
    made.set(formatTilePath({ level, tile, width: hashes.length / 32 }), hashes);
  }
  return made;
}

function checkpointOf(all: readonly Uint8Array[], key = KEY): Uint8Array {
  const checkpoint = { origin: key.name, size: all.length, root: merkleRoot(all), extensions: [] };
  return Buffer.from(signCheckpoint(checkpoint, [ed25519Signer(key)]));
}

function cut(path: string, bytes: number): Uint8Array {
  const whole = honest.get(path)!;
  return whole.subarray(0, whole.length - bytes);
}

function flipped(path: string, place: number): Uint8Array {
  const copy = Buffer.from(honest.get(path)!);
  copy[place]! ^= 1;
  return copy;
}
