import { safeInteger, toSafeInteger } from '../units/integer.js';
import { clearNetwork, networkAuction } from './network-auction.js';
import type { ClearedNetwork, NetworkAuctionInput, NetworkOrder } from './network-auction.js';
import type { NetworkTree } from './network.js';
import { pairsWithWishes, type Wish } from './wish-graph.js';

/**
 * The call auction in a network where buyers have wishes: energy of a named neighbor, from their own
 * feeder, or from the sun, with a premium they pay for it. Wishes are part of one optimum: energy that
 * meets a wish is worth the premium more, and nobody's limit is broken for it. Without wishes it is the
 * network auction; its result is what each wish is held against.
 */

export interface WishingBid extends NetworkOrder {
  /** A trade counts for one of them. The premium is per unit, on top of the limit; not negative. */
  readonly wishes?: readonly Wish[];
}

export interface QualityAsk extends NetworkOrder {
  readonly solar?: boolean;
}

export interface PreferenceInput extends NetworkAuctionInput {
  readonly bids: readonly WishingBid[];
  readonly asks: readonly QualityAsk[];
}

export interface PreferredTrade {
  readonly bid: WishingBid;
  readonly ask: QualityAsk;
  readonly quantity: number;
  readonly buyerPrice: number;
  readonly sellerPrice: number;
  readonly feePerUnit: number;
  /** The wish it meets. */
  readonly wish: Wish | null;
  /** What the buyer pays per unit more than for other energy at its node; at most the premium. */
  readonly extraPerUnit: number;
}

/** What the wishes of one bid came to, in price times quantity. */
export interface WishResult {
  readonly bid: WishingBid;
  readonly metQuantity: number;
  /** What it paid more than for as much other energy at its node. */
  readonly extra: number;
  readonly filled: number;
  readonly paid: number;
  /** The same, had nobody a wish. */
  readonly filledWithout: number;
  readonly paidWithout: number;
}

export interface PreferenceResult {
  readonly trades: PreferredTrade[];
  /** Premiums of met wishes included, fees deducted. */
  readonly welfare: number;
  readonly premiumsMet: number;
  /** Had nobody a wish: what the wishes cost all is this less welfare without premiums. */
  readonly welfareWithout: number;
  readonly fees: number;
  /** Of all trades; a single trade against the flow of a full wire can have a negative one. */
  readonly congestionRent: number;
  readonly filled: ReadonlyMap<NetworkOrder, number>;
  /** Every bid with a wish, by id. */
  readonly wishes: WishResult[];
}

/** Beyond this many wishes times orders and nodes, seconds become minutes. */
export const MOST_WISHES_TIMES_SIZE = 10_000_000;

/**
 * Clears one book. Without wishes as fast as the network auction; each wish adds a few searches for the
 * cheapest way in a graph of n orders and m nodes for each kind of wish, O(w (n + m) log(n + m)) for each
 * step that its quantity is divided into.
 *
 * Prices start from those without wishes and move only as far as a wish needs to be met: the extra that a
 * buyer pays is what would draw the energy from whoever gives way, never more than the premium. A seller
 * gets one price from all its buyers.
 * @throws RangeError as the network auction does; on a negative premium, an unknown feeder, or wishes
 *   beyond `MOST_WISHES_TIMES_SIZE`
 */
export function clearWithPreferences(input: PreferenceInput): PreferenceResult {
  const cleared = clearNetwork(input);
  const wishing = input.bids.filter(({ wishes }) => (wishes ?? []).length > 0);
  checkWishes(wishing, cleared);
  const rows: readonly (WishingBid & QualityAsk)[] = cleared.rows;
  const trades = pairsWithWishes(cleared, {
    of: (row) => rows[row]!.wishes ?? [],
    isSolar: (row) => rows[row]!.solar === true,
  }).map(({ bid, ask, ...pair }) => ({ ...pair, bid: rows[bid]!, ask: rows[ask]! }));
  const sumOf = (per: (trade: PreferredTrade) => number) => total(trades, per);
  const premiumsMet = sumOf(({ wish }) => wish?.premium ?? 0);
  const fees = sumOf(({ feePerUnit }) => feePerUnit);
  const without = networkAuction(input);
  const filled = new Map<NetworkOrder, number>(cleared.rows.map((order) => [order, 0]));
  for (const { bid, ask, quantity } of trades) {
    for (const order of [bid, ask]) filled.set(order, filled.get(order)! + quantity);
  }
  return {
    trades,
    welfare: sumOf(({ bid, ask, feePerUnit }) => bid.price - ask.price - feePerUnit) + premiumsMet,
    premiumsMet,
    welfareWithout: without.welfare,
    fees,
    congestionRent: sumOf((one) => one.buyerPrice - one.sellerPrice - one.feePerUnit),
    filled,
    wishes: wishing
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .map((bid) => {
        const own = trades.filter((trade) => trade.bid === bid);
        const before = without.trades.filter((trade) => trade.bid === bid);
        return {
          bid,
          metQuantity: total(own, ({ wish }) => (wish === null ? 0 : 1)),
          extra: total(own, ({ extraPerUnit }) => extraPerUnit),
          filled: filled.get(bid)!,
          paid: total(own, ({ buyerPrice }) => buyerPrice),
          filledWithout: without.filled.get(bid)!,
          paidWithout: total(before, ({ buyerPrice }) => buyerPrice),
        };
      }),
  };
}

function checkWishes(wishing: readonly WishingBid[], { tree, rows }: ClearedNetwork): void {
  let count = 0;
  for (const { id, node, wishes } of wishing) {
    for (const wish of wishes!) {
      count += 1;
      if (safeInteger(wish.premium, 'premium') < 0) {
        throw new RangeError(`order ${id} has a negative premium`);
      }
      if (wish.kind === 'feeder' && !isBehind(tree, node, wish.node)) {
        throw new RangeError(`order ${id} wishes for a feeder it is not on: ${wish.node}`);
      }
    }
  }
  if (count * (rows.length + tree.ids.length) > MOST_WISHES_TIMES_SIZE) {
    throw new RangeError(`${count} wishes are too many for a book of ${rows.length} orders`);
  }
}

function isBehind({ ids, numberOf, parent }: NetworkTree, node: string, feeder: string): boolean {
  let at = numberOf.get(node)!;
  while (at > 0 && ids[at] !== feeder) at = parent[at]!;
  return ids[at] === feeder;
}

function total<Trade extends { readonly quantity: number }>(
  trades: readonly Trade[],
  per: (trade: Trade) => number,
): number {
  const sum = trades.reduce((all, one) => all + BigInt(one.quantity) * BigInt(per(one)), 0n);
  return toSafeInteger(sum, 'price times quantity');
}
