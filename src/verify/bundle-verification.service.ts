import { createInterface } from 'node:readline';
import { DatabaseService } from '../database/database.service.js';
import { MalformedError } from '../transparency/bytes.js';
import { tableFile, type BundleManifest } from './bundle.js';
import { BundleFolder } from './bundle-folder.service.js';
import { OPENINGS } from './bundle-openings.js';
import { Findings, type Finding } from './finding.js';
import { handedKeys } from './log-keys.js';
import {
  trustInKey,
  trustInPolicy,
  verifierKeyIn,
  verifierKeysIn,
  type LogTrust,
} from './log-trust.js';
import { OpeningCheck } from './opening-check.js';
import { checkPublicLog, readFile, type KeptCheckpoint, type PublicLog } from './public-log.js';
import { restoreBundle, RestoreRefused } from './restore.service.js';
import type { MicrogridReport } from './verification.service.js';
import { VerifyService } from './verify.service.js';

/** An empty database to tell an operator's bundle again in, which is gone afterwards. */
export interface Scratch {
  /** With the log-in of its owner. */
  ownerUrl: string;
  drop(): Promise<void>;
}

export interface BundleReport {
  manifest: BundleManifest | null;
  log: PublicLog | null;
  /** Records of which fields were opened. */
  openings: number;
  /** What the records told again say; null where the bundle has none, or could not be read so far. */
  told: MicrogridReport | null;
  findings: Finding[];
}

const MAX_FINDINGS = 20;
const MOST_KEY_BYTES = 65_536;

/**
 * A bundle verified from nothing but its files: each is what the manifest says, the tree is that of
 * its entries, the checkpoint is signed, openings give their entries; an operator's is also told again
 * in full, in an empty database, exactly as `verify` does against the service's own.
 * @param trust whose signatures count; null takes the bundle's own word for it
 * @param scratch null leaves the telling again to whoever restores it
 * @throws RestoreRefused where the tables were written by another version
 */
export async function verifyBundle(
  path: string,
  trust: LogTrust | null,
  kept: readonly KeptCheckpoint[],
  scratch: (() => Promise<Scratch>) | null,
): Promise<BundleReport> {
  const findings = new Findings(MAX_FINDINGS);
  const report: BundleReport = {
    manifest: null,
    log: null,
    openings: 0,
    told: null,
    findings: findings.all,
  };
  const folder = await BundleFolder.open(path, findings);
  if (!folder) return report;
  report.manifest = folder.manifest;
  await folder.check(findings);
  const believed = await trustIn(folder, trust, findings);
  if (!believed) return report;
  report.log = await checkPublicLog(folder, believed, kept, findings);
  if (!report.log) return report;
  compareManifest(folder.manifest, report.log, findings);
  // What was told from damaged files would only be told wrongly.
  if (findings.all.length > 0) return report;
  if (folder.has(OPENINGS)) report.openings = await checkOpenings(folder, findings);
  if (folder.manifest.for === 'operator' && scratch) {
    report.told = await tellAgain(folder, believed, kept, scratch, findings);
  }
  return report;
}

/** Key and policy in the bundle are those that are believed. */
async function trustIn(
  folder: BundleFolder,
  given: LogTrust | null,
  findings: Findings,
): Promise<LogTrust | null> {
  const policy = await parsed(folder, 'policy', trustInPolicy, findings);
  const key = await parsed(
    folder,
    'vkey',
    (bytes) => trustInLine(Buffer.from(bytes).toString('utf8')),
    findings,
  );
  const believed = given ?? policy;
  if (!believed) return null;
  const expected = verifierKeyIn(believed);
  if (key) findings.same('vkey', 'file', 'key', expected, verifierKeyIn(key));
  if (policy) findings.same('policy', 'log', 'key', expected, verifierKeyIn(policy));
  return believed;
}

function trustInLine(text: string): LogTrust {
  const trust = trustInKey(text);
  if (text === `${verifierKeyIn(trust)}\n`) return trust;
  throw new MalformedError('a key in another spelling');
}

async function parsed(
  folder: BundleFolder,
  path: string,
  parse: (bytes: Uint8Array) => LogTrust,
  findings: Findings,
): Promise<LogTrust | null> {
  const bytes = await readFile(folder, path, MOST_KEY_BYTES, findings);
  if (!bytes) return null;
  try {
    return parse(bytes);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    findings.add(path, 'file', 'bytes', `a ${path} of C2SP`, error.message);
    return null;
  }
}

function compareManifest(manifest: BundleManifest, log: PublicLog, findings: Findings): void {
  const same = (field: string, expected: unknown, found: unknown) =>
    findings.same('manifest.json', 'file', field, expected, found);
  same('origin', log.checkpoint.origin, manifest.origin);
  same('size', log.checkpoint.size, manifest.size);
  if (!manifest.origin.endsWith(`/${manifest.microgrid}`)) {
    same('microgrid', `the end of ${manifest.origin}`, manifest.microgrid);
  }
}

/** Openings and entries, each walked once, in the order of the records. */
async function checkOpenings(folder: BundleFolder, findings: Findings): Promise<number> {
  const { microgrid, size } = folder.manifest;
  const check = new OpeningCheck(microgrid, folder.manifest.for, findings);
  const bundles = folder.entries();
  let entries: Uint8Array[] = [];
  let first = 0;
  for await (const line of createInterface({ input: folder.stream(OPENINGS) })) {
    if (findings.full) break;
    const opening = check.read(line);
    if (!opening) continue;
    const index = opening.sequence - 1;
    if (index < first || index >= size) {
      const expected = `from ${first + 1} to ${size}`;
      findings.add(OPENINGS, `line ${check.count}`, 'sequence', expected, opening.sequence);
      continue;
    }
    while (index >= first + entries.length) {
      first += entries.length;
      entries = (await bundles.next()).value as Uint8Array[];
    }
    check.compare(opening.sequence, opening.leaves, entries[index - first]!);
  }
  check.end();
  return check.count;
}

async function tellAgain(
  folder: BundleFolder,
  trust: LogTrust,
  kept: readonly KeptCheckpoint[],
  scratch: () => Promise<Scratch>,
  findings: Findings,
): Promise<MicrogridReport | null> {
  const { microgrid, records } = folder.manifest;
  const empty = await scratch();
  try {
    await restoreBundle(empty.ownerUrl, folder);
    const database = await DatabaseService.open({
      url: empty.ownerUrl,
      role: 'owner',
      poolSize: 2,
    });
    try {
      const service = new VerifyService(database);
      const keys = handedKeys(verifierKeysIn(trust));
      const told = await service.verify(
        microgrid,
        keys,
        kept.map(({ note }) => note),
      );
      for (const { table, row, field, expected, found } of told.findings) {
        findings.add(fileOf(table), row, field, expected, found);
      }
      findings.same('manifest.json', 'file', 'records', told.records, records);
      return told;
    } finally {
      await database.close();
    }
  } catch (error) {
    if (!(error instanceof RestoreRefused) || !error.finding) throw error;
    const { table, row, field, expected, found } = error.finding;
    findings.add(table, row, field, expected, found);
    return null;
  } finally {
    await empty.drop();
  }
}

/** Where a row lies that `verify` names. */
function fileOf(table: string): string {
  return table === 'log_tile' ? 'tile' : tableFile(table);
}
