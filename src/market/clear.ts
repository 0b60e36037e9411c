import { toSafeInteger } from '../units/integer.js';
import { callAuction, type AuctionTrade, type CallAuctionInput } from './call-auction.js';
import type {
  AuctionBook,
  ClearInput,
  ContinuousFlow,
  McAfeeBook,
  SharedSlot,
} from './clear-input.js';
import type { ClearOutput, ClearedOrder, SharingOutput } from './clear-output.js';
import { clearNetwork } from './clear-network.js';
import { ContinuousBook, type Placed, type Side } from './continuous-book.js';
import { mcAfee } from './mcafee.js';
import { auctionOutcome, beginning, orderFate } from './order-fate.js';
import type { LimitOrder } from './pairing.js';
import type { AuctionPricing } from './pricing.js';
import { share, sharingPrices } from './sharing.js';

/**
 * One book through one mechanism, with what it reached, what was possible, and why each order fared as
 * it did: the engines of the market for researchers, in whole numbers of any unit.
 */

/** @throws RangeError when a sum exceeds 2^53 − 1: smaller units are then of no use to anybody */
export function clear(input: ClearInput): ClearOutput | SharingOutput {
  switch (input.mechanism) {
    case 'sharing':
      return clearSharing(input);
    case 'continuous':
      return clearContinuous(input);
    case 'mcafee':
      return clearMcAfee(input);
    case 'call-auction':
      return input.network === undefined ? clearAuction(input) : clearNetwork(input);
    default:
      return clearAuction(input);
  }
}

const PRICINGS: Readonly<Record<AuctionBook['mechanism'], AuctionPricing>> = {
  'call-auction': 'clearing',
  'pay-as-bid': 'pay-as-bid',
  'mid-market': 'mid-market',
  'supply-demand-ratio': 'supply-demand-ratio',
};

function clearAuction(input: AuctionBook): ClearOutput {
  const { retail, feedIn } = input.params;
  const auction: CallAuctionInput = {
    ...sidesOf(input),
    kThousandths: input.params.k,
    rationing: input.params.rationing,
    pricing: PRICINGS[input.mechanism],
    ...(retail === undefined ? {} : { retail }),
    ...(feedIn === undefined ? {} : { feedIn }),
  };
  const result = callAuction(auction);
  const welfare = welfareOf(result.trades);
  const outcome = auctionOutcome(auction, result);
  const cleared = (side: Side) => (order: LimitOrder) => {
    const filled = result.filled.get(order)!;
    return { id: order.id, side, filled, reason: orderFate(order, side, filled, outcome) };
  };
  return {
    mechanism: input.mechanism,
    trades: result.trades.map(named),
    clearingPrice: result.price,
    priceInterval: result.interval && [...result.interval],
    volume: result.volume,
    welfare,
    // What the auction reaches is the most there is: the specs hold it against a linear program.
    maximumWelfare: welfare,
    orders: [...auction.bids.map(cleared('bid')), ...auction.asks.map(cleared('ask'))],
    ...(result.splitBy === null ? {} : { splitBy: result.splitBy }),
  };
}

function clearMcAfee(input: McAfeeBook): ClearOutput {
  const sides = sidesOf(input);
  const { trades, buyerPrice, sellerPrice, volume, surplus } = mcAfee(sides);
  const optimum = callAuction({ ...sides, kThousandths: input.params.k });
  const traded = new Set<LimitOrder>(trades.flatMap(({ bid, ask }) => [bid, ask]));
  const cleared =
    (side: Side) =>
    (order: LimitOrder): ClearedOrder => {
      const limit = `you ${side === 'bid' ? 'bid' : 'asked'} ${order.price}`;
      const { id } = order;
      if (traded.has(order)) {
        const price = side === 'bid' ? `buyers pay ${buyerPrice}` : `sellers get ${sellerPrice}`;
        return { id, side, filled: order.quantity, reason: `filled: ${limit}, ${price}` };
      }
      const reason =
        optimum.filled.get(order) === 0
          ? `${limit}, and ${volume === 0 ? 'nothing was' : 'better limits were'} traded`
          : `${limit}, and the last pair gives way: its limits are the prices of the others`;
      return { id, side, filled: 0, reason: `not filled: ${reason}` };
    };
  return {
    mechanism: input.mechanism,
    trades: trades.map(({ bid, ask, quantity }) => ({
      bid: bid.id,
      ask: ask.id,
      quantity,
      price: buyerPrice!,
      sellerPrice: sellerPrice!,
    })),
    clearingPrice: buyerPrice === sellerPrice ? buyerPrice : null,
    priceInterval: optimum.interval && [...optimum.interval],
    volume,
    welfare: welfareOf(trades),
    maximumWelfare: welfareOf(optimum.trades),
    orders: [...sides.bids.map(cleared('bid')), ...sides.asks.map(cleared('ask'))],
    surplus: toSafeInteger(surplus, 'surplus'),
  };
}

function clearContinuous({ mechanism, orders, params }: ContinuousFlow): ClearOutput {
  const book = new ContinuousBook();
  const sides: Record<Side, LimitOrder[]> = { bid: [], ask: [] };
  const trades: AuctionTrade[] = [];
  const filled = new Map<string, number>();
  const dropped = new Map<string, string>();
  for (const { side, timeInForce, ...order } of orders) {
    sides[side].push(order);
    const placed = book.place(side, order, timeInForce);
    filled.set(order.id, placed.filled);
    for (const trade of placed.trades) {
      trades.push(trade);
      const { id } = side === 'bid' ? trade.ask : trade.bid;
      filled.set(id, filled.get(id)! + trade.quantity);
    }
    const end = ENDS[placed.status];
    if (end !== undefined) dropped.set(order.id, end);
    for (const { id } of placed.cancelled) {
      dropped.set(id, `your own order ${order.id} came to meet it, and the newer one counts`);
    }
  }
  const optimum = callAuction({ bids: sides.bid, asks: sides.ask, kThousandths: params.k });
  const best = { bid: book.depth('bid')[0]?.price, ask: book.depth('ask')[0]?.price };
  return {
    mechanism,
    trades: trades.map(named),
    clearingPrice: null,
    priceInterval: optimum.interval && [...optimum.interval],
    volume: trades.reduce((sum, { quantity }) => sum + quantity, 0),
    welfare: welfareOf(trades),
    maximumWelfare: welfareOf(optimum.trades),
    orders: orders.map((order) => {
      const { id, side, quantity, price } = order;
      const traded = filled.get(id)!;
      const limit = `you ${side === 'bid' ? 'bid' : 'asked'} ${price}`;
      if (traded === quantity) return { id, side, filled: traded, reason: `filled: ${limit}` };
      const opposite = side === 'bid' ? best.ask : best.bid;
      const rests =
        opposite === undefined
          ? `it rests, and nobody ${side === 'bid' ? 'sells' : 'buys'} now`
          : `it rests, and the best ${side === 'bid' ? 'ask' : 'bid'} now is ${opposite}`;
      const reason = `${beginning(order, traded)}: ${limit}; ${dropped.get(id) ?? rests}`;
      return { id, side, filled: traded, reason };
    }),
  };
}

/** What an order that does not rest is told. */
const ENDS: Partial<Record<Placed['status'], string>> = {
  killed: 'fill or kill, and there was not enough within your limit at once',
  dropped: 'immediate or cancel, and no more was within your limit at once',
};

function clearSharing(input: SharedSlot): SharingOutput {
  const { key, keyTotal, pricing, price, retail, feedIn } = input.params;
  const supply = input.supply;
  const demand = input.demand.map(({ key: own, ...member }) =>
    own === undefined ? member : { ...member, key: own },
  );
  const { matrix } = input;
  const shared = share({
    supply,
    demand,
    key,
    matrix,
    ...(keyTotal === undefined ? {} : { keyTotal }),
  });
  const ownUse = (id: string) => shared.ownUse.get(id) ?? 0;
  const totalOf = (members: readonly { id: string; quantity: number }[]) =>
    members.reduce((sum, { id, quantity }) => sum + quantity - ownUse(id), 0);
  const rule = {
    pricing,
    retail: retail!,
    feedIn: feedIn!,
    ...(price === undefined ? {} : { price }),
  };
  const prices = sharingPrices(rule, totalOf(supply), totalOf(demand), shared.volume);
  const money = (sharedQuantity: number, grid: number, gridPrice: number) =>
    toSafeInteger(
      BigInt(sharedQuantity) * BigInt(prices.shared) + BigInt(grid) * BigInt(gridPrice),
      'money',
    );
  return {
    mechanism: input.mechanism,
    allocations: [
      ...supply.map(({ id, quantity }, row) => {
        const own = ownUse(id) + shared.given[row]!;
        const receives = money(shared.given[row]!, quantity - own, feedIn!);
        return { id, own, surplus: quantity - own, receives };
      }),
      ...demand.map(({ id, quantity }, row) => {
        const own = ownUse(id) + shared.received[row]!;
        const pays = money(shared.received[row]!, quantity - own, retail!);
        return { id, own, fromGrid: quantity - own, pays };
      }),
    ],
    prices: { buy: prices.buy, sell: prices.sell, shared: prices.shared },
    volume: shared.volume,
    pairs: [...shared.pairs],
  };
}

/** Both sides as orders; the position in the list is the sequence of who has none. */
function sidesOf({ bids, asks }: Pick<AuctionBook, 'bids' | 'asks'>) {
  const orders = (rows: AuctionBook['bids']): LimitOrder[] =>
    rows.map(({ id, trader, price, quantity, sequence }, position) => ({
      id,
      trader,
      price,
      quantity,
      sequence: sequence ?? position,
    }));
  return { bids: orders(bids), asks: orders(asks) };
}

function named({ bid, ask, quantity, price }: AuctionTrade) {
  return { bid: bid.id, ask: ask.id, quantity, price };
}

/** What the buyers would have paid at most, less what the sellers would have taken at least. */
function welfareOf(trades: readonly Pick<AuctionTrade, 'bid' | 'ask' | 'quantity'>[]): number {
  let welfare = 0n;
  for (const { bid, ask, quantity } of trades) {
    welfare += BigInt(quantity) * BigInt(bid.price - ask.price);
  }
  return toSafeInteger(welfare, 'welfare');
}
