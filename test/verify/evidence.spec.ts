import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { signCheckpoint } from '../../src/transparency/checkpoint.js';
import { leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  ed25519Signer,
  formatVerifierKey,
  verifierKeyOf,
  type SignerKey,
} from '../../src/transparency/signed-note.js';
import { encodeEntryBundle, extendTiles, formatTilePath } from '../../src/transparency/tile.js';
import { buildProgram, runCommand } from '../flow/program.js';

/** Whoever kept a checkpoint that a log contradicts walks away with a file that convicts it. */

const log: SignerKey = {
  name: 'grid.example/street',
  algorithm: ALGORITHM.ed25519,
  seed: new Uint8Array(32).fill(3),
};
const vkey = formatVerifierKey(verifierKeyOf(log));
const stranger = formatVerifierKey(verifierKeyOf({ ...log, seed: new Uint8Array(32) }));
const TOLD = Array.from({ length: 5 }, (_, at) => Buffer.from(`\u0001${at}`));
const SERVED = Array.from({ length: 7 }, (_, at) => Buffer.from(`\u0001${at === 2 ? 'x' : at}`));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neighborwatt-evidence-'));
  await buildProgram();
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

test('over HTTP, with nothing but what was kept and what is served', async () => {
  const kept = join(folder, 'kept');
  await writeFile(kept, noteOf(TOLD));
  const files = filesOf(SERVED);
  const server = createServer((request, response) => {
    const bytes = files.get(request.url!.slice(1));
    response.writeHead(bytes ? 200 : 404).end(bytes);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const verify = (...more: string[]) =>
    runCommand(['verify', 'http', url, '--vkey', vkey, '--evidence', folder, '--json', ...more]);
  try {
    expect(await verify()).toMatchObject({ code: 0 });
    const { code, stderr } = await verify('--checkpoint', kept);
    expect(code).toBe(1);
    const [name] = (await readdir(folder)).filter((file) => file.startsWith('evidence-'));
    expect(stderr).toContain(name!);
    const file = join(folder, name!);

    const proven = await runCommand(['verify', 'evidence', file, '--vkey', vkey, '--json']);
    expect([proven.code, JSON.parse(proven.stdout)]).toEqual([
      0,
      { proven: true, outcome: 'proven', origin: log.name, verifierKey: vkey },
    ]);
    const told = await runCommand(['verify', 'evidence', file]);
    expect(told.stdout).toMatch(
      /signed two stories: size 5 with root .*, and size 7, whose first 5/,
    );
    expect(told.stdout).toContain(vkey);

    const other = await runCommand(['verify', 'evidence', file, '--vkey', stranger]);
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining('other key')]);
    const honest = (await readFile(file, 'utf8')).replace(
      JSON.stringify(noteOf(TOLD)),
      JSON.stringify(noteOf(SERVED.slice(0, 5))),
    );
    await writeFile(file, honest);
    const none = await runCommand(['verify', 'evidence', file]);
    expect([none.code, none.stdout]).toEqual([1, expect.stringContaining('no contradiction')]);
    await writeFile(file, honest.slice(9));
    expect((await runCommand(['verify', 'evidence', file])).code).toBe(2);
  } finally {
    server.close();
  }
}, 120_000);

function noteOf(entries: readonly Uint8Array[]): string {
  const root = merkleRoot(entries);
  const checkpoint = { origin: log.name, size: entries.length, root, extensions: [] };
  return signCheckpoint(checkpoint, [ed25519Signer(log)]);
}

/** The public files of a log of these entries, by path. */
function filesOf(entries: readonly Uint8Array[]): Map<string, Uint8Array> {
  const tiles = extendTiles(0, entries.map(leafHash), []);
  const bundle = formatTilePath({ level: 'entries', tile: 0, width: entries.length });
  return new Map<string, Uint8Array>([
    ['checkpoint', Buffer.from(noteOf(entries))],
    [bundle, encodeEntryBundle(entries)],
    ...tiles.map(({ level, tile, hashes }): [string, Uint8Array] => [
      formatTilePath({ level, tile, width: hashes.length / 32 }),
      hashes,
    ]),
  ]);
}
