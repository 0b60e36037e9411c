import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../src/database/postgres-folder.service.js';

/** A stock Mosquitto for one measurement, on a free port of the loopback interface. */

export interface Mosquitto {
  readonly url: string;
  stop(): Promise<void>;
}

export function isMosquittoInstalled(): boolean {
  return spawnSync('mosquitto', ['-h'], { stdio: 'ignore' }).error === undefined;
}

export async function startMosquitto(): Promise<Mosquitto> {
  const folder = await mkdtemp(join(tmpdir(), 'neighborwatt-bench-'));
  // Started as root, Mosquitto goes on as another user.
  await chmod(folder, 0o777);
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  await writeFile(
    file,
    `listener ${port} 127.0.0.1\npersistence_location ${folder}/\n${AS_SHIPPED}`,
    { mode: 0o644 },
  );
  const server = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  const ended = once(server, 'exit');
  const stop = async (): Promise<void> => {
    server.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (await answers(port)) return { url: `mqtt://127.0.0.1:${port}`, stop };
    await sleep(50);
  }
  await stop();
  throw new Error('Mosquitto does not start.');
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** As docker/mosquitto.conf has it, except who may connect. */
const AS_SHIPPED = `
allow_anonymous true
persistence true
autosave_interval 10
max_queued_messages 10000000
max_inflight_messages 65535
`;
