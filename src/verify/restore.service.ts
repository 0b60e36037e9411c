import pg from 'pg';
import { leafHash } from '../transparency/merkle-tree.js';
import { extendTiles, partialTilesOf, type Tile } from '../transparency/tile.js';
import { deploymentFile, type Backup } from './backup.service.js';
import { tableFile } from './bundle.js';
import type { BundleFolder, Folder } from './bundle-folder.service.js';
import { ROWS_OF_DEPLOYMENT, ROWS_OF_MICROGRID, ROWS_THAT_STAY } from './bundle-tables.store.js';
import { columnsOf } from './export.service.js';
import type { Finding } from './finding.js';
import * as store from './restore.store.js';
import { csvOf, literal, TableCopy, type TableShape } from './table-copy.store.js';

/** What of the bundle, or of the database, stands in the way: nothing was changed then. */
export class RestoreRefused extends Error {
  override name = 'RestoreRefused';

  constructor(
    message: string,
    /** The place in the bundle, where it is the bundle's fault. */
    readonly finding: Finding | null = null,
  ) {
    super(message);
  }
}

export interface Restored {
  microgrid: string;
  /** Records before and after. */
  had: number;
  has: number;
  /** Rows that were missing or were replaced, by table. */
  rows: Record<string, number>;
}

/** Where the tables of a bundle, or of a backup's deployment, come from. */
interface Source {
  folder: Folder;
  fileOf(table: string): string;
  shapes: readonly TableShape[];
  /** Null for what belongs to no microgrid. */
  bundle: BundleFolder | null;
}

/**
 * Brings what an operator's bundle has and the database lacks, all of it or nothing. The bundle's log
 * has to extend the database's own; rows that stay as they were written must be the same where both
 * have them. Files and signatures of the bundle have been checked before.
 * @throws RestoreRefused
 */
export async function restoreBundle(url: string, folder: BundleFolder): Promise<Restored> {
  const { microgrid, records } = folder.manifest;
  const copy = await TableCopy.writing(url);
  try {
    await assertSchema(copy, folder.manifest.schema);
    const had = await lockOwn(copy, microgrid);
    const shapes = await shapesIn(copy, folder, tableFile);
    const source = { folder, fileOf: tableFile, shapes, bundle: folder };
    await takeIn(copy, source);
    await assertExtends(copy, microgrid, had, records);
    if (had > records) {
      throw new RestoreRefused(
        `the database has ${had} records of ${microgrid}, the bundle ${records}: there is nothing to bring`,
      );
    }
    const rows = await merge(copy, source, microgrid);
    await writeTiles(copy, microgrid);
    await copy.commit();
    return { microgrid, had, has: records, rows };
  } catch (error) {
    throw explained(error, tableFile);
  } finally {
    await copy.close();
  }
}

/** Rows of a backup that belong to no microgrid. @throws RestoreRefused */
export async function restoreDeployment(url: string, backup: Backup): Promise<void> {
  const copy = await TableCopy.writing(url);
  try {
    await assertSchema(copy, backup.manifest.schema);
    const folder = backup.deployment;
    const shapes = await shapesIn(copy, folder, deploymentFile);
    const source = { folder, fileOf: deploymentFile, shapes, bundle: null };
    await takeIn(copy, source);
    await merge(copy, source, null);
    await copy.commit();
  } catch (error) {
    throw explained(error, deploymentFile);
  } finally {
    await copy.close();
  }
}

async function assertSchema(copy: TableCopy, written: number): Promise<void> {
  const [run] = await copy.query<{ count: string }>(store.MIGRATIONS_RUN);
  const own = Number(run!.count);
  if (written === own) return;
  const which = written < own ? 'an older' : 'a newer';
  throw new RestoreRefused(
    `it was written by ${which} version (${written} migrations, here ${own}): restore it with that version, and then upgrade`,
  );
}

/** @returns how many records there are; nobody adds one until the transaction ends */
async function lockOwn(copy: TableCopy, microgrid: string): Promise<number> {
  const [head] = await copy.query<{ sequence: string; busy: boolean; holder: string }>(
    store.LOCK_HEAD,
    [microgrid],
  );
  if (head?.busy) {
    throw new RestoreRefused(
      `the service is at work on ${microgrid} (${head.holder}): stop it, and try again in a minute`,
    );
  }
  return Number(head?.sequence ?? 0);
}

async function shapesIn(
  copy: TableCopy,
  folder: Folder,
  fileOf: (table: string) => string,
): Promise<TableShape[]> {
  const shapes = await copy.tables();
  const known = new Set(shapes.map(({ table }) => fileOf(table)));
  const within = fileOf('').split('/')[0]!;
  const stray = folder.manifest.files.find(
    ({ path }) => path.startsWith(`${within}/`) && !known.has(path),
  );
  if (stray) throw fault(stray.path, 'file', 'name', 'the name of a table', stray.path);
  return shapes.filter(({ table }) => folder.has(fileOf(table)));
}

/** Puts every file into a temporary table. */
async function takeIn(copy: TableCopy, { folder, fileOf, shapes, bundle }: Source): Promise<void> {
  for (const shape of shapes) {
    const { table } = shape;
    await copy.change(store.createIncoming(shape));
    const columns = columnsOf(shape);
    await copy.copyIn(store.incoming(table), columns, folder.stream(fileOf(table)));
    if (table !== 'log_entry' || !bundle) continue;
    const rows = entryRows(bundle);
    const names = ['microgrid_id', 'entry_index', 'entry'];
    await copy.copyIn(store.incoming(table), names, csvOf(names, rows));
  }
}

async function* entryRows(folder: BundleFolder) {
  const { microgrid } = folder.manifest;
  let index = 0;
  for await (const entries of folder.entries()) {
    for (const entry of entries) yield [microgrid, index++, entry] as const;
  }
}

/** As far as both go, every entry of the database stands in the bundle's log, at the same place. */
async function assertExtends(
  copy: TableCopy,
  microgrid: string,
  had: number,
  records: number,
): Promise<void> {
  const [parted] = await copy.query<{ index: string }>(store.PARTED, [microgrid, records]);
  if (parted) {
    throw new RestoreRefused(
      `the bundle's log is not the one of this database: they part at entry ${parted.index} of ${had}. Keep both, and compare their checkpoints`,
    );
  }
}

async function merge(
  copy: TableCopy,
  { shapes, fileOf }: Source,
  microgrid: string | null,
): Promise<Record<string, number>> {
  const stays = ({ table }: TableShape) => ROWS_THAT_STAY.has(table);
  const shared = microgrid === null ? ROWS_OF_DEPLOYMENT : ROWS_OF_MICROGRID;
  if (microgrid !== null) {
    for (const shape of shapes.toReversed()) {
      if (stays(shape) || shape.table in shared) continue;
      await copy.change(store.removeOthers(shape), [microgrid]);
    }
  }
  const rows: Record<string, number> = {};
  for (const shape of shapes) {
    const columns = columnsOf(shape);
    const statement = stays(shape)
      ? store.insertMissing(shape, columns)
      : store.putAll(shape, columns);
    rows[shape.table] = await copy.change(statement).catch((error: unknown) => {
      throw explained(error, fileOf, shape.table);
    });
    if (!stays(shape)) continue;
    const [other] = await copy.query<{ row: string }>(store.contradicting(shape, columns));
    if (other) {
      throw fault(fileOf(shape.table), other.row, 'row', 'as it is in the database', 'another');
    }
  }
  return rows;
}

/** The tree over all entries, as tiles. */
async function writeTiles(copy: TableCopy, microgrid: string): Promise<void> {
  let partial: readonly Tile[] = [];
  let size = 0;
  const put = (tiles: readonly Tile[]) =>
    copy.change(store.PUT_TILES, [
      microgrid,
      tiles.map(({ level }) => level),
      tiles.map(({ tile }) => tile),
      tiles.map(({ hashes }) => Buffer.from(hashes)),
    ]);
  const select = store.OWN_ENTRIES.replace(':microgrid', literal(microgrid));
  for await (const rows of copy.rows<{ entry: Buffer }>(select)) {
    const hashes = rows.map(({ entry }) => leafHash(entry));
    const changed = extendTiles(size, hashes, partial);
    size += hashes.length;
    const edge = new Map(partialTilesOf(size).map(({ level, tile }) => [level, tile]));
    const isOpen = ({ level, tile }: Tile) => edge.get(level) === tile;
    const kept = partial.filter(
      (old) => isOpen(old) && !changed.some(({ level }) => level === old.level),
    );
    await put(changed.filter((one) => !isOpen(one)));
    partial = [...kept, ...changed.filter(isOpen)];
  }
  await put(partial);
}

/** PostgreSQL's refusal of a row as the file, line and column it stands in; other errors as they are. */
function explained(error: unknown, fileOf: (table: string) => string, table?: string): unknown {
  if (!(error instanceof pg.DatabaseError)) return error;
  const [, copied, line, column] =
    /^COPY incoming_(\w+), line (\d+)(?:, column (\w+))?/.exec(error.where ?? '') ?? [];
  const of = copied ?? table;
  // Classes 22 and 23: values that a column cannot hold, and rows that break a rule of their table;
  // 21000: two rows of one key.
  if (of === undefined || !/^(2[23]|21000)/.test(error.code ?? '')) return error;
  const row = line === undefined ? (error.detail ?? 'some row') : `line ${line}`;
  const field = column ?? error.column ?? error.constraint ?? 'row';
  return fault(fileOf(of), row, field, 'a row of this table', error.message);
}

function fault(file: string, row: string, field: string, expected: string, found: string) {
  const finding: Finding = { table: file, row, field, expected, found };
  const where = `${file} [${row}] ${field}`;
  return new RestoreRefused(`${where}: expected ${expected}, found ${found}`, finding);
}
