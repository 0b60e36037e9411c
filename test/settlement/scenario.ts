import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Delivery, Side } from '../../src/market/order.js';
import type { ClearingRules } from '../../src/market/clearing.js';
import type { SharingRules } from '../../src/market/metered-sharing.js';
import type {
  Mechanism,
  NetworkNode,
  Pricing,
  Rationing,
  SharingKey,
  TariffVersion,
} from '../../src/parties/microgrid.js';
import { parseMicro } from '../../src/units/money.js';
import { formatInstant, type Instant } from '../../src/units/slot.js';

/**
 * A street's slots as a text that reads like a table. First what happens, in words; then
 * `microgrid` and `tariff` lines of `name=value`; then tables: a line with the table's name, one with
 * its columns, one a row. Names start at the margin, tables are indented, `-` is nothing, energy is
 * in Wh, money in the currency. `23:45` is a slot of the day, `24:00` the first of the next one.
 * Tables whose name starts with `expect` say what must come of it, in the columns they name.
 */
export interface Scenario {
  name: string;
  title: string;
  mechanism: Mechanism;
  rules: ClearingRules;
  sharing: SharingRules | null;
  slotMinutes: number;
  tariffs: TariffVersion[];
  households: HouseholdRow[];
  orders: OrderRow[];
  energy: EnergyRow[];
  expected: Table[];
}

export interface HouseholdRow {
  id: string;
  feeder: string | null;
  share: { parts: number; rank: number };
  walletMicro: number;
  /** Of its battery; 0 is none. */
  usableWh: number;
  sellAboveMicroPerKwh: number | null;
  buyBelowMicroPerKwh: number | null;
}

export interface OrderRow {
  slot: Instant;
  household: string;
  side: Side;
  energyWh: number;
  priceMicroPerKwh: number;
  delivery: Delivery;
}

/** What each meter's registers rise by in a slot; null where there is no such meter. */
export interface EnergyRow {
  slot: Instant;
  household: string;
  importWh: number;
  exportWh: number;
  generatedWh: number | null;
  chargedWh: number | null;
  dischargedWh: number | null;
}

export interface Table {
  name: string;
  columns: string[];
  rows: { line: number; cells: string[] }[];
}

const DAY = Date.UTC(2026, 5, 1);

export function readScenario(path: string): Scenario {
  const name = basename(path);
  const lines = readFileSync(path, 'utf8').split('\n');
  const title = lines.slice(0, lines.indexOf('')).join(' ');
  const settings = new Map<string, string>();
  const tariffs: TariffVersion[] = [];
  const tables: Table[] = [];
  lines.forEach((text, index) => {
    if (index < lines.indexOf('') || text.trim() === '') return;
    const line = index + 1;
    const words = text.trim().split(/\s+/);
    if (text.startsWith(' ')) addRow(tables.at(-1), words, `${name}:${line}`, line);
    else if (words[0] === 'microgrid') addSettings(settings, words.slice(1));
    else if (words[0] === 'tariff') tariffs.push(tariffOf(words.slice(1)));
    else tables.push({ name: text.trim(), columns: [], rows: [] });
  });
  const rowsOf = (table: string) => recordsOf(tables.find((one) => one.name === table));
  return {
    name,
    title,
    mechanism: (settings.get('mechanism') ?? 'metered') as Mechanism,
    rules: {
      pricing: (settings.get('pricing') ?? 'clearing') as Pricing,
      kThousandths: Number(settings.get('k') ?? 500),
      rationing: (settings.get('rationing') ?? 'pro-rata') as Rationing,
      network: networkOf(rowsOf('network')),
      slotMinutes: Number(settings.get('slot') ?? 15),
    },
    sharing:
      settings.get('mechanism') === 'sharing'
        ? {
            key: (settings.get('key') ?? 'dynamic') as SharingKey,
            priceMicroPerKwh: micro(settings.get('price') ?? ''),
          }
        : null,
    slotMinutes: Number(settings.get('slot') ?? 15),
    tariffs,
    households: rowsOf('households').map((row) => ({
      id: row('id'),
      feeder: row('feeder', '') || null,
      share: { parts: Number(row('parts', '1')), rank: Number(row('rank', '0')) },
      walletMicro: parseMicro(row('wallet', '0')),
      usableWh: Number(row('usable', '0')),
      sellAboveMicroPerKwh: micro(row('sell-above', '')),
      buyBelowMicroPerKwh: micro(row('buy-below', '')),
    })),
    orders: rowsOf('orders').map((row) => ({
      slot: instantOf(row('slot')),
      household: row('household'),
      side: row('side') === 'bid' ? 'bid' : 'ask',
      energyWh: Number(row('energy')),
      priceMicroPerKwh: parseMicro(row('price')),
      delivery: row('delivery') === 'firm' ? 'firm' : 'delivered',
    })),
    energy: rowsOf('energy').map((row) => ({
      slot: instantOf(row('slot')),
      household: row('household'),
      importWh: Number(row('import', '0')),
      exportWh: Number(row('export', '0')),
      generatedWh: wattHours(row('generated', '')),
      chargedWh: wattHours(row('charged', '')),
      dischargedWh: wattHours(row('discharged', '')),
    })),
    expected: tables.filter((table) => table.name.startsWith('expect ')),
  };
}

/** `instantOf('24:15')` is a quarter past midnight of the second day. */
export function instantOf(time: string): Instant {
  const [hours, minutes] = time.split(':').map(Number);
  return formatInstant(DAY + (hours! * 60 + minutes!) * 60_000);
}

/** The other way round. */
export function timeOf(instant: Instant): string {
  const minutes = (Date.parse(instant) - DAY) / 60_000;
  const twoDigits = (number: number) => String(number).padStart(2, '0');
  return `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function addRow(table: Table | undefined, cells: string[], place: string, line: number): void {
  if (!table) throw new Error(`${place}: a row without a table`);
  if (table.columns.length === 0) {
    table.columns = cells;
    return;
  }
  if (cells.length !== table.columns.length) {
    throw new Error(`${place}: ${cells.length} cells under ${table.columns.length} columns`);
  }
  table.rows.push({ line, cells });
}

function addSettings(settings: Map<string, string>, words: readonly string[]): void {
  for (const word of words) settings.set(...(word.split('=') as [string, string]));
}

function tariffOf(words: readonly string[]): TariffVersion {
  const values = new Map<string, string>();
  addSettings(values, words);
  return {
    validFrom: instantOf(values.get('from') ?? '00:00'),
    bands: [
      {
        fromMinute: 0,
        retailMicroPerKwh: parseMicro(values.get('retail')!),
        feedInMicroPerKwh: parseMicro(values.get('feed-in')!),
        gridFeeMicroPerKwh: parseMicro(values.get('fee') ?? '0'),
      },
    ],
  };
}

/** Fees in the currency per kWh, capacities in W, of the edge up to the parent. */
function networkOf(
  rows: readonly ((column: string, absent?: string) => string)[],
): ClearingRules['network'] {
  if (rows.length === 0) return null;
  const nodes = rows.map((row): NetworkNode => ({
    node: row('node'),
    parent: row('parent', '') || null,
    feeMicroPerKwh: parseMicro(row('fee', '0')),
    capacityUpW: wattHours(row('up', '')),
    capacityDownW: wattHours(row('down', '')),
  }));
  return { validFrom: instantOf('00:00'), nodes };
}

/** Each row as a function from a column's name to its text; `-` and a missing column are `absent`. */
function recordsOf(table: Table | undefined): ((column: string, absent?: string) => string)[] {
  return (table?.rows ?? []).map(({ cells, line }) => (column, absent) => {
    const text = cells[table!.columns.indexOf(column)];
    if (text !== undefined && text !== '-') return text;
    if (absent === undefined) throw new Error(`line ${line}: no ${column}`);
    return absent;
  });
}

function micro(text: string): number | null {
  return text === '' ? null : parseMicro(text);
}

function wattHours(text: string): number | null {
  return text === '' ? null : Number(text);
}
