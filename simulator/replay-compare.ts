import { parseArgs } from 'node:util';
import { z } from 'zod';
import { formatInstant, parseInstant } from '../src/units/slot.js';
import { summaryOf, table, type Line, type Outcome } from './comparison.js';
import { choice, listOf, MECHANISMS, PRICINGS, STRATEGIES } from './replay-options.js';
import { runProgram } from './service.process.js';

/**
 * `npm run replay -- --compare`: mechanisms, pricings and strategies side by side on the same weeks, each
 * week a replay of its own through a service of its own. What the service refuses stands in the table.
 */

const HELP = `Replays several ways of trading, and prints what came of each as a Markdown table.

npm run replay -- --compare --file CSV --weeks A,B,... [options]

  --file CSV          as for a single replay
  --weeks A,B,...     UTC days on which weeks begin; each week is a replay of its own, without a past
  --mechanisms LIST   (default metered,sharing,call-auction)
  --pricings LIST     (default clearing,mid-market)
  --strategies LIST   (default ${STRATEGIES.join(',')}); only for mechanisms that trade ahead
  --households a,b    only these
  --json              one JSON document on standard output
  --help

Other options of a replay, such as --retail, follow after --.
`;

/** Mechanisms that trade once the slot is over need no strategy. */
const AFTERWARDS = new Set(['metered', 'sharing']);
const WEEK_MILLIS = 7 * 86_400_000;

const OPTIONS = {
  file: { type: 'string' },
  weeks: { type: 'string' },
  mechanisms: { type: 'string', default: 'metered,sharing,call-auction' },
  pricings: { type: 'string', default: 'clearing,mid-market' },
  strategies: { type: 'string', default: STRATEGIES.join(',') },
  households: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/**
 * @param program the built replay
 * @returns the exit code: 1 where a replay did not verify
 * @throws Error saying which option cannot be used and why
 */
export async function compareReplays(
  args: readonly string[],
  program: string,
  signal: AbortSignal,
): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.file === undefined) throw new Error('--file is missing: see --compare --help');
  if (values.weeks === undefined) throw new Error('--weeks is missing: see --compare --help');
  const weeks = listOf('--weeks', values.weeks).map(weekOf);
  const shared = [
    '--file',
    values.file,
    ...(values.households === undefined ? [] : ['--households', values.households]),
    ...positionals,
  ];
  const lines: Line[] = [];
  let verified = true;
  for (const way of waysOf(values)) {
    process.stderr.write(`${way.mechanism} ${way.pricing} ${way.strategy}\n`);
    const told = await replayWeeks(way, weeks, shared, program, signal);
    verified &&= told.verified;
    lines.push({ ...way, ...told.line });
  }
  const text = values.json ? JSON.stringify({ weeks, lines }) : table(lines, 'EUR');
  process.stdout.write(`${text}\n`);
  return verified ? 0 : 1;
}

interface Way {
  mechanism: string;
  pricing: string;
  strategy: string;
}

function waysOf(asked: { mechanisms: string; pricings: string; strategies: string }): Way[] {
  const each = (name: string, text: string, choices: readonly string[]) =>
    listOf(name, text).map((item) => choice(name, item, choices));
  const strategies = each('--strategies', asked.strategies, STRATEGIES);
  const pricings = each('--pricings', asked.pricings, PRICINGS);
  return each('--mechanisms', asked.mechanisms, MECHANISMS).flatMap((mechanism) =>
    pricings.flatMap((pricing) =>
      (AFTERWARDS.has(mechanism) ? ['–'] : strategies).map((strategy) => ({
        mechanism,
        pricing,
        strategy,
      })),
    ),
  );
}

async function replayWeeks(
  { mechanism, pricing, strategy }: Way,
  weeks: readonly { from: string; to: string }[],
  shared: readonly string[],
  program: string,
  signal: AbortSignal,
): Promise<{ verified: boolean; line: Pick<Line, 'summary' | 'refused'> }> {
  const outcomes: Outcome[] = [];
  for (const { from, to } of weeks) {
    const args = [
      '--json',
      `--from=${from}`,
      `--to=${to}`,
      `--mechanism=${mechanism}`,
      `--pricing=${pricing}`,
      ...(strategy === '–' ? [] : ['--strategy', strategy]),
      ...shared,
    ];
    const { code, stdout, stderr } = await runProgram(program, args, process.env, signal);
    signal.throwIfAborted();
    if (stdout === '') {
      return {
        verified: true,
        line: { refused: stderr.trim().replace(/\s+/g, ' ').slice(0, 300) },
      };
    }
    const result = RESULT.parse(JSON.parse(stdout));
    if (code !== 0) return { verified: false, line: { refused: 'the ledger did not verify' } };
    outcomes.push({
      claimedWh: result.energy.neighborClaimedWh,
      matchableWh: result.energy.matchableWh,
      withGridWh: result.homes.reduce((sum, { withGridWh }) => sum + withGridWh, 0),
      homes: result.homes,
      prices: result.prices,
    });
  }
  return { verified: true, line: { summary: summaryOf(outcomes) } };
}

const RESULT = z.object({
  energy: z.object({ neighborClaimedWh: z.int(), matchableWh: z.int() }),
  homes: z.array(
    z.object({
      household: z.string(),
      costMicro: z.int(),
      tariffCostMicro: z.int(),
      withGridWh: z.int(),
    }),
  ),
  prices: z.array(z.object({ priceMicroPerKwh: z.int(), tradedWh: z.int() })),
});

function weekOf(day: string): { from: string; to: string } {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day))
    throw new Error(`--weeks: ${day} is no day like 2017-05-15`);
  const from = parseInstant(`${day}T00:00:00Z`);
  return { from: formatInstant(from), to: formatInstant(from + WEEK_MILLIS) };
}
