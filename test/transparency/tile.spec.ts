import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/transparency/bytes.js';
import { consistencyProof, inclusionProof, treeRoot } from '../../src/transparency/merkle-proof.js';
import { CompactRange, leafHash } from '../../src/transparency/merkle-tree.js';
import {
  decodeEntryBundle,
  encodeEntryBundle,
  entryBundlePath,
  extendTiles,
  formatTilePath,
  parseTilePath,
  partialTilesOf,
  tileHashReader,
  tilesOf,
} from '../../src/transparency/tile.js';
import type { Tile } from '../../src/transparency/tile.js';
import { sharedFile } from '../support/shared.js';
import { naivePath, naiveSubproof } from './naive-tree.js';

describe('tiles grown in batches', () => {
  test('hold every root and proof, whatever the batches were', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 5 }),
        async (batches) => {
          const log = new TileLog();
          for (const batch of batches) log.append(batch);
          const size = log.leaves.length;
          const read = tileHashReader(size, log.readTiles);
          expect(await treeRoot(size, read)).toEqual(log.range.root());
          if (size === 0) return;
          for (const index of [0, Math.floor(size / 3), size - 1]) {
            const proof = await inclusionProof(index, size, read);
            expect(proof.map(hex)).toEqual(naivePath(index, log.leaves).map(hex));
            const older = await consistencyProof(index + 1, size, read);
            expect(older.map(hex)).toEqual(naiveSubproof(index + 1, log.leaves, true).map(hex));
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('70,000 leaves are 273 full tiles and partial ones of 112, 17 and 1', () => {
    const log = new TileLog();
    log.append(70_000);
    expect(
      [...log.tiles.values()].map(({ level, tile, hashes }) => [level, tile, hashes.length / 32]),
    ).toEqual(tilesOf(70_000).map(({ level, tile, width }) => [level, tile, width]));
    expect(partialTilesOf(70_000)).toEqual([
      { level: 0, tile: 273, width: 112 },
      { level: 1, tile: 1, width: 17 },
      { level: 2, tile: 0, width: 1 },
    ]);
  });

  test('a tree of an earlier size is read from the wider tiles of a later one', async () => {
    const log = new TileLog();
    log.append(300);
    const root = log.range.root();
    log.append(500);
    expect(await treeRoot(300, tileHashReader(300, log.readTiles))).toEqual(root);
  });

  test('a missing tile is named', async () => {
    const log = new TileLog();
    log.append(300);
    log.tiles.delete('0/1');
    await expect(treeRoot(300, tileHashReader(300, log.readTiles))).rejects.toThrow('tile 0/1');
    expect(() => extendTiles(300, [leafHash(new Uint8Array(1))], [])).toThrow('tile 0/1');
  });
});

describe('entry bundles', () => {
  test('come back as they were packed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 }),
        (entries) => {
          expect(decodeEntryBundle(encodeEntryBundle(entries)).map(hex)).toEqual(entries.map(hex));
        },
      ),
      { numRuns: 50 },
    );
  });

  test('any bytes are refused by name or are canonical', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const entries = valueOrMalformed(() => decodeEntryBundle(bytes));
        if (entries) expect(hex(encodeEntryBundle(entries))).toBe(hex(bytes));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('tile paths', () => {
  test('come back as they were written', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 })),
        fc.maxSafeNat(),
        fc.integer({ min: 1, max: 256 }),
        (level, tile, width) => {
          const path = { level, tile, width };
          expect(parseTilePath(formatTilePath(path))).toEqual(path);
        },
      ),
    );
  });

  test('any text is refused by name or is canonical', () => {
    const piece = fc.constantFrom(
      'tile',
      '/',
      '0',
      '63',
      '64',
      'entries',
      'x001',
      '000',
      '067',
      '.p',
      '255',
      '256',
      '-1',
      'x',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const path = pieces.join('');
        const parsed = valueOrMalformed(() => parseTilePath(path));
        if (parsed) expect(formatTilePath(parsed)).toBe(path);
      }),
      { numRuns: 5000 },
    );
    for (const path of [
      'tile/0/x000/001',
      'tile/00/001',
      'tile/0/001.p/0',
      'tile/0/001.p/01',
      'tile/0/001.p/256',
    ]) {
      expect(() => parseTilePath(path)).toThrow(MalformedError);
    }
  });
});

const file = sharedFile('vectors/transparency-log.json');
(file === null ? describe.skip : describe)('public vectors of tile paths', () => {
  const { tile_paths: vectors } = (file === null ? {} : JSON.parse(readFileSync(file, 'utf8'))) as {
    tile_paths: {
      tile: [number, number, number, string][];
      entries_for_index_and_size: [number, number, string][];
      parse_ok: [string, string, number, number, number][];
      parse_bad: [string, string][];
    };
  };

  test('hold', () => {
    for (const [level, tile, width, path] of vectors.tile) {
      expect(formatTilePath({ level, tile, width: width === 0 ? 256 : width })).toBe(path);
    }
    for (const [index, size, path] of vectors.entries_for_index_and_size) {
      expect(formatTilePath(entryBundlePath(index, size))).toBe(path);
    }
    for (const [level, rest, parsedLevel, tile, width] of vectors.parse_ok) {
      expect(parseTilePath(`tile/${level}/${rest}`)).toEqual({
        level: parsedLevel,
        tile,
        width: width === 0 ? 256 : width,
      });
    }
    for (const [level, rest] of vectors.parse_bad) {
      expect(() => parseTilePath(`tile/${level}/${rest}`)).toThrow(MalformedError);
    }
  });
});

/** A log kept as its tiles, as a store would. */
class TileLog {
  readonly leaves: Uint8Array[] = [];
  readonly range = CompactRange.empty();
  readonly tiles = new Map<string, Tile>();

  append(count: number): void {
    const size = this.leaves.length;
    const added = Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`${size + i}`)));
    for (const tile of extendTiles(size, added, [...this.tiles.values()])) {
      this.tiles.set(`${tile.level}/${tile.tile}`, tile);
    }
    for (const leaf of added) this.range.append(leaf);
    for (const leaf of added) this.leaves.push(leaf);
  }

  readonly readTiles = async (
    addresses: readonly { level: number; tile: number }[],
  ): Promise<Uint8Array[]> =>
    addresses.map(
      ({ level, tile }) => this.tiles.get(`${level}/${tile}`)?.hashes ?? new Uint8Array(0),
    );
}

function valueOrMalformed<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
