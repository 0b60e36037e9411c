import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { VerifyService } from '../../src/verify/verify.service.js';
import { erase, LANE, tellLeaving, waitForFinality } from './leaving.js';
import { changed, leavesOf, readBody, rewrite } from './resealing.js';
import { openRooms, type Rooms } from './rooms.js';
import { undone } from './tampering.js';

/** Orders that met the moment they came are met again by the pure book, and so compared. */

const { microgrid, gone } = LANE;
let rooms: Rooms;

beforeAll(async () => {
  rooms = await openRooms();
  await tellLeaving(rooms, LANE);
});
afterAll(() => rooms.close());

const verify = () => new VerifyService(rooms.database).verify(microgrid, rooms.log);

it('finds a lane in order whose orders met, were dropped, gave way and were taken back', async () => {
  expect((await verify()).findings).toEqual([]);
  const told = await rooms.database.query<{ status: string; time: string; partly: boolean }>(
    `SELECT DISTINCT status, time_in_force AS time, filled_wh BETWEEN 1 AND energy_wh - 1 AS partly
     FROM market_order ORDER BY 1, 2, 3`,
  );
  expect(
    told.map(({ status, time, partly }) => `${status} ${time}${partly ? ' in part' : ''}`),
  ).toEqual([
    'cancelled gtc',
    'filled gtc',
    'partly-filled gtc in part',
    'partly-filled ioc in part',
    'unfilled fok',
    'unfilled gtc',
  ]);
});

it('finds whatever is changed in the record of a match, or left out of it', async () => {
  const [match] = await rooms.database.query<{ sequence: number }>(
    `SELECT sequence FROM record_body WHERE microgrid_id = $1 AND key_holder = ''
       AND convert_from(bytes, 'UTF8')::jsonb -> 'facts' ->> 'action' = 'matched'
     ORDER BY sequence LIMIT 1`,
    [microgrid],
  );
  const body = await readBody(rooms.database, microgrid, match!.sequence);
  const paths = leavesOf(body).filter(([first]) => first !== 'sequence' && first !== 'at');
  expect(paths.length).toBeGreaterThan(40);
  const missed: string[] = [];
  // Every ninth, so that it stays short.
  for (const path of paths.filter((_, place) => place % 9 === 1)) {
    const found = await undone(rooms, ['record_head'], async ({ sql, verify: look }) => {
      await rewrite(sql, microgrid, changed(body, path));
      return look(microgrid);
    });
    const isFound = found.some(
      ({ table }) => !['checkpoint', 'log_tile', 'journal_head'].includes(table),
    );
    if (!isFound) missed.push(path.join('.'));
  }
  expect(missed).toEqual([]);
  const found = await undone(rooms, ['record_head'], async ({ sql, verify: look }) => {
    await rewrite(sql, microgrid, { ...body, facts: { ...body.facts, action: 'forgotten' } });
    return look(microgrid);
  });
  expect(found).toContainEqual(
    expect.objectContaining({ table: 'record_body', found: expect.stringMatching(/match/) }),
  );
});

it('finds what is changed in a row of an order or a trade', async () => {
  const attacks: [table: string, change: string][] = [
    ['market_order', `time_in_force = 'fok' WHERE time_in_force = 'ioc'`],
    ['market_order', `filled_wh = filled_wh - 1 WHERE filled_wh > 1`],
    ['market_order', `status = 'unfilled' WHERE status = 'filled'`],
    ['market_order', `hold_id = repeat('0', 32) WHERE hold_id IS NOT NULL`],
    ['trade', `energy_wh = energy_wh + 1`],
    ['trade', `hold_id = repeat('0', 32)`],
    ['traded_slot', `gate_sequence = NULL`],
  ];
  for (const [table, change] of attacks) {
    const found = await undone(rooms, [table], async ({ sql, verify: look }) => {
      await sql.query(`UPDATE ${table} SET ${change}`);
      return look(microgrid);
    });
    expect([change, found.some((one) => one.table === table)]).toEqual([change, true]);
  }
});

it('goes on without a household that was erased, on whichever side of a match it was', async () => {
  await waitForFinality(rooms);
  await erase(rooms, gone);
  await rooms.log.sign(rooms.database, microgrid);
  expect((await verify()).findings).toEqual([]);
  const [left] = await rooms.database.query<{ trades: number }>(
    `SELECT count(*)::int AS trades FROM trade WHERE $1 IN (buyer_id, seller_id)`,
    [gone],
  );
  expect(left!.trades).toBeGreaterThan(3);
});
