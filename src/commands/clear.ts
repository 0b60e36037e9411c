import { parseArgs } from 'node:util';
import type { z } from 'zod';
import { clear } from '../market/clear.js';
import { clearInput, MECHANISMS, type ClearInput } from '../market/clear-input.js';
import type { ClearOutput, SharingOutput } from '../market/clear-output.js';
import { jsonLineOf, jsonSyntaxError, type JsonPath } from '../units/json-text.js';

const MOST_MEGABYTES = 512;
/** Told of one input; the rest is counted. */
const MOST_FAULTS = 10;

const HELP = `npm run clear -- [--mechanism M] [--json] < book.json

Clears one book of orders, read from standard input, and says what each order got and why. Whole numbers
only; docs/clear.md and docs/clear-input.schema.json describe the input, docs/clear-output.schema.json the
output. Exits 2 on bad input and names the line and the field. At most ${MOST_MEGABYTES} MB.

  --mechanism M  ${MECHANISMS.slice(0, 4).join(', ')},
                 ${MECHANISMS.slice(4).join(', ')}: instead of the one in the input
  --json         one JSON document on standard output
`;

/** What the input is refused for, one line each. */
class BadInput extends Error {}

try {
  process.exitCode = await main();
} catch (error) {
  // Wrong arguments, wrong input and sums beyond exact numbers are all the caller's to mend.
  process.stderr.write(`clear: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      mechanism: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { mechanism } = values;
  if (mechanism !== undefined && !MECHANISMS.some((known) => known === mechanism)) {
    throw new BadInput(`--mechanism ${mechanism}: there are ${MECHANISMS.join(', ')}`);
  }
  const input = bookOf(await standardInput(), mechanism);
  const output = clear(input);
  process.stdout.write(values.json ? `${JSON.stringify(output)}\n` : readable(output));
  return 0;
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_MEGABYTES * 1e6) throw new BadInput(`more than ${MOST_MEGABYTES} MB of input`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/^\uFEFF/, '');
}

/** @throws BadInput naming lines and fields */
function bookOf(text: string, mechanism: string | undefined): ClearInput {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    const { line, message } = jsonSyntaxError(text) ?? { line: 1, message: 'not JSON' };
    throw new BadInput(`line ${line}: not JSON: ${message}`);
  }
  const isObject = typeof document === 'object' && document !== null && !Array.isArray(document);
  if (mechanism !== undefined && isObject) document = { ...(document as object), mechanism };
  const parsed = clearInput.safeParse(document);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.flatMap(faultsOf);
  const lines = faults.slice(0, MOST_FAULTS).map(({ path, message }) => {
    const place = fieldName(path);
    return `line ${jsonLineOf(text, path)}: ${place === '' ? 'the document' : place}: ${message}`;
  });
  const more = faults.length - lines.length;
  throw new BadInput([...lines, ...(more > 0 ? [`and ${more} more`] : [])].join('\n       '));
}

/** A member that is not known is itself what is wrong, not what holds it. */
function faultsOf(issue: z.core.$ZodIssue): { path: JsonPath; message: string }[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: 'is not known here' }));
  }
  if (issue.code === 'invalid_union' && path.length === 1 && path[0] === 'mechanism') {
    return [{ path, message: `must be one of ${MECHANISMS.join(', ')}` }];
  }
  return [{ path, message: issue.message }];
}

/** `bids[3].price` */
function fieldName(path: JsonPath): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '');
}

function readable(output: ClearOutput | SharingOutput): string {
  if ('allocations' in output) {
    const { buy, sell, shared } = output.prices;
    return [
      `${output.volume} shared at ${shared}; buying costs ${buy} and selling brings ${sell} on the mean`,
      ...output.allocations.map((one) =>
        'surplus' in one
          ? `  ${one.id} gives ${one.own}, feeds in ${one.surplus}, receives ${one.receives}`
          : `  ${one.id} gets ${one.own}, draws ${one.fromGrid}, pays ${one.pays}`,
      ),
      '',
    ].join('\n');
  }
  const { volume, clearingPrice, priceInterval, welfare, maximumWelfare, trades, orders } = output;
  const price = clearingPrice === null ? '' : ` at ${clearingPrice}`;
  const range = priceInterval === null ? '' : `, competitive ${priceInterval.join(' to ')}`;
  return [
    `${volume} traded${price}${range}; welfare ${welfare} of ${maximumWelfare}`,
    ...trades.map((one) => `  ${one.bid} buys ${one.quantity} from ${one.ask} at ${one.price}`),
    ...orders.map(({ id, side, reason }) => `  ${side} ${id} ${reason}`),
    '',
  ].join('\n');
}
