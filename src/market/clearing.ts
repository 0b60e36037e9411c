import type {
  Microgrid,
  NetworkVersion,
  Pricing,
  Rationing,
  Tariff,
} from '../parties/microgrid.js';
import { callAuction, type LimitOrder } from './call-auction.js';
import { networkAuction } from './network-auction.js';
import type { PriceInterval } from './pricing.js';

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
}

export interface ClearedBook {
  readonly trades: ClearedTrade[];
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
  if (network !== null) return clearInNetwork(rules, network, bids, asks);
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
    price,
    interval,
    volume,
  };
}

function clearInNetwork(
  rules: ClearingRules,
  { nodes }: NetworkVersion,
  bids: readonly BookedOrder[],
  asks: readonly BookedOrder[],
): ClearedBook {
  const known = new Set(nodes.map(({ node }) => node));
  const root = nodes.find(({ parent }) => parent === null)!.node;
  const placed = (order: BookedOrder) => ({
    ...order,
    node: order.feeder !== null && known.has(order.feeder) ? order.feeder : root,
  });
  const { trades, price, interval, volume } = networkAuction({
    bids: bids.map(placed),
    asks: asks.map(placed),
    network: nodes.map((node) => ({
      id: node.node,
      parent: node.parent,
      feePerUnit: node.feeMicroPerKwh,
      capacityUp: slotWh(node.capacityUpW, rules.slotMinutes),
      capacityDown: slotWh(node.capacityDownW, rules.slotMinutes),
    })),
    kThousandths: rules.kThousandths,
    rationing: rules.rationing,
  });
  return {
    trades: trades.map(({ bid, ask, quantity, buyerPrice, sellerPrice, feePerUnit }) => ({
      bid: bid as typeof bid & BookedOrder,
      ask: ask as typeof ask & BookedOrder,
      quantity,
      buyerPrice,
      sellerPrice,
      congestionPrice: buyerPrice - sellerPrice - feePerUnit,
    })),
    price,
    interval,
    volume,
  };
}

/** What a wire of this power carries in one slot, in whole Wh. */
function slotWh(watts: number | null, slotMinutes: number): number | null {
  return watts === null ? null : Math.floor((watts * slotMinutes) / 60);
}
