import type { Pricing } from '../parties/microgrid.js';
import { largestRemainder, safeInteger } from '../units/integer.js';
import { uniformPrice, type PriceInterval } from './pricing.js';

/**
 * A uniform-price call auction in integers: the book is matched to its efficient volume, orders at
 * the margin share what is left pro rata, and all trades have one price that every served order
 * agreed to. The result does not depend on the order of the rows.
 */

export interface LimitOrder {
  /** Unique among bids and asks together; canonical order is by id, in UTF-16 code units. */
  readonly id: string;
  readonly trader: string;
  /** The most a bid pays or the least an ask takes, in micro-units per kWh. */
  readonly price: number;
  /** Energy in Wh, not negative. */
  readonly quantity: number;
}
export type Bid = LimitOrder;
export type Ask = LimitOrder;

export interface CallAuctionInput {
  readonly bids: readonly Bid[];
  readonly asks: readonly Ask[];
  /** Where in the competitive interval the price stands, 0 to 1000. */
  readonly kThousandths: number;
  readonly pricing?: Pricing;
  /** Needed by `mid-market` pricing only. */
  readonly retail?: number;
  readonly feedIn?: number;
}

/** What one bid takes from one ask. */
export interface AuctionTrade {
  readonly bid: Bid;
  readonly ask: Ask;
  readonly quantity: number;
}

export interface CallAuctionResult {
  readonly trades: AuctionTrade[];
  readonly price: number | null;
  /** The competitive interval; null when nothing was traded. */
  readonly interval: PriceInterval | null;
  readonly volume: number;
  /** What each order was served, zero included. */
  readonly filled: Map<string, number>;
}

/**
 * Clears one book. At most `bids + asks − 1` trades come of it.
 * @throws RangeError on a fraction, a negative quantity, an id given twice, or a trader on both sides
 * @example
 * callAuction({
 *   bids: [{ id: 'b', trader: 'B', price: 300_000, quantity: 800 }],
 *   asks: [{ id: 'a', trader: 'A', price: 50_000, quantity: 900 }],
 *   kThousandths: 500,
 * }) // 800 Wh at 50_000: the 100 Wh left over press the price down to the ask
 */
export function callAuction(input: CallAuctionInput): CallAuctionResult {
  const { bids, asks } = input;
  checkBook(bids, asks);
  const margin = matchLevels(levelsOf(bids, 'bid'), levelsOf(asks, 'ask'));
  if (margin === null) {
    return { trades: [], price: null, interval: null, volume: 0, filled: filledOf([bids, asks]) };
  }
  const bought = serve(bids, margin.bid, (price) => price > margin.bid.price);
  const sold = serve(asks, margin.ask, (price) => price < margin.ask.price);
  const interval: PriceInterval = [
    Math.max(margin.ask.price, margin.bid.bestLeft ?? -Infinity),
    Math.min(margin.bid.price, margin.ask.bestLeft ?? Infinity),
  ];
  const price = uniformPrice({ ...input, pricing: input.pricing ?? 'clearing' }, interval, [
    margin.ask.price,
    margin.bid.price,
  ]);
  const filled = filledOf([bids, asks], [bought, sold]);
  return { trades: pair(bought, sold), price, interval, volume: margin.volume, filled };
}

/** The quantity on offer at each price, best price first. */
interface Level {
  readonly price: number;
  readonly quantity: number;
}

/** The last level of one side that trades: what it is served, and the best price left unserved. */
interface Margin {
  readonly price: number;
  readonly quantity: number;
  readonly bestLeft: number | null;
}

/** One side's orders that are served, by id, and how much of each. */
interface Served {
  readonly orders: readonly LimitOrder[];
  readonly quantities: readonly number[];
}

function checkBook(bids: readonly Bid[], asks: readonly Ask[]): void {
  const buyers = new Set<string>();
  for (const { trader } of bids) buyers.add(trader);
  for (const { trader } of asks) {
    if (buyers.has(trader)) throw new RangeError(`trader ${trader} is on both sides`);
  }
  for (const orders of [bids, asks]) {
    for (const { id, price, quantity } of orders) {
      safeInteger(price, 'price');
      if (safeInteger(quantity, 'quantity') < 0) throw new RangeError(`negative quantity: ${id}`);
    }
  }
}

function filledOf(
  sides: readonly (readonly LimitOrder[])[],
  served: readonly Served[] = [],
): Map<string, number> {
  const filled = new Map<string, number>();
  let count = 0;
  for (const orders of sides) {
    for (const { id } of orders) filled.set(id, 0);
    count += orders.length;
  }
  if (filled.size !== count) throw new RangeError('an order id is used twice');
  for (const { orders, quantities } of served) {
    orders.forEach(({ id }, index) => filled.set(id, quantities[index]!));
  }
  return filled;
}

function levelsOf(orders: readonly LimitOrder[], side: 'bid' | 'ask'): Level[] {
  const quantities = new Map<number, number>();
  for (const { price, quantity } of orders) {
    if (quantity > 0) quantities.set(price, (quantities.get(price) ?? 0) + quantity);
  }
  const prices = Float64Array.from(quantities.keys()).sort();
  if (side === 'bid') prices.reverse();
  return Array.from(prices, (price) => ({
    price,
    quantity: safeInteger(quantities.get(price)!, 'quantity at one price'),
  }));
}

/** Walks both sides from their best prices while a bid meets an ask; equal prices trade. */
function matchLevels(
  bids: readonly Level[],
  asks: readonly Level[],
): { bid: Margin; ask: Margin; volume: number } | null {
  let volume = 0;
  let [i, j] = [0, 0];
  let [bidDone, askDone] = [0, 0];
  let [lastBid, lastAsk] = [-1, -1];
  let [bidAtLast, askAtLast] = [0, 0];
  while (i < bids.length && j < asks.length && bids[i]!.price >= asks[j]!.price) {
    const traded = Math.min(bids[i]!.quantity - bidDone, asks[j]!.quantity - askDone);
    volume = safeInteger(volume + traded, 'volume');
    bidDone += traded;
    askDone += traded;
    [lastBid, bidAtLast, lastAsk, askAtLast] = [i, bidDone, j, askDone];
    if (bidDone === bids[i]!.quantity) [i, bidDone] = [i + 1, 0];
    if (askDone === asks[j]!.quantity) [j, askDone] = [j + 1, 0];
  }
  if (volume === 0) return null;
  return {
    volume,
    bid: { price: bids[lastBid]!.price, quantity: bidAtLast, bestLeft: bids[i]?.price ?? null },
    ask: { price: asks[lastAsk]!.price, quantity: askAtLast, bestLeft: asks[j]?.price ?? null },
  };
}

/** All that is before the margin in full, and a share of what is at it. */
function serve(
  orders: readonly LimitOrder[],
  margin: Margin,
  isBefore: (price: number) => boolean,
): Served {
  const served = byId(
    orders.filter(
      ({ price, quantity }) => quantity > 0 && (price === margin.price || isBefore(price)),
    ),
  );
  const shares = proRata(
    margin.quantity,
    served.flatMap(({ price, quantity }) => (price === margin.price ? [quantity] : [])),
  );
  let atMargin = 0;
  const quantities = served.map(({ price, quantity }) =>
    price === margin.price ? shares[atMargin++]! : quantity,
  );
  return { orders: served, quantities };
}

/**
 * Largest remainder, ties to the lower index, in plain numbers where every product is exact: the
 * same result as `largestRemainder`, much faster on a long margin.
 */
function proRata(total: number, weights: readonly number[]): readonly number[] {
  let sum = 0;
  let largest = 0;
  for (const weight of weights) {
    sum += weight;
    if (weight > largest) largest = weight;
  }
  if (sum === total) return weights;
  if (!Number.isSafeInteger(total * largest)) return largestRemainder(total, weights);
  let left = total;
  const remainders = new Float64Array(weights.length);
  const shares = weights.map((weight, index) => {
    const product = total * weight;
    const remainder = product % sum;
    remainders[index] = remainder;
    const share = (product - remainder) / sum;
    left -= share;
    return share;
  });
  if (left === 0) return shares;
  // Whoever is above the smallest remainder that still gets a unit; then those at it, in order.
  const smallest = remainders.toSorted()[weights.length - left]!;
  for (const remainder of remainders) if (remainder > smallest) left -= 1;
  return shares.map((share, index) => {
    const remainder = remainders[index]!;
    if (remainder < smallest || (remainder === smallest && left-- <= 0)) return share;
    return share + 1;
  });
}

/** Two pointers over both sides in canonical order: each step exhausts a bid, an ask, or both. */
function pair(bought: Served, sold: Served): AuctionTrade[] {
  const trades: AuctionTrade[] = [];
  let [i, j] = [-1, -1];
  let [bidLeft, askLeft] = [0, 0];
  for (;;) {
    while (bidLeft === 0 && ++i < bought.orders.length) bidLeft = bought.quantities[i]!;
    while (askLeft === 0 && ++j < sold.orders.length) askLeft = sold.quantities[j]!;
    if (bidLeft === 0 || askLeft === 0) break;
    const quantity = Math.min(bidLeft, askLeft);
    trades.push({ bid: bought.orders[i]!, ask: sold.orders[j]!, quantity });
    bidLeft -= quantity;
    askLeft -= quantity;
  }
  if (bidLeft !== askLeft) throw new Error('bought and sold energy differ');
  return trades;
}

/** In canonical order. Rows mostly come in it: then there is nothing to sort. */
function byId(orders: readonly LimitOrder[]): readonly LimitOrder[] {
  const inOrder = orders.every(({ id }, index) => index === 0 || orders[index - 1]!.id < id);
  return inOrder ? orders : orders.toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}
