import { createRequire } from 'node:module';
import type {
  OrderBook as PeerBook,
  Side as PeerSide,
} from 'nodejs-order-book/dist/types/index.js';
import { randomFrom } from '../simulator/random.js';
import { ContinuousBook, type Side } from '../src/market/continuous-book.js';
import type { LimitOrder } from '../src/market/call-auction.js';
import { compare } from './measure.js';
import { progress, type Limit, type Table } from './report.js';

/**
 * The continuous book against `nodejs-order-book` on the same flow of limit orders and cancels. Every
 * order is of another trader: the peer is not asked to prevent own trades, ours always does.
 */

const SEED = '1';
const ORDERS = 100_000;
const LEAST_RATIO = 5;
const FLOWS = [
  { name: '100 prices', step: 2_000 },
  { name: 'any price', step: 1 },
];

// The package tells its types where nothing looks for them.
const { OrderBook } = createRequire(import.meta.url)('nodejs-order-book') as {
  OrderBook: new () => PeerBook;
};

type Operation = { readonly side: Side; readonly order: LimitOrder } | { readonly cancel: string };

export function measureContinuous(): { tables: Table[]; limits: Limit[]; notes: string[] } {
  const table: Table = {
    title: `Continuous book, ${ORDERS.toLocaleString('en-US')} orders, processor time`,
    rows: [],
  };
  const limits: Limit[] = [];
  for (const { name, step } of FLOWS) {
    progress(`${ORDERS} orders through the continuous book, ${name}`);
    const flow = flowOf(step);
    const { book, trades } = tradedBy(flow);
    const [asks, bids] = tradedByPeer(flow).depth();
    const ours = (side: Side) =>
      levelsOf(book.depth(side).map(({ price, quantity }) => [price, quantity]));
    if (levelsOf(asks) !== ours('ask') || levelsOf(bids) !== ours('bid')) {
      throw new Error('the book and its peer differ');
    }
    const times = compare(
      () => tradedBy(flow),
      () => tradedByPeer(flow),
      { millis: 6_000, calls: 1 },
    );
    const perSecond = (millis: number) => (ORDERS / millis) * 1_000;
    table.rows.push({
      flow: name,
      trades,
      resting: book.size,
      'book orders/s': perSecond(times.oursMillis),
      'peer orders/s': perSecond(times.peerMillis),
      ratio: 1 / times.ratio,
    });
    limits.push({
      what: `continuous book, ${name}: orders/s to the peer's`,
      measured: 1 / times.ratio,
      least: LEAST_RATIO,
    });
  }
  return { tables: [table], limits, notes: ['Continuous book: one cancel to five orders.'] };
}

function tradedBy(flow: readonly Operation[]): { book: ContinuousBook; trades: number } {
  const book = new ContinuousBook();
  let trades = 0;
  for (const operation of flow) {
    if ('cancel' in operation) book.cancel(operation.cancel);
    else trades += book.place(operation.side, operation.order).trades.length;
  }
  return { book, trades };
}

function tradedByPeer(flow: readonly Operation[]): PeerBook {
  const book = new OrderBook();
  const [buy, sell] = ['buy', 'sell'] as PeerSide[];
  for (const operation of flow) {
    if ('cancel' in operation) {
      book.cancel(operation.cancel);
      continue;
    }
    const { id, quantity: size, price } = operation.order;
    book.limit({ id, side: operation.side === 'bid' ? buy! : sell!, size, price });
  }
  return book;
}

/** What rests at each price, alike for both. */
function levelsOf(levels: readonly (readonly [price: number, quantity: number])[]): string {
  return JSON.stringify(levels.toSorted(([a], [b]) => a - b));
}

/** Bids and asks around 0.17 that overlap, in steps of so many micro-units. */
function flowOf(step: number): Operation[] {
  const random = randomFrom(`${SEED}/continuous/${step}`);
  const placed: string[] = [];
  return Array.from({ length: ORDERS }, (_, number): Operation => {
    if (number % 6 === 5) return { cancel: placed[random.between(0, placed.length - 1)]! };
    const side: Side = random.between(0, 1) === 0 ? 'bid' : 'ask';
    const away = random.between(-20_000, 80_000) * (side === 'bid' ? -1 : 1);
    const id = `order-${number}`;
    placed.push(id);
    const price = Math.round((170_000 + away) / step) * step;
    return { side, order: { id, trader: id, price, quantity: random.between(1, 2_000) } };
  });
}
