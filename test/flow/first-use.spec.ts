import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ServiceRefusal, ServiceSession } from '../../simulator/http.client.js';
import { freePort } from '../../src/database/postgres-folder.service.js';
import { formatInstant, slotStartOf } from '../../src/units/slot.js';
import { hasProgram } from '../support/require.js';
import {
  buildProgram,
  RunningService,
  runCommand,
  runProgram,
  tempFolder,
  until,
} from './program.js';

/**
 * The way of a newcomer on a machine with nothing but Node: from an empty folder to a first reading of
 * a meter of their own, each step as they take it.
 */

const describeWithMosquitto = hasProgram('mosquitto_pub', ['--help']) ? describe : describe.skip;

const SLOT_MILLIS = 15 * 60_000;
const OWN_PASSWORD = 'a password of my own';

describeWithMosquitto('a first reading', () => {
  let folder: Awaited<ReturnType<typeof tempFolder>>;
  let service: RunningService;
  let where: { httpPort: number; mqttPort: number };
  let operator: ServiceSession;
  let secret: string;

  beforeAll(async () => {
    await buildProgram();
    folder = await tempFolder();
    service = new RunningService(join(folder.path, 'data'), {
      HTTP_PORT: String(await freePort()),
      MQTT_PORT: String(await freePort()),
    });
    where = await service.start();
  }, 120_000);

  afterAll(async () => {
    await service.stop();
    await folder.remove();
  });

  it('begins with an operator, whose one-time password is good for nothing but their own', async () => {
    const made = await runCommand(['operator', 'create-operator', '--user', 'ada', '--json'], {
      DATA_DIR: service.dataDir,
    });
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const { oneTimePassword } = JSON.parse(made.stdout) as { oneTimePassword: string };
    const first = loggedIn('ada', oneTimePassword);
    await expect(first.request('GET', '/v1/operator/microgrids')).rejects.toMatchObject({
      status: 403,
      code: 'password_change_required',
    });
    await first.request('POST', '/v1/people/me/password', {
      currentPassword: oneTimePassword,
      password: OWN_PASSWORD,
    });
    operator = loggedIn('ada', OWN_PASSWORD);
    expect(await operator.request('GET', '/v1/operator/microgrids')).toEqual({
      items: [],
      next: null,
    });
    await expect(loggedIn('ada', oneTimePassword).token()).rejects.toThrow(ServiceRefusal);
  });

  it('a microgrid, and a household with a meter in the running slot', async () => {
    // Nobody can be enrolled in a slot that is over: one that ends now is waited for.
    const leftMillis = SLOT_MILLIS - (Date.now() % SLOT_MILLIS);
    if (leftMillis < 3_000) await sleep(leftMillis);
    const slotStart = formatInstant(slotStartOf(Date.now(), 15));
    const band = { fromMinute: 0, retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 };
    await operator.request('POST', '/v1/operator/microgrids', {
      microgrid: 'elm-street',
      name: 'Elm Street',
      currency: 'EUR',
      startsAt: slotStart,
      tariff: { bands: [band] },
    });
    const enrolled = (await operator.request('POST', '/v1/operator/microgrids/elm-street/members', {
      members: [
        {
          household: 'my-home',
          activeFrom: slotStart,
          meters: [{ meter: 'my-meter', role: 'grid' }],
        },
      ],
    })) as { items: { username: string; kind: string; secret: string }[] };
    expect(enrolled.items.map(({ username, kind }) => `${kind} ${username}`).sort()).toEqual([
      'household my-home',
      'meter my-meter',
    ]);
    secret = enrolled.items.find(({ username }) => username === 'my-meter')!.secret;
    // 128 bits at least, in base64url.
    expect(secret).toMatch(/^[A-Za-z0-9_-]{22,}$/);
  });

  it('is published with mosquitto_pub and seen by the operator', async () => {
    const readAt = formatInstant(Math.floor(Date.now() / 1000) * 1000);
    const sent = await published(JSON.stringify({ readAt, importWh: 12_345.678, exportWh: 0 }));
    expect(sent).toEqual({ code: 0, stdout: '', stderr: '' });
    // It was acknowledged, so that it is there.
    const { items } = (await operator.request(
      'GET',
      '/v1/operator/microgrids/elm-street/meters',
    )) as { items: unknown[] };
    expect(items).toEqual([
      expect.objectContaining({ meter: 'my-meter', household: 'my-home', lastReadAt: readAt }),
    ]);
  });

  it('when it cannot be read shows with its reason', async () => {
    expect((await published('{"readAt":"yesterday","importWh":1,"exportWh":0}')).code).toBe(0);
    const { items } = (await operator.request(
      'GET',
      '/v1/operator/microgrids/elm-street/rejections',
    )) as { items: { detail: string }[] };
    expect(items).toEqual([
      expect.objectContaining({ meter: 'my-meter', reason: 'malformed', count: 1 }),
    ]);
    expect(items[0]!.detail).toMatch(/readAt/);
    const listed = await runCommand(['operator', 'rejections', '--microgrid', 'elm-street'], {
      DATA_DIR: service.dataDir,
    });
    expect(listed.stdout).toMatch(/malformed .*my-meter\/readings {2}1 times/);
  });

  it('is not taken from strangers, nor on topics of others', async () => {
    const stranger = await published('{}', { user: 'nobody' });
    expect(stranger.code).not.toBe(0);
    expect(stranger.stderr).toMatch(/not authori[sz]ed|bad user name/i);
    const guessed = await published('{}', { password: 'a guess' });
    expect(guessed.code).not.toBe(0);
    // The embedded broker ends the connection of whoever writes elsewhere.
    const elsewhere = await published(
      '{"readAt":"2026-06-01T10:00:00Z","importWh":1,"exportWh":0}',
      {
        meter: 'your-meter',
      },
    );
    expect(elsewhere.code).not.toBe(0);
    const { items } = (await operator.request(
      'GET',
      '/v1/operator/microgrids/elm-street/rejections',
    )) as { items: unknown[] };
    expect(items).toHaveLength(1);
  });

  it('ends with a service that stops when it is asked to, and verifies', async () => {
    const verified = await runCommand(['verify', '--json'], { DATA_DIR: service.dataDir });
    expect(JSON.parse(verified.stdout)).toMatchObject({
      ok: true,
      microgrids: [{ microgrid: 'elm-street', readings: 2 }],
    });
    const stopped = await service.stop();
    expect(stopped?.stderr).toBe('');
    await until('the database has stopped', async () => {
      const again = await runProgram('cat', [join(service.dataDir, 'postgres/postmaster.pid')]);
      return again.code !== 0;
    });
  });

  function loggedIn(user: string, password: string): ServiceSession {
    return new ServiceSession(() => `http://127.0.0.1:${where.httpPort}`, { user, password });
  }

  function published(
    payload: string,
    { user = 'my-meter', password = secret, meter = 'my-meter' } = {},
  ) {
    const topic = `microgrids/elm-street/meters/${meter}/readings`;
    const server = ['-h', '127.0.0.1', '-p', String(where.mqttPort), '-u', user, '-P', password];
    return runProgram('mosquitto_pub', [...server, '-q', '1', '-t', topic, '-m', payload]);
  }
});
