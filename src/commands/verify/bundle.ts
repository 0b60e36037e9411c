import { parseArgs } from 'node:util';
import { verifyBundle } from '../../verify/bundle-verification.service.js';
import { scratchDatabase } from '../../verify/scratch-database.service.js';
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

const HELP = `npm run verify -- bundle DIR [--policy FILE | --vkey KEY] [--checkpoint FILE]... [--json]

Verifies an exported bundle with neither the service nor its database: every file is what the manifest
says, the tree is that of its entries, the checkpoint is signed and cosigned, what was opened is what
the log committed to. An operator's bundle is told again in full, in a database of its own that is
gone afterwards. Exits 1 and names the first file, row and field that does not fit, 2 when it cannot
look. docs/verify.md says what each step proves.

${TRUST_HELP}`;

/** `npm run verify -- bundle`. @returns the exit status */
export async function verifyBundleCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: TRUST_OPTIONS,
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new Error('name one folder; see --help');
  const started = Date.now();
  const trust = trustGiven(values);
  const kept = keptCheckpoints(values.checkpoint);
  const { manifest, log, openings, told, findings } = await verifyBundle(
    folder,
    trust,
    kept,
    scratchDatabase,
  );
  const ok = findings.length === 0;
  if (values.json) {
    const seconds = (Date.now() - started) / 1000;
    const { files, ...facts } = manifest ?? { files: [] };
    const document = {
      ok,
      seconds,
      bundle: manifest && { ...facts, files: files.length },
      checkpoint: shown(log),
      openings,
      told: told && { records: told.records, slots: told.slots, readings: told.readings },
      findings: inFiles(findings),
    };
    process.stdout.write(`${JSON.stringify(document)}\n`);
    return ok ? 0 : 1;
  }
  const facts = [
    ...signedBy(log, trust === null),
    ...(openings > 0 ? [`${openings} records opened in part, each as the log has it`] : []),
    ...(told ? [`${told.records} records and ${told.readings} readings told again`] : []),
  ];
  process.stdout.write(report(folder, findings, facts));
  return ok ? 0 : 1;
}
