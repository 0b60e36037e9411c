import type { NetworkBook } from './clear-input.js';
import type { ClearOutput } from './clear-output.js';
import type { Side } from './continuous-book.js';
import { networkAuction, type NetworkAuctionResult, type NetworkOrder } from './network-auction.js';
import { beginning } from './order-fate.js';

/** One book in a network through the call auction, and what the wires had to do with each order. */

/** @throws RangeError when the nodes are no tree, or sums exceed 2^53 − 1 */
export function clearNetwork(input: NetworkBook): ClearOutput {
  const orders = (rows: NetworkBook['bids']): NetworkOrder[] =>
    rows.map(({ node, sequence, ...order }, position) => ({
      ...order,
      node: node!,
      sequence: sequence ?? position,
    }));
  const [bids, asks] = [orders(input.bids), orders(input.asks)];
  const { k: kThousandths, rationing } = input.params;
  const network = input.network!.nodes;
  const result = networkAuction({ bids, asks, network, kThousandths, rationing });
  const prices = new Map(result.nodes.map(({ id, price }) => [id, price]));
  const parents = new Map(network.map(({ id, parent }) => [id, parent]));
  const full = new Map(result.edges.map((edge) => [edge.id, edge.full]));
  /** The first wire on the way to the root that carries no more of what the order needs. */
  const fullWire = (node: string, direction: 'up' | 'down'): string | null => {
    for (let at: string | null = node; at !== null; at = parents.get(at) ?? null) {
      if (full.get(at) === direction) return at;
    }
    return null;
  };
  const cleared = (side: Side) => (order: NetworkOrder) => {
    const { id, node } = order;
    const filled = result.filled.get(order)!;
    const price = prices.get(node) ?? null;
    const wire = filled < order.quantity ? fullWire(node, side === 'bid' ? 'down' : 'up') : null;
    const reason =
      (filled === order.quantity ? 'filled' : beginning(order, filled)) +
      `: you ${side === 'bid' ? 'bid' : 'asked'} ${order.price}, ` +
      (price === null ? `nothing is traded at ${node}` : `the price at ${node} is ${price}`) +
      (wire === null ? '' : `; the wire of ${wire} is full`);
    return { id, side, filled, reason };
  };
  return {
    mechanism: input.mechanism,
    trades: result.trades.map(({ bid, ask, quantity, buyerPrice, sellerPrice }) => ({
      bid: bid.id,
      ask: ask.id,
      quantity,
      price: buyerPrice,
      sellerPrice,
    })),
    clearingPrice: result.price,
    priceInterval: commonInterval(result),
    volume: result.volume,
    welfare: result.welfare,
    // The network auction is exact: the specs hold it against a linear program.
    maximumWelfare: result.welfare,
    orders: [...bids.map(cleared('bid')), ...asks.map(cleared('ask'))],
    fees: result.fees,
    congestionRent: result.congestionRent,
    nodes: result.nodes.map(({ id, price }) => ({ id, price })),
    edges: result.edges.map(({ id, flow, congestionRent, fees, full: direction }) => ({
      id,
      flow,
      congestionRent,
      fees,
      full: direction,
    })),
  };
}

/**
 * Of the one price that holds everywhere, how far it could move at all nodes at once; null where prices
 * differ. A single node may be bounded from one side alone, behind a wire that lets only in or out, but
 * wherever something is traded somebody sells and somebody buys: together the nodes bound both ends.
 */
function commonInterval({ price, nodes }: NetworkAuctionResult): [number, number] | null {
  if (price === null) return null;
  const intervals = nodes.flatMap(({ interval }) => (interval === null ? [] : [interval]));
  const [lows, highs] = [intervals.map(([low]) => low), intervals.map(([, high]) => high)];
  return [lows.reduce((a, b) => Math.max(a, b)), highs.reduce((a, b) => Math.min(a, b))];
}
