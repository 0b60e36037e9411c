import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { SlotMinutes } from '../src/units/slot.js';
import { readCsv } from './csv.js';
import { matchableWh } from './measured-day.js';
import { splitIntervals, type MeasuredStreet } from './measured-street.js';
import { compareReplays } from './replay-compare.js';
import { parseReplayOptions, REPLAY_HELP, type ReplayOptions } from './replay-options.js';
import { progressBar, readable, type ReplayResult } from './replay-report.js';
import { ReplayRun } from './replay-run.js';
import { runCommand, ServiceProcess, stopLeftDatabase } from './service.process.js';

/**
 * `npm run replay`: measured data through a service of its own, over MQTT, on a simulated clock, to
 * settled slots and a verified ledger. Nothing is started before the whole file is found right.
 */
async function replay(options: ReplayOptions, signal: AbortSignal): Promise<ReplayResult> {
  const startedAt = Date.now();
  const { street, slotMinutes } = await readStreet(options);
  const folder = await workFolder(options.keep);
  const env = childEnvironment(options, folder);
  let service: ServiceProcess | null = null;
  try {
    const started = await ServiceProcess.start({
      env,
      dataDir: folder.dataDir,
      readyWithinMillis: 120_000,
    });
    service = started.service;
    const run = new ReplayRun(options, street, slotMinutes, started.addresses, folder.loginsFile);
    const bar = progressBar();
    const died = started.service.died;
    const stopped = aborted(signal);
    try {
      await Promise.race([run.play((done, total) => bar.update(done, total)), died, stopped]);
    } finally {
      bar.stop();
      await run.close();
    }
    const summary = await Promise.race([run.summary(), died, stopped]);
    const verified = await verify(env, signal);
    return {
      households: street.households.length,
      slots: run.slots,
      readings: run.readings,
      energy: { ...summary.energy, matchableWh: matchableWh(street, slotMinutes) },
      market: summary.market,
      money: summary.money,
      homes: summary.homes,
      prices: summary.prices,
      ledger: summary.ledger,
      verify: verified,
      seconds: Math.round((Date.now() - startedAt) / 100) / 10,
      source: {
        stepMinutes: street.derivedFromMinutes ?? street.stepMinutes,
        slotMinutes,
        derived: street.derivedFromMinutes !== null,
      },
      ...(options.keep === null ? {} : { dataDir: options.keep }),
    };
  } finally {
    await service?.stop();
    await folder.remove();
  }
}

/** A text of more cannot be held in one string. */
const MOST_FILE_BYTES = 400_000_000;

async function readStreet(
  options: ReplayOptions,
): Promise<{ street: MeasuredStreet; slotMinutes: SlotMinutes }> {
  const { size } = await stat(options.file);
  if (size > MOST_FILE_BYTES)
    throw new Error(`${options.file} has more than ${MOST_FILE_BYTES} bytes`);
  const outcome = readCsv(await readFile(options.file, 'utf8'), options.selection);
  if (!outcome.ok) {
    const more = outcome.unlisted > 0 ? [`and ${outcome.unlisted} more`] : [];
    throw new Error(
      [`${options.file} cannot be replayed:`, ...outcome.errors, ...more].join('\n  '),
    );
  }
  const { stepMinutes } = outcome.street;
  const slotMinutes = options.slotMinutes ?? stepMinutes;
  if (!isSlotLength(slotMinutes)) {
    throw new Error(
      `steps of ${stepMinutes} min are no slots: pass --slot-minutes 5, 15, 30 or 60`,
    );
  }
  if (slotMinutes % stepMinutes !== 0 && stepMinutes % slotMinutes !== 0) {
    throw new Error(`slots of ${slotMinutes} min do not fit steps of ${stepMinutes} min`);
  }
  return { street: splitIntervals(outcome.street, slotMinutes), slotMinutes };
}

function isSlotLength(minutes: number): minutes is SlotMinutes {
  return [5, 15, 30, 60].includes(minutes);
}

interface WorkFolder {
  dataDir: string;
  loginsFile: string;
  remove(): Promise<void>;
}

async function workFolder(keep: string | null): Promise<WorkFolder> {
  if (keep !== null) {
    await mkdir(keep, { recursive: true, mode: 0o700 });
    if ((await readdir(keep)).length > 0) throw new Error(`--keep: ${keep} is not empty`);
    // A database server under another account has to reach what is inside.
    if (process.getuid?.() === 0) await chmod(keep, 0o711);
    return { dataDir: keep, loginsFile: join(keep, 'logins.json'), remove: async () => undefined };
  }
  const parent = await mkdtemp(join(tmpdir(), 'neighborwatt-replay-'));
  if (process.getuid?.() === 0) await chmod(parent, 0o711);
  // Left to the service to make, with the permissions that its database needs.
  const dataDir = join(parent, 'data');
  return {
    dataDir,
    loginsFile: join(parent, 'logins.json'),
    remove: async () => {
      await stopLeftDatabase(dataDir);
      await rm(parent, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * The service's environment. Where it stores and whom it talks to comes from the options alone: a
 * replay never touches a database or a broker that happens to be named in the caller's environment.
 */
function childEnvironment(options: ReplayOptions, folder: WorkFolder): NodeJS.ProcessEnv {
  const { DATABASE_URL: _database, MQTT_URL: _mqtt, ...inherited } = process.env;
  delete inherited['MQTT_USERNAME'];
  delete inherited['MQTT_PASSWORD'];
  return {
    ...inherited,
    ...(options.databaseUrl === null ? {} : { DATABASE_URL: options.databaseUrl }),
    DATA_DIR: folder.dataDir,
    MARKET_CLOCK: 'simulated',
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: '0',
    MQTT_HOST: '127.0.0.1',
    MQTT_PORT: '0',
    BOOTSTRAP_LOGINS: folder.loginsFile,
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'warn',
  };
}

const VERIFIED = z.looseObject({ ok: z.boolean() });

/** In a process of its own, against the same database. */
async function verify(env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<{ ok: boolean }> {
  const { code, stdout, stderr } = await runCommand('verify', ['--json'], env, signal);
  signal.throwIfAborted();
  const answer = VERIFIED.safeParse(parsedOrNull(stdout));
  const ok = code === 0 && answer.success && answer.data.ok;
  if (!ok) {
    const what = answer.success ? 'verify found the ledger wrong' : 'verify could not run';
    process.stderr.write(`${what}:\n${stdout}${stderr}\n`);
  }
  return { ok };
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    const stop = () => reject(new Error('interrupted'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  promise.catch(() => undefined);
  return promise;
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => stop.abort());
  if (args.includes('--compare')) {
    return compareReplays(
      args.filter((each) => each !== '--compare'),
      fileURLToPath(import.meta.url),
      stop.signal,
    );
  }
  const options = parseReplayOptions(args);
  if (options === 'help') {
    process.stdout.write(REPLAY_HELP);
    return 0;
  }
  const result = await replay(options, stop.signal);
  process.stdout.write(`${options.json ? JSON.stringify(result) : readable(result)}\n`);
  return result.verify.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`replay: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
