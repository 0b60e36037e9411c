import { describe, expect, test } from '@jest/globals';
import { randomFrom, type Random } from '../../simulator/random.js';
import { callAuction, type LimitOrder } from '../../src/market/call-auction.js';
import type { AuctionPricing } from '../../src/market/pricing.js';
import { RATIONINGS, type Rationing } from '../../src/parties/microgrid.js';
import { optimumOf } from './linear-program.js';

/**
 * Random books against the linear program. AUCTION_BOOKS sets how many, AUCTION_SEED where they
 * begin: a failing book is named by its seed and comes again with `AUCTION_SEED=… AUCTION_BOOKS=1`.
 */
const BOOKS = Number(process.env['AUCTION_BOOKS'] ?? 250);
const FIRST = Number(process.env['AUCTION_SEED'] ?? 1);

const PRICINGS: AuctionPricing[] = ['clearing', 'mid-market', 'supply-demand-ratio', 'pay-as-bid'];
const TARIFFS = { retail: 9, feedIn: 2 };

interface Book {
  bids: LimitOrder[];
  asks: LimitOrder[];
  kThousandths: number;
  pricing: AuctionPricing;
  rationing: Rationing;
}

/** Few prices and few traders, so that ties and households on both sides are the rule. */
function bookOf(random: Random): Book {
  const traders = random.between(2, 6);
  const apart = random.between(0, 3) === 0;
  const prices = random.between(1, 12);
  const side = (kind: string): LimitOrder[] =>
    Array.from({ length: random.between(0, 8) }, (_, row) => ({
      id: `${kind}${(row * 7919) % 101}`,
      trader: `${apart ? kind : 'household'}-${random.between(1, traders)}`,
      price: random.between(0, prices),
      quantity: random.between(0, 12),
      sequence: random.between(0, 5),
    }));
  return {
    bids: side('b'),
    asks: side('a'),
    kThousandths: random.between(0, 1000),
    pricing: PRICINGS[random.between(0, 3)]!,
    rationing: RATIONINGS[random.between(0, 2)]!,
  };
}

/** @throws naming the seed of the book that fails */
function forEachBook(check: (book: Book, random: Random) => void): void {
  for (let seed = FIRST; seed < FIRST + BOOKS; seed += 1) {
    const random = randomFrom(`optimum/${seed}`);
    const book = bookOf(random);
    try {
      check(book, random);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`AUCTION_SEED=${seed}: ${JSON.stringify(book)}\n${what}`, { cause: error });
    }
  }
}

const clear = (book: Book) => callAuction({ ...book, ...TARIFFS });
type Cleared = ReturnType<typeof clear>;
const welfareOf = ({ trades }: Cleared) =>
  trades.reduce((sum, { bid, ask, quantity }) => sum + quantity * (bid.price - ask.price), 0);

describe(`${BOOKS} random books from seed ${FIRST}`, () => {
  test('reach the welfare of the linear program without own trades, and its volume', () => {
    forEachBook((book) => {
      const result = clear(book);
      const optimum = optimumOf(book.bids, book.asks);
      expect([welfareOf(result), result.volume]).toEqual([optimum.welfare, optimum.volume]);
      for (const { bid, ask } of result.trades) expect(bid.trader).not.toBe(ask.trader);
    });
  });

  test('serve nobody beyond its quantity or its limit, and pay out what is paid in', () => {
    forEachBook((book) => {
      const result = clear(book);
      const served = new Map<LimitOrder, number>();
      let [paid, received] = [0, 0];
      for (const { bid, ask, quantity, price } of result.trades) {
        expect(quantity).toBeGreaterThan(0);
        expect(price).toBeGreaterThanOrEqual(ask.price);
        expect(price).toBeLessThanOrEqual(bid.price);
        if (book.pricing === 'pay-as-bid') expect(price).toBe(bid.price);
        else if (result.splitBy === null) expect(price).toBe(result.price);
        for (const order of [bid, ask]) served.set(order, (served.get(order) ?? 0) + quantity);
        paid += quantity * price;
        received += quantity * price;
      }
      expect(paid).toBe(received);
      const orders = [...book.bids, ...book.asks];
      for (const order of orders) {
        expect(result.filled.get(order)).toBe(served.get(order) ?? 0);
        expect(served.get(order) ?? 0).toBeLessThanOrEqual(order.quantity);
      }
      expect(result.trades.length).toBeLessThanOrEqual(orders.length);
    });
  });

  test('leave nobody out at a better price than its limit, but one who could only serve itself', () => {
    forEachBook((book) => {
      const { interval, price, filled, splitBy } = clear({ ...book, pricing: 'clearing' });
      if (interval === null) return;
      const [low, high] = interval;
      expect(low).toBeLessThanOrEqual(high);
      expect(price).toBe(low + Math.floor((book.kThousandths * (high - low)) / 1000));
      if (splitBy !== null) return;
      const isLeft = (order: LimitOrder) => filled.get(order)! < order.quantity;
      const bids = book.bids.filter((bid) => isLeft(bid) && bid.price > price!);
      const asks = book.asks.filter((ask) => isLeft(ask) && ask.price < price!);
      const leftOut = new Set([...bids, ...asks].map(({ trader }) => trader));
      expect(leftOut.size).toBeLessThanOrEqual(1);
      const isOnBothSides = ({ bids, asks }: Book, one: string) =>
        [bids, asks].every((orders) => orders.some(({ trader }) => trader === one));
      for (const one of leftOut) expect(isOnBothSides(book, one)).toBe(true);
    });
  });

  test('have a price that never falls when k rises', () => {
    forEachBook((book) => {
      const prices = [0, 1, 250, 500, 999, 1000].map(
        (kThousandths) => clear({ ...book, pricing: 'clearing', kThousandths }).price ?? 0,
      );
      expect(prices).toEqual([...prices].sort((a, b) => a - b));
    });
  });

  test('give the same trades whatever the order of the rows', () => {
    forEachBook((book) => {
      const byId = (orders: LimitOrder[]) => orders.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const { trades, price } = clear(book);
      for (const other of [
        { ...book, bids: byId(book.bids), asks: byId(book.asks) },
        { ...book, bids: book.bids.toReversed(), asks: book.asks.toReversed() },
      ]) {
        const again = clear(other);
        expect([again.trades, again.price]).toEqual([trades, price]);
      }
    });
  });
});
