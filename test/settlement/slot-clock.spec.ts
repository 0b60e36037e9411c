import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { walletOf } from '../../src/ledger/accounts.js';
import { at, openStreet, type Street, type StreetSetup } from './street.js';

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

/** A gives 900 Wh a slot and B takes 800, read at every border from 10:00 to 11:00. */
async function readHour({ read }: Street): Promise<void> {
  for (const [slot, time] of ['10:00', '10:15', '10:30', '10:45', '11:00'].entries()) {
    await read(time, { A: { in: 0, out: 900 * slot }, B: { in: 800 * slot, out: 0 } });
  }
}

const NEIGHBORS = { households: { A: {}, B: { wallet: 1_000_000 } } };

describe('a slot', () => {
  test('closes at its end once all meters are read there, else after the grace', async () => {
    const { read, advance, slotStates, settled } = await open(NEIGHBORS);
    await read('10:00', { A: { in: 0, out: 0 }, B: { in: 0, out: 0 } });
    await read('10:15', { A: { in: 0, out: 900 }, B: { in: 800, out: 0 } });
    expect(await advance('10:14')).toEqual({ now: at('10:14'), closedThrough: null });
    expect(await advance('10:15')).toEqual({ now: at('10:15'), closedThrough: at('10:15') });
    await read('10:30', { A: { in: 0, out: 1800 } });
    expect((await advance('10:34')).closedThrough).toBe(at('10:15'));
    expect((await advance('10:35')).closedThrough).toBe(at('10:30'));
    expect(await slotStates()).toEqual(['10:00 closed 0', '10:15 closed 0']);
    // B is estimated by the slot before, and marked; A is settled as it was metered.
    expect(await settled('10:15')).toMatchObject({
      A: { quality: 'measured', toNeighborsWh: 800, toGridWh: 100 },
      B: { quality: 'estimated', fromNeighborsWh: 800 },
    });
  });

  test('closes without anybody having read anything, and settles nothing', async () => {
    const { advance, slotStates, settled, faults } = await open(NEIGHBORS);
    await advance('10:30');
    expect(await slotStates()).toEqual(['10:00 closed 0']);
    expect(await settled('10:00')).toMatchObject({
      A: { quality: 'missing', netMicro: 0 },
      B: { quality: 'missing', netMicro: 0 },
    });
    expect(await faults()).toEqual([]);
  });

  test('is closed once by two instances that try at the same time', async () => {
    const street = await open(NEIGHBORS);
    const { microgrid, closing, records, faults } = street;
    const other = await street.secondInstance();
    await readHour(street);
    await street.clock.advance(street.database, at('10:15'));
    const closed = await Promise.all(
      [closing, other.closing, closing, other.closing].map((each) =>
        each.close(microgrid, at('10:00')),
      ),
    );
    expect(closed.filter(Boolean)).toHaveLength(1);
    await Promise.all([street.advance('11:00'), other.slots.advance(at('11:00'))]);
    expect(await street.slotStates()).toEqual([
      '10:00 closed 0',
      '10:15 closed 0',
      '10:30 closed 0',
      '10:45 closed 0',
    ]);
    expect(await records(['operator-action'])).toHaveLength(1);
    expect(await records(['slot-closed'])).toHaveLength(4);
    expect(await records(['household-slot'])).toHaveLength(8);
    expect(await faults()).toEqual([]);
    expect(await street.balances((account) => account.startsWith('household'))).toEqual({
      'household/A/money': 4 * (40_000 + 5_000),
      'household/B/money': 1_000_000 - 4 * 40_000,
    });
  });

  test('has a signed checkpoint over all of it when the clock answers', async () => {
    const street = await open(NEIGHBORS);
    await readHour(street);
    await street.advance('11:00');
    const { database, log, ledger } = street;
    const head = await ledger.head(database, 'street');
    expect((await log.latestCheckpoint(database, 'street'))!.size).toBe(head);
  });
});

describe('a slot that cannot be closed', () => {
  const AHEAD: StreetSetup = {
    households: { A: {}, B: { wallet: 1_000_000 } },
    mechanism: 'call-auction',
  };

  /** Both slots are traded ahead; what the first one's trade holds is then not to be found. */
  async function withLostHold() {
    const street = await open(AHEAD);
    for (const slot of ['10:15', '10:30']) {
      await street.place('A', 'ask', slot, 500, 100_000);
      await street.place('B', 'bid', slot, 500, 100_000);
    }
    await readHour(street);
    await street.advance('10:16');
    const [lost] = await street.database.query<{ hold: string }>(
      `SELECT hold_id AS hold FROM trade WHERE slot_start = $1`,
      [at('10:15')],
    );
    const point = (hold: string) =>
      street.asOwner((sql) =>
        sql.query(`UPDATE trade SET hold_id = $2 WHERE slot_start = $1`, [at('10:15'), hold]),
      );
    await point('0'.repeat(32));
    return { ...street, restore: () => point(lost!.hold) };
  }

  test('is set aside with its reason, and the next ones close; its holds stay', async () => {
    const { advance, slotStates, database, ledger, records, faults } = await withLostHold();
    await advance('11:00');
    expect(await slotStates()).toEqual([
      '10:00 closed 0',
      '10:15 quarantined 0',
      '10:30 closed 0',
      '10:45 closed 0',
    ]);
    const [slot] = await database.query(`SELECT reason FROM slot WHERE status = 'quarantined'`);
    expect(slot).toEqual({
      reason: expect.stringMatching(/trade\/1, line \d .*: pending_transfer_not_found/),
    });
    const wallet = (await ledger.balances(database, 'street', [walletOf('B')])).get(walletOf('B'))!;
    expect(wallet.debitsPending).toBe(50_000);
    expect((await records(['operator-action'])).at(-1)!.facts).toEqual({
      action: 'slot-quarantined',
      slot: at('10:15'),
    });
    expect(await faults()).toEqual([]);
  });

  test('is posted later, when it is released and can be closed', async () => {
    const street = await withLostHold();
    const { advance, slots, microgrid, restore, slotStates, ledger, database } = street;
    await advance('11:00');
    await expect(slots.release(microgrid, at('10:15'))).rejects.toThrow(
      'pending_transfer_not_found',
    );
    expect((await slotStates())[1]).toBe('10:15 quarantined 0');
    await restore();
    const other = await street.secondInstance();
    const released = await Promise.all(
      [slots, other.slots].map((each) => each.release(microgrid, at('10:15'))),
    );
    expect(released.toSorted()).toEqual([false, true]);
    expect((await slotStates())[1]).toBe('10:15 closed 0');
    expect(await street.settled('10:15')).toMatchObject({
      A: { neighborMicro: 50_000, utilityMicro: 20_000 },
      B: { neighborMicro: -50_000, utilityMicro: -90_000 },
    });
    const wallet = (await ledger.balances(database, 'street', [walletOf('B')])).get(walletOf('B'))!;
    expect([wallet.debitsPending, wallet.debitsPosted]).toEqual([0, 100_000]);
    expect(await street.faults()).toEqual([]);
    await advance('11:20');
    expect((await slotStates()).at(-1)).toBe('11:00 closed 0');
  });

  test('is set aside once by two instances that fail at the same time', async () => {
    const { advance, secondInstance, slotStates, records } = await withLostHold();
    const other = await secondInstance();
    await Promise.all([advance('10:30'), other.slots.advance(at('10:30'))]);
    expect((await slotStates())[1]).toBe('10:15 quarantined 0');
    const actions = await records(['operator-action']);
    expect(actions.filter(({ facts }) => facts['action'] === 'slot-quarantined')).toHaveLength(1);
  });
});

describe('a fault of the moment', () => {
  test('sets no slot aside: the slot is closed at the next attempt', async () => {
    const street = await open(NEIGHBORS);
    await readHour(street);
    const other = await street.secondInstance();
    await other.database.transaction(async (sql) => {
      await other.ledger.lock(sql, 'street');
      const advancing = expect(street.advance('10:15')).rejects.toThrow(/terminat/);
      await cutOffWhoWaits(other.database);
      await advancing;
    });
    expect(await street.slotStates()).toEqual([]);
    expect(await street.advance('10:15')).toMatchObject({ closedThrough: at('10:15') });
    expect(await street.slotStates()).toEqual(['10:00 closed 0']);
    expect(await street.records(['slot-closed'])).toHaveLength(1);
    expect(await street.faults()).toEqual([]);
  });
});

describe('looking back', () => {
  test('follows the close of a day, once', async () => {
    const street = await open(NEIGHBORS);
    await street.advance('23:59');
    const watched = () =>
      street.database.query(`SELECT watched_through AS through FROM market_watch`);
    expect(await watched()).toEqual([]);
    await street.slots.advance('2026-06-02T00:05:00Z');
    expect(await watched()).toEqual([{ through: '2026-06-02T00:00:00Z' }]);
  });

  test('stops nothing when it fails', async () => {
    const street = await open(NEIGHBORS);
    await street.asOwner((sql) => sql.query('ALTER TABLE market_watch RENAME TO mislaid'));
    await readHour(street);
    await street.advance('10:15');
    expect(await street.slotStates()).toEqual(['10:00 closed 0']);
  });
});

/** Ends the connection that waits for the head's lock, as a restart of the server would. */
async function cutOffWhoWaits(database: Street['database']): Promise<void> {
  for (;;) {
    const ended = await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    if (ended.length > 0) return;
    await sleep(10);
  }
}
