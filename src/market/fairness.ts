import type { Tariff } from '../parties/microgrid.js';
import { divideHalfEven, toSafeInteger } from '../units/integer.js';
import { callAuction } from './call-auction.js';
import {
  boundedInterval,
  clearBook,
  inNetwork,
  type BookedOrder,
  type ClearedBook,
  type ClearedTrade,
  type ClearingRules,
} from './clearing.js';
import type { Side } from './continuous-book.js';
import { askWithin, bidWithin } from './limits.js';
import type { Share, SharingRules } from './metered-sharing.js';
import { networkAuction } from './network-auction.js';
import { networkView, type NetworkView } from './network-fairness.js';
import { auctionOutcome, type AuctionOutcome } from './order-fate.js';
import type { PriceInterval } from './pricing.js';
import type { MatchedTrade } from './trade.js';
import type { Wish } from './wish-graph.js';

/**
 * What a slot's market reached and what was possible: the trades that were made, held against the
 * auction with the most welfare over the same orders. `order-reasons.ts` tells each order's part in it.
 */

/** An order, or a household's standing order, as it came to the book of a slot. */
export interface FairOrder {
  /** Of the order; of the household where it is its standing order. */
  readonly id: string;
  readonly household: string;
  readonly side: Side;
  readonly feeder: string | null;
  /** The limit as it was set, a bid's with the grid fee; null is the tariff. */
  readonly setMicroPerKwh: number | null;
  readonly wantedWh: number;
  /** Of it, what came to the book: what the wallet covered, or what was traded before it was taken back. */
  readonly enteredWh: number;
  readonly isTakenBack?: boolean;
  /** Under `continuous`: it traded when it came, or not at all. */
  readonly isAtOnce?: boolean;
  /** Who came first. */
  readonly sequence?: number;
  /** Of a standing bid, what counts of its wishes; of a standing ask, whether it meets those for sun. */
  readonly wishes?: readonly Wish[];
  readonly solar?: boolean;
}

/** What a slot was divided by under `sharing`. */
export interface SharedPool {
  readonly rules: SharingRules;
  /** With the grid fee. */
  readonly buyerPrice: number;
  readonly price: number;
  /** By household. */
  readonly shares: ReadonlyMap<string, Share>;
}

export interface FairBook {
  readonly rules: ClearingRules;
  readonly tariff: Tariff;
  readonly orders: readonly FairOrder[];
  /** As made; those of standing orders name households only. */
  readonly trades: readonly MatchedTrade[];
  /** Null where orders met in a market. */
  readonly pool: SharedPool | null;
  /** Whether each order met others when it came, rather than all at once. */
  readonly continuous: boolean;
}

/** What a book came to. Money in micro-units, energy in Wh, prices without the tariff's grid fee. */
export interface BookFigures {
  /** The one price of all trades; null where there is none, or prices differ. */
  readonly price: number | null;
  /** The competitive interval of the orders; null where none can meet, or nodes differ. */
  readonly interval: PriceInterval | null;
  readonly tradedWh: number;
  readonly possibleWh: number;
  /** Worth to the buyers, met wishes included, less cost to the sellers less fees, at their limits. */
  readonly welfareMicro: number;
  readonly possibleWelfareMicro: number;
  /** Reached of possible, rounded down; null where nothing was possible. */
  readonly shareThousandths: number | null;
  /** By id; empty without a network. */
  readonly nodes: readonly NodeFigures[];
  readonly wires: readonly WireFigures[];
}

export interface NodeFigures {
  readonly node: string;
  /** Null where nothing is traded within its reach. */
  readonly price: number | null;
  /** An end is null where nothing bounds it. */
  readonly interval: readonly [low: number | null, high: number | null] | null;
}

/** The wire from a node to its parent. */
export interface WireFigures {
  readonly node: string;
  /** Towards the parent; negative from it. */
  readonly flowWh: number;
  readonly capacityUpWh: number | null;
  readonly capacityDownWh: number | null;
  readonly full: 'up' | 'down' | null;
  readonly feesMicro: number;
  readonly congestionRentMicro: number;
}

/** What an order was served, and at which prices; a buyer's with the grid fee. */
export interface Served {
  readonly filledWh: number;
  readonly lowest: number;
  readonly highest: number;
}

/** Energy in Wh; money in micro-units, grid fees included. */
export interface WishFigures {
  readonly metWh: number;
  /** What it paid more than for as much other energy at its place. */
  readonly extraMicro: number;
  /** What it would have bought, and paid, had nobody a wish. */
  readonly withoutWh: number;
  readonly withoutMicro: number;
}

export interface ExplainedBook extends FairBook {
  readonly figures: BookFigures;
  /** By `orderKey`; orders that were served nothing are absent. */
  readonly served: ReadonlyMap<string, Served>;
  /** The orders as the auction takes them, by `orderKey`. */
  readonly booked: ReadonlyMap<string, BookedOrder>;
  /** What the auction with the most welfare serves each, wishes left out. */
  readonly optimal: ReadonlyMap<string, number>;
  /** Whether wishes counted. */
  readonly wishing: boolean;
  /** What each bid's wishes came to, by the id of its order. */
  readonly wishes: ReadonlyMap<string, WishFigures>;
  readonly outcome: AuctionOutcome;
  readonly network: NetworkView<BookedOrder> | null;
}

export const orderKey = (side: Side, id: string): string => `${side} ${id}`;

/** The limit as the book took it, a bid's with the grid fee; null where the tariffs exclude it. */
export function limitWithin(tariff: Tariff, side: Side, setMicroPerKwh: number | null) {
  return side === 'bid' ? bidWithin(tariff, setMicroPerKwh) : askWithin(tariff, setMicroPerKwh);
}

/** Holds what was traded against what the same orders made possible. */
export function explainBook(book: FairBook): ExplainedBook {
  const { rules, tariff, orders, trades } = book;
  const booked = new Map<string, BookedOrder>();
  const sides: Record<Side, BookedOrder[]> = { bid: [], ask: [] };
  for (const order of orders) {
    const { id, side, household: trader, feeder, enteredWh: quantity, sequence = 0 } = order;
    const { wishes = [], solar = false } = order;
    const limit = limitWithin(tariff, side, order.setMicroPerKwh);
    if (limit === null) continue;
    const price = side === 'bid' ? limit - tariff.gridFeeMicroPerKwh : limit;
    const taken = { id, trader, feeder, price, quantity, sequence, wishes, solar };
    booked.set(orderKey(side, id), taken);
    sides[side].push(taken);
  }
  const optimum =
    rules.network === null || book.pool !== null
      ? plain(rules, tariff, sides)
      : wired(rules, sides);
  const optimal = new Map(
    [...booked].map(([key, order]) => [key, optimum.filled.get(order) ?? 0] as const),
  );
  const wished = withWishes(book, sides);
  const most = wished
    ? wished.trades.reduce((sum, trade) => sum + gainOfCleared(trade), 0n)
    : optimum.welfare;
  const welfare = trades.reduce(
    (sum, trade, at) => sum + gainOf(trade, booked, tariff) + premiumOf(trade, wished?.trades[at]),
    0n,
  );
  // A tariff that came after the gate may have excluded what was traded before.
  const possible = welfare > most ? welfare : most;
  const sellers = new Set(trades.map(({ sellerPriceMicroPerKwh }) => sellerPriceMicroPerKwh));
  return {
    ...book,
    served: servedBy(trades),
    booked,
    optimal,
    wishing: wished !== null,
    wishes: new Map((wished?.wishes ?? []).map((one) => [one.bid.id, wishFigures(one, tariff)])),
    outcome: auctionOutcome(
      { bids: sides.bid, asks: sides.ask, rationing: rules.rationing },
      { filled: optimum.filled, price: null, splitBy: null },
    ),
    network: optimum.network,
    figures: {
      price: sellers.size === 1 ? [...sellers][0]! : null,
      interval: wished ? null : optimum.interval,
      tradedWh: trades.reduce((sum, { energyWh }) => sum + energyWh, 0),
      possibleWh: wished?.volume ?? optimum.volume,
      welfareMicro: micro(welfare),
      possibleWelfareMicro: micro(possible),
      shareThousandths: possible === 0n ? null : Number((welfare * 1000n) / possible),
      nodes: optimum.nodes,
      wires: optimum.wires,
    },
  };
}

interface Optimum {
  readonly filled: ReadonlyMap<BookedOrder, number>;
  readonly interval: PriceInterval | null;
  readonly volume: number;
  /** In Wh times micro-units per kWh. */
  readonly welfare: bigint;
  readonly nodes: NodeFigures[];
  readonly wires: WireFigures[];
  readonly network: NetworkView<BookedOrder> | null;
}

function plain(
  { kThousandths, rationing }: ClearingRules,
  { retailMicroPerKwh: retail, feedInMicroPerKwh: feedIn }: Tariff,
  { bid: bids, ask: asks }: Record<Side, BookedOrder[]>,
): Optimum {
  const result = callAuction({ bids, asks, kThousandths, rationing, retail, feedIn });
  const gain = result.trades.reduce(
    (sum, { bid, ask, quantity }) => sum + BigInt(quantity) * BigInt(bid.price - ask.price),
    0n,
  );
  const filled = result.filled as ReadonlyMap<BookedOrder, number>;
  const { interval, volume } = result;
  return { filled, interval, volume, welfare: gain, nodes: [], wires: [], network: null };
}

function wired(rules: ClearingRules, sides: Record<Side, BookedOrder[]>): Optimum {
  const input = inNetwork(rules, rules.network!.nodes, sides.bid, sides.ask);
  const result = networkAuction(input);
  // The network's orders are copies at their nodes, row by row.
  const filled = new Map<BookedOrder, number>();
  for (const [rows, placed] of [
    [sides.bid, input.bids],
    [sides.ask, input.asks],
  ] as const) {
    rows.forEach((order, row) => filled.set(order, result.filled.get(placed[row]!)!));
  }
  const wires = new Map(input.network.map((node) => [node.id, node]));
  const finite = (bound: number) => (Number.isFinite(bound) ? bound : null);
  return {
    filled,
    interval: boundedInterval(result.interval),
    volume: result.volume,
    welfare: BigInt(result.welfare),
    nodes: result.nodes.map(({ id, price, interval }) => ({
      node: id,
      price,
      interval: interval && [finite(interval[0]), finite(interval[1])],
    })),
    wires: result.edges.map(({ id, flow, full, fees, congestionRent }) => ({
      node: id,
      flowWh: flow,
      capacityUpWh: wires.get(id)!.capacityUp,
      capacityDownWh: wires.get(id)!.capacityDown,
      full,
      feesMicro: micro(BigInt(fees)),
      congestionRentMicro: micro(BigInt(congestionRent)),
    })),
    network: networkView(input, result),
  };
}

/** What a trade is worth at the limits of its two, less the fees that it pays. */
function gainOf(trade: MatchedTrade, booked: ReadonlyMap<string, BookedOrder>, tariff: Tariff) {
  const bid = booked.get(orderKey('bid', trade.bidId ?? trade.buyer));
  const ask = booked.get(orderKey('ask', trade.askId ?? trade.seller));
  if (!bid || !ask) return 0n;
  const wireFees =
    trade.buyerPriceMicroPerKwh -
    tariff.gridFeeMicroPerKwh -
    trade.sellerPriceMicroPerKwh -
    trade.congestionMicroPerKwh;
  return BigInt(trade.energyWh) * BigInt(bid.price - ask.price - wireFees);
}

function wishFigures(
  { metQuantity, extra, filledWithout, paidWithout }: ClearedBook['wishes'][number],
  { gridFeeMicroPerKwh }: Tariff,
): WishFigures {
  const fees = BigInt(filledWithout) * BigInt(gridFeeMicroPerKwh);
  return {
    metWh: metQuantity,
    extraMicro: micro(BigInt(extra)),
    withoutWh: filledWithout,
    withoutMicro: micro(BigInt(paidWithout) + fees),
  };
}

/** The book cleared with its wishes; null where none counts. */
function withWishes(
  { rules, tariff, pool }: FairBook,
  { bid, ask }: Record<Side, BookedOrder[]>,
): ClearedBook | null {
  if (pool !== null || !bid.some(({ wishes = [] }) => wishes.length > 0)) return null;
  const cleared = clearBook(rules, tariff, bid, ask);
  return cleared.wishes.length > 0 ? cleared : null;
}

function gainOfCleared(trade: ClearedTrade): bigint {
  const { bid, ask, quantity, buyerPrice, sellerPrice, congestionPrice } = trade;
  const fees = buyerPrice - sellerPrice - congestionPrice;
  return BigInt(quantity) * BigInt(bid.price - ask.price - fees + premiumMet(trade));
}

/** Trades do not name the wish they met: the same trade cleared again does. */
function premiumOf(trade: MatchedTrade, again: ClearedTrade | undefined): bigint {
  const isSame =
    again?.bid.trader === trade.buyer &&
    again.ask.trader === trade.seller &&
    again.quantity === trade.energyWh;
  return isSame ? BigInt(trade.energyWh) * BigInt(premiumMet(again)) : 0n;
}

function premiumMet({ bid, ask, wish: met }: ClearedTrade): number {
  if (met === undefined) return 0;
  const wish = bid.wishes!.find(
    (one) => one.kind === met.kind && (one.kind !== 'neighbor' || one.trader === ask.trader),
  );
  return wish!.premium;
}

function servedBy(trades: readonly MatchedTrade[]): Map<string, Served> {
  const served = new Map<string, Served>();
  const add = (key: string, wh: number, price: number) => {
    const before = served.get(key) ?? { filledWh: 0, lowest: price, highest: price };
    served.set(key, {
      filledWh: before.filledWh + wh,
      lowest: Math.min(before.lowest, price),
      highest: Math.max(before.highest, price),
    });
  };
  for (const trade of trades) {
    const { energyWh, buyerPriceMicroPerKwh, sellerPriceMicroPerKwh } = trade;
    add(orderKey('bid', trade.bidId ?? trade.buyer), energyWh, buyerPriceMicroPerKwh);
    add(orderKey('ask', trade.askId ?? trade.seller), energyWh, sellerPriceMicroPerKwh);
  }
  return served;
}

/** Wh times micro-units per kWh, as micro-units. */
function micro(product: bigint): number {
  return toSafeInteger(divideHalfEven(product, 1000n), 'welfare');
}
