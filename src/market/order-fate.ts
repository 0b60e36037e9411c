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

/** Gathers once what `orderFate` tells every order. */
export function auctionOutcome(
  input: Pick<CallAuctionInput, 'bids' | 'asks' | 'rationing'>,
  result: Pick<CallAuctionResult, 'filled' | 'price' | 'splitBy'>,
): AuctionOutcome {
  return {
    bid: sideOutcome(input.bids, 'bid', result.filled),
    ask: sideOutcome(input.asks, 'ask', result.filled),
    price: result.price,
    splitBy: result.splitBy,
    rationing: input.rationing ?? 'pro-rata',
  };
}

/**
 * - `filled`: all of it
 * - `no-counterpart`: nobody stood on the other side
 * - `beyond-limit`: nobody there came within any limit of this side
 * - `outbid`: better limits were served, and nothing was left
 * - `rationed`: at the last limit served there was not enough for all
 * - `own-orders`: what was left within the limit was of the same household
 */
export type Fate =
  'filled' | 'no-counterpart' | 'beyond-limit' | 'outbid' | 'rationed' | 'own-orders';

/** What kept an order from more than it was served. @param filled what it was served */
export function fateOf(
  order: LimitOrder,
  side: Side,
  filled: number,
  outcome: AuctionOutcome,
): Fate {
  if (filled === order.quantity) return 'filled';
  const own = outcome[side];
  const opposite = outcome[side === 'bid' ? 'ask' : 'bid'].best;
  if (own.lastServed === null) {
    if (opposite === null) return 'no-counterpart';
    const isMet = own.best !== null && !isBehind(own.best, opposite, side);
    return isMet ? 'own-orders' : 'beyond-limit';
  }
  if (isBehind(order.price, own.lastServed, side)) return 'outbid';
  const isLast = order.price === own.lastServed;
  return isLast && own.servedAtLast < own.wantedAtLast ? 'rationed' : 'own-orders';
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
): string {
  const own = outcome[side];
  const limit = `you ${side === 'bid' ? 'bid' : 'asked'} ${order.price}`;
  const fate = fateOf(order, side, filled, outcome);
  if (fate === 'filled') return `filled: ${limit}, ${priceWords(order, side, outcome)}`;
  const start = beginning(order, filled);
  if (own.lastServed === null) return `${start}: ${limit}, ${nobodyServed(fate, side, outcome)}`;
  const last = `the last ${side} served`;
  if (fate === 'outbid') return `${start}: ${limit}, ${last} was ${own.lastServed}`;
  if (fate === 'rationed') {
    const scarcity =
      `of ${own.wantedAtLast} at that price ` +
      `${own.servedAtLast} could be served, ${SHARED[outcome.rationing]}`;
    return `${start}: ${limit}, as ${last}; ${scarcity}`;
  }
  return `${start}: ${limit}; what was left within that limit was of your own`;
}

export const SHARED: Readonly<Record<Rationing, string>> = {
  time: 'first come first',
  'pro-rata': 'in proportion',
  'max-min': 'in equal parts',
};

/** How every reason for less than everything begins. */
export function beginning({ quantity }: Pick<LimitOrder, 'quantity'>, filled: number): string {
  return filled === 0 ? 'not filled' : `filled ${filled} of ${quantity}`;
}

function priceWords(order: LimitOrder, side: Side, { price, splitBy }: AuctionOutcome): string {
  if (splitBy !== null) return 'and traded within it';
  if (price !== null) return `the price is ${price}`;
  return side === 'bid' ? `and pay ${order.price}` : 'and receive what each buyer bid';
}

function nobodyServed(fate: Fate, side: Side, outcome: AuctionOutcome): string {
  if (fate === 'no-counterpart') return side === 'bid' ? 'nobody sells' : 'nobody buys';
  const opposite = outcome[side === 'bid' ? 'ask' : 'bid'].best!;
  const best = `the ${side === 'bid' ? 'lowest ask' : 'highest bid'} was ${opposite}`;
  return fate === 'own-orders' ? `${best}, but of your own` : best;
}

/** Whether a limit is less willing to trade than another. */
function isBehind(limit: number, other: number, side: Side): boolean {
  return side === 'bid' ? limit < other : limit > other;
}

function sideOutcome(
  orders: readonly LimitOrder[],
  side: Side,
  filled: ReadonlyMap<LimitOrder, number>,
): SideOutcome {
  const isBetter = (a: number, b: number) => isBehind(b, a, side);
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
