import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { walletOf } from '../../src/ledger/accounts.js';
import { at, member, openStreet, type Street } from './street.js';

/** Who moves out, who moves in, and whose energy is whose at the slot's border between them. */

let street: Street;
beforeAll(() => Logger.overrideLogger(false));
beforeEach(async () => {
  street = await openStreet({
    households: { A: {}, B: { wallet: 1_000_000 } },
    mechanism: 'call-auction',
  });
});
afterEach(() => street.close());

async function moveOver(border: string): Promise<void> {
  const { database, parties } = street;
  await database.transaction(async (sql) => {
    await parties.moveOut(sql, 'street', 'A', at(border), 'test');
    const members = [member('N', {}, at(border))];
    await parties.enrolMembers(sql, 'street', { members }, 'test');
  });
}

test('the old tenant is settled up to the border, the new one from there', async () => {
  const { read, advance, settled, records, faults } = street;
  await read('10:00', { A: { in: 0, out: 0 }, B: { in: 0, out: 0 } });
  await read('10:15', { A: { in: 100, out: 0 }, B: { in: 50, out: 0 } });
  await moveOver('10:30');
  await read('10:30', { A: { in: 200, out: 0 }, B: { in: 100, out: 0 }, N: { in: 5_000, out: 0 } });
  await read('10:45', { A: { in: 999, out: 0 }, B: { in: 150, out: 0 }, N: { in: 5_070, out: 0 } });
  await advance('10:45');
  expect(Object.keys(await settled('10:00'))).toEqual(['A', 'B']);
  expect(await settled('10:15')).toMatchObject({
    A: { fromGridWh: 100, quality: 'measured' },
    B: { fromGridWh: 50 },
  });
  const after = await settled('10:30');
  expect(Object.keys(after)).toEqual(['B', 'N']);
  expect(after).toMatchObject({ N: { fromGridWh: 70, quality: 'measured' } });
  expect(await faults()).toEqual([]);
  const ofA = (await records(['household-slot'])).filter(({ households }) =>
    households.includes('A'),
  );
  expect(ofA.map(({ facts }) => facts['slot'])).toEqual([at('10:00'), at('10:15')]);
});

test('what the old tenant sold ahead beyond the border comes to nothing, and frees the hold', async () => {
  const { place, advance, read, settled, ledger, database, faults } = street;
  for (const slot of ['10:15', '10:30']) {
    await place('A', 'ask', slot, 500, 100_000, 'firm');
    await place('B', 'bid', slot, 500, 100_000, 'firm');
  }
  await moveOver('10:30');
  for (const [slot, time] of ['10:00', '10:15', '10:30', '10:45'].entries()) {
    const gone = slot === 3 ? {} : { A: { in: 0, out: 500 * slot } };
    await read(time, { ...gone, B: { in: 500 * slot, out: 0 }, N: { in: 0, out: 500 * slot } });
  }
  await advance('10:45');
  expect(await settled('10:15')).toMatchObject({
    A: { toNeighborsWh: 500, neighborMicro: 50_000 },
    B: { fromNeighborsWh: 500, neighborMicro: -50_000 },
  });
  expect(await settled('10:30')).toMatchObject({
    B: { fromNeighborsWh: 0, fromGridWh: 500, neighborMicro: 0, utilityMicro: -150_000 },
    N: { toGridWh: 500, neighborMicro: 0, utilityMicro: 25_000 },
  });
  const wallet = (await ledger.balances(database, 'street', [walletOf('B')])).get(walletOf('B'))!;
  expect([wallet.debitsPending, wallet.debitsPosted]).toEqual([0, 50_000]);
  expect(await faults()).toEqual([]);
});

test('who has moved out can still be paid out what its wallet holds', async () => {
  const { place, advance, read, settlement, microgrid, householdOf, faults } = street;
  await place('A', 'ask', '10:15', 500, 100_000, 'firm');
  await place('B', 'bid', '10:15', 500, 100_000, 'firm');
  await moveOver('10:30');
  for (const [slot, time] of ['10:00', '10:15', '10:30'].entries()) {
    await read(time, { A: { in: 0, out: 500 * slot }, B: { in: 500 * slot, out: 0 } });
  }
  await advance('11:06');
  const request = { direction: 'payout' as const, reference: 'last' };
  const household = await householdOf('A');
  const ask = (amountMicro: number) =>
    settlement.deposit(microgrid, household, { ...request, amountMicro });
  expect(await ask(50_001)).toBe('exceeds_balance');
  expect(await ask(50_000)).toBe('booked');
  expect(await faults()).toEqual([]);
});
