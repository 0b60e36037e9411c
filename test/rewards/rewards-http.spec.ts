import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { DatabaseService } from '../../src/database/database.service.js';
import type { Grant } from '../../src/parties/access.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { AwardService } from '../../src/rewards/award.service.js';
import { EfficiencyController } from '../../src/rewards/efficiency.controller.js';
import { EfficiencyService } from '../../src/rewards/efficiency.service.js';
import { HouseholdProgramController } from '../../src/rewards/household-program.controller.js';
import { ProgramController } from '../../src/rewards/program.controller.js';
import { RewardsService } from '../../src/rewards/rewards.service.js';
import { closeThrough, householdId, MICROGRID, openStreet, settle, type Street } from './street.js';

let street: Street;
let app: INestApplication;
let base: string;

beforeAll(async () => {
  street = await openStreet(16, '2026-05-01T10:00:00Z');
  // The token is a role or a household's id, padded; everything behind it is real.
  const parties = Object.assign(Object.create(street.parties) as PartiesService, {
    callerOf: (token: string) => Promise.resolve(callerOf(token.replaceAll('-', ''))),
  });
  @Module({
    controllers: [ProgramController, HouseholdProgramController, EfficiencyController],
    providers: [
      { provide: DatabaseService, useValue: street.database },
      { provide: PartiesService, useValue: parties },
      { provide: MarketClockService, useValue: street.clock },
      { provide: RewardsService, useValue: street.rewards },
      { provide: AwardService, useValue: street.awards },
      { provide: EfficiencyService, useValue: street.efficiency },
      { provide: APP_GUARD, useClass: AccessGuard },
      { provide: APP_FILTER, useClass: ProblemFilter },
    ],
  })
  class RewardsOverHttp {}
  app = await NestFactory.create(RewardsOverHttp, { logger: false });
  await app.listen(0, '127.0.0.1');
  base = `${await app.getUrl()}/v1`;
});

afterAll(async () => {
  await app.close();
  await street.drop();
});

const PROGRAMS = `/regulator/microgrids/${MICROGRID}/programs`;
const PROGRAM = {
  program: 'sun-shared',
  name: 'Sun shared',
  rateMicroPerKwh: 50_000,
  fundMicro: 600_000,
};
const MAY = { from: '2026-05-01T00:00:00Z', to: '2026-06-01T00:00:00Z' };
const EFFICIENCY = `/regulator/efficiency?microgrid=${MICROGRID}`;

describe('a program over HTTP, from its founding to its awards', () => {
  test('only a regulator founds it, and only its own people speak for a household', async () => {
    expect(
      await codes(['h01', 'POST', PROGRAMS, PROGRAM], ['operator', 'POST', PROGRAMS, PROGRAM]),
    ).toEqual([
      [403, 'forbidden'],
      [403, 'forbidden'],
    ]);
    expect(await call('regulator', 'POST', PROGRAMS, PROGRAM)).toMatchObject({
      status: 201,
      body: { ...PROGRAM, indicator: 'neighbor-claimed', currency: 'EUR' },
    });
    const joining = { program: 'sun-shared', consent: true };
    expect(
      await codes(
        ['h02', 'POST', '/households/h01/programs', joining],
        ['regulator', 'POST', '/households/h01/programs', joining],
        ['h01', 'POST', '/households/h01/programs', { program: 'sun-shared' }],
        ['h01', 'POST', '/households/h01/programs', { ...joining, consent: false }],
        ['h01', 'POST', '/households/h01/programs', { ...joining, program: 'nothing' }],
        ['h01', 'DELETE', '/households/h01/programs/sun-shared'],
      ),
    ).toEqual([
      [403, 'forbidden'],
      [403, 'forbidden'],
      [400, 'invalid_request'],
      [400, 'invalid_request'],
      [404, 'unknown_program'],
      [409, 'not_a_member'],
    ]);
    for (const household of ['h01', 'h02', 'h03']) {
      expect(
        await call(household, 'POST', `/households/${household}/programs`, joining),
      ).toMatchObject({
        status: 201,
        body: { household, joinedFrom: '2026-05-01T10:15:00Z', leftAt: null },
      });
    }
    expect(await call('h01', 'GET', '/households/h01/programs')).toMatchObject({
      body: { items: [{ program: 'sun-shared', joinedFrom: '2026-05-01T10:15:00Z' }], next: null },
    });
  });

  test('is run once what it is about is closed and covered', async () => {
    const run = `${PROGRAMS}/sun-shared/runs`;
    await settle(
      street,
      Array.from({ length: 16 }, (_, at) => ({
        slot: '2026-05-02T12:00:00Z',
        household: householdId(at + 1),
        producedWh: 5_000,
        usedWh: 10_000,
        selfWh: 4_000,
        fromNeighborsWh: 6_000 - at,
      })),
    );
    expect(await codes(['regulator', 'POST', run, MAY])).toEqual([[409, 'not_closed_yet']]);
    await closeThrough(street, MAY.to);
    expect(
      await codes(
        ['regulator', 'POST', run, { ...MAY, to: '2026-05-31T23:50:00Z' }],
        ['regulator', 'POST', run, { from: 'May' }],
        ['regulator', 'POST', run, MAY],
        ['h01', 'POST', run, MAY],
        ['regulator', 'POST', `${PROGRAMS}/nothing/runs`, MAY],
      ),
    ).toEqual([
      [422, 'not_whole_slots'],
      [400, 'invalid_request'],
      [409, 'fund_does_not_cover'],
      [403, 'forbidden'],
      [404, 'unknown_program'],
    ]);
    const funding = { reference: 'more', amountMicro: 400_000 };
    expect(
      await call('regulator', 'POST', `${PROGRAMS}/sun-shared/fundings`, funding),
    ).toMatchObject({
      status: 201,
      body: { fundMicro: 1_000_000 },
    });
    expect(await call('regulator', 'POST', run, MAY)).toMatchObject({
      status: 201,
      body: { program: 'sun-shared', households: 3, awardedMicro: 899_850, currency: 'EUR' },
    });
    expect(await codes(['regulator', 'POST', run, MAY])).toEqual([[409, 'overlaps_earlier_run']]);
    expect(await call('regulator', 'GET', run)).toMatchObject({
      body: {
        items: [{ periodFrom: MAY.from, periodTo: MAY.to, awardedMicro: 899_850 }],
        next: null,
      },
    });
  });

  test('shows the regulator pseudonyms, page by page, and nobody else', async () => {
    const path = `${PROGRAMS}/sun-shared/awards`;
    expect(await codes(['h01', 'GET', path], ['operator', 'GET', path])).toEqual([
      [403, 'forbidden'],
      [403, 'forbidden'],
    ]);
    const pseudonyms: unknown[] = [];
    let next: unknown = '';
    while (next !== null) {
      const { body } = await call('regulator', 'GET', `${path}?limit=2&after=${String(next)}`);
      expect(JSON.stringify(body)).not.toMatch(/h0\d|household/);
      pseudonyms.push(...(body['items'] as { pseudonym: string }[]).map((one) => one.pseudonym));
      next = body['next'];
    }
    expect(pseudonyms).toHaveLength(3);
    expect(new Set(pseudonyms).size).toBe(3);
    expect(await call('h01', 'GET', '/households/h01/awards')).toMatchObject({
      body: { items: [{ program: 'sun-shared', claimedWh: 6_000, amountMicro: 300_000 }] },
    });
    expect(await codes(['h02', 'GET', '/households/h01/awards'])).toEqual([[403, 'forbidden']]);
  });
});

describe('efficiency over HTTP', () => {
  test('answers 16 households in May, refuses the rest, and logs all of it', async () => {
    const asked = await call('regulator', 'GET', `${EFFICIENCY}&from=2026-05&to=2026-05`);
    expect(asked).toMatchObject({
      status: 200,
      body: {
        microgrid: MICROGRID,
        items: [{ month: '2026-05', households: 16, selfConsumptionBasisPoints: 8_000 }],
        next: null,
      },
    });
    expect(
      await codes(
        ['regulator', 'GET', `${EFFICIENCY}&from=2026-04&to=2026-05`],
        ['regulator', 'GET', `${EFFICIENCY}&from=2026-05&to=2026-06`],
        ['regulator', 'GET', `${EFFICIENCY}&from=2026-06&to=2026-05`],
        ['regulator', 'GET', `${EFFICIENCY}&from=2026-05-01&to=2026-05`],
        ['regulator', 'GET', '/regulator/efficiency?microgrid=elsewhere&from=2026-05&to=2026-05'],
        ['h01', 'GET', `${EFFICIENCY}&from=2026-05&to=2026-05`],
        ['operator', 'GET', `${EFFICIENCY}&from=2026-05&to=2026-05`],
      ),
    ).toEqual([
      [403, 'too_few_households'],
      [409, 'month_not_closed'],
      [422, 'no_such_months'],
      [400, 'invalid_request'],
      [404, 'unknown_microgrid'],
      [403, 'forbidden'],
      [403, 'forbidden'],
    ]);
    const log = await call('h09', 'GET', '/households/h09/access-log?limit=4');
    expect(log).toMatchObject({
      body: {
        items: [
          { by: 'regulator', outcome: 'no_such_months', concerned: false },
          { outcome: 'month_not_closed', concerned: false },
          { outcome: 'too_few_households', concerned: false },
          { outcome: 'answered', concerned: true, question: { what: 'efficiency' } },
        ],
      },
    });
    const rest = await call(
      'h09',
      'GET',
      `/households/h09/access-log?after=${String(log.body['next'])}`,
    );
    expect(
      (rest.body['items'] as { question: unknown }[]).map(({ question }) => question),
    ).toContainEqual({
      what: 'awards',
      program: 'sun-shared',
      periodFrom: null,
    });
    expect(
      await codes(
        ['h01', 'GET', '/households/h09/access-log'],
        ['h01', 'GET', `/microgrids/${MICROGRID}/access-log`],
      ),
    ).toEqual([
      [403, 'forbidden'],
      [200, undefined],
    ]);
  });
});

function callerOf(name: string) {
  const grant = (role: Grant['role'], household: string | null): Grant => ({
    role,
    microgridId: household === null ? null : MICROGRID,
    householdId: household,
    validFrom: '2026-05-01T00:00:00Z',
    validUntil: null,
  });
  const grants =
    name === 'regulator' || name === 'operator' ? [grant(name, null)] : [grant('household', name)];
  const expiresAt = '2030-01-01T00:00:00Z';
  const personId = name === 'regulator' ? name : 'tenant';
  return { personId, sessionId: name, expiresAt, grants, mustChangePassword: false };
}

async function call(who: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${who.padEnd(20, '-')}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function codes(...calls: [who: string, method: string, path: string, body?: unknown][]) {
  const answers: [number, unknown][] = [];
  for (const [who, method, path, body] of calls) {
    const answer = await call(who, method, path, body);
    answers.push([answer.status, answer.body['code']]);
  }
  return answers;
}
