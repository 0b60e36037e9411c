import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Settings } from './config.js';
import { writeWhole } from './ledger/log-keyring.service.js';
import { parseVerifierKey } from './transparency/signed-note.js';
import { formatPolicy } from './transparency/tlog-policy.js';

const COMMAND = fileURLToPath(new URL('./commands/witness.js', import.meta.url));
const COUNT = 2;

/**
 * Two witnesses as processes beside the service, for `npm start`: each with its own key and store in
 * `DATA_DIR/witnesses`, started again when it ends. They show how witnesses work; one machine and one
 * operator are no protection.
 */
export class LocalWitnesses {
  private readonly children = new Map<number, ChildProcess>();
  private stopped = false;

  private constructor(private readonly settings: Settings) {}

  /** @returns once both listen; `policyFile` is what the setting WITNESSES takes */
  static async start(
    settings: Settings,
  ): Promise<{ witnesses: LocalWitnesses; policyFile: string }> {
    const folder = join(settings.dataDir, 'witnesses');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const witnesses = new LocalWitnesses(settings);
    const numbers = Array.from({ length: COUNT }, (_, at) => at + 1);
    const running = await Promise.all(
      numbers.map((number) => witnesses.run(number, `${settings.logOrigin}/witness-${number}`)),
    );
    const names = numbers.map((number) => `witness-${number}`);
    const policy = formatPolicy({
      logs: [],
      witnesses: running.map(({ verifierKey, url }, at) => ({
        name: names[at]!,
        key: parseVerifierKey(verifierKey),
        url,
      })),
      // With fewer than all of two, each could be shown another story.
      groups: [{ name: 'both', threshold: COUNT, members: names }],
      quorum: 'both',
    });
    const policyFile = join(folder, 'policy');
    writeWhole(policyFile, policy);
    return { witnesses, policyFile };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(
      [...this.children.values()].map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await ended;
      }),
    );
  }

  /** Keeps it running. @returns where, when it listens for the first time */
  private run(number: number, name: string): Promise<Listening> {
    return new Promise((resolve, reject) => {
      let port = '0';
      let heard = false;
      const keep = async (): Promise<void> => {
        // One of a service that was killed may need a moment to notice that it is alone.
        for (let attempt = 0; !this.stopped && (heard || attempt < MOST_ATTEMPTS); attempt += 1) {
          if (attempt > 0) await sleep(AGAIN_AFTER_MILLIS);
          await this.once(number, name, port, (listening) => {
            port = new URL(listening.url).port;
            heard = true;
            resolve(listening);
          });
        }
        if (!heard) throw new Error(`Witness ${number} does not start; see above.`);
      };
      keep().catch(reject);
    });
  }

  /** Resolves when it ends. */
  private once(
    number: number,
    name: string,
    port: string,
    onListening: (listening: Listening) => void,
  ): Promise<unknown> {
    const { dataDir, logsFile } = this.settings;
    const options = {
      store: join(dataDir, 'witnesses', String(number)),
      logs: logsFile ?? join(dataDir, 'logs.policy'),
      name,
      port,
    };
    const args = Object.entries(options).flatMap(([option, value]) => [`--${option}`, value]);
    const child = spawn(process.execPath, [COMMAND, ...args], {
      // The channel closes with this process, however it ends: the witness then ends too.
      stdio: ['ignore', 'ignore', 2, 'ipc'],
    });
    this.children.set(number, child);
    child.once('message', (message) => onListening(message as Listening));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
  }
}

interface Listening {
  verifierKey: string;
  url: string;
}

const AGAIN_AFTER_MILLIS = 500;
const MOST_ATTEMPTS = 20;
