import type { Side } from './continuous-book.js';
import type { NetworkAuctionInput, NetworkAuctionResult, NetworkOrder } from './network-auction.js';
import type { LimitOrder } from './pairing.js';

/**
 * What the wires had to do with an order that was not served in full: a wire that could carry no more,
 * fees that its limit did not cover, or neither. Prices support the result, so energy that would have
 * been worth its way is only ever missed behind a full wire.
 */

/** Why an order in a network went without; prices are at the order's node, fees of the way included. */
export type WireReason =
  | {
      readonly code: 'wire-full';
      /** The node whose wire to its parent is full, and what it carries in a slot. */
      readonly wire: string;
      readonly capacity: number;
      /** What energy from beyond it costs here, or brings. */
      readonly price: number;
    }
  | {
      readonly code: 'wire-fees';
      /** Where the best price was, and what the way there costs. */
      readonly node: string;
      readonly price: number;
      readonly fees: number;
    }
  | { readonly code: 'outbid'; readonly lastServed: number }
  | { readonly code: 'rationed'; readonly wanted: number; readonly served: number }
  | { readonly code: 'node-price'; readonly price: number }
  | { readonly code: 'no-counterpart' };

type Placed<Order> = Order & { readonly node: string };

export interface NetworkView<Order extends LimitOrder> {
  readonly input: NetworkAuctionInput & {
    readonly bids: readonly Placed<Order>[];
    readonly asks: readonly Placed<Order>[];
  };
  readonly result: NetworkAuctionResult;
  readonly neighbors: ReadonlyMap<string, readonly Step[]>;
  /** The best price at each node: what a buyer could pay there, and what a seller could receive. */
  readonly best: Readonly<Record<Side, ReadonlyMap<string, number>>>;
}

/** From a node along a wire; `into` is what the wire could still carry back to the node. */
interface Step {
  readonly to: string;
  readonly wire: string;
  readonly fee: number;
  readonly isFullInto: boolean;
  readonly isFullFrom: boolean;
  readonly capacityInto: number;
  readonly capacityFrom: number;
}

/** Gathers once what is asked for every order. */
export function networkView<Order extends LimitOrder>(
  input: NetworkView<Order>['input'],
  result: NetworkAuctionResult,
): NetworkView<Order> {
  const flows = new Map(result.edges.map(({ id, flow }) => [id, flow]));
  const neighbors = new Map<string, Step[]>(input.network.map(({ id }) => [id, []]));
  for (const { id: wire, parent, feePerUnit: fee, capacityUp, capacityDown } of input.network) {
    if (parent === null) continue;
    const flow = flows.get(wire)!;
    const [up, down] = [capacityUp ?? Infinity, capacityDown ?? Infinity];
    const [isUpFull, isDownFull] = [flow === up, -flow === down];
    neighbors.get(wire)!.push({
      to: parent,
      wire,
      fee,
      isFullInto: isDownFull,
      isFullFrom: isUpFull,
      capacityInto: down,
      capacityFrom: up,
    });
    neighbors.get(parent)!.push({
      to: wire,
      wire,
      fee,
      isFullInto: isUpFull,
      isFullFrom: isDownFull,
      capacityInto: up,
      capacityFrom: down,
    });
  }
  const best = { bid: new Map<string, number>(), ask: new Map<string, number>() };
  const offer = (side: Side, node: string, price: number) => {
    const known = best[side].get(node);
    const isBetter = known === undefined || (side === 'bid' ? price < known : price > known);
    if (isBetter) best[side].set(node, price);
  };
  for (const { id, price } of result.nodes) {
    if (price === null) continue;
    offer('bid', id, price);
    offer('ask', id, price);
  }
  const isLeft = (order: NetworkOrder) => result.filled.get(order)! < order.quantity;
  // A buyer could have what an ask at the node has left, a seller serve what a bid there still lacks.
  for (const ask of input.asks) if (isLeft(ask)) offer('bid', ask.node, ask.price);
  for (const bid of input.bids) if (isLeft(bid)) offer('ask', bid.node, bid.price);
  return { input, result, neighbors, best };
}

/** @param row of the order on its side */
export function wireReason<Order extends LimitOrder>(
  view: NetworkView<Order>,
  side: Side,
  row: number,
): WireReason {
  const own = side === 'bid' ? view.input.bids : view.input.asks;
  const order = own[row]!;
  const reached = [...reach(view, side, order.node)];
  const isWorth = (price: number) => (side === 'bid' ? price < order.price : price > order.price);
  const better = (a: { price: number }, b: { price: number }) =>
    side === 'bid' ? a.price - b.price : b.price - a.price;
  const [beyond] = reached
    .filter(({ full, price }) => full !== null && isWorth(price))
    .sort(better);
  if (beyond?.full) {
    const { wire } = beyond.full;
    const capacity = side === 'bid' ? beyond.full.capacityInto : beyond.full.capacityFrom;
    return { code: 'wire-full', wire, capacity, price: beyond.price };
  }
  const here = own.filter(({ node }) => node === order.node);
  const served = here.filter((one) => view.result.filled.get(one)! > 0);
  const level = here.filter(({ price }) => price === order.price);
  const servedAtLevel = sumOf(level.map((one) => view.result.filled.get(one)!));
  if (servedAtLevel > 0) {
    const wanted = sumOf(level.map(({ quantity }) => quantity));
    return { code: 'rationed', wanted, served: servedAtLevel };
  }
  const last = served.map(({ price }) => price).sort((a, b) => a - b);
  if (last.length > 0) {
    return { code: 'outbid', lastServed: side === 'bid' ? last[0]! : last.at(-1)! };
  }
  const [nearest] = reached
    .filter(({ fees, there }) => fees > 0 && (isWorth(there) || there === order.price))
    .sort(better);
  if (nearest) {
    return { code: 'wire-fees', node: nearest.node, price: nearest.there, fees: nearest.fees };
  }
  const price = reached.toSorted(better)[0]?.price;
  return price === undefined ? { code: 'no-counterpart' } : { code: 'node-price', price };
}

/** Every node with a price for this side, the fees of the way, and the first full wire on it. */
function* reach<Order extends LimitOrder>(
  { neighbors, best }: NetworkView<Order>,
  side: Side,
  from: string,
) {
  const pending: { node: string; by: string | null; fees: number; full: Step | null }[] = [
    { node: from, by: null, fees: 0, full: null },
  ];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const { node, by, fees, full } = at;
    const there = best[side].get(node);
    if (there !== undefined) {
      yield { node, there, fees, full, price: side === 'bid' ? there + fees : there - fees };
    }
    for (const step of neighbors.get(node)!) {
      if (step.wire === by) continue;
      const isFull = side === 'bid' ? step.isFullInto : step.isFullFrom;
      const blocked = full ?? (isFull ? step : null);
      pending.push({ node: step.to, by: step.wire, fees: fees + step.fee, full: blocked });
    }
  }
}

function sumOf(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
