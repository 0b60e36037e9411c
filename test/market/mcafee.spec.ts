import { describe, expect, test } from '@jest/globals';
import { randomFrom, type Random } from '../../simulator/random.js';
import { callAuction, type LimitOrder } from '../../src/market/call-auction.js';
import { mcAfee, mcAfeeRefusal, type McAfeeInput } from '../../src/market/mcafee.js';

/** MCAFEE_SEED and MCAFEE_BOOKS choose the random books; a failure names its seed. */
const BOOKS = Number(process.env['MCAFEE_BOOKS'] ?? 300);
const FIRST = Number(process.env['MCAFEE_SEED'] ?? 1);
const HIGHEST = 12;

function bookOf(random: Random): McAfeeInput {
  const unit = random.between(1, 3);
  const side = (kind: string): LimitOrder[] =>
    Array.from({ length: random.between(0, 6) }, (_, row) => ({
      id: `${kind}${(row * 7919) % 101}`,
      trader: `${kind}-${row}`,
      price: random.between(0, HIGHEST),
      quantity: unit,
    }));
  return { bids: side('b'), asks: side('a') };
}

function forEachBook(check: (book: McAfeeInput) => void): void {
  for (let seed = FIRST; seed < FIRST + BOOKS; seed += 1) {
    const book = bookOf(randomFrom(`mcafee/${seed}`));
    try {
      check(book);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`MCAFEE_SEED=${seed}: ${JSON.stringify(book)}\n${what}`, { cause: error });
    }
  }
}

/** What a trader gains by its order at this price, when `worth` is the true one. */
function gainOf(book: McAfeeInput, side: 'bids' | 'asks', row: number, price: number): number {
  const worth = book[side][row]!.price;
  const orders = book[side].map((order, at) => (at === row ? { ...order, price } : order));
  const { trades, buyerPrice, sellerPrice } = mcAfee({ ...book, [side]: orders });
  const own = trades.find(({ bid, ask }) => (side === 'bids' ? bid : ask) === orders[row]);
  if (own === undefined) return 0;
  return own.quantity * (side === 'bids' ? worth - buyerPrice! : sellerPrice! - worth);
}

describe(`${BOOKS} random books from seed ${FIRST}`, () => {
  test('give nobody a gain from another price than its true one', () => {
    forEachBook((book) => {
      for (const side of ['bids', 'asks'] as const) {
        book[side].forEach(({ price }, row) => {
          const honest = gainOf(book, side, row, price);
          expect(honest).toBeGreaterThanOrEqual(0);
          for (let other = 0; other <= HIGHEST + 1; other += 1) {
            expect(gainOf(book, side, row, other)).toBeLessThanOrEqual(honest);
          }
        });
      }
    });
  });

  test('lose at most one pair, the cheapest, and book what buyers pay and sellers do not get', () => {
    forEachBook((book) => {
      const result = mcAfee(book);
      const unit = book.bids[0]?.quantity ?? 0;
      const optimum = callAuction({ ...book, kThousandths: 500 });
      const lost = optimum.volume - result.volume;
      expect([0, unit]).toContain(lost);
      const { buyerPrice, sellerPrice, surplus } = result;
      const [paid, received] = [buyerPrice ?? 0, sellerPrice ?? 0];
      expect(surplus).toBe(BigInt(result.volume * (paid - received)));
      expect(surplus >= 0n).toBe(true);
      if (lost === 0) expect(surplus).toBe(0n);
    });
  });
});

describe('McAfee', () => {
  const order = (id: string, price: number, quantity = 1): LimitOrder => ({
    id,
    trader: id,
    price,
    quantity,
  });

  test('lets the last pair give way where the price does not suit it', () => {
    const { trades, buyerPrice, sellerPrice, surplus } = mcAfee({
      bids: [order('b1', 10), order('b2', 8), order('b3', 1)],
      asks: [order('a1', 2), order('a2', 7), order('a3', 9)],
    });
    expect(trades.map(({ bid, ask }) => [bid.id, ask.id])).toEqual([['b1', 'a1']]);
    expect([buyerPrice, sellerPrice, surplus]).toEqual([8, 7, 1n]);
  });

  test('refuses quantities that differ and traders with two orders', () => {
    const bids = [order('b1', 10), order('b2', 8, 2)];
    expect(mcAfeeRefusal({ bids, asks: [] })).toMatchObject({ reason: 'quantities_differ' });
    const asks = [{ ...order('a1', 1), trader: 'b1' }];
    const refusal = mcAfeeRefusal({ bids: [order('b1', 10)], asks });
    expect(refusal).toEqual({ reason: 'trader_has_two_orders', order: asks[0] });
    expect(() => mcAfee({ bids, asks })).toThrow(RangeError);
  });
});
