import { z } from 'zod';

/** What `npm run clear` prints: one document, in the whole numbers of its input. */

const interval = z
  .tuple([z.int(), z.int()])
  .nullable()
  .describe('the competitive prices [L, H]; null when no bid meets an ask');

const trade = z.strictObject({
  bid: z.string(),
  ask: z.string(),
  quantity: z.int(),
  price: z.int().describe('what the buyer pays per unit'),
  sellerPrice: z.int().optional().describe('what the seller gets, where it is told apart'),
});

const clearedOrder = z.strictObject({
  id: z.string(),
  side: z.enum(['bid', 'ask']),
  filled: z.int(),
  reason: z.string(),
});

export const clearOutput = z.strictObject({
  mechanism: z.string(),
  trades: z.array(trade),
  clearingPrice: z
    .int()
    .nullable()
    .describe('null when nothing is traded, or not all at one price'),
  priceInterval: interval,
  volume: z.int(),
  welfare: z.int().describe('limits of the bids less limits of the asks, of what is traded'),
  maximumWelfare: z.int().describe('the most that is possible when nobody trades with itself'),
  orders: z.array(clearedOrder).describe('bids, then asks; of a flow, in the order of arrival'),
  splitBy: z
    .string()
    .optional()
    .describe(
      'the trader whose purchases and sales have no common price; clearingPrice and priceInterval are of the larger part',
    ),
  surplus: z.int().optional().describe('mcafee: what buyers pay and sellers do not get'),
  fees: z.int().optional(),
  congestionRent: z.int().optional(),
  nodes: z.array(z.strictObject({ id: z.string(), price: z.int().nullable() })).optional(),
  edges: z
    .array(
      z.strictObject({
        id: z.string().describe('the lower node'),
        flow: z.int().describe('to the parent; negative from it'),
        congestionRent: z.int(),
        fees: z.int(),
        full: z.enum(['up', 'down']).nullable(),
      }),
    )
    .optional(),
});

export const sharingOutput = z.strictObject({
  mechanism: z.literal('sharing'),
  allocations: z
    .array(
      z.union([
        z.strictObject({
          id: z.string(),
          own: z.int().describe('used by itself or by other members'),
          surplus: z.int().describe('fed into the grid'),
          receives: z.int(),
        }),
        z.strictObject({
          id: z.string(),
          own: z.int().describe('of its own or of other members'),
          fromGrid: z.int(),
          pays: z.int(),
        }),
      ]),
    )
    .describe('supply, then demand'),
  prices: z.strictObject({
    buy: z.int().describe('mean of all that is needed, grid included, rounded down'),
    sell: z.int().describe('mean of all that is fed in, grid included, rounded down'),
    shared: z.int().describe('of what members share: the same for both sides'),
  }),
  volume: z.int(),
  pairs: z.array(z.strictObject({ from: z.string(), to: z.string(), quantity: z.int() })),
});

export type ClearOutput = z.output<typeof clearOutput>;
export type ClearedOrder = z.output<typeof clearedOrder>;
export type SharingOutput = z.output<typeof sharingOutput>;
