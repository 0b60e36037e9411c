import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import mqtt, { type MqttClient } from 'mqtt';
import { BrokerProblem, BrokerService } from '../../src/broker/broker.service.js';
import type { IncomingMessage } from '../../src/broker/broker.service.js';
import { hashSecret } from '../../src/broker/mosquitto-password.js';
import { loadSettings } from '../../src/config.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { hasProgram } from '../support/require.js';

Logger.overrideLogger(false);

const describeWithMosquitto = hasProgram('mosquitto') ? describe : describe.skip;

describeWithMosquitto('with a stock Mosquitto', () => {
  let folder: string;
  let port: number;
  let mosquitto: ChildProcess;
  const ends: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-mosquitto-'));
    await chmod(folder, 0o755);
    port = await freePort();
    const passwords = await Promise.all(
      ['service', 'm1', 'h1', 'stranger'].map(
        async (name) =>
          `${name}:${await hashSecret(`secret of ${name}`, Buffer.from(name.padEnd(12)))}`,
      ),
    );
    await writeFile(join(folder, 'passwords'), `${passwords.join('\n')}\n`, { mode: 0o644 });
    await writeFile(join(folder, 'acl'), ACCESS, { mode: 0o644 });
    await writeFile(
      join(folder, 'mosquitto.conf'),
      `listener ${port} 127.0.0.1
allow_anonymous false
password_file ${folder}/passwords
acl_file ${folder}/acl
max_queued_messages 0
`,
    );
    await startMosquitto();
  });

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    await stopMosquitto();
    await rm(folder, { recursive: true, force: true });
  });

  it('takes readings in and publishes settlements', async () => {
    const taken: IncomingMessage[] = [];
    const service = await started(async (message) => {
      taken.push(message);
    });
    expect(service.connected()).toBe(true);
    const meter = await client('m1');
    await meter.publishAsync(READINGS, Buffer.from([0, 255]), { qos: 1 });
    await until(() => taken.length === 1);
    const payload = Buffer.from([0, 255]);
    expect(taken).toEqual([{ topic: READINGS, payload, retained: false, mayRepeat: true }]);

    const household = await client('h1');
    await household.subscribeAsync(SETTLEMENTS, { qos: 1 });
    const heard: string[] = [];
    household.on('message', (_topic, payload) => heard.push(payload.toString()));
    await service.publish(SETTLEMENTS, '{"netMicro":1}');
    await until(() => heard.length === 1);
    expect(heard).toEqual(['{"netMicro":1}']);
  });

  it('a service that dies between receipt and commit gets the message again', async () => {
    const first = await started(() => new Promise(() => undefined));
    const meter = await client('m1');
    await meter.publishAsync(READINGS, '{"n":1}', { qos: 1 });
    await sleep(200);
    cutOff(first);

    const taken: string[] = [];
    await started(async ({ payload }) => {
      taken.push(payload.toString());
    });
    await until(() => taken.length > 0);
    expect(taken).toEqual(['{"n":1}']);
  });

  it('messages that come while the service is away wait for it', async () => {
    const service = await started(async () => undefined);
    await service.stop();
    const meter = await client('m1');
    for (let n = 0; n < 50; n += 1) await meter.publishAsync(READINGS, String(n), { qos: 1 });
    const taken: number[] = [];
    await started(async ({ payload }) => {
      taken.push(Number(payload.toString()));
    });
    await until(() => taken.length === 50);
    expect(taken).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it('what the broker had kept is told from what is said now', async () => {
    const meter = await client('m1');
    await meter.publishAsync(READINGS, 'kept', { qos: 1, retain: true });
    const taken: unknown[] = [];
    await started(async ({ payload, retained }) => {
      taken.push([payload.toString(), retained]);
    });
    await until(() => taken.length === 1);
    await meter.publishAsync(READINGS, '', { qos: 1, retain: true });
    await until(() => taken.length === 2);
    expect(taken).toEqual([
      ['kept', true],
      ['', false],
    ]);
  });

  it('an acknowledgement that comes too late for its connection is not sent on the next', async () => {
    const comings: (() => void)[] = [];
    const failures: (() => void)[] = [];
    const service = await started(
      () =>
        new Promise((resolve, reject) => {
          comings.push(resolve);
          failures.push(() => reject(new Error('the database is away')));
        }),
    );
    const meter = await client('m1');
    await meter.publishAsync(READINGS, '{"n":1}', { qos: 1 });
    await until(() => comings.length === 1);
    interrupt(service);
    await until(() => comings.length === 2);
    // Taken in at last, but the broker has brought it anew, and of that nothing is known yet.
    comings[0]!();
    await sleep(50);
    failures[1]!();
    await until(() => comings.length === 3);
    comings[2]!();
  });

  it('what could not be taken in comes again, and what was taken in does not', async () => {
    const kept = new Map<string, number>();
    let refusals = 2;
    await started(async ({ payload }) => {
      const text = payload.toString();
      await sleep(5);
      if (text === 'bad luck' && refusals > 0) {
        refusals -= 1;
        throw new Error('the database is away');
      }
      kept.set(text, (kept.get(text) ?? 0) + 1);
    });
    const meter = await client('m1');
    await meter.publishAsync(READINGS, 'good', { qos: 1 });
    await until(() => kept.has('good'));
    await meter.publishAsync(READINGS, 'bad luck', { qos: 1 });
    await until(() => kept.has('bad luck'));
    await sleep(300);
    expect(Object.fromEntries(kept)).toEqual({ good: 1, 'bad luck': 1 });
  });

  it('many messages are taken in at once: a commit of 50 ms does not cap their rate at 20 a second', async () => {
    const messages = 5_000;
    let batch: (() => void)[] = [];
    let commits = 0;
    let largest = 0;
    let taken = 0;
    const timer = setInterval(() => {
      if (batch.length === 0) return;
      commits += 1;
      largest = Math.max(largest, batch.length);
      for (const resolve of batch.splice(0)) resolve();
    }, 50);
    ends.push(async () => clearInterval(timer));
    await started(async () => {
      await new Promise<void>((resolve) => batch.push(resolve));
      taken += 1;
    });
    const meter = await client('m1');
    const start = performance.now();
    for (let n = 0; n < messages; n += 1) meter.publish(READINGS, String(n), { qos: 1 });
    await until(() => taken === messages);
    const seconds = (performance.now() - start) / 1000;
    process.stderr.write(
      `${messages} messages in ${seconds.toFixed(2)} s, ${commits} commits, largest ${largest}\n`,
    );
    expect(largest).toBeGreaterThan(20);
    expect(commits).toBeLessThan(messages / 20);
    batch = [];
  });

  it('no more messages are underway than the service asked for', async () => {
    let underway = 0;
    let most = 0;
    let taken = 0;
    await started(
      async () => {
        underway += 1;
        most = Math.max(most, underway);
        await sleep(2);
        underway -= 1;
        taken += 1;
      },
      { MQTT_MAX_IN_FLIGHT: '7' },
    );
    const meter = await client('m1');
    for (let n = 0; n < 200; n += 1) meter.publish(READINGS, String(n), { qos: 1 });
    await until(() => taken === 200);
    expect(most).toBeLessThanOrEqual(7);
    expect(most).toBeGreaterThan(1);
  });

  it('many settlements at once respect what the broker takes', async () => {
    const service = await started(async () => undefined);
    const household = await client('h1');
    let heard = 0;
    household.on('message', () => (heard += 1));
    await household.subscribeAsync(SETTLEMENTS, { qos: 1 });
    await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => service.publish(SETTLEMENTS, String(n))),
    );
    await until(() => heard === 1_000);
  });

  it('a broker that restarts is found again', async () => {
    let taken = 0;
    const service = await started(async () => {
      taken += 1;
    });
    await stopMosquitto();
    await until(() => !service.connected());
    const waiting = service.publish(SETTLEMENTS, 'later');
    await startMosquitto();
    await until(() => service.connected());
    await waiting;
    const meter = await client('m1');
    await meter.publishAsync(READINGS, '{}', { qos: 1 });
    await until(() => taken === 1);
  });

  it('a wrong secret is told in one line that does not contain it', async () => {
    const problem = await started(async () => undefined, { MQTT_PASSWORD: 'hush' }).catch(
      (error: unknown) => error,
    );
    expect(problem).toBeInstanceOf(BrokerProblem);
    expect((problem as Error).message).toMatch(/refuses the service .* set MQTT_USERNAME/);
    expect((problem as Error).message).not.toContain('hush');
  });

  const READINGS = 'microgrids/street/meters/m1/readings';
  const SETTLEMENTS = 'microgrids/street/households/h1/settlements';

  async function started(
    intake: (message: IncomingMessage) => Promise<void>,
    settings: Record<string, string> = {},
  ): Promise<BrokerService> {
    const service = new BrokerService(
      loadSettings({
        MQTT_URL: `mqtt://127.0.0.1:${port}`,
        MQTT_USERNAME: 'service',
        MQTT_PASSWORD: 'secret of service',
        MQTT_CLIENT_ID: 'service-under-test',
        ...settings,
      }),
    );
    await service.start({
      authenticate: async () => null,
      mayPublish: () => false,
      maySubscribe: () => false,
      intake,
    });
    ends.push(() => service.stop());
    return service;
  }

  /** As `kill -9` would: the socket is gone, nothing is said or acknowledged, nobody comes back. */
  function cutOff(service: BrokerService): void {
    const { link } = service as unknown as { link: { client: MqttClient; underway: Set<unknown> } };
    link.client.end(true);
    link.client.stream.destroy();
    link.underway.clear();
  }

  /** As when a cable is pulled: it comes back by itself. */
  function interrupt(service: BrokerService): void {
    const { link } = service as unknown as { link: { client: MqttClient } };
    link.client.stream.destroy();
  }

  async function client(username: string): Promise<MqttClient> {
    const made = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
      username,
      password: `secret of ${username}`,
    });
    ends.push(() => made.endAsync(true));
    return made;
  }

  async function startMosquitto(): Promise<void> {
    mosquitto = spawn('mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
    for (let tries = 0; tries < 400; tries += 1) {
      if (await listens(port)) return;
      await sleep(25);
    }
    throw new Error('mosquitto did not start');
  }

  async function stopMosquitto(): Promise<void> {
    if (mosquitto.exitCode !== null) return;
    const exit = once(mosquitto, 'exit');
    mosquitto.kill('SIGKILL');
    await exit;
  }
});

const ACCESS = `user service
topic read microgrids/+/meters/+/readings
topic write microgrids/+/households/+/settlements

pattern write microgrids/+/meters/%u/#
pattern read microgrids/+/households/%u/settlements
`;

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

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('This took too long.');
    await sleep(10);
  }
}
