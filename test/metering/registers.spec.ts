import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { registerAt, surroundings } from '../../src/metering/border.js';
import { DEFAULT_CONNECTION_W, judge } from '../../src/metering/plausibility.js';
import { mark } from '../../src/metering/correction.store.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import { MeteringService } from '../../src/metering/metering.service.js';
import { measureAll } from '../../src/metering/measurement.js';
import type { MeteredSlot } from '../../src/metering/slot-borders.js';
import type { MarketClockService } from '../../src/parties/market-clock.service.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { at, enrol, forget, houses, message, type StreetMeter } from './street.js';

let fresh: FreshDatabase;
let metering: MeteringService;

const clock = { now: async () => '2026-06-03T00:00:00Z' } as MarketClockService;
const SINCE = '2026-06-01T00:00:00Z';

beforeAll(async () => {
  fresh = await freshDatabase();
});
afterAll(() => fresh.drop());

beforeEach(async () => {
  await forget(fresh);
  const settings = { maxClockAheadSeconds: 300 };
  metering = new MeteringService(new IntakeService(fresh.database, clock, settings));
});

const reads = (meterId: string, ...pairs: [string, number][]) =>
  metering.intake(
    message(
      'street',
      meterId,
      pairs.map(([time, importWh]) => ({
        readAt: time.includes('T') ? time : at(time),
        importWh,
      })),
    ),
  );

/** Settles a slot as the close of it does, or as its correction. */
async function settle(
  meters: readonly StreetMeter[],
  slotStart: string,
  revision = 0,
): Promise<MeteredSlot[]> {
  const slotEnd = formatInstant(parseInstant(slotStart) + 900_000);
  return fresh.database.transaction(async (sql) => {
    const slots = await metering.bordersFor(sql, 'street', meters, slotStart, slotEnd);
    await metering.saveBorders(sql, 'street', revision, slots);
    const households = [...new Set(meters.map(({ householdId }) => householdId))];
    const rows = measureAll(households, slots, 0).map((row) => ({ ...row, sequence: 1 }));
    await metering.saveMeasurements(sql, 'street', slotStart, revision, rows);
    return slots;
  });
}

/** `1000 measured > 1250 estimated` of the import register. */
function shown(slots: readonly MeteredSlot[], meterId = 'm0'): string {
  const { start, end } = slots.find(
    (slot) => slot.meterId === meterId && slot.register === 'import',
  )!;
  const side = (border: MeteredSlot['start']) =>
    border ? `${border.valueWh} ${border.quality}` : 'nothing';
  return `${side(start)} > ${side(end)}`;
}

const due = () => metering.dueCorrections(fresh.database, 'street', SINCE);
const street = houses(1);

it('reads registers at the borders, between readings, and not at all', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000.9], ['10:15', 1250.2], ['10:25', 1350], ['10:35', 1450]);
  expect(shown(await settle(street, at('09:45')))).toBe('nothing > 1000 measured');
  expect(shown(await settle(street, at('10:00')))).toBe('1000 measured > 1250 measured');
  const half = await settle(street, at('10:15'));
  expect(shown(half)).toBe('1250 measured > 1400 interpolated');
  expect(half[0]!.start!.readingHashes).toHaveLength(1);
  expect(half[0]!.end!.readingHashes).toHaveLength(2);
  // An export register that was never read.
  expect(half[1]).toMatchObject({ register: 'export', start: null, end: null, lastReal: null });
});

it('estimates a silent slot, corrects it when readings come, and is done then', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000], ['10:15', 1100]);
  await settle(street, at('10:00'));
  expect(shown(await settle(street, at('10:15')))).toBe('1100 measured > 1200 estimated');
  expect(shown(await settle(street, at('10:30')))).toBe('1200 estimated > 1300 estimated');
  expect(await due()).toEqual([]);
  await reads('m0', ['10:45', 1160]);
  expect(await due()).toEqual([at('10:15'), at('10:30')]);
  expect(await due()).toEqual([at('10:15'), at('10:30')]);
  expect(shown(await settle(street, at('10:15'), 1))).toBe('1100 measured > 1130 interpolated');
  expect(await due()).toEqual([at('10:30')]);
  expect(shown(await settle(street, at('10:30'), 1))).toBe('1130 interpolated > 1160 measured');
  expect(await due()).toEqual([]);
  expect(await fresh.database.query('SELECT * FROM late_reading')).toEqual([]);
});

it('notices at the next close that the slot before ended otherwise', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000], ['10:15', 1100]);
  await settle(street, at('10:00'));
  await settle(street, at('10:15'));
  // Not late by its own time: it lies in the slot that is still open.
  await reads('m0', ['10:40', 1150]);
  expect(shown(await settle(street, at('10:30')))).toBe('1130 interpolated > 1230 estimated');
  expect(await due()).toEqual([at('10:15')]);
  await settle(street, at('10:15'), 1);
  expect(await due()).toEqual([]);
});

it('passes a corrected end on to the next slot, as far as it reaches', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000], ['10:15', 1100]);
  for (const start of ['10:00', '10:15', '10:30']) await settle(street, at(start));
  await reads('m0', ['10:10', 1050], ['10:30', 1150]);
  expect(await due()).toEqual([at('10:15'), at('10:30')]);
  await settle(street, at('10:15'), 1);
  expect(shown(await settle(street, at('10:30'), 1))).toBe('1150 measured > 1200 estimated');
  expect(await due()).toEqual([]);
});

it('a late reading between readings moves only the borders around it', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['09:55', 950], ['10:05', 1050], ['10:25', 1250], ['10:35', 1350]);
  for (const start of ['09:45', '10:00', '10:15']) await settle(street, at(start));
  await reads('m0', ['10:14', 1051]);
  expect(await due()).toEqual([at('10:00'), at('10:15')]);
  await settle(street, at('10:00'), 1);
  await settle(street, at('10:15'), 1);
  expect(await due()).toEqual([]);
});

it('estimates like the same slot yesterday, when that was metered', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000], ['10:15', 1400]);
  await settle(street, at('10:00'));
  await reads('m0', ['2026-06-02T09:45:00Z', 2000], ['2026-06-02T10:00:00Z', 2001]);
  await settle(street, '2026-06-02T09:45:00Z');
  expect(shown(await settle(street, '2026-06-02T10:00:00Z'))).toBe(
    '2001 measured > 2401 estimated',
  );
});

it('never falls back to a lower register, however often it is sent, and says so', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 5000], ['10:15', 5100]);
  await settle(street, at('10:00'));
  const minute = (index: number) => formatInstant(parseInstant(at('10:15')) + index * 60_000);
  for (let index = 1; index <= 44; index += 1) await reads('m0', [minute(index), index]);
  for (const start of ['10:15', '10:30', '10:45']) {
    const [slot] = await settle(street, at(start));
    expect(slot!.lastReal).toEqual({ readAt: at('10:15'), valueWh: '5100' });
    expect(slot!.end!.quality).toBe('estimated');
    expect(slot!.end!.valueWh).toBeGreaterThanOrEqual(slot!.start!.valueWh);
  }
  const page = { limit: 100, after: null };
  const rejections = await metering.rejections(fresh.database, 'street', page);
  expect(rejections).toHaveLength(44);
  expect(rejections[0]).toMatchObject({ reason: 'falling_register', meterId: 'm0', count: 1 });
  expect(metering.counters()).toMatchObject({ falling_register: 44 });
  // Settling again does not count again.
  await settle(street, at('10:45'), 1);
  expect(metering.counters()).toMatchObject({ falling_register: 44 });
  // The true register comes back.
  await reads('m0', ['11:00', 5400], ['11:15', 5500]);
  expect(shown(await settle(street, at('11:00')))).toBe('5400 measured > 5500 measured');
  expect(await due()).toEqual([at('10:15'), at('10:30'), at('10:45')]);
});

it('goes on behind an exchange, now and in slots that were settled without it', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 5000], ['10:15', 5100], ['10:24', 5160]);
  await settle(street, at('10:00'));
  await reads('m0', ['10:30', 7], ['10:45', 107]);
  expect(shown(await settle(street, at('10:15')))).toBe('5100 measured > 5200 estimated');
  await fresh.database.query(
    `INSERT INTO meter_exchange VALUES ('street', 'm0', 'import', $1, 5180.5, 2.25, 1)`,
    [at('10:27')],
  );
  await mark(fresh.database, 'street', [{ meterId: 'm0', register: 'import', at: at('10:27') }]);
  expect(await due()).toEqual([at('10:15')]);
  const [corrected] = await settle(street, at('10:15'), 1);
  // 5180.5 − 2.25 + 7
  expect(shown([corrected!])).toBe('5100 measured > 5185 measured');
  expect(corrected!.end!.offsets).toEqual(['5178.25']);
  expect(await due()).toEqual([]);
  expect(shown(await settle(street, at('10:30')))).toBe('5185 measured > 5285 measured');
  expect(await fresh.database.query('SELECT * FROM suspect_reading')).toEqual([]);
});

it('knows when all meters were read at the border', async () => {
  const meters = houses(2);
  await enrol(fresh.database, 'street', meters);
  const all = () => metering.allRead(fresh.database, 'street', meters, at('10:15'));
  await reads('m0', ['10:15', 1]);
  expect(await all()).toBe(false);
  await reads('m1', ['10:14:59', 1], ['10:15:01', 1]);
  expect(await all()).toBe(false);
  await reads('m1', ['10:15', 1]);
  expect(await all()).toBe(true);
});

it('shows measurements in their latest revision, newest first', async () => {
  await enrol(fresh.database, 'street', street);
  await reads('m0', ['10:00', 1000], ['10:15', 1100], ['10:30', 1300]);
  await settle(street, at('10:00'));
  await settle(street, at('10:15'));
  await settle(street, at('10:15'), 1);
  const asked = { microgridId: 'street', householdId: 'h0', from: null, until: null };
  const list = (more: object) =>
    metering.measurementsOf(fresh.database, { ...asked, before: null, limit: 10, ...more });
  expect(await list({})).toMatchObject([
    { slot: at('10:15'), slotEnd: at('10:30'), revision: 1, importWh: 200, consumptionWh: 200 },
    { slot: at('10:00'), slotEnd: at('10:15'), revision: 0, importWh: 100, quality: 'measured' },
  ]);
  expect(await list({ from: at('10:15') })).toHaveLength(1);
  expect(await list({ until: at('10:15') })).toMatchObject([{ slot: at('10:00') }]);
  expect(await list({ before: at('10:15') })).toMatchObject([{ slot: at('10:00') }]);
  expect(await list({ limit: 1 })).toMatchObject([{ slot: at('10:15') }]);
});

it('does not look for corrections where nothing was settled or nobody was active', async () => {
  const left = [{ ...street[0]!, activeUntil: at('10:15') }];
  await enrol(fresh.database, 'street', left);
  await reads('m0', ['10:00', 1000], ['10:15', 1100]);
  await settle(left, at('10:00'));
  await reads('m0', ['09:40', 900], ['09:50', 950]);
  expect(await due()).toEqual([]);
  expect(await fresh.database.query('SELECT * FROM late_reading')).toEqual([]);
});

/** A morning of one meter: when readings were taken, and after how many closes each one came. */
const morning = fc.array(
  fc.record({
    minute: fc.integer({ min: 1, max: 104 }),
    wh: fc.integer({ min: 0, max: 40 }),
    arrives: fc.nat(8),
  }),
  { minLength: 1, maxLength: 14 },
);

it('ends with the same borders whenever readings came: random mornings', async () => {
  await fc.assert(
    fc.asyncProperty(morning, async (taken) => {
      await forget(fresh);
      await enrol(fresh.database, 'street', street);
      // The first reading opens the register; others mostly rise, and sometimes fall.
      const readings = [{ minute: 0, wh: 0, arrives: 0 }, ...taken].filter(
        ({ minute }, index, all) => all.findIndex((other) => other.minute === minute) === index,
      );
      const timeOf = (minute: number) => formatInstant(parseInstant(at('10:00')) + minute * 60_000);
      const levelOf = ({ minute, wh }: { minute: number; wh: number }) =>
        wh === 0 && minute > 0 ? 0 : 100 + minute * 3 + (wh % 7);
      const starts = [0, 15, 30, 45, 60, 75, 90].map(timeOf);
      const revisions = new Map<string, number>();
      const correct = async () => {
        for (let round = 0; round < 12; round += 1) {
          const slots = await due();
          if (slots.length === 0) return;
          for (const slot of slots) {
            const revision = (revisions.get(slot) ?? 0) + 1;
            revisions.set(slot, revision);
            await settle(street, slot, revision);
          }
        }
        throw new Error('corrections never end');
      };
      for (let closed = 0; closed <= 8; closed += 1) {
        for (const reading of readings.filter(({ arrives }) => arrives === closed)) {
          await reads('m0', [timeOf(reading.minute), levelOf(reading)]);
        }
        await correct();
        if (starts[closed]) await settle(street, starts[closed]!);
      }
      await correct();
      const known = readings
        .map((reading) => ({
          atMillis: parseInstant(timeOf(reading.minute)),
          microWh: BigInt(levelOf(reading)) * 1_000_000n,
        }))
        .sort((a, b) => a.atMillis - b.atMillis);
      const { good } = judge(known, null, DEFAULT_CONNECTION_W);
      const rows = await fresh.database.query<{
        border_at: string;
        value_wh: number;
        quality: string;
        start_wh: number | null;
        start_quality: string | null;
      }>(`
        SELECT DISTINCT ON (border_at) border_at, value_wh, quality, start_wh, start_quality
        FROM register_border WHERE register = 'import' ORDER BY border_at, revision DESC`);
      expect(rows).toHaveLength(starts.length);
      rows.forEach((row, index) => {
        const millis = parseInstant(row.border_at);
        const given = registerAt(millis, surroundings(millis, good));
        if (given) expect(row).toMatchObject({ value_wh: given.valueWh, quality: given.quality });
        else expect(row.quality).toBe('estimated');
        const before = rows[index - 1];
        if (before) {
          expect([row.start_wh, row.start_quality]).toEqual([before.value_wh, before.quality]);
        }
      });
    }),
    { numRuns: 25 },
  );
}, 120_000);

it('derives the borders of a thousand meters among ten thousand readings', async () => {
  const meters = houses(1_000);
  await enrol(fresh.database, 'street', meters);
  const sent = Array.from({ length: 10 }, (_, index) =>
    meters.map(({ meterId }) => reads(meterId, [`10:${10 + index}:30`, 1_000 + index * 60])),
  );
  await Promise.all(sent.flat());
  const slots = await settle(meters, at('10:00'));
  expect(slots).toHaveLength(2_000);
  expect(new Set(meters.map(({ meterId }) => shown(slots, meterId)))).toEqual(
    new Set(['nothing > 1270 interpolated']),
  );
});
