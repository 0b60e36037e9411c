import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { StoredRecord } from '../../src/ledger/record.js';
import type { HouseholdFacts } from '../../src/settlement/slot-facts.js';
import { billRows } from '../../src/settlement/bill-line.js';
import { BILLS } from '../../src/settlement/settlement.store.js';
import { SlotCorrectionService } from '../../src/settlement/slot-correction.service.js';
import { StatementService } from '../../src/settlement/statement.service.js';
import { monthOf } from '../../src/settlement/statement.js';
import { gapKey, type TrueUpFacts } from '../../src/settlement/true-up.js';
import { TABLES_BY_SEQUENCE } from '../../src/verify/tables.js';
import { VerifyService } from '../../src/verify/verify.service.js';
import { erase } from './leaving.js';
import { hourAt, LANE, tellOutage, type Outage } from './outage.js';
import { openRooms, type Rooms } from './rooms.js';
import { changesOf, names, oneRow, readColumns, undone } from './tampering.js';

const opened: Rooms[] = [];
afterEach(async () => {
  for (const rooms of opened.splice(0)) await rooms.close();
});

async function live(outage: Outage): Promise<Rooms> {
  const rooms = await openRooms();
  opened.push(rooms);
  await tellOutage(rooms, outage);
  return rooms;
}

const findingsOf = async ({ database, log }: Rooms) =>
  (await new VerifyService(database).verify(LANE, log)).findings;

const recordsOf = ({ database, ledger }: Rooms, ...kinds: string[]): Promise<StoredRecord[]> =>
  ledger
    .records(database, LANE, { since: 0, limit: 10_000 })
    .then((all) => all.filter(({ kind }) => kinds.includes(kind)));

const trueUpsOf = async (rooms: Rooms) =>
  (await recordsOf(rooms, 'true-up')).map(({ facts }) => facts as TrueUpFacts);

/** Of every register that slots know throughout: what slots and true-ups come to, and what it rose by. */
async function sums(rooms: Rooms): Promise<Record<string, [booked: number, rose: number]>> {
  const latest = new Map<string, HouseholdFacts>();
  for (const { facts } of await recordsOf(rooms, 'household-slot', 'correction')) {
    if (!('household' in facts)) continue;
    const one = facts as HouseholdFacts;
    latest.set(`${one.slot} ${one.household}`, one);
  }
  const sum = new Map<string, { bookedWh: number; firstWh: number; lastWh: number }>();
  for (const key of [...latest.keys()].sort()) {
    for (const { meter, register, startWh, endWh } of latest.get(key)!.registers) {
      if (startWh === null || endWh === null) continue;
      const one = sum.get(gapKey({ meter, register }));
      sum.set(gapKey({ meter, register }), {
        bookedWh: (one?.bookedWh ?? 0) + endWh - startWh,
        firstWh: one?.firstWh ?? startWh,
        lastWh: endWh,
      });
    }
  }
  for (const { registers } of await trueUpsOf(rooms)) {
    for (const gap of registers) sum.get(gapKey(gap))!.bookedWh += gap.energyWh;
  }
  return Object.fromEntries(
    [...sum].map(([key, { bookedWh, firstWh, lastWh }]) => [key, [bookedWh, lastWh - firstWh]]),
  );
}

/** That no energy is lost or double, the books balance, and verify tells the same. */
async function expectWhole(rooms: Rooms): Promise<void> {
  for (const [booked, rose] of Object.values(await sums(rooms))) expect(booked).toBe(rose);
  const { database, closing } = rooms;
  const accounts = await database.query<{ asset: string; sum: number }>(
    `SELECT asset, sum(credits_posted - debits_posted)::bigint AS sum FROM account GROUP BY asset`,
  );
  for (const { sum } of accounts) expect(sum).toBe(0);
  const [stored] = await database.query<{ wh: number }>(
    `SELECT coalesce(sum(remaining_wh), 0)::bigint AS wh FROM storage_lot`,
  );
  expect(await closing.supply(database, LANE)).toEqual({
    PRODUCTION: 0,
    CONSUMPTION: 0,
    STORAGE: stored!.wh,
  });
  expect(await findingsOf(rooms)).toEqual([]);
}

/** Ann takes 100 Wh an hour, 300 in hours that nobody sees, and later 40; Ben gives 250 an hour. */
const SILENT = { meter: 'ann-grid', from: 4, until: 31 };
const AGAIN = { meter: 'ann-grid', from: 33, until: 59 };
const OUTAGE: Outage = {
  homes: [{ household: 'ann' }, { household: 'ben' }],
  flow: (meter, hour) => {
    if (meter === 'ben-grid') return [0, 250];
    if (hour >= AGAIN.from) return [40, 0];
    return [hour >= SILENT.from && hour <= SILENT.until ? 300 : 100, 0];
  },
  silences: [SILENT, AGAIN],
  hours: 60,
  dearerFrom: 30,
};

describe('a meter that is heard again after longer than slots can be corrected', () => {
  let rooms: Rooms;
  beforeAll(async () => {
    rooms = await openRooms();
    await tellOutage(rooms, OUTAGE);
  });
  afterAll(() => rooms.close());

  test('has what the slots that stand lack booked once, at the tariff of the slot that is current', async () => {
    const [booked] = await recordsOf(rooms, 'true-up');
    const facts = booked!.facts as TrueUpFacts;
    // Four slots up to 07:00 were estimated at 100 Wh an hour, and stand: 200 Wh of each are missing.
    expect(booked).toMatchObject({ at: hourAt(31), households: ['ann'] });
    expect(facts).toMatchObject({
      slot: hourAt(6),
      border: hourAt(7),
      currentSlot: hourAt(31),
      tariff: { retailMicroPerKwh: 400_000 },
      registers: [{ meter: 'ann-grid', register: 'import', bookedWh: 0, energyWh: 4 * 200 }],
      money: { importMicro: 400 * 800, exportMicro: 0, netMicro: -400 * 800 },
    });
    const [gap] = facts.registers;
    expect(gap!.nowWh - gap!.settledWh).toBe(gap!.energyWh);
    // Nothing of it names the neighbor, and what was closed there is as it was closed.
    expect(JSON.stringify(booked)).not.toContain('ben');
    const stands = await rooms.database.query(
      `SELECT DISTINCT revision FROM settlement WHERE slot_start < $1`,
      [hourAt(7)],
    );
    expect(stands).toEqual([{ revision: 0 }]);
  });

  test('and again: each border by itself, as the window moves on', async () => {
    const facts = await trueUpsOf(rooms);
    expect(facts.map(({ border }) => border)).toEqual([hourAt(7), hourAt(35)]);
    expect(facts.map(({ energy }) => Math.sign(energy.importWh))).toEqual([1, -1]);
    await expectWhole(rooms);
  });

  test('and stands on its statement as a line of its own, with which all it paid adds up', async () => {
    const { database, ledger, settlement, parties, clock } = rooms;
    const statements = new StatementService(database, ledger, settlement, parties, clock);
    const microgrid = (await parties.microgrid(database, LANE))!;
    const ann = (await parties.householdOf(database, 'ann'))!;
    const asked = { month: monthOf('2026-06', 'UTC'), period: { from: null, until: null } };
    const lines = await statements.lines(microgrid, ann, asked, { after: null, limit: 100 });
    const found = lines.flatMap(({ slot, trueUps }) => trueUps.map((one) => ({ slot, ...one })));
    expect(found).toMatchObject([
      { slot: hourAt(31), at: hourAt(31), border: hourAt(7), importWh: 800, netMicro: -320_000 },
      { slot: hourAt(59), at: hourAt(59), border: hourAt(35) },
    ]);
    const rows = lines.flatMap(billRows);
    expect(rows.filter(({ line }) => line === 'true-up')).toHaveLength(2);
    const paid = rows.reduce((sum, { netMicro }) => sum + Number(netMicro), 0);
    const { walletMicro, billMicro } = await settlement.balancesOf(database, microgrid, ann);
    expect(walletMicro + billMicro).toBe(paid);
    const { items } = await statements.statements(microgrid, ann, asked);
    expect(items[0]!.trueUps).toMatchObject({ records: 2 });
    expect(items[0]!.netMicro + items[0]!.trueUps.netMicro).toBe(paid);
    const [bill] = await database.query<{ costMicro: number }>(BILLS, [LANE, '', 10]);
    expect(bill).toMatchObject({ household: 'ann', costMicro: -paid });
  });

  test('and a row of it that was changed, taken away or added is found', async () => {
    const covered = TABLES_BY_SEQUENCE.trueUp;
    const columns = (await readColumns(rooms.database)).filter(
      ({ table, column }) => table === covered.table && column !== 'microgrid_id',
    );
    const values = columns.filter(({ column }) => !covered.key.some((key) => key === column));
    const changed = values.map((one) => `${one.column} = ${changesOf(one)[0]!.to[0]!}`);
    const found = await undone(rooms, [covered.table], async ({ sql, verify }) => {
      const row = oneRow(covered, 'true');
      await sql.query(`UPDATE true_up SET ${changed.join(', ')} WHERE ctid = ${row}`, [LANE]);
      return verify(LANE);
    });
    const missed = values.filter(({ column }) => !names(found, covered, column));
    expect(missed).toEqual([]);
    const added = `INSERT INTO true_up SELECT (jsonb_populate_record(true_up, '{"revision": 7}')).*
      FROM true_up LIMIT 1`;
    const elsewhere = `UPDATE true_up SET border_at = border_at + interval '1 microsecond'`;
    for (const statement of ['DELETE FROM true_up', added, elsewhere]) {
      const found = await undone(rooms, [covered.table], async ({ sql, verify }) => {
        await sql.query(statement);
        return verify(LANE);
      });
      expect(found.map(({ table }) => table)).toContain('true_up');
    }
  });
});

describe('a meter that is heard again', () => {
  test('and tells more of it while the same slot is the first: the rest is booked', async () => {
    let late = '';
    const rooms = await live({
      ...OUTAGE,
      hours: 33,
      flow: (meter, hour) => (meter === 'ben-grid' ? [0, 250] : [hour < 10 ? 300 : 200, 0]),
      meanwhile: async (hour, meters, { database, parties, ledger, metering, market, closing }) => {
        if (hour === 10) late = meters.say('ann-grid', hourAt(10));
        if (hour !== 32) return;
        const microgrid = (await parties.microgrid(database, LANE))!;
        await new SlotCorrectionService(
          database,
          parties,
          ledger,
          metering,
          market,
          closing,
        ).correctDue(microgrid, hourAt(31));
        await meters.publish('ann-grid', late);
      },
    });
    const facts = await trueUpsOf(rooms);
    expect(facts.map(({ border, revision }) => `${border} ${revision}`)).toEqual([
      `${hourAt(7)} 1`,
      `${hourAt(7)} 2`,
    ]);
    const [first, second] = facts.map(({ registers }) => registers[0]!);
    expect(second).toMatchObject({ settledWh: first!.settledWh, bookedWh: first!.energyWh });
    expect(second!.energyWh).toBe(second!.nowWh - first!.nowWh);
    await expectWhole(rooms);
  });

  test('a day after its household moved out', async () => {
    const rooms = await live({
      ...OUTAGE,
      homes: [{ household: 'ann', movesOutAt: 28 }, { household: 'ben' }],
      silences: [{ meter: 'ann-grid', from: 4, until: 99 }],
      hours: 34,
      meanwhile: async (hour, meters) => {
        if (hour === 32) await meters.read('ann-grid', hourAt(28));
      },
    });
    const [facts] = await trueUpsOf(rooms);
    expect(facts).toMatchObject({ household: 'ann', border: hourAt(7) });
    await expectWhole(rooms);
    // A day after it left nothing can be corrected any more, and it may be erased, true-up and all.
    await rooms.clock.advance(rooms.database, hourAt(53));
    await rooms.slots.advance(hourAt(53, 300));
    await erase(rooms, 'ann');
    expect(await rooms.database.query('SELECT FROM true_up')).toEqual([]);
    expect(await findingsOf(rooms)).toEqual([]);
  });
});

/** A day and a half of three homes each; `TRUE_UP_RUNS` lives through more. */
const RUNS = Number(process.env['TRUE_UP_RUNS'] ?? 1);

test('any homes silent for any time: slots and true-ups come to what every register rose by', async () => {
  const home = fc.record({
    from: fc.integer({ min: 2, max: 5 }),
    lasts: fc.integer({ min: 20, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(home, home, home, home),
      fc.array(fc.nat(900), { minLength: 97, maxLength: 97 }),
      async (silent, flows) => {
        const names = ['sun-grid', 'sun-pv', 'sun-bat', 'ann-grid'];
        const rooms = await live({
          homes: [
            { household: 'sun', pv: true, usableWh: 3_000 },
            { household: 'ann' },
            { household: 'ben' },
          ],
          flow: (meter, hour) => {
            const at = 31 * meter.length + hour * (meter.endsWith('grid') ? 3 : 7);
            const [one, other] = [flows[at % 97]!, flows[(at + 13) % 97]!];
            return meter.endsWith('-pv') ? [0, one] : [one, other];
          },
          silences: names.map((meter, index) => ({
            meter,
            from: silent[index]!.from,
            until: silent[index]!.from + silent[index]!.lasts,
          })),
          hours: 38,
        });
        await expectWhole(rooms);
        for (const one of opened.splice(0)) await one.close();
      },
    ),
    { numRuns: RUNS, endOnFailure: true },
  );
});
