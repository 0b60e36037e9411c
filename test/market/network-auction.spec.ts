import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { callAuction } from '../../src/market/call-auction.js';
import {
  networkAuction,
  tradeMoney,
  type NetworkAuctionInput,
  type NetworkAuctionResult,
  type NetworkOrder,
} from '../../src/market/network-auction.js';
import type { NetworkNode } from '../../src/market/network.js';
import { anyBook } from './network-books.js';
import { faultsOf, linearProgramWelfare, type Book } from './network-oracle.js';

const RUNS = Number(process.env['NETWORK_RUNS'] ?? 300);
const SEED = Number(process.env['NETWORK_SEED'] ?? Date.now() % 2 ** 31);

const open = (network: readonly NetworkNode[]): NetworkNode[] =>
  network.map(({ id, parent }) => ({ id, parent, feePerUnit: 0 }));

describe('the call auction in a network', () => {
  test(`reaches the welfare of the linear program, and its prices support it (seed ${SEED})`, () => {
    fc.assert(
      fc.property(anyBook(), (book) => {
        const result = networkAuction(book);
        expect(faultsOf(book, result)).toEqual([]);
        expect(result.welfare).toBe(linearProgramWelfare(book));
      }),
      { numRuns: RUNS, seed: SEED },
    );
  });

  test('is the plain call auction where nothing has a fee or a capacity', () => {
    fc.assert(
      fc.property(anyBook(), ({ network, ...book }) => {
        const plain = callAuction(book);
        const result = networkAuction({ ...book, network: open(network) });
        expect(result).toMatchObject({
          price: plain.price,
          interval: plain.interval,
          volume: plain.volume,
          fees: 0,
          congestionRent: 0,
        });
        expect(result.filled).toEqual(plain.filled);
        expect(result.trades.map(({ bid, ask, quantity }) => ({ bid, ask, quantity }))).toEqual(
          plain.trades.map(({ bid, ask, quantity }) => ({ bid, ask, quantity })),
        );
      }),
      { numRuns: 250 },
    );
  });

  test('is a plain call auction on each island where no wire carries anything', () => {
    fc.assert(
      fc.property(anyBook(), (book) => {
        const network = book.network.map((node) => ({ ...node, capacityUp: 0, capacityDown: 0 }));
        const { nodes, filled, trades } = networkAuction({ ...book, network });
        for (const { id, price, interval } of nodes) {
          const here = ({ node }: NetworkOrder) => node === id;
          const [bids, asks] = [book.bids.filter(here), book.asks.filter(here)];
          const plain = callAuction({ ...book, bids, asks });
          expect({ price, interval }).toEqual({ price: plain.price, interval: plain.interval });
          for (const order of [...bids, ...asks]) {
            expect(filled.get(order)).toBe(plain.filled.get(order));
          }
        }
        expect(trades.every(({ bid, ask }) => bid.node === ask.node)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test('does not depend on the order of the rows', () => {
    const all = <T>(rows: readonly T[]) =>
      fc.shuffledSubarray([...rows], { minLength: rows.length });
    const shuffled = anyBook().chain((book) =>
      fc.record({
        book: fc.constant(book),
        bids: all(book.bids),
        asks: all(book.asks),
        network: all(book.network),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ book, ...rows }) => {
        expect(networkAuction({ ...book, ...rows })).toEqual(networkAuction(book));
      }),
      { numRuns: 200 },
    );
  });

  test('every price rises with k, and volume is the most that the best welfare allows', () => {
    fc.assert(
      fc.property(anyBook(), fc.nat(1000), (book, k) => {
        const [low, high] = [Math.min(k, book.kThousandths), Math.max(k, book.kThousandths)];
        const below = networkAuction({ ...book, kThousandths: low });
        const above = networkAuction({ ...book, kThousandths: high });
        below.nodes.forEach(({ price }, index) => {
          expect(above.nodes[index]!.price === null).toBe(price === null);
          if (price !== null) expect(above.nodes[index]!.price).toBeGreaterThanOrEqual(price);
        });
        // A thousandth more for every bid decides between equals; volumes here are far below 1,000.
        const finer = (one: { price: number }) => one.price * 1000;
        const eager: Book = {
          bids: book.bids.map((bid) => ({ ...bid, price: finer(bid) + 1 })),
          asks: book.asks.map((ask) => ({ ...ask, price: finer(ask) })),
          network: book.network.map((node) => ({ ...node, feePerUnit: node.feePerUnit * 1000 })),
        };
        expect(linearProgramWelfare(eager)).toBe(below.welfare * 1000 + below.volume);
      }),
      { numRuns: Math.min(RUNS, 150) },
    );
  });

  test('the rationing rule decides who is served, never how much', () => {
    fc.assert(
      fc.property(anyBook(), (book) => {
        const results = (['pro-rata', 'max-min', 'time'] as const).map((rationing) =>
          networkAuction({ ...book, rationing }),
        );
        for (const result of results) {
          expect(result.welfare).toBe(results[0]!.welfare);
          expect(result.volume).toBe(results[0]!.volume);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('at the margin, who is served less than another is so because of a full wire', () => {
    const big = (orders: readonly NetworkOrder[]) =>
      orders.map((order) => ({ ...order, price: order.price % 3, quantity: order.quantity * 37 }));
    fc.assert(
      fc.property(anyBook(), fc.boolean(), (book, isProRata) => {
        const network = book.network.map((node) => ({
          ...node,
          capacityUp: node.capacityUp! === null ? null : node.capacityUp! * 23,
          capacityDown: node.capacityDown! === null ? null : node.capacityDown! * 23,
        }));
        const input = { ...book, network, bids: big(book.bids), asks: big(book.asks) };
        const result = networkAuction({ ...input, rationing: isProRata ? 'pro-rata' : 'max-min' });
        // Rounding: a unit where a branch shares, and a unit among a node's orders.
        const measure = (order: NetworkOrder, change: number) =>
          (result.filled.get(order)! + change) / (isProRata ? order.quantity : 1);
        for (const orders of [input.bids, input.asks]) {
          for (const less of orders) {
            for (const more of orders) {
              if (less.quantity === 0 || more.quantity === 0 || less.price !== more.price) continue;
              if (result.filled.get(less) === less.quantity) continue;
              if (measure(less, 2) >= measure(more, -2)) continue;
              expect(waysBetween(network, result, orders === input.asks, less, more)).toBe(false);
            }
          }
        }
      }),
      { numRuns: 250 },
    );
  });

  test('of each trade, what the buyer pays is what the seller, the wires and the rent get', () => {
    fc.assert(
      fc.property(anyBook(), (book) => {
        const micro = (price: number) => (price + 2) * 333;
        const scaled = (orders: readonly NetworkOrder[]) =>
          orders.map((order) => ({ ...order, price: micro(order.price) }));
        const network = book.network.map((node) => ({
          ...node,
          feePerUnit: node.feePerUnit * 333,
        }));
        const { trades } = networkAuction({
          ...book,
          network,
          bids: scaled(book.bids),
          asks: scaled(book.asks),
        });
        for (const trade of trades) {
          const { paid, received, fees, rent } = tradeMoney(trade);
          expect(paid).toBe(received + fees + rent);
          for (const part of [received, fees, rent]) expect(part).toBeGreaterThanOrEqual(0);
          expect(Math.abs(fees * 1000 - trade.quantity * trade.feePerUnit)).toBeLessThanOrEqual(
            1000,
          );
          if (trade.buyerPrice - trade.sellerPrice === trade.feePerUnit) expect(rent).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** Whether one unit less of `more` and one more of `less` is possible at no cost. */
function waysBetween(
  network: readonly NetworkNode[],
  { edges }: NetworkAuctionResult,
  isAsk: boolean,
  less: NetworkOrder,
  more: NetworkOrder,
): boolean {
  const [from, to] = isAsk ? [less.node, more.node] : [more.node, less.node];
  const change = new Map<string, number>();
  const parentOf = new Map(network.map(({ id, parent }) => [id, parent]));
  for (const [start, by] of [
    [from, 1],
    [to, -1],
  ] as const) {
    for (let at: string | null = start; at !== null; at = parentOf.get(at)!) {
      change.set(at, (change.get(at) ?? 0) + by);
    }
  }
  return network.every(({ id, parent, feePerUnit, capacityUp, capacityDown }) => {
    if (parent === null || change.get(id) === undefined || change.get(id) === 0) return true;
    const flow = edges.find((edge) => edge.id === id)!.flow + change.get(id)!;
    // A way that is paid for costs something, or replaces one that does: not the same to the welfare.
    return (
      feePerUnit === 0 && flow <= (capacityUp ?? Infinity) && -flow <= (capacityDown ?? Infinity)
    );
  });
}

/** Two feeders of two homes below a substation. */
function street(wires: Partial<Record<string, Partial<NetworkNode>>> = {}): NetworkNode[] {
  const parents = {
    west: 'station',
    east: 'station',
    w1: 'west',
    w2: 'west',
    e1: 'east',
    e2: 'east',
  };
  return [
    { id: 'station', parent: null, feePerUnit: 0 },
    ...Object.entries(parents).map(([id, parent]) => ({ id, parent, feePerUnit: 0, ...wires[id] })),
  ];
}

/** `w1 +900@5`: the home w1 sells 900 from a price of 5 on; `-` buys. */
function clear(book: string[], network: NetworkNode[], more: Partial<NetworkAuctionInput> = {}) {
  const orders = book.map((line) => {
    const [, node, side, quantity, price] = /^(\w+) ([+-])(\d+)@(\d+)$/.exec(line)!;
    const order = { id: line, trader: line, node: node!, price: +price!, quantity: +quantity! };
    return { side, order };
  });
  const of = (side: string) => orders.filter((one) => one.side === side).map(({ order }) => order);
  const input = { bids: of('-'), asks: of('+'), network, kThousandths: 500, ...more };
  const result = networkAuction(input);
  expect(faultsOf(input, result)).toEqual([]);
  return {
    ...result,
    price: Object.fromEntries(result.nodes.map(({ id, price }) => [id, price])),
    flow: Object.fromEntries(result.edges.map(({ id, flow }) => [id, flow])),
    rent: Object.fromEntries(result.edges.map((edge) => [edge.id, edge.congestionRent])),
    filled: new Map([...result.filled].map(([{ id }, served]) => [id, served])),
    brief: result.trades.map(({ bid, ask, quantity }) => `${ask.node} > ${bid.node}: ${quantity}`),
  };
}

describe('a street with two feeders', () => {
  test('a fee on the way: the neighbor on the own feeder comes first, the far one pays it', () => {
    const fees = { west: { feePerUnit: 20 }, east: { feePerUnit: 20 } };
    const result = clear(['w1 +500@50', 'w2 -300@300', 'e1 -400@300'], street(fees));
    expect(result.brief).toEqual(['w1 > w2: 300', 'w1 > e1: 200']);
    expect(result.price).toMatchObject({ w1: 260, w2: 260, west: 260, station: 280, e1: 300 });
    expect(result).toMatchObject({ fees: 200 * 40, congestionRent: 0, welfare: 500 * 250 - 8000 });
  });

  test('a full wire parts the prices, and earns the difference', () => {
    const result = clear(
      ['w1 +500@50', 'w2 +500@60', 'e1 -800@300', 'e2 +900@200'],
      street({ west: { capacityUp: 400, feePerUnit: 10 } }),
    );
    expect(result.flow).toMatchObject({ w1: 400, west: 400, east: -400, e2: 400 });
    expect(result.price).toMatchObject({ w1: 50, west: 50, station: 200, e1: 200 });
    expect(result.rent).toMatchObject({ west: 400 * 140, east: 0, e2: 0 });
    expect(result.edges.find(({ id }) => id === 'west')).toMatchObject({ full: 'up', fees: 4000 });
  });

  test('a capacity of zero makes islands, each with its own price', () => {
    const closed = { capacityUp: 0, capacityDown: 0 };
    const result = clear(
      ['w1 +500@50', 'w2 -300@300', 'e1 +500@100', 'e2 -900@200'],
      street({ west: closed, east: closed }),
    );
    expect(result.brief).toEqual(['e1 > e2: 500', 'w1 > w2: 300']);
    expect(result.price).toEqual({
      station: null,
      west: 50,
      w1: 50,
      w2: 50,
      east: 200,
      e1: 200,
      e2: 200,
    });
  });

  test('sellers with one limit share pro rata, but no more than the wire of their feeder takes', () => {
    const book = ['w1 +600@50', 'w2 +200@50', 'e1 +400@50', 'e2 -600@300'];
    const filled = (network: NetworkNode[]) =>
      book.map((line) => clear(book, network).filled.get(line));
    expect(filled(street())).toEqual([300, 100, 200, 600]);
    expect(filled(street({ west: { capacityUp: 240 } }))).toEqual([180, 60, 360, 600]);
    expect(filled(street({ w1: { capacityUp: 100 } }))).toEqual([100, 167, 333, 600]);
  });

  test('at equal delivered prices the shorter way is served', () => {
    const book = ['w1 +100@30', 'e1 +100@40', 'e2 -100@50'];
    const fees = street({ west: { feePerUnit: 5 }, east: { feePerUnit: 5 } });
    expect(clear(book, fees).brief).toEqual(['e1 > e2: 100']);
    // Not worth less to anybody, so it is traded: a bid that just covers ask and fees.
    expect(clear(['w1 +100@30', 'e2 -100@40'], fees).brief).toEqual(['w1 > e2: 100']);
    expect(clear(['w1 +100@31', 'e2 -100@40'], fees)).toMatchObject({
      volume: 0,
      price: { e2: null },
    });
  });

  test('first come, first served, and as equal as can be', () => {
    const network = street({ west: { capacityUp: 250 } });
    const asks = (sequences: number[]) =>
      (['w1', 'w2', 'e1'] as const).map((node, index) => ({
        id: node,
        trader: node,
        node,
        price: 50,
        quantity: [600, 100, 400][index]!,
        sequence: sequences[index]!,
      }));
    const bids = [{ id: 'e2', trader: 'e2', node: 'e2', price: 300, quantity: 600, sequence: 9 }];
    const filled = (rationing: 'time' | 'max-min', sequences = [1, 2, 3]) => {
      const input = { bids, asks: asks(sequences), network, kThousandths: 0, rationing };
      const { filled } = networkAuction(input);
      return input.asks.map((ask) => filled.get(ask));
    };
    expect(filled('time')).toEqual([250, 0, 350]);
    expect(filled('time', [2, 1, 3])).toEqual([150, 100, 350]);
    expect(filled('max-min')).toEqual([150, 100, 350]);
  });

  test('a wire that lets only out ties the price behind it from one side', () => {
    const oneWay = street({ w1: { capacityDown: 0 } });
    const result = clear(['w1 -100@90', 'e1 +100@20', 'e2 -100@40'], oneWay);
    expect(result.price).toMatchObject({ e1: 30, west: 30, w1: 90 });
  });

  test('numbers too large for the depth, a broken tree and unknown nodes are refused', () => {
    const order = { id: 'x', trader: 'X', node: 'w1', price: 5, quantity: 1 };
    const run = (network: NetworkNode[], bid: Partial<NetworkOrder> = {}) => {
      return () =>
        networkAuction({ bids: [{ ...order, ...bid }], asks: [], network, kThousandths: 0 });
    };
    expect(run(street(), { node: 'nowhere' })).toThrow('order x is at an unknown node: nowhere');
    expect(run(street(), { price: Number.MAX_SAFE_INTEGER })).toThrow('too large');
    expect(run(street(), { quantity: -1 })).toThrow('negative quantity');
    expect(run([...street(), street()[1]!])).toThrow('node west is given twice');
    expect(run(street({ w1: { parent: 'gone' } }))).toThrow('unknown parent: gone');
    expect(run(street({ w1: { parent: null } }))).toThrow('one root, not 2');
    expect(run(street({ west: { parent: 'w1' } }))).toThrow('does not lead to the root');
    expect(run(street({ west: { feePerUnit: -1 } }))).toThrow('fee of west is negative');
    expect(run(street({ west: { capacityUp: 0.5 } }))).toThrow('capacity up of west');
    const both = {
      bids: [order],
      asks: [{ ...order, id: 'y' }],
      network: street(),
      kThousandths: 0,
    };
    expect(() => networkAuction(both)).toThrow('trader X is on both sides');
  });
});
