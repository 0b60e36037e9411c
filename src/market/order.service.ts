import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { LedgerService, LimitExceeded } from '../ledger/ledger.service.js';
import type { Caller } from '../parties/access.decorator.js';
import { may } from '../parties/access.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import type { Instant } from '../units/slot.js';
import { orderCancelled, walletTerms, type HeldOrder } from './market-records.js';
import * as store from './market.store.js';
import { decideOrders, writeMatches } from './order-taking.store.js';
import {
  isGateClosed,
  judgeOrder,
  orderId,
  requestHash,
  type Order,
  type OrderContext,
  type OrderRequest,
  type OrderStatus,
  type Refusal,
  type Side,
} from './order.js';
import { householdReach, ownReach, type Reach } from './reach.js';

/** `repeated`: the same person sent the same order under the same key before. */
export type Placed =
  { outcome: 'accepted'; order: Order; repeated: boolean } | { outcome: Refusal };

/** In order of precedence; to cancel a cancelled order again is a success. */
export type Cancelled =
  | { outcome: 'cancelled'; order: Order }
  | { outcome: 'unknown_order' | 'gate_closed' | 'order_ended' };

export interface OrderFilter {
  /** Null: all households of the caller. */
  readonly household: string | null;
  readonly slot: Instant | null;
  readonly status: OrderStatus | null;
  readonly limit: number;
  readonly after: { readonly sequence: number; readonly id: string } | null;
}

export interface PriceLevel {
  readonly priceMicroPerKwh: number;
  readonly energyWh: number;
}

type OrderRow = Order & Pick<HeldOrder, 'holdId'> & { requestHash: Buffer };

/**
 * The door to orders ahead: placed with their worst cost held, under `continuous` met by others at
 * once, cancelled until their gate closes, listed to whom they concern, and shown to all without names. Whatever changes the book locks the
 * microgrid's journal first and stands in it as a record of the same transaction.
 */
@Injectable()
export class OrderService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  /**
   * Places an order for a household the caller may act for. Its id is hashed from person and key, so
   * that a request repeated after a lost answer finds its order, even when the gate has closed since.
   */
  async placeOrder(caller: Caller, request: OrderRequest, idempotencyKey: string): Promise<Placed> {
    try {
      return await this.database.transaction((sql) =>
        this.place(sql, caller.personId, request, idempotencyKey),
      );
    } catch (error) {
      // Whether the wallet covers it is the ledger's word; it comes with the transaction undone.
      if (error instanceof LimitExceeded) return { outcome: 'exceeds_balance' };
      throw error;
    }
  }

  /** Takes an open order back and frees its money, until the gate of its slot closes. */
  async cancelOrder(caller: Caller, id: string): Promise<Cancelled> {
    return this.database.transaction(async (sql) => {
      const now = await this.clock.now(sql);
      const reach = ownReach(caller.grants, now).filter(({ microgridId, householdId }) =>
        may(caller.grants, 'order.write', { microgrid: microgridId, household: householdId }, now),
      );
      const [found] = await sql.query<OrderRow>(store.REACHABLE_ORDER, [...columnsOf(reach), id]);
      if (!found) return { outcome: 'unknown_order' };
      const microgrid = await this.microgridOf(sql, found.microgrid);
      await this.ledger.lock(sql, microgrid.microgridId);
      // Read again: another request may have changed it before the lock was ours.
      const order = await orderById(sql, microgrid.microgridId, id);
      if (order?.status === 'cancelled') return { outcome: 'cancelled', order: shown(order) };
      const { gateClosureSeconds } = microgrid;
      if (!order) return { outcome: 'unknown_order' };
      if (isGateClosed(order.slot, { now, gateClosureSeconds })) return { outcome: 'gate_closed' };
      if (order.status !== 'open') return { outcome: 'order_ended' };
      // Only what stays until the gate is ever open, and that is never spelt out.
      const { timeInForce: _gtc, ...held } = order;
      const draft = orderCancelled(microgrid, held, now);
      await this.ledger.append(sql, microgrid.microgridId, [draft]);
      await sql.query(store.CANCEL_ORDER, [microgrid.microgridId, id]);
      return { outcome: 'cancelled', order: { ...shown(order), status: 'cancelled' } };
    });
  }

  /**
   * The orders that the caller may see, newest first; one more than the limit if there are more.
   * @returns null where the caller may not see those of the household named
   */
  async orders(caller: Caller, filter: OrderFilter): Promise<Order[] | null> {
    const now = await this.clock.now();
    const reach =
      filter.household === null
        ? ownReach(caller.grants, now)
        : await this.reachOf(caller, filter.household, now);
    if (filter.household !== null && reach.length === 0) return null;
    const rows = await this.database.query<OrderRow>(store.REACHABLE_ORDERS, [
      ...columnsOf(reach),
      filter.slot,
      filter.status,
      filter.after?.sequence ?? null,
      filter.after?.id ?? null,
      filter.limit + 1,
    ]);
    return rows.map(shown);
  }

  /** The open orders of a slot by price, best first, without names. */
  async orderBook(
    microgridId: string,
    slot: Instant,
  ): Promise<{ bids: PriceLevel[]; asks: PriceLevel[] }> {
    const rows = await this.database.query<PriceLevel & { side: Side }>(store.ORDER_BOOK, [
      microgridId,
      slot,
    ]);
    const levelsOf = (wanted: Side): PriceLevel[] =>
      rows.flatMap(({ side, ...level }) => (side === wanted ? [level] : []));
    return { bids: levelsOf('bid'), asks: levelsOf('ask') };
  }

  private async place(
    sql: Sql,
    personId: string,
    request: OrderRequest,
    idempotencyKey: string,
  ): Promise<Placed> {
    const microgrid = await this.microgridOf(sql, request.microgrid);
    const { microgridId } = microgrid;
    await this.ledger.lock(sql, microgridId);
    const id = orderId(microgridId, personId, idempotencyKey);
    const hash = requestHash(request);
    const earlier = await orderById(sql, microgridId, id);
    if (earlier) {
      return hash.equals(earlier.requestHash)
        ? { outcome: 'accepted', order: shown(earlier), repeated: true }
        : { outcome: 'idempotency_conflict' };
    }
    const household = await this.parties.householdOf(sql, request.household);
    if (household?.microgridId !== microgridId) {
      throw new Error(`household ${request.household} is not of microgrid ${microgridId}`);
    }
    const now = await this.clock.now(sql);
    const tariff = await this.parties.tariffAt(sql, microgridId, request.slot);
    const ofHousehold = [microgridId, request.slot, request.household];
    const verdict = judgeOrder(request, {
      ...microgrid,
      ...household,
      now,
      gateCleared: await isGateCleared(sql, microgridId, request.slot),
      tariff,
      open: await sql.query<OrderContext['open'][number]>(store.OPEN_OF_HOUSEHOLD, ofHousehold),
      traded: await tradedBy(sql, microgrid, ofHousehold),
    });
    if (verdict !== 'accepted') return { outcome: verdict };
    const terms = [walletTerms(microgrid, household)];
    const place = { microgrid, slot: request.slot, at: now, tariff };
    const decided = await decideOrders(sql, this.ledger, place, [{ id, request }], terms);
    const [taken] = decided.taken;
    if (!taken) return { outcome: 'exceeds_balance' };
    const sequences = await this.ledger.append(sql, microgridId, decided.drafts, terms);
    const sequence = sequences[taken.draft]!;
    const { timeInForce = 'gtc' } = request;
    await sql.query(store.INSERT_ORDER, [
      microgridId,
      id,
      request.household,
      request.slot,
      request.side,
      request.energyWh,
      request.priceMicroPerKwh,
      request.delivery,
      idempotencyKey,
      hash,
      taken.holdId,
      sequence,
      personId,
      timeInForce,
    ]);
    await writeMatches(sql, microgridId, request.slot, decided, sequences);
    const met = decided.changed.find(({ orderId: one }) => one === id);
    const { status, filledWh } = met ?? { status: 'open' as const, filledWh: 0 };
    const order: Order = { ...request, timeInForce, id, status, filledWh, sequence };
    return { outcome: 'accepted', order, repeated: false };
  }

  private async reachOf(caller: Caller, householdId: string, now: Instant): Promise<Reach[]> {
    const household = await this.parties.householdOf(this.database, householdId);
    return household ? householdReach(caller.grants, household, now) : [];
  }

  private async microgridOf(sql: Sql, microgridId: string): Promise<Microgrid> {
    const microgrid = await this.parties.microgrid(sql, microgridId);
    if (!microgrid) throw new Error(`no microgrid ${microgridId}`);
    return microgrid;
  }
}

async function orderById(sql: Sql, microgridId: string, id: string): Promise<OrderRow | undefined> {
  const [row] = await sql.query<OrderRow>(store.ORDER_BY_ID, [microgridId, id]);
  return row;
}

/** Before its gate, only under `continuous` a slot has trades. */
async function tradedBy(
  sql: Sql,
  { mechanism }: Microgrid,
  ofHousehold: readonly unknown[],
): Promise<OrderContext['traded']> {
  if (mechanism !== 'continuous') return { bid: 0, ask: 0 };
  const [row] = await sql.query<Record<Side, number>>(store.TRADED_BY_HOUSEHOLD, ofHousehold);
  return row!;
}

async function isGateCleared(sql: Sql, microgridId: string, slot: Instant): Promise<boolean> {
  const [row] = await sql.query<{ gateSequence: number | null }>(store.TRADED_SLOT, [
    microgridId,
    slot,
  ]);
  return row !== undefined && row.gateSequence !== null;
}

function columnsOf(reach: readonly Reach[]): unknown[] {
  return [
    reach.map(({ microgridId }) => microgridId),
    reach.map(({ householdId }) => householdId),
    reach.map(({ from }) => from),
    reach.map(({ until }) => until),
  ];
}

/** The order without what only the books need. */
function shown(row: OrderRow): Order {
  return {
    id: row.id,
    microgrid: row.microgrid,
    household: row.household,
    slot: row.slot,
    side: row.side,
    energyWh: row.energyWh,
    priceMicroPerKwh: row.priceMicroPerKwh,
    delivery: row.delivery,
    timeInForce: row.timeInForce,
    status: row.status,
    filledWh: row.filledWh,
    sequence: row.sequence,
  };
}
