import type { NetworkFlows } from './network-flows.js';
import type { PlacedOrders } from './network-margins.js';
import type { NetworkTree } from './network.js';
import { uniformPrice, type PriceInterval } from './pricing.js';

/**
 * A price for each node that supports what is served: nobody who was left out would trade at it, nobody
 * served would not; across a wire the prices differ by exactly the fee in the direction of the flow, by
 * at most the fee where nothing flows, and by more only where the wire is full.
 *
 * The lowest prices that do this at each node do it together, so do the highest, and so does what stands
 * k thousandths of the way between them at each node, rounded down: all these conditions are bounds on
 * differences. A zone, nodes tied together by what flows, has one such interval up to the fees.
 */

export interface NodePrice {
  /** Null where nothing is traded among all nodes that wires of any capacity connect with this one. */
  readonly price: number | null;
  /** All prices that support the result at this node; infinite where nothing bounds them. */
  readonly interval: PriceInterval | null;
}

/** By number of the node. */
export interface SupportingPrices {
  /** Also where nothing is traded. */
  readonly price: Float64Array;
  readonly lowest: Float64Array;
  readonly highest: Float64Array;
  /** 1 where something is traded within reach. */
  readonly live: Int8Array;
}

export function supportingPrices(
  tree: NetworkTree,
  orders: PlacedOrders,
  flows: NetworkFlows,
  kThousandths: number,
): SupportingPrices {
  const gaps = gapsOf(tree, flows.flow);
  const bounds = ownBounds(tree, orders, flows.filled);
  spread(tree, gaps, bounds);
  const { lowest, highest } = bounds;
  const price = lowest.map((low, node) => {
    const high = highest[node]!;
    if (!Number.isFinite(low) || !Number.isFinite(high)) return Number.NaN;
    return uniformPrice({ pricing: 'clearing', kThousandths }, [low, high], [low, high]);
  });
  completePrices(tree, gaps, bounds, price);
  return { price, lowest, highest, live: liveNodes(tree, flows, orders) };
}

/** What is said of each node: no price where nothing is traded. */
export function nodePrices({ price, lowest, highest, live }: SupportingPrices): NodePrice[] {
  return Array.from(price, (one, node) =>
    live[node] === 1
      ? { price: one, interval: [lowest[node]!, highest[node]!] }
      : { price: null, interval: null },
  );
}

/** By how much a node may be dearer than its parent, and its parent than it. */
interface Gaps {
  readonly above: Float64Array;
  readonly below: Float64Array;
}

function gapsOf({ fee, up, down }: NetworkTree, flow: Float64Array): Gaps {
  const above = new Float64Array(flow.length);
  const below = new Float64Array(flow.length);
  flow.forEach((amount, node) => {
    // A wire that could carry more ties the prices; a full one lets them part.
    above[node] = amount > 0 ? -fee[node]! : amount > -down[node]! ? fee[node]! : Infinity;
    below[node] = amount < 0 ? -fee[node]! : amount < up[node]! ? fee[node]! : Infinity;
  });
  return { above, below };
}

interface Bounds {
  readonly lowest: Float64Array;
  readonly highest: Float64Array;
}

/** Between what a node's own orders agreed to and what they would have taken more of. */
function ownBounds(tree: NetworkTree, orders: PlacedOrders, filled: Float64Array): Bounds {
  const lowest = new Float64Array(tree.parent.length).fill(-Infinity);
  const highest = new Float64Array(tree.parent.length).fill(Infinity);
  orders.price.forEach((price, row) => {
    const node = orders.node[row]!;
    const [isServed, isLeft] = [filled[row]! > 0, filled[row]! < orders.quantity[row]!];
    const isAsk = orders.side[row] === 1;
    if (isAsk ? isServed : isLeft) lowest[node] = Math.max(lowest[node]!, price);
    if (isAsk ? isLeft : isServed) highest[node] = Math.min(highest[node]!, price);
  });
  return { lowest, highest };
}

/** Carries every bound along all wires: to the root, then back. */
function spread({ parent }: NetworkTree, { above, below }: Gaps, { lowest, highest }: Bounds) {
  for (let node = parent.length - 1; node > 0; node -= 1) {
    const at = parent[node]!;
    lowest[at] = Math.max(lowest[at]!, lowest[node]! - above[node]!);
    highest[at] = Math.min(highest[at]!, highest[node]! + below[node]!);
  }
  for (let node = 1; node < parent.length; node += 1) {
    const at = parent[node]!;
    lowest[node] = Math.max(lowest[node]!, lowest[at]! - below[node]!);
    highest[node] = Math.min(highest[node]!, highest[at]! + above[node]!);
  }
  const broken = lowest.findIndex((low, node) => low > highest[node]!);
  if (broken >= 0) throw new Error('no prices support the result of the network auction');
}

/** 1 for the nodes of every part of the network, cut where a wire carries nothing, that trades. */
function liveNodes(
  tree: NetworkTree,
  { flow, filled }: NetworkFlows,
  orders: PlacedOrders,
): Int8Array {
  const { parent } = tree;
  const live = Int8Array.from(flow, (amount) => (amount === 0 ? 0 : 1));
  filled.forEach((amount, row) => {
    if (amount > 0) live[orders.node[row]!] = 1;
  });
  for (let node = parent.length - 1; node > 0; node -= 1) {
    if (live[node] === 1 && !isCut(tree, node)) live[parent[node]!] = 1;
  }
  for (let node = 1; node < parent.length; node += 1) {
    if (live[parent[node]!] === 1 && !isCut(tree, node)) live[node] = 1;
  }
  return live;
}

function isCut({ up, down }: NetworkTree, node: number): boolean {
  return up[node] === 0 && down[node] === 0;
}

/**
 * Where nothing bounds a node's price from one side or both, behind a wire that carries nothing in one
 * direction, it is its parent's, or the nearest to that which supports the result.
 */
function completePrices(tree: NetworkTree, gaps: Gaps, bounds: Bounds, price: Float64Array): void {
  if (!price.some(Number.isNaN)) return;
  const { parent } = tree;
  const { above, below } = gaps;
  const lowest = bounds.lowest.map((low, node) =>
    Number.isNaN(price[node]!) ? low : price[node]!,
  );
  const highest = bounds.highest.map((high, node) =>
    Number.isNaN(price[node]!) ? high : price[node]!,
  );
  // What anything in the branch below asks of a node; a price from there stands in for a root's parent's.
  const known = Float64Array.from(price);
  for (let node = parent.length - 1; node > 0; node -= 1) {
    const at = parent[node]!;
    lowest[at] = Math.max(lowest[at]!, lowest[node]! - above[node]!);
    highest[at] = Math.min(highest[at]!, highest[node]! + below[node]!);
    if (Number.isNaN(known[at]!) && !isCut(tree, node)) known[at] = known[node]!;
  }
  for (let node = 0; node < parent.length; node += 1) {
    const outside = node === 0 || isCut(tree, node) ? Number.NaN : price[parent[node]!]!;
    if (!Number.isNaN(outside)) {
      lowest[node] = Math.max(lowest[node]!, outside - below[node]!);
      highest[node] = Math.min(highest[node]!, outside + above[node]!);
    }
    if (!Number.isNaN(price[node]!)) continue;
    const near = [outside, known[node]!].find((one) => !Number.isNaN(one)) ?? 0;
    price[node] = Math.max(lowest[node]!, Math.min(highest[node]!, near));
  }
}
