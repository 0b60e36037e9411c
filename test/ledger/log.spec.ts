import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { LogService, type SignedCheckpoint } from '../../src/ledger/log.service.js';
import { openCheckpoint } from '../../src/transparency/checkpoint.js';
import { verifyInclusion } from '../../src/transparency/merkle-proof.js';
import { leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import { parseVerifierKey } from '../../src/transparency/signed-note.js';
import { decodeEntryBundle, tilesOf } from '../../src/transparency/tile.js';
import { draft, openBooks, type OpenBooks } from './books.js';

let books: OpenBooks;
beforeEach(async () => {
  books = await openBooks();
});
afterEach(() => books.close());

describe('the checkpoint', () => {
  test('is signed over the whole journal and opens with the published key', async () => {
    const { append, note, database, log } = books;
    expect(await log.sign(database, 'street')).toBeNull();
    await append(note(5));
    const signed = (await log.sign(database, 'street'))!;
    expect(opened(signed)).toEqual({
      origin: 'grid.example/log/street',
      size: 5,
      root: Uint8Array.from(merkleRoot(await entries())),
      extensions: [],
    });
    const other = openCheckpoint(signed.note, {
      origin: log.origin('street'),
      log: parseVerifierKey(log.verifierKey('avenue')),
    });
    expect(other).toEqual({ outcome: 'not_signed_by_log' });
  });

  test('stays the same until something is appended, and is kept when it is signed twice', async () => {
    const { append, note, database, log } = books;
    await append(note(3));
    const first = await log.sign(database, 'street');
    const twice = await Promise.all([log.sign(database, 'street'), log.sign(database, 'street')]);
    expect(twice.map((one) => one!.note)).toEqual([first!.note, first!.note]);
    await append(note(1));
    const both = await Promise.all([log.sign(database, 'street'), log.sign(database, 'street')]);
    expect(both[0]!.note).toBe(both[1]!.note);
    expect(await database.query(`SELECT size FROM checkpoint ORDER BY size`)).toEqual([
      { size: 3 },
      { size: 4 },
    ]);
    expect((await log.latestCheckpoint(database, 'street'))!.size).toBe(4);
  });

  test('is signed by the same key after a restart, which only its owner can read', async () => {
    const { append, note, database, log, settings } = books;
    await append(note(2));
    const first = (await log.sign(database, 'street'))!;
    const restarted = new LogService(settings);
    expect(restarted.verifierKey('street')).toBe(log.verifierKey('street'));
    await append(note(2));
    expect(opened((await restarted.sign(database, 'street'))!).size).toBe(4);
    expect(opened(first).size).toBe(2);
    const seed = await stat(join(settings.dataDir, 'keys', 'log.seed'));
    expect(seed.mode & 0o777).toBe(0o600);
  });

  test('is not signed with another key than the log began with', async () => {
    const { append, note, database, log, settings } = books;
    await append(note(2));
    await log.sign(database, 'street');
    await append(note(2));
    const renamed = new LogService({ ...settings, logOrigin: 'other.example/log' });
    await expect(renamed.sign(database, 'street')).rejects.toThrow('signed with another key');
    await rm(join(settings.dataDir, 'keys', 'log.seed'));
    const reseeded = new LogService(settings);
    expect(reseeded.verifierKey('street')).not.toBe(log.verifierKey('street'));
    await expect(reseeded.sign(database, 'street')).rejects.toThrow('signed with another key');
    expect((await log.latestCheckpoint(database, 'street'))!.size).toBe(2);
  });
});

describe('proofs', () => {
  test('lead from every record to every checkpoint that covers it, over full and partial tiles', async () => {
    const { append, note, database, log } = books;
    const signed: SignedCheckpoint[] = [];
    for (const count of [1, 2, 253, 1, 300]) {
      await append(note(count));
      signed.push((await log.sign(database, 'street'))!);
    }
    const all = await entries();
    for (const { size, root } of signed) {
      expect(Buffer.from(root).equals(merkleRoot(all.slice(0, size)))).toBe(true);
      const proven = await Promise.all(
        Array.from({ length: size }, async (_, index) =>
          verifyInclusion({
            index,
            size,
            root,
            leafHash: leafHash(all[index]!),
            proof: await log.proveInclusion(database, 'street', index + 1, size),
          }),
        ),
      );
      expect(proven.every(Boolean)).toBe(true);
    }
    await expect(log.proveInclusion(database, 'street', 558, 557)).rejects.toThrow(RangeError);
  });

  test('tiles and bundles are there at the width asked for, and no wider', async () => {
    const { append, note, database, log } = books;
    await append(note(300));
    const all = await entries();
    for (const { level, tile, width } of tilesOf(300)) {
      const bytes = await log.readTile(database, 'street', { level, tile, width });
      expect(bytes!.length).toBe(32 * width);
    }
    const first = await log.readTile(database, 'street', { level: 0, tile: 0, width: 256 });
    expect(Buffer.from(first!.subarray(0, 32)).equals(leafHash(all[0]!))).toBe(true);
    const narrow = await log.readTile(database, 'street', { level: 0, tile: 1, width: 7 });
    expect(narrow!.length).toBe(32 * 7);
    const wide = await log.readTile(database, 'street', { level: 0, tile: 1, width: 45 });
    expect(wide).toBeNull();
    const path = { level: 'entries' as const, tile: 1, width: 44 };
    const bundle = decodeEntryBundle((await log.readTile(database, 'street', path))!);
    expect(bundle.map(hexOf)).toEqual(all.slice(256).map(hexOf));
    expect(await log.readTile(database, 'street', { ...path, width: 45 })).toBeNull();
  });

  test('an entry is a version byte and the commitment, and tells nothing else', async () => {
    const { append, database, log } = books;
    await append([draft('secret cause', [], { facts: { household: 'A', importWh: 1234 } })]);
    const entry = await log.entry(database, 'street', 0);
    const [head] = await database.query<{ commitment: Buffer }>(
      `SELECT commitment FROM record_head`,
    );
    expect(hexOf(entry)).toBe(`01${head!.commitment.toString('hex')}`);
    await expect(log.entry(database, 'street', 1)).rejects.toThrow('no entry 1');
  });
});

describe('a log that was tampered with is not signed', () => {
  const rewritten = [
    [
      'a leaf under the checkpoint was changed',
      flip('log_tile', 'hashes', 'level = 0 AND tile = 1'),
    ],
    ['the root of a full tile was changed', flip('log_tile', 'hashes', 'level = 1', 8)],
    ['a tile is gone', `DELETE FROM log_tile WHERE level = 0 AND tile = 1`],
    ['the edge that the next root is made from was changed', flip('journal_head', 'log_edge')],
  ] as const;
  test.each(rewritten)('%s', async (_, change) => {
    const { append, note, database, asOwner, log } = books;
    await append(note(300));
    const before = (await log.sign(database, 'street'))!;
    await append(note(4));
    await asOwner((sql) => sql.query(change));
    await expect(log.sign(database, 'street')).rejects.toThrow();
    expect(await log.latestCheckpoint(database, 'street')).toEqual(before);
  });

  test('records were taken off its end', async () => {
    const { append, note, database, log } = books;
    await append(note(3));
    const [kept] = await database.query<{ edge: Buffer }>(
      `SELECT log_edge AS edge FROM journal_head`,
    );
    await append(note(2));
    await log.sign(database, 'street');
    await database.query(`UPDATE journal_head SET sequence = 3, log_edge = $1`, [kept!.edge]);
    await expect(log.sign(database, 'street')).rejects.toThrow(
      'the log of street does not extend its checkpoint of size 5',
    );
  });
});

/** Changes one bit. */
function flip(table: string, column: string, where = 'true', bit = 300): string {
  return `UPDATE ${table} SET ${column} = set_bit(${column}, ${bit}, 1 - get_bit(${column}, ${bit}))
    WHERE ${where}`;
}

async function entries(): Promise<Buffer[]> {
  const rows = await books.database.query<{ entry: Buffer }>(
    `SELECT entry FROM log_entry WHERE microgrid_id = 'street' ORDER BY entry_index`,
  );
  return rows.map(({ entry }) => entry);
}

function opened({ note }: SignedCheckpoint) {
  const { log } = books;
  const verdict = openCheckpoint(note, {
    origin: log.origin('street'),
    log: parseVerifierKey(log.verifierKey('street')),
  });
  if (verdict.outcome !== 'verified') throw new Error(verdict.outcome);
  return verdict.checkpoint;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
