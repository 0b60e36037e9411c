import { walletOf } from '../ledger/accounts.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import { clearingRules } from '../market/clearing.js';
import { clearOrders } from '../market/gate-clearing.js';
import {
  gateRecord,
  orderCancelled,
  orderPlaced,
  type HeldOrder,
} from '../market/market-records.js';
import {
  isGateClosed,
  judgeOrder,
  requestHash,
  type Delivery,
  type OrderRequest,
  type OrderStatus,
  type Side,
} from '../market/order.js';
import type { Trade } from '../market/trade.js';
import type { JsonObject } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Books } from './books.js';
import type { ErasedHouseholds } from './erased.js';
import type { Findings, Row } from './finding.js';
import type { Members } from './members.js';

/**
 * The orders, kept again from their records and judged again, and every gate cleared again. It holds
 * the open orders alone: of one that is filled or taken back nothing remains but its row.
 */

type ServedOrderFacts = {
  order: string;
  household: string;
  status: OrderStatus;
  filledWh: number;
};

type BookedOrder = HeldOrder & { sequence: number; requestHash: Uint8Array };

export class OrderBook {
  private readonly open = new Map<string, BookedOrder>();
  /** The open orders once more, by slot and household. */
  private readonly bySlot = new Map<Instant, Map<string, BookedOrder[]>>();
  private readonly trades = new Map<Instant, Trade[]>();
  private finished: Row[] = [];
  private placed = 0;

  constructor(
    private readonly members: Members,
    private readonly books: Books,
    private readonly erased: ErasedHouseholds,
    private readonly findings: Findings,
  ) {}

  /**
   * What an `order` or `gate` record must say, given everything before it; null for a record that
   * nothing before it allows.
   */
  expected(body: RecordBody): RecordDraft | null {
    const { microgrid } = this.members;
    if (!microgrid) return null;
    if (body.kind === 'gate') {
      const served = servedIn(body);
      return served.some(({ household }) => this.erased.has(household))
        ? this.takeGate(body, served)
        : this.clearGate(String(body.facts['slot']));
    }
    const id = String(body.facts['order']);
    if (body.facts['action'] === 'placed') return this.place(id, body);
    const order = this.open.get(id);
    if (body.facts['action'] !== 'cancelled' || !order) return null;
    this.judge(body, isGateClosed(order.slot, { now: body.at, ...microgrid }) ? 'gate_closed' : '');
    this.finish(order, 'cancelled', 0);
    return orderCancelled(microgrid, order, body.at);
  }

  /** The trades that a slot's gate made, until the slot is closed. */
  tradesOf(slot: Instant): Trade[] {
    return this.trades.get(slot) ?? [];
  }

  forget(slot: Instant): void {
    this.trades.delete(slot);
  }

  /** Rows of the orders that were finished since this was last asked. */
  takeFinished(): Row[] {
    return this.finished.splice(0);
  }

  openRows(): Row[] {
    return [...this.open.values()].map((order) => rowOf(order, 'open', 0));
  }

  /** Orders ever placed. */
  get count(): number {
    return this.placed;
  }

  private place(id: string, body: RecordBody): RecordDraft {
    const { facts, at, sequence } = body;
    const request: OrderRequest = {
      microgrid: body.microgrid,
      household: String(facts['household']),
      slot: String(facts['slot']),
      side: facts['side'] as Side,
      energyWh: Number(facts['energyWh']),
      priceMicroPerKwh: Number(facts['priceMicroPerKwh']),
      delivery: facts['delivery'] as Delivery,
    };
    const microgrid = this.members.microgrid!;
    const household = this.members.household(request.household);
    const verdict = household
      ? judgeOrder(request, {
          ...microgrid,
          ...household,
          now: at,
          gateCleared: this.trades.has(request.slot),
          tariff: this.members.tariffAt(request.slot),
          open: this.bySlot.get(request.slot)?.get(request.household) ?? [],
        })
      : 'unknown_household';
    this.judge(body, verdict === 'accepted' ? '' : verdict);
    const { draft, holdId } = orderPlaced(microgrid, request, id, at);
    this.placed += 1;
    this.book({ ...request, id, holdId, sequence, requestHash: requestHash(request) });
    return draft;
  }

  private clearGate(slot: Instant): RecordDraft {
    const microgrid = this.members.microgrid!;
    const book = [...(this.bySlot.get(slot)?.values() ?? [])]
      .flat()
      .sort((a, b) => (a.id < b.id ? -1 : 1));
    const held = new Map<string, number>();
    for (const { household, side, energyWh, priceMicroPerKwh } of book) {
      if (side === 'ask') continue;
      held.set(household, (held.get(household) ?? 0) + costMicro(energyWh, priceMicroPerKwh));
    }
    const cleared = clearOrders({
      orders: book.map((order) => ({
        ...order,
        orderId: order.id,
        householdId: order.household,
        feeder: this.members.household(order.household)?.feeder ?? null,
      })),
      tariff: this.members.tariffAt(slot),
      rules: clearingRules(microgrid, this.members.networkAt(slot)),
      coverMicro: (household) =>
        (held.get(household) ?? 0) + this.books.available(walletOf(household), 0),
    });
    const at = formatInstant(parseInstant(slot) - microgrid.gateClosureSeconds * 1_000);
    const { draft, trades } = gateRecord(microgrid, slot, at, book, cleared);
    for (const { order, status, filledWh } of servedIn(draft)) {
      this.finish(this.open.get(order)!, status, filledWh);
    }
    this.trades.set(slot, trades);
    return draft;
  }

  /**
   * A gate at which an erased household had an order cannot be cleared again. It is taken as told,
   * as far as the orders of the others allow: each is served, by its trades, within its limit.
   */
  private takeGate(body: RecordBody, served: readonly ServedOrderFacts[]): RecordDraft {
    const { sequence, facts, kind, at, cause, households, transfers } = body;
    const slot = String(facts['slot']);
    const trades = tradesOfGate(body);
    const told = new Map(served.map((one) => [one.order, one]));
    const book = [...(this.bySlot.get(slot)?.values() ?? [])].flat();
    for (const order of book) {
      const own = trades.filter(({ bidId, askId }) => bidId === order.id || askId === order.id);
      const filledWh = own.reduce((sum, { energyWh }) => sum + energyWh, 0);
      const status = statusOf(filledWh, order.energyWh);
      const expected = `${order.household} ${status} ${filledWh}`;
      const one = told.get(order.id);
      const found = one && `${one.household} ${one.status} ${one.filledWh}`;
      this.findings.same('record_body', sequence, `facts.orders ${order.id}`, expected, found);
      const beyond = own.some((trade) =>
        order.side === 'bid'
          ? trade.buyerPriceMicroPerKwh > order.priceMicroPerKwh
          : trade.sellerPriceMicroPerKwh < order.priceMicroPerKwh,
      );
      if (beyond || filledWh > order.energyWh) {
        this.findings.add('record_body', sequence, 'facts.trades', 'within its limits', order.id);
      }
      this.finish(order, status, filledWh);
    }
    this.trades.set(slot, trades);
    const posted = transfers.map(({ pending, ...line }) =>
      pending === undefined ? line : { ...line, pendingId: pending },
    );
    return { kind, at, cause, keyHolder: '', households, facts, transfers: posted };
  }

  private book(order: BookedOrder): void {
    this.open.set(order.id, order);
    const households = this.bySlot.get(order.slot) ?? new Map<string, BookedOrder[]>();
    this.bySlot.set(order.slot, households);
    households.set(order.household, [...(households.get(order.household) ?? []), order]);
  }

  private finish(order: BookedOrder, status: OrderStatus, filledWh: number): void {
    this.open.delete(order.id);
    const households = this.bySlot.get(order.slot);
    const left = households?.get(order.household)?.filter(({ id }) => id !== order.id) ?? [];
    if (left.length > 0) households?.set(order.household, left);
    else households?.delete(order.household);
    if (households?.size === 0) this.bySlot.delete(order.slot);
    this.finished.push(rowOf(order, status, filledWh));
  }

  private judge({ sequence }: RecordBody, refusal: string): void {
    if (refusal === '') return;
    this.findings.add('record_body', sequence, 'facts', 'an order as it may be given', refusal);
  }
}

function servedIn({ facts }: { facts: JsonObject }): ServedOrderFacts[] {
  return facts['orders'] as ServedOrderFacts[];
}

function statusOf(filledWh: number, energyWh: number): OrderStatus {
  if (filledWh === 0) return 'unfilled';
  return filledWh < energyWh ? 'partly-filled' : 'filled';
}

type TradeFacts = Omit<Trade, 'congestionMicroPerKwh'> & {
  trade: string;
  bid: string;
  ask: string;
  hold: string | null;
  congestionMicroPerKwh?: number;
};

/** The trades as the record of a gate tells them. */
export function tradesOfGate({ facts }: RecordBody): Trade[] {
  const { trades } = facts as JsonObject & { trades: TradeFacts[] };
  return trades.map(({ trade, bid, ask, hold, congestionMicroPerKwh = 0, ...rest }) => ({
    ...rest,
    congestionMicroPerKwh,
    tradeId: trade,
    bidId: bid,
    askId: ask,
    holdId: hold,
  }));
}

/** Who placed it and under which key is hashed into the order's id, and held against it there. */
function rowOf(order: BookedOrder, status: OrderStatus, filledWh: number): Row {
  return {
    order_id: order.id,
    household_id: order.household,
    slot_start: order.slot,
    side: order.side,
    energy_wh: order.energyWh,
    price_micro_per_kwh: order.priceMicroPerKwh,
    delivery: order.delivery,
    status,
    filled_wh: filledWh,
    hold_id: order.holdId,
    sequence: order.sequence,
    request_hash: order.requestHash,
    placed_by: undefined,
    idempotency_key: undefined,
  };
}
