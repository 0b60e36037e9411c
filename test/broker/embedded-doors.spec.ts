import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import {
  BrokerService,
  type BrokerOptions,
  type IncomingMessage,
} from '../../src/broker/broker.service.js';
import { loadSettings } from '../../src/config.js';
import { Authority } from '../support/certificates.js';
import { hasProgram } from '../support/require.js';

Logger.overrideLogger(false);

/** Who gets in at the embedded broker, by which door, and how much each may do there. */

const brokers: BrokerService[] = [];
const clients: MqttClient[] = [];
const sockets: Socket[] = [];
let taken: IncomingMessage[] = [];
const gone = new Set<string>();

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
  taken = [];
  gone.clear();
});

const STREET: BrokerOptions = {
  async authenticate(username, password) {
    return username !== undefined && password?.toString() === 'secret' ? { username } : null;
  },
  identify: async (name) => (gone.has(name) ? null : { username: name }),
  ended: async (principals) => principals.filter(({ username }) => gone.has(username)),
  mayPublish: ({ username }, topic) =>
    topic.startsWith(`microgrids/street/meters/${username}/`) ||
    (username === 'shelly' && 'ignored'),
  maySubscribe: ({ username }, filter) =>
    filter === `microgrids/street/households/${username}/settlements`,
  intake: async (message) => {
    taken.push(message);
  },
};

async function opened(settings: Record<string, string> = {}): Promise<BrokerService> {
  const broker = new BrokerService(loadSettings({ MQTT_PORT: '0', ...settings }));
  await broker.start(STREET);
  brokers.push(broker);
  return broker;
}

async function connected(
  broker: BrokerService,
  username: string,
  options: IClientOptions = {},
): Promise<MqttClient> {
  const client = await mqtt.connectAsync(
    `mqtt://127.0.0.1:${broker.port}`,
    { username, password: 'secret', reconnectPeriod: 0, ...options },
    false,
  );
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

const readings = (meter: string): string => `microgrids/street/meters/${meter}/readings`;
const settlements = (household: string): string =>
  `microgrids/street/households/${household}/settlements`;

const closed = (client: MqttClient): Promise<unknown> =>
  new Promise((resolve) => client.once('close', () => resolve(undefined)));

describe('a session', () => {
  it('gathers nothing for what was asked for along with something granted', async () => {
    const broker = await opened();
    const options = { clean: false, clientId: 'display' };
    const curious = await connected(broker, 'h1', options);
    const all = [settlements('h1'), settlements('h2'), 'microgrids/+/households/+/settlements'];
    await curious.subscribeAsync(all, { qos: 1 }).catch(() => undefined);
    await curious.endAsync();
    await broker.publish(settlements('h2'), 'of another');
    await broker.publish(settlements('h1'), 'its own');
    const heard: string[] = [];
    const back = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, {
      username: 'h1',
      password: 'secret',
      ...options,
    });
    clients.push(back);
    back.on('message', (_, payload) => heard.push(payload.toString()));
    while (heard.length === 0) await sleep(5);
    await sleep(50);
    expect(heard).toEqual(['its own']);
  });

  it('is kept for a few names of a device, and no more', async () => {
    const broker = await opened();
    const present: boolean[] = [];
    for (let n = 0; n < 12; n += 1) {
      const client = await connected(broker, 'h1', { clean: false, clientId: `display-${n}` });
      await client.subscribeAsync(settlements('h1'), { qos: 1 });
      await client.endAsync();
    }
    for (let n = 0; n < 12; n += 1) {
      const client = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, {
        username: 'h1',
        password: 'secret',
        clean: false,
        clientId: `display-${n}`,
      });
      present.push(
        await new Promise((resolve) => {
          client.once('connect', ({ sessionPresent }) => resolve(sessionPresent));
        }),
      );
      await client.endAsync();
    }
    expect(present.filter(Boolean)).toHaveLength(8);
  });
});

describe('access', () => {
  it('ends within seconds, also for who only listens', async () => {
    const broker = await opened();
    const [listener, other] = [await connected(broker, 'h1'), await connected(broker, 'h2')];
    await listener.subscribeAsync(settlements('h1'));
    const end = closed(listener);
    gone.add('h1');
    await end;
    expect(other.connected).toBe(true);
    expect(broker.refusals()).toEqual({ access_ended: 1 });
  });

  it('says who was refused, and why', async () => {
    const broker = await opened();
    await expect(connected(broker, 'm1', { password: 'wrong' })).rejects.toThrow();
    for (const topic of [readings('m2'), '$SYS/broker/uptime']) {
      const meter = await connected(broker, 'm1');
      const end = closed(meter);
      meter.publish(topic, '{}', { qos: 1 });
      await end;
    }
    const precise = await connected(broker, 'm1');
    const end = closed(precise);
    precise.publish(readings('m1'), '{}', { qos: 2 });
    await end;
    const curious = await connected(broker, 'h1');
    await expect(curious.subscribeAsync(['$SYS/#', '#'])).rejects.toThrow();
    expect(taken).toEqual([]);
    expect(broker.refusals()).toEqual({
      bad_log_in: 1,
      forbidden_topic: 2,
      unsupported_qos: 1,
      forbidden_filter: 2,
    });
  });
});

describe('a meter', () => {
  it('reaches nobody with what is ignored of it', async () => {
    const broker = await opened();
    const [shelly, display] = [await connected(broker, 'shelly'), await connected(broker, 'h1')];
    const heard: string[] = [];
    display.on('message', (_, payload) => heard.push(payload.toString()));
    await display.subscribeAsync(settlements('h1'), { qos: 1 });
    await shelly.publishAsync(settlements('h1'), 'forged', { qos: 1 });
    await broker.publish(settlements('h1'), 'true');
    while (heard.length === 0) await sleep(5);
    expect(heard).toEqual(['true']);
  });

  it('that is faster than it may be is held back, not cut off, and its neighbor is not', async () => {
    const broker = await opened({ MQTT_MAX_MESSAGES_PER_SECOND: '50' });
    const [fast, slow] = [await connected(broker, 'm1'), await connected(broker, 'm2')];
    const all = Promise.all(
      Array.from({ length: 130 }, () => fast.publishAsync(readings('m1'), '{}', { qos: 1 })),
    );
    await slow.publishAsync(readings('m2'), '{}', { qos: 1 });
    expect(taken.filter(({ username }) => username === 'm1').length).toBeLessThan(130);
    await all;
    expect(taken).toHaveLength(131);
    expect(broker.refusals()['too_many_messages']).toBeGreaterThanOrEqual(25);
  });

  it('may have so many connections', async () => {
    const broker = await opened();
    const all = await Promise.allSettled(
      Array.from({ length: 34 }, (_, n) => connected(broker, 'm1', { clientId: `c${n}` })),
    );
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(32);
    expect(broker.refusals()).toEqual({ too_many_of_device: 2 });
  });

  it('may publish to ten thousand topics of its own without leaving a trace', async () => {
    const broker = await opened({ MQTT_MAX_MESSAGES_PER_SECOND: '1000000' });
    const meter = await connected(broker, 'm1');
    await Promise.all(
      Array.from({ length: 10_000 }, (_, n) =>
        meter.publishAsync(`microgrids/street/meters/m1/x/${n}`, '', { qos: 0, retain: true }),
      ),
    );
    await meter.publishAsync(readings('m1'), '{}', { qos: 1 });
    expect(taken.filter(({ topic }) => topic === readings('m1'))).toHaveLength(1);
    const late = await connected(broker, 'm1');
    expect(late.connected && meter.connected).toBe(true);
  });
});

it('an address may have so many connections', async () => {
  const broker = await opened({ MQTT_MAX_CONNECTIONS_PER_ADDRESS: '5' });
  for (let n = 0; n < 7; n += 1) {
    const socket = connectSocket(broker.port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, n < 5 ? 'connect' : 'close');
  }
  expect(broker.refusals()).toEqual({ too_many_of_address: 2 });
  sockets[0]!.destroy();
  await once(sockets[0]!, 'close');
  await sleep(20);
  expect((await connected(broker, 'm1')).connected).toBe(true);
});

(hasProgram('openssl', ['version']) ? describe : describe.skip)('with TLS', () => {
  let folder: string;
  let street: Authority;
  let stranger: Authority;
  let server: { cert: string; key: string };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neighborwatt-tls-'));
    [street, stranger] = await Promise.all([
      Authority.make(folder, 'street'),
      Authority.make(folder, 'stranger'),
    ]);
    server = await street.issue('broker');
  });
  afterAll(() => rm(folder, { recursive: true }));

  const door = (more: Record<string, string> = {}): Promise<BrokerService> =>
    opened({
      MQTT_TLS_HOST: '127.0.0.1',
      MQTT_TLS_PORT: '0',
      MQTT_TLS_CERT: server.cert,
      MQTT_TLS_KEY: server.key,
      ...more,
    });

  async function secured(broker: BrokerService, options: IClientOptions): Promise<MqttClient> {
    const client = await mqtt.connectAsync(
      `mqtts://127.0.0.1:${broker.tlsPort}`,
      { ca: await readFile(street.certificate), reconnectPeriod: 0, ...options },
      false,
    );
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  const proof = async ({ cert, key }: { cert: string; key: string }): Promise<IClientOptions> => ({
    cert: await readFile(cert),
    key: await readFile(key),
  });

  it('a meter logs in with its secret, and nobody below TLS 1.2', async () => {
    const broker = await door();
    const meter = await secured(broker, { username: 'm1', password: 'secret' });
    await meter.publishAsync(readings('m1'), '{}', { qos: 1 });
    expect(taken).toMatchObject([{ username: 'm1' }]);
    const old = connectTls({
      port: broker.tlsPort,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    });
    const [refusal] = (await once(old, 'error')) as [Error];
    expect(refusal.message).toMatch(/protocol version/i);
    await expect(secured(broker, { username: 'm1', password: 'wrong' })).rejects.toThrow();
  });

  it('a certificate is who it says, and nobody else', async () => {
    const broker = await door({ MQTT_TLS_CA: street.certificate });
    const own = await proof(await street.issue('m1'));
    const meter = await secured(broker, own);
    await meter.publishAsync(readings('m1'), '{}', { qos: 1 });
    expect(taken).toMatchObject([{ username: 'm1' }]);
    await expect(
      secured(broker, { ...own, username: 'm2', password: 'secret' }),
    ).rejects.toMatchObject({ code: 4 });
    await expect(secured(broker, { username: 'm1', password: 'secret' })).rejects.toThrow();
    const foreign = await proof(await stranger.issue('m1'));
    await expect(secured(broker, foreign)).rejects.toThrow();
    const end = closed(meter);
    meter.publish(readings('m2'), '{}', { qos: 1 });
    await end;
    gone.add('m1');
    await expect(secured(broker, own)).rejects.toMatchObject({ code: 4 });
    expect(broker.refusals()).toMatchObject({ bad_log_in: 2, forbidden_topic: 1 });
  });

  it('a certificate on the list of revoked ones is refused, one put on it later without a restart', async () => {
    const [m1, m2] = [await street.issue('m1'), await street.issue('m2')];
    const crl = await street.revoke(m1.cert);
    const broker = await door({ MQTT_TLS_CA: street.certificate, MQTT_TLS_CRL: crl });
    await expect(secured(broker, await proof(m1))).rejects.toThrow();
    const stays = await secured(broker, await proof(m2));
    await street.revoke(m2.cert);
    await sleep(3_500);
    await expect(secured(broker, await proof(m2))).rejects.toThrow();
    expect((await secured(broker, await proof(await street.issue('m3')))).connected).toBe(true);
    // Who is there already is cut off by its access.
    expect(stays.connected).toBe(true);
    const end = closed(stays);
    gone.add('m2');
    await end;
    expect(broker.refusals()).toEqual({ bad_certificate: 2, access_ended: 1 });
  });

  const itWithTools = hasProgram('mosquitto_pub', ['--help']) ? it : it.skip;

  itWithTools(
    "mosquitto_pub gets in with the authority's file, and with a certificate",
    async () => {
      const run = promisify(execFile);
      const to = (broker: BrokerService): string[] => {
        const words = `-h 127.0.0.1 -p ${broker.tlsPort} -V mqttv311 -q 1 -m {} -t ${readings('m1')}`;
        return [...words.split(' '), '--cafile', street.certificate];
      };
      await run('mosquitto_pub', [...to(await door()), '-u', 'm1', '-P', 'secret']);
      const asking = await door({ MQTT_TLS_CA: street.certificate });
      const { cert, key } = await street.issue('m1');
      await run('mosquitto_pub', [...to(asking), '--cert', cert, '--key', key]);
      expect(taken).toMatchObject([{ username: 'm1' }, { username: 'm1' }]);
      await expect(
        run('mosquitto_pub', [...to(asking), '-u', 'm1', '-P', 'secret']),
      ).rejects.toThrow();
    },
  );

  it('bytes that are no handshake end there, and are counted', async () => {
    const broker = await door();
    const socket = connectSocket(broker.tlsPort, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(socket, 'close');
    expect(broker.refusals()).toEqual({ bad_certificate: 1 });
  });

  it('a file that cannot be used is told in one line', async () => {
    const missing = door({ MQTT_TLS_KEY: join(folder, 'nowhere.key') });
    await expect(missing).rejects.toThrow(
      /nowhere\.key, for TLS of the MQTT broker, cannot be read/,
    );
  });
});

it('TLS settings belong together', () => {
  expect(() => loadSettings({ MQTT_TLS_PORT: '8883' })).toThrow(
    /MQTT_TLS_PORT needs MQTT_TLS_CERT/,
  );
  expect(() => loadSettings({ MQTT_TLS_CA: 'ca.pem' })).toThrow(/MQTT_TLS_CA needs MQTT_TLS_PORT/);
});
