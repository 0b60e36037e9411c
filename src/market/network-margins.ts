import type { NetworkTree } from './network.js';
import type { Rationing } from '../parties/microgrid.js';
import { ration } from './rationing.js';

/**
 * Orders at the margin, of which only some can be served and all the same to the welfare, share by the
 * microgrid's rule: as if there were no wires where these allow it; else each is served in the same
 * measure as the others but for those behind a full wire, who share what it carries.
 */

/** All orders of a book in the order of id, as arrays. */
export interface PlacedOrders {
  /** 1 for an ask, −1 for a bid. */
  readonly side: Int8Array;
  readonly node: Int32Array;
  readonly price: Float64Array;
  readonly quantity: Float64Array;
  /** Who comes first under `time`: then no two orders are worth the same, so these need no ration. */
  readonly sequence: Float64Array;
}

/** What is decided at the marginal prices, and how much room each branch has for the rest. */
export interface Branches {
  readonly filled: Float64Array;
  /** Known for the root and for each node whose wire leaves no choice. */
  readonly flow: Float64Array;
  /** The node whose zone this one is in: flows within a zone are still to be chosen. */
  readonly zone: Int32Array;
  /** The flow when no order at the margin is served. */
  readonly base: Float64Array;
  /** Bounds of the flow where there is a choice. */
  readonly least: Float64Array;
  readonly most: Float64Array;
  /** Orders at the margin in the branch as far as the zone goes: which side, how many, how much. */
  readonly side: Int8Array;
  readonly count: Float64Array;
  readonly quantity: Float64Array;
  /** Rows of the orders at the margin, in the order of id. */
  readonly margin: readonly number[];
}

/** Serves the orders at the margin, zone by zone, and sets the flows within the zones. */
export function shareMargins(
  tree: NetworkTree,
  orders: PlacedOrders,
  branches: Branches,
  rationing: Rationing,
): void {
  const { zone, quantity, margin } = branches;
  const nodesOf = new Map<number, number[]>();
  for (const [node, head] of zone.entries()) {
    if (quantity[head]! > 0) push(nodesOf, head, node);
  }
  const rowsOf = new Map<number, number[]>();
  for (const row of margin) push(rowsOf, zone[orders.node[row]!]!, row);
  const size = tree.parent.length;
  const street = {
    tree,
    orders,
    branches,
    rationing,
    served: new Float64Array(size),
    fixed: new Float64Array(size),
    part: new Int32Array(size),
  };
  for (const [head, nodes] of nodesOf) {
    const whole = { head, nodes, rows: rowsOf.get(head)!, total: servedAt(street, head) };
    if (!shareAsOne(street, whole)) shareWithinWires(street, whole);
    for (const node of nodes) if (node !== head) branches.flow[node] = flowAt(street, node);
  }
}

/** What the sharing of one zone after the other works with; each touches its own nodes only. */
interface Street {
  readonly tree: NetworkTree;
  readonly orders: PlacedOrders;
  readonly branches: Branches;
  readonly rationing: Rationing;
  /** What the orders at the margin of a node and the branches behind it are served in all. */
  readonly served: Float64Array;
  /** Of that, what is behind wires that turned out to be full. */
  readonly fixed: Float64Array;
  /** The head of the part that the node belongs to. */
  readonly part: Int32Array;
}

/** A zone, or what full wires divide it into. */
interface Part {
  readonly head: number;
  /** Parents before children. */
  readonly nodes: readonly number[];
  /** The orders at the margin, in the order of id. */
  readonly rows: readonly number[];
  /** What these and what is fixed behind them are served in all. */
  readonly total: number;
}

function servedAt({ branches: { side, flow, base } }: Street, node: number): number {
  return side[node] === 1 ? flow[node]! - base[node]! : base[node]! - flow[node]!;
}

function flowAt({ branches: { side, base }, served }: Street, node: number): number {
  return base[node]! + side[node]! * served[node]!;
}

/** The least and the most that the wire of a node allows its branch to be served. */
function roomAt({ branches: { side, base, least, most } }: Street, node: number): [number, number] {
  return side[node] === 1
    ? [least[node]! - base[node]!, most[node]! - base[node]!]
    : [base[node]! - most[node]!, base[node]! - least[node]!];
}

/** Shares among all orders of the zone at once. @returns false where a wire does not allow it */
function shareAsOne(street: Street, { head, nodes, rows, total }: Part): boolean {
  const { tree, orders, branches, rationing, served } = street;
  const wanted = rows.map((row) => orders.quantity[row]!);
  const shares = ration(rationing, total, wanted);
  rows.forEach((row, place) => {
    branches.filled[row] = shares[place]!;
    served[orders.node[row]!]! += shares[place]!;
  });
  for (let at = nodes.length - 1; at > 0; at -= 1) {
    served[tree.parent[nodes[at]!]!]! += served[nodes[at]!]!;
  }
  const isWithin = nodes.every((node) => {
    const [least, most] = roomAt(street, node);
    return node === head || (served[node]! >= least && served[node]! <= most);
  });
  return isWithin;
}

/**
 * Shares a part at once; where wires do not allow it, sees whether what these hold back is more or less
 * than what they force. If more, all others will have to be served in a higher measure, so the wires that
 * hold back will be full in the end as well: what is behind them becomes a part of its own. If less, the
 * same holds of those that force. This repeats at most once for each full wire.
 */
function shareWithinWires(street: Street, zone: Part): void {
  const { tree, branches, rationing, orders, served, fixed, part } = street;
  const parts = [zone];
  for (let one = parts.pop(); one !== undefined; one = parts.pop()) {
    const { head, nodes, rows, total } = one;
    const lots = lotsOf(street, rows);
    const behind = nodes.reduce((sum, node) => sum + fixed[node]!, 0);
    const wanted = lots.map(({ quantity }) => quantity);
    const shares = ration(rationing, total - behind, wanted);
    const clipped = carry(street, one, lots, shares);
    if (clipped.size === 0) {
      lots.forEach((lot, place) => {
        const each = lot.rows.map((row) => orders.quantity[row]!);
        ration(rationing, shares[place]!, each).forEach((share, index) => {
          branches.filled[lot.rows[index]!] = share;
        });
      });
      continue;
    }
    const tooMuch = Math.sign(served[head]! - total);
    for (const node of nodes) {
      const outside = node === head ? head : part[tree.parent[node]!]!;
      const isFull = outside === head && clipped.has(node) && clipped.get(node) !== -tooMuch;
      part[node] = isFull ? node : outside;
      if (isFull) fixed[tree.parent[node]!]! += served[node]!;
    }
    const nodesOf = new Map<number, number[]>();
    for (const node of nodes) push(nodesOf, part[node]!, node);
    const rowsOf = new Map<number, number[]>();
    for (const row of rows) push(rowsOf, part[orders.node[row]!]!, row);
    for (const [at, its] of nodesOf) {
      const amount = at === head ? total : served[at]!;
      parts.push({ head: at, nodes: its, rows: rowsOf.get(at) ?? [], total: amount });
    }
  }
}

/** Orders that are served in one measure whatever it is: pro rata, all of a node; else each alone. */
interface Lot {
  readonly node: number;
  readonly rows: readonly number[];
  readonly quantity: number;
}

function lotsOf({ orders, rationing }: Street, rows: readonly number[]): Lot[] {
  const rowsOf = new Map<number, number[]>();
  for (const row of rows) push(rowsOf, rationing === 'pro-rata' ? orders.node[row]! : row, row);
  return [...rowsOf.values()].map((its) => ({
    node: orders.node[its[0]!]!,
    rows: its,
    quantity: its.reduce((sum, row) => sum + orders.quantity[row]!, 0),
  }));
}

/**
 * Sums the shares towards the head, each wire passing on what it allows.
 * @returns the nodes whose wire changed the sum: −1 where it holds back, 1 where it forces
 */
function carry(
  street: Street,
  { head, nodes }: Part,
  lots: readonly Lot[],
  shares: readonly number[],
): Map<number, number> {
  const { tree, served, fixed } = street;
  for (const node of nodes) served[node] = fixed[node]!;
  lots.forEach(({ node }, place) => (served[node]! += shares[place]!));
  const clipped = new Map<number, number>();
  for (let at = nodes.length - 1; at >= 0; at -= 1) {
    const node = nodes[at]!;
    if (node === head) continue;
    const [least, most] = roomAt(street, node);
    const allowed = Math.max(least, Math.min(most, served[node]!));
    if (allowed !== served[node]) clipped.set(node, Math.sign(allowed - served[node]!));
    served[node] = allowed;
    served[tree.parent[node]!]! += allowed;
  }
  return clipped;
}

function push(lists: Map<number, number[]>, key: number, value: number): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
