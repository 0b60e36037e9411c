import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { at, openStreet, type Street } from './street.js';

/**
 * What a device says that is not true never becomes energy: registers with zeros, drops and leaps in
 * them, through the real intake and close, mint exactly what was used.
 */

const opened: Street[] = [];

beforeAll(() => Logger.overrideLogger(false));
afterEach(async () => {
  for (const street of opened.splice(0)) await street.close();
});

async function open(): Promise<Street> {
  const street = await openStreet({ households: { A: { pv: true }, B: {} } });
  opened.push(street);
  return street;
}

/** What meters said at `HH:MM`, and when it came in: at once where it is not said. */
interface Said {
  time: string;
  meter: string;
  wh: number;
  comes?: string;
}

const SLOT_ENDS = ['10:15', '10:30', '10:45', '11:00', '11:15', '11:30', '11:45', '12:00'];

async function live(street: Street, said: readonly Said[]): Promise<void> {
  const rest = [...said];
  for (const end of [...SLOT_ENDS, '12:15']) {
    const due = rest.filter(({ time, comes = time }) => comes <= end);
    for (const one of due) {
      rest.splice(rest.indexOf(one), 1);
      await say(street, one);
    }
    if (end === '12:15') break;
    await street.advance(after(end));
  }
  for (const one of rest) await say(street, one);
  // Everything is there: the next close looks at what came late.
  await street.advance('12:30');
}

function say({ metering }: Street, { time, meter, wh }: Said): Promise<void> {
  const register = meter.endsWith('-pv') ? 'exportWh' : 'importWh';
  return metering.intake({
    topic: `microgrids/street/meters/${meter}/readings`,
    payload: Buffer.from(JSON.stringify({ readAt: at(time), [register]: wh })),
    retained: false,
  });
}

/** Six minutes later: the grace is over. */
function after(time: string): string {
  const [hour, minute] = time.split(':').map(Number) as [number, number];
  return `${String(hour).padStart(2, '0')}:${String(minute + 6).padStart(2, '0')}`;
}

/** The energy of a register from 10:00 to 12:00 as it was settled last. */
async function settledWh({ database }: Street, meter: string): Promise<number> {
  const [row] = await database.query<{ wh: number }>(
    `SELECT coalesce(sum(value_wh - start_wh), 0)::bigint AS wh FROM (
       SELECT DISTINCT ON (border_at) value_wh, start_wh FROM register_border
       WHERE meter_id = $1 AND register = $2 AND border_at <= $3
       ORDER BY border_at, revision DESC) latest`,
    [meter, meter.endsWith('-pv') ? 'export' : 'import', at('12:00')],
  );
  return row!.wh;
}

async function rulesOf({ database }: Street): Promise<Record<string, number>> {
  const rows = await database.query<{ rule: string; count: number }>(
    'SELECT rule, count(*) AS count FROM suspect_reading GROUP BY rule',
  );
  return Object.fromEntries(rows.map(({ rule, count }) => [rule, count]));
}

/** A reading every five minutes, and a minute later what the glitch makes of it. */
function register(
  meter: string,
  firstWh: number,
  riseWh: number,
  glitch: (wh: number, place: number) => number | null,
): Said[] {
  return Array.from({ length: 25 }, (_, place): Said[] => {
    const minute = place * 5;
    const time = `${10 + Math.floor(minute / 60)}:${String(minute % 60).padStart(2, '0')}`;
    const wh = firstWh + place * riseWh;
    const wrong = glitch(wh, place);
    if (wrong === null) return [{ time, meter, wh }];
    return [
      { time, meter, wh },
      { time: `${time.slice(0, 4)}${Number(time[4]) + 1}`, meter, wh: wrong },
    ];
  }).flat();
}

test('a zero behind every reading, a drop of thousands and back, and a leap mint the true energy', async () => {
  const street = await open();
  await live(street, [
    ...register('A-grid', 734_000, 40, () => 0),
    ...register('A-pv', 91_000, 100, (wh, place) => (place === 7 ? wh - 5_000 : null)),
    ...register('B-grid', 5_000, 60, (wh, place) => (place === 11 ? wh + 7_000_000 : null)),
  ]);
  expect(await settledWh(street, 'A-grid')).toBe(24 * 40);
  expect(await settledWh(street, 'A-pv')).toBe(24 * 100);
  expect(await settledWh(street, 'B-grid')).toBe(24 * 60);
  const { database } = street;
  const [minted] = await database.query<{ wh: number }>(
    `SELECT sum(amount)::bigint AS wh
     FROM transfer JOIN settlement USING (microgrid_id, sequence)
     WHERE code = 'mint-consumption' AND slot_start < $1`,
    [at('12:00')],
  );
  // No solar energy leaves house A: all of it is used there, besides what comes from the grid.
  expect(minted!.wh).toBe(24 * (40 + 100 + 60));
  expect(await street.faults()).toEqual([]);
  expect(await rulesOf(street)).toEqual({ falling_register: 25 + 1, beyond_connection: 1 });
  expect(await street.records(['correction'])).toEqual([]);
});

test('a leap is never minted while nothing confirms it, nor when the meter then falls silent', async () => {
  const street = await open();
  const said = register('B-grid', 5_000, 60, (wh, place) => (place === 5 ? wh + 7_000_000 : null));
  await live(street, said.slice(0, 7));
  // Estimated like the slot before; the leap is not in it.
  expect(await settledWh(street, 'B-grid')).toBe(24 * 60);
  const refused = await street.metering.rejections(street.database, 'street', {
    limit: 10,
    after: null,
  });
  expect(refused).toMatchObject([{ meterId: 'B-grid', reason: 'beyond_connection', count: 1 }]);
  expect(street.metering.counters()).toMatchObject({ beyond_connection: 1 });
});

const arrivals = fc.array(fc.constantFrom(...SLOT_ENDS, '12:20'), { minLength: 80, maxLength: 80 });
const shift = fc.array(fc.nat(9), { minLength: 25, maxLength: 25 });

test('the same readings in any order give the same borders, energy and suspects', async () => {
  await fc.assert(
    fc.asyncProperty(arrivals, shift, async (comes, wrong) => {
      const glitch = (wh: number, place: number): number | null =>
        [null, null, null, 0, wh - 3_000, wh + 300, wh + 90_000, null, wh, 0][wrong[place]!]!;
      const said = register('B-grid', 5_000, 60, glitch);
      const [inOrder, shuffled] = [await open(), await open()];
      await live(inOrder, said);
      await live(
        shuffled,
        said.map((one, place) => ({ ...one, comes: later(one.time, comes[place]!) })),
      );
      expect(await story(shuffled)).toEqual(await story(inOrder));
      for (const street of opened.splice(0)) await street.close();
    }),
    { numRuns: Number(process.env['GLITCH_RUNS'] ?? 4), endOnFailure: true },
  );
});

/** Nothing comes before it was read. */
function later(time: string, comes: string): string {
  return comes > time ? comes : time;
}

async function story(street: Street) {
  const { database } = street;
  return {
    borders: await database.query(
      `SELECT DISTINCT ON (border_at, meter_id, register) border_at, meter_id, register, value_wh,
         quality, start_wh, start_quality
       FROM register_border ORDER BY border_at, meter_id, register, revision DESC`,
    ),
    suspects: await database.query(
      'SELECT meter_id, register, read_at, rule FROM suspect_reading ORDER BY 1, 2, 3',
    ),
    balances: await street.balances(),
  };
}
