import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import pg from 'pg';
import { ServiceSession } from '../../simulator/http.client.js';
import { readBootstrapLogins } from '../../simulator/street.store.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { emptyDatabase } from '../support/database.js';
import { hasProgram } from '../support/require.js';
import { readProjectFile } from '../support/project.js';
import { buildProgram, Program, RunningService, runCommand, tempFolder, until } from './program.js';

/**
 * Two instances of the service on one PostgreSQL and one stock Mosquitto, whose password and ACL files
 * the operator has written with `operator mosquitto`: as a deployment for real, on one machine.
 */

const describeWithMosquitto = hasProgram('mosquitto') ? describe : describe.skip;

const MICROGRID = 'two-hosts';
const STARTS_AT = '2026-06-01T09:00:00Z';
const SLOTS = 12;

describeWithMosquitto('two instances behind one broker', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let db: pg.Client;
  let mosquitto: Mosquitto;
  const instances: RunningService[] = [];
  const sessions: { operator: ServiceSession; simulator: ServiceSession }[] = [];
  const clients: MqttClient[] = [];
  const secrets = new Map<string, string>();

  beforeAll(async () => {
    await buildProgram();
    folder = await tempFolder();
    database = await emptyDatabase();
    db = new pg.Client({ connectionString: database.url });
    await db.connect();
    mosquitto = new Mosquitto(folder.path, await freePort());
    await mosquitto.writeAccess(environment('a'));
    await mosquitto.start();
    for (const name of ['a', 'b']) await startInstance(name);
    await enrol();
  }, 180_000);

  afterAll(async () => {
    for (const client of clients) await client.endAsync(true);
    for (const instance of instances) await instance.stop();
    await mosquitto.stop();
    await db.end();
    await database.drop();
    await folder.remove();
  });

  it('settle every slot once, whichever of them is told that it is over', async () => {
    const settled: { slot: string; household: string; netMicro: number }[] = [];
    const home = await device('home-2');
    await home.subscribeAsync(`microgrids/${MICROGRID}/households/home-2/settlements`, { qos: 1 });
    home.on('message', (_topic, payload) => settled.push(JSON.parse(payload.toString())));
    const meters = new Map(
      await Promise.all(METERS.map(async (meter) => [meter, await device(meter)] as const)),
    );
    for (let slot = 0; slot <= SLOTS; slot += 1) {
      const at = formatInstant(parseInstant(STARTS_AT) + slot * 900_000);
      await moveClock(slot, at);
      // The sun of home-1 feeds the neighbors; each of its Wh is cheaper than the utility's.
      await Promise.all([
        read(meters, 'home-1-grid', at, 0, slot * 900),
        read(meters, 'home-1-pv', at, 0, slot * 1_200),
        read(meters, 'home-2-grid', at, slot * 400, 0),
        read(meters, 'home-3-grid', at, slot * 300, 0),
      ]);
      // Mosquitto acknowledges for itself: the service has them a moment later.
      await until(`the readings of ${at} are taken in`, async () => {
        const { rows } = await db.query(
          'SELECT DISTINCT meter_id FROM reading WHERE read_at = $1',
          [at],
        );
        return rows.length === METERS.length;
      });
    }
    await moveClock(SLOTS, formatInstant(parseInstant(STARTS_AT) + SLOTS * 900_000 + 1_000));
    const { rows: slots } = await db.query(
      `SELECT slot.status, slot.traded_wh::int AS "tradedWh", (
         SELECT count(*)::int FROM record_body
         WHERE convert_from(bytes, 'UTF8')::json ->> 'kind' = 'slot-closed'
           AND (convert_from(bytes, 'UTF8')::json -> 'facts' ->> 'slot')::timestamptz = slot_start
       ) AS closings
       FROM slot ORDER BY slot_start`,
    );
    expect(slots).toEqual(
      Array.from({ length: SLOTS }, () => ({ status: 'closed', tradedWh: 700, closings: 1 })),
    );
    await until('all settlements are told', () => settled.length >= SLOTS);
    expect(new Set(settled.map(({ slot }) => slot)).size).toBe(SLOTS);
    expect(settled.every(({ household }) => household === 'home-2')).toBe(true);
  }, 120_000);

  it('write one journal without a gap, which verifies', async () => {
    const { rows } = await db.query(
      `SELECT count(*)::int AS records, max(sequence)::int AS last FROM record_head`,
    );
    expect(rows[0].records).toBe(rows[0].last);
    const summaries = await Promise.all(
      sessions.map(({ operator }) =>
        operator.request('GET', `/v1/operator/microgrids/${MICROGRID}/summary`),
      ),
    );
    expect(summaries[0]).toEqual(summaries[1]);
    expect(summaries[0]).toMatchObject({
      slots: SLOTS,
      energy: { neighborClaimedWh: SLOTS * 700 },
      ledger: { records: rows[0].records, checkpointSize: rows[0].records },
    });
    const verified = await runCommand(['verify', '--json'], environment('b'));
    expect({ code: verified.code, ...(JSON.parse(verified.stdout) as object) }).toMatchObject({
      code: 0,
      ok: true,
    });
  }, 60_000);

  it('hear nothing from a meter on the topic of another', async () => {
    const meter = await device('home-3-grid');
    const at = formatInstant(parseInstant(STARTS_AT) + SLOTS * 900_000);
    await meter
      .publishAsync(topicOf('home-2-grid'), reading(at, 1, 1), { qos: 1 })
      // Reason code 135 of MQTT 5: not authorized.
      .then(
        () => expect('the broker').toBe('refusing this'),
        (error: { code?: number }) => expect(error.code).toBe(135),
      );
    const { rows } = await db.query('SELECT FROM reading_contradiction');
    expect(rows).toEqual([]);
    const [granted] = await meter.subscribeAsync(
      `microgrids/${MICROGRID}/households/home-2/settlements`,
      { qos: 1 },
    );
    // Mosquitto grants a subscription to what one may not read, and then delivers nothing.
    const heard: string[] = [];
    meter.on('message', (topic) => heard.push(topic));
    expect([1, 135]).toContain(granted!.qos);
    await expect(device('home-3-grid', 'a guess')).rejects.toThrow(/not authorized|credentials/i);
    expect(heard).toEqual([]);
  });

  it('of which a third with another key signs nothing', async () => {
    await mkdir(join(folder.path, 'c'));
    const stranger = new RunningService(join(folder.path, 'c'), {
      ...environment('c'),
      LOG_LEVEL: 'error',
    });
    instances.push(stranger);
    const { httpPort } = await stranger.start();
    const { simulator } = sessions[0]!;
    const url = (): string => `http://127.0.0.1:${httpPort}`;
    const foreign = new ServiceSession(url, await logInOf('simulator'));
    const later = formatInstant(parseInstant(STARTS_AT) + (SLOTS + 1) * 900_000 + 301_000);
    await expect(foreign.request('POST', '/v1/operator/clock', { now: later })).rejects.toThrow(
      /\(500\)/,
    );
    // The slot is closed; its checkpoint comes from an instance that has the key.
    await simulator.request('POST', '/v1/operator/clock', { now: later });
    const { stderr, stdout } = (await stranger.stop())!;
    expect(stdout + stderr).toMatch(/signed with another key: .*log\.seed/);
    const verified = await runCommand(['verify', '--json'], environment('a'));
    expect(verified.code).toBe(0);
  }, 60_000);

  function environment(name: string): Record<string, string> {
    return {
      DATA_DIR: join(folder.path, name),
      DATABASE_URL: database.url,
      MQTT_URL: `mqtt://127.0.0.1:${mosquitto.port}`,
      MQTT_USERNAME: SERVICE_USER,
      MQTT_PASSWORD: mosquitto.serviceSecret,
      // The broker keeps a session for each.
      MQTT_CLIENT_ID: `neighborwatt-${name}`,
      MARKET_CLOCK: 'simulated',
      HTTP_PORT: '0',
      BOOTSTRAP_LOGINS: join(folder.path, 'logins.json'),
    };
  }

  async function startInstance(name: string): Promise<void> {
    const dataDir = join(folder.path, name);
    if (name !== 'a') {
      // One deployment, one log: every instance signs with the key of the first.
      await mkdir(join(dataDir, 'keys'), { recursive: true });
      const seed = await readFile(join(folder.path, 'a/keys/log.seed'), 'utf8');
      await writeFile(join(dataDir, 'keys/log.seed'), seed, { mode: 0o600 });
    }
    const instance = new RunningService(dataDir, environment(name));
    instances.push(instance);
    const { httpPort } = await instance.start();
    const url = (): string => `http://127.0.0.1:${httpPort}`;
    sessions.push({
      operator: new ServiceSession(url, await logInOf('operator')),
      simulator: new ServiceSession(url, await logInOf('simulator')),
    });
  }

  async function logInOf(who: 'operator' | 'simulator') {
    return (await readBootstrapLogins(join(folder.path, 'logins.json')))![who];
  }

  async function enrol(): Promise<void> {
    const [a, b] = sessions;
    await a!.simulator.request('POST', '/v1/operator/clock', { now: STARTS_AT });
    await a!.operator.request('POST', '/v1/operator/microgrids', {
      microgrid: MICROGRID,
      name: 'Two hosts',
      currency: 'EUR',
      startsAt: STARTS_AT,
      creditLimitMicro: 1_000_000_000,
      tariff: { bands: [{ fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 }] },
    });
    // Through the other instance: what one has committed the other knows.
    const { items } = (await b!.operator.request(
      'POST',
      `/v1/operator/microgrids/${MICROGRID}/members`,
      { members: MEMBERS },
    )) as { items: { username: string; secret: string }[] };
    for (const { username, secret } of items) secrets.set(username, secret);
    await mosquitto.writeAccess(environment('a'));
    mosquitto.reload();
    await until('Mosquitto knows the new devices', () =>
      device('home-1').then(
        () => true,
        () => false,
      ),
    );
  }

  async function device(username: string, password = secrets.get(username)!): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${mosquitto.port}`, {
      protocolVersion: 5,
      username,
      password,
      reconnectPeriod: 0,
    });
    clients.push(client);
    return client;
  }

  /** Told to one, to the other, or to both at once. */
  async function moveClock(slot: number, now: string): Promise<void> {
    const told = slot % 3 === 2 ? sessions : [sessions[slot % 3]!];
    await Promise.all(
      told.map(({ simulator }) => simulator.request('POST', '/v1/operator/clock', { now })),
    );
  }

  async function read(
    meters: ReadonlyMap<string, MqttClient>,
    meter: string,
    at: string,
    importWh: number,
    exportWh: number,
  ): Promise<void> {
    await meters
      .get(meter)!
      .publishAsync(topicOf(meter), reading(at, importWh, exportWh), { qos: 1 });
  }
});

const SERVICE_USER = 'neighborwatt';

const MEMBERS = ['home-1', 'home-2', 'home-3'].map((household, index) => ({
  household,
  activeFrom: STARTS_AT,
  meters: [
    { meter: `${household}-grid`, role: 'grid' },
    ...(index === 0 ? [{ meter: `${household}-pv`, role: 'generation' }] : []),
  ],
}));

const METERS = MEMBERS.flatMap(({ meters }) => meters.map(({ meter }) => meter));

function topicOf(meter: string): string {
  return `microgrids/${MICROGRID}/meters/${meter}/readings`;
}

function reading(readAt: string, importWh: number, exportWh: number): string {
  return JSON.stringify({ readAt, importWh, exportWh });
}

/** Mosquitto as `docker/mosquitto.conf` sets it up, on a port and in a folder of the test. */
class Mosquitto {
  serviceSecret = '';
  private program: Program | undefined;

  constructor(
    private readonly folder: string,
    readonly port: number,
  ) {}

  /** What an operator does after enrolling. */
  async writeAccess(env: Record<string, string>): Promise<void> {
    const out = join(this.folder, 'mosquitto');
    const { MQTT_PASSWORD: _, MQTT_USERNAME: __, MQTT_URL: ___, ...settings } = env;
    const args = ['operator', 'mosquitto', '--out', out, '--service', SERVICE_USER];
    const { code, stderr } = await runCommand(args, settings);
    if (code !== 0) throw new Error(stderr);
    this.serviceSecret = (await readFile(join(out, 'service-secret'), 'utf8')).trim();
  }

  async start(): Promise<void> {
    const files = join(this.folder, 'mosquitto');
    const settings = readProjectFile('docker/mosquitto.conf')
      .replace('listener 1883', `listener ${this.port} 127.0.0.1`)
      .replaceAll('/mosquitto/config/', `${files}/`)
      .replaceAll('/mosquitto/data', files);
    // As root it would become another user, who may not read the files of this one.
    const user = process.getuid?.() === 0 ? '\nuser root\n' : '';
    await writeFile(join(files, 'mosquitto.conf'), settings + user);
    this.program = new Program(
      spawn('mosquitto', ['-c', join(files, 'mosquitto.conf')], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    await until('Mosquitto listens', async () => {
      const probe = mqtt.connect(`mqtt://127.0.0.1:${this.port}`, { reconnectPeriod: 0 });
      const answered = await new Promise<boolean>((resolve) => {
        // It refuses a log-in without a name: it is there.
        probe.once('error', (error) =>
          resolve(!('errors' in error) && 'code' in error && error.code === 5),
        );
        probe.once('close', () => resolve(false));
      });
      await probe.endAsync(true);
      return answered;
    });
  }

  /** Reads the files again, in a moment; connections stay. */
  reload(): void {
    this.program!.child.kill('SIGHUP');
  }

  async stop(): Promise<void> {
    this.program?.child.kill('SIGTERM');
    await this.program?.ended;
  }
}
