import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { Authority } from '../support/certificates.js';
import { hasProgram } from '../support/require.js';
import { Street } from './street.js';

/** A real Mosquitto with the files that `npm run operator -- mosquitto` writes for it. */

const ready = hasProgram('mosquitto') && hasProgram('openssl', ['version']);

(ready ? describe : describe.skip)('with its files', () => {
  let street: Street;
  let folder: string;
  let authority: Authority;
  let broker: ChildProcess | undefined;
  let ports: { service: number; meters: number };
  const secrets = new Map<string, string>();
  const clients: MqttClient[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-files-'));
    street = await Street.open();
    for (const device of ['h1', 'h2', 'h1-grid', 'h2-grid']) {
      const { document } = await street.command('rotate-secret', { microgrid: 'street', device });
      secrets.set(device, (document as { secret: string }).secret);
    }
    authority = await Authority.make(folder, 'street');
    ports = { service: await freePort(), meters: await freePort() };
    await write({});
    secrets.set('service', (await readFile(join(folder, 'out/service-secret'), 'utf8')).trim());
    await start();
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.endAsync(true)));
    broker?.kill('SIGKILL');
    await street.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function write(more: Record<string, string>): Promise<void> {
    const { cert, key } = await authority.issue('broker');
    await street.command('mosquitto', {
      out: join(folder, 'out'),
      service: 'service',
      certificate: cert,
      key,
      port: String(ports.meters),
      'service-port': String(ports.service),
      ...more,
    });
    // Started as root, Mosquitto would become a user who may not read the files.
    if (process.getuid?.() === 0)
      await appendFile(join(folder, 'out/mosquitto.conf'), 'user root\n');
  }

  async function start(): Promise<void> {
    broker = spawn('mosquitto', ['-c', join(folder, 'out/mosquitto.conf')], { stdio: 'ignore' });
    for (let tries = 0; tries < 400; tries += 1) {
      if (await listens(ports.meters)) return;
      await sleep(25);
    }
    throw new Error('mosquitto did not start');
  }

  async function client(username: string): Promise<MqttClient> {
    const secured = username !== 'service';
    const made = await mqtt.connectAsync(
      secured ? `mqtts://127.0.0.1:${ports.meters}` : `mqtt://127.0.0.1:${ports.service}`,
      {
        username,
        password: secrets.get(username)!,
        reconnectPeriod: 0,
        ...(secured ? { ca: await readFile(authority.certificate) } : {}),
      },
    );
    made.on('error', () => undefined);
    clients.push(made);
    return made;
  }

  const readings = (meter: string): string => `microgrids/street/meters/${meter}/readings`;
  const settlements = (household: string): string =>
    `microgrids/street/households/${household}/settlements`;

  test('a meter writes to its topics and to nothing else, and reads nothing', async () => {
    const [service, meter, household] = await Promise.all(['service', 'h1-grid', 'h1'].map(client));
    const heard: string[] = [];
    const overheard: string[] = [];
    service!.on('message', (topic) => heard.push(topic));
    meter!.on('message', (topic) => overheard.push(topic));
    household!.on('message', (topic) => overheard.push(`h1 ${topic}`));
    await service!.subscribeAsync('microgrids/#', { qos: 1 });
    for (const filter of [
      '#',
      '$SYS/#',
      settlements('h1'),
      settlements('h2'),
      readings('h2-grid'),
    ]) {
      await meter!.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
    }
    for (const filter of ['#', '$SYS/#', settlements('h1'), settlements('h2')]) {
      await household!.subscribeAsync(filter, { qos: 1 }).catch(() => undefined);
    }
    const forbidden = [readings('h2-grid'), settlements('h1'), '$SYS/broker/uptime', 'elsewhere'];
    for (const topic of [...forbidden, readings('h1-grid')]) {
      await meter!.publishAsync(topic, '{}', { qos: 1 }).catch(() => undefined);
    }
    for (const own of ['h1', 'h2']) await service!.publishAsync(settlements(own), '{}', { qos: 1 });
    await until(() => overheard.length > 0 && heard.length >= 3);
    await sleep(100);
    expect(heard.sort()).toEqual(
      [settlements('h1'), settlements('h2'), readings('h1-grid')].sort(),
    );
    expect(overheard).toEqual([`h1 ${settlements('h1')}`]);
  });

  test('a reload ends the connection of who was revoked, and keeps the others', async () => {
    const [gone, other] = [await client('h2-grid'), await client('h1-grid')];
    const closed = new Promise((resolve) => gone.once('close', () => resolve(undefined)));
    await street.command('revoke-secret', { microgrid: 'street', device: 'h2-grid' });
    await write({});
    broker!.kill('SIGHUP');
    await closed;
    expect(other.connected).toBe(true);
    await expect(client('h2-grid')).rejects.toThrow();
  });

  test('a new secret counts after a reload, the old one no more, and no file shows either', async () => {
    const old = await client('h1-grid');
    const before = secrets.get('h1-grid')!;
    const closed = new Promise((resolve) => old.once('close', () => resolve(undefined)));
    const { document, text } = await street.command('rotate-secret', {
      microgrid: 'street',
      device: 'h1-grid',
    });
    const { secret } = document as { secret: string };
    expect(text).toContain(secret);
    await write({});
    broker!.kill('SIGHUP');
    await closed;
    await expect(client('h1-grid')).rejects.toThrow();
    secrets.set('h1-grid', secret);
    expect((await client('h1-grid')).connected).toBe(true);
    for (const file of ['passwords', 'acl', 'mosquitto.conf']) {
      const written = await readFile(join(folder, 'out', file), 'utf8');
      for (const one of [before, secret]) expect(written).not.toContain(one);
    }
  });

  test('what a meter was told is kept outlives a kill of the broker', async () => {
    const service = { clientId: 'service', clean: false, username: 'service' };
    const url = `mqtt://127.0.0.1:${ports.service}`;
    const password = secrets.get('service')!;
    const first = await mqtt.connectAsync(url, { ...service, password });
    await first.subscribeAsync('microgrids/+/meters/+/readings', { qos: 1 });
    await first.endAsync();
    const meter = await client('h1-grid');
    const begun = performance.now();
    for (let n = 0; n < 50; n += 1) {
      await meter.publishAsync(readings('h1-grid'), String(n), { qos: 1 });
    }
    process.stderr.write(`50 kept messages in ${Math.round(performance.now() - begun)} ms\n`);
    // It answers the last ones a moment before it saves them.
    await sleep(500);
    const exit = once(broker!, 'exit');
    broker!.kill('SIGKILL');
    await exit;
    await start();
    const heard: number[] = [];
    const back = mqtt.connect(url, { ...service, password });
    clients.push(back);
    back.on('message', (_, payload) => heard.push(Number(payload.toString())));
    await until(() => heard.length >= 50);
    expect(new Set(heard).size).toBe(50);
  });

  test('a certificate stands in place of the secret', async () => {
    broker!.kill('SIGKILL');
    await write({ ca: authority.certificate });
    await start();
    const { cert, key } = await authority.issue('h1-grid');
    const run = promisify(execFile);
    const common = `-h 127.0.0.1 -p ${ports.meters} -V mqttv5 -q 1 -m {} --cafile`.split(' ');
    const publish = (topic: string, ...more: string[]) =>
      run('mosquitto_pub', [...common, authority.certificate, '-t', topic, ...more]);
    const service = await client('service');
    const heard: string[] = [];
    service.on('message', (topic) => heard.push(topic));
    await service.subscribeAsync('microgrids/#', { qos: 1 });
    await publish(readings('h1-grid'), '--cert', cert, '--key', key);
    await publish(readings('h2-grid'), '--cert', cert, '--key', key).catch(() => undefined);
    await expect(publish(readings('h1-grid'))).rejects.toThrow();
    await until(() => heard.length > 0);
    await sleep(100);
    expect(heard).toEqual([readings('h1-grid')]);
  });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('This took too long.');
    await sleep(10);
  }
}

async function listens(port: number): Promise<boolean> {
  const socket = connectSocket(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
