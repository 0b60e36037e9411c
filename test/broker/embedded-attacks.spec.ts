import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { generate } from 'mqtt-packet';
import {
  BrokerService,
  type BrokerOptions,
  type IncomingMessage,
} from '../../src/broker/broker.service.js';
import { Addresses } from '../../src/broker/limits.js';
import { loadSettings } from '../../src/config.js';

Logger.overrideLogger(false);

/** What somebody tries who has one good secret, or none: what a client says last, holds back, or never reads. */

let broker: BrokerService;
let taken: IncomingMessage[];
const gone = new Set<string>();
/** Who may no longer hear anything. */
const deaf = new Set<string>();
let commit: () => Promise<void>;
const clients: MqttClient[] = [];
const sockets: Socket[] = [];

beforeEach(async () => {
  taken = [];
  gone.clear();
  deaf.clear();
  commit = async () => undefined;
  broker = new BrokerService(loadSettings({ MQTT_PORT: '0', MQTT_MAX_PAYLOAD_BYTES: '65536' }));
  await broker.start(STREET);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  for (const socket of sockets.splice(0)) socket.destroy();
  await broker.stop();
});

/** A secret is `secret`; a meter or gateway writes below names that begin with its own. */
const STREET: BrokerOptions = {
  async authenticate(username, password) {
    return username !== undefined && password?.toString() === 'secret' ? { username } : null;
  },
  ended: async (principals) => principals.filter(({ username }) => gone.has(username)),
  mayPublish: ({ username }, topic) =>
    topic.startsWith(`microgrids/street/meters/${username}`) ||
    (username === 'shelly' && 'ignored'),
  maySubscribe: ({ username }, filter) =>
    !deaf.has(username) && filter.endsWith(`/households/${username}/settlements`),
  intake: async (message) => {
    taken.push(message);
    await commit();
  },
};

const readings = (meter: string): string => `microgrids/street/meters/${meter}/readings`;
const settlements = (household: string): string =>
  `microgrids/street/households/${household}/settlements`;

describe('what a device leaves to be said when it dies', () => {
  const will = (topic: string, more: object = {}) => ({
    will: { topic, payload: Buffer.from('last'), qos: 1 as const, retain: true, ...more },
  });

  it('is taken in as any message of its own', async () => {
    const meter = await connected('m1', will(readings('m1')));
    meter.stream.destroy();
    await until(() => taken.length > 0);
    expect(taken).toMatchObject([{ topic: readings('m1'), username: 'm1', retained: false }]);
  });

  it('is not said any more once its access has ended', async () => {
    const [revoked, ended] = [
      await connected('m1', will(readings('m1'))),
      await connected('m2', will(readings('m2'))),
    ];
    const closed = Promise.all([closing(revoked), closing(ended)]);
    broker.disconnect('m1');
    gone.add('m2');
    await closed;
    await sleep(50);
    expect(taken).toEqual([]);
  });

  it.each([
    readings('m2'),
    settlements('h1'),
    '$SYS/broker/uptime',
    '#',
    'microgrids/+/meters/m1/readings',
  ])('reaches nobody on %s', async (topic) => {
    const display = await connected('h1');
    const heard = listening(display);
    await display.subscribeAsync(settlements('h1'), { qos: 1 });
    const meter = await connected('m1', will(topic));
    meter.stream.destroy();
    await until(() => (broker.refusals()['forbidden_topic'] ?? 0) > 0);
    await broker.publish(settlements('h1'), 'true');
    await until(() => heard.length > 0);
    const late = await connected('h1');
    const kept = listening(late);
    await late.subscribeAsync(settlements('h1'), { qos: 1 });
    await sleep(30);
    expect([heard, kept, taken]).toEqual([['true'], [], []]);
  });
});

describe('nothing is taken in', () => {
  const publish = generate({
    cmd: 'publish',
    topic: readings('m1'),
    payload: '{}',
    qos: 1,
    messageId: 1,
    dup: false,
    retain: false,
  });

  it.each([
    ['before a log-in', publish],
    ['behind a wrong one', Buffer.concat([login({ password: Buffer.from('guess') }), publish])],
    ['behind one of MQTT 5', Buffer.concat([login({ protocolVersion: 5 }), publish])],
    [
      'a hundred times before it is answered',
      Buffer.concat([login(), ...Array(100).fill(publish)]),
    ],
  ])('%s', async (_, bytes) => {
    const socket = opened();
    socket.write(bytes);
    await once(socket, 'close');
    expect(taken).toEqual([]);
  });

  it('and MQTT 5 is told that it is not spoken here', async () => {
    await expect(connected('m1', { protocolVersion: 5 })).rejects.toMatchObject({ code: 1 });
  });
});

it('what waits in a session is not told to who may no longer hear it', async () => {
  const kept = { clean: false, clientId: 'display' };
  const display = await connected('h1', kept);
  await display.subscribeAsync(settlements('h1'), { qos: 1 });
  await display.endAsync();
  await broker.publish(settlements('h1'), 'of before');
  deaf.add('h1');
  const back = mqtt.connect(`mqtt://127.0.0.1:${broker.port}`, { ...AS_H1, ...kept });
  clients.push(back);
  const heard = listening(back);
  await new Promise((resolve) => back.once('connect', resolve));
  await sleep(50);
  expect(heard).toEqual([]);
});

it('a device whose other topics are ignored is cut off at $SYS all the same', async () => {
  const device = await connected('shelly');
  await device.publishAsync('shellies/announce', 'hello', { qos: 1 });
  const closed = closing(device);
  device.publish('$SYS/broker/uptime', '0', { qos: 1 });
  await closed;
  expect(broker.refusals()).toEqual({ forbidden_topic: 1 });
});

it('a meter that is too fast holds up no other meter of its gateway', async () => {
  const limited = new BrokerService(
    loadSettings({ MQTT_PORT: '0', MQTT_MAX_MESSAGES_PER_SECOND: '20' }),
  );
  await limited.start(STREET);
  try {
    const options = { username: 'gate', password: 'secret', reconnectPeriod: 0 };
    const [fast, slow] = await Promise.all(
      [1, 2].map(() => mqtt.connectAsync(`mqtt://127.0.0.1:${limited.port}`, options)),
    );
    clients.push(fast!, slow!);
    const all = Array.from({ length: 60 }, () =>
      fast!.publishAsync(readings('gate-1'), '{}', { qos: 1 }),
    );
    await until(() => (limited.refusals()['too_many_messages'] ?? 0) > 0);
    await slow!.publishAsync(readings('gate-2'), '{}', { qos: 1 });
    const others = taken.filter(({ topic }) => topic === readings('gate-1')).length;
    expect(others).toBeLessThan(60);
    await Promise.all(all);
  } finally {
    await limited.stop();
  }
});

it('a broker that stops first answers what it has taken in', async () => {
  let finish = (): void => undefined;
  commit = () => new Promise((resolve) => (finish = resolve));
  const meter = await connected('m1');
  const answered = Promise.race([
    meter.publishAsync(readings('m1'), '{}', { qos: 1 }).then(() => 'acknowledged'),
    closing(meter).then(() => 'hung up'),
  ]);
  await until(() => taken.length === 1);
  const stopped = broker.stop();
  await sleep(50);
  finish();
  await stopped;
  expect(await answered).toBe('acknowledged');
});

describe('whoever', () => {
  it('guesses secrets waits for the answer beyond some', async () => {
    const begun = performance.now();
    const wrong = Array.from({ length: 56 }, () =>
      connected('m1', { password: 'guess' }).catch(() => 'refused'),
    );
    expect(new Set(await Promise.all(wrong))).toEqual(new Set(['refused']));
    // Fifty at once, and five more a second.
    expect(performance.now() - begun).toBeGreaterThan(1_000);
    expect(broker.refusals()).toEqual({ bad_log_in: 56 });
  });

  it('promises to be silent for ever is asked for a sign of life all the same', async () => {
    const timers = jest.spyOn(globalThis, 'setTimeout');
    await connected('m1', { keepalive: 0 });
    // One and a half times an hour: MQTT 3.1.1, section 3.1.2.10.
    expect(timers.mock.calls.map(([, millis]) => millis)).toContain(5_400_001);
  });

  it('says nothing for longer than it promised is cut off', async () => {
    const socket = opened();
    socket.write(login({ keepalive: 1 }));
    await once(socket, 'close');
    expect(broker.refusals()).toEqual({ silent: 1 });
  });

  it('does not read is cut off, and others hear everything', async () => {
    const { setTimeout: real } = globalThis;
    // The patience with it, 20 s, passes sooner here.
    const sooner = (work: () => void, millis?: number, ...rest: []) =>
      real(work, millis === 20_000 ? 300 : millis, ...rest);
    jest.spyOn(globalThis, 'setTimeout').mockImplementation(sooner as typeof setTimeout);
    const frozen = opened();
    frozen.pause();
    frozen.write(login({ username: 'h1', clientId: 'frozen' }));
    frozen.write(
      generate({
        cmd: 'subscribe',
        messageId: 2,
        subscriptions: [{ topic: settlements('h1'), qos: 1 }],
      }),
    );
    const healthy = await connected('h1');
    const heard = listening(healthy);
    await healthy.subscribeAsync(settlements('h1'), { qos: 1 });
    await sleep(50);
    const large = 'x'.repeat(60_000);
    for (let number = 0; number < 300; number += 1) {
      void broker.publish(settlements('h1'), `${number} ${large}`);
    }
    await until(() => heard.length === 300);
    expect(broker.refusals()).toEqual({ not_reading: 1 });
    expect(heard.map((text) => Number(text.split(' ')[0]))).toEqual(
      Array.from({ length: 300 }, (_, number) => number),
    );
  });

  it('announces more than may be sent is cut off before it sends it, also when logged in', async () => {
    const socket = opened();
    socket.write(Buffer.concat([login(), Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])]));
    await once(socket, 'close');
    expect(broker.refusals()).toEqual({ too_large: 1 });
  });

  it('subscribes without end is refused further ones', async () => {
    const display = await connected('h1');
    const filters = Array.from(
      { length: 101 },
      (_, n) => `microgrids/${n}/households/h1/settlements`,
    );
    await display.subscribeAsync(filters.slice(0, 100), { qos: 1 });
    await expect(display.subscribeAsync(filters[100]!, { qos: 1 })).rejects.toThrow();
    expect(broker.refusals()).toEqual({ too_many_subscriptions: 1 });
  });

  it('opens connections and does not log in fills its own address only', () => {
    const addresses = new Addresses(5, 3);
    expect([1, 2, 3, 4].map(() => addresses.enter('a'))).toEqual([
      null,
      null,
      null,
      'too_many_waiting',
    ]);
    expect(addresses.enter('b')).toBeNull();
    addresses.admit('a');
    expect([1, 2].map(() => addresses.enter('a'))).toEqual([null, 'too_many_waiting']);
    addresses.leave('a', true);
    addresses.admit('a');
    expect([1, 2].map(() => addresses.enter('a'))).toEqual([null, null]);
    expect(addresses.enter('a')).toBe('too_many_of_address');
    addresses.leave('a', false);
    expect(addresses.enter('a')).toBe('too_many_waiting');
  });
});

const AS_H1 = { username: 'h1', password: 'secret', reconnectPeriod: 0 };

function login(more: object = {}): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: 'c',
    keepalive: 60,
    username: 'm1',
    password: Buffer.from('secret'),
    ...more,
  });
}

function opened(): Socket {
  const socket = connectSocket(broker.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  sockets.push(socket);
  return socket;
}

async function connected(username: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await mqtt.connectAsync(
    `mqtt://127.0.0.1:${broker.port}`,
    { username, password: 'secret', reconnectPeriod: 0, ...options },
    false,
  );
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

function listening(client: MqttClient): string[] {
  const heard: string[] = [];
  client.on('message', (_, payload) => heard.push(payload.toString()));
  return heard;
}

function closing(client: MqttClient): Promise<unknown> {
  return new Promise((resolve) => client.once('close', () => resolve(undefined)));
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 20_000) throw new Error('This took too long.');
    await sleep(5);
  }
}
