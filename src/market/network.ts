import { safeInteger } from '../units/integer.js';

/**
 * The wires of a microgrid: a tree of households, feeders and a substation. Each node but the root
 * has one wire to its parent, with a fee per unit of energy and what it carries in each direction.
 */

export interface NetworkNode {
  readonly id: string;
  /** Null for the root, which has no wire: its fee and capacities are not used. */
  readonly parent: string | null;
  /** What a unit of energy pays for the wire to the parent, whichever way it flows; not negative. */
  readonly feePerUnit: number;
  /** The most that the wire carries to the parent; absent or null is no limit. */
  readonly capacityUp?: number | null;
  /** The most that it carries from the parent. */
  readonly capacityDown?: number | null;
}

/** Nodes by number: a parent's is lower than its children's, siblings stand in the order of id. */
export interface NetworkTree {
  readonly ids: readonly string[];
  readonly numberOf: ReadonlyMap<string, number>;
  /** −1 for the root, which is number 0. */
  readonly parent: Int32Array;
  readonly fee: Float64Array;
  /** Infinity where there is no limit. */
  readonly up: Float64Array;
  readonly down: Float64Array;
  /** Fees from the node to the root, summed. */
  readonly feeToRoot: Float64Array;
}

/**
 * Checks and numbers a tree; the numbers do not depend on the order of the rows.
 * @throws RangeError when there is not exactly one root, a node is named twice, a parent is not
 *   there, nodes form a circle, or a fee or capacity is negative or no integer
 */
export function networkTree(nodes: readonly NetworkNode[]): NetworkTree {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ordered = fromTheRoot(nodes, byId);
  const numberOf = new Map(ordered.map(({ id }, number) => [id, number]));
  const tree = {
    ids: ordered.map(({ id }) => id),
    numberOf,
    parent: Int32Array.from(ordered, ({ parent }) =>
      parent === null ? -1 : numberOf.get(parent)!,
    ),
    fee: new Float64Array(ordered.length),
    up: new Float64Array(ordered.length),
    down: new Float64Array(ordered.length),
    feeToRoot: new Float64Array(ordered.length),
  };
  ordered.forEach(({ id, feePerUnit, capacityUp, capacityDown }, node) => {
    if (node === 0) return;
    tree.fee[node] = notNegative(feePerUnit, `fee of ${id}`);
    tree.up[node] = notNegative(capacityUp ?? Infinity, `capacity up of ${id}`);
    tree.down[node] = notNegative(capacityDown ?? Infinity, `capacity down of ${id}`);
    const sum = tree.feeToRoot[tree.parent[node]!]! + tree.fee[node]!;
    tree.feeToRoot[node] = safeInteger(sum, `fees from ${id} to the root`);
  });
  return tree;
}

/** Parents before children, siblings by id. */
function fromTheRoot(
  nodes: readonly NetworkNode[],
  byId: ReadonlyMap<string, NetworkNode>,
): NetworkNode[] {
  const children = new Map<string | null, NetworkNode[]>();
  for (const node of nodes) {
    if (byId.get(node.id) !== node) throw new RangeError(`node ${node.id} is given twice`);
    if (node.parent !== null && !byId.has(node.parent)) {
      throw new RangeError(`node ${node.id} has an unknown parent: ${node.parent}`);
    }
    const siblings = children.get(node.parent);
    if (siblings) siblings.push(node);
    else children.set(node.parent, [node]);
  }
  const roots = children.get(null) ?? [];
  if (roots.length !== 1) throw new RangeError(`a network has one root, not ${roots.length}`);
  const ordered = [...roots];
  for (let at = 0; at < ordered.length; at += 1) {
    const below = children.get(ordered[at]!.id) ?? [];
    ordered.push(...below.sort((a, b) => (a.id < b.id ? -1 : 1)));
  }
  if (ordered.length < nodes.length) {
    const reached = new Set(ordered);
    const lost = nodes.find((node) => !reached.has(node))!;
    throw new RangeError(`node ${lost.id} does not lead to the root`);
  }
  return ordered;
}

function notNegative(value: number, what: string): number {
  if (value !== Infinity) safeInteger(value, what);
  if (value < 0) throw new RangeError(`${what} is negative: ${value}`);
  return value;
}
