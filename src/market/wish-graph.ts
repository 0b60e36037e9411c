import { LeastCostFlow } from './least-cost-flow.js';
import type { ClearedNetwork } from './network-auction.js';
import { pairAlong } from './network-pairs.js';
import type { NetworkTree } from './network.js';

/**
 * Who buys from whom when wishes count, as a circulation: energy flows over the wires, within their
 * capacities, from sellers to buyers, and back from each buyer to its seller through what joins the two:
 * any trade, trades of solar energy, trades within a branch, or trades with one neighbor. Each of the
 * first three is a copy of the tree with its fees, the last an arc. A wish is an arc into such a copy that
 * earns the premium; it is opened in the circulation that is best without it.
 */

export type Wish =
  | { readonly kind: 'neighbor'; readonly trader: string; readonly premium: number }
  /** Energy from this node or behind it: a feeder that the buyer is on. */
  | { readonly kind: 'feeder'; readonly node: string; readonly premium: number }
  | { readonly kind: 'solar'; readonly premium: number };

/** By rows of orders, as in the cleared network. */
export interface Wishes {
  readonly of: (row: number) => readonly Wish[];
  readonly isSolar: (row: number) => boolean;
}

export interface WishedPair {
  readonly bid: number;
  readonly ask: number;
  readonly quantity: number;
  readonly feePerUnit: number;
  /** The wish it meets. */
  readonly wish: Wish | null;
  readonly buyerPrice: number;
  readonly sellerPrice: number;
  /** Of the buyer's price, what is beyond the price of other energy at its node. */
  readonly extraPerUnit: number;
}

export function pairsWithWishes(cleared: ClearedNetwork, wishes: Wishes): WishedPair[] {
  const graph = graphOf(cleared, wishes);
  for (const { arc } of graph.wished) graph.circulation.open(arc);
  return [
    ...graph.layers.flatMap((layer) => pairsIn(cleared, graph, layer)),
    ...direct(cleared, graph),
  ];
}

/** A copy of the tree, or of a branch of it, through which some buyers and sellers find each other. */
interface Layer {
  /** The head of the branch; 0 for the whole tree. */
  readonly head: number;
  readonly solarOnly: boolean;
  /** Node of the graph for each node of the tree, −1 outside the branch. */
  readonly at: Int32Array;
  /** By row, the arc between the order and the layer, and the wish it is for. */
  readonly arcs: Map<number, { readonly arc: number; readonly wish: Wish | null }>;
}

interface WishedArc {
  readonly bid: number;
  readonly arc: number;
  readonly wish: Wish;
  /** Where the wish is for a neighbor: its ask, and the fees of the way. */
  readonly ask: number;
  readonly feePerUnit: number;
}

interface Graph {
  readonly circulation: LeastCostFlow;
  /** The first joins everybody. */
  readonly layers: readonly Layer[];
  readonly wished: readonly WishedArc[];
  /** Node of the graph for each row; energy flows through nodes of the same numbers as the tree's. */
  readonly orderAt: (row: number) => number;
}

function graphOf(cleared: ClearedNetwork, wishes: Wishes): Graph {
  const { tree, placed, flows } = cleared;
  const layers = layersOf(cleared, wishes);
  const firstOrder = layers.reduce(
    (next, { at }) => at.reduce((most, node) => Math.max(most, node + 1), next),
    tree.ids.length,
  );
  const orderAt = (row: number) => firstOrder + row;
  const circulation = new LeastCostFlow(firstOrder + placed.node.length);
  const any = layers[0]!;
  setPotentials(cleared, layers, orderAt, circulation.potential);
  for (let node = 1; node < tree.ids.length; node += 1) {
    const [flow, parent] = [flows.flow[node]!, tree.parent[node]!];
    circulation.arc(node, parent, 0, tree.up[node]! - flow, tree.down[node]! + flow);
    for (const { at, head } of layers) {
      if (at[node]! < 0 || node === head) continue;
      // What goes back goes against the energy.
      const [up, down] = at === any.at ? [Math.max(0, -flow), Math.max(0, flow)] : [0, 0];
      circulation.arc(at[node]!, at[parent]!, tree.fee[node]!, Infinity, up);
      circulation.arc(at[parent]!, at[node]!, tree.fee[node]!, Infinity, down);
    }
  }
  const asksOf = new Map<string, number[]>();
  for (const [row, node] of placed.node.entries()) {
    const [filled, left] = [flows.filled[row]!, placed.quantity[row]! - flows.filled[row]!];
    const order = orderAt(row);
    if (placed.side[row] === -1) {
      circulation.arc(node, order, -placed.price[row]!, left, filled);
      any.arcs.set(row, {
        arc: circulation.arc(order, any.at[node]!, 0, Infinity, filled),
        wish: null,
      });
      continue;
    }
    circulation.arc(order, node, placed.price[row]!, left, filled);
    for (const { at, arcs, solarOnly } of layers) {
      if (at[node]! < 0 || (solarOnly && !wishes.isSolar(row))) continue;
      const back = at === any.at ? filled : 0;
      arcs.set(row, { arc: circulation.arc(at[node]!, order, 0, Infinity, back), wish: null });
    }
    const { trader } = cleared.rows[row]!;
    asksOf.set(trader, [...(asksOf.get(trader) ?? []), row]);
  }
  const wished: WishedArc[] = [];
  for (const [bid, node] of placed.node.entries()) {
    if (placed.side[bid] === 1) continue;
    // Of two wishes for the same, the higher premium counts.
    const neighbors = new Set<string>();
    for (const wish of wishes.of(bid).toSorted((a, b) => b.premium - a.premium)) {
      if (wish.kind !== 'neighbor') {
        const layer = layers.find((one) => one !== any && isFor(one, wish, tree))!;
        if (layer.arcs.has(bid)) continue;
        const arc = circulation.arc(orderAt(bid), layer.at[node]!, -wish.premium, 0);
        layer.arcs.set(bid, { arc, wish });
        wished.push({ bid, arc, wish, ask: -1, feePerUnit: 0 });
        continue;
      }
      if (neighbors.has(wish.trader)) continue;
      neighbors.add(wish.trader);
      for (const ask of asksOf.get(wish.trader) ?? []) {
        const feePerUnit = feeBetween(tree, node, placed.node[ask]!);
        const arc = circulation.arc(orderAt(bid), orderAt(ask), feePerUnit - wish.premium, 0);
        wished.push({ bid, arc, wish, ask, feePerUnit });
      }
    }
  }
  return { circulation, layers, wished, orderAt };
}

/** One for everybody, and one for each solar wish or feeder that somebody has. */
function layersOf({ tree, placed }: ClearedNetwork, wishes: Wishes): Layer[] {
  const layers: Layer[] = [];
  let next = tree.ids.length;
  const add = (head: number, solarOnly: boolean) => {
    const at = new Int32Array(tree.ids.length).fill(-1);
    for (let node = head; node < at.length; node += 1) {
      if (node === head || (node > 0 && at[tree.parent[node]!]! >= 0)) at[node] = next++;
    }
    layers.push({ head, solarOnly, at, arcs: new Map() });
  };
  add(0, false);
  for (const bid of placed.node.keys()) {
    if (placed.side[bid] === 1) continue;
    for (const wish of wishes.of(bid)) {
      if (wish.kind === 'neighbor') continue;
      if (layers.slice(1).some((layer) => isFor(layer, wish, tree))) continue;
      add(wish.kind === 'solar' ? 0 : tree.numberOf.get(wish.node)!, wish.kind === 'solar');
    }
  }
  return layers;
}

function isFor({ head, solarOnly }: Layer, wish: Wish, tree: NetworkTree): boolean {
  if (wish.kind === 'feeder') return !solarOnly && head === tree.numberOf.get(wish.node);
  return wish.kind === 'solar' && solarOnly;
}

/** A price is the difference of what energy and what the way back is worth at its node. */
function setPotentials(
  { tree, prices, placed }: ClearedNetwork,
  layers: readonly Layer[],
  orderAt: (row: number) => number,
  potential: Float64Array,
): void {
  const back = new Float64Array(tree.ids.length);
  for (let node = 1; node < back.length; node += 1) {
    const parent = tree.parent[node]!;
    const rise = prices.price[parent]! - prices.price[node]!;
    const fee = tree.fee[node]!;
    back[node] = back[parent]! + Math.max(-fee, Math.min(fee, rise));
  }
  for (const [node, worth] of back.entries()) {
    potential[node] = worth + prices.price[node]!;
    for (const { at } of layers) if (at[node]! >= 0) potential[at[node]!] = worth;
  }
  for (const [row, node] of placed.node.entries()) potential[orderAt(row)] = back[node]!;
}

function pairsIn(
  { tree, placed }: ClearedNetwork,
  { circulation, layers, orderAt }: Graph,
  { at, arcs }: Layer,
): WishedPair[] {
  const { potential } = circulation;
  const filled = new Float64Array(placed.node.length);
  for (const [row, { arc }] of arcs) filled[row] = circulation.flow(arc);
  return pairAlong(tree, placed, { filled }).map((pair) => {
    const [to, from] = [placed.node[pair.bid]!, placed.node[pair.ask]!];
    return {
      ...pair,
      wish: arcs.get(pair.bid)!.wish,
      buyerPrice: potential[to]! - potential[at[to]!]!,
      sellerPrice: potential[from]! - potential[orderAt(pair.ask)]!,
      extraPerUnit: potential[layers[0]!.at[to]!]! - potential[at[to]!]!,
    };
  });
}

function direct(
  { placed }: ClearedNetwork,
  { circulation, layers, wished, orderAt }: Graph,
): WishedPair[] {
  const { potential } = circulation;
  return wished.flatMap(({ bid, ask, arc, wish, feePerUnit }) => {
    const quantity = ask < 0 ? 0 : circulation.flow(arc);
    if (quantity === 0) return [];
    const [to, from] = [placed.node[bid]!, placed.node[ask]!];
    const seller = potential[orderAt(ask)]!;
    const buyerPrice = potential[to]! - seller + feePerUnit;
    const sellerPrice = potential[from]! - seller;
    const extraPerUnit = buyerPrice - (potential[to]! - potential[layers[0]!.at[to]!]!);
    return [{ bid, ask, quantity, feePerUnit, wish, buyerPrice, sellerPrice, extraPerUnit }];
  });
}

function feeBetween({ parent, fee }: NetworkTree, one: number, other: number): number {
  let sum = 0;
  // Parents have lower numbers, so the higher of two nodes is never above the other.
  for (let [a, b] = [one, other]; a !== b;) {
    if (a < b) [a, b] = [b, a];
    sum += fee[a]!;
    a = parent[a]!;
  }
  return sum;
}
