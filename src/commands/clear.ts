import { parseArgs } from 'node:util';
import { BadInput, runCommand, standardInput } from '../command-line.js';
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

// Sums beyond exact numbers are the input's fault, too.
await runCommand('clear', main, (error) => error instanceof RangeError);

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
  const text = (await standardInput(MOST_MEGABYTES)).toString('utf8').replace(/^\uFEFF/, '');
  const book = readBook(text, mechanism);
  if ('faults' in book) throw new BadInput(book.faults.join('\n       '));
  const output = clear(book.input);
  process.stdout.write(values.json ? `${JSON.stringify(output)}\n` : readable(output));
  return 0;
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
