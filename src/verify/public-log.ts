import { fromUtf8, MalformedError } from '../transparency/bytes.js';
import type { Checkpoint } from '../transparency/checkpoint.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import {
  decodeEntryBundle,
  extendTiles,
  formatTilePath,
  partialTilesOf,
  TILE_WIDTH,
  type Tile,
} from '../transparency/tile.js';
import type { Findings } from './finding.js';
import { asked, openSigned, withoutWitnesses, type LogTrust } from './log-trust.js';

/**
 * A log read from nothing but its public files, whoever hands them out: the tree is built from the
 * entries, and checkpoint, tiles and what was kept earlier are held against it.
 */

/** Files by their path in the C2SP layout. */
export interface LogSource {
  /**
   * @returns null where there is no such file
   * @throws Unreadable when it cannot be had, or is larger than any honest one
   */
  read(path: string, mostBytes: number): Promise<Uint8Array | null>;
}

/** A file that cannot be had, and why. */
export class Unreadable extends Error {
  override name = 'Unreadable';
}

/** A checkpoint that somebody kept, under the name by which it is told of. */
export interface KeptCheckpoint {
  name: string;
  note: string;
}

export interface PublicLog {
  checkpoint: Checkpoint;
  /** The signed note as it was served. */
  note: string;
  /** Names of the witnesses whose cosignatures hold. */
  cosigned: string[];
}

/** Takes the entries in their order; the first call begins at entry 0. */
export type TakeEntries = (entries: readonly Uint8Array[]) => Promise<void> | void;

const MOST_CHECKPOINT_BYTES = 65_536;
/** Ours take 35 bytes each; a version to come may take more. */
export const MOST_BUNDLE_BYTES = 262_144;
/** Tiles read side by side. */
const AT_ONCE = 8;

/** @returns null where no checkpoint could be opened: then nothing else was looked at */
export async function checkPublicLog(
  source: LogSource,
  trust: LogTrust,
  kept: readonly KeptCheckpoint[],
  findings: Findings,
  take?: TakeEntries,
): Promise<PublicLog | null> {
  const signed = await readCheckpoint(source, trust, findings);
  if (!signed) return null;
  const remembered = openKept(kept, trust, findings);
  const { size } = signed.checkpoint;
  for (const { name, checkpoint } of remembered) {
    if (checkpoint.size <= size) continue;
    const expected = `at least ${checkpoint.size}, which ${name} shows signed`;
    findings.add('checkpoint', 'checkpoint', 'size', expected, size);
  }
  if (findings.full) return signed;
  const reading = new TreeReading(source, signed.checkpoint, remembered);
  await reading.run(findings, take);
  return signed;
}

/** What of a file can be read; anything else is a finding. */
export async function readFile(
  source: LogSource,
  path: string,
  mostBytes: number,
  findings: Findings,
): Promise<Uint8Array | null> {
  try {
    const bytes = await source.read(path, mostBytes);
    if (!bytes) findings.add(path, 'file', 'bytes', 'a file', 'none');
    return bytes;
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    findings.add(path, 'file', 'bytes', 'a file that can be read', error.message);
    return null;
  }
}

async function readCheckpoint(
  source: LogSource,
  trust: LogTrust,
  findings: Findings,
): Promise<PublicLog | null> {
  const bytes = await readFile(source, 'checkpoint', MOST_CHECKPOINT_BYTES, findings);
  if (!bytes) return null;
  const verdict = openSigned(bytes, trust);
  if (typeof verdict === 'string') {
    findings.add('checkpoint', 'checkpoint', 'note', asked(trust), verdict);
    return null;
  }
  return { ...verdict, note: fromUtf8(bytes) };
}

interface Remembered {
  name: string;
  checkpoint: Checkpoint;
}

/** A kept checkpoint needs the log's own signature; who else signed it does not matter any more. */
function openKept(
  kept: readonly KeptCheckpoint[],
  trust: LogTrust,
  findings: Findings,
): Remembered[] {
  return kept.flatMap(({ name, note }) => {
    const verdict = openSigned(note, withoutWitnesses(trust));
    if (typeof verdict !== 'string') return [{ name, checkpoint: verdict.checkpoint }];
    findings.add(name, 'checkpoint', 'note', `a checkpoint signed by ${trust.origin}`, verdict);
    return [];
  });
}

/** What stands somewhere else than it should, until it is known which side is to be believed. */
type Mismatch = [path: string, row: string | number, expected: unknown, found: unknown];

/** Appends leaf hashes, and remembers roots on the way. */
class Tree {
  readonly range = CompactRange.empty();
  readonly rootsAt = new Map<number, Uint8Array>();
  readonly mismatches: Mismatch[] = [];
  private partial: readonly Tile[] = [];

  constructor(private readonly remember: ReadonlySet<number>) {}

  /** @returns the tiles above the leaves that are complete with these, or partial at the end */
  append(hashes: readonly Uint8Array[]): Tile[] {
    const before = this.range.size;
    const tiles = extendTiles(before, hashes, this.partial);
    for (const hash of hashes) {
      this.range.append(hash);
      if (this.remember.has(this.range.size)) this.rootsAt.set(this.range.size, this.range.root());
    }
    const edge = new Map(partialTilesOf(this.range.size).map((one) => [one.level, one.tile]));
    const carried = this.partial.filter(
      (old) => edge.get(old.level) === old.tile && !tiles.some(({ level }) => level === old.level),
    );
    const open = tiles.filter(({ level, tile }) => edge.get(level) === tile);
    this.partial = [...carried, ...open];
    return tiles.filter((tile) => tile.level > 0 && !open.includes(tile));
  }

  /** The partial tiles above the leaves. */
  edge(): Tile[] {
    return this.partial.filter(({ level }) => level > 0);
  }
}

class TreeReading {
  private readonly ofEntries: Tree;
  private readonly ofTiles: Tree;

  constructor(
    private readonly source: LogSource,
    private readonly checkpoint: Checkpoint,
    private readonly remembered: readonly Remembered[],
  ) {
    const sizes = new Set(remembered.map((one) => one.checkpoint.size));
    this.ofEntries = new Tree(sizes);
    this.ofTiles = new Tree(sizes);
  }

  async run(findings: Findings, take?: TakeEntries): Promise<void> {
    const { size } = this.checkpoint;
    const bundles = Math.ceil(size / TILE_WIDTH);
    for (let first = 0; first < bundles; first += AT_ONCE) {
      const tiles = Array.from({ length: Math.min(AT_ONCE, bundles - first) }, (_, i) => first + i);
      const read = await Promise.all(tiles.map((tile) => this.readLeaves(tile, findings)));
      for (const [at, { entries, hashes }] of read.entries()) {
        if (findings.full || !(await this.extend(tiles[at]!, entries, hashes, findings))) return;
        if (entries) await take?.(entries);
      }
    }
    for (const tree of [this.ofEntries, this.ofTiles]) {
      await this.compareTiles(tree, tree.edge(), findings);
    }
    this.judge(findings);
  }

  private async readLeaves(tile: number, findings: Findings) {
    const width = this.widthOf(0, tile);
    const path = formatTilePath({ level: 'entries', tile, width });
    const [bundle, hashes] = await Promise.all([
      this.readWidth('entries', tile, width, MOST_BUNDLE_BYTES, findings),
      this.readWidth(0, tile, width, 32 * TILE_WIDTH, findings),
    ]);
    return { entries: bundle && entriesOf(path, bundle, width, findings), hashes };
  }

  /** @returns false where neither entries nor hashes go on */
  private async extend(
    tile: number,
    entries: readonly Uint8Array[] | null,
    hashes: Uint8Array | null,
    findings: Findings,
  ): Promise<boolean> {
    const width = this.widthOf(0, tile);
    const leaves = entries?.map(leafHash) ?? null;
    const stored = hashes?.length === 32 * width ? split(hashes) : null;
    if (!leaves && !stored) return false;
    if (hashes && !stored) {
      const path = formatTilePath({ level: 0, tile, width });
      findings.add(path, 'file', 'bytes', 32 * width, hashes.length);
    }
    if (leaves && stored) this.compareLeaves(tile, leaves, stored);
    const risen = this.ofEntries.append((leaves ?? stored)!);
    await this.compareTiles(this.ofEntries, risen, findings);
    await this.compareTiles(this.ofTiles, this.ofTiles.append((stored ?? leaves)!), findings);
    return true;
  }

  private compareLeaves(
    tile: number,
    leaves: readonly Uint8Array[],
    stored: readonly Uint8Array[],
  ): void {
    const width = leaves.length;
    const first = tile * TILE_WIDTH;
    leaves.forEach((leaf, at) => {
      if (Buffer.compare(leaf, stored[at]!) === 0) return;
      const hashPath = formatTilePath({ level: 0, tile, width });
      const entryPath = formatTilePath({ level: 'entries', tile, width });
      this.ofEntries.mismatches.push([hashPath, `hash ${first + at}`, leaf, stored[at]]);
      this.ofTiles.mismatches.push([entryPath, `entry ${first + at}`, stored[at], leaf]);
    });
  }

  private async compareTiles(tree: Tree, tiles: readonly Tile[], findings: Findings) {
    for (const { level, tile, hashes } of tiles) {
      const width = hashes.length / 32;
      const path = formatTilePath({ level, tile, width });
      // Both trees look at it: what cannot be read is told once.
      const own = tree === this.ofEntries ? findings : findings.silenced();
      const stored = await this.readWidth(level, tile, width, 32 * TILE_WIDTH, own);
      if (!stored || Buffer.compare(stored, hashes) === 0) continue;
      tree.mismatches.push([path, 'hashes', hashes, stored]);
    }
  }

  /** Whichever of entries and tiles gives the root that was signed is right, and the other is not. */
  private judge(findings: Findings): void {
    const { root } = this.checkpoint;
    const fits = (tree: Tree) => Buffer.compare(tree.range.root(), root) === 0;
    const right = fits(this.ofEntries) || !fits(this.ofTiles) ? this.ofEntries : this.ofTiles;
    if (!fits(right)) {
      findings.add('checkpoint', 'checkpoint', 'root', right.range.root(), root);
    }
    for (const [path, row, expected, found] of right.mismatches) {
      findings.add(path, row, 'sha256', expected, found);
    }
    for (const { name, checkpoint } of this.remembered) {
      const then = right.rootsAt.get(checkpoint.size);
      if (!then || Buffer.compare(then, checkpoint.root) === 0) continue;
      const field = `root at size ${checkpoint.size}, which ${name} shows signed`;
      findings.add('checkpoint', 'checkpoint', field, checkpoint.root, then);
    }
  }

  /** A partial file; where the log has gone on since and keeps full ones only, the start of that. */
  private async readWidth(
    level: number | 'entries',
    tile: number,
    width: number,
    mostBytes: number,
    findings: Findings,
  ): Promise<Uint8Array | null> {
    const path = formatTilePath({ level, tile, width });
    if (width === TILE_WIDTH) return readFile(this.source, path, mostBytes, findings);
    const bytes = await readFile(this.source, path, mostBytes, findings.silenced());
    if (bytes) return bytes;
    const full = formatTilePath({ level, tile, width: TILE_WIDTH });
    const whole = await readFile(this.source, full, mostBytes, findings.silenced());
    if (whole) return level === 'entries' ? whole : whole.subarray(0, 32 * width);
    return readFile(this.source, path, mostBytes, findings);
  }

  private widthOf(level: number, tile: number): number {
    const count = Math.floor(this.checkpoint.size / TILE_WIDTH ** level);
    return Math.min(TILE_WIDTH, count - tile * TILE_WIDTH);
  }
}

function entriesOf(
  path: string,
  bundle: Uint8Array,
  width: number,
  findings: Findings,
): Uint8Array[] | null {
  try {
    const entries = decodeEntryBundle(bundle);
    if (entries.length >= width) return entries.slice(0, width);
    findings.add(path, 'file', 'entries', width, entries.length);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    findings.add(path, 'file', 'bytes', `a bundle of ${width} entries`, error.message);
  }
  return null;
}

function split(hashes: Uint8Array): Uint8Array[] {
  return Array.from({ length: hashes.length / 32 }, (_, at) =>
    hashes.subarray(32 * at, 32 * (at + 1)),
  );
}
