import { parseArgs } from 'node:util';
import { clear } from '../market/clear.js';
import { MECHANISMS } from '../market/clear-input.js';
import type { ClearOutput, SharingOutput } from '../market/clear-output.js';
import { readBook } from '../market/clear-text.js';

const MOST_MEGABYTES = 512;

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
  process.stderr.write(`clear: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = isCallersToMend(error) ? 2 : 1;
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
  const book = readBook(await standardInput(), mechanism);
  if ('faults' in book) throw new BadInput(book.faults.join('\n       '));
  const output = clear(book.input);
  process.stdout.write(values.json ? `${JSON.stringify(output)}\n` : readable(output));
  return 0;
}

/** Wrong arguments, wrong input, and sums beyond exact numbers. */
function isCallersToMend(error: unknown): boolean {
  if (error instanceof BadInput || error instanceof RangeError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('ERR_PARSE_ARGS');
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
