import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopLeftDatabase } from '../../simulator/service.process.js';
import { projectPath } from '../support/project.js';
import { SIMULATED } from '../support/settings.js';

/**
 * The built program, run as people run it: commands through `scripts/run.mjs`, which builds what is
 * stale under its lock, and the service as a process of its own that can be killed.
 */

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

type Environment = Readonly<Record<string, string>>;

let built: Promise<unknown> | undefined;

/** Builds the program unless it is fresh. @throws Error with what the build says */
export async function buildProgram(): Promise<void> {
  built ??= runCommand(['verify', '--help']).then(({ code, stderr }) => {
    if (code !== 0) throw new Error(`The program cannot be built:\n${stderr}`);
  });
  await built;
}

/** `npm run <command> -- <args>` to its end, with these settings and none of the caller's. */
export async function runCommand(args: readonly string[], env: Environment = {}): Promise<Ended> {
  return ended(start(['scripts/run.mjs', ...args], env));
}

/** What `npm run verify` says of the books in a data folder. @throws Error with what it found */
export async function verdictOn(dataDir: string): Promise<{ ok: boolean }> {
  const { code, stdout, stderr } = await runCommand(['verify', '--json'], { DATA_DIR: dataDir });
  if (code !== 0) throw new Error(`verify ended with ${code}:\n${stdout}${stderr}`);
  const { ok } = JSON.parse(stdout) as { ok: boolean };
  return { ok };
}

/** Another program to its end. */
export function runProgram(program: string, args: readonly string[]): Promise<Ended> {
  return ended(spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** A file of the project as a process that goes on beside the test. */
export function startProgram(args: readonly string[], env: Environment): Program {
  return new Program(start(args, env));
}

/** A process with what it said. */
export class Program {
  readonly ended: Promise<Ended>;

  constructor(readonly child: ChildProcess) {
    this.ended = ended(child);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** As an operator stops it. */
  async stop(): Promise<Ended> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

/**
 * `main.js` on fixed ports, so that devices find it again: started, killed, started again, on one
 * data folder. The embedded database lives on when it is killed.
 */
export class RunningService {
  readonly env: Environment;
  private program: Program | undefined;

  constructor(
    readonly dataDir: string,
    settings: Environment,
  ) {
    const { MARKET_CLOCK } = settings;
    this.env = MARKET_CLOCK === SIMULATED.MARKET_CLOCK ? { ...SIMULATED, ...settings } : settings;
  }

  /** Resolves when it says where it listens. @throws Error with its last words when it ends before */
  async start(): Promise<{ httpPort: number; mqttPort: number }> {
    const program = startProgram(['dist/src/main.js'], { ...this.env, DATA_DIR: this.dataDir });
    this.program = program;
    let last: Ended | undefined;
    void program.ended.then((how) => (last = how));
    const file = join(this.dataDir, 'service.json');
    for (let waited = 0; waited < READY_WITHIN_MILLIS; waited += POLL_MILLIS) {
      const said = await readFile(file, 'utf8').catch(() => '{}');
      const where = JSON.parse(said) as { httpPort: number; mqttPort: number; pid: number };
      if (where.pid === program.child.pid) return where;
      if (last)
        throw new Error(`The service ended with ${last.code}:\n${last.stdout}${last.stderr}`);
      await sleep(POLL_MILLIS);
    }
    await this.kill();
    throw new Error(`The service is not ready after ${READY_WITHIN_MILLIS} ms:\n${last?.stderr}`);
  }

  /** Of the process that runs. */
  get pid(): number {
    const pid = this.program?.child.pid;
    if (pid === undefined) throw new Error('The service has not been started.');
    return pid;
  }

  get isRunning(): boolean {
    return this.program !== undefined && this.program.child.exitCode === null;
  }

  /** As the operating system ends a process that must go: it cannot finish anything. */
  async kill(): Promise<void> {
    await this.program?.kill();
  }

  /** As an operator stops it. @returns what it said */
  async stop(): Promise<Ended | undefined> {
    return this.program?.stop();
  }
}

/** Options as a command line spells them. @example optionsOf({ seed: '1', json: true }) // --seed 1 --json */
export function optionsOf(options: Readonly<Record<string, string | true>>): string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, value],
  );
}

/** A folder that is gone, with every database server left in `dataDirs`, after `remove`. */
export async function tempFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'neighborwatt-flow-'));
  // For root, the database server runs as another user.
  await chmod(path, 0o711);
  return {
    path,
    remove: async () => {
      await stopLeftDatabase(join(path, 'data'));
      await rm(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * Waits until something is there or true, and gives it.
 * @throws Error naming it when it is not in time
 */
export async function until<T>(
  what: string,
  look: () => Promise<T> | T,
  withinMillis = 20_000,
): Promise<Exclude<T, null | undefined | false>> {
  for (let waited = 0; waited < withinMillis; waited += POLL_MILLIS) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) {
      return found as Exclude<T, null | undefined | false>;
    }
    await sleep(POLL_MILLIS);
  }
  throw new Error(`not within ${withinMillis} ms: ${what}`);
}

function start(args: readonly string[], env: Environment): ChildProcess {
  return spawn(process.execPath, args, {
    cwd: projectPath(''),
    env: { ...inherited(), LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** What programs need to run at all: settings that happen to be in the caller's environment do not. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'SystemRoot', 'TEMP'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

const POLL_MILLIS = 20;
const READY_WITHIN_MILLIS = 60_000;
