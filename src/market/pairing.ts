import type { Named, Priced } from './canonical-order.js';

/**
 * Who delivers to whom, once it is settled how much every order is served: pairs in linear time, and
 * never a trader with itself.
 */

export interface LimitOrder extends Named, Priced {
  /** Unique on its side of the book; ids are compared in UTF-16 code units. */
  readonly id: string;
  /** Nobody trades with itself: a household has one name in all its orders. */
  readonly trader: string;
  /** The most a bid pays or the least an ask takes, in micro-units per kWh. */
  readonly price: number;
  /** Energy in Wh, not negative. */
  readonly quantity: number;
  /** When it came, for rationing by time: lower is earlier. Absent: all came together. */
  readonly sequence?: number | undefined;
}

/** What one bid takes from one ask, and what both of them agree to per unit. */
export interface AuctionTrade {
  readonly bid: LimitOrder;
  readonly ask: LimitOrder;
  readonly quantity: number;
  readonly price: number;
}

/** One side's orders that are served, and how much of each, in the order in which they are paired. */
export interface Served {
  readonly orders: readonly LimitOrder[];
  readonly quantities: readonly number[];
}

/**
 * Pairs both sides, which sum to the same, in the order given: two pointers, each step exhausts a bid,
 * an ask, or both, so that there are fewer trades than orders.
 * @param price of all trades, or null where each trades at its bid
 * @returns null when a trader would meet itself
 */
export function pairInOrder(
  bought: Served,
  sold: Served,
  price: number | null,
): AuctionTrade[] | null {
  const trades: AuctionTrade[] = [];
  let [i, j] = [-1, -1];
  let [bidLeft, askLeft] = [0, 0];
  for (;;) {
    while (bidLeft === 0 && ++i < bought.orders.length) bidLeft = bought.quantities[i]!;
    while (askLeft === 0 && ++j < sold.orders.length) askLeft = sold.quantities[j]!;
    if (bidLeft === 0 || askLeft === 0) break;
    const quantity = bidLeft < askLeft ? bidLeft : askLeft;
    const [bid, ask] = [bought.orders[i]!, sold.orders[j]!];
    if (bid.trader === ask.trader) return null;
    trades.push({ bid, ask, quantity, price: price ?? bid.price });
    bidLeft -= quantity;
    askLeft -= quantity;
  }
  if (bidLeft !== askLeft) throw new Error('bought and sold energy differ');
  return trades;
}

/**
 * Pairs both sides so that nobody meets itself; no trader may buy and sell more, in all, than the
 * volume. At most as many trades as orders.
 *
 * All bids are laid on a circle, trader after trader, and all asks on the same circle in the same
 * order of traders, turned until nobody lies upon itself. With B and A the sums of what the traders
 * before t buy and sell, turning by max over t of (B[t+1] − A[t]) always suffices: for traders u and t
 * the needed B[u+1] + A[t+1] ≤ V + B[t] + A[u] holds by order where u ≠ t, and where u = t because no
 * trader buys and sells more than V in all.
 */
export function pairApart(bought: Served, sold: Served, price: number | null): AuctionTrade[] {
  const places = new Map<string, number>();
  for (const { trader } of [...bought.orders, ...sold.orders]) {
    if (!places.has(trader)) places.set(trader, places.size);
  }
  const [bids, asks] = [byTrader(bought, places), byTrader(sold, places)];
  let [turn, buys, sells] = [0, 0, 0];
  bids.perTrader.forEach((quantity, place) => {
    buys += quantity;
    turn = Math.max(turn, buys - sells);
    sells += asks.perTrader[place]!;
  });
  const trades = pairInOrder(bids, turned(asks, sells - turn), price);
  if (trades === null) throw new Error('a trader has more on both sides than others can take');
  return trades;
}

function byTrader(
  { orders, quantities }: Served,
  places: ReadonlyMap<string, number>,
): Served & { readonly perTrader: readonly number[] } {
  const rows: number[][] = Array.from(places, () => []);
  orders.forEach(({ trader }, row) => rows[places.get(trader)!]!.push(row));
  const inOrder = rows.flat();
  return {
    orders: inOrder.map((row) => orders[row]!),
    quantities: inOrder.map((row) => quantities[row]!),
    perTrader: rows.map((own) => own.reduce((sum, row) => sum + quantities[row]!, 0)),
  };
}

/** The same circle begun `start` units later: the order it begins in is cut in two. */
function turned({ orders, quantities }: Served, start: number): Served {
  let [row, before] = [0, 0];
  while (row < orders.length && before + quantities[row]! <= start) before += quantities[row++]!;
  const head = start - before;
  const rows = [...orders.keys()];
  const round = [...rows.slice(row), ...rows.slice(0, row)];
  const result = round.map((at) => quantities[at]!);
  if (head === 0) return { orders: round.map((at) => orders[at]!), quantities: result };
  result[0]! -= head;
  return { orders: [...round, row].map((at) => orders[at]!), quantities: [...result, head] };
}
