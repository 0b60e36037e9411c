import type { Pricing } from '../parties/microgrid.js';
import { largestRemainder, safeInteger } from '../units/integer.js';
import { compareIds, inOrderOfId, rowsByKey } from './canonical-order.js';
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
  /** What each order was served, zero included; made when it is first asked for. */
  readonly filled: ReadonlyMap<string, number>;
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
  checkOrders(input);
  const bids = inOrderOfId(input.bids);
  const asks = inOrderOfId(input.asks);
  checkApart(bids, asks);
  const margin = matchLevels(levelsOf(input.bids, 'bid'), levelsOf(input.asks, 'ask'));
  if (margin === null) {
    return withFilled({ trades: [], price: null, interval: null, volume: 0 }, input);
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
  return withFilled({ trades: pair(bought, sold), price, interval, volume: margin.volume }, input);
}

/** The quantity on offer at each price, best price first. */
interface Levels {
  readonly prices: Float64Array;
  readonly quantities: Float64Array;
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

function checkOrders({ bids, asks }: CallAuctionInput): void {
  const buyers = new Set<string>();
  for (const bid of bids) {
    checkOrder(bid);
    buyers.add(bid.trader);
  }
  for (const ask of asks) {
    checkOrder(ask);
    if (buyers.has(ask.trader)) throw new RangeError(`trader ${ask.trader} is on both sides`);
  }
}

function checkOrder({ id, price, quantity }: LimitOrder): void {
  safeInteger(price, 'price');
  if (safeInteger(quantity, 'quantity') < 0) throw new RangeError(`negative quantity: ${id}`);
}

/** That no id is on both sides, each in canonical order. */
function checkApart(bids: readonly Bid[], asks: readonly Ask[]): void {
  for (let i = 0, j = 0; i < bids.length && j < asks.length;) {
    const [bid, ask] = [bids[i]!, asks[j]!];
    if (compareIds(bid, ask) < 0) i += 1;
    else j += 1;
  }
}

/** Nobody clearing a slot needs every order's fill by id: the trades say it. */
function withFilled(
  result: Omit<CallAuctionResult, 'filled'>,
  { bids, asks }: CallAuctionInput,
): CallAuctionResult {
  let filled: Map<string, number> | undefined;
  return {
    ...result,
    get filled() {
      if (filled) return filled;
      filled = new Map();
      for (const orders of [bids, asks]) for (const { id } of orders) filled.set(id, 0);
      for (const { bid, ask, quantity } of result.trades) {
        filled.set(bid.id, filled.get(bid.id)! + quantity);
        filled.set(ask.id, filled.get(ask.id)! + quantity);
      }
      return filled;
    },
  };
}

function levelsOf(orders: readonly LimitOrder[], side: 'bid' | 'ask'): Levels {
  // Read once, in the order in which they lie in memory.
  const wanted = new Float64Array(orders.length);
  const limits = new Float64Array(orders.length);
  orders.forEach(({ price, quantity }, row) => {
    wanted[row] = quantity;
    limits[row] = price;
  });
  const rows = rowsByKey(limits);
  if (side === 'bid') rows.reverse();
  const prices = new Float64Array(orders.length);
  const quantities = new Float64Array(orders.length);
  let count = 0;
  for (const row of rows) {
    if (wanted[row] === 0) continue;
    if (count === 0 || prices[count - 1] !== limits[row]) prices[count++] = limits[row]!;
    quantities[count - 1]! += wanted[row]!;
  }
  return { prices: prices.subarray(0, count), quantities: quantities.subarray(0, count) };
}

/** Walks both sides from their best prices while a bid meets an ask; equal prices trade. */
function matchLevels(
  bids: Levels,
  asks: Levels,
): { bid: Margin; ask: Margin; volume: number } | null {
  let volume = 0;
  let [i, j] = [0, 0];
  let [bidDone, askDone] = [0, 0];
  let [lastBid, lastAsk] = [-1, -1];
  let [bidAtLast, askAtLast] = [0, 0];
  while (i < bids.prices.length && j < asks.prices.length && bids.prices[i]! >= asks.prices[j]!) {
    const [wanted, offered] = [quantityAt(bids, i), quantityAt(asks, j)];
    const traded = Math.min(wanted - bidDone, offered - askDone);
    volume = safeInteger(volume + traded, 'volume');
    bidDone += traded;
    askDone += traded;
    [lastBid, bidAtLast, lastAsk, askAtLast] = [i, bidDone, j, askDone];
    if (bidDone === wanted) [i, bidDone] = [i + 1, 0];
    if (askDone === offered) [j, askDone] = [j + 1, 0];
  }
  if (volume === 0) return null;
  return {
    volume,
    bid: { price: bids.prices[lastBid]!, quantity: bidAtLast, bestLeft: bids.prices[i] ?? null },
    ask: { price: asks.prices[lastAsk]!, quantity: askAtLast, bestLeft: asks.prices[j] ?? null },
  };
}

function quantityAt({ quantities }: Levels, level: number): number {
  return safeInteger(quantities[level]!, 'quantity at one price');
}

/**
 * All that is before the margin in full, and a share of what is at it.
 * @param orders in canonical order
 */
function serve(
  orders: readonly LimitOrder[],
  margin: Margin,
  isBefore: (price: number) => boolean,
): Served {
  const served: LimitOrder[] = [];
  const quantities: number[] = [];
  const atMargin: number[] = [];
  for (const order of orders) {
    const { price, quantity } = order;
    if (quantity === 0 || !(price === margin.price || isBefore(price))) continue;
    if (price === margin.price) atMargin.push(served.length);
    served.push(order);
    quantities.push(quantity);
  }
  const weights = atMargin.map((place) => quantities[place]!);
  proRata(margin.quantity, weights).forEach((share, index) => {
    quantities[atMargin[index]!] = share;
  });
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
