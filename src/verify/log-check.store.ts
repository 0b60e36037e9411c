import type { Sql } from '../database/database.service.js';
import type { Checkpoint } from '../transparency/checkpoint.js';
import type { HashReader } from '../transparency/merkle-proof.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import { parseVerifierKey } from '../transparency/signed-note.js';
import {
  extendTiles,
  partialTilesOf,
  tileHashReader,
  tilesOf,
  type Tile,
} from '../transparency/tile.js';
import { openByPolicy, type Policy } from '../transparency/tlog-policy.js';
import type { Findings } from './finding.js';
import type { LogKeys } from './log-keys.js';
import type { RowStream, TableRows } from './table-rows.store.js';
import * as store from './verify.store.js';

interface StoredCheckpoint {
  size: string;
  root: Uint8Array;
  note: string;
}

/**
 * Builds the log's tree again from its entries, and holds tiles, head and every checkpoint against
 * it, those in the table and those that somebody kept elsewhere.
 */
export class LogCheck {
  private readonly range = CompactRange.empty();
  private partial: readonly Tile[] = [];
  private next: StoredCheckpoint | undefined;
  private counted = 0;
  private parted = false;
  private signed = 0;

  private constructor(
    private readonly tables: TableRows,
    private readonly findings: Findings,
    private readonly stored: RowStream<StoredCheckpoint>,
    private readonly log: Policy,
    private readonly kept: readonly Checkpoint[],
  ) {}

  /** @param kept checkpoints that were kept outside, of any log */
  static async open(
    microgridId: string,
    tables: TableRows,
    findings: Findings,
    keys: LogKeys,
    kept: readonly string[],
  ): Promise<LogCheck> {
    const origin = keys.origin(microgridId);
    const log = signedRightly(microgridId, keys);
    const opened = kept.map((note) => opensAs(note, log));
    for (const verdict of opened) {
      if (verdict === 'other_origin' || typeof verdict !== 'string') continue;
      findings.add('checkpoint', 'kept', 'note', `a note signed by ${origin}`, verdict);
    }
    const ofThisLog = opened.filter((verdict) => typeof verdict !== 'string');
    const rows = await tables.inOrder('checkpoint', 'checkpoint.size');
    const stored = rows.as((row) => row as unknown as StoredCheckpoint);
    const check = new LogCheck(tables, findings, stored, log, ofThisLog);
    await check.advance();
    return check;
  }

  get checkpoints(): number {
    return this.counted;
  }

  /** Entries that a good checkpoint covers. */
  get signedSize(): number {
    return this.signed;
  }

  /** Appends the next entries of the log. */
  async extend(entries: readonly Uint8Array[]): Promise<void> {
    if (entries.length === 0) return;
    const hashes = entries.map(leafHash);
    const tiles = extendTiles(this.range.size, hashes, this.partial);
    for (const hash of hashes) {
      this.range.append(hash);
      await this.compareRoots();
    }
    const edge = partialTilesOf(this.range.size);
    const isPartial = ({ level, tile }: Tile) =>
      edge.some((one) => one.level === level && one.tile === tile);
    const carried = this.partial.filter(
      (old) => isPartial(old) && !tiles.some((one) => one.level === old.level),
    );
    this.partial = [...carried, ...tiles.filter(isPartial)];
    await this.compareTiles(tiles.filter((tile) => !isPartial(tile)));
  }

  /** What shows only when the log has come to its end. @param erased records without a body */
  async end(erased: number): Promise<void> {
    const { findings, tables, range } = this;
    const { size } = range;
    await this.compareTiles(this.partial);
    const [head] = await tables.query<{ sequence: number; logEdge: Uint8Array }>(
      'journal_head',
      store.HEAD,
    );
    findings.same('journal_head', 'its row', 'sequence', size, head?.sequence);
    findings.same('journal_head', 'its row', 'log_edge', range.toBytes(), head?.logEdge);
    for (const [table, rows] of [
      ['record_body', size - erased],
      ['log_entry', size],
      ['log_tile', tilesOf(size).length],
    ] as const) {
      findings.same(table, 'all', 'number of rows', rows, await tables.count(table));
    }
    while (this.next && !findings.full) {
      findings.add('checkpoint', this.next.size, 'size', `at most ${size} records`, this.next.size);
      await this.advance();
    }
    for (const checkpoint of this.kept) {
      if (checkpoint.size <= size) continue;
      findings.add('checkpoint', 'kept', 'size', `at least ${checkpoint.size} records`, size);
    }
  }

  private async compareRoots(): Promise<void> {
    const { size } = this.range;
    while (this.next && Number(this.next.size) <= size) {
      const { next } = this;
      if (Number(next.size) === size) this.compareRoot(next);
      else this.findings.add('checkpoint', next.size, 'size', 'a positive number', next.size);
      await this.advance();
    }
    for (const checkpoint of this.kept) {
      if (checkpoint.size !== size) continue;
      this.findings.same('checkpoint', `kept ${size}`, 'root', checkpoint.root, this.range.root());
    }
  }

  /** The row says what its note says, and the note says what the tree says. */
  private compareRoot({ root, note }: StoredCheckpoint): void {
    const { findings, range } = this;
    const { size } = range;
    const verdict = opensAs(note, this.log);
    if (typeof verdict === 'string') {
      findings.add('checkpoint', size, 'note', 'a note signed by the log', verdict);
      return;
    }
    findings.same('checkpoint', size, 'size, note', verdict.size, size);
    findings.same('checkpoint', size, 'root, note', verdict.root, root);
    // Once the tree is another one than was signed, no later checkpoint can fit it.
    if (this.parted) return;
    this.parted = !findings.same('checkpoint', size, 'root', range.root(), verdict.root);
    if (!this.parted) this.signed = size;
  }

  private async compareTiles(tiles: readonly Tile[]): Promise<void> {
    if (tiles.length === 0) return;
    const stored = await this.tables.query<Tile>('log_tile', store.TILES, [
      tiles.map(({ level }) => level),
      tiles.map(({ tile }) => tile),
    ]);
    const found = new Map(stored.map((one) => [`${one.level}/${one.tile}`, one.hashes]));
    for (const { level, tile, hashes } of tiles) {
      const name = `${level}/${tile}`;
      this.findings.same('log_tile', name, 'hashes', hashes, found.get(name));
    }
  }

  private async advance(): Promise<void> {
    this.next = await this.stored.next();
    if (this.next) this.counted += 1;
  }
}

/** A note as the checkpoint of a microgrid's log, or why it is none. */
export function openNote(note: string, microgridId: string, keys: LogKeys): Checkpoint | string {
  return opensAs(note, signedRightly(microgridId, keys));
}

/** The latest checkpoint as it is stored, whether it is good or not. */
export async function latestCheckpoint(
  sql: Sql,
  microgridId: string,
): Promise<{ size: number; note: string } | null> {
  const [row] = await sql.query<{ size: number; note: string }>(store.LATEST_CHECKPOINT, [
    microgridId,
  ]);
  return row ?? null;
}

/** The hashes of a tree of `size` as its tiles are stored. */
export function storedHashes(sql: Sql, microgridId: string, size: number): HashReader {
  return tileHashReader(size, async (tiles) => {
    const rows = await sql.query<Tile>(store.TILES, [
      microgridId,
      tiles.map(({ level }) => level),
      tiles.map(({ tile }) => tile),
    ]);
    const found = new Map(rows.map((row) => [`${row.level}/${row.tile}`, row.hashes]));
    return tiles.map(({ level, tile }) => found.get(`${level}/${tile}`) ?? new Uint8Array());
  });
}

/** By any key of the log, of now or of before: who else signed does not matter to the tree. */
function signedRightly(microgridId: string, keys: LogKeys): Policy {
  const logs = keys.verifierKeys(microgridId).map((text) => ({ key: parseVerifierKey(text) }));
  return { logs, witnesses: [], groups: [], quorum: 'none' };
}

function opensAs(note: string, log: Policy): Checkpoint | string {
  try {
    const verdict = openByPolicy(note, log);
    return verdict.outcome === 'verified' ? verdict.checkpoint : verdict.outcome;
  } catch (error) {
    return error instanceof Error ? error.message : 'malformed';
  }
}
