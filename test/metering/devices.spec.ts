import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Abstract, Type } from '@nestjs/common';
import mqtt, { type MqttClient } from 'mqtt';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { DeviceIntakeService } from '../../src/metering/device-intake.service.js';
import { MeterKeyService } from '../../src/parties/meter-key.service.js';
import { MeterProfileService } from '../../src/parties/meter-profile.service.js';
import { ClaimService } from '../../src/parties/claim.service.js';
import { DeviceService } from '../../src/parties/device.service.js';
import { mosquittoAcl, mosquittoPasswords } from '../../src/parties/mosquitto-files.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { startService, type RunningService } from '../../src/service.js';
import { SlotClockService } from '../../src/settlement/slot-clock.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import { emptyDatabase } from '../support/database.js';
import { hasProgram } from '../support/require.js';
import { DEVICES, END, START } from './stock-devices.js';

/**
 * Devices as they come out of the box, on the embedded broker and on a stock Mosquitto: each logs in
 * with its meter's secret, or its gateway's, publishes what such a device publishes, and its energy is
 * minted to the Wh.
 */

describe.each([
  ['the embedded broker', 'embedded', 1],
  ['a stock Mosquitto', 'mosquitto', 1],
  ['a stock Mosquitto and two instances', 'twice', 2],
])('on %s', (_, microgrid, instances) => {
  if (microgrid !== 'embedded' && !hasProgram('mosquitto')) return;
  let database: Awaited<ReturnType<typeof emptyDatabase>>;
  let folder: string;
  const services: RunningService[] = [];
  const clients: MqttClient[] = [];
  const secrets = new Map<string, string>();
  let mosquitto: ChildProcess | undefined;
  let brokerPort: number;

  const get = <T>(type: Type<T> | Abstract<T>): T => services[0]!.app.get<T>(type);

  beforeAll(async () => {
    database = await emptyDatabase();
    folder = await mkdtemp(join(tmpdir(), 'devices-'));
    const served = microgrid === 'embedded' ? null : await freePort();
    for (let index = 0; index < instances; index += 1) await start(index, served);
  }, 120_000);

  afterAll(async () => {
    for (const client of clients) await client.endAsync(true);
    for (const { stop } of services) await stop();
    mosquitto?.kill();
    await database.drop();
    await rm(folder, { recursive: true });
  });

  it('stock devices are minted to the Wh', async () => {
    await moveClock(START);
    await sayAll('start');
    await moveClock(END);
    await sayAll('end');
    await moveClock('2026-06-01T08:20:01Z');
    const rows = await get(DatabaseService).query<{ household: string; wh: number[] }>(
      `SELECT household_id AS household, ARRAY[import_wh, export_wh, consumption_wh] AS wh
       FROM measurement WHERE microgrid_id = $1 AND slot_start = $2`,
      [microgrid, START],
    );
    const metered = new Map(rows.map(({ household, wh }) => [household, wh.map(Number)]));
    const minted = await mintedWh();
    for (const [name, { start: from, end: to }] of Object.entries(DEVICES)) {
      // Borders are floored, so that differences telescope.
      const importWh = Math.floor(to[0]) - Math.floor(from[0]);
      const exportWh = Math.floor(to[1]) - Math.floor(from[1]);
      const house = `${microgrid}-${name}-house`;
      expect([name, metered.get(house)?.slice(0, 2)]).toEqual([name, [importWh, exportWh]]);
      expect([name, minted.get(house) ?? 0]).toEqual([name, metered.get(house)![2]]);
    }
    const refused = await get(DatabaseService).query<{ meter: string; reasons: string[] }>(
      `SELECT meter_id AS meter, array_agg(DISTINCT reason ORDER BY reason) AS reasons
       FROM rejection WHERE microgrid_id = $1 GROUP BY meter_id ORDER BY meter_id`,
      [microgrid],
    );
    expect(refused).toEqual(
      Object.entries(DEVICES).flatMap(([name, { refused: reasons = [] }]) => {
        // A Mosquitto hands out what it keeps to whoever subscribes.
        const kept = name === 'glitchy' && microgrid !== 'embedded' ? ['retained'] : [];
        const all = [...reasons, ...kept].sort();
        return all.length === 0 ? [] : [{ meter: `${microgrid}-${name}`, reasons: all }];
      }),
    );
  }, 120_000);

  it('and verify', async () => {
    const { findings } = await new VerifyService(get(DatabaseService)).verify(
      microgrid,
      get(LogService),
    );
    expect(findings).toEqual([]);
  });

  it('a device writes on no topic of another', async () => {
    const before = await readingsOf(`${microgrid}-shelly-pro`);
    const [stranger] = [await device(`${microgrid}-shelly-3em`)];
    await stranger
      .publishAsync(`shellypro3em-${microgrid}-shelly-pro/status/emdata:0`, '{"total_act":9e6}', {
        qos: 1,
      })
      .catch(() => undefined);
    await stranger.publishAsync(
      `shellies/shellyem3-${microgrid}-shelly-3em/announce`,
      '{"id":"shellyem3"}',
      { qos: 1 },
    );
    expect(await readingsOf(`${microgrid}-shelly-pro`)).toBe(before);
    expect(stranger.connected).toBe(true);
  });

  it('a claimed meter has a new secret, and its reading shows', async () => {
    const meter = `${microgrid}-shelly-pro`;
    const { code } = await get(DatabaseService).transaction((sql) =>
      get(ClaimService).makeCode(sql, microgrid, meter, 'otto'),
    );
    const url = `http://127.0.0.1:${services[0]!.httpPort}/v1/meters/${meter}/claim`;
    const claim = async (text: string) => {
      const body = JSON.stringify({ code: text });
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(url, { method: 'POST', headers, body });
      return { status: answer.status, body: (await answer.json()) as Record<string, string> };
    };
    expect(await claim('00000-00000')).toMatchObject({
      status: 403,
      body: { code: 'code_refused' },
    });
    const claimed = await claim(code.toLowerCase().replace('-', ' '));
    expect(claimed).toMatchObject({
      status: 200,
      body: { meter, profile: 'shelly', topic: `shellypro3em-${meter}` },
    });
    expect((await claim(code)).status).toBe(403);
    secrets.set(meter, claimed.body['secret']!);
    if (microgrid !== 'embedded') return;
    const client = await device(meter);
    const watched = get(DeviceIntakeService);
    watched.watch(meter, { topic: 't', profile: 'shelly' });
    await client.publishAsync(
      `shellypro3em-${meter}/status/emdata:0`,
      '{"id":0,"total_act":5415900,"total_act_ret":12}',
      { qos: 1 },
    );
    const { report, messages } = watched.watch(meter, { topic: 't', profile: 'shelly' });
    expect(report).toMatchObject({ messages: 1, problems: [] });
    expect(messages[0]!.readings).toMatchObject([
      { register: 'import', valueWh: '5415900' },
      { register: 'export', valueWh: '12' },
    ]);
  });

  async function start(index: number, served: number | null): Promise<void> {
    const dataDir = join(folder, `${microgrid}-${index}`);
    const brokered = served
      ? { MQTT_URL: `mqtt://127.0.0.1:${served}`, MQTT_USERNAME: `${microgrid}-service` }
      : {};
    // The first instance enrols, writes the broker's files, and only then meets its broker.
    if (served && index === 0) {
      await serveMosquitto(served, dataDir);
      await retainHuge(`${microgrid}-glitchy`);
    }
    const service = await startService(
      loadSettings({
        DATABASE_URL: database.url,
        DATA_DIR: dataDir,
        HTTP_PORT: '0',
        MQTT_PORT: '0',
        MARKET_CLOCK: 'simulated',
        LOG_LEVEL: 'silent',
        MQTT_CLIENT_ID: `${microgrid}-${index}`,
        ...brokered,
        ...(served ? { MQTT_PASSWORD: secrets.get(`${microgrid}-service`)! } : {}),
      }),
    );
    services.push(service);
    if (!served) {
      await enrol(service);
      brokerPort = service.mqttPort!;
    }
  }

  /** As an operator does: the files come from an instance that needs no broker of this kind. */
  async function serveMosquitto(port: number, dataDir: string): Promise<void> {
    const first = await startService(
      loadSettings({
        DATABASE_URL: database.url,
        DATA_DIR: dataDir,
        HTTP_PORT: '0',
        MQTT_PORT: '0',
        MARKET_CLOCK: 'simulated',
        LOG_LEVEL: 'silent',
      }),
    );
    await enrol(first);
    const { credentials, meters, topics } = await first.app
      .get(DatabaseService)
      .transaction(async (sql) => {
        const devices = first.app.get(DeviceService);
        const issued = await devices.enrolService(sql, `${microgrid}-service`);
        secrets.set(issued!.username, issued!.secret);
        return devices.credentials(sql);
      });
    await first.stop();
    const files = join(folder, `${microgrid}-broker`);
    await mkdir(files);
    await writeFile(join(files, 'passwords'), mosquittoPasswords(credentials));
    await writeFile(join(files, 'acl'), mosquittoAcl(credentials, meters, topics));
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous false',
      `password_file ${files}/passwords`,
      `acl_file ${files}/acl`,
      'user root',
    ];
    await writeFile(join(files, 'mosquitto.conf'), `${lines.join('\n')}\n`);
    mosquitto = spawn('mosquitto', ['-c', join(files, 'mosquitto.conf')], { stdio: 'ignore' });
    brokerPort = port;
    await until('Mosquitto listens', () => listens(port));
  }

  /** What the broker keeps of before, and hands to the service as the first thing it hears. */
  async function retainHuge(meter: string): Promise<void> {
    const reading = { readAt: '2026-06-01T08:10:30Z', importWh: 9e9, exportWh: 9e9 };
    const topic = `microgrids/${microgrid}/meters/${meter}/readings`;
    const client = await device(meter);
    await client.publishAsync(topic, JSON.stringify(reading), { qos: 1, retain: true });
  }

  async function enrol({ app }: RunningService): Promise<void> {
    const parties = app.get(PartiesService);
    const profiles = app.get(MeterProfileService);
    const meterKeys = app.get(MeterKeyService);
    await app.get(DatabaseService).transaction(async (sql) => {
      await parties.createMicrogrid(
        sql,
        {
          microgrid,
          name: microgrid,
          timeZone: 'Europe/Berlin',
          currency: 'EUR',
          startsAt: START,
          tariff: { bands: [BAND] },
        },
        'otto',
      );
      const gateway = `${microgrid}-bridge`;
      const issued = await parties.enrolMembers(
        sql,
        microgrid,
        {
          gateways: [{ gateway }],
          members: Object.entries(DEVICES).map(([name, { profile, topic }]) => {
            const meter = `${microgrid}-${name}`;
            return {
              household: `${meter}-house`,
              meters: [
                {
                  meter,
                  role: 'grid' as const,
                  profile,
                  ...(profile === 'native' ? {} : { topic: topic(meter, microgrid) }),
                  gateway: name === 'plug' ? gateway : null,
                },
              ],
            };
          }),
        },
        'otto',
      );
      for (const { username, secret } of issued) secrets.set(username, secret);
      for (const [name, { profile, topic, mapping, signer }] of Object.entries(DEVICES)) {
        const meter = `${microgrid}-${name}`;
        if (signer)
          await meterKeys.register(sql, microgrid, meter, { publicKey: signer.publicKey }, 'otto');
        const request = { profile, topic: topic(meter, microgrid), mapping };
        if (mapping) await profiles.set(sql, microgrid, meter, request, 'otto');
      }
    });
  }

  async function sayAll(when: 'start' | 'end'): Promise<void> {
    for (const [name, one] of Object.entries(DEVICES)) {
      const meter = `${microgrid}-${name}`;
      const client = await device(name === 'plug' ? `${microgrid}-bridge` : meter);
      const at = when === 'start' ? START : END;
      const [importWh, exportWh] = one[when];
      for (const [below, payload] of one.says(at, importWh, exportWh, when === 'start')) {
        await client.publishAsync(`${one.topic(meter, microgrid)}${below}`, payload, { qos: 1 });
      }
      // A plug counts import alone.
      const registers = name === 'plug' ? 1 : 2;
      const { kept = { start: registers, end: registers * 2 } } = one;
      await until(`readings of ${meter}`, async () => (await readingsOf(meter)) === kept[when]);
    }
  }

  async function device(username: string): Promise<MqttClient> {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${brokerPort}`, {
      username,
      password: secrets.get(username)!,
      reconnectPeriod: 0,
    });
    clients.push(client);
    return client;
  }

  async function moveClock(now: string): Promise<void> {
    await get(SlotClockService).advance(now);
  }

  async function readingsOf(meter: string): Promise<number> {
    const [row] = await get(DatabaseService).query<{ count: number }>(
      `SELECT count(*) AS count FROM reading WHERE meter_id = $1`,
      [meter],
    );
    return Number(row!.count);
  }

  async function mintedWh(): Promise<Map<string, number>> {
    const rows = await get(DatabaseService).query<{ household: string; wh: string }>(
      `SELECT household_id AS household, sum(amount) AS wh FROM transfer
       JOIN household ON transfer.microgrid_id = household.microgrid_id
         AND credit_account LIKE '%' || household_id || '%'
       WHERE transfer.microgrid_id = $1 AND asset = 'CONSUMPTION' GROUP BY 1`,
      [microgrid],
    );
    return new Map(rows.map(({ household, wh }) => [household, Number(wh)]));
  }
});

const BAND = {
  fromMinute: 0,
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 0,
};

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`It does not come to that: ${what}.`);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket(port, '127.0.0.1');
    socket.once('connect', () => resolve((socket.destroy(), true)));
    socket.once('error', () => resolve(false));
  });
}
