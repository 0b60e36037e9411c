import type { Priced } from './canonical-order.js';
import { safeInteger } from '../units/integer.js';

/**
 * Where supply meets demand: the efficient volume of a book, and the last price on each side at which
 * something is traded.
 */

/** The orders at the last price of one side that trades. */
export interface Margin {
  readonly price: number;
  /** Their places, first and behind the last; all before them are served in full. */
  readonly from: number;
  readonly to: number;
  /** How much they are served together. */
  readonly quantity: number;
  /** The best price of this side that is left unserved. */
  readonly bestLeft: number | null;
}

export interface Crossing {
  readonly volume: number;
  readonly bid: Margin;
  readonly ask: Margin;
}

/**
 * Walks both sides from their best prices while a bid is at least the ask it meets; equal prices trade.
 * @param bids and asks in merit order
 * @returns null when no bid meets an ask
 * @throws RangeError when quantities sum to more than 2^53 − 1
 */
export function crossingOf(bids: readonly Priced[], asks: readonly Priced[]): Crossing | null {
  let volume = 0;
  let [i, j] = [0, 0];
  let [bidLeft, askLeft] = [bids[0]?.quantity ?? 0, asks[0]?.quantity ?? 0];
  while (i < bids.length && j < asks.length && bids[i]!.price >= asks[j]!.price) {
    const traded = bidLeft < askLeft ? bidLeft : askLeft;
    volume += traded;
    bidLeft -= traded;
    askLeft -= traded;
    if (bidLeft === 0) bidLeft = bids[++i]?.quantity ?? 0;
    if (askLeft === 0) askLeft = asks[++j]?.quantity ?? 0;
  }
  if (volume === 0) return null;
  safeInteger(volume, 'volume');
  return { volume, bid: marginOf(bids, i, volume), ask: marginOf(asks, j, volume) };
}

/** @param left the first order that is not served in full */
function marginOf(orders: readonly Priced[], left: number, volume: number): Margin {
  let before = 0;
  for (let place = 0; place < left; place += 1) before += orders[place]!.quantity;
  // What is left of an order that trades is left at the margin; otherwise the order before it was last.
  const last = before < volume ? left : left - 1;
  const { price } = orders[last]!;
  let from = last;
  if (last === left - 1) before -= orders[last]!.quantity;
  while (from > 0 && orders[from - 1]!.price === price) before -= orders[--from]!.quantity;
  let to = last + 1;
  while (to < orders.length && orders[to]!.price === price) to += 1;
  const bestLeft = orders[left]?.price ?? null;
  return { price, from, to, quantity: volume - before, bestLeft };
}
