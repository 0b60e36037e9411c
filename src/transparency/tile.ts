import { concatBytes } from '@noble/hashes/utils.js';
import { MalformedError } from './bytes.js';
import { nodeHash } from './merkle-tree.js';
import type { HashReader } from './merkle-proof.js';

/**
 * The tiles of C2SP tlog-tiles: 256 hashes of one level side by side, or 256 entries in a bundle.
 * Hash i of tile n at level l is the root over leaves [(256·n + i) · 256^l, (256·n + i + 1) · 256^l).
 */
export interface Tile {
  readonly level: number;
  readonly tile: number;
  /** 1 to 256 concatenated hashes; a full tile never changes again. */
  readonly hashes: Uint8Array;
}

export interface TileAddress {
  readonly level: number;
  readonly tile: number;
  /** Hashes in it, 1 to 256; 256 is a full tile. */
  readonly width: number;
}

export const TILE_WIDTH = 256;

/**
 * The tiles that appending changes, each in full, in order of level and tile.
 * @param oldSize leaves before
 * @param leafHashes appended in this order
 * @param partialTiles the tiles of `partialTilesOf(oldSize)`, in any order; wider ones are cut
 */
export function extendTiles(
  oldSize: number,
  leafHashes: readonly Uint8Array[],
  partialTiles: readonly Tile[],
): Tile[] {
  const edge = new Map(
    partialTilesOf(oldSize).map(({ level, tile, width }) => {
      const held = partialTiles.find((one) => one.level === level && one.tile === tile);
      if (!held || held.hashes.length < 32 * width) {
        throw new RangeError(`tile ${level}/${tile} with ${width} hashes is missing`);
      }
      return [level, splitHashes(held.hashes.subarray(0, 32 * width))];
    }),
  );
  const changed: Tile[] = [];
  let risen = leafHashes;
  let before = oldSize;
  for (let level = 0; risen.length > 0; level += 1) {
    const hashes = [...(edge.get(level) ?? []), ...risen];
    const first = Math.floor(before / TILE_WIDTH);
    const full: Uint8Array[] = [];
    for (let at = 0; at < hashes.length; at += TILE_WIDTH) {
      const inTile = hashes.slice(at, at + TILE_WIDTH);
      changed.push({ level, tile: first + at / TILE_WIDTH, hashes: concatBytes(...inTile) });
      // A partial tile is never hashed upward.
      if (inTile.length === TILE_WIDTH) full.push(perfectRoot(inTile));
    }
    before = first;
    risen = full;
  }
  return changed;
}

/** The partial tiles at the right edge of a tree, one a level at most. */
export function partialTilesOf(size: number): TileAddress[] {
  const tiles: TileAddress[] = [];
  for (let level = 0, count = size; count > 0; level += 1, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH;
    if (width > 0) tiles.push({ level, tile: Math.floor(count / TILE_WIDTH), width });
  }
  return tiles;
}

/** All tiles of a tree, full ones first within a level. */
export function tilesOf(size: number): TileAddress[] {
  const tiles: TileAddress[] = [];
  for (let level = 0, count = size; count > 0; level += 1, count = Math.floor(count / TILE_WIDTH)) {
    for (let tile = 0; tile * TILE_WIDTH < count; tile += 1) {
      tiles.push({ level, tile, width: Math.min(TILE_WIDTH, count - tile * TILE_WIDTH) });
    }
  }
  return tiles;
}

/**
 * Reads the hashes of a tree of `size` leaves from its tiles, each tile once.
 * @param readTiles hashes of the tiles asked for, in their order, at least as wide as asked
 */
export function tileHashReader(
  size: number,
  readTiles: (tiles: readonly TileAddress[]) => Promise<readonly Uint8Array[]>,
): HashReader {
  return async (nodes) => {
    const places = nodes.map(({ level, index }) => {
      const tileLevel = Math.floor(level / 8);
      const count = 2 ** (level % 8);
      const first = index * count;
      const tile = Math.floor(first / TILE_WIDTH);
      return {
        key: `${tileLevel}/${tile}`,
        level: tileLevel,
        tile,
        first: first % TILE_WIDTH,
        count,
      };
    });
    const addresses = new Map(
      places.map(({ key, level, tile }) => {
        const hashesAtLevel = Math.floor(size / TILE_WIDTH ** level);
        const width = Math.min(TILE_WIDTH, hashesAtLevel - tile * TILE_WIDTH);
        return [key, { level, tile, width }];
      }),
    );
    const tiles = await readTiles([...addresses.values()]);
    const hashesOf = new Map([...addresses.keys()].map((key, at) => [key, tiles[at]]));
    return places.map(({ key, first, count }) => {
      const hashes = hashesOf.get(key)?.subarray(32 * first, 32 * (first + count));
      if (hashes?.length !== 32 * count)
        throw new RangeError(`tile ${key} is missing or too short`);
      return perfectRoot(splitHashes(hashes));
    });
  };
}

/** A tile's place in the log's URL space: a level of hashes, or the bundles of entries. */
export interface TilePath {
  readonly level: number | 'entries';
  readonly tile: number;
  readonly width: number;
}

/** @example formatTilePath({ level: 0, tile: 1234067, width: 89 }) === 'tile/0/x001/x234/067.p/89' */
export function formatTilePath({ level, tile, width }: TilePath): string {
  const digits = String(tile).padStart(Math.ceil(String(tile).length / 3) * 3, '0');
  const groups = digits.match(/\d{3}/g)!;
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** @throws MalformedError on anything `formatTilePath` does not write */
export function parseTilePath(path: string): TilePath {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (!match) throw new MalformedError('not the path of a tile');
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const tile = Number(match[2]!.replace(/\D/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  const parsed: TilePath = { level, tile, width };
  const inRange = Number.isSafeInteger(tile) && (level === 'entries' || level <= 63) && width > 0;
  // Re-encoding refuses leading zeros, needless groups and a width of 256 or more written out.
  if (!inRange || width > TILE_WIDTH || formatTilePath(parsed) !== path) {
    throw new MalformedError('not the canonical path of a tile');
  }
  return parsed;
}

/** Where entry `index` of a tree of `size` is bundled. */
export function entryBundlePath(index: number, size: number): TilePath {
  if (index >= size) throw new RangeError(`no entry ${index} in a tree of ${size}`);
  const tile = Math.floor(index / TILE_WIDTH);
  return { level: 'entries', tile, width: Math.min(TILE_WIDTH, size - tile * TILE_WIDTH) };
}

/** Up to 256 entries, each behind its length in two bytes. @throws RangeError beyond 65,535 bytes */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length === 0 || entries.length > TILE_WIDTH) {
    throw new RangeError(`a bundle holds 1 to 256 entries, not ${entries.length}`);
  }
  return concatBytes(
    ...entries.flatMap((entry) => {
      if (entry.length > 0xffff) throw new RangeError(`an entry of ${entry.length} bytes`);
      return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
    }),
  );
}

/** @throws MalformedError when it is cut short, empty, or holds more than 256 entries */
export function decodeEntryBundle(bytes: Uint8Array): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 2 + (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
    if (at + 2 > bytes.length || end > bytes.length) {
      throw new MalformedError('an entry bundle that is cut short');
    }
    entries.push(bytes.slice(at + 2, end));
    at = end;
  }
  if (entries.length === 0 || entries.length > TILE_WIDTH) {
    throw new MalformedError(`an entry bundle of ${entries.length} entries`);
  }
  return entries;
}

function splitHashes(bytes: Uint8Array): Uint8Array[] {
  const count = bytes.length / 32;
  return Array.from({ length: count }, (_, i) => bytes.slice(32 * i, 32 * (i + 1)));
}

/** The root over a power of two of hashes. */
function perfectRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let level = hashes;
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, i) =>
      nodeHash(level[2 * i]!, level[2 * i + 1]!),
    );
  }
  return level[0]!;
}
