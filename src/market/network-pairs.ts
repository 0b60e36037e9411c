import { rowsByKey } from './canonical-order.js';
import type { NetworkFlows } from './network-flows.js';
import type { PlacedOrders } from './network-margins.js';
import type { NetworkTree } from './network.js';

/**
 * Who buys from whom in a network: neighbors as near as the flows allow. From the leaves up, what a
 * place sells and buys is paired, and only what is left goes over its wire, where it can flow in one
 * direction alone: so no pair uses a wire against the flow, and all pairs together pay exactly its fees.
 * A place is all nodes with neither fee nor capacity between them; where that is the whole network, the pairs
 * are those of the call auction without one.
 */

/** Rows of the two orders that met. */
export interface Pair {
  readonly bid: number;
  readonly ask: number;
  readonly quantity: number;
  /** Fees per unit on the way from the seller to the buyer. */
  readonly feePerUnit: number;
}

/**
 * At most one pair less than there are served orders. Each place goes through its own orders from the
 * best price on, then through what its branches left, in the order of their ids.
 */
export function pairAlong(
  tree: NetworkTree,
  orders: PlacedOrders,
  { filled }: Pick<NetworkFlows, 'filled'>,
): Pair[] {
  const place = placesOf(tree);
  const asks = new Queues(place.length, filled.length);
  const bids = new Queues(place.length, filled.length);
  // The best price first on each side.
  for (const row of rowsByKey(orders.price.map((price, row) => orders.side[row]! * price))) {
    if (filled[row] === 0) continue;
    (orders.side[row] === 1 ? asks : bids).add(place[orders.node[row]!]!, row);
  }
  const left = Float64Array.from(filled);
  const pairs: Pair[] = [];
  for (const at of branchesFirst(tree, place)) {
    for (;;) {
      const [bid, ask] = [bids.first(at), asks.first(at)];
      if (bid < 0 || ask < 0) break;
      const quantity = Math.min(left[bid]!, left[ask]!);
      const [from, to] = [orders.node[ask]!, orders.node[bid]!].map(
        (node) => tree.feeToRoot[node]!,
      );
      pairs.push({ bid, ask, quantity, feePerUnit: from! + to! - 2 * tree.feeToRoot[at]! });
      left[bid]! -= quantity;
      left[ask]! -= quantity;
      if (left[bid] === 0) bids.drop(at);
      if (left[ask] === 0) asks.drop(at);
    }
    if (at === 0) continue;
    const outside = place[tree.parent[at]!]!;
    asks.move(at, outside);
    bids.move(at, outside);
  }
  if (asks.first(0) >= 0 || bids.first(0) >= 0) throw new Error('bought and sold energy differ');
  return pairs;
}

/** For each node the node of its place that is nearest to the root. */
function placesOf({ parent, fee, up, down }: NetworkTree): Int32Array {
  const place = new Int32Array(parent.length);
  for (let node = 1; node < parent.length; node += 1) {
    const isOpen = fee[node] === 0 && up[node] === Infinity && down[node] === Infinity;
    place[node] = isOpen ? place[parent[node]!]! : node;
  }
  return place;
}

/** Places by their heads: the farthest from the root first, side by side in the order of id. */
function branchesFirst({ parent }: NetworkTree, place: Int32Array): number[] {
  const level = new Int32Array(place.length);
  const heads: number[] = [];
  place.forEach((head, node) => {
    if (head !== node) return;
    if (node > 0) level[node] = level[place[parent[node]!]!]! + 1;
    heads.push(node);
  });
  return heads.sort((a, b) => level[b]! - level[a]! || a - b);
}

/** A queue of rows at each place; one is appended to another in a single step. */
class Queues {
  private readonly head: Int32Array;
  private readonly tail: Int32Array;
  private readonly next: Int32Array;

  constructor(places: number, rows: number) {
    this.head = new Int32Array(places).fill(-1);
    this.tail = new Int32Array(places).fill(-1);
    this.next = new Int32Array(rows).fill(-1);
  }

  /** −1 when the queue is empty. */
  first(place: number): number {
    return this.head[place]!;
  }

  add(place: number, row: number): void {
    this.append(place, row, row);
  }

  drop(place: number): void {
    this.head[place] = this.next[this.head[place]!]!;
  }

  move(from: number, to: number): void {
    if (this.head[from]! >= 0) this.append(to, this.head[from]!, this.tail[from]!);
    this.head[from] = -1;
  }

  private append(place: number, first: number, last: number): void {
    if (this.head[place]! < 0) this.head[place] = first;
    else this.next[this.tail[place]!] = first;
    this.tail[place] = last;
  }
}
