import { Readable } from 'node:stream';
import { openRecord } from '../ledger/opening.js';
import type { RecordBody } from '../ledger/record.js';
import { CompactRange, leafHash } from '../transparency/merkle-tree.js';
import {
  encodeEntryBundle,
  extendTiles,
  formatTilePath,
  partialTilesOf,
  TILE_WIDTH,
  type Tile,
} from '../transparency/tile.js';
import { BUNDLE_FORMAT, tableFile, type BundleManifest, type Receiver } from './bundle.js';
import { BundleFolder, BundleWriter, exists } from './bundle-folder.service.js';
import { fieldsPublic, fieldsShown, KINDS_SHOWN, OPENINGS } from './bundle-openings.js';
import { NOT_EXPORTED, NOT_EXPORTED_COLUMNS, ROWS_OF_MICROGRID } from './bundle-tables.store.js';
import * as store from './export.store.js';
import { Findings } from './finding.js';
import {
  openSigned,
  trustInPolicy,
  verifierKeyIn,
  withoutWitnesses,
  type LogTrust,
} from './log-trust.js';
import { formatPolicy } from '../transparency/tlog-policy.js';
import { literal, TableCopy, type TableShape } from './table-copy.store.js';

/** Why nothing was exported, for whoever asked. */
export class ExportRefused extends Error {
  override name = 'ExportRefused';
}

export interface ExportRequest {
  microgrid: string;
  receiver: Receiver;
  /** Where the bundle is to lie. */
  out: string;
  /** The size of the bundle that lies there already and is extended. */
  since?: number;
  /** The person it is made for, who is granted a look; without one there is nothing but the log. */
  person?: string;
  /** Notes that it is handed out, before it is; what fails then is not. */
  note?: () => Promise<void>;
}

/**
 * Writes a bundle from one snapshot of the database, all of it or nothing.
 * @throws ExportRefused saying what is in the way
 */
export async function exportBundle(
  url: string,
  trust: LogTrust,
  request: ExportRequest,
): Promise<BundleManifest> {
  const copy = await TableCopy.snapshot(url);
  try {
    return await exportIn(copy, trust, request);
  } finally {
    await copy.close();
  }
}

/** The same in a snapshot that is open, so that several bundles can be of one moment. */
export async function exportIn(
  copy: TableCopy,
  trust: LogTrust,
  request: ExportRequest,
): Promise<BundleManifest> {
  const { microgrid, receiver, out } = request;
  const [head] = await copy.query<{ records: string; schema: string }>(store.HEAD, [microgrid]);
  if (!head) throw new ExportRefused(`there is no journal of a microgrid ${microgrid}`);
  await assertGranted(copy, request);
  const { note, by } = await published(copy, microgrid, trust);
  const verdict = openSigned(note, by);
  if (typeof verdict === 'string') {
    throw new ExportRefused(`the last checkpoint of ${microgrid} is not good: ${verdict}`);
  }
  const { checkpoint } = verdict;
  const before = await bundleBefore(request);
  const writer = await BundleWriter.begin(out, receiver === 'operator');
  try {
    if (before) writer.reuse(before);
    await writer.write('checkpoint', note);
    await writer.write('vkey', `${verifierKeyIn(trust)}\n`);
    await writer.write('policy', formatPolicy(by.policy));
    const roots = await writeTree(copy, writer, microgrid, checkpoint.size, before?.manifest.size);
    assertRoot(microgrid, checkpoint.root, roots.now);
    if (before) await assertExtends(before, trust, roots.before);
    if (receiver === 'operator') await writeTables(copy, writer, microgrid, checkpoint.size);
    else await writer.stream(OPENINGS, openings(copy, checkpoint.size, request));
    const manifest: Omit<BundleManifest, 'files'> = {
      format: BUNDLE_FORMAT,
      for: receiver,
      microgrid,
      origin: checkpoint.origin,
      size: checkpoint.size,
      records: receiver === 'operator' ? Number(head.records) : checkpoint.size,
      schema: Number(head.schema),
    };
    await request.note?.();
    return await writer.finish<BundleManifest>(manifest, before ? 'a bundle' : 'nothing');
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/**
 * The latest checkpoint that may be handed out, and the policy by which it is good: where witnesses
 * have cosigned any, the last of those, whatever this command was told of witnesses.
 */
async function published(copy: TableCopy, microgrid: string, trust: LogTrust) {
  const [row] = await copy.query<{ note: string; policy: Buffer | null }>(store.PUBLISHED, [
    microgrid,
  ]);
  if (!row) throw new ExportRefused(`the log of ${microgrid} has no checkpoint yet`);
  return { note: row.note, by: row.policy ? trustInPolicy(row.policy) : trust };
}

/** An auditor is somebody; a regulator without a name gets what everybody may have. */
async function assertGranted(copy: TableCopy, request: ExportRequest): Promise<void> {
  const { microgrid, receiver, person } = request;
  if (receiver === 'operator') return;
  if (person === undefined) {
    if (receiver === 'regulator') return;
    throw new ExportRefused('an auditor is a person: say which with --to');
  }
  const granted = await copy.query(store.GRANTED, [microgrid, person, receiver]);
  if (granted.length > 0) return;
  throw new ExportRefused(`${person} has no grant as ${receiver} for ${microgrid}`);
}

/** The bundle that is to be extended, which must be whole and the one that was meant. */
async function bundleBefore(request: ExportRequest): Promise<BundleFolder | null> {
  const { out, since, microgrid, receiver } = request;
  if (since === undefined) {
    if (!(await exists(out))) return null;
    throw new ExportRefused(`${out} exists already: choose another folder, or extend it (--since)`);
  }
  const findings = new Findings(1);
  const before = await BundleFolder.open(out, findings);
  await before?.check(findings);
  const [fault] = findings.all;
  if (fault) {
    const { table, field, expected, found } = fault;
    throw new ExportRefused(
      `the bundle in ${out} is not whole: ${table} ${field}: expected ${expected}, found ${found}`,
    );
  }
  const { manifest } = before!;
  const is = { microgrid: manifest.microgrid, for: manifest.for, since: manifest.size };
  const wanted = { microgrid, for: receiver, since };
  for (const name of ['microgrid', 'for', 'since'] as const) {
    if (is[name] === wanted[name]) continue;
    throw new ExportRefused(`the bundle in ${out} has ${name} ${is[name]}, not ${wanted[name]}`);
  }
  return before;
}

function assertRoot(microgrid: string, signed: Uint8Array, built: Uint8Array): void {
  if (Buffer.compare(signed, built) === 0) return;
  throw new ExportRefused(
    `the log of ${microgrid} is not what its checkpoint says: run npm run verify`,
  );
}

/** A folder that somebody verified must never come to say something else. */
async function assertExtends(
  before: BundleFolder,
  trust: LogTrust,
  root: Uint8Array | undefined,
): Promise<void> {
  const note = await before.read('checkpoint', 65_536);
  const verdict = note ? openSigned(note, withoutWitnesses(trust)) : 'no checkpoint';
  const isSame =
    typeof verdict !== 'string' && root && Buffer.compare(verdict.checkpoint.root, root) === 0;
  if (isSame) return;
  throw new ExportRefused(
    `the log in the database does not extend the one in ${before.path}: keep both, and compare their checkpoints`,
  );
}

/** Entries and tiles of the tree in the C2SP layout, as the entries come. */
async function writeTree(
  copy: TableCopy,
  writer: BundleWriter,
  microgrid: string,
  size: number,
  sizeBefore: number | undefined,
): Promise<{ now: Uint8Array; before: Uint8Array | undefined }> {
  const range = CompactRange.empty();
  let partial: readonly Tile[] = [];
  let before: Uint8Array | undefined;
  let waiting: Buffer[] = [];
  const writeBundle = async (entries: readonly Buffer[]) => {
    const tile = Math.floor(range.size / TILE_WIDTH);
    const path = formatTilePath({ level: 'entries', tile, width: entries.length });
    await writer.write(path, encodeEntryBundle(entries));
    const hashes = entries.map(leafHash);
    const tiles = extendTiles(range.size, hashes, partial);
    for (const hash of hashes) {
      range.append(hash);
      if (range.size === sizeBefore) before = range.root();
    }
    const open = new Map(partialTilesOf(range.size).map(({ level, tile: at }) => [level, at]));
    const isOpen = (one: Tile) => open.get(one.level) === one.tile;
    const kept = partial.filter(
      (old) => isOpen(old) && !tiles.some(({ level }) => level === old.level),
    );
    for (const one of tiles) if (!isOpen(one)) await writeTile(writer, one);
    partial = [...kept, ...tiles.filter(isOpen)];
  };
  const select = filled(store.ENTRIES, microgrid, size);
  for await (const rows of copy.rows<{ entry: Buffer }>(select)) {
    waiting.push(...rows.map(({ entry }) => entry));
    for (; waiting.length >= TILE_WIDTH; waiting = waiting.slice(TILE_WIDTH)) {
      await writeBundle(waiting.slice(0, TILE_WIDTH));
    }
  }
  if (waiting.length > 0) await writeBundle(waiting);
  for (const tile of partial) await writeTile(writer, tile);
  return { now: range.root(), before };
}

async function writeTile(writer: BundleWriter, { level, tile, hashes }: Tile): Promise<void> {
  await writer.write(formatTilePath({ level, tile, width: hashes.length / 32 }), hashes);
}

async function writeTables(
  copy: TableCopy,
  writer: BundleWriter,
  microgrid: string,
  size: number,
): Promise<void> {
  for (const shape of await copy.tables()) {
    const select = selectOf(shape, ROWS_OF_MICROGRID);
    if (!select) continue;
    await writer.stream(tableFile(shape.table), copy.copyOut(filled(select, microgrid, size)));
  }
}

/** The columns of a table that are exported. */
export function columnsOf({ table, columns }: TableShape): string[] {
  const leftOut = NOT_EXPORTED_COLUMNS[table] ?? [];
  return columns.filter((column) => !leftOut.includes(column));
}

/** The rows of a table by their key, or null where it has no place. */
export function selectOf(
  shape: TableShape,
  rows: Readonly<Record<string, string>>,
  ofEvery: string | null = 'microgrid_id = :microgrid',
): string | null {
  const { table, columns, key } = shape;
  if (table in NOT_EXPORTED) return null;
  const condition = rows[table] ?? (columns.includes('microgrid_id') ? ofEvery : null);
  if (condition === null) return null;
  const order = key.length > 0 ? ` ORDER BY ${key.join(', ')}` : '';
  return `SELECT ${columnsOf(shape).join(', ')} FROM ${table} WHERE ${condition}${order}`;
}

/** One opened record a line; for nobody in particular, what is open to everyone. */
function openings(
  copy: TableCopy,
  size: number,
  { microgrid, receiver, person }: ExportRequest,
): AsyncIterable<Buffer> {
  const kinds = KINDS_SHOWN.map(literal).join(', ');
  const select = filled(store.RECORDS_TO_OPEN.replace(':kinds', kinds), microgrid, size);
  return Readable.from(
    (async function* lines() {
      for await (const rows of copy.rows<{ bytes: Buffer; key: Buffer }>(select)) {
        for (const { bytes, key } of rows) {
          const body = JSON.parse(bytes.toString('utf8')) as RecordBody;
          const shown = person === undefined ? fieldsPublic(body) : fieldsShown(body, receiver);
          if (!shown) continue;
          const leaves = openRecord(key, body, (name) => shown.has(name));
          yield Buffer.from(`${JSON.stringify({ sequence: body.sequence, leaves })}\n`);
        }
      }
    })(),
  );
}

function filled(select: string, microgrid: string, size: number): string {
  return select.replaceAll(':microgrid', literal(microgrid)).replaceAll(':size', String(size));
}
