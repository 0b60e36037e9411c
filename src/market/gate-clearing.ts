import type { Tariff } from '../parties/microgrid.js';
import { costMicro } from '../units/money.js';
import { clearBook, type BookedOrder, type ClearingRules } from './clearing.js';
import { askWithin, bidWithin } from './limits.js';
import type { Delivery, OrderStatus, Side } from './order.js';
import type { MatchedTrade } from './trade.js';

/**
 * Gate closure of the `call-auction` mechanism: the open orders of one slot meet in one call
 * auction, and become trades whose exact costs the buyers' money covers, whatever the rounding.
 */

export interface BookOrder {
  readonly orderId: string;
  readonly householdId: string;
  readonly side: Side;
  readonly energyWh: number;
  readonly priceMicroPerKwh: number;
  readonly delivery: Delivery;
  readonly feeder: string | null;
  /** The record that placed it: who came first. */
  readonly sequence: number;
}

export interface GateInput {
  readonly orders: readonly BookOrder[];
  readonly tariff: Tariff;
  readonly rules: ClearingRules;
  /** What a buyer can spend once the holds of its open orders are given back. */
  readonly coverMicro: (householdId: string) => number;
}

/** A trade of orders made ahead: it names both. */
export type GateTrade = MatchedTrade & { readonly bidId: string; readonly askId: string };

export interface ServedOrder {
  readonly orderId: string;
  readonly householdId: string;
  readonly status: Extract<OrderStatus, 'filled' | 'partly-filled' | 'unfilled'>;
  readonly filledWh: number;
}

export interface ClearedGate {
  /** The one price of all trades; null where there is none, or prices differ. */
  readonly clearingPrice: number | null;
  readonly tradedWh: number;
  readonly trades: GateTrade[];
  /** Every order of the book, by id. */
  readonly orders: ServedOrder[];
}

/** Clears one slot's book; nobody trades with itself. */
export function clearOrders(input: GateInput): ClearedGate {
  const { orders, tariff } = input;
  const byId = new Map(orders.map((order) => [order.orderId, order]));
  const cleared = clearBook(
    input.rules,
    tariff,
    orders.flatMap((order) => auctionOrder(order, 'bid', tariff)),
    orders.flatMap((order) => auctionOrder(order, 'ask', tariff)),
  );
  const trades = withinCover(
    cleared.trades.map(({ bid, ask, quantity, buyerPrice, sellerPrice, congestionPrice }) => ({
      buyer: bid.trader,
      seller: ask.trader,
      bidId: bid.id,
      askId: ask.id,
      energyWh: quantity,
      buyerPriceMicroPerKwh: buyerPrice + tariff.gridFeeMicroPerKwh,
      sellerPriceMicroPerKwh: sellerPrice,
      congestionMicroPerKwh: congestionPrice,
      firm: byId.get(bid.id)!.delivery === 'firm' && byId.get(ask.id)!.delivery === 'firm',
    })),
    input.coverMicro,
  );
  return {
    clearingPrice: trades.length === 0 ? null : cleared.price,
    tradedWh: trades.reduce((sum, { energyWh }) => sum + energyWh, 0),
    trades,
    orders: servedOrders(orders, trades),
  };
}

/** What the buyer of a trade owes for all of it. */
export function tradeCostMicro(trade: MatchedTrade): number {
  return costMicro(trade.energyWh, trade.buyerPriceMicroPerKwh);
}

/** The order as it stands in the auction; none when a tariff that has changed since excludes it. */
function auctionOrder(order: BookOrder, side: Side, tariff: Tariff): BookedOrder[] {
  if (order.side !== side) return [];
  const limit =
    side === 'bid'
      ? bidWithin(tariff, order.priceMicroPerKwh)
      : askWithin(tariff, order.priceMicroPerKwh);
  if (limit === null) return [];
  const price = side === 'bid' ? limit - tariff.gridFeeMicroPerKwh : limit;
  const { orderId: id, householdId: trader, feeder, energyWh: quantity, sequence } = order;
  return [{ id, trader, feeder, price, quantity, sequence }];
}

/**
 * An order's hold was rounded once, its trades are rounded one by one: at the limit price they can
 * cost some micro-units more. A buyer that lacks these gives up single Wh of its largest trades.
 */
function withinCover(
  trades: readonly GateTrade[],
  coverMicro: (householdId: string) => number,
): GateTrade[] {
  const spent = new Map<string, number>();
  for (const trade of trades) {
    spent.set(trade.buyer, (spent.get(trade.buyer) ?? 0) + tradeCostMicro(trade));
  }
  const short = [...spent.keys()].filter((buyer) => spent.get(buyer)! > coverMicro(buyer));
  if (short.length === 0) return [...trades];
  const kept = [...trades];
  for (const buyer of short) {
    let over = spent.get(buyer)! - coverMicro(buyer);
    while (over > 0) {
      const index = largestTradeOf(buyer, kept);
      const trade = kept[index];
      if (!trade) break;
      const less = { ...trade, energyWh: trade.energyWh - 1 };
      over -= tradeCostMicro(trade) - tradeCostMicro(less);
      kept[index] = less;
    }
  }
  return kept.filter(({ energyWh }) => energyWh > 0);
}

function largestTradeOf(buyer: string, trades: readonly GateTrade[]): number {
  let [largest, most] = [-1, 0];
  trades.forEach((trade, index) => {
    if (trade.buyer === buyer && trade.energyWh > most) [largest, most] = [index, trade.energyWh];
  });
  return largest;
}

function servedOrders(orders: readonly BookOrder[], trades: readonly GateTrade[]): ServedOrder[] {
  const filled = new Map<string, number>();
  for (const { bidId, askId, energyWh } of trades) {
    filled.set(bidId, (filled.get(bidId) ?? 0) + energyWh);
    filled.set(askId, (filled.get(askId) ?? 0) + energyWh);
  }
  return orders
    .map(({ orderId, householdId, energyWh }): ServedOrder => {
      const filledWh = filled.get(orderId) ?? 0;
      const status =
        filledWh === 0 ? 'unfilled' : filledWh === energyWh ? 'filled' : 'partly-filled';
      return { orderId, householdId, status, filledWh };
    })
    .sort((a, b) => (a.orderId < b.orderId ? -1 : 1));
}
