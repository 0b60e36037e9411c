import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { clear } from '../../src/market/clear.js';
import { clearInput } from '../../src/market/clear-input.js';
import { sharedFile } from '../support/shared.js';

/**
 * The published market cases through the engines, scaled to whole numbers: their expected result, or
 * the computed optimum where a case's own check says that the published result is not one. Every case
 * of the file is either here or left out for a reason.
 */

interface CaseOrder {
  id: string;
  trader?: string;
  price: number;
  qty: number;
  side?: string;
}
interface MarketCase {
  id: string;
  inputs: { bids?: CaseOrder[]; offers?: CaseOrder[]; orders?: CaseOrder[]; params: CaseParams };
  expected: {
    trades?: { bid: string; offer: string; qty: number; price?: number }[];
    volume?: number;
    clearing_price?: number;
    uniform_price?: number;
    price?: number;
    max_welfare?: number;
    equilibrium_qty?: number;
  };
  check: string;
  computed_optimum?: {
    efficient_volume: number;
    max_welfare: number;
    price_interval: [number, number] | null;
  };
}
type CaseParams = Readonly<Record<string, unknown>>;

const PAY_AS_BID = ['gsy-pab-1', 'gsy-pab-3', 'gsy-pab-4', 'gsy-pab-5', 'gsy-pab-6'];

/** Uniform price; where the price of the case is an end of the interval, with the k that chooses it. */
const CALL_AUCTION: Readonly<Record<string, { k?: number; price: string | null }>> = {
  'gsy-pac-2': { price: null },
  'gsy-pac-p1': { price: 'clearing_price' },
  'gsy-pac-p2': { price: 'clearing_price' },
  'gsy-pac-p3': { price: 'clearing_price' },
  'gsy-pac-p5': { price: 'clearing_price' },
  'gsy-pac-floats': { price: 'clearing_price' },
  'pym-eq-0': { price: 'price' },
  'pym-huang-0': { price: null },
  'pym-huang-3': { price: null },
  'pym-muda-2': { price: null },
  'pym-market-1': { price: null },
  'pym-welfare-share': { price: null },
  'assume-pac-1': { price: 'clearing_price', k: 0 },
  'assume-pac-3': { price: 'clearing_price' },
  'assume-block-a': { price: 'clearing_price' },
  'lemlab-pda-2': { price: 'uniform_price' },
};

/** What is supplied and needed, with which parameters, and what each of `demand` gets. */
const SHARING: Readonly<Record<string, { input: object; received: object; prices?: object }>> = {
  'scm-1': {
    input: {
      params: { retail: 30, feedIn: 7, key: 'static' },
      supply: [{ id: 'h1', quantity: 70 }],
      demand: [
        { id: 'h1', quantity: 50, key: 600 },
        { id: 'h2', quantity: 70, key: 400 },
      ],
    },
    received: { h1: 50, h2: 8 },
  },
  'mmr-surplus': {
    input: {
      params: { retail: 30, feedIn: 10, pricing: 'mid-market' },
      supply: [{ id: 's', quantity: 100 }],
      demand: [{ id: 'd', quantity: 60 }],
    },
    received: { d: 60 },
    prices: { buy: 20, sell: 16 },
  },
  'sdr-surplus': {
    input: {
      params: { retail: 30, feedIn: 10, pricing: 'supply-demand-ratio' },
      supply: [{ id: 's', quantity: 100 }],
      demand: [{ id: 'd', quantity: 60 }],
    },
    received: { d: 60 },
    prices: { buy: 10, sell: 10 },
  },
  'bill-sharing': {
    input: {
      params: { retail: 30, feedIn: 10, pricing: 'bill-sharing' },
      supply: [{ id: 's', quantity: 60 }],
      demand: [{ id: 'd', quantity: 100 }],
    },
    received: { d: 60 },
    prices: { buy: 12, sell: 0 },
  },
  'ew-spread-1': equalShares({ A: 100, B: 100 }, { gA: 50, gB: 150 }, { A: 100, B: 100 }),
  'ew-spread-2': equalShares({ A: 150, B: 100 }, { gA: 50, gB: 150 }, { A: 100, B: 100 }),
  'ew-spread-4': equalShares(
    { A: 100, B: 100, C: 100 },
    { gA: 100, gB: 99 },
    { A: 67, B: 66, C: 66 },
  ),
};

interface WiredOrder {
  id: string;
  node: string;
  price: number;
  quantity: number;
}
const at = (id: string, node: string, price: number, quantity: number): WiredOrder => ({
  id,
  node,
  price,
  quantity,
});
/** Two clusters with a fee between them, as a root and one node below it. */
const TWO_CLUSTERS = [
  { id: 'c0', parent: null },
  { id: 'c1', parent: 'c0', feePerUnit: 1 },
];

/** Cases with wires as trees: trades with what the buyer pays, and the prices at nodes. */
const NETWORK: Readonly<
  Record<string, { nodes: object[]; bids: WiredOrder[]; asks: WiredOrder[]; expected: object }>
> = {
  'simply-best-1': {
    nodes: TWO_CLUSTERS,
    bids: [at('b', 'c0', 3, 1)],
    asks: [at('o', 'c1', 3, 1)],
    expected: { volume: 0, trades: [] },
  },
  'simply-best-2': {
    nodes: TWO_CLUSTERS,
    bids: [at('b', 'c0', 3, 1)],
    asks: [at('o', 'c1', 2, 1)],
    expected: {
      volume: 1,
      trades: [{ bid: 'b', ask: 'o', quantity: 1, price: 3, sellerPrice: 2 }],
    },
  },
  'simply-best-4': {
    nodes: TWO_CLUSTERS,
    bids: [at('b', 'c1', 5, 1)],
    asks: [at('o3', 'c1', 4, 1), at('o4', 'c0', 3, 1)],
    expected: { volume: 1, welfare: 1, trades: [{ bid: 'b', ask: 'o3', quantity: 1, price: 4 }] },
  },
  'simply-best-5': {
    nodes: TWO_CLUSTERS,
    bids: [at('b', 'c0', 20, 1)],
    asks: [at('o', 'c0', 25, 1)],
    expected: { volume: 0, trades: [] },
  },
  'simply-2pac-fee': {
    nodes: [
      { id: 'buyers', parent: null },
      { id: 'sellers', parent: 'buyers', feePerUnit: 10 },
    ],
    bids: [at('a', 'buyers', 38, 15), at('b', 'buyers', 30, 10), at('c', 'buyers', 20, 10)],
    asks: [at('o', 'sellers', 20, 20)],
    expected: {
      volume: 20,
      welfare: 120,
      trades: [
        { bid: 'a', ask: 'o', quantity: 15, price: 30, sellerPrice: 20 },
        { bid: 'b', ask: 'o', quantity: 5, price: 30, sellerPrice: 20 },
      ],
    },
  },
  // The load pays the offer with the fees of the way: a bid at exactly that shows it.
  'gsy-fee-const-one-sided': {
    nodes: [
      { id: 'grid', parent: null },
      { id: 'n1', parent: 'grid', feePerUnit: 2 },
      { id: 'house1', parent: 'n1', feePerUnit: 1 },
      { id: 'n2', parent: 'grid', feePerUnit: 0 },
      { id: 'house2', parent: 'n2', feePerUnit: 1 },
    ],
    bids: [at('load', 'house1', 14, 1)],
    asks: [at('PV', 'house2', 10, 1)],
    expected: {
      volume: 1,
      fees: 4,
      trades: [{ bid: 'load', ask: 'PV', quantity: 1, price: 14, sellerPrice: 10 }],
    },
  },
  // A curve of one unit a price step behind a feeder that lets one out; outside pays 10.
  'powermatcher-price': {
    nodes: [
      { id: 'grid', parent: null },
      { id: 'feeder', parent: 'grid', capacityUp: 1, capacityDown: 1 },
    ],
    bids: [at('outside', 'grid', 10, 100), at('d0', 'feeder', 0, 1), at('d1', 'feeder', 1, 1)],
    asks: [3, 4, 5, 6, 7, 8, 9, 10].map((price) => at(`s${price}`, 'feeder', price, 1)),
    expected: {
      volume: 1,
      nodes: [
        { id: 'feeder', price: 3 },
        { id: 'grid', price: 10 },
      ],
    },
  },
};

const CONTINUOUS = ['ew-cda-1'];
const MCAFEE = ['mcafee-price'];

const LEFT_OUT: Readonly<Record<string, string>> = {
  'gsy-two-sided-validate': 'checks matches that others recommend; clear makes its own',
  'gsy-fee-forward-pct': 'a fee in per cent of the bid; fees here are per unit of energy',
  'gsy-fee-pct-one-sided': 'a fee in per cent of the offer; fees here are per unit of energy',
  'gsy-kpi-path-fee': 'an indicator, not a market',
  'gsy-kpi-self-1': 'an indicator, not a market',
  'scm-3': 'a monthly bill with fees of many kinds',
  'gsy-settlement-1': 'an order for a past slot; deviations are settled with the utility here',
  'assume-nodal': 'a meshed network; ours is a tree',
  'ew-cda-4': 'a purchase of one chosen ask past better ones: no order of a double auction',
  'volttron-1': 'continuous curves; orders are steps',
};

const file = sharedFile('vectors/market-cases.json');
const CASES =
  file === null ? [] : (JSON.parse(readFileSync(file, 'utf8')) as { cases: MarketCase[] }).cases;

(file === null ? describe.skip : describe)('the published market cases', () => {
  test('are all here, or left out for a reason', () => {
    const accounted = [CALL_AUCTION, NETWORK, SHARING, LEFT_OUT].flatMap((each) =>
      Object.keys(each),
    );
    expect([...accounted, ...PAY_AS_BID, ...CONTINUOUS, ...MCAFEE].sort()).toEqual(
      CASES.map(({ id }) => id).sort(),
    );
  });

  // Jest refuses an empty table even where it skips.
  if (CASES.length === 0) return;
  const caseOf = (id: string): MarketCase => CASES.find((one) => one.id === id)!;

  test.each(PAY_AS_BID)('%s: pay as bid', (id) => {
    const { book, scale } = scaled(caseOf(id), 'pay-as-bid');
    const result = cleared(book);
    const { trades = [], volume } = caseOf(id).expected;
    expect(result.volume).toBe(volume! * scale.quantity);
    expect(sortedTrades(result.trades)).toEqual(
      sortedTrades(
        trades.map(({ bid, offer, qty, price }) => ({
          bid,
          ask: offer,
          quantity: qty * scale.quantity,
          price: Math.round(price! * scale.price),
        })),
      ),
    );
    // One of these books holds the trader back on its own side: its optimum is told without that.
    expect(result.welfare).toBe(result.maximumWelfare);
  });

  test.each(Object.keys(CALL_AUCTION))('%s: call auction', (id) => {
    const { k = 500, price } = CALL_AUCTION[id]!;
    const one = caseOf(id);
    const { book, scale } = scaled(one, 'call-auction', k);
    const result = cleared(book);
    const { expected, computed_optimum: optimum } = one;
    if (price !== null) {
      const published = expected[price as 'price']! * scale.price;
      expect(result.clearingPrice).toBe(Math.round(published));
    }
    const volume = optimum?.efficient_volume ?? expected.volume!;
    expect(result.volume).toBe(Math.round(volume * scale.quantity));
    if (!optimum) return;
    expect(result.welfare).toBe(Math.round(optimum.max_welfare * scale.price * scale.quantity));
    const interval = optimum.price_interval?.map((bound) => Math.round(bound * scale.price));
    expect(result.priceInterval).toEqual(interval ?? null);
  });

  test.each(Object.keys(NETWORK))('%s: call auction in a network', (id) => {
    const { nodes, bids, asks, expected } = NETWORK[id]!;
    const traded = (side: string, orders: readonly WiredOrder[]) =>
      orders.map((order) => ({ ...order, trader: `${side} ${order.id}` }));
    const result = cleared({
      mechanism: 'call-auction',
      bids: traded('bid', bids),
      asks: traded('ask', asks),
      network: { nodes },
    });
    expect(result).toMatchObject(expected);
  });

  test.each(CONTINUOUS)('%s: continuous', (id) => {
    const { inputs, expected } = caseOf(id);
    const result = cleared({
      mechanism: 'continuous',
      orders: inputs.orders!.map(({ id: name, side, price, qty }) => ({
        id: name,
        trader: name,
        side,
        price,
        quantity: qty,
      })),
    });
    expect(result.trades).toEqual(
      expected.trades!.map(({ bid, offer, qty, price }) => ({
        bid,
        ask: offer,
        quantity: qty,
        price,
      })),
    );
  });

  test.each(MCAFEE)('%s: McAfee', (id) => {
    const { book } = scaled(caseOf(id), 'mcafee');
    const { clearingPrice, volume, surplus, priceInterval, maximumWelfare } = cleared(book);
    const optimum = caseOf(id).computed_optimum!;
    expect({ clearingPrice, volume, surplus }).toEqual({ clearingPrice: 6, volume: 3, surplus: 0 });
    expect([maximumWelfare, priceInterval]).toEqual([optimum.max_welfare, optimum.price_interval]);
  });

  test.each(Object.keys(SHARING))('%s: sharing', (id) => {
    const { input, received, prices } = SHARING[id]!;
    const result = clear(clearInput.parse({ mechanism: 'sharing', ...input }));
    if (!('allocations' in result)) throw new Error('not shared');
    const drawn = result.allocations.filter((one) => 'fromGrid' in one);
    expect(Object.fromEntries(drawn.map(({ id: name, own }) => [name, own]))).toEqual(received);
    if (prices !== undefined) expect(result.prices).toMatchObject(prices);
  });
});

function cleared(book: object) {
  const result = clear(clearInput.parse(book));
  if ('allocations' in result) throw new Error('shared, not cleared');
  return result;
}

/** A case with the smallest powers of ten that make all its figures whole. */
function scaled({ inputs }: MarketCase, mechanism: string, k = 500) {
  const all = [...(inputs.bids ?? []), ...(inputs.offers ?? [])];
  const scale = {
    price: wholeBy(all.map(({ price }) => price)),
    quantity: wholeBy(all.map(({ qty }) => qty)),
  };
  const orders = (side: string, rows: readonly CaseOrder[] = []) =>
    rows.map(({ id, trader = `${side} ${id}`, price, qty }) => ({
      id,
      trader,
      price: Math.round(price * scale.price),
      quantity: Math.round(qty * scale.quantity),
    }));
  const bids = orders('bid', inputs.bids);
  return { book: { mechanism, params: { k }, bids, asks: orders('ask', inputs.offers) }, scale };
}

function wholeBy(figures: readonly number[]): number {
  let scale = 1;
  const isWhole = (figure: number) => Math.abs(figure * scale - Math.round(figure * scale)) < 1e-6;
  while (!figures.every(isWhole)) scale *= 10;
  return scale;
}

function sortedTrades<Trade extends { bid: string; ask: string }>(trades: readonly Trade[]) {
  return [...trades].sort((a, b) => (a.bid + a.ask < b.bid + b.ask ? -1 : 1));
}

function equalShares(
  needs: Record<string, number>,
  supplies: Record<string, number>,
  received: Record<string, number>,
) {
  const members = (quantities: Record<string, number>) =>
    Object.entries(quantities).map(([id, quantity]) => ({ id, quantity }));
  return {
    input: {
      params: { retail: 30, feedIn: 10, key: 'equal' },
      supply: members(supplies),
      demand: members(needs),
    },
    received,
  };
}
