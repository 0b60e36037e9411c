import { LedgerService } from '../src/ledger/ledger.service.js';
import { SYSTEM, walletOf } from '../src/ledger/accounts.js';
import { OrderService } from '../src/market/order.service.js';
import type { Caller } from '../src/parties/access.decorator.js';
import { MarketClockService } from '../src/parties/market-clock.service.js';
import { PartiesService } from '../src/parties/parties.service.js';
import { withDatabase, type BenchDatabase } from './database.js';
import { median } from './measure.js';
import { present, progress, type Report, type Table } from './report.js';

/**
 * Orders one by one through the service, each in a durable transaction of its own: under `continuous`
 * with more and more that rest in the slot's rows, beside the same orders under `call-auction`, which
 * meet nobody when they are placed.
 */

const HELP = `npm run bench -- orders [--orders N] [--json]

Milliseconds to place an order through the service, one after another, each in a durable transaction of
its own: under continuous beside 0, 1,000 and 10,000 resting orders, with a trade and without, and under
call-auction.
`;

const NOW = '2026-06-01T10:00:00Z';
const SLOT = '2026-06-01T12:00:00Z';
const RETAIL = 300_000;
const FEED_IN = 50_000;
const WARM_UP = 20;

async function measure({ orders }: Readonly<Record<string, number>>): Promise<Report> {
  return withDatabase(async (bench) => {
    const table: Table = { title: 'Milliseconds to place an order, the median', rows: [] };
    await found(bench, 'auction', 'call-auction', 0);
    const auction = await place(bench, 'auction', orders!, 60_000);
    table.rows.push({ mechanism: 'call-auction', resting: 0, 'without a trade, ms': auction });
    for (const resting of [0, 1_000, 10_000]) {
      progress(`continuous beside ${resting} resting orders`);
      const microgrid = `continuous-${resting}`;
      await found(bench, microgrid, 'continuous', resting);
      const resting_ = await place(bench, microgrid, orders!, 60_000);
      const trading = resting === 0 ? null : await place(bench, microgrid, orders!, 200_000);
      table.rows.push({
        mechanism: 'continuous',
        resting,
        'without a trade, ms': resting_,
        'with one, ms': trading,
      });
    }
    return { tables: [table], limits: [], notes: [bench.durability] };
  });
}

/** A microgrid whose neighbor offers so many Wh, one an order, all above the price of a low bid. */
async function found(
  { database, owner }: BenchDatabase,
  microgrid: string,
  mechanism: string,
  resting: number,
): Promise<void> {
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, mechanism, starts_at)
     VALUES ($1, 'A street', 'EUR', $2, '2026-06-01T00:00:00Z')`,
    [microgrid, mechanism],
  );
  await database.query(
    `INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
       feed_in_micro_per_kwh, grid_fee_micro_per_kwh)
     VALUES ($1, '2026-06-01T00:00:00Z', 0, $2, $3, 0)`,
    [microgrid, RETAIL, FEED_IN],
  );
  for (const side of ['buys', 'sells']) {
    await database.query(`INSERT INTO party (party_id, kind) VALUES ($1, 'household')`, [
      `${microgrid}-${side}`,
    ]);
    await database.query(
      `INSERT INTO household (microgrid_id, household_id, alias, active_from)
       VALUES ($1, $2, $3, '2026-06-01T00:00:00Z')`,
      [microgrid, `${microgrid}-${side}`, `The one that ${side}`],
    );
  }
  // Asks hold no money, so that their rows are all there is to them.
  await database.query(
    `INSERT INTO market_order (microgrid_id, order_id, household_id, slot_start, side, energy_wh,
       price_micro_per_kwh, delivery, status, idempotency_key, request_hash, sequence, placed_by)
     SELECT $1, lpad(to_hex(one), 32, '0'), $2, $3, 'ask', 1, 100000 + one % 1000, 'delivered',
       'open', one, '', one, $2
     FROM generate_series(1, $4::integer) AS one`,
    [microgrid, `${microgrid}-sells`, SLOT, resting],
  );
  // As autovacuum does in a service that runs.
  await owner.query('ANALYZE market_order');
  const buyer = walletOf(`${microgrid}-buys`);
  await new LedgerService().append(database, microgrid, [
    {
      kind: 'deposit',
      at: NOW,
      cause: 'deposit',
      keyHolder: '',
      households: [],
      facts: {},
      transfers: [
        { debit: SYSTEM.bank, credit: buyer, asset: 'EUR', amount: 1e12, code: 'deposit' },
      ],
    },
  ]);
}

let keys = 0;

/** Bids of 1 Wh at a price, one after another. @returns the median of their milliseconds */
async function place(
  { database, settings }: BenchDatabase,
  microgrid: string,
  orders: number,
  priceMicroPerKwh: number,
): Promise<number> {
  const clock = new MarketClockService(settings, database);
  await clock.advance(database, NOW);
  const parties = new PartiesService(database, clock, { append: () => Promise.resolve([]) });
  const service = new OrderService(database, new LedgerService(), parties, clock);
  const household = `${microgrid}-buys`;
  const caller: Caller = {
    personId: household,
    sessionId: 'bench',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [],
  };
  const times: number[] = [];
  for (let one = 0; one < orders + WARM_UP; one += 1) {
    const request = {
      microgrid,
      household,
      slot: SLOT,
      side: 'bid' as const,
      energyWh: 1,
      priceMicroPerKwh,
      delivery: 'delivered' as const,
    };
    const began = performance.now();
    const placed = await service.placeOrder(caller, request, `bench-${(keys += 1)}`);
    times.push(performance.now() - began);
    if (placed.outcome !== 'accepted') throw new Error(placed.outcome);
    // A household has so many open orders at most.
    if (placed.order.status === 'open') {
      await database.query(
        `UPDATE market_order SET status = 'unfilled' WHERE microgrid_id = $1 AND order_id = $2`,
        [microgrid, placed.order.id],
      );
    }
  }
  return Number(median(times.slice(WARM_UP)).toFixed(2));
}

await present('orders', HELP, measure, { orders: 200 });
