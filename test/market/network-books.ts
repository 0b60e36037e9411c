import fc from 'fast-check';
import type { NetworkAuctionInput, NetworkOrder } from '../../src/market/network-auction.js';
import type { NetworkNode } from '../../src/market/network.js';

/** Random books on random trees, small enough for every case to come up. */

export type Input = Required<NetworkAuctionInput>;

/** A tree in any shape; few prices and small capacities, so that ties and full wires are the rule. */
export function anyTree(): fc.Arbitrary<NetworkNode[]> {
  const capacity = fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 12 }));
  const node = fc.record({
    below: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    feePerUnit: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 4 })),
    capacityUp: capacity,
    capacityDown: capacity,
  });
  return fc.tuple(fc.array(node, { maxLength: 9 }), fc.boolean()).map(([nodes, isChain]) => [
    { id: 'n0', parent: null, feePerUnit: 0 },
    ...nodes.map(({ below, ...wire }, index) => ({
      id: `n${index + 1}`,
      parent: `n${isChain ? index : Math.floor(below * (index + 1))}`,
      ...wire,
    })),
  ]);
}

const place = fc.nat(1_000);
const anyOrders = fc.array(
  fc.record({
    price: fc.integer({ min: -2, max: 12 }),
    quantity: fc.integer({ min: 0, max: 9 }),
    trader: fc.nat(6),
    place,
  }),
  { maxLength: 10 },
);

export function anyBook(tree = anyTree()): fc.Arbitrary<Input> {
  return fc
    .record({
      network: tree,
      bids: anyOrders,
      asks: anyOrders,
      kThousandths: fc.integer({ min: 0, max: 1000 }),
      rationing: fc.constantFrom('pro-rata' as const, 'max-min' as const, 'time' as const),
    })
    .map(({ bids, asks, ...rest }) => ({
      ...rest,
      bids: named(bids, 'b', rest.network),
      asks: named(asks, 'a', rest.network),
    }));
}

function named(
  rows: readonly { price: number; quantity: number; trader: number; place: number }[],
  side: string,
  network: readonly NetworkNode[],
): NetworkOrder[] {
  return rows.map(({ price, quantity, trader, place: at }, index) => ({
    id: `${side}${(index * 7919) % 1009}`,
    trader: `${side}-trader${trader}`,
    node: network[at % network.length]!.id,
    price,
    quantity,
    sequence: (index * 613) % 1013,
  }));
}
