import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Sql } from '../../src/database/database.service.js';
import { flagsOf } from '../../src/metering/meter-flags.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeasurementsController } from '../../src/metering/measurements.controller.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { OversightController } from '../../src/metering/oversight.controller.js';
import type { MarketClockService } from '../../src/parties/market-clock.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { at, enrol, houses, message } from './street.js';

let fresh: FreshDatabase;
let metering: MeteringService;
const clock = { now: async () => at('12:00') } as MarketClockService;

beforeAll(async () => {
  fresh = await freshDatabase();
  await enrol(fresh.database, 'street', houses(3));
  const intake = new IntakeService(fresh.database, clock, { maxClockAheadSeconds: 300 });
  metering = new MeteringService(intake);
  await metering.intake(message('street', 'm0', { readAt: at('11:30'), importWh: 1 }));
  await metering.intake(message('street', 'm0', 'x\u0007'));
  await metering.intake(message('street', 'm9', { readAt: at('11:30'), importWh: 1 }));
  for (const [index, slot] of [at('10:00'), at('10:15'), at('10:30'), at('10:45')].entries()) {
    await metering.saveMeasurements(fresh.database, 'street', slot, 0, [
      {
        householdId: 'h0',
        sequence: index + 1,
        importWh: 100,
        exportWh: 20,
        generatedWh: 70,
        chargedWh: 40,
        dischargedWh: 10,
        consumptionWh: 120,
        unexplainedWh: 0,
        quality: 'measured',
      },
    ]);
  }
});
afterAll(() => fresh.drop());

const scope = { microgrid: 'street', household: 'h0' };
const always = { from: null, until: null };
const ask = (
  query: Record<string, unknown>,
  period: { from: string | null; until: string | null },
) => new MeasurementsController(fresh.database, metering).measurements(query, scope, period);
const slots = async (...asked: Parameters<typeof ask>) =>
  (await ask(...asked)).items.map(({ slot }) => slot.slice(11, 16));

it('shows a household its measurements, newest first, page by page', async () => {
  const first = await ask({ limit: '3' }, always);
  expect(first.items).toHaveLength(3);
  expect(first.items[0]).toEqual({
    slot: at('10:45'),
    slotEnd: at('11:00'),
    revision: 0,
    sequence: 4,
    importWh: 100,
    exportWh: 20,
    generatedWh: 70,
    chargedWh: 40,
    dischargedWh: 10,
    productionWh: 80,
    consumptionWh: 120,
    usesWh: 160,
    unexplainedWh: 0,
    quality: 'measured',
  });
  const second = await ask({ limit: '3', after: first.next! }, always);
  expect(second).toMatchObject({ items: [{ slot: at('10:00') }], next: null });
});

it('keeps within what was asked and what the caller may read', async () => {
  expect(await slots({ from: at('10:15'), to: '2026-06-01T12:45:00+02:00' }, always)).toEqual([
    '10:30',
    '10:15',
  ]);
  const tenancy = { from: at('10:15'), until: at('10:45') };
  expect(await slots({}, tenancy)).toEqual(['10:30', '10:15']);
  expect(await slots({ from: at('09:00'), to: at('12:00') }, tenancy)).toEqual(['10:30', '10:15']);
});

it.each([
  { from: 'yesterday' },
  { from: at('11:00'), to: at('10:00') },
  { limit: '0' },
  { after: 'bm90IGFuIGluc3RhbnQ' },
])('refuses %j', async (query) => {
  await expect(ask(query, always)).rejects.toMatchObject({ status: 400, code: 'invalid_request' });
});

it('shows an operator what was refused, page by page', async () => {
  const controller = new OversightController(fresh.database, metering, clock);
  const first = await controller.rejections({ microgrid: 'street' }, { limit: '1' });
  const second = await controller.rejections(
    { microgrid: 'street' },
    { limit: '1', after: first.next },
  );
  expect([...first.items, ...second.items]).toMatchObject([
    { meter: 'm9', reason: 'unknown_meter', count: 1 },
    { meter: 'm0', reason: 'malformed', count: 1, payload: 'x\u0007' },
  ]);
  expect(second.next).toBeNull();
  const after = Buffer.from("' OR true").toString('base64url');
  await expect(controller.rejections({ microgrid: 'street' }, { after })).rejects.toMatchObject({
    code: 'invalid_request',
  });
});

it('shows an operator which meters are silent', async () => {
  const controller = new OversightController(fresh.database, metering, clock);
  const { items, next } = await controller.meters({ microgrid: 'street' }, { limit: '2' });
  expect(items).toMatchObject([
    { meter: 'm0', lastReadAt: at('11:30'), silentSeconds: 1_800, rejected: { malformed: 1 } },
    {
      meter: 'm1',
      lastReadAt: null,
      silentSeconds: null,
      rejected: {},
      clockBehindSeconds: null,
      flags: ['dead'],
    },
  ]);
  // The test's clock stands in June 2026; what came in since then came in much later.
  expect(items[0]!.flags).toEqual(['clock_off']);
  expect(items[0]!.clockBehindSeconds).toBeGreaterThan(0);
  const rest = await controller.meters({ microgrid: 'street' }, { after: next });
  expect(rest.items.map(({ meter }) => meter)).toEqual(['m2']);
});

/** Three days of h1 and h2 in quarters: the sun shines on h2 from 08:00 to 18:00, once more, once less. */
async function sunnyDays(sql: Sql, importOf: (sunWh: number, slot: number) => number) {
  const slots = Array.from({ length: 3 * 96 }, (_, slot) => {
    const quarter = slot % 96;
    const sunWh = quarter >= 32 && quarter < 72 ? 300 + ((slot * 37) % 400) : 0;
    return { slot, sunWh };
  });
  await sql.query(
    `INSERT INTO measurement (microgrid_id, slot_start, household_id, sequence, import_wh, export_wh,
       generated_wh, charged_wh, discharged_wh, consumption_wh, unexplained_wh, quality)
     SELECT 'street', '2026-05-29T12:00:00Z'::timestamptz + d.slot * interval '15 minutes', h, 1,
       CASE h WHEN 'h1' THEN d.import ELSE 0 END, 0, CASE h WHEN 'h2' THEN d.sun ELSE 0 END, 0, 0, 0,
       0, 'measured'
     FROM unnest($1::int[], $2::int[], $3::int[]) AS d (slot, sun, import),
       unnest(ARRAY['h1', 'h2']) AS h`,
    [
      slots.map(({ slot }) => slot),
      slots.map(({ sunWh }) => sunWh),
      slots.map(({ sunWh, slot }) => importOf(sunWh, slot)),
    ],
  );
}

it.each([
  [
    'generation counted as import',
    (sunWh: number, slot: number) => 20 + (slot % 7) + sunWh,
    ['dead', 'follows_sun'],
  ],
  ['a small flat', (_: number, slot: number) => (slot % 96 > 70 ? 25 + (slot % 5) : 5), ['dead']],
  ['a meter that stands still', () => 0, ['dead']],
  ['a meter that says the same again and again', () => 115, ['dead', 'frozen']],
])('tells an operator of %s', async (_, importOf, flags) => {
  await fresh.asOwner((sql) => sql.query('TRUNCATE measurement'));
  await sunnyDays(fresh.database, importOf);
  const controller = new OversightController(fresh.database, metering, clock);
  const { items } = await controller.meters({ microgrid: 'street' }, {});
  expect(items.find(({ meter }) => meter === 'm1')!.flags).toEqual(flags);
});

it('flags by figures alone', () => {
  const quiet = {
    silentSeconds: 900,
    suspects: {},
    repeatedWh: null,
    slotMinutes: 15,
    sunCorrelation: 0.6,
    sunnySlots: 120,
    clockBehindSeconds: 2.5,
  };
  expect(flagsOf(quiet)).toEqual([]);
  expect(flagsOf({ ...quiet, sunCorrelation: 0.9, sunnySlots: 10 })).toEqual([]);
  expect(flagsOf({ ...quiet, suspects: { beyond_connection: 3, falling_register: 1 } })).toEqual([
    'falling_register',
    'beyond_connection',
  ]);
  expect(flagsOf({ ...quiet, clockBehindSeconds: -90 })).toEqual(['clock_off']);
  expect(flagsOf({ ...quiet, silentSeconds: 90_000 })).toEqual(['dead']);
});
