import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  checkReceipt,
  type ReceiptReport,
  type ReceiptStep,
} from '../../settlement/receipt-check.js';
import { parsePolicy } from '../../transparency/tlog-policy.js';

const HELP = `npm run verify -- receipt FILE --policy FILE [--json]

Checks a receipt offline, with no service and no database: its form, the fields up to the entry of
the log, the entry up to the checkpoint, the signatures of the log and of its witnesses, what the
figures add up to, and the meters' own signatures on the readings under them. Exits 1 and names the first thing that does not fit, 2 when it cannot look.

  --policy FILE  whose signatures count (C2SP tlog-policy): one that you kept, or /log/ID/policy
  --json         one JSON document on standard output
`;

/** `npm run verify -- receipt`. @returns the exit status */
export async function verifyReceipt(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      policy: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0 || values.policy === undefined) {
    throw new Error('name one receipt, and --policy with whose signatures count; see --help.');
  }
  const policy = parsePolicy(readFileSync(values.policy));
  const report = checkReceipt(readFileSync(file, 'utf8'), policy);
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : readable(file, report));
  return report.ok ? 0 : 1;
}

const MARKS = { good: 'ok', bad: 'NO', unchecked: '--' } as const;
const NAMES: Readonly<Record<ReceiptStep, string>> = {
  form: 'form',
  fields: 'fields',
  inclusion: 'in the log',
  log: 'signature',
  witnesses: 'witnesses',
  sums: 'figures',
  meters: 'meters',
};

function readable(file: string, { ok, steps }: ReceiptReport): string {
  const lines = steps.map(
    ({ step, outcome, says }) =>
      `  ${MARKS[outcome]}  ${NAMES[step].padEnd(10)}  ${outcome === 'unchecked' ? 'not looked at' : says}\n`,
  );
  return `${file}: ${ok ? 'everything fits' : 'it does not fit'}\n${lines.join('')}`;
}
