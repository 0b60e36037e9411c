import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/**
 * The service as a child process: started with its own environment, found through the addresses that
 * it writes when it is ready, and stopped with everything it holds.
 */
export class ServiceProcess {
  #lastLines: string[] = [];
  #stopping = false;
  readonly died: Promise<never>;

  private constructor(
    private readonly child: ChildProcess,
    private readonly dataDir: string,
  ) {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#keep(text));
    this.died = new Promise<never>((_, reject) => {
      child.once('error', (error) => reject(error));
      child.once('exit', (code, signal) => {
        if (this.#stopping) return;
        const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
        reject(new Error(`the service ${how}; its last lines:\n${this.#lastLines.join('\n')}`));
      });
    });
    // Whoever races against it sees the rejection; nobody else needs to.
    this.died.catch(() => undefined);
  }

  /** @throws Error with its last lines when it ends, or is not ready in time */
  static async start(options: {
    env: NodeJS.ProcessEnv;
    dataDir: string;
    readyWithinMillis: number;
  }): Promise<{ service: ServiceProcess; addresses: ServiceAddresses }> {
    const child = spawn(process.execPath, [join(projectRoot(), 'dist/src/main.js')], {
      cwd: projectRoot(),
      env: options.env,
      // The channel closes with this process, however it ends: the service then ends too.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const service = new ServiceProcess(child, options.dataDir);
    try {
      const addresses = await Promise.race([
        service.#ready(options.readyWithinMillis),
        service.died,
      ]);
      return { service, addresses };
    } catch (error) {
      await service.stop();
      throw error;
    }
  }

  /** Ends it with SIGTERM, and with SIGKILL if it takes longer than a quarter-minute. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    if (this.child.pid === undefined) return;
    const exited = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    await exited;
    clearTimeout(timer);
  }

  async #ready(withinMillis: number): Promise<ServiceAddresses> {
    for (let waited = 0; waited < withinMillis; waited += 50) {
      const addresses = await readAddresses(this.dataDir);
      // A kept folder may hold the addresses of an earlier process.
      if (addresses && addresses.pid === this.child.pid) return addresses;
      await sleep(50);
    }
    throw new Error(
      `the service was not ready within ${withinMillis / 1000} s; its last lines:\n${this.#lastLines.join('\n')}`,
    );
  }

  #keep(text: string): void {
    this.#lastLines.push(...text.split('\n').filter((line) => line.trim() !== ''));
    this.#lastLines.splice(0, this.#lastLines.length - 15);
  }
}

export type ServiceAddresses = z.output<typeof ADDRESSES>;

const ADDRESSES = z.object({
  httpPort: z.int().positive(),
  mqttPort: z.int().positive().nullish(),
  pid: z.int().positive(),
});

/** Where the service of a data folder listens, or null while it has not said so. */
export async function readAddresses(dataDir: string): Promise<ServiceAddresses | null> {
  try {
    return ADDRESSES.parse(JSON.parse(await readFile(join(dataDir, 'service.json'), 'utf8')));
  } catch {
    return null;
  }
}

/** Runs one of the built commands to its end and gives its code and standard output. */
export function runCommand(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Ended> {
  return runProgram(join(projectRoot(), 'dist/src/commands', `${command}.js`), args, env, signal);
}

/** How a program ended, and what it said. */
export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a built file in a process of its own. */
export async function runProgram(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Ended> {
  const child = spawn(process.execPath, [file, ...args], {
    cwd: projectRoot(),
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout, stderr };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Ends the database server that a killed service left behind in its folder, so that the folder can be
 * removed. PostgreSQL names itself in `postmaster.pid`.
 */
export async function stopLeftDatabase(dataDir: string): Promise<void> {
  const file = join(dataDir, 'postgres/postmaster.pid');
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 1) return;
  // A number can have gone to another program since; where /proc is, that shows.
  const command = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'postgres');
  if (command.trim() !== 'postgres') return;
  try {
    process.kill(pid, 'SIGINT');
    for (let waited = 0; waited < 5_000; waited += 50) {
      process.kill(pid, 0);
      await sleep(50);
    }
  } catch {
    // It is gone.
  }
}

/** The folder of package.json: two up from the built file, one up from the source. */
function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}
