import 'reflect-metadata';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadSettings } from '../config.js';
import { openDatabase } from '../database/open-database.service.js';
import { trustAtHand } from '../log-keys-at-hand.js';
import { logQuery } from '../rewards/efficiency.service.js';
import { RECEIVERS, type Receiver } from '../verify/bundle.js';
import { exportBundle, ExportRefused } from '../verify/export.service.js';

const HELP = `npm run export -- --microgrid ID --out DIR [--for regulator|auditor|operator] [--to PERSON] [--since N]

Writes a bundle that can be verified with neither the service nor its database
(npm run verify -- bundle DIR), from one moment of the journal, while the service works. The folder is
also the log in the C2SP layout, for any web server to serve: up to the last checkpoint that the
witnesses cosigned, where there are any. docs/bundle.md lists what is in it.

  --microgrid ID  of which microgrid
  --out DIR       where it is to lie: a folder that does not exist yet
  --for RECEIVER  regulator (as long as nothing else is said): the log, and what the privacy rule lets
                  a regulator see; auditor: money as well; operator: everything that a restore needs,
                  keys of records included, readable by you alone
  --to PERSON     whom it is made for: they need a grant as RECEIVER, and the households can read in
                  the access log that they got it. Without it the bundle holds what is open to everyone
  --since N       extends the bundle of N entries that lies in DIR
  --vkey KEY      the log's verifier key, where DATA_DIR/keys/log.seed is not at hand
  --json          one JSON document on standard output

Exits 1 when it is refused, 2 when it cannot be done.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      microgrid: { type: 'string' },
      out: { type: 'string' },
      for: { type: 'string', default: 'regulator' },
      to: { type: 'string' },
      since: { type: 'string' },
      vkey: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { microgrid, out, to: person } = values;
  if (microgrid === undefined || out === undefined) {
    throw new Error('--microgrid and --out are needed; see --help');
  }
  const receiver = receiverNamed(values.for);
  const since = values.since === undefined ? undefined : countNamed(values.since);
  const settings = loadSettings(process.env);
  const trust = trustAtHand(settings, values.vkey, microgrid);
  const database = await openDatabase(settings);
  /** Households read in the access log who was told what about them. */
  const note = async (by: string) => {
    await logQuery(database, microgrid, by, { what: 'export', for: receiver }, 'answered', []);
  };
  try {
    const started = Date.now();
    const { files, ...facts } = await exportBundle(database.url, trust, {
      microgrid,
      receiver,
      out: resolve(out),
      ...(person === undefined ? {} : { person, note: () => note(person) }),
      ...(since === undefined ? {} : { since }),
    });
    const seconds = (Date.now() - started) / 1000;
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    if (values.json) {
      const document = { ...facts, files: files.length, bytes, seconds, out };
      process.stdout.write(`${JSON.stringify(document)}\n`);
    } else {
      process.stdout.write(
        `${out}: ${facts.size} entries of ${facts.origin} for the ${receiver}, ${files.length} files, ${bytes} bytes\n`,
      );
    }
    return 0;
  } catch (error) {
    if (!(error instanceof ExportRefused)) throw error;
    process.stderr.write(`export: ${error.message}\n`);
    return 1;
  } finally {
    await database.close();
  }
}

function receiverNamed(text: string): Receiver {
  const found = RECEIVERS.find((one) => one === text);
  if (!found) throw new Error(`--for ${text}: it is for one of ${RECEIVERS.join(', ')}`);
  return found;
}

function countNamed(text: string): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(count)) throw new Error(`--since ${text}: it takes a number of entries`);
  return count;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`export: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
