import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isIdent } from '../src/units/ids.js';
import { parseInstant } from '../src/units/slot.js';

/** The command line of the simulation, checked completely before anything starts. */
export interface SimulateOptions {
  dataDir: string;
  url?: string;
  mqttUrl?: string;
  operatorLogins: string;
  microgrid: string;
  seed: string;
  households: number;
  /** Where a fresh simulated clock begins, epoch milliseconds. */
  startsAt: number;
  secondsPerSlot: number;
  /** Minutes between readings of a new street; by default 5, on the system clock 1. */
  stepMinutes: number | null;
  /** When a run that begins at this market time ends, epoch milliseconds; infinity for never. */
  untilOf: (clock: number) => number;
  json: boolean;
  quiet: boolean;
}

export const SIMULATE_HELP = `Plays a street of households against a running Neighborwatt service.

npm run simulate -- [options]

  --seed TEXT             same seed, same street and weather (default 1)
  --households N          1 to 500 (default 20)
  --seconds-per-slot S    real seconds a quarter-hour takes on the simulated clock; 0: as fast as
                          the service takes the readings (default 10)
  --day YYYY-MM-DD        the simulated day, from 10:00 UTC on (default 2026-06-01)
  --days N                end after N days of market time
  --until INSTANT         end at this market time
  --step-minutes N        1, 3, 5 or 15: between readings (default 5; 1 on the system clock)
  --microgrid ID          (default street)
  --data-dir DIR          holds demo-logins.json and simulator-state.json (default DATA_DIR or ./data)
  --operator-logins FILE  log-ins to enrol the street with (default BOOTSTRAP_LOGINS or
                          bootstrap-logins.json in the data folder)
  --url URL               of the service (default SERVICE_URL, or the port noted in the data folder)
  --mqtt-url URL          of the broker (default MQTT_URL, or the port noted in the data folder)
  --quiet                 no messages on standard error
  --json                  one JSON summary on standard output at the end
  --help
`;

const OPTIONS = {
  seed: { type: 'string', default: '1' },
  households: { type: 'string', default: '20' },
  'seconds-per-slot': { type: 'string', default: '10' },
  day: { type: 'string', default: '2026-06-01' },
  days: { type: 'string' },
  until: { type: 'string' },
  'step-minutes': { type: 'string' },
  microgrid: { type: 'string', default: 'street' },
  'data-dir': { type: 'string' },
  'operator-logins': { type: 'string' },
  url: { type: 'string' },
  'mqtt-url': { type: 'string' },
  quiet: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** @throws Error saying which option cannot be used and why */
export function parseSimulateOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): SimulateOptions | 'help' {
  const { values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: false });
  if (values.help) return 'help';
  const dataDir = resolve(values['data-dir'] ?? (env['DATA_DIR'] || './data'));
  const stepMinutes = values['step-minutes'] === undefined ? null : Number(values['step-minutes']);
  if (stepMinutes !== null && ![1, 3, 5, 15].includes(stepMinutes)) {
    throw new Error('--step-minutes must be 1, 3, 5 or 15, so that slot borders are read');
  }
  if (!isIdent(values.microgrid)) throw new Error('--microgrid must match [A-Za-z0-9_-]{1,64}');
  const url = values.url ?? (env['SERVICE_URL'] || undefined);
  const mqttUrl = values['mqtt-url'] ?? (env['MQTT_URL'] || undefined);
  return {
    dataDir,
    ...(url === undefined ? {} : { url }),
    ...(mqttUrl === undefined ? {} : { mqttUrl }),
    operatorLogins: resolve(
      values['operator-logins'] ??
        (env['BOOTSTRAP_LOGINS'] || join(dataDir, 'bootstrap-logins.json')),
    ),
    microgrid: values.microgrid,
    seed: values.seed,
    households: numberIn('--households', values.households, 1, 500, true),
    startsAt: instantOf('--day', `${values.day}T10:00:00Z`),
    secondsPerSlot: numberIn('--seconds-per-slot', values['seconds-per-slot'], 0, 3_600, false),
    stepMinutes,
    untilOf: endOf(values.days, values.until),
    json: values.json,
    quiet: values.quiet,
  };
}

function endOf(days: string | undefined, until: string | undefined): (clock: number) => number {
  if (until !== undefined) {
    const end = instantOf('--until', until);
    return () => end;
  }
  if (days === undefined) return () => Infinity;
  const count = numberIn('--days', days, 0, 36_500, false);
  return (clock) => clock + Math.round(count * 86_400) * 1_000;
}

function numberIn(name: string, text: string, least: number, most: number, whole: boolean): number {
  const value = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw new Error(`${name} must be a${whole ? ' whole' : ''} number from ${least} to ${most}`);
  }
  return value;
}

function instantOf(name: string, text: string): number {
  try {
    return parseInstant(text);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
