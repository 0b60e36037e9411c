import type {
  Microgrid,
  NetworkVersion,
  Pricing,
  Rationing,
  Tariff,
} from '../parties/microgrid.js';
import { callAuction, type LimitOrder } from './call-auction.js';
import { networkAuction, type NetworkAuctionInput } from './network-auction.js';
import { clearWithPreferences, MOST_WISHES_TIMES_SIZE, type WishResult } from './preferences.js';
import type { PriceInterval } from './pricing.js';
import type { MetWish } from './trade.js';
import type { Wish } from './wish-graph.js';

/**
 * One book cleared by the rules of a microgrid: the call auction, in its network where it has one.
 * Standing orders at a slot's close and orders at a gate meet here alike.
 */

/** What decides, besides the orders, who trades and at which price. */
export type ClearingRules = {
  readonly pricing: Pricing;
  readonly kThousandths: number;
  readonly rationing: Rationing;
  /** The wires in force, or null where they count for nothing. */
  readonly network: NetworkVersion | null;
  readonly slotMinutes: number;
};

/** The rules of a microgrid in one slot. @param network in force in the slot */
export function clearingRules(
  { pricing, priceKThousandths, rationing, slotMinutes }: Microgrid,
  network: NetworkVersion | null,
): ClearingRules {
  return { pricing, kThousandths: priceKThousandths, rationing, network, slotMinutes };
}

/** An order in the book; prices are without the tariff's grid fee. */
export interface BookedOrder extends LimitOrder {
  /** The node of the network that its household hangs from. */
  readonly feeder: string | null;
  /** Of a bid; the premiums are on top of its price. */
  readonly wishes?: readonly Wish[];
  /** Of an ask: it meets wishes for solar energy. */
  readonly solar?: boolean;
}

/** What one bid takes from one ask. */
export interface ClearedTrade {
  readonly bid: BookedOrder;
  readonly ask: BookedOrder;
  readonly quantity: number;
  /** Without the tariff's grid fee; fees and rent of the wires between the two are in it. */
  readonly buyerPrice: number;
  readonly sellerPrice: number;
  readonly congestionPrice: number;
  readonly wish?: MetWish;
}

export interface ClearedBook {
  readonly trades: ClearedTrade[];
  /** What wishes came to; empty where nobody has one that counts. */
  readonly wishes: WishResult[];
  /** The one price of all trades; null where there is none, or prices differ. */
  readonly price: number | null;
  readonly interval: PriceInterval | null;
  readonly volume: number;
}

/** @throws RangeError when a trader stands on both sides of a book in a network, or on bad numbers */
export function clearBook(
  rules: ClearingRules,
  tariff: Tariff,
  bids: readonly BookedOrder[],
  asks: readonly BookedOrder[],
): ClearedBook {
  const { network } = rules;
  const wishing = bids.some(({ wishes }) => wishes !== undefined && wishes.length > 0);
  if (network !== null || (wishing && rules.pricing === 'clearing')) {
    return clearInNetwork(rules, network?.nodes ?? [ROOT], bids, asks);
  }
  const { trades, price, interval, volume } = callAuction({
    bids,
    asks,
    kThousandths: rules.kThousandths,
    pricing: rules.pricing as Exclude<Pricing, 'fixed'>,
    rationing: rules.rationing,
    retail: tariff.retailMicroPerKwh,
    feedIn: tariff.feedInMicroPerKwh,
  });
  return {
    trades: trades.map((trade) => ({
      bid: trade.bid as BookedOrder,
      ask: trade.ask as BookedOrder,
      quantity: trade.quantity,
      buyerPrice: trade.price,
      sellerPrice: trade.price,
      congestionPrice: 0,
    })),
    wishes: [],
    price,
    interval,
    volume,
  };
}

/** Stands for the wires where they count for nothing. */
const ROOT = {
  node: 'root',
  parent: null,
  feeMicroPerKwh: 0,
  capacityUpW: null,
  capacityDownW: null,
};

function clearInNetwork(
  rules: ClearingRules,
  nodes: NetworkVersion['nodes'],
  bids: readonly BookedOrder[],
  asks: readonly BookedOrder[],
): ClearedBook {
  const input = inNetwork(rules, nodes, bids, asks);
  if (canMeetWishes(input)) return clearWishes(input);
  const { trades, price, interval, volume } = networkAuction(input);
  return {
    trades: trades.map(({ bid, ask, quantity, buyerPrice, sellerPrice, feePerUnit }) => ({
      bid: bid as typeof bid & BookedOrder,
      ask: ask as typeof ask & BookedOrder,
      quantity,
      buyerPrice,
      sellerPrice,
      congestionPrice: buyerPrice - sellerPrice - feePerUnit,
    })),
    wishes: [],
    price,
    interval: boundedInterval(interval),
    volume,
  };
}

/** In a network nothing may bound prices at one end, where only one side can be reached: then there is no interval. */
export function boundedInterval(interval: PriceInterval | null): PriceInterval | null {
  return interval !== null && interval.every(Number.isFinite) ? interval : null;
}

/** Whether anybody has a wish; a book with more of them than can be cleared in time is cleared without. */
function canMeetWishes({ bids, asks, network }: PlacedBook): boolean {
  const count = bids.reduce((sum, { wishes = [] }) => sum + wishes.length, 0);
  return (
    count > 0 && count * (bids.length + asks.length + network.length) <= MOST_WISHES_TIMES_SIZE
  );
}

function clearWishes(input: PlacedBook): ClearedBook {
  const { trades, wishes } = clearWithPreferences(input);
  const prices = new Set(trades.map(({ sellerPrice }) => sellerPrice));
  return {
    trades: trades.map(({ bid, ask, quantity, buyerPrice, sellerPrice, feePerUnit, ...met }) => ({
      bid: bid as typeof bid & BookedOrder,
      ask: ask as typeof ask & BookedOrder,
      quantity,
      buyerPrice,
      sellerPrice,
      congestionPrice: buyerPrice - sellerPrice - feePerUnit,
      ...(met.wish === null
        ? {}
        : { wish: { kind: met.wish.kind, extraMicroPerKwh: met.extraPerUnit } }),
    })),
    wishes,
    price: prices.size === 1 ? [...prices][0]! : null,
    interval: null,
    volume: trades.reduce((sum, { quantity }) => sum + quantity, 0),
  };
}

/** A book whose orders stand at nodes. */
type PlacedBook = Omit<NetworkAuctionInput, 'bids' | 'asks'> & {
  readonly bids: readonly (BookedOrder & { readonly node: string })[];
  readonly asks: readonly (BookedOrder & { readonly node: string })[];
};

/** The book with every order at its node, for the auction in a network. */
export function inNetwork<Order extends BookedOrder>(
  { slotMinutes, kThousandths, rationing }: ClearingRules,
  nodes: NetworkVersion['nodes'],
  bids: readonly Order[],
  asks: readonly Order[],
) {
  const known = new Set(nodes.map(({ node }) => node));
  const root = nodes.find(({ parent }) => parent === null)!.node;
  const placed = (order: Order) => ({
    ...order,
    node: order.feeder !== null && known.has(order.feeder) ? order.feeder : root,
  });
  return {
    bids: bids.map(placed),
    asks: asks.map(placed),
    network: nodes.map((node) => ({
      id: node.node,
      parent: node.parent,
      feePerUnit: node.feeMicroPerKwh,
      capacityUp: slotWh(node.capacityUpW, slotMinutes),
      capacityDown: slotWh(node.capacityDownW, slotMinutes),
    })),
    kThousandths,
    rationing,
  } satisfies NetworkAuctionInput;
}

/** What a wire of this power carries in one slot, in whole Wh. */
function slotWh(watts: number | null, slotMinutes: number): number | null {
  return watts === null ? null : Math.floor((watts * slotMinutes) / 60);
}
