import { cpus, loadavg } from 'node:os';
import { parseArgs, type ParseArgsConfig } from 'node:util';

/**
 * What every benchmark prints: the machine, tables of figures, and the limits they are held against.
 * A missed limit is a failure of the command.
 */

export type Figure = string | number | null;

export interface Table {
  title: string;
  /** Column names are the keys of the rows, with their units. */
  rows: Record<string, Figure>[];
}

/** A figure with the least or the most that it may be. */
export interface Limit {
  what: string;
  measured: number;
  least?: number;
  most?: number;
}

export interface Report {
  tables: Table[];
  limits: Limit[];
  /** What a reader has to know about the figures. */
  notes: string[];
}

/**
 * Runs one benchmark as a program: understands `--json`, `--help` and the counts that have `defaults` as
 * options, prints the report, and sets the exit status: 0, 1 where a limit is missed or something failed, 2 for a wrong command line.
 */
export async function present(
  name: string,
  help: string,
  measure: (counts: Readonly<Record<string, number>>) => Promise<Report>,
  defaults: Readonly<Record<string, number>> = {},
): Promise<void> {
  let json: boolean;
  let counts: Record<string, number>;
  try {
    const options: ParseArgsConfig['options'] = {
      ...Object.fromEntries(Object.keys(defaults).map((option) => [option, STRING])),
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    };
    const { values } = parseArgs({ options });
    if (values['help']) return void process.stdout.write(help);
    json = values['json'] === true;
    counts = Object.fromEntries(
      Object.entries(defaults).map(([option, count]) => [
        option,
        wholeOf(option, values[option], count),
      ]),
    );
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${help}`);
    process.exitCode = 2;
    return;
  }
  const startedMillis = performance.now();
  const machine = machineNow();
  const report = await measure(counts);
  const seconds = (performance.now() - startedMillis) / 1000;
  const ok = report.limits.every(isMet);
  if (json) {
    process.stdout.write(`${JSON.stringify({ name, ok, machine, seconds, ...report })}\n`);
  } else {
    process.stdout.write(readable(name, machine, report, seconds));
  }
  if (!ok) process.exitCode = 1;
}

const STRING = { type: 'string' } as const;

function wholeOf(option: string, text: unknown, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (typeof text !== 'string' || !/^\d{1,9}$/.test(text))
    throw new Error(`--${option} must be a whole number\n`);
  return Number(text);
}

/** Says on standard error what is going on: the figures alone go to standard output. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function machineNow(): string {
  const load = loadavg()[0]!.toFixed(1);
  const processors = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`;
  return `${processors}, ${process.platform}, Node ${process.version}, load ${load} before`;
}

function isMet({ measured, least, most }: Limit): boolean {
  return measured >= (least ?? -Infinity) && measured <= (most ?? Infinity);
}

function readable(name: string, machine: string, report: Report, seconds: number): string {
  return [
    `${name}: ${machine}\n`,
    ...report.tables.map(({ title, rows }) => `\n${title}\n${tableText(rows)}`),
    report.limits.length === 0 ? '' : `\nLimits\n${tableText(report.limits.map(limitRow))}`,
    report.notes.length === 0 ? '' : `\n${report.notes.join('\n')}\n`,
    `\n${name} took ${seconds.toFixed(0)} s\n`,
  ].join('');
}

function limitRow(limit: Limit): Record<string, Figure> {
  const { what, measured, least, most } = limit;
  const bound =
    least === undefined ? `at most ${figure(most ?? null)}` : `at least ${figure(least)}`;
  return { '': isMet(limit) ? 'met' : 'MISSED', what, measured, limit: bound };
}

/** Columns as wide as needed, numbers to the right. */
function tableText(rows: readonly Record<string, Figure>[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((name) => {
    const isNumber = rows.every((row) => typeof (row[name] ?? 0) === 'number');
    const cells = [name, ...rows.map((row) => figure(row[name] ?? null))];
    const width = Math.max(...cells.map((cell) => cell.length));
    return cells.map((cell) => (isNumber ? cell.padStart(width) : cell.padEnd(width)));
  });
  const lines = Array.from({ length: rows.length + 1 }, (_, line) =>
    columns.map((cells) => cells[line]!).join('   '),
  );
  return lines.map((line) => `  ${line.trimEnd()}\n`).join('');
}

/** Three significant digits below a thousand, whole numbers above. */
function figure(value: Figure): string {
  if (value === null) return '-';
  if (typeof value === 'string') return value;
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 10 ? 1 : size >= 0.01 ? 2 : 4);
}
