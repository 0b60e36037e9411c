import { describe, expect, test } from '@jest/globals';
import { randomFrom, type Random } from '../../simulator/random.js';
import type { LimitOrder } from '../../src/market/call-auction.js';
import {
  ContinuousBook,
  type BookState,
  type Placed,
  type Side,
  type TimeInForce,
} from '../../src/market/continuous-book.js';
import { NaiveBook } from './naive-book.js';

/** BOOK_OPERATIONS sets how long the workload is, BOOK_SEED which: a failure names its step. */
const OPERATIONS = Number(process.env['BOOK_OPERATIONS'] ?? 20_000);
const SEED = process.env['BOOK_SEED'] ?? '1';

const order = (id: string, price: number, quantity: number, trader = id): LimitOrder => ({
  id,
  trader,
  price,
  quantity,
});

describe('a continuous book', () => {
  /** What was placed, one line an order, and the book after it: `price x remaining` in turn. */
  function check(
    placed: [Side, LimitOrder, TimeInForce?][],
    expected: { trades: string[]; bids: string[]; asks: string[]; last: Placed['status'] },
  ) {
    const book = new ContinuousBook();
    const results = placed.map(([side, one, force]) => book.place(side, one, force));
    const { bids, asks } = book.state();
    const lines = (rows: BookState['bids']) =>
      rows.map(({ order: { id, price }, remaining }) => `${id}: ${price} x ${remaining}`);
    expect({
      trades: results.flatMap(({ trades }) =>
        trades.map(
          ({ bid, ask, quantity, price }) => `${bid.id}-${ask.id}: ${price} x ${quantity}`,
        ),
      ),
      bids: lines(bids),
      asks: lines(asks),
      last: results.at(-1)!.status,
    }).toEqual(expected);
  }

  test('trades at the resting price, the best first and then the eldest', () => {
    check(
      [
        ['ask', order('a1', 12, 5)],
        ['ask', order('a2', 10, 5)],
        ['ask', order('a3', 10, 5)],
        ['bid', order('b1', 12, 12)],
      ],
      {
        trades: ['b1-a2: 10 x 5', 'b1-a3: 10 x 5', 'b1-a1: 12 x 2'],
        bids: [],
        asks: ['a1: 12 x 3'],
        last: 'filled',
      },
    );
  });

  test('lets the rest of an order rest', () => {
    check(
      [
        ['bid', order('b1', 9, 4)],
        ['ask', order('a1', 8, 10)],
      ],
      {
        trades: ['b1-a1: 9 x 4'],
        bids: [],
        asks: ['a1: 8 x 6'],
        last: 'resting',
      },
    );
  });

  test('drops the rest of an order that is immediate or cancel', () => {
    check(
      [
        ['ask', order('a1', 8, 3)],
        ['bid', order('b1', 9, 4), 'IOC'],
      ],
      {
        trades: ['b1-a1: 8 x 3'],
        bids: [],
        asks: [],
        last: 'dropped',
      },
    );
  });

  test('kills an order that cannot be filled at once, also when only its own trader stands there', () => {
    check(
      [
        ['ask', order('a1', 8, 3)],
        ['ask', order('a2', 8, 3, 'B')],
        ['bid', order('b1', 9, 4, 'B'), 'FOK'],
      ],
      { trades: [], bids: [], asks: ['a1: 8 x 3', 'a2: 8 x 3'], last: 'killed' },
    );
  });

  test('cancels what its own trader left resting in the way', () => {
    check(
      [
        ['ask', order('a1', 8, 3, 'B')],
        ['ask', order('a2', 9, 3)],
        ['bid', order('b1', 9, 4, 'B')],
      ],
      { trades: ['b1-a2: 9 x 3'], bids: ['b1: 9 x 1'], asks: [], last: 'resting' },
    );
  });

  test('takes an id again once nothing of it rests, not before', () => {
    check(
      [
        ['bid', order('b1', 9, 4)],
        ['bid', order('b1', 9, 4)],
      ],
      {
        trades: [],
        bids: ['b1: 9 x 4'],
        asks: [],
        last: 'duplicate_id',
      },
    );
  });

  test('keeps time within a price when an order in the middle is cancelled', () => {
    const book = new ContinuousBook();
    for (const id of ['a1', 'a2', 'a3']) book.place('ask', order(id, 0, 1));
    expect(book.cancel('a2')).toBe(1);
    expect(book.cancel('a2')).toBeNull();
    expect(book.depth('ask')).toEqual([{ price: 0, quantity: 2 }]);
    const { trades } = book.place('bid', order('b', 0, 2));
    expect(trades.map(({ ask }) => ask.id)).toEqual(['a1', 'a3']);
    expect(book.size).toBe(0);
  });

  test('refuses orders for nothing, and fractions', () => {
    const book = new ContinuousBook();
    expect(() => book.place('bid', order('b', 5, 0))).toThrow(RangeError);
    expect(() => book.place('bid', order('b', 5, 1.5))).toThrow(RangeError);
    expect(() => book.place('bid', order('b', 0.5, 1))).toThrow(RangeError);
  });
});

test(
  `${OPERATIONS} operations of seed ${SEED}: the same as its naive twin after every step`,
  () => {
    const random = randomFrom(`book/${SEED}`);
    let book = new ContinuousBook();
    const naive = new NaiveBook();
    const resting: string[] = [];
    for (let step = 0; step < OPERATIONS; step += 1) {
      // Now and then the book is lost and recovered.
      if (random.between(0, 99) === 0) book = ContinuousBook.restore(book.state());
      const [expected, found] = operate(step, random, resting, [naive, book]);
      if (!isSameResult(found!, expected!) || !isSameState(book.state(), naive.state())) {
        throw new Error(
          `BOOK_SEED=${SEED}, step ${step}\nexpected ${JSON.stringify([expected, naive.state()])}` +
            `\nfound ${JSON.stringify([found, book.state()])}`,
        );
      }
    }
    expect(isUncrossed(book.state())).toBe(true);
  },
  Math.max(60_000, OPERATIONS),
);

/** Enough for queues and levels to come and go; whoever has traded since counts too. */
const MOST_RESTING = 50;

/** One operation on both books: mostly orders near the middle, some far away, and cancels. */
function operate(
  step: number,
  random: Random,
  resting: string[],
  books: readonly [NaiveBook, ContinuousBook],
): (Placed | number | null)[] {
  const kind = random.between(0, 99);
  if (resting.length > MOST_RESTING || (kind < 25 && resting.length > 0)) {
    const at = random.between(0, resting.length - 1);
    const [id] = resting.splice(at, 1);
    return books.map((book) => book.cancel(id!));
  }
  const side: Side = random.between(0, 1) === 0 ? 'bid' : 'ask';
  const spread = kind > 95 ? 1_000 : 12;
  const id = kind === 26 && resting.length > 0 ? resting[0]! : `o${step}`;
  const placed: LimitOrder = {
    id,
    trader: `household-${random.between(1, 8)}`,
    price: Math.max(0, 50 + random.between(-spread, spread) + (side === 'bid' ? -4 : 4)),
    quantity: random.between(1, 20),
  };
  const force: TimeInForce = kind < 85 ? 'GTC' : kind < 92 ? 'IOC' : 'FOK';
  if (force === 'GTC') resting.push(id);
  return books.map((book) => book.place(side, placed, force));
}

function isUncrossed({ bids, asks }: BookState): boolean {
  return (bids[0]?.order.price ?? -Infinity) < (asks[0]?.order.price ?? Infinity);
}

/** Equal in every part; a million comparisons have no time for explanations. Orders are the same objects. */
function isSameResult(a: Placed | number | null, b: Placed | number | null): boolean {
  if (a === null || b === null || typeof a === 'number' || typeof b === 'number') return a === b;
  return (
    a.status === b.status &&
    a.filled === b.filled &&
    isSameList(a.cancelled, b.cancelled, (one, other) => one === other) &&
    isSameList(
      a.trades,
      b.trades,
      (one, other) =>
        one.bid === other.bid &&
        one.ask === other.ask &&
        one.quantity === other.quantity &&
        one.price === other.price,
    )
  );
}

function isSameState(a: BookState, b: BookState): boolean {
  const isSame = (one: BookState['bids'][0], other: BookState['bids'][0]) =>
    one.order === other.order && one.remaining === other.remaining;
  return isSameList(a.bids, b.bids, isSame) && isSameList(a.asks, b.asks, isSame);
}

function isSameList<T>(a: readonly T[], b: readonly T[], same: (one: T, other: T) => boolean) {
  return a.length === b.length && a.every((one, at) => same(one, b[at]!));
}
