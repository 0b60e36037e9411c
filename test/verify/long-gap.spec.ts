import { afterEach, expect, test } from '@jest/globals';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import { Meters } from './meters.js';
import { openRooms, type Rooms } from './rooms.js';

/**
 * A meter that falls silent for four hours of a Tuesday: when it is heard again, the energy between is
 * known, and flowed as on Monday. Verify tells the same of it from the journal and the tables.
 */

const LANE = 'lane';
const MONDAY = '2026-06-01T00:00:00Z';
/** An hour before Monday: the border at its midnight is a slot's end too. */
const STARTS = '2026-05-31T23:00:00Z';
const SILENT_HOURS = [41, 42, 43];
const EVENING = 18;
const LAST_HOUR = 47;

const opened: Rooms[] = [];
afterEach(async () => {
  for (const rooms of opened.splice(0)) await rooms.close();
});

const hourAt = (hour: number, seconds = 0): string =>
  formatInstant(parseInstant(MONDAY) + hour * 3_600_000 + seconds * 1_000);

/** What Ann used in the hour that ends: 700 Wh before six on Monday, 250 Wh in hours of silence. */
function usedWh(hour: number): number {
  if (hour === EVENING) return 700;
  return hour > 40 && hour <= 44 ? 250 : 100;
}

/** @param eveningComes in which hour Monday's reading at six arrives */
async function tellLane(eveningComes: number): Promise<Rooms> {
  const rooms = await openRooms();
  opened.push(rooms);
  await found(rooms);
  const meters = new Meters(rooms, LANE);
  for (const meter of ['ann-grid', 'ben-grid']) await meters.read(meter, STARTS);
  let evening = '';
  for (let hour = 0; hour <= LAST_HOUR; hour += 1) {
    meters.flow('ann-grid', usedWh(hour));
    meters.flow('ben-grid', 0, 300);
    await rooms.clock.advance(rooms.database, hourAt(hour));
    await meters.read('ben-grid', hourAt(hour));
    if (hour === EVENING) evening = meters.say('ann-grid', hourAt(hour));
    else if (!SILENT_HOURS.includes(hour)) await meters.read('ann-grid', hourAt(hour));
    if (hour === eveningComes) await meters.publish('ann-grid', evening);
    await rooms.slots.advance(hourAt(hour, 300));
  }
  return rooms;
}

/** What Ann's register showed at the ends of Tuesday's slots from 16:00 to 20:00, when last settled. */
async function bordersOf({ database }: Rooms): Promise<string[]> {
  const rows = await database.query<{ value_wh: number; quality: string }>(
    `SELECT DISTINCT ON (border_at) value_wh, quality FROM register_border
     WHERE meter_id = 'ann-grid' AND register = 'import' AND border_at BETWEEN $1 AND $2
     ORDER BY border_at, revision DESC`,
    [hourAt(40), hourAt(44)],
  );
  return rows.map(({ value_wh, quality }) => `${value_wh} ${quality}`);
}

/** Every slot as it was settled last. */
function settled({ database }: Rooms) {
  return database.query(
    `SELECT DISTINCT ON (slot_start, household_id) slot_start, household_id, consumed_wh,
       from_neighbors_wh, to_neighbors_wh, from_grid_wh, to_grid_wh, net_micro, quality
     FROM settlement ORDER BY slot_start, household_id, revision DESC`,
  );
}

const findingsOf = async ({ database, log }: Rooms) =>
  (await new VerifyService(database).verify(LANE, log)).findings;

/** The days that records of Ann's slots name, by slot and revision. */
async function likeDaysIn({ database, ledger }: Rooms): Promise<string[]> {
  const records = await ledger.records(database, LANE, { since: 0, limit: 10_000 });
  return records.flatMap(({ facts }) => {
    if (facts['household'] !== 'ann' || !Array.isArray(facts['registers'])) return [];
    const [register] = facts['registers'] as { endLikeDays?: string[]; endQuality: string }[];
    const days = register?.endLikeDays;
    const slot = String(facts['slot']).slice(5, 16);
    if (!register || !days) return [];
    return [`${slot} revision ${Number(facts['revision'] ?? 0)} ${register.endQuality}: ${days}`];
  });
}

test('its energy flowed as on the day before, whenever that was known, and verify tells it again', async () => {
  const inTime = await tellLane(EVENING);
  const shaped = ['5700 measured', '5800 interpolated', '6500 interpolated', '6600 interpolated'];
  expect(await bordersOf(inTime)).toEqual([...shaped, '6700 measured']);
  expect(await likeDaysIn(inTime)).toEqual([
    '06-02T16:00 revision 0 estimated: 2026-06-01',
    '06-02T17:00 revision 0 estimated: 2026-06-01',
    '06-02T18:00 revision 0 estimated: 2026-06-01',
    '06-02T16:00 revision 1 interpolated: 2026-06-01',
    '06-02T17:00 revision 1 interpolated: 2026-06-01',
    '06-02T18:00 revision 1 interpolated: 2026-06-01',
  ]);
  expect(await findingsOf(inTime)).toEqual([]);

  // Before it was heard again: as much as on the day before, from the last reading on.
  const estimated = await inTime.database.query<{ value_wh: number }>(
    `SELECT value_wh FROM register_border
     WHERE meter_id = 'ann-grid' AND quality = 'estimated' AND register = 'import'
     ORDER BY border_at`,
  );
  expect(estimated.map(({ value_wh }) => value_wh)).toEqual([5800, 6500, 6600]);

  // Monday is put right when the gap had its shape from it already: the gap's slots follow.
  const late = await tellLane(46);
  expect(await bordersOf(late)).toEqual([...shaped, '6700 measured']);
  expect(await settled(late)).toEqual(await settled(inTime));
  expect(await findingsOf(late)).toEqual([]);
  const days = await likeDaysIn(late);
  expect(days.filter((day) => day.includes('revision 2'))).toEqual([
    '06-02T17:00 revision 2 interpolated: 2026-06-01',
    '06-02T18:00 revision 2 interpolated: 2026-06-01',
  ]);

  // An hour that no estimate was taken from, only the gap's shape.
  await late.asOwner((sql) =>
    sql.query(
      `UPDATE register_border SET value_wh = value_wh + 1
       WHERE meter_id = 'ann-grid' AND register = 'import' AND border_at = $1`,
      [hourAt(EVENING - 2)],
    ),
  );
  const findings = await findingsOf(late);
  expect(findings.map(({ table, field }) => `${table} ${field}`)).toEqual(
    expect.arrayContaining(['register_border value_wh', 'record_body endWh of ann-grid import']),
  );
}, 120_000);

async function found({ clock, database, parties }: Rooms): Promise<void> {
  await clock.advance(database, STARTS);
  await database.transaction(async (sql) => {
    const tariff = {
      bands: [
        {
          fromMinute: 0,
          retailMicroPerKwh: 300_000,
          feedInMicroPerKwh: 50_000,
          gridFeeMicroPerKwh: 0,
        },
      ],
    };
    await parties.createMicrogrid(
      sql,
      {
        microgrid: LANE,
        name: 'A lane',
        currency: 'EUR',
        slotMinutes: 60,
        creditLimitMicro: 9_000_000,
        startsAt: STARTS,
        tariff,
      },
      'otto',
    );
    const members = ['ann', 'ben'].map((household) => ({
      household,
      meters: [{ meter: `${household}-grid`, role: 'grid' as const }],
    }));
    await parties.enrolMembers(sql, LANE, { members }, 'otto');
  });
}
