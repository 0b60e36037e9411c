import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { walletOf } from '../../src/ledger/accounts.js';
import type { StrategyName } from '../../src/market/strategies.js';
import { at, openStreet, type Street, type StreetSetup } from './street.js';

/** Households that let their autopilot trade: what it places, once, and what comes of it. */

const opened: Street[] = [];

beforeAll(() => Logger.overrideLogger(false));
afterEach(async () => {
  for (const street of opened.splice(0)) await street.close();
});

/** A sells 900 Wh in every slot, B needs 800; both have it on from the first slot on. */
async function pilotedStreet(setup: Partial<StreetSetup> = {}, strategy: StrategyName = 'fixed') {
  const street = await openStreet({
    households: { A: {}, B: { wallet: 300_000 } },
    mechanism: 'call-auction',
    ...setup,
  });
  opened.push(street);
  for (const id of ['A', 'B']) await choose(street, id, { strategy, enabled: true });
  return street;
}

async function choose(
  { autopilot, microgrid, householdOf }: Street,
  household: string,
  chosen: { strategy: StrategyName; enabled: boolean },
) {
  return autopilot.choose(microgrid, await householdOf(household), chosen, 'test');
}

const SIX_LATER = ['10:06', '10:21', '10:36', '10:51'];
const SLOTS = ['10:00', '10:15', '10:30', '10:45', '11:00', '11:15'];

/** What the meters show at the border of that number. */
async function readBorder(street: Street, border: number): Promise<void> {
  await street.read(SLOTS[border]!, { A: { out: 900 * border }, B: { in: 800 * border } });
}

async function ordersOf({ database }: Street, slot: string) {
  return database.query<{ household: string; side: string; wh: number; status: string }>(
    `SELECT household_id AS household, side, sum(energy_wh)::bigint AS wh, min(status) AS status
     FROM market_order WHERE slot_start = $1 GROUP BY household_id, side ORDER BY household_id`,
    [at(slot)],
  );
}

async function heldBy({ ledger, database }: Street, household: string): Promise<number> {
  const account = walletOf(household);
  return (await ledger.balances(database, 'street', [account])).get(account)?.debitsPending ?? 0;
}

describe('before a gate', () => {
  test('both sides are quoted from what was measured, and the gate and the close do the rest', async () => {
    const street = await pilotedStreet();
    await readBorder(street, 0);
    await readBorder(street, 1);
    await street.advance('10:19');
    expect(await ordersOf(street, '10:30')).toEqual([]);
    // Five minutes after the slot that counts, it is closed for certain.
    await street.advance('10:20');
    const [a, b] = await ordersOf(street, '10:30');
    expect(a).toEqual({ household: 'A', side: 'ask', wh: 7200, status: 'open' });
    // 6,400 Wh at 0.30 would cost 1.92: the wallet covers about 1,000 Wh.
    expect(b).toMatchObject({ household: 'B', side: 'bid', status: 'open' });
    expect(b!.wh).toBeGreaterThanOrEqual(998);
    expect(await heldBy(street, 'B')).toBeLessThanOrEqual(300_000);

    await readBorder(street, 2);
    await street.advance('10:30');
    expect((await ordersOf(street, '10:30')).map(({ status }) => status)).not.toContain('open');
    await readBorder(street, 3);
    await street.advance('10:45');
    await street.advance('10:46');
    expect(await street.settled('10:30')).toMatchObject({
      A: { toNeighborsWh: 800, toGridWh: 100 },
      B: { fromNeighborsWh: 800, fromGridWh: 0 },
    });
    expect(await street.faults()).toEqual([]);
  });

  test('a slot is quoted once, by whichever instance comes first, and the same in one leap', async () => {
    const street = await pilotedStreet();
    const leaping = await pilotedStreet();
    const second = await street.secondInstance();
    for (let border = 0; border < 4; border += 1) {
      await readBorder(leaping, border);
      await readBorder(street, border);
      await street.advance(SLOTS[border]!);
      await Promise.all(
        [street, second].map(({ autopilot }) => autopilot.quote(street.microgrid, at('10:30'))),
      );
      await street.advance(SIX_LATER[border]!);
    }
    await leaping.advance('10:51');
    const told = ({ records }: Street) =>
      records(['order', 'gate']).then((all) =>
        all.map(({ kind, at: when, facts }) => ({ kind, when, facts })),
      );
    const placed = await told(street);
    expect(placed.length).toBeGreaterThan(10);
    expect(await told(leaping)).toEqual(placed);
  });

  test('orders placed by hand stand instead', async () => {
    const street = await pilotedStreet();
    await street.place('B', 'bid', '10:30', 100, 200_000);
    await readBorder(street, 0);
    await readBorder(street, 1);
    await street.advance('10:20');
    expect(await ordersOf(street, '10:30')).toMatchObject([
      { household: 'A', wh: 7200 },
      { household: 'B', wh: 100 },
    ]);
  });

  test('limits are kept, and learning strategies remember', async () => {
    const street = await pilotedStreet({}, 'adaptive');
    const { market, microgrid, householdOf, database } = street;
    const limits = { sellAboveMicroPerKwh: 120_000, buyBelowMicroPerKwh: null };
    await market.setLimits(microgrid, await householdOf('A'), limits);
    for (let border = 0; border < 4; border += 1) {
      await readBorder(street, border);
      await street.advance(SLOTS[border]!);
    }
    const asks = await database.query<{ price: number }>(
      `SELECT price_micro_per_kwh AS price FROM market_order WHERE side = 'ask'`,
    );
    expect(asks.length).toBeGreaterThan(0);
    expect(asks.every(({ price }) => price >= 120_000)).toBe(true);
    const [{ learnt }] = (await database.query<{ learnt: string }>(
      `SELECT state->>'learntFrom' AS learnt FROM household_strategy WHERE household_id = 'A'`,
    )) as [{ learnt: string }];
    expect(learnt).toBe(at('10:30'));
  });

  test('a battery is planned over the day ahead', async () => {
    const households = { A: {}, B: { wallet: 300_000, usableWh: 4000 } };
    const street = await pilotedStreet({ households }, 'battery');
    await readBorder(street, 0);
    await street.read('10:00', { B: { charged: 0, discharged: 0 } });
    await readBorder(street, 1);
    await street.read('10:15', { B: { charged: 700, discharged: 0 } });
    await street.advance('10:20');
    const { plan } = await street.autopilot.choice(street.database, await street.householdOf('B'));
    expect(plan).toHaveLength(96);
    expect(plan[0]!.slot).toBe(at('10:30'));
    // It needs energy all day: what it holds, 0.95 of 700 Wh in steps of 100, is spent on that.
    expect(plan.reduce((sum, { dischargeWh }) => sum + dischargeWh, 0)).toBe(600);
  });
});

describe('the switch', () => {
  test('off takes back what is in the book and frees its money; on again quotes the next slot', async () => {
    const street = await pilotedStreet();
    await readBorder(street, 0);
    await readBorder(street, 1);
    await street.advance('10:20');
    expect(await heldBy(street, 'B')).toBeGreaterThan(0);
    await choose(street, 'B', { strategy: 'fixed', enabled: false });
    expect(await heldBy(street, 'B')).toBe(0);
    expect(await ordersOf(street, '10:30')).toMatchObject([
      { household: 'A', status: 'open' },
      { household: 'B', status: 'cancelled' },
    ]);
    const on = await choose(street, 'B', { strategy: 'adaptive', enabled: true });
    expect(on.validFrom).toBe(at('10:45'));
    await readBorder(street, 2);
    await street.advance('10:36');
    expect(await ordersOf(street, '10:45')).toMatchObject([{ household: 'A' }, { household: 'B' }]);
    const kept = await street.records(['operator-action']);
    const chosen = kept.flatMap(({ facts }) =>
      facts['action'] === 'strategy-chosen' ? [`${facts['household']} ${facts['enabled']}`] : [],
    );
    expect(chosen).toEqual(['A true', 'B true', 'B false', 'B true']);
  });

  test('a choice that holds already makes no record', async () => {
    const street = await pilotedStreet();
    const before = await street.ledger.head(street.database, 'street');
    await choose(street, 'A', { strategy: 'fixed', enabled: true });
    expect(await street.ledger.head(street.database, 'street')).toBe(before);
  });
});

test('what is traded after the fact is not quoted', async () => {
  const street = await pilotedStreet({ mechanism: 'metered' });
  expect(await street.autopilot.nextQuote(street.database, street.microgrid)).toBeNull();
  await readBorder(street, 0);
  await readBorder(street, 1);
  await street.advance('10:35');
  expect(await street.records(['order'])).toEqual([]);
});

test('a strategy that fails stops neither gate nor close', async () => {
  const street = await pilotedStreet();
  await street.database.query(
    `UPDATE household_strategy SET strategy = 'of-a-later-version' WHERE household_id = 'A'`,
  );
  await readBorder(street, 0);
  await readBorder(street, 1);
  await readBorder(street, 2);
  await street.advance('10:36');
  expect(await ordersOf(street, '10:30')).toEqual([]);
  expect(await street.slotStates()).toEqual(['10:00 closed 0', '10:15 closed 0']);
});
