import 'reflect-metadata';
import { spawn, type ChildProcess } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { loadSettings, type Settings } from '../config.js';
import { LocalWitnesses } from '../local-witnesses.js';
import { startService, type RunningService } from '../service.js';

/**
 * `npm start`: everything on this machine. The service on the simulated clock, with the embedded
 * PostgreSQL and broker unless the settings name others, two witnesses, and a street that trades beside.
 */

const HELP = `npm start -- [--seed TEXT] [--households N] [--seconds-per-slot S]

Runs Neighborwatt with a simulated street, the pages at http://localhost:3000 (HTTP_PORT). The first
start makes the demo log-ins, shows them once, and keeps them in DATA_DIR/demo-logins.json (0600).
Stop it with Ctrl-C. Settings come from the environment, see docs/settings.md.

  --seed TEXT           same seed, same street and weather (default 1)
  --households N        1 to 500 (default 20)
  --seconds-per-slot S  real seconds a quarter-hour takes (default 10)
`;

const LOGINS = z.object({
  ready: z.boolean(),
  people: z.array(z.object({ user: z.string(), password: z.string(), role: z.string() })),
});

const SIMULATOR = fileURLToPath(new URL('../../simulator/simulate.js', import.meta.url));

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      households: { type: 'string', default: '20' },
      'seconds-per-slot': { type: 'string', default: '10' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { help: _, ...street } = values;
  const given = loadSettings({ LOG_LEVEL: 'warn', ...process.env, MARKET_CLOCK: 'simulated' });
  const { settings, witnesses } = await withWitnesses(given);
  const loginsFile = join(settings.dataDir, 'demo-logins.json');
  const isFirstStart = !(await exists(loginsFile));
  const bootstrap = join(settings.dataDir, 'bootstrap-logins.json');
  const service = await startService(settings, bootstrap).catch(async (error: unknown) => {
    await witnesses?.stop();
    throw error;
  });
  const simulator = new Street(
    Object.entries(street).flatMap(([name, value]) => [`--${name}`, value]),
    { ...process.env, DATA_DIR: settings.dataDir },
  );
  stopTogether(service, simulator, witnesses);
  await simulator.whileRunning(async () => {
    const logins = await readLogins(loginsFile);
    process.stdout.write(welcome(service, loginsFile, isFirstStart ? logins : null));
  });
}

/** Two witnesses beside the service, unless the settings name others. */
async function withWitnesses(
  settings: Settings,
): Promise<{ settings: Settings; witnesses: LocalWitnesses | null }> {
  if (settings.witnesses !== undefined) return { settings, witnesses: null };
  const { witnesses, policyFile } = await LocalWitnesses.start(settings);
  return { settings: { ...settings, witnesses: policyFile }, witnesses };
}

/** The simulated street as a process of its own; started again when it fails. */
class Street {
  private child: ChildProcess | undefined;
  private stopped = false;

  constructor(
    private readonly args: readonly string[],
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** Runs the street until `stop`; `once` goes on beside its first run. */
  async whileRunning(once: () => Promise<void>): Promise<void> {
    const beside = once();
    while (!this.stopped) {
      const code = await this.run();
      if (this.stopped) break;
      process.stderr.write(`The simulated street ended with code ${code}; it starts again.\n`);
      await sleep(2_000);
    }
    await beside;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    const { child } = this;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(impatience);
  }

  private run(): Promise<number | null> {
    const child = spawn(process.execPath, [SIMULATOR, ...this.args], {
      env: this.env,
      // The channel closes with this process, however it ends: the street then ends too.
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    this.child = child;
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
  }
}

/** Nest's own hooks end the service on a signal; the street goes first, so that nothing is cut off. */
function stopTogether(
  service: RunningService,
  street: Street,
  witnesses: LocalWitnesses | null,
): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.once(signal, () => {
      void street
        .stop()
        .then(() => service.stop())
        .then(() => witnesses?.stop())
        .then(() => process.exit(0));
    });
  }
}

async function readLogins(file: string): Promise<z.output<typeof LOGINS>> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => null);
    const logins = text === null ? null : LOGINS.safeParse(JSON.parse(text));
    if (logins?.success && logins.data.ready) return logins.data;
    await sleep(200);
  }
}

function welcome(
  { httpPort, mqttPort }: RunningService,
  file: string,
  logins: z.output<typeof LOGINS> | null,
): string {
  const lines = [
    '',
    '  Neighborwatt is trading.',
    '',
    `  Pages            http://localhost:${httpPort}`,
    `  HTTP interface   http://localhost:${httpPort}/docs`,
    ...(mqttPort === null ? [] : [`  MQTT             mqtt://127.0.0.1:${mqttPort}`]),
    `  Log-ins          ${file}`,
    '',
  ];
  if (logins) {
    const width = Math.max(...logins.people.map(({ user }) => user.length));
    lines.push('  Shown this once:', '');
    for (const { user, password, role } of logins.people) {
      if (role !== 'simulator') lines.push(`  ${user.padEnd(width)}  ${password}  ${role}`);
    }
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
