import { safeInteger } from '../units/integer.js';
import { inMeritOrder } from './canonical-order.js';
import type { LimitOrder } from './pairing.js';

/**
 * The double auction of McAfee (A dominant strategy double auction, 1992), for research: nobody gains by
 * another price than its true one, at the cost of at most one trade, and of a surplus that nobody gets.
 *
 * With k the efficient number of trades, all k trade at the mean of the first bid and the first ask that
 * do not, where the last that do accept it. Otherwise the last pair gives way: the k − 1 before it trade,
 * buyers pay its bid and sellers get its ask. Everybody wants one unit; a lot of many is one, where all
 * orders have the same quantity.
 */

export interface McAfeeInput {
  readonly bids: readonly LimitOrder[];
  readonly asks: readonly LimitOrder[];
}

export interface McAfeeResult {
  readonly trades: { bid: LimitOrder; ask: LimitOrder; quantity: number }[];
  /** What every buyer pays and every seller gets, the same unless the last pair gave way. */
  readonly buyerPrice: number | null;
  readonly sellerPrice: number | null;
  readonly volume: number;
  /** What buyers pay and sellers do not get. */
  readonly surplus: bigint;
}

/** Why a book is none for this auction. */
export type McAfeeRefusal = 'trader_has_two_orders' | 'quantities_differ';

/** The first order that does not fit, and why; null when all do. */
export function mcAfeeRefusal({ bids, asks }: McAfeeInput): {
  reason: McAfeeRefusal;
  order: LimitOrder;
} | null {
  const traders = new Set<string>();
  const unit = (bids[0] ?? asks[0])?.quantity;
  for (const order of [...bids, ...asks]) {
    if (order.quantity !== unit) return { reason: 'quantities_differ', order };
    // With a second order a trader could move the price that its first one trades at.
    if (traders.has(order.trader)) return { reason: 'trader_has_two_orders', order };
    traders.add(order.trader);
  }
  return null;
}

/**
 * @throws RangeError on a book that `mcAfeeRefusal` refuses
 * @example bids 10, 8, 6, 3 and asks 2, 4, 5, 9: three trade at (3 + 9) / 2 = 6
 */
export function mcAfee(input: McAfeeInput): McAfeeResult {
  const refusal = mcAfeeRefusal(input);
  if (refusal) throw new RangeError(`${refusal.reason}: ${refusal.order.id}`);
  const bids = inMeritOrder(input.bids, 'bid');
  const asks = inMeritOrder(input.asks, 'ask');
  let k = 0;
  while (k < bids.length && k < asks.length && bids[k]!.price >= asks[k]!.price) k += 1;
  const [nextBid, nextAsk] = [bids[k], asks[k]];
  const [lastBid, lastAsk] = [bids[k - 1], asks[k - 1]];
  if (lastBid === undefined || lastAsk === undefined) return traded(input, bids, asks, 0, null);
  if (nextBid !== undefined && nextAsk !== undefined) {
    const price = Math.floor(nextBid.price / 2 + nextAsk.price / 2);
    if (lastAsk.price <= price && price <= lastBid.price) {
      return traded(input, bids, asks, k, [price, price]);
    }
  }
  return traded(input, bids, asks, k - 1, [lastBid.price, lastAsk.price]);
}

function traded(
  input: McAfeeInput,
  bids: readonly LimitOrder[],
  asks: readonly LimitOrder[],
  pairs: number,
  prices: readonly [buyers: number, sellers: number] | null,
): McAfeeResult {
  const unit = (input.bids[0] ?? input.asks[0])?.quantity ?? 0;
  const trades = bids.slice(0, pairs).map((bid, at) => ({ bid, ask: asks[at]!, quantity: unit }));
  const volume = safeInteger(pairs * unit, 'volume');
  if (prices === null || pairs === 0) {
    return { trades, buyerPrice: null, sellerPrice: null, volume, surplus: 0n };
  }
  const [buyerPrice, sellerPrice] = prices;
  const surplus = BigInt(volume) * (BigInt(buyerPrice) - BigInt(sellerPrice));
  return { trades, buyerPrice, sellerPrice, volume, surplus };
}
