import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Findings } from '../../verify/finding.js';
import { HttpLog } from '../../verify/http-log.service.js';
import { formatTilePath, TILE_WIDTH, tileHashReader } from '../../transparency/tile.js';
import { trustInPolicy, verifierKeysIn, type LogTrust } from '../../verify/log-trust.js';
import {
  checkPublicLog,
  readFile,
  type KeptCheckpoint,
  type LogSource,
  type PublicLog,
} from '../../verify/public-log.js';
import { PublicManifests } from '../../verify/public-manifests.js';
import { keepEvidence } from './evidence.js';
import {
  inFiles,
  keptCheckpoints,
  report,
  shown,
  signedBy,
  TRUST_HELP,
  TRUST_OPTIONS,
  trustGiven,
} from './trust.js';

const HELP = `npm run verify -- http URL [--microgrid ID] [--policy FILE | --vkey KEY] [--remember FILE]

Verifies a log from its public files alone: the tree is built from all entries, tiles and checkpoint
are held against it, and it must contain every checkpoint that you kept. URL is that of the service,
with --microgrid, which also holds the windows that its manifests opened to the log; or that of any
log in the C2SP layout, such as an exported bundle behind a web server. Exits 1 and names the first file that does not fit, 2 when it cannot look.

  --microgrid ID     which log of the service
  --evidence DIR     where a file is written when the log contradicts a checkpoint that you kept
                     (default the current folder); npm run verify -- evidence FILE checks it
  --remember FILE    holds the log to the checkpoint kept there, and then keeps the new one
${TRUST_HELP}`;

const MAX_FINDINGS = 20;
const MOST_POLICY_BYTES = 1_048_576;

/** `npm run verify -- http`. @returns the exit status */
export async function verifyHttpCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      ...TRUST_OPTIONS,
      microgrid: { type: 'string' },
      remember: { type: 'string' },
      evidence: { type: 'string', default: '.' },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [url, ...more] = positionals;
  if (url === undefined || more.length > 0) throw new Error('name one URL; see --help');
  const { microgrid, remember } = values;
  if (microgrid !== undefined && !/^[A-Za-z0-9_-]{1,64}$/.test(microgrid)) {
    throw new Error(`${microgrid} is no id of a microgrid`);
  }
  const source = new HttpLog(
    microgrid === undefined ? url : `${url.replace(/\/+$/, '')}/log/${microgrid}`,
  );
  const started = Date.now();
  const findings = new Findings(MAX_FINDINGS);
  const given = trustGiven(values);
  const files = remember !== undefined && existsSync(remember) ? [remember] : [];
  const kept = keptCheckpoints([...values.checkpoint, ...files]);
  const trust = given ?? (await servedTrust(source, findings));
  const manifests =
    trust && microgrid !== undefined
      ? await PublicManifests.read(source, microgrid, trust, findings)
      : null;
  const log = trust && (await checkPublicLog(source, trust, kept, findings, manifests?.take));
  const ok = findings.all.length === 0;
  if (!ok && trust && log) await keepContradictions(values.evidence, source, trust, kept, log);
  if (ok && log && remember !== undefined) keep(remember, log.note);
  if (values.json) {
    const seconds = (Date.now() - started) / 1000;
    const document = {
      ok,
      seconds,
      url,
      checkpoint: shown(log),
      windows: manifests?.windows ?? null,
      findings: inFiles(findings.all),
    };
    process.stdout.write(`${JSON.stringify(document)}\n`);
    return ok ? 0 : 1;
  }
  const facts = signedBy(log, given === null);
  if (manifests) facts.push(`${manifests.windows} windows of manifests are open, and add up`);
  if (ok && kept.length > 0) facts.push(`it contains ${kept.map(({ name }) => name).join(', ')}`);
  process.stdout.write(report(url, findings.all, facts));
  return ok ? 0 : 1;
}

/** The server's own word for whose signatures count, for who comes for the first time. */
async function servedTrust(source: HttpLog, findings: Findings): Promise<LogTrust | null> {
  const bytes = await readFile(source, 'policy', MOST_POLICY_BYTES, findings);
  if (!bytes) return null;
  try {
    return trustInPolicy(bytes);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    findings.add('policy', 'file', 'bytes', 'a tlog-policy of C2SP', found);
    return null;
  }
}

/** A kept checkpoint that the served one contradicts is evidence against the log, for everybody. */
async function keepContradictions(
  folder: string,
  source: LogSource,
  trust: LogTrust,
  kept: readonly KeptCheckpoint[],
  served: PublicLog,
): Promise<void> {
  const { size } = served.checkpoint;
  const read = tileHashReader(size, (tiles) =>
    Promise.all(
      tiles.map(async (tile) => {
        const bytes = await source.read(formatTilePath(tile), 32 * TILE_WIDTH);
        return bytes ?? new Uint8Array();
      }),
    ),
  );
  for (const { note } of kept) {
    await keepEvidence(folder, verifierKeysIn(trust), [note, served.note], read);
  }
}

function keep(file: string, note: string): void {
  writeFileSync(`${file}.new`, note);
  renameSync(`${file}.new`, file);
}
