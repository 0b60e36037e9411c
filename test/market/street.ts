import { SYSTEM, walletOf } from '../../src/ledger/accounts.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { walletTerms } from '../../src/market/market-records.js';
import { MarketService } from '../../src/market/market.service.js';
import { OrderService, type Placed } from '../../src/market/order.service.js';
import type { OrderRequest, Side } from '../../src/market/order.js';
import type { Caller } from '../../src/parties/access.decorator.js';
import { MarketClockService } from '../../src/parties/market-clock.service.js';
import type { Household, Mechanism, Microgrid } from '../../src/parties/microgrid.js';
import { PartiesService } from '../../src/parties/parties.service.js';
import type { Instant } from '../../src/units/slot.js';
import { freshDatabase } from '../support/database.js';

/** A street with a call auction on a real database: who lives there, and verbs for its market. */

export const NOW = '2026-06-01T10:00:00Z';
export const SLOT = '2026-06-01T12:00:00Z';
const STARTS = '2026-06-01T00:00:00Z';

export interface StreetSetup {
  /** Household ids with what they paid into their wallets, in micro-units. */
  wallets: Record<string, number>;
  mechanism?: Mechanism;
  gridFee?: number;
  importLimitW?: number;
}

export async function openStreet(setup: StreetSetup) {
  const { url, database, drop } = await freshDatabase();
  const clock = new MarketClockService({ marketClock: 'simulated' }, database);
  const ledger = new LedgerService();
  const parties = new PartiesService(database, clock, { append: () => Promise.resolve([]) });
  const market = new MarketService(database, ledger, parties, clock);
  const orders = new OrderService(database, ledger, parties, clock);

  const households = Object.keys(setup.wallets);
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, mechanism, starts_at)
     VALUES ('street', 'A street', 'EUR', $1, $2)`,
    [setup.mechanism ?? 'call-auction', STARTS],
  );
  await database.query(
    `INSERT INTO tariff (microgrid_id, valid_from, from_minute, retail_micro_per_kwh,
       feed_in_micro_per_kwh, grid_fee_micro_per_kwh)
     VALUES ('street', $1, 0, 300000, 50000, $2)`,
    [STARTS, setup.gridFee ?? 0],
  );
  await database.query(
    `INSERT INTO party (party_id, kind) SELECT id, 'household' FROM unnest($1::text[]) AS id`,
    [households],
  );
  await database.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from, import_limit_w)
     SELECT 'street', id, 'Alias of ' || id, $2, $3 FROM unnest($1::text[]) AS id`,
    [households, STARTS, setup.importLimitW ?? null],
  );
  await clock.advance(database, NOW);
  const microgrid: Microgrid = (await parties.microgrid(database, 'street'))!;
  const householdOf = async (id: string): Promise<Household> =>
    (await parties.householdOf(database, id))!;
  for (const [household, amount] of Object.entries(setup.wallets)) {
    if (amount === 0) continue;
    await ledger.append(
      database,
      'street',
      [
        {
          kind: 'deposit',
          at: STARTS,
          cause: `deposit/${household}`,
          keyHolder: household,
          households: [household],
          facts: { household },
          transfers: [
            {
              debit: SYSTEM.bank,
              credit: walletOf(household),
              asset: 'EUR',
              amount,
              code: 'deposit',
            },
          ],
        },
      ],
      [walletTerms(microgrid, await householdOf(household))],
    );
  }

  let keys = 0;
  return {
    url,
    database,
    drop,
    clock,
    ledger,
    parties,
    market,
    orders,
    microgrid,
    householdOf,

    /** `place('B', 'bid', 800, 200_000)`; a new key each time unless one is given. */
    place(
      household: string,
      side: Side,
      energyWh: number,
      priceMicroPerKwh: number,
      more: Partial<OrderRequest> & { key?: string } = {},
    ): Promise<Placed> {
      const { key = `key-${(keys += 1)}`, ...rest } = more;
      return orders.placeOrder(
        tenantOf(household),
        {
          microgrid: 'street',
          household,
          slot: SLOT,
          side,
          energyWh,
          priceMicroPerKwh,
          delivery: 'delivered',
          ...rest,
        },
        key,
      );
    },

    clearGate(slot = SLOT) {
      return database.transaction((sql) => market.clearGate(sql, microgrid, slot, slot));
    },

    /** What a wallet holds and what of it is free, in micro-units. */
    async wallet(household: string): Promise<{ held: number; paid: number }> {
      const account = walletOf(household);
      const balance = (await ledger.balances(database, 'street', [account])).get(account);
      return {
        held: balance?.debitsPending ?? 0,
        paid: (balance?.creditsPosted ?? 0) - (balance?.debitsPosted ?? 0),
      };
    },

    async statuses(): Promise<Record<string, string>> {
      const rows = await database.query<{ id: string; status: string; filled: number }>(
        `SELECT order_id AS id, status, filled_wh AS filled FROM market_order`,
      );
      return Object.fromEntries(rows.map((row) => [row.id, `${row.status} ${row.filled}`]));
    },
  };
}

export type Street = Awaited<ReturnType<typeof openStreet>>;

/** Someone who lives there. */
export function tenantOf(household: string, validFrom: Instant = STARTS): Caller {
  return {
    personId: `tenant-${household}`,
    sessionId: 'a-session',
    expiresAt: '2099-01-01T00:00:00Z',
    mustChangePassword: false,
    grants: [
      {
        role: 'household',
        microgridId: 'street',
        householdId: household,
        validFrom,
        validUntil: null,
      },
    ],
  };
}

/** The order of an accepted request. */
export function accepted(placed: Placed) {
  if (placed.outcome !== 'accepted') throw new Error(`refused: ${placed.outcome}`);
  return placed.order;
}
