import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadSettings } from '../../config.js';
import { openDatabase } from '../../database/open-database.service.js';
import { keysAtHand } from '../../log-keys-at-hand.js';
import type { DatabaseService } from '../../database/database.service.js';
import { latestCheckpoint, openNote, storedHashes } from '../../verify/log-check.store.js';
import { keepEvidence } from './evidence.js';
import type { LogKeys } from '../../verify/log-keys.js';
import type { MicrogridReport } from '../../verify/verification.service.js';
import { VerifyService } from '../../verify/verify.service.js';

const HELP = `npm run verify -- [--microgrid ID] [--checkpoint FILE]... [--vkey KEY]... [--json]

Recomputes every balance, every energy equation, every hash and every signature from the journal and
the readings it names, and compares all tables with the result. Exits 1 and names the first row that
does not fit, 2 when it cannot look. Settings as for the service (DATABASE_URL, DATA_DIR);
docs/verify.md lists what is covered.

Without a database: npm run verify -- bundle DIR, or http URL; each with --help.

  --microgrid ID     only this microgrid
  --checkpoint FILE  a checkpoint that you kept: the log must still contain it
  --evidence DIR     where a file is written when the log contradicts a checkpoint that you kept
                     (default the current folder); npm run verify -- evidence FILE checks it
  --vkey KEY         the log's verifier key, as /log/ID/vkey tells it, instead of the key in DATA_DIR
  --json             one JSON document on standard output
`;

/** `npm run verify` without a word: against the database. @returns the exit status */
export async function verifyDatabase(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      microgrid: { type: 'string' },
      checkpoint: { type: 'string', multiple: true, default: [] },
      vkey: { type: 'string', multiple: true, default: [] },
      evidence: { type: 'string', default: '.' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const settings = loadSettings(process.env);
  const keys = keysAtHand(settings, values.vkey);
  const kept = values.checkpoint.map((file) => readFileSync(file, 'utf8'));
  const database = await openDatabase(settings);
  try {
    const service = new VerifyService(database);
    const microgrids = await chosen(service, values.microgrid);
    assertKnown(values.checkpoint, kept, microgrids, keys);
    const started = Date.now();
    const reports: MicrogridReport[] = [];
    for (const microgrid of microgrids) reports.push(await service.verify(microgrid, keys, kept));
    for (const { microgrid, findings } of reports) {
      if (findings.length > 0) {
        await keepContradictions(values.evidence, database, microgrid, kept, keys);
      }
    }
    const ok = reports.every(({ findings }) => findings.length === 0);
    const seconds = (Date.now() - started) / 1000;
    if (values.json) {
      process.stdout.write(`${JSON.stringify({ ok, seconds, microgrids: reports })}\n`);
    } else for (const report of reports) process.stdout.write(readable(report));
    return ok ? 0 : 1;
  } finally {
    await database.close();
  }
}

async function chosen(service: VerifyService, microgrid: string | undefined): Promise<string[]> {
  const known = await service.microgrids();
  if (microgrid === undefined) return known;
  if (known.includes(microgrid)) return [microgrid];
  throw new Error(`there is no microgrid ${microgrid}; there are: ${known.join(', ')}`);
}

/** A checkpoint of a log that is not looked at would vouch for nothing. */
function assertKnown(
  files: readonly string[],
  kept: readonly string[],
  microgrids: readonly string[],
  keys: LogKeys,
): void {
  kept.forEach((note, index) => {
    const isOf = (microgrid: string) => openNote(note, microgrid, keys) !== 'other_origin';
    if (microgrids.some(isOf)) return;
    throw new Error(`${files[index]} is no checkpoint of ${microgrids.join(', ')}`);
  });
}

/** A kept checkpoint that a stored one contradicts is evidence against the log, for everybody. */
async function keepContradictions(
  folder: string,
  database: DatabaseService,
  microgrid: string,
  kept: readonly string[],
  keys: LogKeys,
): Promise<void> {
  const own = kept.filter((note) => openNote(note, microgrid, keys) !== 'other_origin');
  const stored = own.length > 0 ? await latestCheckpoint(database, microgrid) : null;
  if (!stored) return;
  const read = storedHashes(database, microgrid, stored.size);
  for (const note of own) {
    await keepEvidence(folder, keys.verifierKeys(microgrid), [note, stored.note], read);
  }
}

function readable(report: MicrogridReport): string {
  const { microgrid, records, slots, readings, checkpoints, signed, findings } = report;
  const { erased, slotsInPart } = report;
  const counted = `${records} records, ${slots} slots, ${readings} readings, ${checkpoints} checkpoints`;
  if (findings.length === 0) {
    const unsigned = records === signed ? '' : `; the last ${records - signed} are not signed yet`;
    const without =
      erased === 0
        ? ''
        : `; ${erased} records erased and not recomputed, ${slotsInPart} slots recomputed without them`;
    return `${microgrid}: everything fits (${counted}${without}${unsigned})\n`;
  }
  const lines = findings.map(
    ({ table, row, field, expected, found }) =>
      `  ${table} [${row}] ${field}: expected ${expected}, found ${found}\n`,
  );
  const found = lines.length === 1 ? 'one thing does' : `${lines.length} things do`;
  return `${microgrid}: ${found} not fit (${counted})\n${lines.join('')}`;
}
