import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIdent } from '../src/units/ids.js';
import { parseMicro } from '../src/units/money.js';
import { parseInstant, type SlotMinutes } from '../src/units/slot.js';
import type { CsvSelection } from './csv.js';
import type { Chaos } from './measured-day.js';

/** The command line of the replay, checked completely before anything starts. */
export interface ReplayOptions {
  file: string;
  selection: CsvSelection;
  /** Null: the step of the file. */
  slotMinutes: SlotMinutes | null;
  microgrid: string;
  currency: string;
  retailMicroPerKwh: number;
  feedInMicroPerKwh: number;
  mechanism: string;
  pricing: string;
  /** Null: nobody's autopilot is on. */
  strategy: string | null;
  gateClosureSeconds: number;
  chaos: Chaos;
  keep: string | null;
  databaseUrl: string | null;
  json: boolean;
}

export const REPLAY_HELP = `Replays measured data through a service of its own and settles it.

npm run replay -- --file CSV [options]

  --file CSV              timestamp,household,load_wh,pv_wh: whole Wh per interval, UTC interval
                          start; a missing row or an empty cell is a gap
  --from INSTANT          intervals that start then or later
  --to INSTANT            and before this
  --households a,b        only these
  --slot-minutes N        5, 15, 30 or 60 (default: the step of the file); where it is shorter than
                          the step, each interval is split by largest remainder and the result
                          labelled as derived
  --microgrid ID          (default replay)
  --retail PRICE          of a kWh, at most six decimals (default 0.30)
  --feed-in PRICE         (default 0.05)
  --currency CODE         (default EUR)
  --mechanism M           metered (default), call-auction, continuous or sharing: those that the
                          service takes
  --pricing P             clearing (default), mid-market, supply-demand-ratio, pay-as-bid or fixed:
                          the same; without it sharing is priced at mid-market
  --strategy S            fixed, zero-intelligence, adaptive or battery: every home's autopilot quotes
                          so, one slot after the other, from what was measured before
  --gate-closure SECONDS  before the slot (default 3600 with --strategy, else 0)
  --chaos LIST            duplicate: every message twice; shuffle: within windows of 50 messages
  --keep DIR              an absent or empty folder: work there and keep it, log-ins included
  --database-url URL      an empty PostgreSQL database instead of an embedded one
  --json                  one JSON document on standard output, all else on standard error
  --help

With --compare it replays several ways of trading and prints a table: npm run replay -- --compare --help

Wallets carry a credit limit of 1,000,000 units of the currency, so that none binds.
`;

const OPTIONS = {
  file: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  households: { type: 'string' },
  'slot-minutes': { type: 'string' },
  microgrid: { type: 'string', default: 'replay' },
  retail: { type: 'string', default: '0.30' },
  'feed-in': { type: 'string', default: '0.05' },
  currency: { type: 'string', default: 'EUR' },
  mechanism: { type: 'string', default: 'metered' },
  pricing: { type: 'string' },
  strategy: { type: 'string' },
  'gate-closure': { type: 'string' },
  chaos: { type: 'string' },
  keep: { type: 'string' },
  'database-url': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** What the service may be asked for; it says itself which of them it does not take. */
export const MECHANISMS = ['metered', 'call-auction', 'continuous', 'sharing'];
export const PRICINGS = ['clearing', 'mid-market', 'supply-demand-ratio', 'pay-as-bid', 'fixed'];
export const STRATEGIES = ['fixed', 'zero-intelligence', 'adaptive', 'battery'];

/** @throws Error saying which option cannot be used and why */
export function parseReplayOptions(args: readonly string[]): ReplayOptions | 'help' {
  const { values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false });
  if (values.help) return 'help';
  if (values.file === undefined) throw new Error('--file is missing: see --help');
  const mechanism = choice('--mechanism', values.mechanism, MECHANISMS);
  const pricing = choice(
    '--pricing',
    values.pricing ?? (mechanism === 'sharing' ? 'mid-market' : 'clearing'),
    PRICINGS,
  );
  const strategy = values.strategy ?? null;
  if (strategy !== null) choice('--strategy', strategy, STRATEGIES);
  const retailMicroPerKwh = priceOf('--retail', values.retail);
  const feedInMicroPerKwh = priceOf('--feed-in', values['feed-in']);
  if (feedInMicroPerKwh > retailMicroPerKwh) throw new Error('--feed-in must not exceed --retail');
  if (!isIdent(values.microgrid)) throw new Error('--microgrid must match [A-Za-z0-9_-]{1,64}');
  if (!/^[A-Z]{3}$/.test(values.currency)) throw new Error('--currency must be a code like EUR');
  return {
    file: resolve(values.file),
    selection: selectionOf(values.from, values.to, values.households),
    slotMinutes: slotMinutesOf(values['slot-minutes']),
    microgrid: values.microgrid,
    currency: values.currency,
    retailMicroPerKwh,
    feedInMicroPerKwh,
    mechanism,
    pricing,
    strategy,
    gateClosureSeconds: secondsOf(values['gate-closure'], strategy === null ? 0 : 3600),
    chaos: chaosOf(values.chaos),
    keep: values.keep === undefined ? null : resolve(values.keep),
    databaseUrl: values['database-url'] ?? null,
    json: values.json,
  };
}

function selectionOf(
  from: string | undefined,
  to: string | undefined,
  households: string | undefined,
): CsvSelection {
  const selection: CsvSelection = {
    ...(from === undefined ? {} : { from: instantOf('--from', from) }),
    ...(to === undefined ? {} : { to: instantOf('--to', to) }),
    ...(households === undefined ? {} : { households: listOf('--households', households) }),
  };
  if (
    selection.from !== undefined &&
    selection.to !== undefined &&
    selection.from >= selection.to
  ) {
    throw new Error('--from must be before --to');
  }
  return selection;
}

function slotMinutesOf(text: string | undefined): SlotMinutes | null {
  if (text === undefined) return null;
  return Number(choice('--slot-minutes', text, ['5', '15', '30', '60'])) as SlotMinutes;
}

function secondsOf(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 86_400) return Number(text);
  throw new Error('--gate-closure must be a whole number of seconds, at most 86400');
}

function chaosOf(text: string | undefined): Chaos {
  const kinds = text === undefined ? [] : listOf('--chaos', text);
  for (const kind of kinds) choice('--chaos', kind, ['duplicate', 'shuffle']);
  return { duplicate: kinds.includes('duplicate'), shuffle: kinds.includes('shuffle') };
}

export function choice(name: string, text: string, choices: readonly string[]): string {
  if (choices.includes(text)) return text;
  throw new Error(`${name} ${text} is not available; choose from ${choices.join(', ')}`);
}

export function listOf(name: string, text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.some((item) => item === '')) throw new Error(`${name}: an empty entry in "${text}"`);
  return items;
}

function priceOf(name: string, text: string): number {
  const micro = named(name, () => parseMicro(text));
  if (micro < 0) throw new Error(`${name} must not be negative`);
  return micro;
}

function instantOf(name: string, text: string): number {
  return named(name, () => parseInstant(text));
}

function named<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
