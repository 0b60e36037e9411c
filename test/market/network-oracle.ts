import { createRequire } from 'node:module';
import type highsTypes from 'highs';
import type {
  NetworkAuctionInput,
  NetworkAuctionResult,
  NetworkOrder,
} from '../../src/market/network-auction.js';
import type { NetworkNode } from '../../src/market/network.js';

/**
 * What the network auction is held against: a linear program of the same book, solved by HiGHS, and the
 * conditions that make prices support a result, checked one by one in plain code.
 */

export type Book = Pick<NetworkAuctionInput, 'bids' | 'asks' | 'network'>;

// Its types describe the CommonJS build.
const loadHighs = createRequire(import.meta.url)('highs') as typeof highsTypes.default;
const highs = await loadHighs();

/** The most welfare, fees deducted, that any quantities within the orders and the wires reach. */
export function linearProgramWelfare({ bids, asks, network }: Book): number {
  const terms: string[] = [];
  const bounds: string[] = [];
  const balance = new Map<string, string[]>(network.map(({ id }) => [id, []]));
  const variable = (name: string, gain: number, most: number | null | undefined) => {
    terms.push(`${gain < 0 ? '-' : '+'} ${Math.abs(gain)} ${name}`);
    bounds.push(most === null || most === undefined ? `${name} >= 0` : `0 <= ${name} <= ${most}`);
    return name;
  };
  bids.forEach(({ node, price, quantity }, index) => {
    balance.get(node)!.push(`- ${variable(`b${index}`, price, quantity)}`);
  });
  asks.forEach(({ node, price, quantity }, index) => {
    balance.get(node)!.push(`+ ${variable(`a${index}`, -price, quantity)}`);
  });
  network.forEach(({ id, parent, feePerUnit, capacityUp, capacityDown }, index) => {
    if (parent === null) return;
    const up = variable(`u${index}`, -feePerUnit, capacityUp);
    const down = variable(`d${index}`, -feePerUnit, capacityDown);
    balance.get(id)!.push(`- ${up} + ${down}`);
    balance.get(parent)!.push(`+ ${up} - ${down}`);
  });
  const rows = [...balance.values()].filter((row) => row.length > 0);
  return maximum(
    terms,
    rows.map((row) => `${row.join(' ')} = 0`),
    bounds,
  );
}

/** The objective of a linear program with integer optimum. @param terms of the objective, signed */
export function maximum(
  terms: readonly string[],
  rows: readonly string[],
  bounds: readonly string[],
): number {
  if (terms.length === 0 || rows.length === 0) return 0;
  const program = [
    'Maximize',
    ` obj: ${terms.join(' ')}`,
    'Subject To',
    ...rows.map((row, index) => ` r${index}: ${row}`),
    'Bounds',
    ...bounds.map((bound) => ` ${bound}`),
    'End',
  ].join('\n');
  const solution = highs.solve(program, { output_flag: false });
  if (solution.Status !== 'Optimal') throw new Error(`HiGHS: ${solution.Status}`);
  return Math.round(solution.ObjectiveValue);
}

/** Everything that is wrong with a result, in words; empty for a right one. */
export function faultsOf(book: Book, result: NetworkAuctionResult): string[] {
  return [...flowFaults(book, result), ...priceFaults(book, result), ...tradeFaults(book, result)];
}

const sum = (values: number[]) => values.reduce((all, value) => all + value, 0);

function flowFaults({ bids, asks, network }: Book, result: NetworkAuctionResult): string[] {
  const faults: string[] = [];
  const flow = new Map(result.edges.map((edge) => [edge.id, edge.flow]));
  for (const order of [...bids, ...asks]) {
    const filled = result.filled.get(order)!;
    if (!(filled >= 0 && filled <= order.quantity)) faults.push(`${order.id} is served ${filled}`);
  }
  for (const { id, parent, capacityUp, capacityDown } of network) {
    const served = (orders: readonly NetworkOrder[]) =>
      sum(orders.filter(({ node }) => node === id).map((one) => result.filled.get(one)!));
    const fromBelow = sum(
      network.filter((one) => one.parent === id).map((one) => flow.get(one.id)!),
    );
    const out = parent === null ? 0 : flow.get(id)!;
    if (served(asks) - served(bids) + fromBelow !== out) faults.push(`${id} is not in balance`);
    if (out > (capacityUp ?? Infinity) || -out > (capacityDown ?? Infinity)) {
      faults.push(`${id} carries ${out}`);
    }
  }
  return faults;
}

function priceFaults({ bids, asks, network }: Book, result: NetworkAuctionResult): string[] {
  const faults: string[] = [];
  const price = new Map(result.nodes.map((node) => [node.id, node.price]));
  for (const [orders, sign] of [
    [bids, -1],
    [asks, 1],
  ] as const) {
    for (const order of orders) {
      const { id, node, price: limit, quantity } = order;
      const at = price.get(node)!;
      const filled = result.filled.get(order)!;
      if (at === null && filled > 0) faults.push(`${id} is served without a price`);
      if (at === null) continue;
      const gain = sign * (at - limit);
      if (gain > 0 && filled < quantity) faults.push(`${id} would take more at ${at}`);
      if (gain < 0 && filled > 0) faults.push(`${id} never agreed to ${at}`);
    }
  }
  for (const { id, flow, fees, congestionRent } of result.edges) {
    const node = network.find((one) => one.id === id)!;
    const [inside, outside] = [price.get(id)!, price.get(node.parent!)!];
    const fee = node.feePerUnit;
    if (fees !== Math.abs(flow) * fee) faults.push(`${id} earns fees of ${fees}`);
    if (inside === null || outside === null) {
      if (flow !== 0) faults.push(`${id} carries ${flow} without a price`);
      continue;
    }
    if (!Number.isInteger(inside)) faults.push(`${id} has a price of ${inside}`);
    const rise = outside - inside;
    const rent = flow * rise - fees;
    if (rent !== congestionRent || rent < 0) faults.push(`${id} earns a rent of ${rent}`);
    if (flow < (node.capacityUp ?? Infinity) && rise > fee)
      faults.push(`${id} could carry more up`);
    if (-flow < (node.capacityDown ?? Infinity) && -rise > fee) {
      faults.push(`${id} could carry more down`);
    }
    if ((flow > 0 && rise < fee) || (flow < 0 && -rise < fee)) faults.push(`${id} is not worth it`);
  }
  return faults;
}

function tradeFaults({ bids, asks, network }: Book, result: NetworkAuctionResult): string[] {
  const faults: string[] = [];
  const traded = new Map<NetworkOrder, number>();
  const price = new Map(result.nodes.map((node) => [node.id, node.price]));
  const byId = new Map(network.map((node) => [node.id, node]));
  const wayUp = (from: string) => {
    const way: NetworkNode[] = [];
    for (let at = byId.get(from)!; at.parent !== null; at = byId.get(at.parent)!) way.push(at);
    return way;
  };
  for (const trade of result.trades) {
    const { bid, ask, quantity, buyerPrice, sellerPrice, feePerUnit } = trade;
    if (quantity <= 0) faults.push(`${ask.id} sells ${quantity}`);
    if (bid.trader === ask.trader) faults.push(`${bid.trader} trades with itself`);
    for (const one of [bid, ask]) traded.set(one, (traded.get(one) ?? 0) + quantity);
    if (buyerPrice !== price.get(bid.node)) faults.push(`${bid.id} pays another price`);
    if (sellerPrice !== price.get(ask.node)) faults.push(`${ask.id} gets another price`);
    if (buyerPrice > bid.price || sellerPrice < ask.price) faults.push(`${bid.id} at a loss`);
    const [up, down] = [wayUp(ask.node), wayUp(bid.node)];
    const way = [
      ...up.filter((one) => !down.includes(one)),
      ...down.filter((one) => !up.includes(one)),
    ];
    if (sum(way.map((one) => one.feePerUnit)) !== feePerUnit) faults.push(`${bid.id}: wrong fee`);
    if (buyerPrice - sellerPrice < feePerUnit) faults.push(`${bid.id} goes against the flow`);
  }
  for (const order of [...bids, ...asks]) {
    if ((traded.get(order) ?? 0) === result.filled.get(order)) continue;
    faults.push(`${order.id}: trades do not add up`);
  }
  const most = [...bids, ...asks].filter((order) => result.filled.get(order)! > 0).length - 1;
  if (result.trades.length > Math.max(0, most)) faults.push('more trades than orders');
  const paid = (per: (trade: (typeof result.trades)[number]) => number) =>
    sum(result.trades.map((trade) => trade.quantity * per(trade)));
  if (paid(({ feePerUnit }) => feePerUnit) !== result.fees) faults.push('fees do not add up');
  const rent = paid((one) => one.buyerPrice - one.sellerPrice - one.feePerUnit);
  if (rent !== result.congestionRent) faults.push('the congestion rent does not add up');
  const worth = paid(({ bid, ask, feePerUnit }) => bid.price - ask.price - feePerUnit);
  if (worth !== result.welfare) faults.push('the welfare does not add up');
  return faults;
}
