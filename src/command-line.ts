import { readFile } from 'node:fs/promises';
import { MAPPING, type Mapping } from './metering/profiles/mapping.js';
import { faultInWords } from './parties/fault-words.js';

/** What commands have in common that read from whoever calls them, and say what is wrong with it. */

/** What the arguments or the input are refused for. */
export class BadInput extends Error {}

/**
 * Runs a command: its exit status is what `main` answers, 2 for wrong arguments or input, 1 for
 * everything else that goes wrong; one line on standard error says what.
 * @param isBadInput what else than `BadInput` is the caller's to mend
 */
export async function runCommand(
  name: string,
  main: () => Promise<number>,
  isBadInput: (error: unknown) => boolean = () => false,
): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${name}: ${saidBy(error)}\n`);
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const isCallersToMend =
      error instanceof BadInput || code.startsWith('ERR_PARSE_ARGS') || isBadInput(error);
    process.exitCode = isCallersToMend ? 2 : 1;
  }
}

/** All of standard input. @throws BadInput beyond so many megabytes */
export async function standardInput(mostMegabytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostMegabytes * 1e6) throw new BadInput(`more than ${mostMegabytes} MB of input`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The file of `--mapping`; none is the empty mapping. @throws BadInput naming the field */
export async function readMapping(file: string | undefined): Promise<Mapping> {
  if (file === undefined) return {};
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new BadInput(`--mapping ${file}: ${saidBy(error)}`);
  }
  const parsed = MAPPING.safeParse(json, { error: faultInWords });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`,
  );
  throw new BadInput(`--mapping ${file}: ${faults.join('; ')}`);
}

function saidBy(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
