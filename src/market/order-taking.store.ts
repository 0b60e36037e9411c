import type { Sql } from '../database/database.service.js';
import { availableBalance, walletOf, type AccountTerms } from '../ledger/accounts.js';
import type { LedgerService } from '../ledger/ledger.service.js';
import type { Microgrid, Tariff } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import type { HeldOrder } from './market-records.js';
import { insertTrades } from './market.service.js';
import * as store from './market.store.js';
import { placeOrders, takeOrders, type ComingOrders, type TakenOrders } from './order-taking.js';
import { SlotBook, type TradedAhead } from './slot-book.js';

/**
 * The statements around orders that are taken: under the lock of the journal the best orders of the
 * other side are read, and what became of orders and trades is written, in a number of statements that
 * does not grow with them. No book is kept in memory: the rows are the book, for every instance.
 */

type OpenOrder = HeldOrder & { readonly sequence: number };

/**
 * What becomes of orders for one slot, which are judged already.
 * @param terms of the wallets of those who place them
 */
export async function decideOrders(
  sql: Sql,
  ledger: LedgerService,
  place: { microgrid: Microgrid; slot: Instant; at: Instant; tariff: Tariff },
  coming: ComingOrders,
  terms: readonly AccountTerms[],
): Promise<TakenOrders> {
  const { microgrid, slot, tariff } = place;
  if (microgrid.mechanism !== 'continuous') return placeOrders(place, coming);
  const { microgridId } = microgrid;
  const orders = await ordersToMeet(sql, microgridId, slot, tariff, coming);
  const [ahead] = await sql.query<TradedAhead>(store.TRADED_AHEAD, [microgridId, slot]);
  const buyers = orders.filter(({ side }) => side === 'bid').map(({ household }) => household);
  const wallets = [...new Set([...terms.map(({ account }) => account), ...buyers.map(walletOf)])];
  const balances = await ledger.balances(sql, microgridId, wallets);
  const credit = new Map(terms.map(({ account, creditLimit }) => [account, creditLimit]));
  const freeMicro = (household: string): number => {
    const balance = balances.get(walletOf(household));
    if (!balance) return credit.get(walletOf(household)) ?? 0;
    return balance.limited ? availableBalance(balance) : Infinity;
  };
  return takeOrders(
    place,
    {
      orders: new SlotBook(tariff, orders),
      holdOf: new Map(orders.map(({ id, holdId }) => [id, holdId])),
      freeMicro,
      lastTrade: ahead!.lastTrade,
    },
    coming,
  );
}

/** Writes what orders that met others came to; those that were placed are rows already. */
export async function writeMatches(
  sql: Sql,
  microgridId: string,
  slot: Instant,
  { changed, trades }: Pick<TakenOrders, 'changed' | 'trades'>,
  sequences: readonly number[],
): Promise<void> {
  if (changed.length === 0) return;
  const rows = await sql.query(store.MATCH_ORDERS, [
    microgridId,
    changed.map(({ orderId }) => orderId),
    changed.map(({ status }) => status),
    changed.map(({ filledWh }) => filledWh),
    changed.map(({ holdId }) => holdId),
  ]);
  if (rows.length !== changed.length) throw new Error('an order changed while it was met');
  if (trades.length === 0) return;
  await sql.query(store.BEGIN_TRADING, [microgridId, slot]);
  const numbered = trades.map(({ trade, draft }) => ({ ...trade, sequence: sequences[draft]! }));
  await insertTrades(sql, microgridId, slot, 0, numbered);
}

/** For one order the best that it can reach, a page at first; for several the whole book. */
async function ordersToMeet(
  sql: Sql,
  microgridId: string,
  slot: Instant,
  tariff: Tariff,
  coming: ComingOrders,
): Promise<OpenOrder[]> {
  const [only] = coming;
  if (only === undefined || coming.length > 1) {
    return sql.query<OpenOrder>(store.BOOK_OF_SLOT, [microgridId, slot]);
  }
  const { side, priceMicroPerKwh: price, energyWh, household } = only.request;
  const fee = tariff.gridFeeMicroPerKwh;
  const [other, reach] = side === 'bid' ? ['ask', price - fee] : ['bid', -(price + fee)];
  const best = (limit: number | null) =>
    sql.query<OpenOrder>(store.BEST_IN_BOOK, [microgridId, slot, other, reach, limit]);
  let found = await best(PAGE);
  // Prices beyond a tariff that came later count as the tariff: among these, time decides alone.
  const isBeyond = ({ priceMicroPerKwh: one }: OpenOrder) =>
    one > tariff.retailMicroPerKwh || one < tariff.feedInMicroPerKwh;
  const others = found.filter((one) => one.household !== household);
  const offeredWh = others.reduce((sum, one) => sum + one.energyWh - one.filledWh, 0);
  if (found.length === PAGE && (offeredWh < energyWh || found.some(isBeyond))) {
    found = await best(null);
  }
  return found.sort((a, b) => a.sequence - b.sequence);
}

/** More than an order mostly meets. */
const PAGE = 100;
