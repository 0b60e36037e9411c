import 'reflect-metadata';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadSettings, type Settings } from '../config.js';
import { openDatabase } from '../database/open-database.service.js';
import { ErasureService } from '../erasure.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { trustAtHand } from '../log-keys-at-hand.js';
import { restoreFrom, type RestoreReport } from '../restore-from.js';
import type { LogKeyFiles } from '../verify/backup.service.js';
import { RestoreRefused } from '../verify/restore.service.js';

const HELP = `npm run restore -- --from DIR_OR_URL [--microgrid ID] [--json]

Brings what a backup or an operator's bundle has and the database lacks: into an empty database, or
into one that is behind, such as an older backup. The log there must extend the database's own. Then
it erases again what had been erased, and verifies. Stop the service before. It can be interrupted at
any moment: each microgrid is restored as a whole or not at all, and running it again goes on.

From the URL of a log, or a bundle that was made for somebody else, nothing can be restored: it says
how many records are missing.

  --from DIR_OR_URL  a folder of npm run backup or npm run export, or a log behind a web server
  --microgrid ID     of a backup only this one
  --vkey KEY         the logs' verifier keys, where DATA_DIR/keys/log.seed is not at hand
  --json             one JSON document on standard output

Exits 1 when it is refused or the result does not verify, 2 when it cannot be done.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      from: { type: 'string' },
      microgrid: { type: 'string' },
      vkey: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { from, microgrid } = values;
  if (from === undefined) throw new Error('--from is needed; see --help');
  const settings = loadSettings(process.env);
  const database = await openDatabase(settings, 'owner');
  try {
    const started = Date.now();
    const reports = await restoreFrom(database, {
      from: /^https?:/.test(from) ? from : resolve(from),
      ...(microgrid === undefined ? {} : { microgrid }),
      trustIn: (one) =>
        values.vkey.length > 0 || existsSync(seedOf(settings))
          ? trustAtHand(settings, values.vkey, one)
          : null,
      takeKeys: (keys) => takeKeys(settings, keys),
      replayErasures: (one) => replayErasures(settings, one),
    });
    const ok = reports.every(({ verified }) => verified.findings.length === 0);
    const seconds = (Date.now() - started) / 1000;
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ ok, seconds, microgrids: reports })}\n`);
    } else for (const report of reports) process.stdout.write(readable(report));
    return ok ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RestoreRefused)) throw error;
    process.stderr.write(`restore: ${error.message}\n`);
    return 1;
  } finally {
    await database.close();
  }
}

/** As the eraser, who alone may. @returns of how many households something had come back */
async function replayErasures(settings: Settings, microgrid: string): Promise<number> {
  const database = await openDatabase(settings, 'eraser');
  try {
    const erased = await new ErasureService(database, new LedgerService()).replay(microgrid);
    return erased.filter(({ rows }) => Object.values(rows).some((count) => count > 0)).length;
  } finally {
    await database.close();
  }
}

function seedOf({ dataDir }: Settings): string {
  return join(dataDir, 'keys', 'log.seed');
}

/** Keys that are there are the ones, or nothing is restored: two would sign two histories. */
async function takeKeys({ dataDir }: Settings, keys: LogKeyFiles): Promise<void> {
  for (const [path, bytes] of keys) {
    const file = join(dataDir, path);
    const own = await readFile(file).catch(() => null);
    if (own && !own.equals(bytes)) {
      throw new RestoreRefused(`${file} is not the backup's: put one of the two away`);
    }
    if (own) continue;
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, bytes, { flag: 'wx', mode: 0o600 });
  }
}

function readable({ microgrid, had, has, erased, verified }: RestoreReport): string {
  const brought = had === has ? 'nothing was missing' : `${has - had} records were missing`;
  const again = erased === 0 ? '' : `; ${erased} households erased again`;
  const { findings } = verified;
  const verdict = findings.length === 0 ? 'everything fits' : 'IT DOES NOT VERIFY';
  const lines = findings.map(
    ({ table, row, field, expected, found }) =>
      `  ${table} [${row}] ${field}: expected ${expected}, found ${found}\n`,
  );
  return `${microgrid}: ${brought}, ${has} are there${again}; ${verdict}\n${lines.join('')}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`restore: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
