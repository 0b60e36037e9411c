import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { STRATEGIES } from '../src/market/strategies.js';
import { fixedAs, type Strategy } from '../src/market/strategy.js';
import { FOUNDING } from '../src/parties/founding.js';
import { MECHANISMS, PRICINGS, takesOrders } from '../src/parties/microgrid.js';
import type { Mechanism, Pricing } from '../src/parties/microgrid.js';
import { formatInstant, parseInstant } from '../src/units/slot.js';
import { summaryOf, table, type Line, type Outcome } from '../simulator/comparison.js';
import { readCsv } from '../simulator/csv.js';
import { matchableWh } from '../simulator/measured-day.js';
import type { MeasuredStreet } from '../simulator/measured-street.js';
import { backtest } from './backtest-run.js';

/**
 * `npm run backtest`: ways of trading compared on measured data in seconds, by the functions that the
 * service trades with but without the service. What counts is what `npm run replay` says of the same.
 */

const HELP = `npm run backtest -- --file CSV [options]

  --file CSV             as for npm run replay; its step is the slot
  --from, --to INSTANT   one period (default: the whole file)
  --weeks A,B,...        or several weeks, by the days on which they begin; each starts without a past
  --households a,b       only these
  --mechanisms LIST      ${MECHANISMS.join(', ')} (default call-auction)
  --pricings LIST        ${PRICINGS.join(', ')} (default clearing)
  --strategies LIST      ${Object.keys(STRATEGIES).join(', ')}, and fixed:Q:T:S, which offers the
                         Q-thousandths quantile T times over in S orders (default all)
  --gate-closure N       seconds before the slot (default 3600)
  --battery WH           gives every home a battery; under the strategy battery it follows the plan
  --json                 one JSON document on standard output, with what each home paid in each period
`;

const TARIFF = { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 };
const WEEK_MILLIS = 7 * 86_400_000;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      file: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      weeks: { type: 'string' },
      households: { type: 'string' },
      mechanisms: { type: 'string', default: 'call-auction' },
      pricings: { type: 'string', default: 'clearing' },
      strategies: { type: 'string', default: Object.keys(STRATEGIES).join(',') },
      'gate-closure': { type: 'string', default: '3600' },
      battery: { type: 'string', default: '0' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.file === undefined) throw new Error('--file is missing: see --help');
  const streets = streetsOf(await readFile(values.file, 'utf8'), values);
  const lines: (Line & { homes: Outcome['homes'][] })[] = [];
  for (const mechanism of values.mechanisms.split(',')) {
    for (const pricing of values.pricings.split(',')) {
      const refused = refusalOf(mechanism, pricing);
      if (refused !== null) {
        lines.push({ mechanism, pricing, strategy: '–', refused, homes: [] });
        continue;
      }
      // What is traded after the fact needs no strategy.
      const ahead = takesOrders(mechanism as Mechanism);
      for (const strategy of ahead ? values.strategies.split(',') : ['–']) {
        const outcomes = streets.map((street) =>
          outcomeOf(street, {
            mechanism: mechanism as Mechanism,
            pricing: pricing as Pricing,
            strategy: ahead ? strategyOf(strategy) : STRATEGIES.fixed,
            gateClosureSeconds: Number(values['gate-closure']),
            batteryWh: Number(values.battery),
            followsPlan: strategy === 'battery',
          }),
        );
        const homes = outcomes.map((outcome) => outcome.homes);
        lines.push({ mechanism, pricing, strategy, summary: summaryOf(outcomes), homes });
      }
    }
  }
  process.stdout.write(values.json ? `${JSON.stringify(lines)}\n` : `${table(lines, 'EUR')}\n`);
  return 0;
}

/** Why the service would found no microgrid with these rules; null where it would. */
function refusalOf(mechanism: string, pricing: string): string | null {
  const founded = FOUNDING.safeParse({
    microgrid: 'replay',
    name: 'A back-test',
    currency: 'EUR',
    mechanism,
    pricing,
    startsAt: '2017-01-01T00:00:00Z',
    tariff: { bands: [{ fromMinute: 0, ...TARIFF }] },
  });
  if (founded.success) return null;
  return founded.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ');
}

function streetsOf(
  text: string,
  asked: Partial<Record<'from' | 'to' | 'weeks' | 'households', string | undefined>>,
): MeasuredStreet[] {
  const periods =
    asked.weeks === undefined
      ? [
          {
            ...(asked.from === undefined ? {} : { from: parseInstant(asked.from) }),
            ...(asked.to === undefined ? {} : { to: parseInstant(asked.to) }),
          },
        ]
      : asked.weeks.split(',').map((day) => {
          const from = parseInstant(day.includes('T') ? day : `${day}T00:00:00Z`);
          return { from, to: from + WEEK_MILLIS };
        });
  return periods.map((period) => {
    const households = asked.households?.split(',');
    const read = readCsv(text, { ...period, ...(households && { households }) });
    if (!read.ok) throw new Error(read.errors.join('\n'));
    return read.street;
  });
}

function strategyOf(name: string): Strategy {
  const [base, quantile, times, slices] = name.split(':');
  if (base === 'fixed' && slices !== undefined) {
    return fixedAs({
      quantileThousandths: Number(quantile),
      times: Number(times),
      slices: Number(slices),
    });
  }
  if (!Object.hasOwn(STRATEGIES, name)) {
    throw new Error(`--strategies: there is no ${name}; choose from ${Object.keys(STRATEGIES)}`);
  }
  return STRATEGIES[name as keyof typeof STRATEGIES];
}

function outcomeOf(
  street: MeasuredStreet,
  task: Omit<Parameters<typeof backtest>[0], 'street' | 'microgrid' | 'tariff'>,
): Outcome {
  const homes = new Map<string, { costMicro: number; tariffCostMicro: number }>();
  const prices: Outcome['prices'] = [];
  let [claimedWh, withGridWh, matchable] = [0, 0, 0];
  for (const { settled, clearingPrice } of backtest({
    ...task,
    street,
    microgrid: 'replay',
    tariff: TARIFF,
  })) {
    let [importsWh, exportsWh] = [0, 0];
    for (const { settlement, input } of settled.households) {
      const bill = homes.get(settlement.household) ?? { costMicro: 0, tariffCostMicro: 0 };
      homes.set(settlement.household, bill);
      bill.costMicro -= settlement.netMicro;
      bill.tariffCostMicro -= settlement.tariffMicro;
      claimedWh += settlement.fromNeighborsWh;
      withGridWh += Math.abs(settlement.imbalanceWh);
      importsWh += input.energy.importWh;
      exportsWh += input.energy.exportWh;
    }
    matchable += Math.min(importsWh, exportsWh);
    if (clearingPrice !== null) {
      prices.push({ priceMicroPerKwh: clearingPrice, tradedWh: settled.tradedWh });
    }
  }
  if (task.batteryWh === 0 && matchable !== matchableWh(street, street.stepMinutes)) {
    throw new Error(`matchable energy differs from ${formatInstant(street.startsAt)} on`);
  }
  return {
    claimedWh,
    matchableWh: matchable,
    withGridWh,
    prices,
    homes: [...homes].map(([household, bill]) => ({ household, ...bill })),
  };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`backtest: ${(error as Error).message}\n`);
  process.exitCode = 2;
}
