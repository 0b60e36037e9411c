import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { DatabaseService } from '../../src/database/database.service.js';
import { walletOf } from '../../src/ledger/accounts.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { ContinuousBook } from '../../src/market/continuous-book.js';
import { OrderService } from '../../src/market/order.service.js';
import type { Side, TimeInForce } from '../../src/market/order.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import { formatInstant, parseInstant, type Instant } from '../../src/units/slot.js';
import { randomFrom } from '../../simulator/random.js';
import { accepted, openStreet, SLOT, tenantOf, type Street } from './street.js';

/** Orders that meet the moment they come, on a real database: trades, holds, rows and records. */

let plain: Street;
let taxed: Street;

/** Each test has a slot, and households, of its own. */
beforeAll(async () => {
  const wallets = Object.fromEntries(
    [...'ABCDEFGHIJKLMNOPQRSTUVW'].map((name) => [name, WALLETS[name] ?? 0]),
  );
  const rich = Object.fromEntries([...'abcde'].map((name) => [name, 1_000_000_000]));
  [plain, taxed] = await Promise.all([
    openStreet({ mechanism: 'continuous', wallets: { ...wallets, ...rich } }),
    openStreet({
      mechanism: 'continuous',
      wallets: { A: 0, B: 100_000, D: 1_000_000 },
      gridFee: 20_000,
      importLimitW: 4000,
    }),
  ]);
});
afterAll(() => Promise.all([plain.drop(), taxed.drop()]));

const WALLETS: Record<string, number> = {
  B: 300_000,
  F: 100_000,
  H: 50_000,
  J: 100_000,
  L: 252,
  N: 300_000,
  O: 90_000,
  Q: 300_000,
};

const slotAt = (quarters: number): Instant =>
  formatInstant(parseInstant(SLOT) + quarters * 900_000);

/** `B pays A 100000 for 300`, in the order in which they were made. */
async function trades({ market, database }: Street, slot: Instant): Promise<string[]> {
  const made = await market.tradesOf(database, 'street', slot);
  return made.map(
    ({ number, buyer, seller, energyWh, buyerPriceMicroPerKwh, firm }) =>
      `${number}. ${buyer} pays ${seller} ${buyerPriceMicroPerKwh} for ${energyWh}${firm ? ', firm' : ''}`,
  );
}

describe('an order that comes', () => {
  test('trades at the prices of those that rest, best price first, then first come first', async () => {
    const slot = slotAt(0);
    const here = plain;
    const { place, wallet, statuses, orders, ledger, database } = here;
    const since = (await ledger.head(database, 'street')) + 3;
    const dear = accepted(await place('A', 'ask', 500, 120_000, { slot }));
    const first = accepted(await place('C', 'ask', 300, 100_000, { slot, delivery: 'firm' }));
    const second = accepted(await place('D', 'ask', 300, 100_000, { slot }));
    expect(await trades(here, slot)).toEqual([]);
    const bid = accepted(await place('B', 'bid', 1000, 200_000, { slot, delivery: 'firm' }));
    expect(bid).toMatchObject({ status: 'filled', filledWh: 1000, timeInForce: 'gtc' });
    expect(await trades(here, slot)).toEqual([
      '1. B pays C 100000 for 300, firm',
      '2. B pays D 100000 for 300',
      '3. B pays A 120000 for 400',
    ]);
    expect(await statuses()).toMatchObject({
      [dear.id]: 'open 400',
      [first.id]: 'filled 300',
      [second.id]: 'filled 300',
      [bid.id]: 'filled 1000',
    });
    // 200,000 at its worst, 108,000 as it came.
    expect(await wallet('B')).toEqual({ held: 108_000, paid: 300_000 });
    expect(await orders.orderBook('street', slot)).toEqual({
      bids: [],
      asks: [{ priceMicroPerKwh: 120_000, energyWh: 100 }],
    });
    const records = await ledger.records(database, 'street', { since, limit: 10 });
    expect(records).toMatchObject([
      { kind: 'order', households: ['B'], facts: { action: 'placed', order: bid.id } },
      {
        kind: 'order',
        households: ['A', 'B', 'C', 'D'],
        facts: {
          action: 'matched',
          order: bid.id,
          orders: [
            { order: bid.id, household: 'B', status: 'filled', filledWh: 1000 },
            { order: first.id, household: 'C', status: 'filled', filledWh: 300 },
            { order: second.id, household: 'D', status: 'filled', filledWh: 300 },
            { order: dear.id, household: 'A', status: 'open', filledWh: 400 },
          ],
        },
      },
    ]);
    expect(records[1]!.transfers.map(({ state, amount }) => `${state} ${amount}`)).toEqual([
      'void 0',
      'pending 30000',
      'pending 30000',
      'pending 48000',
    ]);
  });

  test('leaves a bid in part: what is traded holds its cost, the rest the cost of the rest', async () => {
    const slot = slotAt(0);
    const here = taxed;
    const { place, wallet, statuses, orders } = here;
    const bid = accepted(await place('B', 'bid', 500, 200_000, { slot }));
    expect(await wallet('B')).toEqual({ held: 100_000, paid: 100_000 });
    // The buyer's price includes the fee: the seller gets 180,000, and would take 90,000.
    accepted(await place('A', 'ask', 200, 90_000, { slot }));
    expect(await trades(here, slot)).toEqual(['1. B pays A 200000 for 200']);
    expect(await wallet('B')).toEqual({ held: 100_000, paid: 100_000 });
    expect(await statuses()).toMatchObject({ [bid.id]: 'open 200' });
    expect((await place('A', 'ask', 100, 180_001, { slot })).outcome).toBe('accepted');
    expect(await trades(here, slot)).toHaveLength(1);
    const { order } = (await orders.cancelOrder(tenantOf('B'), bid.id)) as { order: unknown };
    expect(order).toMatchObject({ status: 'cancelled', filledWh: 200 });
    expect(await wallet('B')).toEqual({ held: 40_000, paid: 100_000 });
    expect((await orders.orderBook('street', slot)).bids).toEqual([]);
  });

  test('at once or not at all: what does not trade is dropped', async () => {
    const slot = slotAt(1);
    const here = plain;
    const { place, wallet, statuses } = here;
    const ask = accepted(await place('E', 'ask', 300, 100_000, { slot }));
    const killed = await place('F', 'bid', 301, 100_000, { slot, timeInForce: 'fok', key: 'all' });
    expect(accepted(killed)).toMatchObject({
      status: 'unfilled',
      filledWh: 0,
      timeInForce: 'fok',
    });
    const early = accepted(await place('F', 'bid', 9, 99_999, { slot, timeInForce: 'ioc' }));
    expect(early).toMatchObject({ status: 'unfilled', filledWh: 0 });
    expect(await wallet('F')).toEqual({ held: 0, paid: 100_000 });
    const some = accepted(await place('F', 'bid', 500, 100_000, { slot, timeInForce: 'ioc' }));
    expect(some).toMatchObject({ status: 'partly-filled', filledWh: 300 });
    expect(await wallet('F')).toEqual({ held: 30_000, paid: 100_000 });
    expect(await statuses()).toMatchObject({ [ask.id]: 'filled 300' });
    await place('E', 'ask', 301, 100_000, { slot });
    // The order of that key had its chance.
    const again = await place('F', 'bid', 301, 100_000, { slot, timeInForce: 'fok', key: 'all' });
    expect(again).toEqual({ ...killed, repeated: true });
    const all = accepted(await place('F', 'bid', 301, 100_000, { slot, timeInForce: 'fok' }));
    expect(all).toMatchObject({ status: 'filled', filledWh: 301 });
  });

  test('needs its worst cost in the wallet, however good the prices that it meets', async () => {
    const slot = slotAt(2);
    const { place, ledger, database } = plain;
    await place('G', 'ask', 300, 100_000, { slot });
    const head = await ledger.head(database, 'street');
    expect((await place('H', 'bid', 300, 200_000, { slot })).outcome).toBe('exceeds_balance');
    expect((await place('H', 'bid', 300, 200_000, { slot, timeInForce: 'fok' })).outcome).toBe(
      'exceeds_balance',
    );
    expect(await ledger.head(database, 'street')).toBe(head);
    expect((await place('H', 'bid', 300, 160_000, { slot })).outcome).toBe('accepted');
  });

  test('never trades with its own household: the older order gives way', async () => {
    const slot = slotAt(3);
    const here = plain;
    const { place, wallet, statuses } = here;
    const own = accepted(await place('J', 'ask', 200, 90_000, { slot }));
    const other = accepted(await place('I', 'ask', 200, 100_000, { slot }));
    const bid = accepted(await place('J', 'bid', 200, 110_000, { slot }));
    expect(bid).toMatchObject({ status: 'filled', filledWh: 200 });
    expect(await statuses()).toMatchObject({ [own.id]: 'cancelled 0', [other.id]: 'filled 200' });
    const rest = accepted(await place('J', 'bid', 100, 90_000, { slot }));
    expect(await wallet('J')).toEqual({ held: 29_000, paid: 100_000 });
    accepted(await place('J', 'ask', 100, 80_000, { slot }));
    expect(await statuses()).toMatchObject({ [rest.id]: 'cancelled 0' });
    expect(await wallet('J')).toEqual({ held: 20_000, paid: 100_000 });
  });

  test('counts what is traded towards what the connection carries', async () => {
    const slot = slotAt(1);
    const { place } = taxed;
    await place('A', 'ask', 2000, 100_000, { slot });
    expect((await place('D', 'bid', 600, 100_000, { slot })).outcome).toBe('accepted');
    expect((await place('D', 'bid', 401, 100_000, { slot })).outcome).toBe(
      'above_connection_limit',
    );
    expect((await place('D', 'bid', 400, 100_000, { slot })).outcome).toBe('accepted');
  });

  test('finds a wallet without the last micro-unit of rounding: the rest leaves the book', async () => {
    const slot = slotAt(4);
    const { place, wallet, statuses, orders } = plain;
    const bid = accepted(await place('L', 'bid', 5, 50_500, { slot }));
    // 5 Wh cost 252, but 3 Wh 152 and 2 Wh 101.
    expect(await wallet('L')).toEqual({ held: 252, paid: 252 });
    await place('K', 'ask', 3, 50_000, { slot });
    expect(await statuses()).toMatchObject({ [bid.id]: 'partly-filled 3' });
    expect(await wallet('L')).toEqual({ held: 152, paid: 252 });
    expect((await orders.orderBook('street', slot)).bids).toEqual([]);
  });
});

describe('a gate', () => {
  test('ends what is open, frees its money, and keeps what was traded', async () => {
    const slot = slotAt(5);
    const here = plain;
    const { place, clearGate, wallet, statuses, ledger, database, market } = here;
    const ask = accepted(await place('M', 'ask', 500, 100_000, { slot }));
    const bid = accepted(await place('N', 'bid', 800, 100_000, { slot }));
    const low = accepted(await place('O', 'bid', 900, 90_000, { slot }));
    expect(await market.awaitsGate(database, 'street', slot)).toBe(true);
    const gate = await clearGate(slot);
    expect(gate).toEqual({
      clearingPrice: 100_000,
      tradedWh: 500,
      sequence: await ledger.head(database, 'street'),
    });
    expect(await statuses()).toMatchObject({
      [ask.id]: 'filled 500',
      [bid.id]: 'partly-filled 500',
      [low.id]: 'unfilled 0',
    });
    expect(await wallet('N')).toEqual({ held: 50_000, paid: 300_000 });
    expect(await wallet('O')).toEqual({ held: 0, paid: 90_000 });
    expect(await clearGate(slot)).toEqual(gate);
    expect(await market.awaitsGate(database, 'street', slot)).toBe(false);
    expect((await place('N', 'bid', 1, 100_000, { slot })).outcome).toBe('gate_closed');
  });

  test('waits also where everything was filled', async () => {
    const slot = slotAt(6);
    const { place, clearGate, market, database } = plain;
    await place('Q', 'bid', 800, 100_000, { slot });
    await place('P', 'ask', 800, 60_000, { slot });
    expect(await market.awaitsGate(database, 'street', slot)).toBe(true);
    expect(await clearGate(slot)).toMatchObject({ clearingPrice: 100_000, tradedWh: 800 });
    expect(await market.awaitsGate(database, 'street', slot)).toBe(false);
  });
});

/** Steps of a random day; `BOOK_STEPS` makes it longer, `BOOK_SEED` another. */
const STEPS = Number(process.env['BOOK_STEPS'] ?? 80);
const SEED = process.env['BOOK_SEED'] ?? String(Date.now() % 1_000_000);

test(`orders and cancels, a crash in their middle, end as in the pure book (BOOK_SEED=${SEED})`, async () => {
  const names = [...'abcde'];
  const here = plain;
  const slot = slotAt(7);
  const random = randomFrom(SEED);
  const pick = <One>(ones: readonly One[]): One => ones[random.between(0, ones.length - 1)]!;
  const book = new ContinuousBook();
  const told: string[] = [];
  const ids = new Map<string, { key: string; household: string }>();
  let instance = await openInstance(here.url);
  for (let step = 0; step < STEPS; step += 1) {
    // Connections are cut while an order may be on its way; another instance sends it again.
    const isCut = step === Math.floor(STEPS / 2);
    const resting = [...ids];
    if (random.uniform() < 0.2 && resting.length > 0) {
      const [id, { key, household }] = pick(resting);
      const { outcome } = await instance.orders.cancelOrder(tenantOf(household), id);
      expect({ step, outcome }).toEqual({
        step,
        outcome: book.cancel(key) === null ? expect.stringMatching(/ended|cancelled/) : 'cancelled',
      });
      ids.delete(id);
      continue;
    }
    const key = `step-${step}`;
    const household = pick(names);
    const side: Side = pick(['bid', 'ask']);
    const price = 60_000 + 1_000 * random.between(0, 11);
    const energyWh = random.between(1, 50);
    const time: TimeInForce = pick(['gtc', 'gtc', 'gtc', 'ioc', 'fok']);
    const order = () =>
      instance.orders.placeOrder(
        tenantOf(household),
        {
          microgrid: 'street',
          household,
          slot,
          side,
          energyWh,
          priceMicroPerKwh: price,
          delivery: 'delivered',
          ...(time === 'gtc' ? {} : { timeInForce: time }),
        },
        key,
      );
    if (isCut) {
      const lost = order().catch(() => null);
      await cutConnections(here.url);
      await lost;
      await instance.database.close().catch(() => undefined);
      instance = await openInstance(here.url);
    }
    const placed = accepted(await order());
    const pure = book.place(
      side,
      { id: key, trader: household, price, quantity: energyWh },
      BOOK_TIMES[time],
    );
    expect({ step, filledWh: placed.filledWh }).toEqual({ step, filledWh: pure.filled });
    told.push(
      ...pure.trades.map(
        ({ bid, ask, quantity, price: at }) =>
          `${bid.trader} pays ${ask.trader} ${at} for ${quantity}`,
      ),
    );
    ids.set(placed.id, { key, household });
  }
  expect((await trades(here, slot)).map((line) => line.replace(/^\d+\. /, ''))).toEqual(told);
  const levels = await here.orders.orderBook('street', slot);
  const depth = (side: Side) =>
    book
      .depth(side)
      .map(({ price, quantity }) => ({ priceMicroPerKwh: price, energyWh: quantity }));
  expect(levels).toEqual({ bids: depth('bid'), asks: depth('ask') });
  // What wallets hold is what trades cost and open bids could.
  const [sum] = await here.database.query<{ held: number; needed: number }>(
    `SELECT (SELECT sum(debits_pending)::bigint FROM account
         WHERE account_id = ANY ($2::text[])) AS held,
       (SELECT sum(energy_wh * buyer_price_micro_per_kwh / 1000)::bigint FROM trade
         WHERE slot_start = $1)
       + (SELECT coalesce(sum((energy_wh - filled_wh) * price_micro_per_kwh / 1000), 0)::bigint
         FROM market_order
         WHERE status = 'open' AND side = 'bid' AND slot_start = $1) AS needed`,
    [slot, names.map(walletOf)],
  );
  expect(sum!.held).toBe(sum!.needed);
  await instance.database.close();
});

const BOOK_TIMES = { gtc: 'GTC', ioc: 'IOC', fok: 'FOK' } as const;

/** The door to orders of another instance, with connections of its own. */
async function openInstance(url: string) {
  const database = await DatabaseService.open({ url, poolSize: 2 });
  const ledger = new LedgerService();
  const clock = new MarketClockService({ marketClock: 'simulated' }, database);
  const parties = new PartiesService(database, clock, { append: () => Promise.resolve([]) });
  return { database, orders: new OrderService(database, ledger, parties, clock) };
}

/** All connections of the log-in but our own, in the middle of whatever they do. */
async function cutConnections(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`,
  );
  await client.end();
}
