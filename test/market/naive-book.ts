import type { BookState, Placed, Side, TimeInForce } from '../../src/market/continuous-book.js';
import type { AuctionTrade, LimitOrder } from '../../src/market/call-auction.js';

/**
 * The continuous book's naive twin: a list of what rests in the order of arrival, searched from the
 * beginning for whatever is next.
 */

interface Resting {
  side: Side;
  order: LimitOrder;
  remaining: number;
}

export class NaiveBook {
  #resting: Resting[] = [];

  place(side: Side, order: LimitOrder, timeInForce: TimeInForce): Placed {
    if (this.#resting.some((each) => each.order.id === order.id)) return empty('duplicate_id');
    const before = this.#resting.map((each) => ({ ...each }));
    const trades: AuctionTrade[] = [];
    const cancelled: LimitOrder[] = [];
    let left = order.quantity;
    for (;;) {
      const next = left > 0 ? this.#next(side, order.price) : undefined;
      if (next === undefined) break;
      if (next.order.trader === order.trader) {
        cancelled.push(next.order);
        this.#resting = this.#resting.filter((each) => each !== next);
        continue;
      }
      const quantity = Math.min(left, next.remaining);
      const [bid, ask] = side === 'bid' ? [order, next.order] : [next.order, order];
      trades.push({ bid, ask, quantity, price: next.order.price });
      left -= quantity;
      next.remaining -= quantity;
      this.#resting = this.#resting.filter(({ remaining }) => remaining > 0);
    }
    if (timeInForce === 'FOK' && left > 0) {
      this.#resting = before;
      return empty('killed');
    }
    const filled = order.quantity - left;
    if (left === 0) return { status: 'filled', filled, trades, cancelled };
    if (timeInForce === 'IOC') return { status: 'dropped', filled, trades, cancelled };
    this.#resting.push({ side, order, remaining: left });
    return { status: 'resting', filled, trades, cancelled };
  }

  cancel(id: string): number | null {
    const found = this.#resting.find(({ order }) => order.id === id);
    this.#resting = this.#resting.filter((each) => each !== found);
    return found?.remaining ?? null;
  }

  state(): BookState {
    const sorted = (side: Side) =>
      this.#resting
        .filter((each) => each.side === side)
        .sort((a, b) => (side === 'bid' ? -1 : 1) * (a.order.price - b.order.price))
        .map(({ order, remaining }) => ({ order, remaining }));
    return { bids: sorted('bid'), asks: sorted('ask') };
  }

  #next(side: Side, limit: number): Resting | undefined {
    const { bids, asks } = this.state();
    const best = side === 'bid' ? asks[0] : bids[0];
    if (best === undefined) return undefined;
    const isWithin = side === 'bid' ? best.order.price <= limit : best.order.price >= limit;
    return isWithin ? this.#resting.find(({ order }) => order === best.order) : undefined;
  }
}

function empty(status: 'duplicate_id' | 'killed'): Placed {
  return { status, filled: 0, trades: [], cancelled: [] };
}
