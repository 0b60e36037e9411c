import { clearOrders } from '../market/gate-clearing.js';
import {
  gateRecord,
  orderCancelled,
  orderPlaced,
  type HeldOrder,
} from '../market/market-records.js';
import type { Delivery, OrderStatus, Side } from '../market/order.js';
import type { Trade } from '../market/trade.js';
import { walletOf } from '../ledger/accounts.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import type { JsonObject } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import type { Instant } from '../units/slot.js';
import type { Books } from './books.js';
import type { Row } from './finding.js';
import type { Members } from './members.js';

/** The orders, kept again from their records, and every gate cleared again. */

type ServedOrderFacts = { order: string; status: OrderStatus; filledWh: number };

type BookedOrder = HeldOrder & { status: OrderStatus; filledWh: number; sequence: number };

export class OrderBook {
  private readonly orders = new Map<string, BookedOrder>();
  private readonly gates = new Map<Instant, { sequence: number; trades: Trade[] }>();

  /**
   * What an `order` or `gate` record must say, given everything before it; null for a record that
   * this book cannot derive.
   */
  expected(body: RecordBody, members: Members, books: Books): RecordDraft | null {
    const { microgrid } = members;
    if (!microgrid) return null;
    if (body.kind === 'gate') {
      const slot = String(body.facts['slot']);
      const { draft, trades } = this.clear(slot, body.at, members, books);
      this.gates.set(slot, { sequence: body.sequence, trades });
      this.serve(draft);
      return draft;
    }
    const id = String(body.facts['order']);
    if (body.facts['action'] === 'placed') {
      const request = {
        microgrid: body.microgrid,
        household: String(body.facts['household']),
        slot: String(body.facts['slot']),
        side: body.facts['side'] as Side,
        energyWh: Number(body.facts['energyWh']),
        priceMicroPerKwh: Number(body.facts['priceMicroPerKwh']),
        delivery: body.facts['delivery'] as Delivery,
      };
      const { draft, holdId } = orderPlaced(microgrid, request, id, body.at);
      const { sequence } = body;
      this.orders.set(id, { ...request, id, holdId, status: 'open', filledWh: 0, sequence });
      return draft;
    }
    const order = this.orders.get(id);
    if (body.facts['action'] !== 'cancelled' || order?.status !== 'open') return null;
    order.status = 'cancelled';
    return orderCancelled(microgrid, order, body.at);
  }

  /** The trades that a slot's gate made. */
  tradesOf(slot: Instant): Trade[] {
    return this.gates.get(slot)?.trades ?? [];
  }

  gateOf(slot: Instant): number | null {
    return this.gates.get(slot)?.sequence ?? null;
  }

  gateSlots(): Instant[] {
    return [...this.gates.keys()];
  }

  rows(): Row[] {
    return [...this.orders.values()].map((order) => ({
      order_id: order.id,
      household_id: order.household,
      slot_start: order.slot,
      side: order.side,
      energy_wh: order.energyWh,
      price_micro_per_kwh: order.priceMicroPerKwh,
      delivery: order.delivery,
      status: order.status,
      filled_wh: order.filledWh,
      hold_id: order.holdId,
      sequence: order.sequence,
    }));
  }

  private clear(slot: Instant, at: Instant, members: Members, books: Books) {
    const microgrid = members.microgrid!;
    const book = [...this.orders.values()]
      .filter((order) => order.slot === slot && order.status === 'open')
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
      })),
      tariff: members.tariffAt(slot),
      kThousandths: microgrid.priceKThousandths,
      pricing: microgrid.pricing,
      coverMicro: (household) =>
        (held.get(household) ?? 0) + books.available(walletOf(household), 0),
    });
    return gateRecord(microgrid, slot, at, book, cleared);
  }

  private serve({ facts }: RecordDraft): void {
    const { orders } = facts as JsonObject & { orders: ServedOrderFacts[] };
    for (const { order: id, status, filledWh } of orders) {
      const order = this.orders.get(id);
      if (order) Object.assign(order, { status, filledWh });
    }
  }
}
