import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseService } from './database/database.service.js';
import { openBackup, type Backup, type LogKeyFiles } from './verify/backup.service.js';
import { isBackup, MANIFEST } from './verify/bundle.js';
import { BundleFolder } from './verify/bundle-folder.service.js';
import { verifyBundle } from './verify/bundle-verification.service.js';
import { Findings, type Finding } from './verify/finding.js';
import { HttpLog } from './verify/http-log.service.js';
import { handedKeys } from './verify/log-keys.js';
import { trustInPolicy, verifierKeyIn, type LogTrust } from './verify/log-trust.js';
import { checkPublicLog, type LogSource } from './verify/public-log.js';
import {
  restoreBundle,
  restoreDeployment,
  RestoreRefused,
  type Restored,
} from './verify/restore.service.js';
import type { MicrogridReport } from './verify/verification.service.js';
import { VerifyService } from './verify/verify.service.js';

/** A restore from whatever there is: a backup, an operator's bundle, or the public files of a log. */

export interface RestoreRequest {
  /** A folder, or the URL of a log. */
  from: string;
  /** Of a backup only this one. */
  microgrid?: string;
  /** Whose signatures count; null takes the word of what is restored from. */
  trustIn(microgrid: string): LogTrust | null;
  /** Takes up the log's keys that a backup brings. @throws RestoreRefused where there are others */
  takeKeys(keys: LogKeyFiles): Promise<void>;
  /** Erases again what had been erased. @returns how many households */
  replayErasures(microgrid: string): Promise<number>;
}

export interface RestoreReport extends Restored {
  /** Households whose erasure was done again. */
  erased: number;
  verified: MicrogridReport;
}

/**
 * @param database opened as its owner: some of the rows are not the service's to change
 * @throws RestoreRefused saying what is in the way, or what is missing and where it might be
 */
export async function restoreFrom(
  database: DatabaseService,
  request: RestoreRequest,
): Promise<RestoreReport[]> {
  const { from, microgrid } = request;
  if (/^https?:\/\//.test(from)) throw await onlyPublic(database, new HttpLog(from), request);
  const manifest = await readFile(join(from, MANIFEST), 'utf8').catch(() => {
    throw new RestoreRefused(`there is no ${MANIFEST} in ${from}: it is no bundle and no backup`);
  });
  if (!isBackup(manifest)) return [await restoreOne(database, from, request)];
  const backup = await wholeBackup(from);
  if (microgrid !== undefined && !backup.manifest.microgrids.includes(microgrid)) {
    throw new RestoreRefused(`${from} has no microgrid ${microgrid}`);
  }
  await request.takeKeys(await backup.keys());
  const wanted = microgrid === undefined ? backup.manifest.microgrids : [microgrid];
  const reports: RestoreReport[] = [];
  for (const one of wanted) {
    reports.push(await restoreOne(database, backup.bundleOf(one), request));
  }
  if (microgrid === undefined) await restoreDeployment(database.url, backup);
  return reports;
}

async function wholeBackup(path: string): Promise<Backup> {
  const findings = new Findings(1);
  const backup = await openBackup(path, findings);
  if (!backup) throw refusedFor(path, findings.all[0]!);
  return backup;
}

async function restoreOne(
  database: DatabaseService,
  path: string,
  request: RestoreRequest,
): Promise<RestoreReport> {
  const findings = new Findings(1);
  const folder = await BundleFolder.open(path, findings);
  if (!folder) throw refusedFor(path, findings.all[0]!);
  const { microgrid } = folder.manifest;
  const trust = request.trustIn(microgrid) ?? trustInPolicy((await folder.read('policy', 65_536))!);
  const checked = await verifyBundle(path, trust, [], null);
  if (checked.findings[0]) throw refusedFor(path, checked.findings[0]);
  if (folder.manifest.for !== 'operator') throw await onlyPublic(database, folder, request);
  const restored = await restoreBundle(database.url, folder);
  const erased = await request.replayErasures(microgrid);
  const keys = handedKeys([verifierKeyIn(trust)]);
  const verified = await new VerifyService(database).verify(microgrid, keys, [checked.log!.note]);
  return { ...restored, erased, verified };
}

/**
 * The public files of a log prove what a database should have, but hold no record: why nothing was
 * restored, and what that says of the database.
 */
async function onlyPublic(
  database: DatabaseService,
  source: LogSource,
  request: RestoreRequest,
): Promise<RestoreRefused> {
  const findings = new Findings(1);
  const policy = await source.read('policy', 1_048_576).catch(() => null);
  if (!policy) return new RestoreRefused(`there is no log at ${request.from}: no policy file`);
  const served = trustInPolicy(policy);
  const microgrid = request.microgrid ?? served.origin.split('/').at(-1)!;
  const [{ count: had }] = (await database.query(OWN_COUNT, [microgrid])) as [{ count: number }];
  let index = 0;
  let parted: number | null = null;
  const log = await checkPublicLog(
    source,
    request.trustIn(microgrid) ?? served,
    [],
    findings,
    async (entries) => {
      const own = await database.query<{ entry: Buffer }>(OWN_ENTRIES, [
        microgrid,
        index,
        index + entries.length,
      ]);
      const other = own.findIndex(({ entry }, at) => Buffer.compare(entry, entries[at]!) !== 0);
      if (other >= 0) parted ??= index + other;
      index += entries.length;
    },
  );
  if (!log || findings.all[0]) return refusedFor(request.from, findings.all[0]!);
  const { size } = log.checkpoint;
  if (parted !== null) {
    return new RestoreRefused(
      `the log at ${request.from} is not the one of this database: they part at entry ${parted}. Keep both, and compare their checkpoints`,
    );
  }
  if (size <= had) {
    return new RestoreRefused(
      `the database has all ${size} entries of the log at ${request.from}, and ${had - size} more: there is nothing to bring`,
    );
  }
  return new RestoreRefused(
    `the log at ${request.from} has ${size} entries, and the database the first ${had}: ${size - had} are missing. What lies there are commitments, without the records, readings and keys behind them: restore those from an operator's bundle or a backup. If there is none, the log has to go on under a new origin (docs/operate.md)`,
  );
}

function refusedFor(path: string, finding: Finding): RestoreRefused {
  const { table, row, field, expected, found } = finding;
  return new RestoreRefused(
    `${path} is damaged: ${table} [${row}] ${field}: expected ${expected}, found ${found}`,
    finding,
  );
}

const OWN_COUNT = `SELECT count(*) AS count FROM log_entry WHERE microgrid_id = $1`;

const OWN_ENTRIES = `
  SELECT entry FROM log_entry
  WHERE microgrid_id = $1 AND entry_index >= $2 AND entry_index < $3 ORDER BY entry_index`;
