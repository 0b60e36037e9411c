import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BACKUP_FORMAT, MANIFEST, parseBackupManifest, type BackupManifest } from './bundle.js';
import { BundleWriter, exists, filesOf, Folder } from './bundle-folder.service.js';
import { ROWS_OF_DEPLOYMENT } from './bundle-tables.store.js';
import { exportIn, ExportRefused, selectOf } from './export.service.js';
import * as store from './export.store.js';
import type { Findings } from './finding.js';
import type { LogTrust } from './log-trust.js';
import { TableCopy } from './table-copy.store.js';

/** Where a log's keys lie, in a backup that has them as in `DATA_DIR`; all but the seed may be absent. */
export const KEYS = ['keys/log.seed', 'keys/retired.policy', 'keys/origins.json'] as const;

/** What lies there, by path. */
export type LogKeyFiles = ReadonlyMap<string, Buffer>;

/** Where the rows of a table lie that belong to no microgrid. */
export function deploymentFile(table: string): string {
  return `deployment/${table}.csv`;
}

/** A bundle of every microgrid and what belongs to none of them, all of one moment. */
export async function writeBackup(
  url: string,
  trustIn: (microgrid: string) => LogTrust,
  out: string,
  keys: LogKeyFiles,
): Promise<BackupManifest> {
  if (await exists(out)) throw new ExportRefused(`${out} exists already: choose another folder`);
  const copy = await TableCopy.snapshot(url);
  const writer = await BundleWriter.begin(out, true);
  try {
    const [state] = await copy.query<{ schema: string }>(store.SCHEMA);
    const microgrids = await copy.query<{ id: string }>(store.JOURNALS);
    for (const { id: microgrid } of microgrids) {
      const folder = await writer.folderFor(`microgrids/${microgrid}`);
      const request = { microgrid, receiver: 'operator' as const, out: folder };
      await exportIn(copy, trustIn(microgrid), request);
      await writer.adopt(`microgrids/${microgrid}/${MANIFEST}`);
    }
    for (const shape of await copy.tables()) {
      const select = selectOf(shape, ROWS_OF_DEPLOYMENT, null);
      if (!select) continue;
      await writer.stream(deploymentFile(shape.table), copy.copyOut(select));
    }
    for (const [path, bytes] of keys) await writer.write(path, bytes);
    return await writer.finish<BackupManifest>(
      {
        format: BACKUP_FORMAT,
        schema: Number(state!.schema),
        microgrids: microgrids.map(({ id }) => id),
      },
      'nothing',
    );
  } catch (error) {
    await writer.abandon();
    throw error;
  } finally {
    await copy.close();
  }
}

/** A backup that lies in a folder, its own files checked. @returns null where something is wrong */
export async function openBackup(path: string, findings: Findings): Promise<Backup | null> {
  const manifest = parseBackupManifest(await readFile(join(path, MANIFEST), 'utf8'));
  const folder = new Folder(path, manifest);
  const inBundles = /^microgrids\/[^/]+\/(?!manifest\.json$)/;
  await folder.checkFiles(
    (await filesOf(path)).filter((file) => !inBundles.test(file)),
    findings,
  );
  return findings.all.length > 0 ? null : new Backup(path, manifest, folder);
}

const MOST_KEY_BYTES = 1_048_576;

export class Backup {
  constructor(
    readonly path: string,
    readonly manifest: BackupManifest,
    /** What belongs to no microgrid. */
    readonly deployment: Folder,
  ) {}

  bundleOf(microgrid: string): string {
    return join(this.path, 'microgrids', microgrid);
  }

  /** Empty where the backup was made without keys. */
  async keys(): Promise<LogKeyFiles> {
    const keys = new Map<string, Buffer>();
    for (const path of KEYS) {
      if (!this.deployment.has(path)) continue;
      keys.set(path, (await this.deployment.read(path, MOST_KEY_BYTES))!);
    }
    return keys;
  }
}
