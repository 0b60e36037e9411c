import { afterEach, expect, test } from '@jest/globals';
import { StatementService } from '../../src/settlement/statement.service.js';
import { billRows } from '../../src/settlement/bill-line.js';
import { dayOf, monthOf } from '../../src/settlement/statement.js';
import { at, openStreet, type StreetSetup } from './street.js';

/** A statement slot by slot: what was paid among neighbors beside what the tariff alone had cost. */

let drop: (() => Promise<void>) | undefined;

afterEach(async () => {
  await drop?.();
  drop = undefined;
});

async function street(setup: StreetSetup) {
  const opened = await openStreet(setup);
  drop = opened.close;
  const { database, ledger, settlement, parties, clock, microgrid, householdOf } = opened;
  const statements = new StatementService(database, ledger, settlement, parties, clock);
  return {
    ...opened,
    async lines(household: string, limit = 100, after: string | null = null) {
      return statements.lines(
        microgrid,
        await householdOf(household),
        { month: monthOf('2026-06', 'UTC'), period: { from: null, until: null } },
        { limit, after },
      );
    },
  };
}

test('puts the bill with neighbors beside the bill at the tariff', async () => {
  const { read, advance, lines } = await street({
    households: { A: { wallet: 1_000_000, pv: true }, B: { wallet: 1_000_000 } },
    gridFeeMicroPerKwh: 20_000,
  });
  await read('10:00', { A: { in: 0, out: 0, pv: 0 }, B: { in: 0 } });
  await read('10:15', { A: { in: 0, out: 600, pv: 600 }, B: { in: 800 } });
  await read('10:30', { A: { in: 0, out: 600, pv: 600 }, B: { in: 900 } });
  await advance('10:40');
  const [first, second, none] = await lines('B');
  // A is the short side: the price rises to what B pays at most, retail with the grid fee in it.
  expect(first).toMatchObject({
    slot: at('10:00'),
    tariff: { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 20_000 },
    withNeighbors: { boughtWh: 600, soldWh: 0, utilityWh: -200, utilityMicro: -60_000 },
    atTariff: { utilityWh: -800, netMicro: -240_000 },
    comparison: 'same',
  });
  expect(first!.withNeighbors.netMicro).toBe(first!.withNeighbors.boughtMicro - 60_000);
  expect(first!.savedMicro).toBe(first!.withNeighbors.netMicro + 240_000);
  expect(second).toMatchObject({
    withNeighbors: { boughtWh: 0, boughtMicro: 0, utilityWh: -100, netMicro: -30_000 },
    atTariff: { utilityWh: -100, netMicro: -30_000 },
    savedMicro: 0,
    comparison: 'same',
  });
  expect(none).toBeUndefined();
  const [sold] = await lines('A');
  expect(sold).toMatchObject({
    withNeighbors: { soldWh: 600, utilityWh: 0, utilityMicro: 0 },
    atTariff: { utilityWh: 600, netMicro: 30_000 },
    comparison: 'better',
  });
  expect(billRows(sold!)).toMatchObject([
    { slot: at('10:00'), soldWh: 600, tariffNetMicro: 30_000, line: 'slot' },
  ]);
});

test('says so where a firm order cost more than the tariff would have', async () => {
  const { read, advance, place, lines } = await street({
    households: { A: { wallet: 1_000_000, pv: true }, B: { wallet: 1_000_000 } },
    mechanism: 'call-auction',
  });
  await place('A', 'ask', '10:15', 1_000, 120_000, 'firm');
  await place('B', 'bid', '10:15', 1_000, 120_000, 'firm');
  await read('10:15', { A: { in: 0, out: 0, pv: 0 }, B: { in: 0 } });
  // A delivers nothing of what it sold: it buys the energy from the utility at 0.30, sold at 0.12.
  await read('10:30', { A: { in: 0, out: 0, pv: 0 }, B: { in: 1_000 } });
  await advance('10:40');
  const worse = (await lines('A')).at(-1)!;
  expect(worse).toMatchObject({
    withNeighbors: { soldWh: 1_000, soldMicro: 120_000, utilityMicro: -300_000 },
    atTariff: { netMicro: 0 },
    savedMicro: -180_000,
    comparison: 'firm-order',
  });
  expect((await lines('B')).at(-1)).toMatchObject({ savedMicro: 180_000, comparison: 'better' });
});

test('comes page by page, oldest slot first', async () => {
  const { read, advance, lines } = await street({ households: { A: {} } });
  await read('10:00', { A: { in: 0 } });
  await read('11:00', { A: { in: 400 } });
  await advance('11:10');
  const page = await lines('A', 2);
  expect(page.map(({ slot }) => slot)).toEqual([at('10:00'), at('10:15'), at('10:30')]);
  const rest = await lines('A', 2, at('10:15'));
  expect(rest.map(({ slot }) => slot)).toEqual([at('10:30'), at('10:45')]);
});

test('a day is one of the local calendar, whatever the clocks do in it', () => {
  const berlin = (day: string) => {
    const { from, to } = dayOf(day, 'Europe/Berlin');
    return `${from} ${to}`;
  };
  expect(berlin('2026-03-29')).toBe('2026-03-28T23:00:00Z 2026-03-29T22:00:00Z');
  expect(berlin('2026-10-25')).toBe('2026-10-24T22:00:00Z 2026-10-25T23:00:00Z');
  expect(berlin('2026-12-31')).toBe('2026-12-30T23:00:00Z 2026-12-31T23:00:00Z');
});
