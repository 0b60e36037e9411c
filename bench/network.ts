import { randomFrom, shuffled, type Random } from '../simulator/random.js';
import { networkAuction, type NetworkAuctionInput } from '../src/market/network-auction.js';
import type { NetworkNode } from '../src/market/network.js';
import { clearWithPreferences, type PreferenceInput } from '../src/market/preferences.js';
import type { Wish } from '../src/market/wish-graph.js';
import { compare } from './measure.js';
import { progress, type Limit, type Table } from './report.js';

/**
 * The call auction in a network, on trees of two shapes: homes on feeders, and one chain. What it costs
 * for each order is held against what it costs a tenth as many orders on the same tree: near-linear
 * growth keeps that ratio low, quadratic growth would make it 10.
 */

const SEED = '1';
const NODES = 1_000;
const SIZES = [1_000, 10_000, 100_000];
const MOST_GROWTH = 3;
const MOST_MILLIS = 2_000;

export function measureNetwork(): { tables: Table[]; limits: Limit[]; notes: string[] } {
  const table: Table = { title: `Network auction on trees of ${NODES} nodes`, rows: [] };
  const limits: Limit[] = [];
  for (const shape of ['feeders', 'chain'] as const) {
    for (const prices of ['any price', 'two prices'] as const) {
      let before: NetworkAuctionInput | null = null;
      for (const orders of SIZES) {
        const what = `${orders.toLocaleString('en-US')} orders, ${shape}, ${prices}`;
        progress(what);
        const input = inputOf(shape, prices, orders);
        const result = networkAuction(input);
        const { millis, growth } = costOf(input, before ?? input);
        table.rows.push({
          tree: shape,
          orders,
          prices,
          trades: result.trades.length,
          'full wires': result.edges.filter(({ congestionRent }) => congestionRent > 0).length,
          ms: millis,
          'us per order': (millis * 1000) / orders,
          'growth per order': before === null ? null : growth,
        });
        if (before !== null) {
          limits.push({
            what: `${what}: growth of cost per order`,
            measured: growth,
            most: MOST_GROWTH,
          });
        }
        if (orders === SIZES.at(-1)) {
          limits.push({ what: `${what}: ms`, measured: millis, most: MOST_MILLIS });
        }
        before = input;
      }
    }
  }
  const notes = [
    `Network: seed ${SEED}; half of the wires have a fee, half a capacity that often binds. With two prices all bids and all asks are alike, as under default limits: then who is served is decided by rationing alone.`,
  ];
  return { tables: [table, preferences()], limits, notes };
}

/** Books in which every fourth bid has a wish: the sun, the own feeder, or a neighbor. */
function preferences(): Table {
  const table: Table = { title: 'Network auction with wishes', rows: [] };
  for (const orders of [200, 1_000, 4_000]) {
    const what = `${orders.toLocaleString('en-US')} orders with wishes`;
    progress(what);
    const input = wishingBook(orders);
    const { wishes, trades } = clearWithPreferences(input);
    const { oursMillis, ratio } = compare(
      () => clearWithPreferences(input),
      () => networkAuction(input),
      { millis: 1_500, calls: 1 },
    );
    table.rows.push({
      orders,
      wishes: wishes.length,
      met: wishes.filter(({ metQuantity }) => metQuantity > 0).length,
      trades: trades.length,
      ms: oursMillis,
      'ratio to none': ratio,
    });
  }
  return table;
}

function wishingBook(orders: number): PreferenceInput {
  const random = randomFrom(`${SEED}/wishes/${orders}`);
  const input = inputOf('feeders', 'any price', orders);
  const bids = input.bids.map((bid, index) => {
    if (index % 4 > 0) return bid;
    const premium = random.between(1, 40_000);
    const feeder = input.network.find(({ id }) => id === bid.node)!.parent ?? bid.node;
    const seller = input.asks[random.between(0, input.asks.length - 1)]!.trader;
    const wishes: Wish[] = [
      { kind: 'solar', premium },
      { kind: 'feeder', node: feeder, premium },
      { kind: 'neighbor', trader: seller, premium },
    ];
    return { ...bid, wishes: [wishes[random.between(0, 2)]!] };
  });
  return {
    ...input,
    bids,
    asks: input.asks.map((ask, index) => ({ ...ask, solar: index % 2 === 0 })),
  };
}

/** Processor time, and that of an order as a ratio to an order of the smaller book. */
function costOf(input: NetworkAuctionInput, smaller: NetworkAuctionInput) {
  const { oursMillis, ratio } = compare(
    () => networkAuction(input),
    () => networkAuction(smaller),
    { millis: 1_500, calls: 1 },
  );
  return { millis: oursMillis, growth: (ratio * smaller.bids.length) / input.bids.length };
}

function inputOf(
  shape: 'feeders' | 'chain',
  prices: 'any price' | 'two prices',
  orders: number,
): NetworkAuctionInput {
  const random = randomFrom(`${SEED}/network/${shape}/${prices}/${orders}`);
  const network = treeOf(shape, random, orders);
  const side = (kind: string, lowest: number, one: number) => {
    const numbers = shuffled([...Array(orders / 2).keys()], random);
    return numbers.map((number) => ({
      id: `${kind}-${String(number).padStart(7, '0')}`,
      trader: `household-of-${kind}-${number}`,
      node: network[random.between(0, network.length - 1)]!.id,
      price: prices === 'two prices' ? one : random.between(lowest, lowest + 200_000),
      quantity: random.between(1, 2_000),
    }));
  };
  return {
    bids: side('bid', 100_000, 300_000),
    asks: side('ask', 50_000, 50_000),
    network,
    kThousandths: 500,
  };
}

/** A substation with 20 feeders of 49 nodes, or a single line. Capacities grow with the book. */
function treeOf(shape: 'feeders' | 'chain', random: Random, orders: number): NetworkNode[] {
  const each = Math.ceil((orders / NODES) * 1_000);
  return Array.from({ length: NODES }, (_, index) => {
    const parent = shape === 'chain' ? index - 1 : index <= 20 ? 0 : 1 + (index % 20);
    return {
      id: `node-${String(index).padStart(4, '0')}`,
      parent: index === 0 ? null : `node-${String(parent).padStart(4, '0')}`,
      feePerUnit: random.between(0, 1) === 0 ? 0 : random.between(1, 20_000),
      capacityUp: random.between(0, 1) === 0 ? null : random.between(0, each),
      capacityDown: random.between(0, 1) === 0 ? null : random.between(0, each),
    };
  });
}
