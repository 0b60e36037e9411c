import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { DatabaseService } from '../../src/database/database.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import { openedValues } from '../../src/ledger/opening.js';
import { OpeningService } from '../../src/ledger/opening.service.js';
import type { Grant } from '../../src/parties/access.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { COMMAND_LINE } from '../../src/parties/people.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { AuditController } from '../../src/rewards/audit.controller.js';
import { checkManifests, MANIFEST_LIST } from '../../src/settlement/manifest-check.js';
import { ManifestController } from '../../src/settlement/manifest.controller.js';
import { ManifestService, type ManifestList } from '../../src/settlement/manifest.service.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import { Meters } from '../verify/meters.js';
import { openRooms, type Rooms } from '../verify/rooms.js';

/** Manifests of a court of sixteen and of a yard of three, over midnight, as they are handed out. */

const at = (day: number, hour: number) => `2026-06-0${day}T${String(hour).padStart(2, '0')}:00:00Z`;

const HOURS = [at(1, 23), at(2, 0), at(2, 1)];

let rooms: Rooms;
let app: INestApplication;
let base = '';

beforeAll(async () => {
  rooms = await openRooms();
  const streets = [await found('court', 16), await found('yard', 3)];
  for (const hour of HOURS) {
    await rooms.clock.advance(rooms.database, hour);
    for (const { meters, ids } of streets) {
      ids.forEach((id, index) =>
        meters.flow(`${id}-grid`, (index % 2) * 100, 100 - (index % 2) * 100),
      );
      for (const id of ids) await meters.read(`${id}-grid`, hour, 40);
    }
    await rooms.slots.advance(hour);
  }
  await rooms.database.transaction((sql) =>
    rooms.people.createPerson(
      sql,
      { person: 'auditor', name: 'Audrey', grants: [{ role: 'auditor', microgrid: 'court' }] },
      COMMAND_LINE,
    ),
  );
  // The token says who it is, padded; everything behind it is real.
  const parties = Object.assign(Object.create(rooms.parties) as PartiesService, {
    callerOf: (token: string) => Promise.resolve(callerOf(token.replaceAll('_', ''))),
  });
  @Module({
    controllers: [ManifestController, AuditController],
    providers: [
      { provide: DatabaseService, useValue: rooms.database },
      { provide: PartiesService, useValue: parties },
      { provide: MarketClockService, useValue: rooms.clock },
      { provide: LogService, useValue: rooms.log },
      OpeningService,
      ManifestService,
      { provide: APP_GUARD, useClass: AccessGuard },
      { provide: APP_FILTER, useClass: ProblemFilter },
    ],
  })
  class ManifestsOverHttp {}
  app = await NestFactory.create(ManifestsOverHttp, { logger: false });
  await app.listen(0, '127.0.0.1');
  base = await app.getUrl();
}, 60_000);

afterAll(async () => {
  await app?.close();
  await rooms?.close();
});

describe('everyone', () => {
  // Eight of the sixteen use nothing: their CONSUMPTION is of too few, PRODUCTION moves through all.
  test('sees the tokens of a large microgrid by day, and can check them', async () => {
    const { status, body } = await get('/log/court/manifests', null);
    expect(status).toBe(200);
    const list = MANIFEST_LIST.parse(body);
    const checked = checkManifests(list, rooms.log.policy('court'));
    expect(checked).toMatchObject({
      good: true,
      value: [
        { token: 'PRODUCTION', from: at(1, 22), to: at(2, 0), since: 0, minted: 1600, after: 0 },
      ],
    });
    const values = list.records.flatMap(({ leaves }) => [...openedValues(leaves).keys()]);
    expect(values).toEqual([
      'at',
      'facts.opened',
      'facts.window.PRODUCTION',
      'kind',
      'microgrid',
      'sequence',
      'v',
    ]);
  });

  test('sees nothing of a small one', async () => {
    const { body } = await get('/log/yard/manifests', null);
    expect(body).toMatchObject({ records: [], next: null });
  });

  test.each([
    ['/log/nowhere/manifests', 404],
    ['/log/court/manifests?limit=0', 400],
    ['/log/court/manifests?after=-1', 400],
  ])('%s is answered %d', async (path, status) => {
    expect((await get(path, null)).status).toBe(status);
  });
});

describe('a regulator’s auditor', () => {
  test('sees money too, and the small microgrid, by day and by slot; the log tells of it', async () => {
    for (const microgrid of ['court', 'yard']) {
      const days = await audit(microgrid);
      const [day] = days.map(({ leaves }) => openedValues(leaves));
      expect(day!.get('facts.supply.EUR')).toEqual({
        before: 0,
        minted: 5_000_000,
        retired: 0,
        after: 5_000_000,
      });
      const slots = await audit(microgrid, '&kind=slot-closed');
      const supplies = slots.map(({ leaves }) => openedValues(leaves).get('facts.supply.EUR'));
      expect(supplies).toHaveLength(3);
      expect(supplies[1]).toMatchObject({ before: 5_000_000, after: 5_000_000 });
    }
    const logged = await rooms.database.query<{ by: string; outcome: string }>(
      `SELECT person_id AS by, outcome FROM regulator_query WHERE question->>'what' = 'manifests'`,
    );
    expect(logged).toHaveLength(4);
    expect(logged[0]).toEqual({ by: 'auditor', outcome: 'answered' });
  });

  test('goes through them page by page', async () => {
    const path = '/v1/regulator/manifests?microgrid=court&kind=slot-closed&limit=2';
    const first = (await get(path, 'auditor')).body as ManifestList;
    expect(first.records).toHaveLength(2);
    const rest = (await get(`${path}&after=${first.next}`, 'auditor')).body as ManifestList;
    expect(rest.records).toHaveLength(1);
    expect(rest.next).toBeNull();
  });

  test.each([
    ['regulator', 403],
    ['household', 403],
    ['elsewhere', 403],
    ['operator', 200],
    [null, 401],
  ])('%s gets %d', async (who, status) => {
    expect((await get('/v1/regulator/manifests?microgrid=court', who)).status).toBe(status);
  });
});

test('verify makes every manifest again', async () => {
  const service = new VerifyService(rooms.database);
  for (const microgrid of ['court', 'yard']) {
    expect((await service.verify(microgrid, rooms.log)).findings).toEqual([]);
  }
});

/** Households of which every other one will give 100 Wh an hour to the next. */
async function found(microgrid: string, households: number) {
  const { database, parties, settlement } = rooms;
  const ids = Array.from({ length: households }, (_, index) => `${microgrid}-${index}`);
  await database.transaction(async (sql) => {
    await parties.createMicrogrid(
      sql,
      {
        microgrid,
        name: microgrid,
        currency: 'EUR',
        slotMinutes: 60,
        startsAt: at(1, 22),
        tariff: {
          bands: [
            {
              fromMinute: 0,
              retailMicroPerKwh: 300_000,
              feedInMicroPerKwh: 50_000,
              gridFeeMicroPerKwh: 0,
            },
          ],
        },
      },
      'otto',
    );
    const members = ids.map((household) => ({
      household,
      creditLimitMicro: 1_000_000,
      meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
    }));
    await parties.enrolMembers(sql, microgrid, { members }, 'otto');
  });
  const request = { direction: 'deposit' as const, amountMicro: 5_000_000, reference: 'opening' };
  const first = (await parties.householdOf(database, ids[0]!))!;
  await settlement.deposit(await rooms.microgrid(microgrid), first, request);
  const meters = new Meters(rooms, microgrid);
  for (const id of ids) await meters.read(`${id}-grid`, at(1, 22));
  return { meters, ids };
}

async function audit(microgrid: string, query = '') {
  const who = microgrid === 'court' ? 'auditor' : 'yardauditor';
  const path = `/v1/regulator/manifests?microgrid=${microgrid}${query}`;
  return ((await get(path, who)).body as ManifestList).records;
}

async function get(path: string, who: string | null) {
  const headers = who === null ? {} : { authorization: `Bearer ${who.padEnd(24, '_')}` };
  const response = await fetch(`${base}${path}`, { headers });
  return { status: response.status, body: await response.json() };
}

function callerOf(who: string) {
  const grant = (role: Grant['role'], microgridId: string, householdId?: string): Grant => ({
    role,
    microgridId,
    householdId: householdId ?? null,
    validFrom: at(1, 22),
    validUntil: null,
  });
  const grants: Record<string, Grant> = {
    auditor: grant('auditor', 'court'),
    yardauditor: grant('auditor', 'yard'),
    elsewhere: grant('auditor', 'yard'),
    operator: grant('operator', 'court'),
    regulator: grant('regulator', 'court'),
    household: grant('household', 'court', 'court-1'),
  };
  return {
    // Who asked is somebody that the database knows.
    personId: 'auditor',
    sessionId: 'session',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [grants[who]!],
  };
}
