import { afterEach, describe, expect, test } from '@jest/globals';
import { numberTrades, tradeId, type MatchedTrade } from '../../src/market/trade.js';
import type { Instant } from '../../src/units/slot.js';
import {
  accepted,
  NOW,
  openStreet,
  SLOT,
  tenantOf,
  type Street,
  type StreetSetup,
} from './street.js';

const street: { current?: Street } = {};

async function open(setup: StreetSetup): Promise<Street> {
  street.current = await openStreet(setup);
  return street.current;
}

afterEach(async () => {
  await street.current?.drop();
  delete street.current;
});

describe('placing an order', () => {
  test('holds the worst cost of a bid, nothing for an ask, and stands in the journal', async () => {
    const { place, wallet, ledger, database, orders } = await open({
      wallets: { A: 0, B: 200_000 },
    });
    const bid = accepted(await place('B', 'bid', 800, 200_000, { delivery: 'firm' }));
    const ask = accepted(await place('A', 'ask', 900, 100_000));
    expect(bid).toMatchObject({ status: 'open', filledWh: 0, energyWh: 800, delivery: 'firm' });
    expect(await wallet('B')).toEqual({ held: 160_000, paid: 200_000 });
    const records = await ledger.records(database, 'street', { since: 1, limit: 10 });
    expect(records.map(({ kind, at, households, facts }) => [kind, at, households, facts])).toEqual(
      [
        [
          'order',
          NOW,
          ['B'],
          {
            action: 'placed',
            order: bid.id,
            household: 'B',
            slot: SLOT,
            side: 'bid',
            energyWh: 800,
            priceMicroPerKwh: 200_000,
            delivery: 'firm',
          },
        ],
        ['order', NOW, ['A'], expect.objectContaining({ order: ask.id, delivery: 'delivered' })],
      ],
    );
    expect(records[1]!.transfers).toEqual([]);
    expect(await orders.orderBook('street', SLOT)).toEqual({
      bids: [{ priceMicroPerKwh: 200_000, energyWh: 800 }],
      asks: [{ priceMicroPerKwh: 100_000, energyWh: 900 }],
    });
  });

  test('the same key and body is the same order, also after the gate; another body a conflict', async () => {
    const { place, wallet, clock, database, ledger } = await open({ wallets: { B: 500_000 } });
    const first = accepted(await place('B', 'bid', 800, 200_000, { key: 'k' }));
    const head = await ledger.head(database, 'street');
    await clock.advance(database, SLOT);
    expect(await place('B', 'bid', 800, 200_000, { key: 'k' })).toEqual({
      outcome: 'accepted',
      order: first,
      repeated: true,
    });
    expect(await place('B', 'bid', 801, 200_000, { key: 'k' })).toEqual({
      outcome: 'idempotency_conflict',
    });
    expect(await ledger.head(database, 'street')).toBe(head);
    expect((await wallet('B')).held).toBe(160_000);
  });

  test('is refused with its reason and leaves no trace', async () => {
    const { place, ledger, database, clearGate } = await open({
      wallets: { B: 100_000 },
      importLimitW: 4000,
    });
    const head = await ledger.head(database, 'street');
    const outcomes = [
      await place('B', 'bid', 800, 200_000),
      await place('B', 'bid', 501, 200_000),
      await place('B', 'bid', 1001, 60_000),
      await place('B', 'bid', 0, 200_000),
      await place('B', 'bid', 100, 300_001),
      await place('B', 'bid', 100, 200_000, { slot: NOW }),
      await place('B', 'bid', 100, 200_000, { slot: '2026-06-01T12:07:00Z' }),
    ];
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      'exceeds_balance',
      'exceeds_balance',
      'above_connection_limit',
      'energy_not_positive',
      'price_outside_tariffs',
      'gate_closed',
      'unknown_slot',
    ]);
    expect(await ledger.head(database, 'street')).toBe(head);
    await clearGate();
    expect((await place('B', 'bid', 100, 200_000)).outcome).toBe('gate_closed');
  });

  test('a microgrid that trades what is metered takes no orders and has no gate', async () => {
    const { place, clearGate } = await open({ wallets: { B: 1_000_000 }, mechanism: 'metered' });
    expect((await place('B', 'bid', 100, 200_000)).outcome).toBe('mechanism_takes_no_orders');
    expect(await clearGate()).toBeNull();
  });
});

describe('cancelling an order', () => {
  test('frees its money until the gate closes, and only for those it concerns', async () => {
    const { place, wallet, orders, clock, database } = await open({
      wallets: { A: 0, B: 400_000 },
    });
    const one = accepted(await place('B', 'bid', 800, 200_000));
    const two = accepted(await place('B', 'bid', 100, 200_000));
    expect(await orders.cancelOrder(tenantOf('A'), one.id)).toEqual({ outcome: 'unknown_order' });
    const cancelled = await orders.cancelOrder(tenantOf('B'), one.id);
    expect(cancelled).toMatchObject({ outcome: 'cancelled', order: { status: 'cancelled' } });
    expect(await orders.cancelOrder(tenantOf('B'), one.id)).toEqual(cancelled);
    expect(await wallet('B')).toEqual({ held: 20_000, paid: 400_000 });
    await clock.advance(database, SLOT);
    expect(await orders.cancelOrder(tenantOf('B'), two.id)).toEqual({ outcome: 'gate_closed' });
    expect((await wallet('B')).held).toBe(20_000);
  });

  test('lists page by page, within the tenancy', async () => {
    const { place, orders } = await open({ wallets: { A: 0, B: 0 } });
    const placed = [];
    for (const wh of [1, 2, 3]) placed.push(accepted(await place('A', 'ask', wh, 100_000)).id);
    const filter = { household: null, slot: null, status: null, limit: 2, after: null };
    const first = await orders.orders(tenantOf('A'), filter);
    expect(first!.map(({ id }) => id)).toEqual([...placed].reverse());
    const after = { sequence: first![1]!.sequence, id: first![1]!.id };
    const rest = await orders.orders(tenantOf('A'), { ...filter, after });
    expect(rest!.map(({ id }) => id)).toEqual([placed[0]]);
    expect(await orders.orders(tenantOf('B'), filter)).toEqual([]);
    expect(await orders.orders(tenantOf('B'), { ...filter, household: 'A' })).toBeNull();
    const nextTenant = tenantOf('A', '2026-06-01T09:45:00Z');
    expect(await orders.orders(nextTenant, filter)).toHaveLength(3);
    const later = { ...filter, slot: '2026-06-01T12:15:00Z' };
    expect(await orders.orders(nextTenant, later)).toEqual([]);
  });
});

describe('a gate', () => {
  test('clears the book, frees every hold, and holds each trade at its exact cost', async () => {
    const street = await open({ wallets: { A: 0, B: 300_000, C: 300_000, D: 90_000 } });
    const { place, clearGate, wallet, statuses, market, database, ledger } = street;
    const a = accepted(await place('A', 'ask', 1000, 100_000, { delivery: 'firm' }));
    const b = accepted(await place('B', 'bid', 800, 250_000, { delivery: 'firm' }));
    const c = accepted(await place('C', 'bid', 600, 150_000));
    const d = accepted(await place('D', 'bid', 1000, 90_000));
    const gate = await clearGate();
    expect(gate).toEqual({
      clearingPrice: 150_000,
      tradedWh: 1000,
      sequence: await ledger.head(database, 'street'),
    });
    expect(await statuses()).toEqual({
      [a.id]: 'filled 1000',
      [b.id]: 'filled 800',
      [c.id]: 'partly-filled 200',
      [d.id]: 'unfilled 0',
    });
    expect((await wallet('B')).held).toBe(120_000);
    expect((await wallet('C')).held).toBe(30_000);
    expect((await wallet('D')).held).toBe(0);
    const trades = await market.tradesOf(database, 'street', SLOT);
    const byBuyer = [...trades].sort((x, y) => (x.buyer < y.buyer ? -1 : 1));
    expect(byBuyer.map(({ buyer, energyWh, firm }) => [buyer, energyWh, firm])).toEqual([
      ['B', 800, true],
      ['C', 200, false],
    ]);
    const [record] = await ledger.records(database, 'street', {
      since: gate!.sequence - 1,
      limit: 1,
    });
    expect(record).toMatchObject({ kind: 'gate', households: ['A', 'B', 'C', 'D'] });
    const holds = record!.transfers.filter(({ state }) => state === 'pending');
    expect(holds.map(({ id }) => id)).toEqual(trades.map(({ holdId }) => holdId));
    expect(trades.every(({ sequence, revision }) => sequence === gate!.sequence && !revision)).toBe(
      true,
    );
  });

  test('cleared twice is cleared once, also when nothing met', async () => {
    const { place, clearGate, ledger, database, market } = await open({ wallets: { A: 0 } });
    await place('A', 'ask', 1000, 100_000);
    const first = await clearGate();
    expect(first).toMatchObject({ clearingPrice: null, tradedWh: 0 });
    expect(await clearGate()).toEqual(first);
    expect(await ledger.head(database, 'street')).toBe(first!.sequence);
    expect(await market.tradesOf(database, 'street', SLOT)).toEqual([]);
    const empty = '2026-06-01T12:15:00Z';
    expect(await clearGate(empty)).toMatchObject({ clearingPrice: null, tradedWh: 0 });
  });

  test('a grid fee is in the price of the buyer only', async () => {
    const { place, clearGate, market, database, wallet } = await open({
      wallets: { A: 0, B: 300_000 },
      gridFee: 20_000,
    });
    await place('A', 'ask', 1000, 100_000);
    await place('B', 'bid', 500, 250_000);
    expect(await clearGate()).toMatchObject({ clearingPrice: 100_000, tradedWh: 500 });
    expect((await market.tradesOf(database, 'street', SLOT))[0]).toMatchObject({
      buyerPriceMicroPerKwh: 120_000,
      sellerPriceMicroPerKwh: 100_000,
    });
    expect((await wallet('B')).held).toBe(60_000);
  });

  test('is never refused for want of money: a wallet with no more than its hold gives up a Wh', async () => {
    const { place, clearGate, wallet, statuses } = await open({
      wallets: { A1: 0, A2: 0, A3: 0, B: 253 },
    });
    // 5 Wh cost 253 micro-units in one trade, but 51 + 51 + 51 + 101 in four.
    const bid = accepted(await place('B', 'bid', 5, 50_600));
    for (const seller of ['A1', 'A2', 'A3']) await place(seller, 'ask', 1, 50_000);
    await place('A1', 'ask', 9, 50_600);
    expect(await clearGate()).toMatchObject({ clearingPrice: 50_600, tradedWh: 4 });
    expect((await statuses())[bid.id]).toBe('partly-filled 4');
    expect(await wallet('B')).toEqual({ held: 204, paid: 253 });
  });
});

describe('a crowd', () => {
  test('20 clients placing and cancelling at once never spend money twice', async () => {
    const households = Object.fromEntries(
      Array.from({ length: 4 }, (_, index) => [`B${index}`, 100_000]),
    );
    const { place, orders, wallet, database, ledger, clearGate } = await open({
      wallets: { A: 0, ...households },
    });
    await place('A', 'ask', 100_000, 50_000);
    const client = async (number: number): Promise<number> => {
      const household = `B${number % 4}`;
      let kept = 0;
      for (let turn = 0; turn < 6; turn += 1) {
        // Every second turn repeats the request of a neighbor client under the same key.
        const key = `turn-${turn % 2 === 0 ? number : number % 4}-${turn}`;
        const placed = await place(household, 'bid', 100, 300_000, { key });
        if (placed.outcome !== 'accepted') {
          expect(placed.outcome).toBe('exceeds_balance');
          continue;
        }
        if (placed.repeated) continue;
        if ((number + turn) % 3 !== 0) kept += 1;
        else {
          const { outcome } = await orders.cancelOrder(tenantOf(household), placed.order.id);
          expect(outcome).toBe('cancelled');
        }
      }
      return kept;
    };
    const kept = await Promise.all(Array.from({ length: 20 }, (_, number) => client(number)));
    const stillOpen = await database.query<{ household: string; held: number }>(
      `SELECT household_id AS household, count(*) * 30000 AS held FROM market_order
       WHERE side = 'bid' AND status = 'open' GROUP BY household_id`,
    );
    expect(stillOpen.reduce((sum, { held }) => sum + held / 30_000, 0)).toBe(
      kept.reduce((sum, count) => sum + count, 0),
    );
    for (const { household, held } of stillOpen) {
      const money = await wallet(household);
      expect(money).toEqual({ held, paid: 100_000 });
      expect(held).toBeLessThanOrEqual(100_000);
    }
    const records = await ledger.records(database, 'street', { since: 0, limit: 1000 });
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, index) => index + 1));
    const traded = await clearGate();
    expect(traded!.tradedWh).toBe(kept.reduce((sum, count) => sum + count, 0) * 100);
    const cost = await database.query<{ held: number }>(
      `SELECT sum(debits_pending)::bigint AS held FROM account WHERE account_id LIKE 'household/%'`,
    );
    expect(cost[0]!.held).toBe((traded!.tradedWh / 1000) * traded!.clearingPrice!);
  });
});

describe('standing orders', () => {
  test('count from the next slot, the last change of a slot wins, and a repetition is no record', async () => {
    const { market, microgrid, householdOf, clock, database, ledger } = await open({
      wallets: { A: 0, B: 0 },
      mechanism: 'metered',
    });
    const a = await householdOf('A');
    const none = { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null, wishes: [] };
    expect(await market.limits(database, a)).toEqual({ ...none, validFrom: a.activeFrom });
    await clock.advance(database, '2026-06-01T10:05:00Z');
    await market.setLimits(microgrid, a, { ...none, sellAboveMicroPerKwh: 90_000 });
    const set = await market.setLimits(microgrid, a, { ...none, sellAboveMicroPerKwh: 80_000 });
    expect(set).toMatchObject({ sellAboveMicroPerKwh: 80_000, validFrom: '2026-06-01T10:15:00Z' });
    const head = await ledger.head(database, 'street');
    expect(await market.setLimits(microgrid, a, { ...none, sellAboveMicroPerKwh: 80_000 })).toEqual(
      set,
    );
    expect(await ledger.head(database, 'street')).toBe(head);
    await clock.advance(database, '2026-06-01T10:15:00Z');
    const wishes = [{ kind: 'solar' as const, premiumMicroPerKwh: 20_000 }];
    await market.setLimits(microgrid, a, { ...none, buyBelowMicroPerKwh: 200_000, wishes });
    const at = async (slot: Instant) =>
      Object.fromEntries(await market.standingOrders(database, 'street', slot));
    expect(await at('2026-06-01T10:00:00Z')).toEqual({});
    expect(await at('2026-06-01T10:15:00Z')).toEqual({
      A: { sellAbove: 80_000, buyBelow: null, wishes: [] },
    });
    expect(await at('2026-06-01T10:30:00Z')).toEqual({
      A: { sellAbove: null, buyBelow: 200_000, wishes },
    });
    const records = await ledger.records(database, 'street', { since: 0, limit: 10 });
    expect(records.map(({ facts }) => facts)).toEqual([
      expect.objectContaining({ action: 'limits', household: 'A', sellAboveMicroPerKwh: 90_000 }),
      expect.objectContaining({ validFrom: '2026-06-01T10:15:00Z', sellAboveMicroPerKwh: 80_000 }),
      expect.objectContaining({
        validFrom: '2026-06-01T10:30:00Z',
        buyBelowMicroPerKwh: 200_000,
        wishes,
      }),
    ]);
  });
});

describe('the book of trades', () => {
  const LATER = '2026-06-01T12:15:00Z';
  const matched = (energyWh: number): MatchedTrade => ({
    buyer: 'B',
    seller: 'A',
    bidId: null,
    askId: null,
    energyWh,
    buyerPriceMicroPerKwh: 120_000,
    sellerPriceMicroPerKwh: 100_000,
    congestionMicroPerKwh: 0,
    firm: false,
  });
  const savedIn = (slot: string, revision: number, ...wh: number[]) =>
    numberTrades('street', slot, wh.map(matched), revision).map((trade) => ({
      ...trade,
      sequence: 40 + revision,
    }));
  const saved = (revision: number, ...wh: number[]) => savedIn(SLOT, revision, ...wh);

  test('shows the latest revision, even one without a trade, on the tape as well', async () => {
    const { market, database } = await open({ wallets: { A: 0, B: 0 }, mechanism: 'metered' });
    const energies = async () =>
      (await market.tradesOf(database, 'street', SLOT)).map(({ energyWh }) => energyWh);
    await market.saveTrades(database, 'street', SLOT, 0, saved(0, 500, 300));
    await market.saveTrades(database, 'street', LATER, 0, savedIn(LATER, 0, 7));
    expect(await energies()).toEqual([500, 300]);
    expect(await market.tape('street', 2, null)).toEqual([
      {
        trade: tradeId('street', LATER, 0, 1),
        sequence: 40,
        slot: LATER,
        number: 1,
        energyWh: 7,
        priceMicroPerKwh: 100_000,
      },
      {
        trade: tradeId('street', SLOT, 0, 2),
        sequence: 40,
        slot: SLOT,
        number: 2,
        energyWh: 300,
        priceMicroPerKwh: 100_000,
      },
      {
        trade: tradeId('street', SLOT, 0, 1),
        sequence: 40,
        slot: SLOT,
        number: 1,
        energyWh: 500,
        priceMicroPerKwh: 100_000,
      },
    ]);
    expect(await market.tape('street', 2, { slot: SLOT, number: 2 })).toHaveLength(1);
    await market.saveTrades(database, 'street', SLOT, 1, saved(1, 450));
    expect(await energies()).toEqual([450]);
    await market.saveTrades(database, 'street', SLOT, 2, []);
    expect(await energies()).toEqual([]);
    expect(await market.tape('street', 10, null)).toHaveLength(1);
    await expect(market.saveTrades(database, 'street', SLOT, 1, [])).rejects.toThrow('too late');
  });
});
