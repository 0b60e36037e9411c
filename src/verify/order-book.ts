import { walletOf } from '../ledger/accounts.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import { clearingRules } from '../market/clearing.js';
import { clearOrders } from '../market/gate-clearing.js';
import { gateRecord, orderCancelled, orderPlaced } from '../market/market-records.js';
import {
  isGateClosed,
  judgeOrder,
  requestHash,
  type Delivery,
  type OrderRequest,
  type OrderStatus,
  type Side,
} from '../market/order.js';
import { endOf, tradingEnded } from '../market/slot-book.js';
import type { Trade } from '../market/trade.js';
import { costMicro } from '../units/money.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Books } from './books.js';
import type { ErasedHouseholds } from './erased.js';
import type { Findings, Row } from './finding.js';
import type { Members } from './members.js';
import {
  asTold,
  rowOf,
  servedIn,
  tradesIn,
  type BookedOrder,
  type ServedOrderFacts,
} from './order-facts.js';
import { SlotMatches, type DueMatch } from './slot-matches.js';

/**
 * The orders, kept again from their records and judged again, and every gate cleared again. It holds
 * the open orders alone: of one that is filled or taken back nothing remains but its row.
 */

/** An order under `continuous` that the next record may tell what it met. */
interface ComingOrder {
  order: BookedOrder;
  at: Instant;
  /** Absent before it was asked for. */
  due: DueMatch | null | undefined;
}

export class OrderBook {
  private readonly open = new Map<string, BookedOrder>();
  /** The open orders once more, by slot and household. */
  private readonly bySlot = new Map<Instant, Map<string, BookedOrder[]>>();
  /** Slots whose gate is closed, until they are closed themselves. */
  private readonly gated = new Set<Instant>();
  private readonly matches: SlotMatches;
  private coming: ComingOrder | null = null;
  private finished: Row[] = [];
  private placed = 0;

  constructor(
    private readonly members: Members,
    private readonly books: Books,
    private readonly erased: ErasedHouseholds,
    private readonly findings: Findings,
  ) {
    this.matches = new SlotMatches(members, books);
  }

  /** Whether this record may come now: what an order met follows it at once. Null: the journal's end. */
  allows(body: RecordBody | null): boolean {
    if (this.coming === null || (body !== null && this.isMatch(body))) return true;
    if (this.metBy(this.coming) !== null) return false;
    this.coming = null;
    return true;
  }

  /**
   * What an `order` or `gate` record must say, given everything before it; null for a record that
   * nothing before it allows.
   */
  expected(body: RecordBody): RecordDraft | null {
    const { microgrid } = this.members;
    if (!microgrid) return null;
    if (body.kind === 'gate') {
      const served = servedIn(body);
      const slot = String(body.facts['slot']);
      this.gated.add(slot);
      const isKnown = served.every(({ household }) => !this.erased.has(household));
      if (microgrid.mechanism === 'continuous') return this.endTrading(slot, isKnown ? null : body);
      return isKnown ? this.clearGate(slot) : this.takeGate(body, served);
    }
    if (body.facts['action'] === 'matched') return this.match(body);
    const id = String(body.facts['order']);
    if (body.facts['action'] === 'placed') return this.place(id, body);
    const order = this.open.get(id);
    if (body.facts['action'] !== 'cancelled' || !order) return null;
    this.judge(body, isGateClosed(order.slot, { now: body.at, ...microgrid }) ? 'gate_closed' : '');
    this.finish(order, 'cancelled');
    return orderCancelled(microgrid, order, body.at);
  }

  /** The trades made for a slot before it, until it is closed. */
  tradesOf(slot: Instant): Trade[] {
    return this.matches.tradesOf(slot);
  }

  forget(slot: Instant): void {
    this.matches.forget(slot);
    this.gated.delete(slot);
  }

  /** Rows of the orders that were finished since this was last asked. */
  takeFinished(): Row[] {
    return this.finished.splice(0);
  }

  openRows(): Row[] {
    return [...this.open.values()].map((order) => rowOf(order, 'open'));
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
      ...(facts['timeInForce'] === undefined
        ? {}
        : { timeInForce: facts['timeInForce'] as 'ioc' | 'fok' }),
    };
    const microgrid = this.members.microgrid!;
    const household = this.members.household(request.household);
    const verdict = household
      ? judgeOrder(request, {
          ...microgrid,
          ...household,
          now: at,
          gateCleared: this.gated.has(request.slot),
          tariff: this.members.tariffAt(request.slot),
          open: this.openOf(request.slot, request.household).map(
            ({ energyWh, filledWh, side }) => ({
              side,
              energyWh: energyWh - filledWh,
            }),
          ),
          traded: this.tradedBy(request.household, request.slot),
        })
      : 'unknown_household';
    this.judge(body, verdict === 'accepted' ? '' : verdict);
    const { draft, holdId } = orderPlaced(microgrid, request, id, at);
    this.placed += 1;
    const hash = requestHash(request);
    const order = { ...request, id, holdId, filledWh: 0, sequence, requestHash: hash };
    this.book(order);
    if (microgrid.mechanism === 'continuous') this.coming = { order, at, due: undefined };
    return draft;
  }

  private clearGate(slot: Instant): RecordDraft {
    const microgrid = this.members.microgrid!;
    const book = this.openOf(slot).sort((a, b) => (a.id < b.id ? -1 : 1));
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
    const { draft, trades } = gateRecord(microgrid, slot, this.gateOf(slot), book, cleared);
    for (const { order, status, filledWh } of servedIn(draft)) {
      this.finish({ ...this.open.get(order)!, filledWh }, status);
    }
    this.matches.add(slot, trades);
    return draft;
  }

  /**
   * A gate under `continuous`: what is open ends as it is.
   * @param told the record, where a household was erased that had an order then
   */
  private endTrading(slot: Instant, told: RecordBody | null): RecordDraft {
    const microgrid = this.members.microgrid!;
    const book = this.openOf(slot).sort((a, b) => (a.id < b.id ? -1 : 1));
    const ended = tradingEnded(this.matches.ahead(slot), book);
    const { draft } = gateRecord(microgrid, slot, this.gateOf(slot), book, ended);
    for (const { orderId, status } of ended.orders) this.finish(this.open.get(orderId)!, status);
    if (!told) return draft;
    const known = servedIn(told).filter(({ household }) => !this.erased.has(household));
    const { sequence } = told;
    this.findings.same('record_body', sequence, 'facts.orders', servedIn(draft), known);
    const orders = told.facts['orders']!;
    return { ...asTold(told), facts: { ...draft.facts, orders } };
  }

  /** What the order just placed met. */
  private match(body: RecordBody): RecordDraft | null {
    const { coming } = this;
    const by = String(body.facts['order']);
    this.coming = null;
    if (servedIn(body).some(({ household }) => this.erased.has(household))) {
      return this.takeMatch(body);
    }
    const due = coming?.order.id === by ? this.metBy(coming) : null;
    if (due === null) return null;
    for (const { orderId, status, filledWh, holdId } of due.orders) {
      this.change({ ...this.open.get(orderId)!, filledWh, holdId }, status);
    }
    this.matches.add(coming!.order.slot, due.trades);
    return due.draft;
  }

  private metBy(coming: ComingOrder): DueMatch | null {
    if (coming.due !== undefined) return coming.due;
    const { order, at } = coming;
    const open = () => this.openOf(order.slot).filter(({ id }) => id !== order.id);
    const holdOf = (id: string) => this.open.get(id)?.holdId ?? null;
    const met = this.matches.meet(order, open, holdOf, at);
    if (met === 'exceeds_balance') this.judge(order, met);
    coming.due = met === 'exceeds_balance' ? null : met;
    return coming.due;
  }

  /**
   * What met an order of an erased household, or was met by one: taken as told, as far as the orders
   * of the others allow.
   */
  private takeMatch(body: RecordBody): RecordDraft {
    const slot = String(body.facts['slot']);
    const trades = tradesIn(body);
    for (const one of servedIn(body)) {
      const order = this.open.get(one.order);
      if (!order) {
        if (!this.erased.has(one.household)) this.misfit(body, 'facts.orders', one.order);
        continue;
      }
      const filledWh = order.filledWh + this.servedBy(body, trades, order);
      const hasEnded = one.status !== 'open';
      if (one.filledWh !== filledWh || (filledWh === order.energyWh && !hasEnded)) {
        this.misfit(body, 'facts.orders', one.order);
      }
      const rest = body.transfers.find(
        ({ debit, code }) => code === 'order-hold' && debit === walletOf(order.household),
      );
      const holdId = hasEnded ? order.holdId : (rest?.id ?? null);
      this.change({ ...order, filledWh, holdId }, one.status);
    }
    this.matches.restore(slot);
    this.matches.add(slot, trades);
    return asTold(body);
  }

  /**
   * A gate at which an erased household had an order cannot be cleared again. It is taken as told,
   * as far as the orders of the others allow: each is served, by its trades, within its limit.
   */
  private takeGate(body: RecordBody, served: readonly ServedOrderFacts[]): RecordDraft {
    const { sequence, facts } = body;
    const slot = String(facts['slot']);
    const trades = tradesIn(body);
    const told = new Map(served.map((one) => [one.order, one]));
    for (const order of this.openOf(slot)) {
      const filledWh = this.servedBy(body, trades, order);
      const status = endOf(filledWh, order);
      const expected = `${order.household} ${status} ${filledWh}`;
      const one = told.get(order.id);
      const found = one && `${one.household} ${one.status} ${one.filledWh}`;
      this.findings.same('record_body', sequence, `facts.orders ${order.id}`, expected, found);
      this.finish({ ...order, filledWh }, status);
    }
    this.matches.add(slot, trades);
    return asTold(body);
  }

  /** What these trades serve an order, each within its limit. */
  private servedBy({ sequence }: RecordBody, trades: readonly Trade[], order: BookedOrder): number {
    const own = trades.filter(({ bidId, askId }) => bidId === order.id || askId === order.id);
    const beyond = own.some((trade) =>
      order.side === 'bid'
        ? trade.buyerPriceMicroPerKwh > order.priceMicroPerKwh
        : trade.sellerPriceMicroPerKwh < order.priceMicroPerKwh,
    );
    const servedWh = own.reduce((sum, { energyWh }) => sum + energyWh, 0);
    if (beyond || order.filledWh + servedWh > order.energyWh) {
      this.findings.add('record_body', sequence, 'facts.trades', 'within its limits', order.id);
    }
    return servedWh;
  }

  private gateOf(slot: Instant): Instant {
    const { gateClosureSeconds } = this.members.microgrid!;
    return formatInstant(parseInstant(slot) - gateClosureSeconds * 1_000);
  }

  private openOf(slot: Instant, household?: string): BookedOrder[] {
    const households = this.bySlot.get(slot);
    if (household !== undefined) return [...(households?.get(household) ?? [])];
    return [...(households?.values() ?? [])].flat();
  }

  private tradedBy(household: string, slot: Instant): Record<Side, number> {
    const traded = { bid: 0, ask: 0 };
    for (const { buyer, seller, energyWh } of this.matches.tradesOf(slot)) {
      if (buyer === household) traded.bid += energyWh;
      if (seller === household) traded.ask += energyWh;
    }
    return traded;
  }

  private isMatch({ kind, facts }: RecordBody): boolean {
    return kind === 'order' && facts['action'] === 'matched';
  }

  /** Another state of an order, open or not. */
  private change(order: BookedOrder, status: OrderStatus): void {
    if (status !== 'open') return this.finish(order, status);
    const others = this.openOf(order.slot, order.household).filter(({ id }) => id !== order.id);
    this.open.set(order.id, order);
    this.bySlot.get(order.slot)?.set(order.household, [...others, order]);
  }

  private book(order: BookedOrder): void {
    this.open.set(order.id, order);
    const households = this.bySlot.get(order.slot) ?? new Map<string, BookedOrder[]>();
    this.bySlot.set(order.slot, households);
    households.set(order.household, [...(households.get(order.household) ?? []), order]);
  }

  private finish(order: BookedOrder, status: OrderStatus): void {
    this.open.delete(order.id);
    this.matches.cancel(order);
    const households = this.bySlot.get(order.slot);
    const left = this.openOf(order.slot, order.household).filter(({ id }) => id !== order.id);
    if (left.length > 0) households?.set(order.household, left);
    else households?.delete(order.household);
    if (households?.size === 0) this.bySlot.delete(order.slot);
    this.finished.push(rowOf(order, status));
  }

  private misfit({ sequence }: RecordBody, field: string, found: string): void {
    this.findings.add('record_body', sequence, field, 'what earlier records allow', found);
  }

  private judge({ sequence }: Pick<RecordBody, 'sequence'>, refusal: string): void {
    if (refusal === '') return;
    this.findings.add('record_body', sequence, 'facts', 'an order as it may be given', refusal);
  }
}
