import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import mqtt, { type MqttClient } from 'mqtt';
import { loadSettings } from '../../src/config.js';
import { DatabaseService } from '../../src/database/database.service.js';
import type { HeardMessage } from '../../src/metering/device-watch.js';
import type { MeterReport } from '../../src/metering/meter-test.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { PeopleService } from '../../src/parties/people.service.js';
import { startService, type RunningService } from '../../src/service.js';
import { freshDatabase } from '../support/database.js';

/**
 * What an operator asks about devices, over HTTP, on a running service with its own broker: Otto
 * operates the street, Olga another one, and Anna lives on his.
 */

const PASSWORD = 'correct horse battery';
const TRIALS = '/operator/microgrids/street/device-trials';
const METER = '/operator/microgrids/street/meters/m1';
const PLUG = { profile: 'zigbee2mqtt', topic: 'zigbee2mqtt/plug' };

let database: Awaited<ReturnType<typeof freshDatabase>>;
let dataDir: string;
let service: RunningService;
const tokens = new Map<string, string>();

beforeAll(async () => {
  database = await freshDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'device-http-'));
  service = await startService(
    loadSettings({
      DATABASE_URL: database.ownerUrl,
      DATA_DIR: dataDir,
      HTTP_PORT: '0',
      MQTT_PORT: '0',
      LOG_LEVEL: 'silent',
    }),
  );
  await found();
  await Promise.all(
    ['otto', 'olga', 'anna'].map(async (user) => {
      const { body } = await call(null, 'POST', '/sessions', { user, password: PASSWORD });
      tokens.set(user, body.token);
    }),
  );
}, 120_000);

afterAll(async () => {
  await service?.stop();
  await database?.drop();
  await rm(dataDir, { recursive: true });
});

describe('a trial of a payload', () => {
  it('decodes it by profile, mapping and the time zone of the microgrid, and keeps nothing', async () => {
    const { status, body } = await call('otto', 'POST', TRIALS, {
      profile: 'tasmota',
      topic: 'tele/reader/SENSOR',
      mapping: {
        sources: [{ path: 'SML.Bezug', register: 'import', unit: 'kWh' }],
        time: { path: 'Time', format: 'local' },
      },
      role: 'grid',
      messages: [{ payload: '{"Time":"2026-06-01T10:15:00","SML":{"Bezug":34507.4761}}', ...AT }],
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      report: { messages: 1, registers: [{ register: 'import', valueWh: '34507476.1' }] },
      messages: [
        {
          topic: 'tele/reader/SENSOR',
          readings: [{ register: 'import', readAt: '2026-06-01T08:15:00Z', quality: 'measured' }],
          rejections: [],
        },
      ],
    });
    expect(body.report.problems).toEqual([]);
    const kept = await service.app
      .get(DatabaseService)
      .query('SELECT FROM reading UNION ALL SELECT FROM rejection');
    expect(kept).toEqual([]);
  });

  it.each<[string, { role?: string; messages: object[] }]>([
    ['only_retained', { messages: [{ payload: '{"energy":1.05}', retained: true }] }],
    ['not_understood', { messages: [{ payload: '{"temperature":21}' }] }],
    ['refused', { messages: [{ payload: '{"energy":"a lot"}' }] }],
    ['power_only', { messages: [{ payload: '{"power":102}' }] }],
    ['wrong_register', { role: 'generation', messages: [{ payload: '{"energy":1.05}' }] }],
    ['falling_register', { messages: [said('{"energy":9.5}', 0), said('{"energy":0.1}', 1)] }],
    ['wrong_unit', { messages: [said('{"energy":100}', 0), said('{"energy":900}', 1)] }],
    ['clock_drift', { messages: [said('{"energy":1.05,"last_seen":"2026-06-01T08:00:00Z"}', 10)] }],
  ])('names the fault %s and says what to do', async (code, more) => {
    const { status, body } = await call('otto', 'POST', TRIALS, { ...PLUG, ...more });
    const { problems } = body.report;
    expect([status, problems.map((each) => each.code)]).toEqual([
      200,
      expect.arrayContaining([code]),
    ]);
    for (const { advice } of problems) expect(advice).toMatch(/[a-z].{20,}[.?]$/);
  });

  it('is bounded, and says what is too much or unknown', async () => {
    const trial = (more: object) => call('otto', 'POST', TRIALS, { ...PLUG, ...more });
    const one = { payload: '{}' };
    const answers = [
      await trial({ messages: [] }),
      await trial({ messages: Array.from({ length: 201 }, () => one) }),
      await trial({ messages: [{ payload: 'x'.repeat(65_537) }] }),
      await trial({ messages: [one], topic: 't'.repeat(513) }),
      await trial({ messages: [one], profile: 'unheard-of' }),
      await trial({ messages: [one], mapping: { sources: [{ path: 'a', register: 'gas' }] } }),
      await trial({ messages: [one], more: 1 }),
      await trial({ messages: [{ payload: 'x'.repeat(4 * 1024 * 1024) }] }),
    ];
    expect(answers.map(({ status, body }) => [status, /^\S.{10,}/.test(body.detail)])).toEqual([
      ...Array.from({ length: 7 }, () => [400, true]),
      [413, true],
    ]);
    expect(answers[1]!.body.detail).toContain('at most 200 messages');
    const largest = Array.from({ length: 60 }, () => ({ payload: 'x'.repeat(65_536) }));
    expect(await trial({ messages: largest })).toMatchObject({
      status: 200,
      body: { report: { messages: 60 } },
    });
  });
});

describe('the devices of a street', () => {
  it.each<[string, string, object | undefined]>([
    ['POST', TRIALS, { ...PLUG, messages: [{ payload: '{}' }] }],
    ['GET', `${METER}/heard`, undefined],
    ['GET', `${METER}/profile`, undefined],
    ['PUT', `${METER}/profile`, PLUG],
    ['POST', `${METER}/claim-code`, {}],
  ])('are closed to strangers: %s %s', async (method, path, body) => {
    const statuses = await Promise.all(
      [null, 'anna', 'olga'].map(async (who) => (await call(who, method, path, body)).status),
    );
    expect(statuses).toEqual([401, 403, 403]);
    // Nor may Otto reach through his own street into Olga's.
    if (path === TRIALS) return;
    expect((await call('otto', method, path.replace('m1', 'lane-m1'), body)).status).toBe(404);
  });

  it('are set up: profiles that cannot be are refused with the reason', async () => {
    const put = (body: object) => call('otto', 'PUT', `${METER}/profile`, body);
    expect(await put({ profile: 'shelly', topic: 'shellies' })).toMatchObject({ status: 400 });
    expect(await put({ profile: 'shelly', mapping: { channels: ['a'] } })).toMatchObject({
      status: 400,
    });
    expect(await put({ profile: 'shelly', topic: 'microgrids/lane/meters/lane-m1' })).toMatchObject(
      { status: 409, body: { code: 'topic_not_possible' } },
    );
    expect(await put({ profile: 'shelly', topic: 'shellies/em-2' })).toMatchObject({
      status: 409,
      body: { code: 'topic_taken', detail: expect.stringContaining('m2') },
    });
    expect(await put({ profile: 'native', topic: 'shellies/em-1' })).toMatchObject({ status: 409 });
    const shown = { meter: 'm1', profile: 'zigbee2mqtt', topic: PLUG.topic, mapping: null };
    expect(await put(PLUG)).toEqual({ status: 200, body: shown });
    expect(await call('otto', 'GET', `${METER}/profile`)).toEqual({ status: 200, body: shown });
  });

  it('are claimed by a code and listened to, until they speak otherwise', async () => {
    const heard = async () => (await call('otto', 'GET', `${METER}/heard`)).body;
    expect((await heard()).report.problems).toMatchObject([{ code: 'silence' }]);
    const { body: made } = await call('otto', 'POST', `${METER}/claim-code`);
    expect(made).toMatchObject({ meter: 'm1', household: 'h1' });
    const { body: claimed } = await call(null, 'POST', '/meters/m1/claim', { code: made.code });
    expect(claimed).toMatchObject({ profile: 'zigbee2mqtt', topic: PLUG.topic });
    const plug = await connect(claimed.username, claimed.secret);
    await plug.publishAsync(PLUG.topic, '{"power":102}', { qos: 1 });
    expect((await heard()).report).toMatchObject({
      messages: 1,
      powerW: 102,
      problems: [{ code: 'power_only' }],
    });
    await plug.publishAsync(PLUG.topic, '{"energy":1.05}', { qos: 1 });
    await plug.publishAsync(PLUG.topic, 'x\u0000', { qos: 1 });
    const { report, messages } = await heard();
    expect(report).toMatchObject({
      messages: 3,
      registers: [{ register: 'import', valueWh: '1050' }],
      problems: [{ code: 'refused' }],
    });
    expect(messages).toMatchObject([
      { rejections: [{ reason: expect.any(String) }] },
      { topic: PLUG.topic, payload: '{"energy":1.05}', readings: [{ valueWh: '1050' }] },
      { readings: [{ powerW: 102 }] },
    ]);
    // What the old profile made of it says nothing of the new one.
    await call('otto', 'PUT', `${METER}/profile`, { profile: 'native' });
    expect((await heard()).report.problems).toMatchObject([{ code: 'silence' }]);
    const own = 'microgrids/street/meters/m1/readings';
    await plug.publishAsync(own, JSON.stringify({ ...AT_NOW(), importWh: 2_000 }), { qos: 1 });
    expect((await heard()).report).toMatchObject({
      messages: 1,
      registers: [{ valueWh: '2000' }],
    });
    await plug.endAsync();
  });
});

const AT = { receivedAt: '2026-06-01T08:15:01Z' };
const AT_NOW = () => ({ readAt: new Date().toISOString() });

function said(payload: string, minute: number): object {
  const receivedAt = new Date(Date.parse('2026-06-01T08:00:00Z') + minute * 60_000).toISOString();
  return { payload, receivedAt };
}

async function found(): Promise<void> {
  const startsAt = new Date(Math.floor(Date.now() / 900_000) * 900_000).toISOString();
  const band = {
    fromMinute: 0,
    retailMicroPerKwh: 300_000,
    feedInMicroPerKwh: 50_000,
    gridFeeMicroPerKwh: 0,
  };
  const parties = service.app.get(PartiesService);
  const people = service.app.get(PeopleService);
  await service.app.get(DatabaseService).transaction(async (sql) => {
    const grid = (meter: string, device: object = {}) => ({
      meter,
      role: 'grid' as const,
      ...device,
    });
    const streets = {
      street: { h1: grid('m1'), h2: grid('m2', { profile: 'shelly', topic: 'shellies/em-2' }) },
      lane: { h3: grid('lane-m1') },
    };
    for (const [microgrid, houses] of Object.entries(streets)) {
      const tariff = { bands: [band] };
      const where = { name: microgrid, currency: 'EUR', timeZone: 'Europe/Berlin' };
      await parties.createMicrogrid(sql, { microgrid, ...where, startsAt, tariff }, 'otto');
      const members = Object.entries(houses).map(([household, meter]) => ({
        household,
        activeFrom: startsAt,
        meters: [meter],
      }));
      await parties.enrolMembers(sql, microgrid, { members }, 'otto');
    }
    for (const [person, grant] of Object.entries({
      otto: { role: 'operator' as const, microgrid: 'street' },
      olga: { role: 'operator' as const, microgrid: 'lane' },
      anna: { role: 'household' as const, microgrid: 'street', household: 'h1' },
    })) {
      const request = { person, name: person, password: PASSWORD, grants: [grant] };
      await people.createPerson(sql, request, COMMAND_LINE);
    }
  });
}

async function connect(username: string, password: string): Promise<MqttClient> {
  return mqtt.connectAsync(`mqtt://127.0.0.1:${service.mqttPort}`, { username, password });
}

/** @param who a person's id; null for nobody */
async function call(who: string | null, method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${service.httpPort}/v1${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(who === null ? {} : { authorization: `Bearer ${tokens.get(who)}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // As JSON comes; each test says what it expects of it.
  return { status: response.status, body: JSON.parse(await response.text()) as Answer };
}

/** Fields of the answers that are looked into here. */
interface Answer {
  token: string;
  detail: string;
  code: string;
  username: string;
  secret: string;
  report: MeterReport;
  messages: HeardMessage[];
}
