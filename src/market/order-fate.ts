import type { CallAuctionInput, CallAuctionResult, LimitOrder } from './call-auction.js';
import type { Side } from './continuous-book.js';
import type { Rationing } from '../parties/microgrid.js';

/**
 * Why an order was filled, in part or not at all, in words with the figures that decided: what it
 * offered against the last order served, the price, and how scarcity at the margin was shared.
 */

/** What decided over one side of a call auction. */
interface SideOutcome {
  /** The worst limit that was served, null when nothing was. */
  readonly lastServed: number | null;
  /** What was wanted and what was served at that limit. */
  readonly wantedAtLast: number;
  readonly servedAtLast: number;
  /** The best limit, null where nobody is on this side. */
  readonly best: number | null;
}

export interface AuctionOutcome {
  readonly bid: SideOutcome;
  readonly ask: SideOutcome;
  /** Of all trades; null where each trades at its bid, or nothing does. */
  readonly price: number | null;
  readonly splitBy: string | null;
  readonly rationing: Rationing;
}

/** How figures are written: as they are, unless the caller knows their unit. */
export interface Wording {
  readonly price: (price: number) => string;
  readonly quantity: (quantity: number) => string;
}

const PLAIN: Wording = { price: String, quantity: String };

/** Gathers once what `orderFate` tells every order. */
export function auctionOutcome(input: CallAuctionInput, result: CallAuctionResult): AuctionOutcome {
  return {
    bid: sideOutcome(input.bids, 'bid', result.filled),
    ask: sideOutcome(input.asks, 'ask', result.filled),
    price: result.price,
    splitBy: result.splitBy,
    rationing: input.rationing ?? 'pro-rata',
  };
}

/**
 * @param filled what the order was served
 * @example 'not filled: you bid 172, the last bid served was 175'
 */
export function orderFate(
  order: LimitOrder,
  side: Side,
  filled: number,
  outcome: AuctionOutcome,
  wording: Wording = PLAIN,
): string {
  const own = outcome[side];
  const { price, quantity } = wording;
  const limit = `you ${side === 'bid' ? 'bid' : 'asked'} ${price(order.price)}`;
  if (filled === order.quantity) {
    return `filled: ${limit}, ${priceWords(order, side, outcome, price)}`;
  }
  const start = beginning(order, filled, quantity);
  if (own.lastServed === null) return `${start}: ${limit}, ${nobodyServed(side, outcome, price)}`;
  const behind = side === 'bid' ? own.lastServed - order.price : order.price - own.lastServed;
  const last = `the last ${side} served`;
  if (behind > 0) return `${start}: ${limit}, ${last} was ${price(own.lastServed)}`;
  if (behind === 0 && own.servedAtLast < own.wantedAtLast) {
    const scarcity =
      `of ${quantity(own.wantedAtLast)} at that price ` +
      `${quantity(own.servedAtLast)} could be served, ${SHARED[outcome.rationing]}`;
    return `${start}: ${limit}, as ${last}; ${scarcity}`;
  }
  return `${start}: ${limit}; what was left within that limit was of your own`;
}

const SHARED: Readonly<Record<Rationing, string>> = {
  time: 'first come first',
  'pro-rata': 'in proportion',
  'max-min': 'in equal parts',
};

/** How every reason for less than everything begins. */
export function beginning(
  { quantity }: Pick<LimitOrder, 'quantity'>,
  filled: number,
  words: Wording['quantity'] = String,
): string {
  return filled === 0 ? 'not filled' : `filled ${words(filled)} of ${words(quantity)}`;
}

function priceWords(
  order: LimitOrder,
  side: Side,
  { price, splitBy }: AuctionOutcome,
  words: Wording['price'],
): string {
  if (splitBy !== null) return 'and traded within it';
  if (price !== null) return `the price is ${words(price)}`;
  return side === 'bid' ? `and pay ${words(order.price)}` : 'and receive what each buyer bid';
}

function nobodyServed(side: Side, outcome: AuctionOutcome, words: Wording['price']): string {
  const opposite = outcome[side === 'bid' ? 'ask' : 'bid'];
  if (opposite.best === null) return side === 'bid' ? 'nobody sells' : 'nobody buys';
  const isWithin = (limit: number) =>
    side === 'bid' ? limit >= opposite.best! : limit <= opposite.best!;
  const best = `the ${side === 'bid' ? 'lowest ask' : 'highest bid'} was ${words(opposite.best)}`;
  const own = outcome[side].best;
  return own !== null && isWithin(own) ? `${best}, but of your own` : best;
}

function sideOutcome(
  orders: readonly LimitOrder[],
  side: Side,
  filled: ReadonlyMap<LimitOrder, number>,
): SideOutcome {
  const isBetter = (a: number, b: number) => (side === 'bid' ? a > b : a < b);
  let best: number | null = null;
  let lastServed: number | null = null;
  for (const order of orders) {
    if (order.quantity === 0) continue;
    if (best === null || isBetter(order.price, best)) best = order.price;
    if (filled.get(order) === 0) continue;
    if (lastServed === null || isBetter(lastServed, order.price)) lastServed = order.price;
  }
  let [wantedAtLast, servedAtLast] = [0, 0];
  for (const order of orders) {
    if (order.price !== lastServed) continue;
    wantedAtLast += order.quantity;
    servedAtLast += filled.get(order) ?? 0;
  }
  return { lastServed, wantedAtLast, servedAtLast, best };
}
