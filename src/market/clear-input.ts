import { z } from 'zod';
import { mcAfeeRefusal } from './mcafee.js';
import { networkRefusal } from './network-auction.js';
import { networkTree, type NetworkNode } from './network.js';
import { RATIONINGS } from '../parties/microgrid.js';
import { ALL_SHARING_KEYS, SHARING_PRICINGS } from './sharing.js';

/**
 * What `npm run clear` reads: one book and how to clear it, in whole numbers of any unit. Unknown
 * members are refused, so that a misspelt parameter never goes unnoticed.
 */

/** Orders, members or nodes in one list. */
export const MOST_ROWS = 1_000_000;

const id = z.string().min(1).max(128);
const price = z.int().min(0).describe('per unit of energy');
const quantity = z.int().min(1);

const order = z.strictObject({
  id: id.describe('unique on its side'),
  trader: id.describe('nobody trades with itself'),
  price,
  quantity,
  sequence: z.int().optional().describe('when it came; the position in the list by default'),
  node: id.optional().describe('where it stands in the network'),
});

const node = z.strictObject({
  id,
  parent: id.nullable().default(null).describe('null for the one root'),
  feePerUnit: z.int().min(0).default(0).describe('for each unit on the way to or from the parent'),
  capacityUp: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe('to the parent; unlimited by default'),
  capacityDown: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe('from the parent; unlimited by default'),
});

const params = z.strictObject({
  k: z.int().min(0).max(1000).default(500).describe('thousandths: the price is L + k(H − L)'),
  rationing: z.enum(RATIONINGS).default('pro-rata').describe('who is served at the margin'),
  retail: price.optional(),
  feedIn: price.optional(),
  key: z.enum(ALL_SHARING_KEYS).default('dynamic'),
  keyTotal: z
    .int()
    .min(1)
    .optional()
    .describe('what static keys are parts of; their sum by default'),
  pricing: z.enum(SHARING_PRICINGS).default('mid-market'),
  price: price.optional().describe('of shared energy, with the pricing fixed'),
});

const rows = <Row extends z.ZodType>(row: Row) => z.array(row).max(MOST_ROWS);
const book = {
  params: params.prefault({}),
  bids: rows(order),
  asks: rows(order),
};

const callAuction = z.strictObject({
  mechanism: z.literal('call-auction'),
  ...book,
  network: z.strictObject({ nodes: rows(node).min(1) }).optional(),
});
const priced = z.strictObject({
  mechanism: z.enum(['pay-as-bid', 'mid-market', 'supply-demand-ratio']),
  ...book,
});
const mcafee = z.strictObject({ mechanism: z.literal('mcafee'), ...book });
const continuous = z.strictObject({
  mechanism: z.literal('continuous'),
  params: params.prefault({}),
  orders: rows(
    z.strictObject({
      id,
      trader: id,
      side: z.enum(['bid', 'ask']),
      price,
      quantity,
      timeInForce: z.enum(['GTC', 'IOC', 'FOK']).default('GTC'),
    }),
  ).describe('in the order of arrival'),
});
const sharing = z.strictObject({
  mechanism: z.literal('sharing'),
  params: params.prefault({}),
  supply: rows(z.strictObject({ id, quantity: z.int().min(0) })),
  demand: rows(
    z.strictObject({
      id,
      quantity: z.int().min(0),
      key: z.int().min(0).optional().describe('its weight, or in a cascade its group'),
    }),
  ),
  matrix: rows(z.strictObject({ from: id, to: id, key: z.int().min(0) }))
    .default([])
    .describe('with the key matrix: with which weight the one gives to the other'),
});

export const clearInput = z
  .discriminatedUnion('mechanism', [callAuction, priced, mcafee, continuous, sharing])
  .superRefine((input, context) => {
    for (const { path, message } of contradictions(input)) {
      context.addIssue({ code: 'custom', path, message });
    }
  });

export const MECHANISMS = [
  'call-auction',
  'pay-as-bid',
  'mid-market',
  'supply-demand-ratio',
  'continuous',
  'mcafee',
  'sharing',
] as const;

export type ClearInput = z.output<typeof clearInput>;
export type NetworkBook = z.output<typeof callAuction>;
export type AuctionBook = NetworkBook | z.output<typeof priced>;
export type McAfeeBook = z.output<typeof mcafee>;
export type ContinuousFlow = z.output<typeof continuous>;
export type SharedSlot = z.output<typeof sharing>;

interface Contradiction {
  path: (string | number)[];
  message: string;
}

/** What is wrong though every field by itself is right. */
function* contradictions(input: ClearInput): Generator<Contradiction> {
  const { retail, feedIn } = input.params;
  if (retail !== undefined && feedIn !== undefined && feedIn > retail) {
    yield { path: ['params', 'feedIn'], message: `must not be above retail, ${retail}` };
  }
  switch (input.mechanism) {
    case 'continuous':
      return yield* usedTwice('orders', input.orders);
    case 'sharing':
      return yield* sharingContradictions(input);
    case 'mcafee':
      yield* usedTwice('bids', input.bids);
      yield* usedTwice('asks', input.asks);
      return yield* mcAfeeContradictions(input);
    case 'call-auction':
      yield* networkContradictions(input);
      break;
    case 'mid-market':
    case 'supply-demand-ratio':
      yield* missingTariffs(input.mechanism, input.params);
  }
  yield* usedTwice('bids', input.bids);
  yield* usedTwice('asks', input.asks);
}

function* usedTwice(list: string, items: readonly { id: string }[]): Generator<Contradiction> {
  const seen = new Map<string, number>();
  for (const [row, { id: name }] of items.entries()) {
    const first = seen.get(name);
    if (first === undefined) seen.set(name, row);
    else yield { path: [list, row, 'id'], message: `is used twice: also by ${list}[${first}]` };
  }
}

function* missingTariffs(
  what: string,
  tariffs: { retail?: number | undefined; feedIn?: number | undefined },
): Generator<Contradiction> {
  for (const name of ['retail', 'feedIn'] as const) {
    if (tariffs[name] === undefined) {
      yield { path: ['params', name], message: `is required by ${what}` };
    }
  }
}

function* mcAfeeContradictions(input: McAfeeBook): Generator<Contradiction> {
  const refusal = mcAfeeRefusal(input);
  if (refusal === null) return;
  const list = input.bids.some((bid) => bid === refusal.order) ? 'bids' : 'asks';
  const row = input[list].findIndex((each) => each === refusal.order);
  yield refusal.reason === 'quantities_differ'
    ? { path: [list, row, 'quantity'], message: 'must be the same in all orders of mcafee' }
    : { path: [list, row, 'trader'], message: 'has another order: mcafee takes one of each' };
}

function* sharingContradictions(input: SharedSlot): Generator<Contradiction> {
  const { key, keyTotal, pricing, price: fixed, retail, feedIn } = input.params;
  yield* usedTwice('supply', input.supply);
  yield* usedTwice('demand', input.demand);
  yield* missingTariffs('sharing', input.params);
  if (pricing === 'fixed' && fixed === undefined) {
    yield { path: ['params', 'price'], message: 'is required by the pricing fixed' };
  } else if (pricing === 'fixed' && (fixed! < (feedIn ?? 0) || fixed! > (retail ?? Infinity))) {
    yield { path: ['params', 'price'], message: 'must lie between feedIn and retail' };
  }
  const keys = input.demand.reduce((sum, each) => sum + (each.key ?? 1), 0);
  if (keyTotal !== undefined && (key === 'static' || key === 'hybrid') && keys > keyTotal) {
    yield { path: ['params', 'keyTotal'], message: `is less than the sum of the keys, ${keys}` };
  }
  const [from, to] = [input.supply, input.demand].map((all) => new Set(all.map((one) => one.id)));
  for (const [row, cell] of input.matrix.entries()) {
    if (!from!.has(cell.from)) yield { path: ['matrix', row, 'from'], message: 'is not in supply' };
    if (!to!.has(cell.to)) yield { path: ['matrix', row, 'to'], message: 'is not in demand' };
  }
}

function* networkContradictions({ network, bids, asks }: NetworkBook): Generator<Contradiction> {
  if (network === undefined) return;
  yield* treeContradictions(network.nodes);
  const known = new Set(network.nodes.map((one) => one.id));
  for (const [list, orders] of Object.entries({ bids, asks })) {
    for (const [row, { node: place }] of orders.entries()) {
      if (place === undefined) {
        yield { path: [list, row, 'node'], message: 'is required in a network' };
      } else if (!known.has(place)) {
        yield { path: [list, row, 'node'], message: 'is not among the nodes' };
      }
    }
  }
  const refusal = networkRefusal({ bids, asks });
  if (refusal === null) return;
  const message = `${refusal.reason}: is among the bids too, and in a network a trader stands on one side`;
  yield { path: ['asks', asks.indexOf(refusal.order), 'trader'], message };
}

function* treeContradictions(nodes: readonly NetworkNode[]): Generator<Contradiction> {
  const twice = [...usedTwice('nodes', nodes)];
  for (const { path, message } of twice) yield { path: ['network', ...path], message };
  if (twice.length > 0) return;
  const known = new Set(nodes.map((one) => one.id));
  for (const [row, { parent }] of nodes.entries()) {
    if (parent === null || known.has(parent)) continue;
    return yield {
      path: ['network', 'nodes', row, 'parent'],
      message: 'is not among the nodes',
    };
  }
  try {
    networkTree(nodes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    yield { path: ['network', 'nodes'], message: error.message };
  }
}
