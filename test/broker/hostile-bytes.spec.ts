import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import mqtt from 'mqtt';
import { generate } from 'mqtt-packet';
import { BrokerService, type IncomingMessage } from '../../src/broker/broker.service.js';
import { loadSettings } from '../../src/config.js';
import { openMessage } from '../../src/metering/intake-verdict.js';

Logger.overrideLogger(false);

/** Whatever comes in at the port, and in payloads: the broker goes on, and counts it. */

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);

let broker: BrokerService;
const taken: IncomingMessage[] = [];

beforeAll(async () => {
  process.stderr.write(`FUZZ_SEED=${SEED}\n`);
  broker = new BrokerService(
    loadSettings({
      MQTT_PORT: '0',
      MQTT_MAX_PAYLOAD_BYTES: '2048',
      MQTT_CONNECT_TIMEOUT_SECONDS: '1',
    }),
  );
  await broker.start({
    authenticate: async (username) => (username === 'm1' ? { username } : null),
    mayPublish: (_, topic) => topic.startsWith('microgrids/street/meters/m1/'),
    maySubscribe: (_, filter) => filter === 'microgrids/street/households/m1/settlements',
    intake: async (message) => {
      openMessage(message);
      taken.push(message);
    },
  });
});
afterAll(() => broker.stop());

const READINGS = 'microgrids/street/meters/m1/readings';

const login = (more: object = {}): Buffer =>
  generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    clientId: 'c',
    keepalive: 60,
    username: 'm1',
    password: Buffer.from('x'),
    ...more,
  });

const PACKETS: readonly Buffer[] = [
  login(),
  login({
    clean: false,
    will: { topic: READINGS, payload: Buffer.from('{}'), qos: 1, retain: true },
  }),
  login({ protocolVersion: 5, properties: { sessionExpiryInterval: 7 } }),
  login({ protocolVersion: 3, protocolId: 'MQIsdp' }),
  generate({
    cmd: 'publish',
    topic: READINGS,
    payload: '{}',
    qos: 1,
    messageId: 1,
    dup: false,
    retain: false,
  }),
  generate({ cmd: 'publish', topic: READINGS, payload: '{}', qos: 0, dup: false, retain: true }),
  generate({ cmd: 'subscribe', messageId: 2, subscriptions: [{ topic: '#', qos: 1 }] }),
  generate({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a/b'] }),
  generate({ cmd: 'puback', messageId: 4 }),
  generate({ cmd: 'pubrec', messageId: 4 }),
  generate({ cmd: 'pubrel', messageId: 4 }),
  generate({ cmd: 'pubcomp', messageId: 4 }),
  generate({ cmd: 'pingreq' }),
  generate({ cmd: 'disconnect' }),
];

/** Kept: each stands for a kind of packet that a parser or a handler once took badly somewhere. */
const SEEDS: readonly (readonly [string, Buffer])[] = [
  ['nothing but a type', Buffer.from('10', 'hex')],
  ['a length that never ends', Buffer.from('10ffffffffff', 'hex')],
  ['the greatest length', Buffer.from('30ffffff7f', 'hex')],
  ['an empty login', Buffer.from('1000', 'hex')],
  ['a reserved type', Buffer.concat([login(), Buffer.from('0000', 'hex')])],
  ['two logins', Buffer.concat([login(), login()])],
  [
    'a topic that is longer than its packet',
    Buffer.concat([login(), Buffer.from('3004ffff6162', 'hex')]),
  ],
  ['an empty topic', Buffer.concat([login(), Buffer.from('30020000', 'hex')])],
  ['a topic that is not UTF-8', Buffer.concat([login(), Buffer.from('30060004c328a0a1', 'hex')])],
  ['a topic with NUL', Buffer.concat([login(), Buffer.from('30050003610062', 'hex')])],
  ['a subscription to nothing', Buffer.concat([login(), Buffer.from('82020001', 'hex')])],
  ['a subscription with QoS 3', Buffer.concat([login(), Buffer.from('8206000100012303', 'hex')])],
  [
    'an unsubscription of the empty filter',
    Buffer.concat([login(), Buffer.from('a20400010000', 'hex')]),
  ],
  ['QoS 3', Buffer.concat([login(), Buffer.from('3603000161', 'hex')])],
  ['an acknowledgement of nothing', Buffer.concat([login(), Buffer.from('4000', 'hex')])],
  ['MQTT 5 AUTH', Buffer.from('f000', 'hex')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
  [
    '100 levels',
    Buffer.concat([login(), publish(`microgrids/street/meters/m1${'/x'.repeat(100)}`)]),
  ],
  ['__proto__', Buffer.concat([login({ clientId: '__proto__' }), publish('microgrids/__proto__')])],
];

it.each(SEEDS)('%s harms nobody', async (_, bytes) => {
  await send(bytes);
  await assertAlive();
});

it('mutated packets harm nobody', async () => {
  const packet = fc.constantFrom(...PACKETS);
  const mutation = fc.record({
    kind: fc.constantFrom('flip', 'cut', 'insert', 'none'),
    at: fc.nat(200),
    byte: fc.nat(255),
  });
  const stream = fc.record({
    loggedIn: fc.boolean(),
    packets: fc.array(fc.tuple(packet, fc.array(mutation, { maxLength: 3 })), { maxLength: 5 }),
    rest: fc.uint8Array({ maxLength: 30 }),
  });
  const samples = fc.sample(stream, { seed: SEED, numRuns: 200 * FACTOR });
  for (let at = 0; at < samples.length; at += 20) {
    await Promise.all(
      samples.slice(at, at + 20).map(({ loggedIn, packets, rest }) => {
        const parts = packets.map(([bytes, changes]) => changes.reduce(mutated, bytes));
        return send(Buffer.concat([...(loggedIn ? [login()] : []), ...parts, Buffer.from(rest)]));
      }),
    );
    await assertAlive();
  }
  expect(broker.refusals()['malformed_packet']).toBeGreaterThan(10);
});

it('who says nothing, or says it byte by byte, is cut off', async () => {
  const slow = Array.from({ length: 20 }, () => opened());
  const drip = setInterval(() => {
    for (const [n, socket] of slow.entries()) if (n % 2 === 0) socket.write(Buffer.from([0x10]));
  }, 400);
  await Promise.all(slow.map((socket) => once(socket, 'close')));
  clearInterval(drip);
  expect(broker.refusals()['no_connect']).toBeGreaterThan(0);
  await assertAlive();
});

it('no payload is taken for a reading that is none, and none throws', () => {
  const deep = (open: string, close: string) => `${open.repeat(20_000)}1${close.repeat(20_000)}`;
  const text = fc.oneof(
    fc.json({ maxDepth: 8 }),
    fc.constantFrom(deep('[', ']'), deep('{"a":', '}'), `{"signature":${deep('[', ']')}}`),
    fc
      .record({ payload: fc.string(), signature: fc.string(), counter: fc.anything() })
      .map((one) =>
        JSON.stringify(one, (_, value: unknown) => (typeof value === 'bigint' ? 1 : value)),
      ),
    fc.string({ unit: 'binary' }),
  );
  const payload = fc.oneof(
    text.map((one) => Buffer.from(one)),
    fc.uint8Array({ maxLength: 200 }).map((one) => Buffer.from(one)),
  );
  fc.assert(
    fc.property(payload, fc.string(), (bytes, name) => {
      for (const topic of [READINGS, name]) {
        const { readings, rejections } = openMessage({ topic, payload: bytes, retained: false });
        expect(readings).toEqual([]);
        expect(rejections.length).toBeGreaterThan(0);
      }
    }),
    { seed: SEED, numRuns: 300 * FACTOR },
  );
});

function publish(topic: string): Buffer {
  return generate({
    cmd: 'publish',
    topic,
    payload: '',
    qos: 1,
    messageId: 9,
    dup: false,
    retain: false,
  });
}

function mutated(
  bytes: Buffer,
  { kind, at, byte }: { kind: string; at: number; byte: number },
): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  const copy = Buffer.from(bytes);
  if (kind === 'flip' && copy.length > 0) copy[place] = copy[place]! ^ (byte || 1);
  if (kind === 'cut') return copy.subarray(0, place);
  if (kind === 'insert') {
    return Buffer.concat([copy.subarray(0, place), Buffer.from([byte]), copy.subarray(place)]);
  }
  return copy;
}

function opened(): Socket {
  const socket = connect(broker.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  return socket;
}

/** Sends, and leaves after a moment if nobody hangs up. */
async function send(bytes: Buffer): Promise<void> {
  const socket = opened();
  const end = once(socket, 'close');
  socket.write(bytes);
  await Promise.race([end, sleep(30)]);
  socket.destroy();
}

/** A good meter still gets through. */
async function assertAlive(): Promise<void> {
  const meter = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
    username: 'm1',
    password: 'x',
  });
  const before = taken.length;
  await meter.publishAsync(READINGS, '{}', { qos: 1 });
  expect(taken.length).toBeGreaterThan(before);
  await meter.endAsync(true);
}
