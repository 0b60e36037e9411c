import type { Priced } from './canonical-order.js';
import { crossingOf, type Crossing, type Margin } from './crossing.js';
import type { LimitOrder, Served } from './pairing.js';
import type { PriceInterval } from './pricing.js';
import type { Rationing } from '../parties/microgrid.js';
import { ration } from './rationing.js';

/**
 * The most welfare when nobody may trade with itself. Served quantities can be paired without that
 * exactly when no trader buys and sells more, in all, than the volume; two can never both break it.
 * So the plain optimum mostly stands. Where one trader stands too large on both sides, others at its
 * margin first take its place, which costs nothing; where that is not enough, an optimum lets it trade
 * with all who trade: its bids against the others' asks, and its asks against the others' bids.
 */

/** Served quantities that can be paired without anybody meeting itself. */
export interface Market {
  /** All orders, served or not, in merit order. */
  readonly bids: readonly LimitOrder[];
  readonly asks: readonly LimitOrder[];
  readonly crossing: Crossing;
  readonly bought: Served;
  readonly sold: Served;
}

/** The trader that could not be kept from itself in one market, and its two. */
export interface Split {
  readonly trader: string;
  /** Its bids and the others' asks. */
  readonly buying: Part;
  /** Its asks and the others' bids. */
  readonly selling: Part;
}

/** Where nothing is traded, `market` is null. */
interface Part {
  readonly bids: readonly LimitOrder[];
  readonly asks: readonly LimitOrder[];
  readonly market: Market | null;
}

/** The plain optimum, whoever meets whom in it. @param bids and asks in merit order */
export function plainMarket(
  bids: readonly LimitOrder[],
  asks: readonly LimitOrder[],
  rationing: Rationing,
): Market | null {
  const crossing = crossingOf(bids, asks);
  if (crossing === null) return null;
  const bought = serve(bids, crossing.bid, rationing);
  return { bids, asks, crossing, bought, sold: serve(asks, crossing.ask, rationing) };
}

/**
 * The optimum without own trades.
 * @returns the same market where it can be paired, with other shares at the margin where these help,
 *   otherwise the two markets of the trader in the way
 */
export function withoutOwnTrades(market: Market, rationing: Rationing): Market | Split {
  const tooLarge = tooLargeTrader(market);
  if (tooLarge === null) return market;
  const { trader, excess } = tooLarge;
  const { bids, asks, crossing } = market;
  const fewerBids = replaceable(market.bought, bids, crossing.bid, trader, excess);
  const stillTooMuch = excess - fewerBids.yields;
  const fewerAsks = replaceable(market.sold, asks, crossing.ask, trader, stillTooMuch);
  if (fewerAsks.yields === stillTooMuch) {
    const bought = serve(bids, crossing.bid, rationing, fewerBids);
    const sold = serve(asks, crossing.ask, rationing, fewerAsks);
    return { bids, asks, crossing, bought, sold };
  }
  const isOwn = (order: LimitOrder) => order.trader === trader;
  const isOther = (order: LimitOrder) => order.trader !== trader;
  return {
    trader,
    buying: partOf(bids.filter(isOwn), asks.filter(isOther), rationing),
    selling: partOf(bids.filter(isOther), asks.filter(isOwn), rationing),
  };
}

/** The prices every served order of a market agreed to, and of these the competitive ones. */
export interface Agreement {
  readonly accepted: PriceInterval;
  readonly competitive: PriceInterval;
}

/** Competitive is where no order is left out at a better price than its limit. */
export function agreementOf({ crossing: { bid, ask } }: Market): Agreement {
  return {
    accepted: [ask.price, bid.price],
    competitive: [
      Math.max(ask.price, bid.bestLeft ?? -Infinity),
      Math.min(bid.price, ask.bestLeft ?? Infinity),
    ],
  };
}

/**
 * The prices that both markets of a trader can share. What it could only trade with itself does not
 * count as left out; what is left of its orders beyond that does, where it is heard at a shared price.
 * @returns null when there is no such price: it buys dearer than it sells
 */
export function sharedAgreement({ buying, selling }: Split): Agreement | null {
  const margins = [buying, selling].flatMap(({ market }) => (market ? [market.crossing] : []));
  const lowest = Math.max(...margins.map(({ ask }) => ask.price));
  const highest = Math.min(...margins.map(({ bid }) => bid.price));
  if (lowest > highest) return null;
  let low = Math.max(lowest, leftOf(selling, 'bids')[0]?.price ?? -Infinity);
  let high = Math.min(highest, leftOf(buying, 'asks')[0]?.price ?? Infinity);
  const [ownBids, ownAsks] = [leftOf(buying, 'bids'), leftOf(selling, 'asks')];
  const own = crossingOf(ownBids, ownAsks);
  const bid = own === null ? ownBids[0]?.price : own.bid.bestLeft;
  const ask = own === null ? ownAsks[0]?.price : own.ask.bestLeft;
  if (bid != null && bid <= high) low = Math.max(low, bid);
  if (ask != null && ask >= low) high = Math.min(high, ask);
  return { accepted: [lowest, highest], competitive: [low, high] };
}

function partOf(
  bids: readonly LimitOrder[],
  asks: readonly LimitOrder[],
  rationing: Rationing,
): Part {
  return { bids, asks, market: plainMarket(bids, asks, rationing) };
}

/** What one side of a part wanted and was not served, in merit order. */
function leftOf({ market, ...orders }: Part, side: 'bids' | 'asks'): Priced[] {
  const served = side === 'bids' ? market?.bought : market?.sold;
  return orders[side].flatMap(({ price, quantity }, place) => {
    const left = quantity - (served?.quantities[place] ?? 0);
    return left === 0 ? [] : [{ price, quantity: left }];
  });
}

/** How much of a trader's share at the margin goes to the others there. */
interface Yielding {
  readonly trader: string;
  readonly share: number;
  readonly yields: number;
}

/** Who buys and sells more than the volume in all, and by how much. */
function tooLargeTrader({ bought, sold, crossing }: Market) {
  const totals = new Map<string, number>();
  for (const { orders, quantities } of [bought, sold]) {
    orders.forEach(({ trader }, row) => {
      totals.set(trader, (totals.get(trader) ?? 0) + quantities[row]!);
    });
  }
  for (const [trader, total] of totals) {
    if (total > crossing.volume) return { trader, excess: total - crossing.volume };
  }
  return null;
}

function replaceable(
  { quantities }: Served,
  orders: readonly LimitOrder[],
  margin: Margin,
  trader: string,
  excess: number,
): Yielding {
  let [share, room] = [0, 0];
  for (let place = margin.from; place < margin.to; place += 1) {
    if (orders[place]!.trader === trader) share += quantities[place]!;
    else room += orders[place]!.quantity - quantities[place]!;
  }
  return { trader, share, yields: Math.min(excess, share, room) };
}

/**
 * All that is before the margin in full, and a share of what is at it.
 * @param orders in merit order
 * @param yielding who gets less than its share of the margin; the rule holds among its orders, and
 *   among the others'
 */
function serve(
  orders: readonly LimitOrder[],
  margin: Margin,
  rationing: Rationing,
  yielding?: Yielding,
): Served {
  const served = orders.slice(0, margin.to);
  const quantities = served.map(({ quantity }) => quantity);
  const share = (places: readonly number[], total: number) => {
    const arrivals = places.map((place) => served[place]!.sequence ?? 0);
    const wanted = places.map((place) => quantities[place]!);
    ration(rationing, total, wanted, arrivals).forEach((part, index) => {
      quantities[places[index]!] = part;
    });
  };
  const atMargin = Array.from({ length: margin.to - margin.from }, (_, at) => margin.from + at);
  if (yielding === undefined || yielding.yields === 0) {
    share(atMargin, margin.quantity);
  } else {
    const own = yielding.share - yielding.yields;
    const isOwn = (place: number) => served[place]!.trader === yielding.trader;
    const others = atMargin.filter((place) => !isOwn(place));
    share(atMargin.filter(isOwn), own);
    share(others, margin.quantity - own);
  }
  return { orders: served, quantities };
}
