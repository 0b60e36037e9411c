import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Copy } from '../../src/database/copy-in.js';
import type { DatabaseService, Sql } from '../../src/database/database.service.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import type { MarketClockService } from '../../src/parties/market-clock.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { at, enrol, houses, message } from './street.js';

let fresh: FreshDatabase;
let intake: IntakeService;
let metering: MeteringService;

const clock = { now: async () => at('12:00') } as MarketClockService;
const settings = { maxClockAheadSeconds: 300 };

beforeAll(async () => {
  fresh = await freshDatabase();
  await enrol(fresh.database, 'street', [
    ...houses(1_000),
    { meterId: 'pv', householdId: 'h0', role: 'generation' },
    { meterId: 'gone', householdId: 'h1', role: 'grid', activeUntil: at('06:00') },
  ]);
  await enrol(fresh.database, 'elsewhere', [
    { meterId: 'other', householdId: 'h-other', role: 'grid' },
  ]);
});
afterAll(() => fresh.drop());

beforeEach(async () => {
  await fresh.asOwner((sql) =>
    sql.query('TRUNCATE reading, reading_payload, reading_contradiction, rejection, late_reading'),
  );
  intake = new IntakeService(fresh.database, clock, settings);
  metering = new MeteringService(intake);
});

const send = (meterId: string, content: unknown, microgridId = 'street') =>
  metering.intake(message(microgridId, meterId, content));

const readings = (sql: Sql = fresh.database) =>
  sql.query(
    `SELECT meter_id, register, read_at, value_wh FROM reading ORDER BY meter_id, register, read_at`,
  );

const rejected = async () => {
  const rows = await metering.rejections(fresh.database, 'street', { limit: 100, after: null });
  return rows.map(({ meterId, reason, count }) => [meterId, reason, count]);
};

it('keeps readings and the bytes they came in', async () => {
  const text =
    '{"readAt":"2026-06-01T12:15:00+02:00","importWh":14737.1422,"exportWh":3,"powerW":51}';
  await send('m0', text);
  expect(await readings()).toEqual([
    { meter_id: 'm0', register: 'export', read_at: at('10:15'), value_wh: '3.000000' },
    { meter_id: 'm0', register: 'import', read_at: at('10:15'), value_wh: '14737.142200' },
  ]);
  const raw = await fresh.database.query(`
    SELECT p.bytes FROM reading r JOIN reading_payload p USING (microgrid_id, payload_hash)`);
  expect(raw.map(({ bytes }) => String(bytes))).toEqual([text, text]);
  expect(await metering.livePower(fresh.database, 'street')).toEqual([
    { meterId: 'm0', householdId: 'h0', role: 'grid', readAt: at('10:15'), powerW: 51 },
  ]);
});

it('counts a repeat and changes nothing', async () => {
  const reading = { readAt: at('10:15'), importWh: 5 };
  await Promise.all([send('m0', reading), send('m0', reading)]);
  await send('m0', [reading, { readAt: '2026-06-01T11:15:00+01:00', importWh: 5.0 }]);
  expect(await readings()).toHaveLength(1);
  expect(metering.counters()).toEqual({ accepted: 1, repeated: 3 });
  expect(await rejected()).toEqual([]);
});

it('keeps a contradiction beside the first value, which counts', async () => {
  await send('m0', { readAt: at('10:15'), importWh: 5 });
  await Promise.all([
    send('m0', { readAt: at('10:15'), importWh: 6 }),
    send('m0', { readAt: at('10:15'), importWh: 7 }),
  ]);
  await send('m0', { readAt: at('10:15'), importWh: 6 });
  expect(await readings()).toMatchObject([{ value_wh: '5.000000' }]);
  const kept = await fresh.database.query(
    'SELECT value_wh FROM reading_contradiction ORDER BY value_wh',
  );
  expect(kept).toEqual([{ value_wh: '6.000000' }, { value_wh: '7.000000' }]);
  expect(metering.counters()).toMatchObject({ accepted: 1, repeated: 0, contradicts: 3 });
  expect((await rejected()).toSorted()).toEqual([
    ['m0', 'contradicts', 1],
    ['m0', 'contradicts', 2],
  ]);
});

it.each([
  ['nobody', { readAt: at('10:00'), importWh: 1 }, 'unknown_meter'],
  ['other', { readAt: at('10:00'), importWh: 1 }, 'wrong_microgrid'],
  ['gone', { readAt: at('06:00:01'), importWh: 1 }, 'not_active'],
  ['m0', { readAt: '2026-05-31T23:59:59Z', importWh: 1 }, 'not_active'],
  ['m0', { readAt: at('12:05:01'), importWh: 1 }, 'in_future'],
  ['m0', { readAt: at('10:00') }, 'register_missing'],
  ['pv', { readAt: at('10:00'), importWh: 1 }, 'register_missing'],
  ['m0', 'not json', 'malformed'],
  ['m0', '{"readAt":"\u0000\ud800"}', 'malformed'],
])('%s sending %.60j is refused as %s', async (meterId, content, reason) => {
  await send(meterId, content);
  await send(meterId, content);
  expect(await readings()).toEqual([]);
  expect(await rejected()).toEqual([[meterId, reason, 2]]);
  expect(metering.counters()).toEqual({ accepted: 0, repeated: 0, [reason]: 2 });
});

it('refuses what is too large, and keeps its beginning', async () => {
  await send('m0', `"${'x'.repeat(70_000)}"`);
  expect(await rejected()).toEqual([['m0', 'too_large', 1]]);
  const [row] = await metering.rejections(fresh.database, 'street', { limit: 1, after: null });
  expect(row!.payload).toHaveLength(4_096);
});

it('refuses what is older than the correction window, and what was retained', async () => {
  const later = { now: async () => '2026-06-20T00:00:00Z' } as MarketClockService;
  metering = new MeteringService(new IntakeService(fresh.database, later, settings));
  await send('m0', { readAt: at('10:00'), importWh: 1 });
  const reading = { readAt: '2026-06-19T00:00:00Z', importWh: 1 };
  await metering.intake(message('street', 'm0', reading, true));
  expect((await rejected()).toSorted()).toEqual([
    ['m0', 'retained', 1],
    ['m0', 'too_old', 1],
  ]);
  expect(await readings()).toEqual([]);
});

it('takes readings on both ends of a meter’s time, and up to the clock’s tolerance', async () => {
  await send('gone', { readAt: at('06:00'), importWh: 1 });
  await send('m0', { readAt: at('00:00'), importWh: 1 });
  await send('m0', { readAt: at('12:05'), importWh: 1 });
  expect(await readings()).toHaveLength(3);
});

it('refuses topics that are none, without knowing whose they are', async () => {
  for (const topic of ['microgrids/street/meters/m 0/readings', 'x', '']) {
    await metering.intake({ topic, payload: Buffer.from('{}'), retained: false });
  }
  const [row] = await fresh.database.query(
    `SELECT microgrid_id, meter_id, reason, count FROM rejection`,
  );
  expect(row).toEqual({ microgrid_id: '', meter_id: '', reason: 'malformed', count: 3 });
});

it('counts the good readings of an array with bad ones', async () => {
  await send('m0', [
    { readAt: at('10:00'), importWh: 1 },
    { readAt: at('23:00'), importWh: 2 },
    { readAt: at('10:15') },
    { readAt: at('10:30'), importWh: 'three' },
    { readAt: at('10:45'), importWh: 4 },
  ]);
  expect(await readings()).toHaveLength(2);
  const rows = await metering.rejections(fresh.database, 'street', { limit: 10, after: null });
  expect(rows.map(({ reason, detail }) => [reason, detail.slice(0, 10)]).toSorted()).toEqual([
    ['in_future', 'reading 1:'],
    ['malformed', 'reading 3:'],
    ['register_missing', 'reading 2:'],
  ]);
});

it('finds a meter that was enrolled a moment ago', async () => {
  await send('m-new', { readAt: at('10:00'), importWh: 1 });
  expect(await rejected()).toEqual([['m-new', 'unknown_meter', 1]]);
  await enrol(fresh.database, 'new-street', [
    { meterId: 'm-new', householdId: 'h-new', role: 'grid' },
  ]);
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  await send('m-new', { readAt: at('10:00'), importWh: 1 }, 'new-street');
  expect(await readings()).toHaveLength(1);
});

it('commits a thousand messages in few transactions, beside poison', async () => {
  let transactions = 0;
  const counted = watching(fresh.database, () => (transactions += 1));
  intake = new IntakeService(counted, clock, settings);
  const messages = houses(1_000).map(({ meterId }, index) =>
    message(
      'street',
      meterId,
      index % 100 === 7 ? '\u0000}' : { readAt: at('10:00'), importWh: 9 },
    ),
  );
  await Promise.all(messages.map((each) => intake.intake(each)));
  expect(transactions).toBeLessThanOrEqual(4);
  expect(intake.counters()).toEqual({ accepted: 990, repeated: 0, malformed: 10 });
});

it('keeps every value exactly, whether it is copied in or asked for', async () => {
  const values = [
    '0',
    '0.000001',
    '999999999999.999999',
    '9007199254.740993',
    '14737.1422',
    '10000',
  ];
  const array = `[${values
    .map(
      (value, minute) =>
        `{"readAt":"${at(`01:0${minute}`)}","importWh":${value},"powerW":${-minute}}`,
    )
    .join(',')}]`;
  await send('m0', array);
  // Readings before the last one are asked for.
  await send('m1', `{"readAt":"${at('09:00')}","importWh":1}`);
  await send('m1', array);
  const kept = await fresh.database.query<{ value: string }>(
    `SELECT trim_scale(value_wh)::text AS value, power_w FROM reading
     WHERE read_at < '2026-06-01T02:00:00Z' ORDER BY meter_id, read_at`,
  );
  const expected = values.map((value, minute) => ({ value, power_w: 0 - minute }));
  expect(kept).toEqual([...expected, ...expected]);
});

it('stores a batch by asking when another instance was faster', async () => {
  const other = new MeteringService(new IntakeService(fresh.database, clock, settings));
  await other.intake(message('street', 'm0', { readAt: at('10:00'), importWh: 5 }));
  await other.intake(message('street', 'm1', { readAt: at('10:00'), importWh: 5 }));
  let transactions = 0;
  intake = new IntakeService(
    watching(fresh.database, () => (transactions += 1)),
    clock,
    settings,
  );
  await Promise.all([
    intake.intake(message('street', 'm0', { readAt: at('10:00'), importWh: 5 })),
    intake.intake(message('street', 'm1', { readAt: at('10:00'), importWh: 6 })),
    // The same bytes as m0's: their payload is kept once.
    intake.intake(message('street', 'm2', { readAt: at('10:00'), importWh: 5 })),
  ]);
  expect(transactions).toBe(2);
  expect(intake.counters()).toEqual({ accepted: 1, repeated: 1, contradicts: 1 });
  expect(await readings()).toHaveLength(3);
});

it('sets apart the one message that the database refuses', async () => {
  Logger.overrideLogger(false);
  await fresh.asOwner((sql) =>
    sql.query(`ALTER TABLE reading ADD CONSTRAINT poison CHECK (value_wh <> 666)`),
  );
  try {
    const sent = [1, 2, 666, 4, 5].map((importWh, index) =>
      send(`m${index}`, { readAt: at('10:00'), importWh }),
    );
    await Promise.all(sent);
  } finally {
    await fresh.asOwner((sql) => sql.query('ALTER TABLE reading DROP CONSTRAINT poison'));
  }
  expect(await readings()).toHaveLength(4);
  expect(await rejected()).toEqual([['m2', 'refused_by_database', 1]]);
});

it('rejects, and keeps nothing of the batch, when the database fails', async () => {
  let failing = true;
  const failingNow = watching(
    fresh.database,
    () => undefined,
    (text) => {
      if (failing && text.includes('INSERT INTO rejection')) throw new Error('connection lost');
    },
  );
  intake = new IntakeService(failingNow, clock, settings);
  const batch = () => [
    intake.intake(message('street', 'm0', { readAt: at('10:00'), importWh: 1 })),
    intake.intake(message('street', 'm1', 'not json')),
  ];
  const outcomes = await Promise.allSettled(batch());
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await readings()).toEqual([]);
  expect(await rejected()).toEqual([]);
  expect(intake.counters()).toEqual({ accepted: 0, repeated: 0 });
  failing = false;
  await Promise.all(batch());
  expect(await readings()).toHaveLength(1);
  expect(await rejected()).toEqual([['m1', 'malformed', 1]]);
});

it('holds messages back while the database is slow, and loses none', async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const slow = watching(fresh.database, () => gate);
  intake = new IntakeService(slow, clock, settings);
  let taken = 0;
  const sent = Array.from({ length: 30_000 }, (_, index) =>
    intake
      .intake(message('street', `m${index % 1_000}`, { readAt: at('10:00'), importWh: 9 }))
      .then(() => (taken += 1)),
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(taken).toBe(0);
  release();
  await Promise.all(sent);
  expect(taken).toBe(30_000);
  expect(intake.counters()).toEqual({ accepted: 1_000, repeated: 29_000 });
  await intake.beforeApplicationShutdown();
});

it('shows meters with their last reading, and pages', async () => {
  await send('m0', { readAt: at('10:00'), importWh: 1 });
  await send('m0', { readAt: at('10:15'), exportWh: 1 });
  await send('m0', 'x');
  await send('m0', 'y');
  const page = { limit: 2, after: null };
  const [gone, m0, m1] = await metering.meterStates(fresh.database, 'street', page);
  expect([gone!.meterId, m0!.meterId, m1!.meterId]).toEqual(['gone', 'm0', 'm1']);
  expect(m0).toMatchObject({ lastReadAt: at('10:15'), rejected: { malformed: 2 } });
  expect(gone).toMatchObject({ lastReadAt: null, rejected: {} });
  const first = await metering.rejections(fresh.database, 'street', { limit: 1, after: null });
  const after = first[0]!.position;
  const second = await metering.rejections(fresh.database, 'street', { limit: 1, after });
  expect(second).toHaveLength(1);
  expect(second[0]!.payload).not.toEqual(first[0]!.payload);
});

/** The database with eyes on its transactions and the statements in them. */
function watching(
  database: DatabaseService,
  onTransaction: () => unknown,
  onStatement: (text: string) => void = () => undefined,
): DatabaseService {
  return {
    query: (text: string, parameters?: readonly unknown[]) => database.query(text, parameters),
    copyIn: async (copies: readonly Copy[]): Promise<void> => {
      await onTransaction();
      await database.copyIn(copies);
    },
    transaction: async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
      await onTransaction();
      return database.transaction((sql) =>
        work({
          query: async (text, parameters) => {
            onStatement(text);
            return sql.query(text, parameters);
          },
          copyIn: (copies) => sql.copyIn(copies),
        }),
      );
    },
  } as unknown as DatabaseService;
}
