import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { OPERATOR_COMMANDS } from '../../src/operator-commands.js';
import { DeviceService } from '../../src/parties/device.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { BANDS, Street } from './street.js';

/** What operators do: found, enrol, price, invite, rotate, and end at slot borders. */

let street: Street;
let olga: string;
let otto: string;
let folder: string;
beforeAll(async () => {
  street = await Street.open();
  [olga, otto] = await Promise.all([street.logIn('olga'), street.logIn('otto')]);
  folder = await mkdtemp(join(tmpdir(), 'operator-'));
});
afterAll(async () => {
  await street.stop();
  await rm(folder, { recursive: true });
});

const STREET = '/v1/operator/microgrids/street';

describe('a microgrid', () => {
  const founding = {
    microgrid: 'island',
    name: 'Island',
    currency: 'EUR',
    timeZone: 'Europe/Berlin',
    startsAt: '2026-06-01T00:00:00+02:00',
    tariff: { bands: BANDS },
  };

  test('is founded by the operator of the deployment only', async () => {
    const path = '/v1/operator/microgrids';
    const refused = await street.call('POST', path, { token: otto, body: founding });
    expect(refused.status).toBe(403);
    const created = await street.call('POST', path, { token: olga, body: founding });
    expect(created).toMatchObject({
      status: 201,
      body: { microgrid: 'island', slotMinutes: 15, startsAt: '2026-05-31T22:00:00Z' },
    });
    const again = await street.call('POST', path, { token: olga, body: founding });
    expect(again).toMatchObject({ status: 409, body: { code: 'already_taken' } });
    const own = await street.call<{ items: { microgrid: string }[] }>('GET', path, { token: otto });
    expect(own.body.items.map((one) => one.microgrid)).toEqual(['street']);
  });

  test.each([
    ['currency', { currency: 'euro' }, 'currency: must be an ISO 4217 code'],
    ['time zone', { timeZone: 'Berlin' }, 'timeZone: must be an IANA time zone'],
    ['start', { startsAt: '2026-06-01T00:07:00Z' }, 'startsAt: must be a slot border'],
    ['tariff', { tariff: { bands: [{ ...BANDS[0], fromMinute: 60 }] } }, 'begin at minute 0'],
    ['field', { colour: 'red' }, 'colour'],
  ])('with a wrong %s is refused by name', async (_, wrong, detail) => {
    const body = { ...founding, microgrid: 'isle', ...wrong };
    const answer = await street.call('POST', '/v1/operator/microgrids', { token: olga, body });
    expect(answer.status).toBe(400);
    expect(answer.body['detail']).toContain(detail);
  });

  test('gets a later tariff from a coming slot on, never a retroactive one', async () => {
    await street.setClock('2026-06-01T10:05:00Z');
    const path = `${STREET}/tariffs`;
    const bands = [{ ...BANDS[0]!, retailMicroPerKwh: 400_000 }];
    const at = (validFrom: string) =>
      street.call('POST', path, { token: otto, body: { validFrom, bands } });
    expect(await at('2026-06-01T10:00:00Z')).toMatchObject({
      status: 409,
      body: { code: 'tariff_not_possible' },
    });
    expect((await at('2026-06-01T10:20:00Z')).status).toBe(409);
    expect((await at('2026-06-01T10:15:00Z')).status).toBe(201);
    expect(await at('2026-06-01T10:15:00Z')).toMatchObject({ body: { code: 'already_taken' } });
    const parties = street.get(PartiesService);
    const retail = async (slot: string) =>
      (await parties.tariffAt(street.database, 'street', slot)).retailMicroPerKwh;
    expect(await retail('2026-06-01T10:00:00Z')).toBe(300_000);
    expect(await retail('2026-06-01T10:15:00Z')).toBe(400_000);
    const versions = await parties.tariffsBetween(
      street.database,
      'street',
      '2026-06-01T10:00:00Z',
      '2026-06-01T10:30:00Z',
    );
    expect(versions.map((one) => one.validFrom)).toEqual([
      '2026-06-01T00:00:00Z',
      '2026-06-01T10:15:00Z',
    ]);
  });
});

describe('an enrolment', () => {
  const members = [
    {
      household: 'h3',
      alias: 'Blue door',
      gateway: 'gw1',
      meters: [
        { meter: 'h3-grid', role: 'grid' },
        { meter: 'h3-battery', role: 'storage', usableWh: 9_000, gateway: null },
      ],
    },
  ];

  test('gives every device a secret once, and keeps only its hash', async () => {
    const body = { members, gateways: [{ gateway: 'gw1' }] };
    const answer = await street.call<{ items: { username: string; secret: string }[] }>(
      'POST',
      `${STREET}/members`,
      { token: otto, body },
    );
    expect(answer.status).toBe(201);
    const { items } = answer.body;
    expect(items.map((one) => one.username)).toEqual(['gw1', 'h3', 'h3-grid', 'h3-battery']);
    const devices = street.get(DeviceService);
    for (const { username, secret } of items) {
      expect(await devices.authenticate(username, Buffer.from(secret))).toMatchObject({ username });
      expect(await devices.authenticate(username, Buffer.from(`${secret}x`))).toBeNull();
    }
    const hashes = await street.database.query<{ hash: string }>(
      `SELECT secret_hash AS hash FROM mqtt_credential`,
    );
    expect(hashes.every(({ hash }) => hash.startsWith('$7$'))).toBe(true);
  });

  test('is journalled without the alias', async () => {
    const rows = await street.database.query<{ text: string }>(
      `SELECT convert_from(bytes, 'UTF8') AS text FROM record_body WHERE microgrid_id = 'street'`,
    );
    const all = rows.map((row) => row.text).join('\n');
    expect(all).toContain('"cause":"household/h3/enrolled"');
    expect(all).not.toContain('Blue door');
    expect(all).not.toContain('Test anna');
  });

  test('that does not fit is refused as a whole, naming what is wrong', async () => {
    const body = {
      members: [
        { household: 'h4', meters: [{ meter: 'h4-grid', role: 'grid' }] },
        { household: 'anna', meters: [{ meter: 'h3-grid', role: 'grid' }] },
      ],
    };
    const answer = await street.call('POST', `${STREET}/members`, { token: otto, body });
    expect(answer).toMatchObject({ status: 409, body: { code: 'enrolment_refused' } });
    expect(answer.body['detail']).toContain('members.1.household: anna is taken already');
    expect(answer.body['detail']).toContain('members.1.meters.0.meter: h3-grid is taken already');
    expect(await street.get(PartiesService).householdOf(street.database, 'h4')).toBeNull();
  });

  test('is listed by page', async () => {
    type Listing = { items: { household: string; meters: unknown[] }[]; next: string | null };
    const page = await street.call<Listing>('GET', `${STREET}/members?limit=2`, { token: otto });
    expect(page.body.items.map((one) => one.household)).toEqual(['h1', 'h2']);
    const path = `${STREET}/members?limit=2&after=${page.body.next}`;
    const rest = await street.call<Listing>('GET', path, { token: otto });
    expect(rest.body).toMatchObject({ items: [{ household: 'h3' }], next: null });
    expect(rest.body.items[0]!.meters).toHaveLength(2);
  });

  test('of a thousand households takes a handful of statements', async () => {
    const many = Array.from({ length: 1_000 }, (_, index) => ({
      household: `many-${index}`,
      meters: [{ meter: `many-${index}-m`, role: 'grid' as const }],
    }));
    let statements = 0;
    const issued = await street.database.transaction((sql) =>
      street.get(PartiesService).enrolMembers(
        {
          query: (text, parameters) => {
            statements += 1;
            return sql.query(text, parameters);
          },
          copyIn: (copies) => {
            statements += copies.length;
            return sql.copyIn(copies);
          },
        },
        'other',
        { members: many },
        'test',
      ),
    );
    expect(issued).toHaveLength(2_000);
    expect(statements).toBeLessThan(30);
  });
});

describe('people of a microgrid', () => {
  test('are granted only what the grantor covers', async () => {
    const grantTo = (person: string, grant: unknown) =>
      street.call('POST', '/v1/operator/people', {
        token: otto,
        body: { person, name: person, password: 'a long password', grants: [grant] },
      });
    expect((await grantTo('p1', { role: 'operator' })).status).toBe(403);
    expect((await grantTo('p1', { role: 'simulator' })).status).toBe(403);
    expect((await grantTo('p1', { role: 'operator', microgrid: 'other' })).status).toBe(403);
    const foreign = { role: 'household', microgrid: 'street', household: 'x1' };
    expect((await grantTo('p1', foreign)).status).toBe(409);
    expect((await grantTo('p1', { role: 'household', microgrid: 'street' })).status).toBe(400);
    expect((await grantTo('p1', { role: 'regulator', microgrid: 'street' })).status).toBe(201);
    type Listing = { items: { person: string; role: string }[] };
    const listed = await street.call<Listing>('GET', `${STREET}/people`, { token: otto });
    expect(listed.body.items).toContainEqual(
      expect.objectContaining({ person: 'p1', role: 'regulator' }),
    );
  });

  test('lose their access when they are disabled', async () => {
    const token = await street.logIn('p1', 'a long password');
    const path = '/v1/operator/people/p1';
    expect((await street.call('DELETE', path, { token: otto })).status).toBe(204);
    expect((await street.call('GET', '/v1/sessions/current', { token })).status).toBe(401);
    expect((await street.call('DELETE', path, { token: otto })).status).toBe(404);
  });
});

describe('a device', () => {
  test('gets a new secret; the old one no longer opens', async () => {
    const devices = street.get(DeviceService);
    const rotate = () =>
      street.call<{ secret: string }>('POST', `${STREET}/devices/h2-grid/secret`, { token: otto });
    const old = (await rotate()).body.secret;
    expect(await devices.authenticate('h2-grid', Buffer.from(old))).not.toBeNull();
    const { secret } = (await rotate()).body;
    expect(await devices.authenticate('h2-grid', Buffer.from(old))).toBeNull();
    const principal = await devices.authenticate('h2-grid', Buffer.from(secret));
    const topic = 'microgrids/street/meters/h2-grid/readings';
    expect(await devices.mayPublish(principal!, topic)).toBe(true);
    const path = `${STREET}/devices/h2-grid/secret`;
    expect((await street.call('DELETE', path, { token: otto })).status).toBe(204);
    expect(await devices.authenticate('h2-grid', Buffer.from(secret))).toBeNull();
    const foreign = `${STREET}/devices/x1-grid/secret`;
    expect((await street.call('POST', foreign, { token: otto })).status).toBe(404);
  });

  test('a gateway publishes for its own meters only', async () => {
    const devices = street.get(DeviceService);
    const rotated = await street.call<{ secret: string }>('POST', `${STREET}/devices/gw1/secret`, {
      token: otto,
    });
    const gateway = await devices.authenticate('gw1', Buffer.from(rotated.body.secret));
    const may = (meter: string) =>
      devices.mayPublish(gateway!, `microgrids/street/meters/${meter}/readings`);
    expect(await may('h3-grid')).toBe(true);
    expect(await may('h1-grid')).toBe(false);
    expect(await may('h3-late')).toBe(false);
    const meters = [{ meter: 'h3-late', role: 'generation' as const, gateway: 'gw1' }];
    const body = { members: [{ household: 'h3', meters }] };
    await street.call('POST', `${STREET}/members`, { token: otto, body });
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await may('h3-late')).toBe(true);
  });
});

describe('a move-out', () => {
  test('ends the household, its people and its devices at a slot border, and no earlier', async () => {
    await street.setClock('2026-06-01T12:00:00Z');
    const path = `${STREET}/households/h1/move-out`;
    const moveOut = (at: string) => street.call('POST', path, { token: otto, body: { at } });
    expect(await moveOut('2026-06-01T12:10:00Z')).toMatchObject({ status: 409 });
    expect(await moveOut('2026-06-01T11:45:00Z')).toMatchObject({ status: 409 });
    const answer = await moveOut('2026-06-01T12:30:00Z');
    expect(answer).toMatchObject({ status: 200, body: { meters: ['h1-grid'] } });
    expect((await moveOut('2026-06-01T12:45:00Z')).status).toBe(409);

    const token = await street.logIn('anna');
    const parties = street.get(PartiesService);
    const active = async (slot: string) => {
      const { households, meters } = await parties.members(street.database, 'street', slot);
      return [...households.map((one) => one.householdId), ...meters.map((one) => one.meterId)];
    };
    expect(await active('2026-06-01T12:15:00Z')).toEqual(expect.arrayContaining(['h1', 'h1-grid']));
    expect(await active('2026-06-01T12:30:00Z')).not.toEqual(expect.arrayContaining(['h1']));
    expect(await active('2026-06-01T12:30:00Z')).not.toEqual(expect.arrayContaining(['h1-grid']));

    await street.setClock('2026-06-01T12:29:59.999Z');
    expect((await street.call('GET', '/v1/households/h1', { token })).status).toBe(200);
    await street.setClock('2026-06-01T12:30:00Z');
    expect((await street.call('GET', '/v1/households/h1', { token })).status).toBe(403);
    const rotate = await street.call('POST', `${STREET}/devices/h1-grid/secret`, { token: otto });
    expect(rotate).toMatchObject({ status: 409, body: { code: 'moved_out' } });
  });

  test('leaves nothing to who moves in: a new household, from a slot border on', async () => {
    const body = {
      household: 'h1b',
      activeFrom: '2026-06-01T12:45:00Z',
      meters: [{ meter: 'h1b-grid', role: 'grid' }],
    };
    type MovedIn = { items: unknown[]; invitation: { token: string; validFrom: string } };
    const answer = await street.call<MovedIn>('POST', `${STREET}/move-ins`, { token: otto, body });
    expect(answer.status).toBe(201);
    expect(answer.body.items).toHaveLength(2);
    expect(answer.body.invitation.validFrom).toBe('2026-06-01T12:45:00Z');
    const accepted = await street.call('POST', '/v1/invitations/accept', {
      body: {
        token: answer.body.invitation.token,
        user: 'nina',
        name: 'Nina',
        password: 'a new place to live',
      },
    });
    expect(accepted).toMatchObject({ status: 201, body: { household: 'h1b' } });
    const token = await street.logIn('nina', 'a new place to live');
    await street.setClock('2026-06-01T12:45:00Z');
    expect((await street.call('GET', '/v1/households/h1b', { token })).status).toBe(200);
    expect((await street.call('GET', '/v1/households/h1', { token })).status).toBe(403);
  });

  test('a further tenant of the same household sees it only since the last one left', async () => {
    const people = '/v1/operator/people';
    const grant = { role: 'household', microgrid: 'street', household: 'h2' };
    const person = (name: string) => ({ person: name, name, password: 'a long password' });
    const first = { ...person('paul'), grants: [grant] };
    expect((await street.call('POST', people, { token: otto, body: first })).status).toBe(201);
    const end = { ...grant, until: '2026-06-01T13:00:00Z' };
    const ended = await street.call('POST', `${people}/paul/grants/end`, {
      token: otto,
      body: end,
    });
    expect(ended.status).toBe(204);

    const early = { ...person('quinn'), grants: [{ ...grant, validFrom: '2026-06-01T12:00:00Z' }] };
    const refused = await street.call('POST', people, { token: otto, body: early });
    expect(refused).toMatchObject({ status: 409, body: { code: 'cannot_be_granted' } });
    const next = { ...person('quinn'), grants: [grant] };
    expect((await street.call('POST', people, { token: otto, body: next })).status).toBe(201);
    const token = await street.logIn('quinn', 'a long password');
    type Current = { grants: { validFrom: string }[] };
    const current = await street.call<Current>('GET', '/v1/sessions/current', { token });
    expect(current.body.grants[0]!.validFrom).toBe('2026-06-01T13:00:00Z');
  });
});

describe('the command line', () => {
  test('imports a file as a whole or names every line that is wrong', async () => {
    const file = join(folder, 'members.csv');
    const secrets = join(folder, 'secrets.json');
    await writeFile(file, 'household,meter,role\nc1,c1-m,grid\nc2,h2-grid,grid\n');
    const refused = await street.command('import', { microgrid: 'street' }, [file]);
    expect(refused.failed).toBe(true);
    expect(refused.text).toContain('line 3, meter: h2-grid is taken already');

    await writeFile(file, 'household,meter,role\nc1,c1-m,grid\nc2,c2-m,grid\n');
    const dry = await street.command('import', { microgrid: 'street', 'dry-run': true }, [file]);
    expect(dry.document).toMatchObject({ imported: false, households: 2, meters: 2 });
    const done = await street.command('import', { microgrid: 'street', secrets }, [file]);
    expect(done.document).toMatchObject({ imported: true, secrets });
    expect((await stat(secrets)).mode & 0o777).toBe(0o600);
    const { items } = JSON.parse(await readFile(secrets, 'utf8')) as { items: unknown[] };
    expect(items).toHaveLength(4);
  });

  test('keeps nothing when the secrets cannot be written', async () => {
    const file = join(folder, 'more.csv');
    await writeFile(file, 'household,meter,role\nd1,d1-m,grid\n');
    const secrets = join(folder, 'no/such/folder');
    const lost = street.command('import', { microgrid: 'street', secrets }, [file]);
    await expect(lost).rejects.toThrow('ENOENT');
    expect(await street.get(PartiesService).householdOf(street.database, 'd1')).toBeNull();
  });

  test('writes what a stock Mosquitto needs', async () => {
    await street.command('mosquitto', { out: folder, service: 'neighborwatt' });
    const acl = await readFile(join(folder, 'acl'), 'utf8');
    expect(acl).toContain('pattern write microgrids/+/meters/%u/#\n');
    expect(acl).toContain('pattern read microgrids/+/households/%u/settlements\n');
    expect(acl).toContain('user gw1\ntopic write microgrids/street/meters/h3-grid/#\n');
    expect(acl).toContain('user neighborwatt\ntopic readwrite microgrids/#\n');
    const passwords = await readFile(join(folder, 'passwords'), 'utf8');
    expect(passwords).toMatch(/^h3-grid:\$7\$101\$/m);
    // Its access was revoked above.
    expect(passwords).not.toMatch(/^h2-grid:/m);
  });

  test('every command says what it is for', () => {
    for (const command of Object.values(OPERATOR_COMMANDS)) {
      expect(command.summary).not.toBe('');
      for (const option of command.required) expect(command.options).toHaveProperty(option);
    }
  });
});
