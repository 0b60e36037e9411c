import { rowsByKey } from './canonical-order.js';
import { shareMargins, type Branches, type PlacedOrders } from './network-margins.js';
import type { NetworkTree } from './network.js';
import type { Rationing } from '../parties/microgrid.js';
import { SupplyCurves, type Curve } from './supply-curve.js';

/**
 * Who is served in a network, and what flows: the most welfare that orders, fees and wires allow; of
 * all ways to reach it those that trade most, then those whose ways are paid for least often; and what
 * is still the same to the welfare is shared by the microgrid's rule.
 *
 * What each part of the tree supplies at which price is a curve of steps, one an order. From the leaves
 * up, curves are blended; on a wire, a fee moves what flows out up in price and what flows in down, and
 * a capacity cuts the curve. From the root down, the prices at which the curves balance are read off.
 */

export interface NetworkFlows {
  /** What each order is served. */
  readonly filled: Float64Array;
  /** What flows from each node to its parent, negative where it flows down; 0 for the root. */
  readonly flow: Float64Array;
}

/** @throws RangeError when prices are too large for the depth of the tree */
export function networkFlows(
  tree: NetworkTree,
  orders: PlacedOrders,
  rationing: Rationing,
): NetworkFlows {
  const ranked = rankedPrices(tree, orders, rationing);
  const marginal = marginalPrices(tree, bendsOf(tree, orders, ranked), ranked.fee);
  const branches = branchesAt(tree, orders, ranked, marginal);
  shareMargins(tree, orders, branches, rationing);
  const { filled, flow } = branches;
  return { filled, flow };
}

/**
 * Prices and fees in a finer unit, so that what is decided by price alone is also decided by what comes
 * after it: a bid is worth a little more, so that equal prices trade; each paid wire costs less than
 * that; and under `time` each order stands a still smaller step behind those before it. No sum of these
 * along a way through the tree reaches one unit of price. No bid's price equals an ask's any more.
 */
interface RankedPrices {
  readonly price: Float64Array;
  readonly fee: Float64Array;
}

function rankedPrices(
  tree: NetworkTree,
  { side, price, sequence }: PlacedOrders,
  rationing: Rationing,
): RankedPrices {
  const paid = new Int32Array(tree.parent.length);
  let [deepest, dearest, highest] = [0, 0, 0];
  tree.fee.forEach((fee, node) => {
    if (node > 0) paid[node] = paid[tree.parent[node]!]! + (fee > 0 ? 1 : 0);
    deepest = Math.max(deepest, paid[node]!);
    dearest = Math.max(dearest, tree.feeToRoot[node]!);
  });
  for (const one of price) highest = Math.max(highest, Math.abs(one));
  const place = new Float64Array(price.length);
  const wire = rationing === 'time' ? price.length + 1 : 1;
  if (rationing === 'time') {
    rowsByKey(sequence).forEach((row, turn) => (place[row] = turn));
  }
  const bonus = wire * (2 * deepest + 2);
  const unit = 4 * bonus + 1;
  if (!Number.isSafeInteger((highest + 2 * dearest + 2) * unit)) {
    throw new RangeError('prices and fees are too large for a network of this depth');
  }
  return {
    price: price.map((one, row) =>
      side[row] === 1 ? one * unit + place[row]! : one * unit + bonus - place[row]!,
    ),
    fee: tree.fee.map((fee) => (fee > 0 ? fee * unit + wire : 0)),
  };
}

/** Where a node's curve begins to flow out, to flow in, and fills its wire in either direction. */
interface Bends {
  readonly out: Float64Array;
  readonly into: Float64Array;
  readonly fullUp: Float64Array;
  readonly fullDown: Float64Array;
}

/** From the leaves to the root. */
function bendsOf(tree: NetworkTree, orders: PlacedOrders, ranked: RankedPrices): Bends {
  const size = tree.parent.length;
  const curves = new SupplyCurves(orders.price.length + 3 * size);
  const curve = new Int32Array(size);
  /** How much of the curve is below zero: what flows in at the lowest price. */
  const inflow = new Float64Array(size);
  for (const row of rowsByKey(ranked.price)) {
    const quantity = orders.quantity[row]!;
    if (quantity === 0) continue;
    const node = orders.node[row]!;
    curve[node] = curves.join(curve[node]!, curves.step(ranked.price[row]!, quantity));
    if (orders.side[row] === -1) inflow[node]! += quantity;
  }
  const bends: Bends = {
    out: new Float64Array(size),
    into: new Float64Array(size),
    fullUp: new Float64Array(size),
    fullDown: new Float64Array(size),
  };
  for (let node = size - 1; node >= 0; node -= 1) {
    let below: Curve, above: Curve, beyond: Curve;
    [below, above] = curves.cut(curve[node]!, inflow[node]!);
    bends.into[node] = curves.highest(below);
    bends.out[node] = curves.lowest(above);
    if (node === 0) break;
    [beyond, below] = curves.cut(below, inflow[node]! - tree.down[node]!);
    bends.fullDown[node] = curves.highest(beyond);
    [above, beyond] = curves.cut(above, tree.up[node]!);
    bends.fullUp[node] = curves.lowest(beyond);
    const parent = tree.parent[node]!;
    inflow[parent]! += curves.total(below);
    const fee = ranked.fee[node]!;
    const seenAbove = curves.join(curves.shift(below, -fee), curves.shift(above, fee));
    curve[parent] = curves.blend(curve[parent]!, seenAbove);
  }
  return bends;
}

/** From the root to the leaves: prices at which all curves balance. */
function marginalPrices(tree: NetworkTree, bends: Bends, fee: Float64Array): Float64Array {
  const { out, into, fullUp, fullDown } = bends;
  const marginal = new Float64Array(out.length);
  for (const node of marginal.keys()) {
    if (node === 0) {
      marginal[0] = [into[0]!, out[0]!].find(Number.isFinite) ?? 0;
      continue;
    }
    const outside = marginal[tree.parent[node]!]!;
    const [sells, buys] = [outside - fee[node]!, outside + fee[node]!];
    if (sells >= out[node]!) marginal[node] = Math.min(sells, fullUp[node]!);
    else if (buys <= into[node]!) marginal[node] = Math.max(buys, fullDown[node]!);
    else marginal[node] = Math.max(sells, into[node]!);
  }
  return marginal;
}

function branchesAt(
  tree: NetworkTree,
  orders: PlacedOrders,
  ranked: RankedPrices,
  marginal: Float64Array,
): Branches {
  const size = tree.parent.length;
  const numbers = () => new Float64Array(size);
  const margin: number[] = [];
  const branches = {
    filled: new Float64Array(orders.price.length),
    flow: numbers(),
    zone: Int32Array.from({ length: size }, (_, node) => node),
    base: numbers(),
    least: numbers(),
    most: numbers(),
    side: new Int8Array(size),
    count: numbers(),
    quantity: numbers(),
    margin,
  };
  const [lowest, highest] = [numbers(), numbers()];
  for (const [row, quantity] of orders.quantity.entries()) {
    const node = orders.node[row]!;
    const side = orders.side[row]!;
    const gain = side * (marginal[node]! - ranked.price[row]!);
    if (quantity === 0 || gain < 0) continue;
    if (gain > 0) {
      branches.filled[row] = quantity;
      branches.base[node]! += side * quantity;
      continue;
    }
    margin.push(row);
    branches.side[node] = side;
    branches.count[node]! += 1;
    branches.quantity[node]! += quantity;
    (side === 1 ? highest : lowest)[node]! += side * quantity;
  }
  for (let node = size - 1; node > 0; node -= 1) {
    const parent = tree.parent[node]!;
    const outside = marginal[parent]!;
    const [sells, buys] = [outside - ranked.fee[node]!, outside + ranked.fee[node]!];
    const [up, down] = [tree.up[node]!, tree.down[node]!];
    const price = marginal[node]!;
    let least = Math.max(branches.base[node]! + lowest[node]!, price === buys ? -down : 0);
    let most = Math.min(branches.base[node]! + highest[node]!, price === sells ? up : 0);
    if (price < sells) least = most = up;
    if (price > buys) least = most = -down;
    if (least > most) throw new Error(`no balance at node ${tree.ids[node]}`);
    if (least === most) {
      branches.flow[node] = least;
      branches.base[parent]! += least;
      continue;
    }
    branches.zone[node] = parent;
    branches.least[node] = least;
    branches.most[node] = most;
    branches.side[parent] = branches.side[node]!;
    branches.count[parent]! += branches.count[node]!;
    branches.quantity[parent]! += branches.quantity[node]!;
    lowest[parent]! += least - branches.base[node]!;
    highest[parent]! += most - branches.base[node]!;
    branches.base[parent]! += branches.base[node]!;
  }
  for (const node of tree.parent.keys()) branches.zone[node] = branches.zone[branches.zone[node]!]!;
  return branches;
}
