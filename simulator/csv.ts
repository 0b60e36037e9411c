import { parse } from 'csv-parse/sync';
import { isIdent } from '../src/units/ids.js';
import { formatInstant, parseInstant } from '../src/units/slot.js';
import type { MeasuredHousehold, MeasuredStreet } from './measured-street.js';

/**
 * Measured data from CSV: `timestamp,household,load_wh,pv_wh`, whole Wh per interval, UTC interval
 * start. All rows are checked before any is used; what is wrong is named by line and column. A missing
 * row or an empty cell is a gap of that household.
 */
export interface CsvSelection {
  /** Half-open, epoch milliseconds: intervals that start at `from` or later, and before `to`. */
  from?: number;
  to?: number;
  households?: readonly string[];
}

export type CsvOutcome =
  { ok: true; street: MeasuredStreet } | { ok: false; errors: string[]; unlisted: number };

/** Longest interval, in Wh, taken as measured: 1 MW for an hour is no household. */
const MOST_WH = 1_000_000;
const LISTED_ERRORS = 20;
const COLUMNS = ['timestamp', 'household', 'load_wh', 'pv_wh'] as const;

/**
 * The measured street in a CSV text, or all that is wrong with it.
 * @example readCsv('timestamp,household,load_wh,pv_wh\n2026-06-01T10:00:00Z,h01,300,1200\n...')
 */
export function readCsv(text: string, selection: CsvSelection = {}): CsvOutcome {
  const errors = new ErrorList();
  const rows = parseRows(text, errors);
  const stepMinutes = detectStepMinutes(rows);
  if (stepMinutes !== null) rejectOffGrid(rows, stepMinutes, errors);
  rejectRepeats(rows, errors);
  if (errors.count === 0 && stepMinutes === null) {
    errors.add(
      rows.length === 0
        ? 'no rows: nothing to replay'
        : 'fewer than two different timestamps: the step cannot be detected',
    );
  }
  if (errors.count > 0 || stepMinutes === null) return errors.outcome();
  const selected = select(rows, selection, errors);
  if (errors.count > 0) return errors.outcome();
  return { ok: true, street: arrange(selected, stepMinutes) };
}

interface Row {
  line: number;
  at: number;
  household: string;
  loadWh: number | null;
  pvWh: number | null;
}

class ErrorList {
  readonly listed: string[] = [];
  count = 0;

  add(message: string): void {
    this.count += 1;
    if (this.listed.length < LISTED_ERRORS) this.listed.push(message);
  }

  outcome(): CsvOutcome {
    return { ok: false, errors: this.listed, unlisted: this.count - this.listed.length };
  }
}

function parseRows(text: string, errors: ErrorList): Row[] {
  let lines: { record: string[]; info: { lines: number } }[];
  try {
    lines = parse(text, {
      bom: true,
      info: true,
      trim: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as typeof lines;
  } catch (error) {
    errors.add(`line ${lineOf(error)}: ${(error as Error).message}`);
    return [];
  }
  const header = lines.shift()?.record ?? [];
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length > 0) {
    errors.add(`line 1: the header lacks ${missing.join(', ')}; it must name ${COLUMNS.join(',')}`);
    return [];
  }
  const places = COLUMNS.map((column) => header.indexOf(column));
  const instants = new Map<string, number | null>();
  const rows: Row[] = [];
  for (const { record, info } of lines) {
    const row = parseRow(record, info.lines, header.length, places, instants, errors);
    if (row) rows.push(row);
  }
  return rows;
}

function parseRow(
  record: string[],
  line: number,
  columns: number,
  places: number[],
  instants: Map<string, number | null>,
  errors: ErrorList,
): Row | null {
  if (record.length !== columns) {
    errors.add(`line ${line}: ${record.length} columns where the header has ${columns}`);
    return null;
  }
  const [timestamp, household, load, pv] = places.map((place) => record[place]!) as [
    string,
    string,
    string,
    string,
  ];
  const at = instantOf(timestamp, instants);
  const loadWh = energyOf(load);
  const pvWh = energyOf(pv);
  const complain = (column: string, value: string, wanted: string) =>
    errors.add(
      `line ${line}, column ${column}: ${JSON.stringify(value.slice(0, 40))} is ${wanted}`,
    );
  if (at === null) complain('timestamp', timestamp, 'no RFC 3339 instant with a zone');
  // Room for the meters' names, which are the household's with a suffix.
  if (!isIdent(household) || household.length > 56) {
    complain('household', household, 'no id: 1 to 56 of letters, digits, _ and -');
  }
  if (loadWh === undefined) complain('load_wh', load, `no whole number of Wh from 0 to ${MOST_WH}`);
  if (pvWh === undefined) complain('pv_wh', pv, `no whole number of Wh from 0 to ${MOST_WH}`);
  if (at === null || loadWh === undefined || pvWh === undefined) return null;
  return { line, at, household, loadWh, pvWh };
}

function instantOf(text: string, known: Map<string, number | null>): number | null {
  const before = known.get(text);
  if (before !== undefined) return before;
  let at: number | null = null;
  try {
    at = parseInstant(text);
  } catch {
    // Named by the caller, with its line.
  }
  known.set(text, at);
  return at;
}

/** Whole Wh; null for an empty cell; undefined for anything else. */
function energyOf(cell: string): number | null | undefined {
  if (cell === '') return null;
  if (!/^\d{1,9}$/.test(cell)) return undefined;
  const wh = Number(cell);
  return wh <= MOST_WH ? wh : undefined;
}

/** The most frequent distance between neighboring timestamps, in minutes; the shorter of two as frequent. */
function detectStepMinutes(rows: readonly Row[]): number | null {
  const instants = [...new Set(rows.map((row) => row.at))].sort((a, b) => a - b);
  const counts = new Map<number, number>();
  for (let index = 1; index < instants.length; index += 1) {
    const distance = instants[index]! - instants[index - 1]!;
    if (distance % 60_000 === 0) counts.set(distance, (counts.get(distance) ?? 0) + 1);
  }
  const [best] = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  return best ? best[0] / 60_000 : null;
}

function rejectOffGrid(rows: readonly Row[], stepMinutes: number, errors: ErrorList): void {
  for (const row of rows) {
    if (row.at % (stepMinutes * 60_000) !== 0) {
      errors.add(
        `line ${row.line}, column timestamp: ${formatInstant(row.at)} is no UTC border of the ${stepMinutes}-minute steps`,
      );
    }
  }
}

function rejectRepeats(rows: readonly Row[], errors: ErrorList): void {
  const lines = new Map<string, number>();
  for (const row of rows) {
    const key = `${row.at}/${row.household}`;
    const first = lines.get(key);
    if (first === undefined) lines.set(key, row.line);
    else {
      errors.add(
        `line ${row.line}, column household: ${row.household} already has this interval in line ${first}`,
      );
    }
  }
}

function select(rows: readonly Row[], selection: CsvSelection, errors: ErrorList): Row[] {
  const wanted = selection.households && new Set(selection.households);
  const present = new Set(rows.map((row) => row.household));
  for (const household of wanted ?? []) {
    if (!present.has(household)) errors.add(`household ${household} is not in the file`);
  }
  // A household without any value has nothing to publish.
  const measured = rows.filter(({ loadWh, pvWh }) => loadWh !== null && pvWh !== null);
  const selected = measured.filter(
    ({ at, household }) =>
      at >= (selection.from ?? -Infinity) &&
      at < (selection.to ?? Infinity) &&
      (wanted?.has(household) ?? true),
  );
  if (selected.length === 0 && errors.count === 0) {
    errors.add('no values are left between --from and --to for these households');
  }
  return selected;
}

function arrange(rows: readonly Row[], stepMinutes: number): MeasuredStreet {
  const stepMillis = stepMinutes * 60_000;
  const startsAt = rows.reduce((first, row) => Math.min(first, row.at), Infinity);
  const lastAt = rows.reduce((last, row) => Math.max(last, row.at), -Infinity);
  const intervals = (lastAt - startsAt) / stepMillis + 1;
  const gaps = () => Array.from({ length: intervals }, (): number | null => null);
  const households = new Map<string, MeasuredHousehold>();
  for (const { at, household, loadWh, pvWh } of rows) {
    let measured = households.get(household);
    if (!measured) {
      measured = { household, loadWh: gaps(), pvWh: gaps() };
      households.set(household, measured);
    }
    measured.loadWh[(at - startsAt) / stepMillis] = loadWh;
    measured.pvWh[(at - startsAt) / stepMillis] = pvWh;
  }
  return {
    stepMinutes,
    derivedFromMinutes: null,
    startsAt,
    intervals,
    households: [...households.values()].sort((a, b) => (a.household < b.household ? -1 : 1)),
  };
}

function lineOf(error: unknown): number | string {
  const lines = (error as { lines?: unknown }).lines;
  return typeof lines === 'number' ? lines : '?';
}
