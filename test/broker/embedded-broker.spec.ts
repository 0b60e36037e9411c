import { once } from 'node:events';
import { connect as connectSocket, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import {
  BrokerProblem,
  BrokerService,
  type BrokerOptions,
  type IncomingMessage,
} from '../../src/broker/broker.service.js';
import { loadSettings } from '../../src/config.js';

Logger.overrideLogger(false);

let broker: BrokerService;
let taken: IncomingMessage[];
let intake: (message: IncomingMessage) => Promise<void>;
const clients: MqttClient[] = [];

beforeEach(async () => {
  taken = [];
  intake = async (message) => {
    taken.push(message);
  };
  broker = new BrokerService(
    loadSettings({ MQTT_PORT: '0', MQTT_MAX_PAYLOAD_BYTES: '2048', MQTT_MAX_CONNECTIONS: '50' }),
  );
  await broker.start(STREET);
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  await broker.stop();
});

/** Meters and households whose secret is their name backwards; a meter writes below its own name. */
const STREET: BrokerOptions = {
  async authenticate(username, password) {
    const right = username !== undefined && password?.toString() === reversed(username);
    return right ? { username } : null;
  },
  mayPublish: ({ username }, topic) =>
    new RegExp(`^microgrids/[^/]+/meters/${username}/`).test(topic),
  maySubscribe: ({ username }, filter) =>
    username === 'watcher' ||
    new RegExp(`^microgrids/[^/]+/households/${username}/settlements$`).test(filter),
  intake: (message) => intake(message),
};

const READINGS = 'microgrids/street/meters/m1/readings';
const SETTLEMENTS = 'microgrids/street/households/h1/settlements';

it('a reading is taken in with its exact bytes and its sender', async () => {
  const meter = await connected('m1');
  await meter.publishAsync(READINGS, Buffer.from([0, 255, 1]), { qos: 1 });
  expect(taken).toEqual([
    { topic: READINGS, payload: Buffer.from([0, 255, 1]), retained: false, username: 'm1' },
  ]);
});

it('a reading is acknowledged only after it was taken in', async () => {
  let commit = (): void => undefined;
  intake = () => new Promise((resolve) => (commit = resolve));
  const meter = await connected('m1');
  let acknowledged = false;
  const published = meter.publishAsync(READINGS, '{}', { qos: 1 }).then(() => {
    acknowledged = true;
  });
  await sleep(100);
  expect(acknowledged).toBe(false);
  commit();
  await published;
});

it('a reading that could not be taken in is not acknowledged, and comes again', async () => {
  let attempts = 0;
  intake = async () => {
    attempts += 1;
    if (attempts < 3) throw new Error('the database is away');
  };
  const meter = await connected('m1', { reconnectPeriod: 20 });
  await meter.publishAsync(READINGS, '{}', { qos: 1 });
  expect(attempts).toBe(3);
});

it('readings of one connection are taken in side by side', async () => {
  let underway = 0;
  let most = 0;
  intake = async () => {
    underway += 1;
    most = Math.max(most, underway);
    await sleep(50);
    underway -= 1;
  };
  const meter = await connected('m1');
  const started = Date.now();
  await Promise.all(
    Array.from({ length: 200 }, () => meter.publishAsync(READINGS, '{}', { qos: 1 })),
  );
  expect(most).toBeGreaterThan(20);
  expect(Date.now() - started).toBeLessThan(200 * 50);
});

it.each([
  ['a wrong secret', { username: 'm1', password: 'wrong' }],
  ['no secret', { username: 'm1' }],
  ['no name', {}],
])('%s is refused', async (_what, credentials) => {
  await expect(
    mqtt.connectAsync(url(), { ...credentials, reconnectPeriod: 0 }),
  ).rejects.toMatchObject({ code: 4 });
});

it.each(['microgrids/street/meters/m2/readings', '$SYS/broker/version', SETTLEMENTS])(
  'a meter that publishes to %s is cut off, and nothing is taken in',
  async (topic) => {
    const meter = await connected('m1', { reconnectPeriod: 0 });
    const closed = closing(meter);
    meter.publish(topic, '{}', { qos: 1 });
    await closed;
    expect(taken).toEqual([]);
  },
);

it.each([
  '#',
  '$SYS/#',
  '$share/group/#',
  'microgrids/+/households/+/settlements',
  'microgrids/street/households/h2/settlements',
])('a household does not get a subscription to %s', async (filter) => {
  const household = await connected('h1');
  await expect(household.subscribeAsync(filter)).rejects.toThrow();
});

it('a household hears its settlements, also those of a short absence', async () => {
  const options = { clean: false, clientId: 'display' };
  const household = await connected('h1', options);
  await household.subscribeAsync(SETTLEMENTS, { qos: 1 });
  const first = nextMessage(household);
  await broker.publish(SETTLEMENTS, '{"netMicro":1}');
  expect(await first).toBe('{"netMicro":1}');

  await household.endAsync();
  await broker.publish(SETTLEMENTS, '{"netMicro":2}');
  const back = mqtt.connect(url(), { username: 'h1', password: '1h', ...options });
  clients.push(back);
  expect(await nextMessage(back)).toBe('{"netMicro":2}');
});

it('what is kept for an absent client is bounded', async () => {
  const options = { clean: false, clientId: 'display' };
  const household = await connected('h1', options);
  await household.subscribeAsync(SETTLEMENTS, { qos: 1 });
  await household.endAsync();
  for (let number = 0; number < 1_100; number += 1) {
    await broker.publish(SETTLEMENTS, String(number));
  }
  const back = mqtt.connect(url(), { username: 'h1', password: '1h', ...options });
  clients.push(back);
  const heard: number[] = [];
  back.on('message', (_topic, payload) => heard.push(Number(payload.toString())));
  while (heard.length < 1_000) await sleep(10);
  await sleep(50);
  expect(heard).toEqual(Array.from({ length: 1_000 }, (_, number) => number));
});

it('nobody takes over the session of another by its client id', async () => {
  const options = { clean: false, clientId: 'display' };
  const household = await connected('h1', options);
  await household.subscribeAsync(SETTLEMENTS, { qos: 1 });
  const intruder = await connected('h2', options);
  const heard: string[] = [];
  intruder.on('message', (topic) => heard.push(topic));
  const own = nextMessage(household);
  await broker.publish(SETTLEMENTS, '{}');
  await own;
  expect(household.connected).toBe(true);
  expect(heard).toEqual([]);
});

it('a message marked to be kept is passed on, but not kept', async () => {
  const topic = 'microgrids/street/meters/m1/status';
  const meter = await connected('m1');
  const watcher = await connected('watcher');
  const heard: string[] = [];
  watcher.on('message', (_topic, payload) => heard.push(payload.toString()));
  await watcher.subscribeAsync(topic);
  await meter.publishAsync(topic, 'on', { qos: 1, retain: true });
  const late = await connected('watcher');
  late.on('message', () => heard.push('kept'));
  await late.subscribeAsync(topic);
  await sleep(50);
  expect(heard).toEqual(['on']);
  // Intake is asked about everything a meter says, once: some devices' readings have such topics.
  expect(taken.map((one) => [one.topic, one.retained])).toEqual([[topic, false]]);
});

it('a message that is too large is refused before it is read', async () => {
  const meter = await connected('m1', { reconnectPeriod: 0 });
  const closed = closing(meter);
  meter.publish(READINGS, 'x'.repeat(4_000), { qos: 1 });
  await closed;
  expect(taken).toEqual([]);
  // The announced length alone is enough.
  const socket = connectSocket(broker.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
  await once(socket, 'close');
});

it('a user whose secret is revoked is cut off', async () => {
  const meter = await connected('m1', { reconnectPeriod: 0 });
  const other = await connected('m2', { reconnectPeriod: 0 });
  const closed = closing(meter);
  broker.disconnect('m1');
  await closed;
  expect(other.connected).toBe(true);
});

it('more connections than allowed are refused', async () => {
  const all = await Promise.allSettled(
    Array.from({ length: 60 }, (_, number) =>
      connected(`m${number}`, { reconnectPeriod: 0, connectTimeout: 1_000 }),
    ),
  );
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
});

it('a port in use is told in one line', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const late = new BrokerService(loadSettings({ MQTT_PORT: String(port) }));
  const problem = await late.start(STREET).catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(BrokerProblem);
  expect((problem as Error).message).toBe(
    `Port ${port} on 127.0.0.1, for MQTT, is in use by another program: set MQTT_PORT to a free port, or MQTT_URL to use the broker that is there.`,
  );
  other.close();
});

async function closing(client: MqttClient): Promise<void> {
  await new Promise<void>((resolve) => client.once('close', () => resolve()));
}

async function nextMessage(client: MqttClient): Promise<string> {
  return new Promise((resolve) => {
    client.once('message', (_topic, payload) => resolve(payload.toString()));
  });
}

async function connected(username: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(
    url(),
    { username, password: reversed(username), ...options },
    false,
  );
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

function url(): string {
  return `mqtt://127.0.0.1:${broker.port}`;
}

function reversed(text: string): string {
  return [...text].reverse().join('');
}
