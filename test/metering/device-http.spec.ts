import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { DatabaseService } from '../../src/database/database.service.js';
import { NODES, RunningStreet } from './running-street.js';

/**
 * What an operator asks about devices, over HTTP, on a running service with its own broker: Otto
 * operates the street, Olga another one, and Anna lives on his.
 */

const TRIALS = '/operator/microgrids/street/device-trials';
const METER = '/operator/microgrids/street/meters/m1';
const PLUG = { profile: 'zigbee2mqtt', topic: 'zigbee2mqtt/plug' };

let street: RunningStreet;

beforeAll(async () => {
  street = await RunningStreet.open();
}, 120_000);
afterAll(() => street?.stop());

/** @param who a person's id; null for nobody */
const call = (who: string | null, method: string, path: string, body?: unknown) =>
  street.call(who, method, path, body);
const connect = (username: string, secret: string) => street.connect(username, secret);

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
    const kept = await street
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

it('the metrics say how many meters deserve a look, by flag and never by meter', async () => {
  const response = await fetch(`${street.origin}/metrics`);
  const lines = (await response.text())
    .split('\n')
    .filter((line) => line.startsWith('neighborwatt_meter'));
  // None of them has said anything yet.
  const meters = await street.get(DatabaseService).query('SELECT FROM meter');
  expect(lines).toContain(`neighborwatt_meter_flags{flag="dead"} ${meters.length}`);
  expect(lines).toContain('neighborwatt_meter_flags{flag="frozen"} 0');
  expect(lines).toHaveLength(7);
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

describe('a secret', () => {
  const DEVICES = '/operator/microgrids/street/devices';
  const rotated = async (device: string) =>
    (await call('otto', 'POST', `${DEVICES}/${device}/secret`)).body.secret;
  const ended = (client: MqttClient) =>
    new Promise((resolve) => client.once('close', () => resolve(undefined)));

  it('is shown once, and ends with the next one or when it is revoked, connections too', async () => {
    const [first, other] = [await rotated('m2'), await rotated('h2')];
    const [meter, display] = [await connect('m2', first), await connect('h2', other)];
    const cut = Promise.all([ended(meter), ended(display)]);
    const second = await rotated('m2');
    expect((await call('otto', 'DELETE', `${DEVICES}/h2/secret`)).status).toBe(204);
    await expect(connect('m2', first)).rejects.toThrow();
    await expect(connect('h2', other)).rejects.toThrow();
    const late = await connect('m2', second);
    await cut;
    expect(late.connected).toBe(true);
    await late.endAsync();
    for (const path of ['meters', 'meters/m2/profile', 'meters/m2/heard']) {
      const shown = JSON.stringify(
        await call('otto', 'GET', `/operator/microgrids/street/${path}`),
      );
      for (const secret of [first, second, other]) expect(shown).not.toContain(secret);
    }
  });
});

describe('an exchange', () => {
  const EXCHANGES = `${METER}/exchanges`;
  const END = { oldFinalWh: '734512.5', newFirstWh: 0 };
  const exchangedAt = new Date(Date.now() - 60_000).toISOString();

  it('is taken down with both end values, once', async () => {
    const body = { exchangedAt, import: END, export: { oldFinalWh: 7, newFirstWh: '0.25' } };
    const done = await call('otto', 'POST', EXCHANGES, body);
    expect(done).toMatchObject({ status: 201, body: { meter: 'm1', exchangedAt } });
    const rows = await street.get(DatabaseService).query(
      `SELECT register, trim_scale(old_final_wh)::text AS old, trim_scale(new_first_wh)::text AS new
       FROM meter_exchange WHERE meter_id = 'm1' ORDER BY register`,
    );
    expect(rows).toEqual([
      { register: 'export', old: '7', new: '0.25' },
      { register: 'import', old: '734512.5', new: '0' },
    ]);
    expect(await call('otto', 'POST', EXCHANGES, body)).toMatchObject({
      status: 409,
      body: { code: 'exchanged_already' },
    });
    const given = { import: '734600,12.5', export: '8,0' };
    const { document } = await street.command('exchange-meter', {
      microgrid: 'street',
      meter: 'm1',
      at: new Date(Date.now() - 30_000).toISOString(),
      ...given,
    });
    expect(document).toMatchObject({ meter: 'm1' });
  });

  it.each<[string, object, string]>([
    ['no instant', { import: END }, 'exchangedAt'],
    [
      'an instant without a zone',
      { exchangedAt: '2026-06-01T10:00:00', import: END },
      'exchangedAt',
    ],
    ['no register', { exchangedAt }, 'end values of import, export, or both'],
    ['half a register', { exchangedAt, import: { oldFinalWh: 1 } }, 'import.newFirstWh'],
    [
      'a value below zero',
      { exchangedAt, import: { ...END, oldFinalWh: -1 } },
      'import.oldFinalWh',
    ],
    ['words', { exchangedAt, export: { ...END, newFirstWh: 'none' } }, 'export.newFirstWh'],
    ['something more', { exchangedAt, import: END, serial: '7' }, 'serial'],
  ])('is not taken with %s, and the answer names it', async (_, body, named) => {
    const answer = await call('otto', 'POST', EXCHANGES, body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(answer.body.detail).toContain(named);
  });

  it('lies in the correction window, and is an operator’s word about a meter of its own', async () => {
    for (const at of [Date.now() + 3_600_000, Date.now() - 15 * 86_400_000]) {
      const body = { exchangedAt: new Date(at).toISOString(), import: END };
      expect((await call('otto', 'POST', EXCHANGES, body)).body.code).toBe('outside_the_window');
    }
    const body = { exchangedAt, import: END };
    const statuses = await Promise.all(
      [null, 'anna', 'olga'].map(async (who) => (await call(who, 'POST', EXCHANGES, body)).status),
    );
    expect(statuses).toEqual([401, 403, 403]);
    const foreign = EXCHANGES.replace('m1', 'lane-m1');
    expect((await call('otto', 'POST', foreign, body)).status).toBe(404);
  });
});

it('an edge node that speaks for two meters is asked once to be born again', async () => {
  const gateway = await connect('edge', street.secrets.get('edge')!);
  const asked: string[] = [];
  gateway.on('message', (topic) => asked.push(topic));
  await gateway.subscribeAsync(`${NODES}/spBv1.0/elm/NCMD/gw`, { qos: 1 });
  for (const meter of ['m5', 'm6', 'm5']) {
    // seq 7 alone, of a node that nobody has heard to be born.
    await gateway.publishAsync(`${NODES}/spBv1.0/elm/DDATA/gw/${meter}`, Buffer.from([24, 7]), {
      qos: 1,
    });
  }
  await until(() => asked.length > 0);
  await gateway.publishAsync(`${NODES}/spBv1.0/elm/DDATA/gw/m6`, Buffer.from([24, 8]), { qos: 1 });
  expect(asked).toEqual([`${NODES}/spBv1.0/elm/NCMD/gw`]);
  await gateway.endAsync();
});

const AT = { receivedAt: '2026-06-01T08:15:01Z' };
const AT_NOW = () => ({ readAt: new Date().toISOString() });

function said(payload: string, minute: number): object {
  const receivedAt = new Date(Date.parse('2026-06-01T08:00:00Z') + minute * 60_000).toISOString();
  return { payload, receivedAt };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}
