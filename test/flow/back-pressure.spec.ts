import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { ServiceSession } from '../../simulator/http.client.js';
import { readBootstrapLogins } from '../../simulator/street.store.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { hasProgram } from '../support/require.js';
import { Observer } from './observer.js';
import { buildProgram, RunningService, tempFolder, until } from './program.js';
import { DatabaseServer, OpenMosquitto, residentMB } from './victims.js';

/**
 * A database that answers nothing, or is gone, while meters send more than the service may hold: they
 * are held back, the service stays small, and what was acknowledged is there once when it returns.
 */

const MICROGRID = 'flood';
const STARTS_AT = '2026-06-01T00:00:00Z';
const METER = 'flooded';
const CONNECTIONS = 16;
/** Unacknowledged on each connection: 38 MB on all of them. */
const WINDOW = 40;
const FLOOD = 1_500;
const PAYLOAD_BYTES = 60_000;
/** Of 38 MB at the embedded broker, and of 90 MB at Mosquitto. */
const MOST_GROWTH_MB = { embedded: 25, Mosquitto: 70 };

const transports = hasProgram('mosquitto')
  ? (['embedded', 'Mosquitto'] as const)
  : (['embedded'] as const);

let folder: Awaited<ReturnType<typeof tempFolder>>;
let service: RunningService;
let database: DatabaseServer;
let mosquitto: OpenMosquitto | undefined;
let observer: Observer;
let meters: Flood | undefined;

beforeAll(buildProgram, 120_000);

beforeEach(async () => {
  folder = await tempFolder();
  mosquitto = undefined;
  meters = undefined;
});

afterEach(async () => {
  database.thaw();
  await meters?.close();
  await observer.close();
  await service.kill();
  await mosquitto?.kill();
  await folder.remove();
});

it.each(transports)(
  'through the %s broker meters are held back while the database stands still or is killed',
  async (transport) => {
    const flood = await start(transport);
    await flood.send(100);
    const before = residentMB(service.pid);

    await database.freeze();
    const sending = flood.send(FLOOD);
    // Mosquitto answers for itself; the embedded broker answers what it knows to be kept.
    if (transport === 'Mosquitto') await sending;
    else await sleep(3_000);
    const held = residentMB(service.pid) - before;
    if (transport === 'embedded') expect(flood.acknowledged).toBe(100);
    expect(held).toBeLessThan(MOST_GROWTH_MB[transport]);

    database.thaw();
    await sending;
    await until('all of it is kept', async () => (await kept()) === 100 + FLOOD, 120_000);

    const more = flood.send(200);
    await database.kill();
    await more;
    await observer.isBack();
    await until('the rest is kept too', async () => (await kept()) === 300 + FLOOD, 120_000);
    expect(flood.acknowledged).toBe(300 + FLOOD);
    expect(await observer.query('SELECT FROM reading_contradiction')).toEqual([]);
    expect(await observer.rejections()).toEqual([]);
  },
  240_000,
);

async function kept(): Promise<number> {
  const rows = await observer.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM reading',
  );
  return rows[0]!.count;
}

async function start(transport: (typeof transports)[number]): Promise<Flood> {
  const mqttPort = await freePort();
  if (transport === 'Mosquitto') {
    mosquitto = new OpenMosquitto(folder.path, mqttPort);
    await mosquitto.start();
  }
  const loginsFile = join(folder.path, 'logins.json');
  service = new RunningService(join(folder.path, 'data'), {
    MARKET_CLOCK: 'simulated',
    // A reading a second, while the market's clock stands still.
    MAX_CLOCK_AHEAD_SECONDS: '86400',
    HTTP_PORT: '0',
    BOOTSTRAP_LOGINS: loginsFile,
    LOG_LEVEL: 'fatal',
    ...(mosquitto ? { MQTT_URL: `mqtt://127.0.0.1:${mqttPort}` } : { MQTT_PORT: String(mqttPort) }),
  });
  database = new DatabaseServer(service.dataDir);
  observer = new Observer(service.dataDir);
  const { httpPort } = await service.start();
  const secret = await enrol(httpPort, loginsFile);
  meters = new Flood(mqttPort, secret);
  await meters.connect();
  return meters;
}

/** One meter. @returns its secret */
async function enrol(httpPort: number, loginsFile: string): Promise<string> {
  const logins = (await readBootstrapLogins(loginsFile))!;
  const url = (): string => `http://127.0.0.1:${httpPort}`;
  const operator = new ServiceSession(url, logins.operator);
  const simulator = new ServiceSession(url, logins.simulator);
  await simulator.request('POST', '/v1/operator/clock', { now: STARTS_AT });
  await operator.request('POST', '/v1/operator/microgrids', {
    microgrid: MICROGRID,
    name: 'A flood',
    currency: 'EUR',
    startsAt: STARTS_AT,
    tariff: { bands: [{ fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 }] },
  });
  const { items } = (await operator.request(
    'POST',
    `/v1/operator/microgrids/${MICROGRID}/members`,
    {
      members: [
        { household: 'h', activeFrom: STARTS_AT, meters: [{ meter: METER, role: 'grid' }] },
      ],
    },
  )) as { items: { username: string; secret: string }[] };
  return items.find(({ username }) => username === METER)!.secret;
}

/** A reading a second, each in as many bytes as a message may have. */
class Flood {
  acknowledged = 0;
  private sent = 0;
  private clients: MqttClient[] = [];

  constructor(
    private readonly port: number,
    private readonly password: string,
  ) {}

  async connect(): Promise<void> {
    const options = { username: METER, password: this.password, reconnectPeriod: 100 };
    this.clients = await Promise.all(
      Array.from({ length: CONNECTIONS }, () =>
        mqtt.connectAsync(`mqtt://127.0.0.1:${this.port}`, {
          ...options,
          // While the database is away nobody can be authenticated.
          reconnectOnConnackError: true,
        }),
      ),
    );
    for (const client of this.clients) client.on('error', () => undefined);
  }

  /** Resolves when all of them are acknowledged. */
  async send(messages: number): Promise<void> {
    const end = this.sent + messages;
    const next = async (client: MqttClient): Promise<void> => {
      while (this.sent < end) {
        const number = this.sent;
        this.sent += 1;
        await client.publishAsync(TOPIC, payloadOf(number), { qos: 1 });
        this.acknowledged += 1;
      }
    };
    const lanes = this.clients.flatMap((client) => Array.from({ length: WINDOW }, () => client));
    await Promise.all(lanes.map(next));
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.endAsync(true)));
  }
}

const TOPIC = `microgrids/${MICROGRID}/meters/${METER}/readings`;

function payloadOf(number: number): string {
  return JSON.stringify({ readAt: readAtOf(number), importWh: number }).padEnd(PAYLOAD_BYTES);
}

function readAtOf(second: number): string {
  return formatInstant(parseInstant(STARTS_AT) + second * 1_000);
}
