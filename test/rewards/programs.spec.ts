import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { postedBalance, programOf, SYSTEM, walletOf } from '../../src/ledger/accounts.js';
import { closeThrough, MICROGRID, openStreet, settle, type Street } from './street.js';

const REQUEST = {
  microgrid: MICROGRID,
  program: 'sun-shared',
  name: 'Sun shared',
  indicator: 'neighbor-claimed' as const,
  rateMicroPerKwh: 50_000,
  fundMicro: 1_000_000,
};
const TEN = '2026-06-01T10:00:00Z';
const DAY = { from: '2026-06-01T00:00:00Z', to: '2026-06-02T00:00:00Z' };

let street: Street;

beforeEach(async () => {
  street = await openStreet(4, TEN);
});
afterEach(() => street.drop());

describe('a program that pays 0.05 a kWh for energy from neighbors', () => {
  test('pays each member for its claims since joining, out of the fund, once', async () => {
    const { rewards, awards } = street;
    expect(await rewards.createProgram(REQUEST, 'regina')).toMatchObject({
      outcome: 'accepted',
      program: { program: 'sun-shared', fundMicro: 1_000_000, currency: 'EUR' },
    });
    // Joined at ten: the slot from 10:15 on counts.
    for (const household of ['h01', 'h02']) {
      expect(await rewards.join(household, 'sun-shared', 'tenant')).toEqual({
        outcome: 'accepted',
        joinedFrom: '2026-06-01T10:15:00Z',
        leftAt: null,
      });
    }
    await settle(street, [
      { slot: '2026-06-01T10:00:00Z', household: 'h01', fromNeighborsWh: 5_000 },
      { slot: '2026-06-01T10:15:00Z', household: 'h01', fromNeighborsWh: 1_001 },
      { slot: '2026-06-01T10:30:00Z', household: 'h01', fromNeighborsWh: 999 },
      // A neighbor's battery that the grid had charged: not clean, not counted.
      {
        slot: '2026-06-01T10:30:00Z',
        household: 'h02',
        fromNeighborsWh: 800,
        cleanFromNeighborsWh: 300,
      },
      // Never joined.
      { slot: '2026-06-01T10:30:00Z', household: 'h03', fromNeighborsWh: 9_000 },
    ]);
    // A correction replaces what it corrects.
    await settle(street, [
      { slot: '2026-06-01T10:30:00Z', household: 'h01', fromNeighborsWh: 1_999, revision: 1 },
    ]);
    await closeThrough(street, DAY.to);

    expect(await awards.run(MICROGRID, 'sun-shared', DAY, 'regina')).toEqual({
      outcome: 'accepted',
      run: {
        periodFrom: DAY.from,
        periodTo: DAY.to,
        households: 2,
        awardedMicro: 165_000,
        quality: { measuredAtLeastPercent: 100, estimatedAtMostPercent: 0 },
      },
      currency: 'EUR',
    });
    expect(await balance(walletOf('h01'))).toBe(150_000);
    expect(await balance(walletOf('h02'))).toBe(15_000);
    expect(await balance(programOf('sun-shared'))).toBe(835_000);
    expect(await balance(SYSTEM.bank)).toBe(-1_000_000);
    // Awards wait in the wallet under the terms that every wallet has.
    expect((await balances([walletOf('h01')])).get(walletOf('h01'))?.limited).toBe(true);

    expect(await awards.run(MICROGRID, 'sun-shared', DAY, 'regina')).toEqual({
      outcome: 'overlaps_earlier_run',
    });
    expect(await balance(walletOf('h01'))).toBe(150_000);
  });

  test('tells the regulator pseudonyms, and each household its own', async () => {
    await threeMembers();
    await settle(street, [
      { slot: TEN, household: 'h01', fromNeighborsWh: 1_000 },
      { slot: TEN, household: 'h02', fromNeighborsWh: 2_000 },
    ]);
    await closeThrough(street, DAY.to);
    await street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina');

    const filter = { periodFrom: null, limit: 10, after: null };
    const seen = (await street.awards.awards(MICROGRID, 'sun-shared', filter, 'regina'))!;
    expect(seen.map(({ claimedWh }) => claimedWh).sort()).toEqual([1_000, 2_000]);
    expect(JSON.stringify(seen)).not.toMatch(/h0\d/);
    expect(new Set(seen.map(({ pseudonym }) => pseudonym)).size).toBe(2);
    const [first, second] = seen;
    const page = { ...filter, after: { periodFrom: DAY.from, pseudonym: first!.pseudonym } };
    expect(await street.awards.awards(MICROGRID, 'sun-shared', page, 'regina')).toEqual([second]);

    const own = { from: null, until: null, limit: 10, after: null };
    expect(await street.awards.awardsOf(MICROGRID, 'h01', own)).toEqual([
      expect.objectContaining({ program: 'sun-shared', claimedWh: 1_000, amountMicro: 50_000 }),
    ]);
    expect(await street.awards.awardsOf(MICROGRID, 'h03', own)).toEqual([]);
    expect(await street.awards.awardsOf(MICROGRID, 'h01', { ...own, from: DAY.to })).toEqual([]);

    const newest = { limit: 10, after: null };
    const [, log] = await street.efficiency.queries(MICROGRID, 'h01', newest);
    expect(log).toMatchObject({ by: 'regina', question: { what: 'awards' }, concerned: true });
    const [, logOfOther] = await street.efficiency.queries(MICROGRID, 'h03', newest);
    expect(logOfOther).toMatchObject({ by: 'regina', concerned: false });
  });

  test('whose fund does not cover the run awards nothing at all, until it is funded', async () => {
    await threeMembers();
    await settle(street, [
      { slot: TEN, household: 'h01', fromNeighborsWh: 15_000 },
      { slot: TEN, household: 'h02', fromNeighborsWh: 10_000 },
    ]);
    await closeThrough(street, DAY.to);
    const before = await street.ledger.head(street.database, MICROGRID);
    expect(await street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina')).toEqual({
      outcome: 'fund_does_not_cover',
      neededMicro: 1_250_000,
      fundMicro: 1_000_000,
    });
    expect(await street.ledger.head(street.database, MICROGRID)).toBe(before);

    const more = { reference: 'second-tranche', amountMicro: 250_000 };
    const fund = () => street.rewards.fundProgram(MICROGRID, 'sun-shared', more, 'regina');
    expect(await fund()).toMatchObject({ program: { fundMicro: 1_250_000 } });
    expect(await fund()).toMatchObject({ program: { fundMicro: 1_250_000 } });
    const other = { ...more, amountMicro: 1 };
    expect(await street.rewards.fundProgram(MICROGRID, 'sun-shared', other, 'regina')).toEqual({
      outcome: 'reference_used',
    });
    expect(await street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina')).toMatchObject({
      outcome: 'accepted',
      run: { awardedMicro: 1_250_000 },
    });
    expect(await balance(programOf('sun-shared'))).toBe(0);
  });

  test('with nothing to award is run all the same, and its period is spent', async () => {
    await threeMembers();
    await closeThrough(street, DAY.to);
    const run = () => street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina');
    expect(await run()).toMatchObject({ run: { households: 0, awardedMicro: 0 } });
    expect(await run()).toEqual({ outcome: 'overlaps_earlier_run' });
  });

  test('is not run twice by two regulators at the same moment', async () => {
    await threeMembers();
    await settle(street, [{ slot: TEN, household: 'h01', fromNeighborsWh: 1_000 }]);
    await closeThrough(street, DAY.to);
    const results = await Promise.all(
      [1, 2, 3].map(() => street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina')),
    );
    expect(results.map(({ outcome }) => outcome).sort()).toEqual([
      'accepted',
      'overlaps_earlier_run',
      'overlaps_earlier_run',
    ]);
    expect(await balance(walletOf('h01'))).toBe(50_000);
  });

  test('is founded once: the same request again is accepted, another one is not', async () => {
    const { rewards } = street;
    await rewards.createProgram(REQUEST, 'regina');
    expect(await rewards.createProgram(REQUEST, 'regina')).toMatchObject({ outcome: 'accepted' });
    expect(await rewards.createProgram({ ...REQUEST, rateMicroPerKwh: 1 }, 'regina')).toEqual({
      outcome: 'program_exists',
    });
    expect(await rewards.createProgram({ ...REQUEST, microgrid: 'elsewhere' }, 'regina')).toEqual({
      outcome: 'unknown_microgrid',
    });
    expect(await balance(programOf('sun-shared'))).toBe(1_000_000);
    expect(await rewards.programs(MICROGRID)).toHaveLength(1);
  });
});

describe('consent', () => {
  test('counts until it is taken back, and again from when it is given again', async () => {
    const { rewards, awards } = street;
    await rewards.createProgram(REQUEST, 'regina');
    await rewards.join('h01', 'sun-shared', 'tenant');
    await at('2026-06-01T11:00:00Z');
    expect(await rewards.leave('h01', 'sun-shared', 'tenant')).toMatchObject({
      leftAt: '2026-06-01T11:15:00Z',
    });
    await at('2026-06-01T12:00:00Z');
    expect(await rewards.join('h01', 'sun-shared', 'tenant')).toMatchObject({
      joinedFrom: '2026-06-01T12:15:00Z',
    });
    await settle(street, [
      { slot: '2026-06-01T11:00:00Z', household: 'h01', fromNeighborsWh: 100 },
      { slot: '2026-06-01T11:15:00Z', household: 'h01', fromNeighborsWh: 20 },
      { slot: '2026-06-01T12:15:00Z', household: 'h01', fromNeighborsWh: 3 },
    ]);
    await closeThrough(street, DAY.to);
    await awards.run(MICROGRID, 'sun-shared', DAY, 'regina');
    expect(await balance(walletOf('h01'))).toBe(103 * 50);
  });

  test('given, taken back and given again within one slot is given', async () => {
    const { rewards } = street;
    await rewards.createProgram(REQUEST, 'regina');
    await rewards.join('h01', 'sun-shared', 'tenant');
    await rewards.leave('h01', 'sun-shared', 'tenant');
    expect(await rewards.leave('h01', 'sun-shared', 'tenant')).toEqual({ outcome: 'not_a_member' });
    const again = await rewards.join('h01', 'sun-shared', 'tenant');
    expect(again).toMatchObject({ outcome: 'accepted', leftAt: null });
    expect(await rewards.join('h01', 'sun-shared', 'tenant')).toEqual(again);
    expect(await rewards.programsOf(MICROGRID, 'h01')).toEqual([
      expect.objectContaining({
        program: 'sun-shared',
        joinedFrom: '2026-06-01T10:15:00Z',
        leftAt: null,
      }),
    ]);
    expect(await rewards.programsOf(MICROGRID, 'h02')).toEqual([
      expect.objectContaining({ program: 'sun-shared', joinedFrom: null, leftAt: null }),
    ]);
  });

  test('for a program that does not exist is refused', async () => {
    expect(await street.rewards.join('h01', 'nothing', 'tenant')).toEqual({
      outcome: 'unknown_program',
    });
    expect(await street.awards.run(MICROGRID, 'nothing', DAY, 'regina')).toEqual({
      outcome: 'unknown_program',
    });
    const page = { limit: 10, after: null };
    expect(await street.awards.runs(MICROGRID, 'nothing', page, 'regina')).toBeNull();
  });
});

test('all money of it sums to zero, and every change is a record', async () => {
  await threeMembers();
  await settle(street, [{ slot: TEN, household: 'h02', fromNeighborsWh: 777 }]);
  await closeThrough(street, DAY.to);
  await street.awards.run(MICROGRID, 'sun-shared', DAY, 'regina');
  const [sum] = await street.database.query<{ sum: number }>(
    `SELECT sum(credits_posted - debits_posted)::bigint AS sum FROM account WHERE asset = 'EUR'`,
  );
  expect(sum).toEqual({ sum: 0 });
  const records = await street.ledger.records(street.database, MICROGRID, { since: 0, limit: 100 });
  expect(records.map(({ kind, facts }) => facts['action'] ?? kind)).toEqual([
    'program-created',
    'deposit',
    'program-joined',
    'program-joined',
    'program-joined',
    'program-run',
    'award',
  ]);
  expect(records.at(-1)).toMatchObject({
    households: ['h02'],
    facts: {
      program: 'sun-shared',
      household: 'h02',
      periodFrom: DAY.from,
      periodTo: DAY.to,
      claimedWh: 777,
      rateMicroPerKwh: 50_000,
      amountMicro: 38_850,
      currency: 'EUR',
    },
  });
});

/** The program, joined by h01 to h03 well before ten. */
async function threeMembers(): Promise<void> {
  await street.rewards.createProgram(REQUEST, 'regina');
  for (const household of ['h01', 'h02', 'h03']) {
    await street.rewards.join(household, 'sun-shared', 'tenant');
  }
  await street.asOwner((sql) =>
    sql.query(`UPDATE program_member SET joined_from = '2026-05-01T00:00:00Z'`),
  );
}

async function at(now: string): Promise<void> {
  await street.database.query('UPDATE market_clock SET now = $1', [now]);
}

function balances(accounts: string[]) {
  return street.ledger.balances(street.database, MICROGRID, accounts);
}

async function balance(account: string): Promise<number> {
  return postedBalance((await balances([account])).get(account)!);
}
