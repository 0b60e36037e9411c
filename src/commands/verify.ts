import 'reflect-metadata';
import { verifyBundleCommand } from './verify/bundle.js';
import { verifyDatabase } from './verify/database.js';
import { verifyEvidence } from './verify/evidence.js';
import { verifyHttpCommand } from './verify/http.js';
import { verifyReceipt } from './verify/receipt.js';

/**
 * `npm run verify`: against the database, or, with a word before the options, against something that
 * was handed out. Exits 0 when everything fits, 1 when something does not, 2 when it cannot look.
 */
const VERIFIERS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  database: verifyDatabase,
  receipt: verifyReceipt,
  bundle: verifyBundleCommand,
  http: verifyHttpCommand,
  evidence: verifyEvidence,
};

async function main([word, ...rest]: readonly string[]): Promise<number> {
  if (word === undefined || word.startsWith('-')) {
    return verifyDatabase(word === undefined ? rest : [word, ...rest]);
  }
  if (Object.hasOwn(VERIFIERS, word)) return VERIFIERS[word]!(rest);
  throw new Error(`there is no verify ${word}; there are: ${Object.keys(VERIFIERS).join(', ')}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`verify: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
