import type { Tariff } from '../parties/microgrid.js';
import { costMicro } from '../units/money.js';
import { ContinuousBook, type Placed } from './continuous-book.js';
import type { ClearedGate, GateTrade } from './gate-clearing.js';
import { askWithin, bidWithin } from './limits.js';
import type { OrderRequest, OrderStatus } from './order.js';

/**
 * The open orders of one slot under `continuous`, with the money that is held for them: an order that
 * comes trades with those that rest, and of every order it changes this says what became of it and
 * what its rest has to hold. An open bid always holds what its rest costs at its limit.
 */

/** An order with what is traded of it. */
export type BookedOrder = Pick<
  OrderRequest,
  'household' | 'side' | 'energyWh' | 'priceMicroPerKwh' | 'delivery'
> & { readonly id: string; readonly filledWh: number };

export type ComingOrder = Omit<BookedOrder, 'filledWh'> & Pick<OrderRequest, 'timeInForce'>;

export interface MatchedOrder {
  readonly orderId: string;
  readonly householdId: string;
  readonly status: OrderStatus;
  readonly filledWh: number;
  /** What is held for its rest from now on. */
  readonly heldMicro: number;
}

/** What an order met when it came. */
export interface OrderMatch {
  readonly by: string;
  /** Every order that is another one now: first the one that came. */
  readonly orders: readonly MatchedOrder[];
  readonly trades: readonly GateTrade[];
}

/** `match` is null where the order just rests. */
export type Arrival =
  | { outcome: 'exceeds_balance' }
  | {
      outcome: 'taken';
      match: OrderMatch | null;
      /** By how much the free money of wallets changed, the new order's hold included. */
      moved: ReadonlyMap<string, number>;
    };

/** @example new SlotBook(tariff, openOrders).place(order, (household) => freeMicroOf(household)) */
export class SlotBook {
  /** In the order of arrival. */
  readonly #orders: Map<string, BookedOrder>;
  #book: ContinuousBook;

  /** @param orders that rest, in the order of their sequence */
  constructor(
    private readonly tariff: Tariff,
    orders: Iterable<BookedOrder>,
  ) {
    this.#orders = new Map([...orders].map((order) => [order.id, order]));
    this.#book = this.#restored();
  }

  /**
   * Lets an order in. One whose wallet does not cover its worst cost, or the trades it makes, leaves
   * nothing behind.
   * @param freeMicro what a wallet can spend, holds taken off
   */
  place(order: ComingOrder, freeMicro: (household: string) => number): Arrival {
    const { id, household, side } = order;
    const came = { ...order, filledWh: 0 };
    const price = bookPrice(this.tariff, came);
    if (price === null) throw new Error(`order ${id} is priced beyond the tariffs`);
    const moved = new Map<string, number>();
    const move = (whose: string, micro: number) =>
      moved.set(whose, (moved.get(whose) ?? 0) + micro);
    const free = (whose: string) => freeMicro(whose) + (moved.get(whose) ?? 0);
    move(household, -heldFor(came));
    if (side === 'bid' && free(household) < 0) return { outcome: 'exceeds_balance' };

    const limit = { id, trader: household, price, quantity: order.energyWh };
    const placed = this.#book.place(side, limit, BOOK_TIMES[order.timeInForce ?? 'gtc']);
    const changed = this.#changedBy(came, placed);
    const trades = placed.trades.map((trade) => this.#tradeOf(trade, came));
    for (const { before } of changed) move(before.household, heldFor(before));
    for (const trade of trades) move(trade.buyer, -tradeMicro(trade));
    // Rounded one by one, trades may cost some micro-units more than the order would have in one piece.
    if (side === 'bid' && free(household) < 0) {
      this.#book = this.#restored();
      return { outcome: 'exceeds_balance' };
    }
    const orders = changed.map(({ before, status, filledWh }): MatchedOrder => {
      const after = { ...before, filledWh };
      const heldMicro = status === 'open' ? heldFor(after) : 0;
      const isCovered = heldMicro === 0 || heldMicro <= free(before.household);
      if (status === 'open' && isCovered) this.#orders.set(before.id, after);
      else this.#orders.delete(before.id);
      if (isCovered) {
        move(before.household, -heldMicro);
        return { ...matched(before), status, filledWh, heldMicro };
      }
      // The last micro-unit of rounding is not in the wallet: the rest leaves the book.
      this.#book.cancel(before.id);
      return { ...matched(before), status: endOf(filledWh, before), filledWh, heldMicro: 0 };
    });
    const justRests = trades.length === 0 && orders.length === 1 && orders[0]!.status === 'open';
    return { outcome: 'taken', match: justRests ? null : { by: id, orders, trades }, moved };
  }

  /** Takes an order out, if it rests. */
  cancel(id: string): void {
    this.#orders.delete(id);
    this.#book.cancel(id);
  }

  /** The orders that rest, in the order of arrival. */
  orders(): IterableIterator<BookedOrder> {
    return this.#orders.values();
  }

  /** A tariff that came later may have put an order out of reach: it stays, and meets nobody. */
  #restored(): ContinuousBook {
    const rows = [...this.#orders.values()].flatMap((order) => {
      const price = bookPrice(this.tariff, order);
      if (price === null) return [];
      const { id, household: trader, energyWh: quantity, filledWh, side } = order;
      const limit = { id, trader, price, quantity };
      return [{ side, state: { order: limit, remaining: quantity - filledWh } }];
    });
    const of = (side: 'bid' | 'ask') =>
      rows.flatMap((row) => (row.side === side ? [row.state] : []));
    return ContinuousBook.restore({ bids: of('bid'), asks: of('ask') });
  }

  #changedBy(came: BookedOrder & Pick<ComingOrder, 'timeInForce'>, placed: Placed) {
    const met = placed.trades.map(({ bid, ask, quantity }) => {
      const before = this.#orders.get(came.side === 'bid' ? ask.id : bid.id)!;
      const filledWh = before.filledWh + quantity;
      const status: OrderStatus = filledWh === before.energyWh ? 'filled' : 'open';
      return { before, status, filledWh };
    });
    const own = placed.cancelled.map(({ id }) => {
      const before = this.#orders.get(id)!;
      return { before, status: 'cancelled' as const, filledWh: before.filledWh };
    });
    const status: OrderStatus = placed.status === 'resting' ? 'open' : endOf(placed.filled, came);
    return [{ before: came, status, filledWh: placed.filled }, ...met, ...own];
  }

  #tradeOf({ bid, ask, quantity, price }: Placed['trades'][number], came: BookedOrder): GateTrade {
    const of = (id: string) => (id === came.id ? came : this.#orders.get(id)!);
    return {
      buyer: bid.trader,
      seller: ask.trader,
      bidId: bid.id,
      askId: ask.id,
      energyWh: quantity,
      buyerPriceMicroPerKwh: price + this.tariff.gridFeeMicroPerKwh,
      sellerPriceMicroPerKwh: price,
      congestionMicroPerKwh: 0,
      firm: of(bid.id).delivery === 'firm' && of(ask.id).delivery === 'firm',
    };
  }
}

const BOOK_TIMES = { gtc: 'GTC', ioc: 'IOC', fok: 'FOK' } as const;

/** Orders meet at what the seller receives: a bid's limit includes the grid fee. Null: it meets nobody. */
function bookPrice(
  tariff: Tariff,
  { side, priceMicroPerKwh }: Pick<BookedOrder, 'side' | 'priceMicroPerKwh'>,
): number | null {
  if (side === 'ask') return askWithin(tariff, priceMicroPerKwh);
  const limit = bidWithin(tariff, priceMicroPerKwh);
  return limit === null ? null : limit - tariff.gridFeeMicroPerKwh;
}

/** What an order in the book holds: the cost of its rest at its limit. */
function heldFor({ side, energyWh, filledWh, priceMicroPerKwh }: BookedOrder): number {
  return side === 'bid' ? costMicro(energyWh - filledWh, priceMicroPerKwh) : 0;
}

function tradeMicro({ energyWh, buyerPriceMicroPerKwh }: GateTrade): number {
  return costMicro(energyWh, buyerPriceMicroPerKwh);
}

function matched({ id, household }: BookedOrder) {
  return { orderId: id, householdId: household };
}

/** What was traded in a slot before its gate. */
export interface TradedAhead {
  readonly lastTrade: number;
  readonly tradedWh: number;
  /** The one price of all trades; null where there is none, or prices differ. */
  readonly clearingPrice: number | null;
}

/** What a gate makes of the orders that are still open: they end as they are. */
export function tradingEnded(
  { tradedWh, clearingPrice }: TradedAhead,
  open: readonly BookedOrder[],
): ClearedGate {
  const orders = open.map(({ id, household, energyWh, filledWh }) => ({
    orderId: id,
    householdId: household,
    status: endOf(filledWh, { energyWh }),
    filledWh,
  }));
  return { clearingPrice, tradedWh, trades: [], orders };
}

/** What an order has come to that rests no more. */
export function endOf(
  filledWh: number,
  { energyWh }: Pick<BookedOrder, 'energyWh'>,
): 'filled' | 'partly-filled' | 'unfilled' {
  if (filledWh === 0) return 'unfilled';
  return filledWh < energyWh ? 'partly-filled' : 'filled';
}
