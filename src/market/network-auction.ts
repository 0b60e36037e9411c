import { costMicro } from '../units/money.js';
import { safeInteger, toSafeInteger } from '../units/integer.js';
import { inOrderOfId } from './canonical-order.js';
import type { LimitOrder } from './call-auction.js';
import { networkFlows, type NetworkFlows } from './network-flows.js';
import type { PlacedOrders } from './network-margins.js';
import { pairAlong } from './network-pairs.js';
import {
  nodePrices,
  supportingPrices,
  type NodePrice,
  type SupportingPrices,
} from './network-prices.js';
import { networkTree, type NetworkNode, type NetworkTree } from './network.js';
import type { PriceInterval } from './pricing.js';
import type { Rationing } from '../parties/microgrid.js';

/**
 * The call auction in a network with fees and capacities, in integers: the most welfare that orders and
 * wires allow, a price for each node that supports it, what flows and what full wires earn. Without fees
 * and capacities it is the call auction; a capacity of zero makes islands. The result does not depend on
 * the order of the rows. It takes O((n + m) log² n) steps for n orders and m nodes.
 */

export interface NetworkOrder extends LimitOrder {
  /** Where in the network it stands. */
  readonly node: string;
}

export interface NetworkAuctionInput {
  readonly bids: readonly NetworkOrder[];
  readonly asks: readonly NetworkOrder[];
  readonly network: readonly NetworkNode[];
  /** Where between the lowest and the highest supporting prices the prices stand, 0 to 1000. */
  readonly kThousandths: number;
  /** How orders share that are worth the same; `pro-rata` by default. */
  readonly rationing?: Rationing;
}

/** What one bid takes from one ask: the buyer pays its node's price, the seller receives its own. */
export interface NetworkTrade {
  readonly bid: NetworkOrder;
  readonly ask: NetworkOrder;
  readonly quantity: number;
  readonly buyerPrice: number;
  readonly sellerPrice: number;
  /** Of the difference of the prices, the fees of the way; the rest is congestion rent. */
  readonly feePerUnit: number;
}

export interface NetworkEdge {
  /** The node whose wire to its parent this is. */
  readonly id: string;
  /** To the parent; negative from it. */
  readonly flow: number;
  /** What flows, times the fee. */
  readonly fees: number;
  /** What flows, times what the prices at its ends differ by beyond the fee. */
  readonly congestionRent: number;
  /** The direction in which it carries no more. */
  readonly full: 'up' | 'down' | null;
}

export interface NetworkAuctionResult {
  readonly trades: NetworkTrade[];
  /** Where one price holds at all nodes: this price and the competitive interval; else null. */
  readonly price: number | null;
  readonly interval: PriceInterval | null;
  readonly volume: number;
  /** Worth to the buyers less cost to the sellers less fees, in price times quantity. */
  readonly welfare: number;
  readonly fees: number;
  readonly congestionRent: number;
  /** What each order was served, zero included. */
  readonly filled: ReadonlyMap<NetworkOrder, number>;
  /** By id. */
  readonly nodes: ({ readonly id: string } & NodePrice)[];
  /** Every wire, by the id of its lower node. */
  readonly edges: NetworkEdge[];
}

/** Why a book is none for this auction. */
export type NetworkRefusal = 'trader_on_both_sides';

/**
 * The first ask whose trader bids as well; null when there is none. Energy is paired along the wires, and
 * two orders of one household at one node would be the first to meet: no flow keeps them apart. Orders at
 * a gate are refused as `opposite_side_open` before that, and a household that sells what was metered
 * buys nothing.
 */
export function networkRefusal<Order extends { readonly trader: string }>(book: {
  readonly bids: readonly { readonly trader: string }[];
  readonly asks: readonly Order[];
}): { reason: NetworkRefusal; order: Order } | null {
  const buyers = new Set(book.bids.map(({ trader }) => trader));
  const order = book.asks.find(({ trader }) => buyers.has(trader));
  return order ? { reason: 'trader_on_both_sides', order } : null;
}

/**
 * Clears one book.
 * @throws RangeError on a book that `networkRefusal` refuses, a broken tree or an unknown node, a fraction,
 *   a negative quantity, an id given twice on a side, or prices too large for the depth of the tree
 * @example two feeders, each 10 a unit from the substation: 800 at 70 for the seller, 90 for the buyer
 * networkAuction({
 *   bids: [{ id: 'b', trader: 'B', node: 'east', price: 300, quantity: 800 }],
 *   asks: [{ id: 'a', trader: 'A', node: 'west', price: 70, quantity: 900 }],
 *   network: [
 *     { id: 'substation', parent: null, feePerUnit: 0 },
 *     { id: 'east', parent: 'substation', feePerUnit: 10 },
 *     { id: 'west', parent: 'substation', feePerUnit: 10 },
 *   ],
 *   kThousandths: 500,
 * })
 */
export function networkAuction(input: NetworkAuctionInput): NetworkAuctionResult {
  const cleared = clearNetwork(input);
  const { tree, rows, placed, flows } = cleared;
  const prices = nodePrices(cleared.prices);
  const trades = pairAlong(tree, placed, flows).map(
    ({ bid, ask, quantity, feePerUnit }): NetworkTrade => ({
      bid: rows[bid]!,
      ask: rows[ask]!,
      quantity,
      buyerPrice: prices[placed.node[bid]!]!.price!,
      sellerPrice: prices[placed.node[ask]!]!.price!,
      feePerUnit,
    }),
  );
  const edges = edgesOf(tree, flows, prices);
  const [fees, congestionRent] = [
    sum(edges.map((edge) => edge.fees)),
    sum(edges.map((edge) => edge.congestionRent)),
  ];
  return {
    trades,
    ...commonPrice(prices),
    volume: sum(trades.map(({ quantity }) => quantity)),
    welfare: welfareOf(placed, flows, fees),
    fees,
    congestionRent,
    filled: new Map(rows.map((order, row) => [order, flows.filled[row]!])),
    nodes: tree.ids.map((id, node) => ({ id, ...prices[node]! })).sort(byId),
    edges: edges.sort(byId),
  };
}

/** A cleared book by numbers of nodes and rows of orders. */
export interface ClearedNetwork {
  readonly tree: NetworkTree;
  /** By id, a bid before an ask of the same id. */
  readonly rows: readonly NetworkOrder[];
  readonly placed: PlacedOrders;
  readonly flows: NetworkFlows;
  readonly prices: SupportingPrices;
}

/** The auction as far as the pairs. @throws RangeError as `networkAuction` does */
export function clearNetwork(input: NetworkAuctionInput): ClearedNetwork {
  const tree = networkTree(input.network);
  const { rows, placed } = placeOrders(input, tree);
  const flows = networkFlows(tree, placed, input.rationing ?? 'pro-rata');
  const prices = supportingPrices(tree, placed, flows, input.kThousandths);
  return { tree, rows, placed, flows, prices };
}

/** Who gets what of a trade's money, in micro-units; `paid` = `received` + `fees` + `rent`. */
export interface TradeMoney {
  readonly paid: number;
  readonly received: number;
  readonly fees: number;
  readonly rent: number;
}

/**
 * Quantity in Wh, prices in micro-units per kWh. What the buyer pays and what the seller receives are
 * each rounded once, half to even; of the difference the fees of the way are rounded in the same manner,
 * but are no more than it; what rounding leaves falls to the congestion rent where the way earns one,
 * else to the fees.
 */
export function tradeMoney(trade: NetworkTrade): TradeMoney {
  const { quantity, buyerPrice, sellerPrice, feePerUnit } = trade;
  const paid = costMicro(quantity, buyerPrice);
  const received = costMicro(quantity, sellerPrice);
  const between = paid - received;
  const earnsRent = buyerPrice - sellerPrice > feePerUnit;
  const fees = earnsRent ? Math.min(costMicro(quantity, feePerUnit), between) : between;
  return { paid, received, fees, rent: between - fees };
}

function placeOrders(
  { bids, asks }: NetworkAuctionInput,
  tree: NetworkTree,
): { rows: readonly NetworkOrder[]; placed: PlacedOrders } {
  const refusal = networkRefusal({ bids, asks });
  if (refusal) {
    throw new RangeError(`${refusal.reason}: trader ${refusal.order.trader} is on both sides`);
  }
  const { rows, side } = merged(inOrderOfId(bids), inOrderOfId(asks));
  const placed = {
    side,
    node: new Int32Array(rows.length),
    price: new Float64Array(rows.length),
    quantity: new Float64Array(rows.length),
    sequence: new Float64Array(rows.length),
  };
  rows.forEach(({ id, node, price, quantity, sequence }, row) => {
    const number = tree.numberOf.get(node);
    if (number === undefined) throw new RangeError(`order ${id} is at an unknown node: ${node}`);
    if (safeInteger(quantity, 'quantity') < 0) throw new RangeError(`negative quantity: ${id}`);
    placed.node[row] = number;
    placed.price[row] = safeInteger(price, 'price');
    placed.quantity[row] = quantity;
    placed.sequence[row] = safeInteger(sequence ?? 0, 'sequence');
  });
  sum(placed.quantity);
  return { rows, placed };
}

/** Both sides in one order of id, a bid before an ask of the same id. */
function merged(bids: readonly NetworkOrder[], asks: readonly NetworkOrder[]) {
  const rows: NetworkOrder[] = [];
  const side = new Int8Array(bids.length + asks.length);
  for (let i = 0, j = 0; i < bids.length || j < asks.length;) {
    const [bid, ask] = [bids[i], asks[j]];
    const isBid = bid !== undefined && (ask === undefined || bid.id <= ask.id);
    side[rows.length] = isBid ? -1 : 1;
    rows.push(isBid ? bid : ask!);
    if (isBid) i += 1;
    else j += 1;
  }
  return { rows, side };
}

function edgesOf(tree: NetworkTree, { flow }: NetworkFlows, prices: NodePrice[]): NetworkEdge[] {
  return tree.ids.slice(1).map((id, index) => {
    const node = index + 1;
    // 0 may come as −0.
    const amount = flow[node]! + 0;
    const rise = amount === 0 ? 0 : prices[tree.parent[node]!]!.price! - prices[node]!.price!;
    const fees = product(Math.abs(amount), tree.fee[node]!);
    return {
      id,
      flow: amount,
      fees,
      congestionRent: product(amount, rise) - fees,
      full: amount === tree.up[node] ? 'up' : amount === -tree.down[node]! ? 'down' : null,
    };
  });
}

function commonPrice(
  prices: readonly NodePrice[],
): Pick<NetworkAuctionResult, 'price' | 'interval'> {
  const { price, interval } = prices[0]!;
  const isCommon = prices.every((one) => one.price === price);
  return isCommon ? { price, interval } : { price: null, interval: null };
}

function welfareOf({ side, price }: PlacedOrders, { filled }: NetworkFlows, fees: number): number {
  let welfare = -BigInt(fees);
  for (const [row, quantity] of filled.entries()) {
    if (quantity > 0) welfare -= BigInt(side[row]!) * BigInt(price[row]!) * BigInt(quantity);
  }
  return toSafeInteger(welfare, 'welfare');
}

function product(a: number, b: number): number {
  return toSafeInteger(BigInt(a) * BigInt(b), 'price times quantity');
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total = safeInteger(total + value, 'sum');
  return total;
}

function byId({ id: a }: { id: string }, { id: b }: { id: string }): number {
  return a < b ? -1 : 1;
}
