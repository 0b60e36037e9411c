import { randomFrom, shuffled } from '../simulator/random.js';
import { callAuction, type LimitOrder } from '../src/market/call-auction.js';
import { measureContinuous } from './continuous.js';
import { compare } from './measure.js';
import { measureNetwork } from './network.js';
import { present, progress, type Limit, type Report, type Table } from './report.js';
import { measureSharing } from './sharing.js';

/**
 * The engines of the market. The call auction against a bare sort-and-merge of the same arrays: both
 * sides sorted by price and paired from the best prices on, with no check, no shares at the margin and
 * no price. That is the least any auction that makes trades has to do. The continuous book, sharing and
 * the network auction each in a file of its own.
 */

const SEED = '1';
const MOST_RATIO = 3;
const BOOKS = [
  { orders: 1_000, millis: 1_500, calls: 50 },
  { orders: 50_000, millis: 2_500, calls: 1 },
  { orders: 500_000, millis: 6_000, calls: 1 },
];

const HELP = `npm run bench -- market [--json]

Clears 1,000 + 1,000, 50,000 + 50,000 and 500,000 + 500,000 orders in the call auction, as a ratio to a
bare sort-and-merge of the same arrays: at most ${MOST_RATIO} times it. Sends one flow of orders through the
continuous book and through nodejs-order-book: at least 5 times its orders a second. Shares a slot among
100,000 homes. Clears up to 100,000 orders in a network: how the cost of an order grows.
`;

interface Book {
  bids: LimitOrder[];
  asks: LimitOrder[];
}

function measure(): Report {
  const parts = [callAuctions(), measureContinuous(), measureSharing(), measureNetwork()];
  return {
    tables: parts.flatMap(({ tables }) => tables),
    limits: parts.flatMap(({ limits }) => limits),
    notes: parts.flatMap(({ notes }) => notes),
  };
}

function callAuctions(): Report {
  const table: Table = {
    title: 'Call auction, processor time as a ratio to sort-and-merge',
    rows: [],
  };
  const limits: Limit[] = [];
  for (const { orders, millis, calls } of BOOKS) {
    for (const rows of ['by id', 'shuffled'] as const) {
      progress(`${orders} + ${orders} orders, rows ${rows}`);
      const book = bookOf(orders, rows);
      const clear = () => callAuction({ ...book, kThousandths: 500 });
      const merge = () => sortAndMerge(book);
      const { oursMillis, peerMillis, ratio } = compare(clear, merge, { millis, calls });
      const { volume, trades } = clear();
      if (volume !== merge().reduce((sum, { quantity }) => sum + quantity, 0)) {
        throw new Error('the auction and its peer trade different volumes');
      }
      const size = `${orders.toLocaleString('en-US')} + ${orders.toLocaleString('en-US')}`;
      table.rows.push({
        orders: size,
        rows,
        trades: trades.length,
        'auction ms': oursMillis,
        'sort-and-merge ms': peerMillis,
        ratio,
      });
      limits.push({
        what: `call auction, ${size}, rows ${rows}: ratio`,
        measured: ratio,
        most: MOST_RATIO,
      });
    }
  }
  const notes = [
    `Call auction: seed ${SEED}. Rows by id are how the service reads them from the database.`,
  ];
  return { tables: [table], limits, notes };
}

/** Sorts copies by price and pairs from the best on while a bid meets an ask. */
function sortAndMerge(book: Book): { bid: LimitOrder; ask: LimitOrder; quantity: number }[] {
  const bids = book.bids.toSorted((a, b) => b.price - a.price);
  const asks = book.asks.toSorted((a, b) => a.price - b.price);
  const trades = [];
  let [i, j] = [0, 0];
  let [bidLeft, askLeft] = [bids[0]!.quantity, asks[0]!.quantity];
  while (i < bids.length && j < asks.length && bids[i]!.price >= asks[j]!.price) {
    const quantity = Math.min(bidLeft, askLeft);
    trades.push({ bid: bids[i]!, ask: asks[j]!, quantity });
    bidLeft -= quantity;
    askLeft -= quantity;
    if (bidLeft === 0) bidLeft = bids[++i]?.quantity ?? 0;
    if (askLeft === 0) askLeft = asks[++j]?.quantity ?? 0;
  }
  return trades;
}

/** Buyers pay up to 0.30, sellers take from 0.05 on, at any price to the micro-unit. */
function bookOf(orders: number, rows: 'by id' | 'shuffled'): Book {
  const random = randomFrom(`${SEED}/market/${orders}`);
  const side = (kind: string, lowest: number): LimitOrder[] => {
    const numbers = Array.from({ length: orders }, (_, number) => number);
    // Orders are made in the order of their rows, as they are when read from a database.
    return (rows === 'by id' ? numbers : shuffled(numbers, random)).map((number) => ({
      id: `${kind}-${String(number).padStart(7, '0')}`,
      trader: `household-of-${kind}-${number}`,
      price: random.between(lowest, lowest + 200_000),
      quantity: random.between(1, 2_000),
    }));
  };
  return { bids: side('bid', 100_000), asks: side('ask', 50_000) };
}

await present('market', HELP, () => Promise.resolve(measure()));
