/** The network of a microgrid as a request may give it: one tree, from the substation down. */

import { z } from 'zod';
import type { EnrolmentDraft } from './enrolment-journal.js';
import type { Microgrid, NetworkNode, NetworkVersion } from './microgrid.js';
import { instant, nonNegative } from './parse.js';
import type { Instant } from '../units/slot.js';
import { parseInstant } from '../units/slot.js';

const NODE_ID = z.string().trim().min(1).max(60);
const WATTS = z.int().min(0).max(2_147_483_647, 'must be below 2^31').nullable().default(null);

/** A version of the network that holds from a slot border on. */
export const NETWORK = z.strictObject({
  validFrom: instant,
  nodes: z
    .array(
      z.strictObject({
        node: NODE_ID,
        parent: NODE_ID.nullable(),
        feeMicroPerKwh: nonNegative.default(0),
        capacityUpW: WATTS,
        capacityDownW: WATTS,
      }),
    )
    .min(1)
    .max(10_000, 'must have at most 10000 nodes')
    .superRefine((nodes, context) => {
      const fault = treeFault(nodes);
      if (fault !== null) context.addIssue({ code: 'custom', message: fault });
    }),
});
export type NetworkRequest = z.input<typeof NETWORK>;

/** What keeps these nodes from being one tree; null when they are. */
export function treeFault(nodes: readonly NetworkNode[]): string | null {
  const parents = new Map(nodes.map(({ node, parent }) => [node, parent]));
  if (parents.size < nodes.length) return 'a node is named twice';
  const roots = nodes.filter(({ parent }) => parent === null);
  if (roots.length !== 1) return `exactly one node has no parent; here ${roots.length} have none`;
  const [root] = roots;
  if (root!.feeMicroPerKwh > 0 || root!.capacityUpW !== null || root!.capacityDownW !== null) {
    return `${root!.node} is the root and has no edge: leave its fee and capacities out`;
  }
  const stray = nodes.find(({ parent }) => parent !== null && !parents.has(parent));
  if (stray) return `${stray.node} hangs from ${stray.parent}, which is no node`;
  const rooted = new Set([root!.node]);
  for (const { node } of nodes) {
    const path: string[] = [];
    let at = node;
    while (!rooted.has(at)) {
      if (path.length > nodes.length) return `${node} hangs from itself`;
      path.push(at);
      at = parents.get(at)!;
    }
    for (const one of path) rooted.add(one);
  }
  return null;
}

/** Why the microgrid's rules have no use for a network; null when they have. */
export function networkRuleFault({ mechanism, pricing }: Microgrid): string | null {
  if ((mechanism === 'metered' || mechanism === 'call-auction') && pricing === 'clearing') {
    return null;
  }
  return `Fees and capacities of wires count in a call auction with clearing prices. This microgrid trades by ${mechanism} with ${pricing} prices.`;
}

/** The version in force at `at`; null before the first, when the wires count for nothing. */
export function networkIn(versions: readonly NetworkVersion[], at: Instant): NetworkVersion | null {
  const atMillis = parseInstant(at);
  return versions.findLast(({ validFrom }) => parseInstant(validFrom) <= atMillis) ?? null;
}

export function networkDraft(
  { validFrom, nodes }: NetworkVersion,
  now: Instant,
  by: string,
): EnrolmentDraft {
  return {
    kind: 'operator-action',
    at: now,
    cause: `network/${validFrom}`,
    keyHolder: '',
    households: [],
    facts: { action: 'network', by, validFrom, nodes: nodes.map((node) => ({ ...node })) },
    transfers: [],
  };
}
