import { safeInteger } from '../units/integer.js';
import { inMeritOrder } from './canonical-order.js';
import {
  agreementOf,
  plainMarket,
  sharedAgreement,
  withoutOwnTrades,
  type Agreement,
  type Market,
  type Split,
} from './own-trade.js';
import { pairApart, pairInOrder } from './pairing.js';
import type { AuctionTrade, LimitOrder } from './pairing.js';
import { uniformPrice, type AuctionPricing, type PriceInterval } from './pricing.js';
import type { Rationing } from '../parties/microgrid.js';

/**
 * A call auction in integers: the book is matched to its efficient volume, orders at the margin share
 * what is left by a rule, and all trades have one price that every served order agreed to. The result
 * does not depend on the order of the rows, and nobody trades with itself.
 */

export type { AuctionTrade, LimitOrder } from './pairing.js';
export type Bid = LimitOrder;
export type Ask = LimitOrder;

export interface CallAuctionInput {
  readonly bids: readonly Bid[];
  readonly asks: readonly Ask[];
  /** Where in the competitive interval the price stands, 0 to 1000. */
  readonly kThousandths: number;
  /** `clearing` unless said otherwise. */
  readonly pricing?: AuctionPricing;
  /** Who is served at the margin; `pro-rata` unless said otherwise. */
  readonly rationing?: Rationing;
  /** Needed by `mid-market` and `supply-demand-ratio` pricing only. */
  readonly retail?: number;
  readonly feedIn?: number;
}

export interface CallAuctionResult {
  readonly trades: AuctionTrade[];
  /** The price of all trades; null when nothing was traded, and under `pay-as-bid`. */
  readonly price: number | null;
  /** The competitive interval; null when nothing was traded. */
  readonly interval: PriceInterval | null;
  readonly volume: number;
  /**
   * The trader for whose two sides there is no common price: what it buys and what it sells is then
   * priced apart, and `price` and `interval` are those of the larger part.
   */
  readonly splitBy: string | null;
  /** What each order was served, zero included; made when it is first asked for. */
  readonly filled: ReadonlyMap<LimitOrder, number>;
}

/**
 * Clears one book with the most welfare that is possible when nobody trades with itself, and of the
 * results with that welfare one with the most volume. At most `bids + asks` trades come of it.
 * @throws RangeError on a fraction, a negative quantity, an id given twice at one price, or sums beyond 2^53 − 1
 * @example
 * callAuction({
 *   bids: [{ id: 'b', trader: 'B', price: 300_000, quantity: 800 }],
 *   asks: [{ id: 'a', trader: 'A', price: 50_000, quantity: 900 }],
 *   kThousandths: 500,
 * }) // 800 Wh at 50_000: the 100 Wh left over press the price down to the ask
 */
export function callAuction(input: CallAuctionInput): CallAuctionResult {
  for (const orders of [input.bids, input.asks]) orders.forEach(checkOrder);
  const bids = inMeritOrder(input.bids, 'bid');
  const asks = inMeritOrder(input.asks, 'ask');
  const rationing = input.rationing ?? 'pro-rata';
  const market = plainMarket(bids, asks, rationing);
  if (market === null) return withFilled(NOTHING_TRADED, input);
  return withFilled(
    traded(market, input, pairInOrder) ?? tradedApart(withoutOwnTrades(market, rationing), input),
    input,
  );
}

type Result = Omit<CallAuctionResult, 'filled'>;

const NOTHING_TRADED: Result = {
  trades: [],
  price: null,
  interval: null,
  volume: 0,
  splitBy: null,
};

/** One market at one price; null when somebody would meet itself. */
function traded(
  market: Market,
  input: CallAuctionInput,
  pair: typeof pairInOrder,
  agreement: Agreement = agreementOf(market),
): Result | null {
  const price = priceOf(agreement, input);
  const trades = pair(market.bought, market.sold, price);
  if (trades === null) return null;
  const { volume } = market.crossing;
  return { trades, price, interval: agreement.competitive, volume, splitBy: null };
}

/** The optimum when it takes care that nobody meets itself. */
function tradedApart(optimum: Market | Split, input: CallAuctionInput): Result {
  if (!('trader' in optimum)) return traded(optimum, input, pairApart)!;
  const { buying, selling, trader } = optimum;
  const markets = [buying.market, selling.market].filter((market) => market !== null);
  if (markets.length === 0) return NOTHING_TRADED;
  const shared = sharedAgreement(optimum) ?? undefined;
  const parts = markets.map((market) => traded(market, input, pairInOrder, shared)!);
  const [larger, other] = parts.sort((a, b) => b.volume - a.volume);
  if (other === undefined) return larger!;
  return {
    ...larger!,
    trades: [...larger!.trades, ...other.trades],
    volume: safeInteger(larger!.volume + other.volume, 'volume'),
    splitBy: shared === undefined ? trader : null,
  };
}

function priceOf({ competitive, accepted }: Agreement, input: CallAuctionInput): number | null {
  const { pricing = 'clearing', bids, asks, ...rest } = input;
  if (pricing === 'pay-as-bid') return null;
  if (pricing !== 'supply-demand-ratio') {
    return uniformPrice({ ...rest, pricing }, competitive, accepted);
  }
  const [supply, demand] = [totalOf(asks), totalOf(bids)];
  return uniformPrice({ ...rest, pricing, supply, demand }, competitive, accepted);
}

function totalOf(orders: readonly LimitOrder[]): bigint {
  return orders.reduce((sum, { quantity }) => sum + BigInt(quantity), 0n);
}

function checkOrder({ id, price, quantity }: LimitOrder): void {
  safeInteger(price, 'price');
  if (safeInteger(quantity, 'quantity') < 0) throw new RangeError(`negative quantity: ${id}`);
}

/** Nobody clearing a slot needs every order's fill: the trades say it. */
function withFilled(result: Result, { bids, asks }: CallAuctionInput): CallAuctionResult {
  let filled: Map<LimitOrder, number> | undefined;
  return {
    ...result,
    get filled() {
      if (filled) return filled;
      filled = new Map();
      for (const orders of [bids, asks]) for (const order of orders) filled.set(order, 0);
      for (const { bid, ask, quantity } of result.trades) {
        filled.set(bid, filled.get(bid)! + quantity);
        filled.set(ask, filled.get(ask)! + quantity);
      }
      return filled;
    },
  };
}
