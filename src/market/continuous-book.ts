import { safeInteger } from '../units/integer.js';
import { BookSide, take, type RestingOrder } from './book-side.js';
import type { AuctionTrade, LimitOrder } from './pairing.js';

/**
 * The book of a continuous double auction for one slot: an order trades at once with what rests on the
 * other side, best price first and at one price in the order of arrival, at the resting order's price;
 * what remains of it rests. The same orders in the same sequence give the same trades and the same book.
 *
 * Nobody trades with itself, by the policy *cancel resting*: where an order would meet one of its own
 * trader, that older one leaves the book, for the newer word counts, and the order goes on to the next.
 */

export type Side = 'bid' | 'ask';

/**
 * How long an order stays:
 * - `GTC`: until it is traded or cancelled, or the gate closes.
 * - `IOC`, immediate or cancel: what does not trade at once is dropped.
 * - `FOK`, fill or kill: it trades at once in full, or nothing happens at all.
 */
export type TimeInForce = 'GTC' | 'IOC' | 'FOK';

/**
 * What became of an order, in order of precedence:
 * - `duplicate_id`: an order with that id rests; nothing happened.
 * - `killed`: fill or kill, and there was not enough; nothing happened.
 * - `filled`: it traded in full.
 * - `dropped`: immediate or cancel, and a part was left.
 * - `resting`: what did not trade rests.
 */
export type PlacedStatus = 'duplicate_id' | 'killed' | 'filled' | 'dropped' | 'resting';

export interface Placed {
  readonly status: PlacedStatus;
  readonly filled: number;
  /** In the order in which they were made; each at the resting order's price. */
  readonly trades: readonly AuctionTrade[];
  /** The same trader's orders that left the book because they stood in the way. */
  readonly cancelled: readonly LimitOrder[];
}

/** An order as it rests: enough to put it back. */
export interface RestingState {
  readonly order: LimitOrder;
  readonly remaining: number;
}

/** Each side in the order in which it will trade. */
export interface BookState {
  readonly bids: readonly RestingState[];
  readonly asks: readonly RestingState[];
}

/** @example new ContinuousBook().place('ask', { id: 'a', trader: 'A', price: 9, quantity: 5 }) */
export class ContinuousBook {
  readonly #bids = new BookSide('bid');
  readonly #asks = new BookSide('ask');
  readonly #resting = new Map<string, RestingOrder>();

  /**
   * The book in which these orders rest.
   * @param state each side in the order in which it will trade, or in the order of arrival
   */
  static restore({ bids, asks }: BookState): ContinuousBook {
    const book = new ContinuousBook();
    for (const [side, rows] of [
      [book.#bids, bids],
      [book.#asks, asks],
    ] as const) {
      for (const { order, remaining } of rows) {
        book.#resting.set(order.id, side.add(order, remaining));
      }
    }
    return book;
  }

  /**
   * Trades an order as far as possible and lets the rest of it rest, or not.
   * @throws RangeError on a price that is no integer, or a quantity that is no positive one
   */
  place(side: Side, order: LimitOrder, timeInForce: TimeInForce = 'GTC'): Placed {
    safeInteger(order.price, 'price');
    if (safeInteger(order.quantity, 'quantity') <= 0) {
      throw new RangeError(`an order for nothing: ${order.id}`);
    }
    if (this.#resting.has(order.id)) return nothing('duplicate_id');
    const opposite = side === 'bid' ? this.#asks : this.#bids;
    if (timeInForce === 'FOK' && !opposite.offers(order.price, order.quantity, order.trader)) {
      return nothing('killed');
    }
    const trades: AuctionTrade[] = [];
    const cancelled: LimitOrder[] = [];
    let left = order.quantity;
    while (left > 0) {
      const level = opposite.bestWithin(order.price);
      if (level === null) break;
      const resting = level.first!;
      const other = resting.order;
      if (other.trader === order.trader) {
        take(resting, resting.remaining);
        this.#resting.delete(other.id);
        cancelled.push(other);
        continue;
      }
      const quantity = left < resting.remaining ? left : resting.remaining;
      take(resting, quantity);
      if (resting.remaining === 0) this.#resting.delete(other.id);
      left -= quantity;
      trades.push(
        side === 'bid'
          ? { bid: order, ask: other, quantity, price: level.price }
          : { bid: other, ask: order, quantity, price: level.price },
      );
    }
    const filled = order.quantity - left;
    if (left === 0) return { status: 'filled', filled, trades, cancelled };
    if (timeInForce === 'IOC') return { status: 'dropped', filled, trades, cancelled };
    const own = side === 'bid' ? this.#bids : this.#asks;
    this.#resting.set(order.id, own.add(order, left));
    return { status: 'resting', filled, trades, cancelled };
  }

  /** @returns what remained of the order, or null when none of that id rests */
  cancel(id: string): number | null {
    const resting = this.#resting.get(id);
    if (resting === undefined) return null;
    const { remaining } = resting;
    this.#resting.delete(id);
    take(resting, remaining);
    return remaining;
  }

  /** What would be lost in a crash: `restore` of it is the same book. */
  state(): BookState {
    const [bids, asks] = [this.#bids, this.#asks].map((side) =>
      Array.from(side.orders(), ({ order, remaining }) => ({ order, remaining })),
    );
    return { bids: bids!, asks: asks! };
  }

  /** The book as everybody may see it: what remains at each price, best first. */
  depth(side: Side): { price: number; quantity: number }[] {
    const levels = (side === 'bid' ? this.#bids : this.#asks).levels();
    return levels.map(({ price, quantity }) => ({ price, quantity }));
  }

  /** How many orders rest. */
  get size(): number {
    return this.#resting.size;
  }
}

function nothing(status: 'duplicate_id' | 'killed'): Placed {
  return { status, filled: 0, trades: [], cancelled: [] };
}
