import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { readProjectFile } from '../support/project.js';
import { Program, until } from './program.js';

/** What a service leans on, to be killed, frozen, and brought back under its feet. */

/** The embedded PostgreSQL of a data folder, which the service starts again when it has ended. */
export class DatabaseServer {
  private frozen: number[] = [];

  constructor(private readonly dataDir: string) {}

  /** SIGKILL to its first process; the others end when they notice. */
  async kill(): Promise<void> {
    process.kill(await this.pid(), 'SIGKILL');
  }

  /** Every process of it stands still: connections stay, and nothing is answered. */
  async freeze(): Promise<void> {
    const first = await this.pid();
    // No further one is made once the first stands still.
    process.kill(first, 'SIGSTOP');
    this.frozen = [first, ...childrenOf(first)];
    for (const pid of this.frozen) process.kill(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of this.frozen.splice(0)) process.kill(pid, 'SIGCONT');
  }

  private async pid(): Promise<number> {
    const file = join(this.dataDir, 'postgres/postmaster.pid');
    return Number((await readFile(file, 'utf8')).split('\n')[0]);
  }
}

/** Mosquitto as `docker/mosquitto.conf` has it, but open to everyone, and saved at every change. */
export class OpenMosquitto {
  private program: Program | undefined;

  constructor(
    private readonly folder: string,
    readonly port: number,
  ) {}

  async start(): Promise<void> {
    const file = join(this.folder, 'mosquitto.conf');
    const shipped = readProjectFile('docker/mosquitto.conf')
      .replace('listener 1883', `listener ${this.port} 127.0.0.1`)
      .replace('allow_anonymous false', 'allow_anonymous true')
      .replace(/^(password_file|acl_file|autosave_interval).*$/gm, '')
      .replace(/^persistence_location.*$/m, `persistence_location ${this.folder}/`);
    const own = ['autosave_on_changes true', 'autosave_interval 1'];
    // As root it would become another user, who may not write into this folder.
    if (process.getuid?.() === 0) own.push('user root');
    await writeFile(file, `${shipped}\n${own.join('\n')}\n`);
    const child = spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.program = new Program(child);
    await until('Mosquitto listens', () => this.answers());
  }

  /** As an operator restarts it: it writes down what it has, and goes on with that. */
  async restart(): Promise<void> {
    await this.program?.stop();
    await this.start();
  }

  /** What it had not written down is gone. */
  async kill(): Promise<void> {
    await this.program?.kill();
  }

  private async answers(): Promise<boolean> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}

/** What a process holds of the machine's memory. */
export function residentMB(pid: number): number {
  return Number(ps(['-o', 'rss=', '-p', String(pid)]).trim()) / 1024;
}

function childrenOf(parent: number): number[] {
  return ps(['-A', '-o', 'pid=,ppid='])
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (ppid === parent ? [pid!] : []));
}

function ps(args: readonly string[]): string {
  const { stdout, error } = spawnSync('ps', args, { encoding: 'utf8' });
  if (error) throw error;
  return stdout;
}
