import type { RecordDraft } from '../ledger/record.js';
import type { Microgrid } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import { matchRecord, orderPlaced, type ReheldOrder } from './market-records.js';
import type { OrderRequest } from './order.js';
import type { SlotBook } from './slot-book.js';
import type { Trade } from './trade.js';

/**
 * Orders for one slot, taken one after another: the records that place them and, under `continuous`,
 * behind each the record of what it met, and what became of every order and trade in the end.
 */

export type ComingOrders = readonly { readonly id: string; readonly request: OrderRequest }[];

export interface TakenOrder {
  readonly id: string;
  readonly request: OrderRequest;
  readonly holdId: string | null;
  /** Which of the drafts places it. */
  readonly draft: number;
}

export interface TakenOrders {
  readonly drafts: RecordDraft[];
  /** Without those whose wallet does not cover them. */
  readonly taken: TakenOrder[];
  /** Orders that met others, as the last of these left them. */
  readonly changed: ReheldOrder[];
  readonly trades: { readonly trade: Trade; readonly draft: number }[];
}

/** Orders that meet nobody before their gate: each is placed, whatever the others are. */
export function placeOrders(
  { microgrid, at }: { microgrid: Microgrid; at: Instant },
  coming: ComingOrders,
): TakenOrders {
  const placed = coming.map(({ request, id }) => orderPlaced(microgrid, request, id, at));
  return {
    drafts: placed.map(({ draft }) => draft),
    taken: coming.map((order, draft) => ({ ...order, holdId: placed[draft]!.holdId, draft })),
    changed: [],
    trades: [],
  };
}

/**
 * @param book.orders is left with what rests afterwards
 * @param book.holdOf the hold of an order that rests
 * @param book.freeMicro what a wallet can spend before the first of them
 */
export function takeOrders(
  { microgrid, slot, at }: { microgrid: Microgrid; slot: Instant; at: Instant },
  book: {
    orders: SlotBook;
    holdOf: ReadonlyMap<string, string | null>;
    freeMicro: (household: string) => number;
    lastTrade: number;
  },
  coming: ComingOrders,
): TakenOrders {
  const holds = new Map(book.holdOf);
  const moved = new Map<string, number>();
  const freeMicro = (household: string) => book.freeMicro(household) + (moved.get(household) ?? 0);
  const drafts: RecordDraft[] = [];
  const taken: TakenOrder[] = [];
  const changed = new Map<string, ReheldOrder>();
  const trades: TakenOrders['trades'] = [];
  for (const { id, request } of coming) {
    const arrival = book.orders.place({ ...request, id }, freeMicro);
    if (arrival.outcome === 'exceeds_balance') continue;
    for (const [household, micro] of arrival.moved) {
      moved.set(household, (moved.get(household) ?? 0) + micro);
    }
    const { draft, holdId } = orderPlaced(microgrid, request, id, at);
    holds.set(id, holdId);
    taken.push({ id, request, holdId, draft: drafts.push(draft) - 1 });
    const { match } = arrival;
    if (match === null) continue;
    const firstNumber = book.lastTrade + trades.length + 1;
    const holdOf = (order: string) => holds.get(order) ?? null;
    const record = matchRecord(microgrid, slot, at, match, holdOf, firstNumber);
    const line = drafts.push(record.draft) - 1;
    for (const order of record.orders) {
      holds.set(order.orderId, order.holdId);
      changed.set(order.orderId, order);
    }
    trades.push(...record.trades.map((trade) => ({ trade, draft: line })));
  }
  return { drafts, taken, changed: [...changed.values()], trades };
}
