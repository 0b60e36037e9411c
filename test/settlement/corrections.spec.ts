import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { live, notStored, statementOf, summed, TIMES, type Day, type Late } from './late-day.js';
import { at, openStreet, type Street, type StreetSetup } from './street.js';

/**
 * What comes late is put right: whatever was estimated or wrong meanwhile, a street ends with the
 * balances it would have had if every reading had come in time.
 */

const opened: Street[] = [];

async function open(setup: StreetSetup): Promise<Street> {
  const street = await openStreet(setup);
  opened.push(street);
  return street;
}

beforeAll(() => Logger.overrideLogger(false));
afterEach(async () => {
  for (const street of opened.splice(0)) await street.close();
});

async function expectAsIfInTime(setup: StreetSetup, day: Day, late: Late): Promise<Street> {
  const inTime = await open(setup);
  const delayed = await open(setup);
  await live(inTime, day);
  await live(delayed, day, late);
  expect(await delayed.balances(notStored)).toEqual(await inTime.balances(notStored));
  expect([await inTime.faults(), await delayed.faults()]).toEqual([[], []]);
  return delayed;
}

const beforeOf = (facts: object): unknown =>
  (facts as { before: { netMicro: number } }).before.netMicro;

const RICH = { wallet: 1_000_000_000 };

describe('a late reading', () => {
  const setup: StreetSetup = { households: { A: {}, B: RICH }, gridFeeMicroPerKwh: 20_000 };
  const day: Day = [
    { A: { in: 0, out: 0 }, B: { in: 0, out: 0 } },
    { A: { in: 0, out: 900 }, B: { in: 500, out: 0 } },
    { A: { in: 0, out: 1500 }, B: { in: 2000, out: 0 } },
    { A: { in: 100, out: 1600 }, B: { in: 2100, out: 0 } },
    { A: { in: 100, out: 2000 }, B: { in: 2600, out: 0 } },
  ];
  const late: Late = { 'B@10:30': '10:45' };

  test('is estimated, then put right by records of its own, with money on bills', async () => {
    const street = await expectAsIfInTime(setup, day, late);
    expect(await street.slotStates()).toEqual([
      '10:00 closed 0',
      '10:15 closed 1',
      '10:30 closed 0',
      '10:45 closed 0',
    ]);
    const corrections = await street.records(['correction']);
    expect(corrections.map(({ facts }) => facts['household'] ?? 'trades')).toEqual([
      'A',
      'B',
      'trades',
    ]);
    // 500 Wh were estimated where B took 1,500: A's other 100 Wh were B's too.
    expect(corrections[1]!.facts).toMatchObject({
      revision: 1,
      before: { quality: 'estimated', fromNeighborsWh: 500, fromGridWh: 0 },
      after: { quality: 'measured', fromNeighborsWh: 600, fromGridWh: 900 },
    });
    expect(corrections[2]!.facts).toMatchObject({ late: ['B'] });
    // A sees why its slot changed, and by how much: 100 Wh at the price instead of the feed-in tariff.
    const [, ofA] = await statementOf(street, 'A');
    const [, ofB, untouched] = await statementOf(street, 'B');
    expect(ofA!.corrections).toMatchObject([
      { revision: 1, at: at('10:30'), reason: 'late-reading-of-neighbor', neighbors: ['B'] },
    ]);
    expect(ofB!.corrections).toMatchObject([
      { revision: 1, reason: 'own-late-reading', neighbors: [] },
    ]);
    const changed = ofA!.corrections[0]!.changedMicro;
    expect(changed).toBe(ofA!.withNeighbors.netMicro - Number(beforeOf(corrections[0]!.facts)));
    expect(changed).toBeGreaterThan(0);
    expect(untouched!.corrections).toEqual([]);
    // No name of a trade is used twice.
    const names = await street.database.query<{ id: string }>('SELECT trade_id AS id FROM trade');
    expect(new Set(names.map(({ id }) => id)).size).toBe(names.length);
    const moved = corrections.flatMap(({ transfers }) => transfers);
    expect(moved.length).toBeGreaterThan(0);
    for (const { debit, credit } of moved) expect(`${debit} ${credit}`).not.toContain('wallet');
  });

  test('leaves what was closed as it was, byte for byte', async () => {
    const [whole, cut] = [await open(setup), await open(setup)];
    await live(whole, day, late);
    await live(cut, day.slice(0, 3), late);
    const closed = await cut.records(['household-slot', 'trade', 'slot-closed']);
    const later = await whole.records(['household-slot', 'trade', 'slot-closed', 'correction']);
    expect(later.slice(0, closed.length)).toEqual(closed);
    expect(await whole.settled('10:15')).toMatchObject({ A: { revision: 1 }, B: { revision: 1 } });
    const rows = await whole.database.query<{ revision: number; net: number }>(
      `SELECT revision, net_micro AS net FROM settlement
       WHERE household_id = 'B' AND slot_start = '2026-06-01T10:15:00Z' ORDER BY revision`,
    );
    expect(rows.map(({ revision }) => revision)).toEqual([0, 1]);
    expect(rows[0]!.net).not.toBe(rows[1]!.net);
  });

  test('that says what was estimated corrects the quality and moves nothing', async () => {
    const even: Day = TIMES.slice(0, 5).map((_, at) => ({
      A: { in: 0, out: 900 * at },
      B: { in: 800 * at, out: 0 },
    }));
    const street = await expectAsIfInTime(setup, even, late);
    const corrections = await street.records(['correction']);
    expect(corrections.flatMap(({ transfers }) => transfers)).toEqual([]);
    expect((await street.settled('10:15'))['B']).toMatchObject({
      revision: 1,
      quality: 'measured',
    });
  });

  test('may come hours later, or again and again', async () => {
    await expectAsIfInTime(
      setup,
      [...day, { A: { in: 150, out: 2000 }, B: { in: 2600, out: 90 } }],
      {
        'A@10:15': '11:00',
        'B@10:15': '10:45',
        'B@10:30': '11:00',
        'A@10:45': '11:00',
      },
    );
  });
});

test('a late reading of a battery and of what it sold', async () => {
  const setup: StreetSetup = {
    households: {
      A: { ...RICH, pv: true, usableWh: 2000 },
      B: RICH,
      C: { ...RICH, usableWh: 500 },
    },
  };
  const zero = { in: 0, out: 0, charged: 0, discharged: 0 };
  const day: Day = [
    { A: { ...zero, pv: 0 }, B: { in: 0, out: 0 }, C: zero },
    {
      A: { in: 0, out: 200, pv: 2000, charged: 1500, discharged: 0 },
      B: { in: 300, out: 0 },
      C: { ...zero, in: 700, charged: 600 },
    },
    {
      A: { in: 0, out: 600, pv: 2000, charged: 1500, discharged: 700 },
      B: { in: 900, out: 0 },
      C: { ...zero, in: 700, charged: 600, discharged: 200 },
    },
    {
      A: { in: 0, out: 900, pv: 2000, charged: 1500, discharged: 1300 },
      B: { in: 1100, out: 0 },
      C: { ...zero, in: 700, charged: 600, discharged: 400 },
    },
    {
      A: { in: 50, out: 900, pv: 2100, charged: 1600, discharged: 1300 },
      B: { in: 1200, out: 0 },
      C: { ...zero, in: 750, charged: 600, discharged: 500 },
    },
  ];
  const street = await expectAsIfInTime(setup, day, {
    'A@10:15': '10:45',
    'C@10:15': '10:30',
    'A@10:30': '10:45',
    'B@10:30': '10:45',
  });
  expect((await street.records(['correction'])).length).toBeGreaterThan(0);
});

test('a late reading of who sold and who bought ahead, delivered and firm', async () => {
  const setup: StreetSetup = {
    households: { A: RICH, B: RICH, C: RICH },
    mechanism: 'call-auction',
    gridFeeMicroPerKwh: 10_000,
  };
  const day: Day = [
    { A: { in: 0, out: 0 }, B: { in: 0, out: 0 }, C: { in: 0, out: 0 } },
    { A: { in: 0, out: 900 }, B: { in: 500, out: 0 }, C: { in: 300, out: 0 } },
    { A: { in: 0, out: 1400 }, B: { in: 900, out: 0 }, C: { in: 900, out: 0 } },
    { A: { in: 0, out: 1500 }, B: { in: 900, out: 0 }, C: { in: 1000, out: 0 } },
    { A: { in: 0, out: 1600 }, B: { in: 950, out: 0 }, C: { in: 1000, out: 10 } },
  ];
  const orders = async (street: Street) => {
    for (const slot of ['10:15', '10:30']) {
      await street.place('A', 'ask', slot, 600, 100_000, 'firm');
      await street.place('A', 'ask', slot, 200, 100_000, 'delivered');
      await street.place('B', 'bid', slot, 450, 150_000, 'firm');
      await street.place('C', 'bid', slot, 350, 150_000, 'firm');
    }
  };
  const inTime = await open(setup);
  const delayed = await open(setup);
  for (const street of [inTime, delayed]) await orders(street);
  await live(inTime, day);
  await live(delayed, day, { 'A@10:30': '10:45', 'C@10:30': '10:45', 'B@10:45': '11:00' });
  expect(await delayed.balances(notStored)).toEqual(await inTime.balances(notStored));
  expect([await inTime.faults(), await delayed.faults()]).toEqual([[], []]);
  const corrected = await delayed.records(['correction']);
  expect(corrected.flatMap(({ transfers }) => transfers).length).toBeGreaterThan(0);
});

test('any readings late by any time, on any day', async () => {
  const setup: StreetSetup = {
    households: { A: { ...RICH, pv: true, usableWh: 300 }, B: { ...RICH, pv: true }, C: RICH },
  };
  const rise = fc.nat(400);
  const step = fc.record({
    A: fc.record({ in: rise, out: rise, pv: rise, charged: rise, discharged: rise }),
    B: fc.record({ in: rise, out: rise, pv: rise }),
    C: fc.record({ in: rise, out: rise }),
  });
  const delays = fc.array(
    fc.tuple(
      fc.constantFrom('A', 'B', 'C'),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
    ),
    { minLength: 1, maxLength: 5 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 6, maxLength: 6 }),
      delays,
      async (steps, delayed) => {
        const late = Object.fromEntries(
          delayed
            // By the last slot everything has come.
            .map(([id, at, by]) => [`${id}@${TIMES[at]!}`, TIMES[Math.min(at + by, 5)]!]),
        );
        await expectAsIfInTime(setup, summed(steps), late);
        for (const street of opened.splice(0)) await street.close();
      },
    ),
    { numRuns: 4, endOnFailure: true },
  );
});
