import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadSettings } from '../config.js';
import { openDatabase } from '../database/open-database.service.js';
import { trustAtHand } from '../log-keys-at-hand.js';
import { KEYS, writeBackup, type LogKeyFiles } from '../verify/backup.service.js';
import { ExportRefused } from '../verify/export.service.js';

const HELP = `npm run backup -- --out DIR [--with-keys] [--json]

Writes everything that npm run restore needs, of one moment, while the service works: an operator's
bundle of every microgrid, and the people and devices. The folder is readable by you alone, and holds
whatever the database does: keep it as you keep that. docs/operate.md says what it does not hold.

  --out DIR    where it is to lie: a folder that does not exist yet
  --with-keys  with DATA_DIR/keys, with which the logs are signed. Without it keep that folder
               elsewhere, on its own: who has both can write history anew
  --vkey KEY   the logs' verifier keys, where the seed is not at hand
  --json       one JSON document on standard output

Exits 1 when it is refused, 2 when it cannot be done.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      'with-keys': { type: 'boolean', default: false },
      vkey: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { out } = values;
  if (out === undefined) throw new Error('--out is needed; see --help');
  const settings = loadSettings(process.env);
  const keys = values['with-keys'] ? await readKeys(settings.dataDir) : new Map<string, Buffer>();
  const database = await openDatabase(settings);
  try {
    const started = Date.now();
    const trustIn = (microgrid: string) => trustAtHand(settings, values.vkey, microgrid);
    const { microgrids } = await writeBackup(database.url, trustIn, resolve(out), keys);
    const seconds = (Date.now() - started) / 1000;
    const withKeys = keys.size > 0;
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ out, microgrids, keys: withKeys, seconds })}\n`);
    } else {
      const named = microgrids.length === 0 ? 'no microgrid' : microgrids.join(', ');
      process.stdout.write(`${out}: ${named}, ${withKeys ? 'with' : 'without'} the log's keys\n`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof ExportRefused)) throw error;
    process.stderr.write(`backup: ${error.message}\n`);
    return 1;
  } finally {
    await database.close();
  }
}

/** @throws Error where there is no seed: a backup with keys that cannot sign would be none */
async function readKeys(dataDir: string): Promise<LogKeyFiles> {
  const keys = new Map<string, Buffer>();
  for (const path of KEYS) {
    const file = join(dataDir, path);
    if (path === KEYS[0] || existsSync(file)) keys.set(path, await readFile(file));
  }
  return keys;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`backup: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
