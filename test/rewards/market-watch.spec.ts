import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Module, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, NestFactory } from '@nestjs/core';
import { DatabaseService } from '../../src/database/database.service.js';
import { tradeId } from '../../src/market/trade.js';
import type { Grant } from '../../src/parties/access.js';
import { AccessGuard } from '../../src/parties/access.guard.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { ProblemFilter } from '../../src/parties/problem.filter.js';
import { RegulatorAlarmController } from '../../src/rewards/alarm.controller.js';
import { AlarmService } from '../../src/rewards/alarm.service.js';
import { AlarmController } from '../../src/settlement/alarm.controller.js';
import { MarketWatchService } from '../../src/settlement/market-watch.service.js';
import { formatInstant } from '../../src/units/slot.js';
import { closeThrough, householdId, MICROGRID, openStreet, settle, type Street } from './street.js';

/** What is planted in the trades and limits of a street, and who is told of it. */

const HOUR = 3_600_000;
const instantOf = (day: number, hour: number) =>
  formatInstant(Date.UTC(2026, 4, day) + hour * HOUR);

let street: Street;
afterAll(() => street.drop());

/** What `seller` sold `buyer` in each of these hours of a day. */
async function trade(
  day: number,
  hours: number[],
  seller: string,
  buyer: string,
  energyWh = 1_000,
) {
  const { database } = street;
  for (const hour of hours) {
    const slot = instantOf(day, hour);
    const [known] = await database.query<{ trades: number }>(
      `SELECT count(*)::integer AS trades FROM trade WHERE slot_start = $1`,
      [slot],
    );
    await database.query(
      `INSERT INTO traded_slot (microgrid_id, slot_start) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
      [MICROGRID, slot],
    );
    const number = known!.trades + 1;
    await database.query(
      `INSERT INTO trade (microgrid_id, slot_start, number, trade_id, buyer_id, seller_id, energy_wh,
         buyer_price_micro_per_kwh, seller_price_micro_per_kwh, firm, sequence)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 90000, 90000, false, 1)`,
      [MICROGRID, slot, number, tradeId(MICROGRID, slot, 0, number), buyer, seller, energyWh],
    );
  }
}

const operator: Grant = {
  role: 'operator',
  microgridId: MICROGRID,
  householdId: null,
  validFrom: '2026-05-01T00:00:00Z',
  validUntil: null,
};

describe('a street of 16 in May', () => {
  let app: INestApplication;
  let base: string;

  beforeAll(async () => {
    street = await openStreet(16, '2026-06-02T00:00:00Z');
    await street.database.query(
      `INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
         feed_in_micro_per_kwh) VALUES ($1, '2026-05-01T00:00:00Z', 0, 300000, 50000)`,
      [MICROGRID],
    );
    const ids = Array.from({ length: 16 }, (_, at) => householdId(at + 1));
    await settle(
      street,
      [3, 21].flatMap((day) =>
        ids.map((household) => ({ slot: instantOf(day, 1), household, usedWh: 500 })),
      ),
    );
    // A crowd in which everybody trades with everybody, every day.
    for (const [index, seller] of ids.slice(4, 8).entries()) {
      for (const [other, buyer] of ids.slice(8, 12).entries()) {
        await trade(3, [index + other, 10 + index + other], seller, buyer);
      }
    }
    // h01 and h02 pass energy to and fro.
    await trade(3, [1, 2, 3, 4, 5], 'h01', 'h02');
    await trade(4, [11, 12, 13, 14, 15], 'h02', 'h01', 900);
    const parties = Object.assign(Object.create(street.parties) as PartiesService, {
      callerOf: (token: string) => Promise.resolve(callerOf(token.replaceAll('-', ''))),
    });
    @Module({
      controllers: [AlarmController, RegulatorAlarmController],
      providers: [
        { provide: DatabaseService, useValue: street.database },
        { provide: PartiesService, useValue: parties },
        { provide: MarketClockService, useValue: street.clock },
        { provide: MarketWatchService, useValue: street.watch },
        { provide: AlarmService, useValue: street.alarms },
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_FILTER, useClass: ProblemFilter },
      ],
    })
    class WatchOverHttp {}
    app = await NestFactory.create(WatchOverHttp, { logger: false });
    await app.listen(0, '127.0.0.1');
    base = `${await app.getUrl()}/v1`;
  });
  afterAll(() => app.close());

  function callerOf(role: string) {
    const grants: Grant[] =
      role === 'household'
        ? [{ ...operator, role: 'household', householdId: 'h01' }]
        : [{ ...operator, role: role as Grant['role'] }];
    const expiresAt = '2099-01-01T00:00:00Z';
    return { personId: 'regina', sessionId: 's', expiresAt, mustChangePassword: false, grants };
  }

  async function get(role: string, path: string) {
    const headers = { authorization: `Bearer ${role.padEnd(20, '-')}` };
    const response = await fetch(`${base}${path}`, { headers });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  const lookBack = async () =>
    street.watch.lookBack((await street.parties.microgrid(street.database, MICROGRID))!);
  const alarms = () => street.watch.alarms(MICROGRID, 50, null);

  test('a day is looked at when it has closed, and once', async () => {
    await closeThrough(street, instantOf(4, 23));
    await lookBack();
    expect(await alarms()).toEqual([]);
    await closeThrough(street, instantOf(5, 0));
    await Promise.all([lookBack(), lookBack()]);
    await lookBack();
    const [alarm, ...others] = await alarms();
    expect(others).toEqual([]);
    expect(alarm).toMatchObject({
      kind: 'wash-trades',
      severity: 'serious',
      from: '2026-04-28T00:00:00Z',
      until: '2026-05-05T00:00:00Z',
      households: ['h01', 'h02'],
      reason:
        'h01 and h02 sold each other 5000 Wh and 4500 Wh: at least 100 % of what each of them sold and bought.',
      evidence: { insularityBasisPoints: 10_000, balanceBasisPoints: 9_000, linked: false },
    });
    expect(alarm!.evidence['trades']).toHaveLength(10);
  });

  test('what was told is not told again within a week, unless it is more severe', async () => {
    await closeThrough(street, instantOf(8, 0));
    await lookBack();
    expect(await alarms()).toHaveLength(1);
    await closeThrough(street, instantOf(20, 0));
    await lookBack();
    expect(await alarms()).toHaveLength(1);
  });

  test('accounts of one person, and a circle', async () => {
    await street.database.query(
      `INSERT INTO person_grant (person_id, role, microgrid_id, household_id, valid_from)
       SELECT 'tenant', 'household', $1, unnest($2::text[]), '2026-05-01T00:00:00Z'`,
      [MICROGRID, ['h15', 'h16']],
    );
    await trade(21, [1, 2, 3, 4, 5], 'h15', 'h16');
    await trade(21, [6, 7, 8, 9], 'h15', 'h05', 2_000);
    for (const [seller, buyer] of [
      ['h12', 'h13'],
      ['h13', 'h14'],
      ['h14', 'h12'],
    ]) {
      await trade(21, [1, 2, 3, 4, 5], seller!, buyer!);
    }
    await closeThrough(street, instantOf(22, 0));
    await lookBack();
    const told = (await alarms()).map(({ kind, severity, households }) => [
      kind,
      severity,
      households,
    ]);
    expect(told).toContainEqual(['linked-trades', 'notice', ['h15', 'h16']]);
    expect(told).toContainEqual(['circular-trades', 'serious', ['h12', 'h13', 'h14']]);
    expect(told).toHaveLength(3);
  });

  test('who sets the price with its limits', async () => {
    await street.database.query(
      `INSERT INTO standing_order (microgrid_id, household_id, valid_from, sell_above_micro_per_kwh,
         sequence) VALUES ($1, 'h02', '2026-05-23T00:00:00Z', 200000, 1)`,
      [MICROGRID],
    );
    for (let hour = 8; hour < 16; hour += 1) {
      const slot = instantOf(23, hour);
      const net = { h01: [500, 0], h02: [900, 0], h03: [0, 800] } as const;
      for (const [household, [sells, buys]] of Object.entries(net)) {
        await street.database.query(
          `INSERT INTO settlement (microgrid_id, slot_start, household_id, sequence, produced_wh,
             consumed_wh, used_wh, self_wh, clean_self_wh, from_neighbors_wh, clean_from_neighbors_wh,
             to_neighbors_wh, from_grid_wh, to_grid_wh, unexplained_use_wh, sold_wh, bought_wh,
             imbalance_wh, neighbor_micro, fee_micro, utility_micro, net_micro, tariff_micro, quality)
           VALUES ($1, $2, $3, 1, 0, 0, 0, 0, 0, 0, 0, $4, $5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'measured')`,
          [MICROGRID, slot, household, sells, buys],
        );
      }
    }
    await closeThrough(street, instantOf(24, 0));
    await lookBack();
    const [alarm] = (await alarms()).filter(({ kind }) => kind === 'price-setter');
    expect(alarm).toMatchObject({
      severity: 'warning',
      households: ['h02'],
      from: '2026-05-23T00:00:00Z',
      evidence: { side: 'ask', tradedSlots: 8, meanMoveMicroPerKwh: 150_000 },
    });
    expect(alarm!.reason).toContain('In 8 of 8 slots with trades, the limit of h02 alone raised');
  });

  test('operators read it page by page; nobody else does', async () => {
    const path = `/operator/microgrids/${MICROGRID}/alarms`;
    const first = await get('operator', `${path}?limit=2`);
    expect(first.status).toBe(200);
    const rest = await get(
      'operator',
      `${path}?limit=2&after=${encodeURIComponent(first.body['next'] as string)}`,
    );
    const all = [first, rest].flatMap(({ body }) => body['items'] as { alarm: string }[]);
    expect(all.map(({ alarm }) => alarm)).toEqual((await alarms()).map(({ alarm }) => alarm));
    expect(rest.body['next']).toBeNull();
    for (const role of ['household', 'regulator']) expect((await get(role, path)).status).toBe(403);
    expect((await get('operator', `${path}?after=never`)).status).toBe(400);
  });

  test('regulators read it when the month is over: no names, days, energies or prices', async () => {
    const path = `/regulator/microgrids/${MICROGRID}/alarms`;
    expect((await get('regulator', path)).body['items']).toEqual([]);
    await closeThrough(street, '2026-06-01T00:00:00Z');
    await lookBack();
    const { body } = await get('regulator', path);
    const items = body['items'] as { kind: string; month: string; households: string[] }[];
    expect(items).toHaveLength((await alarms()).length);
    expect(items.every(({ month }) => month === '2026-05')).toBe(true);
    const text = JSON.stringify(items);
    expect(text).not.toMatch(/h\d\d"|2026-05-|Wh|Micro/);
    const of = (kind: string) => items.find((one) => one.kind === kind)!.households;
    // One household is the same under one pseudonym, whatever it is told of.
    expect(of('wash-trades')).toContain(of('price-setter')[0]);
    for (const role of ['household', 'operator']) expect((await get(role, path)).status).toBe(403);
    const log = await street.efficiency.queries(MICROGRID, 'h13', { limit: 10, after: null });
    expect(log.map(({ question, concerned }) => [question['what'], concerned])).toEqual([
      ['alarms', true],
      ['alarms', false],
    ]);
  });

  test('nor anything of a street with fewer than 15 households', async () => {
    await street.asOwner((sql) => sql.query(`UPDATE market_alarm SET street_households = 14`));
    expect(await street.alarms.alarms(MICROGRID, 'regina')).toEqual([]);
  });
});
