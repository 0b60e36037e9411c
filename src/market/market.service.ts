import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { availableBalance, walletOf } from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { takesOrders, type Household, type Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { canonicalJson } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import { formatInstant, parseInstant, slotStartOf, type Instant } from '../units/slot.js';
import { clearingRules } from './clearing.js';
import { clearOrders, type ClearedGate } from './gate-clearing.js';
import type { StandingLimits, StandingWish } from './limits.js';
import { gateRecord, limitsRecord, type GatedOrder, type HeldOrder } from './market-records.js';
import * as store from './market.store.js';
import type { Order } from './order.js';
import { tradingEnded, type TradedAhead } from './slot-book.js';
import type { SavedTrade, Trade } from './trade.js';

/** An order as it came to its slot, and what became of it. */
export type BookedOrder = Order & { readonly feeder: string | null };

export interface GateResult {
  readonly clearingPrice: number | null;
  readonly tradedWh: number;
  /** The gate's record. */
  readonly sequence: number;
}

/** A household's standing order; null is the tariff. */
export interface Limits {
  readonly sellAboveMicroPerKwh: number | null;
  readonly buyBelowMicroPerKwh: number | null;
  readonly wishes: StandingWish[];
  /** The slot from which they count. */
  readonly validFrom: Instant;
}

/** A row of the anonymous tape. */
export interface TapeRow {
  readonly trade: string;
  readonly sequence: number;
  readonly slot: Instant;
  readonly number: number;
  readonly energyWh: number;
  readonly priceMicroPerKwh: number;
}

/**
 * The door to what the market makes of orders: the gate that turns them into trades, the households'
 * standing orders, and the book of trades with its corrections.
 */
@Injectable()
export class MarketService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  /**
   * Closes the gate of a slot in the caller's transaction: the open orders meet in one auction, or
   * under `continuous` simply end; every hold is freed, each trade holds its exact cost, and the orders
   * know what they were served.
   * @param at market time of the record
   * @returns null under a mechanism without a gate; the first result if the gate was cleared before
   */
  async clearGate(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
    at: Instant,
  ): Promise<GateResult | null> {
    if (!takesOrders(microgrid.mechanism)) return null;
    const { microgridId } = microgrid;
    await this.ledger.lock(sql, microgridId);
    const earlier = await this.earlierGate(sql, microgridId, slotStart);
    if (earlier) return earlier;
    const book = await sql.query<GatedOrder>(store.OPEN_OF_SLOT, [microgridId, slotStart]);
    const cleared =
      microgrid.mechanism === 'continuous'
        ? await this.endOfTrading(sql, microgridId, slotStart, book)
        : await this.cleared(sql, microgrid, slotStart, book);
    const { draft, trades } = gateRecord(microgrid, slotStart, at, book, cleared);
    const [sequence] = await this.ledger.append(sql, microgridId, [draft]);
    await sql.query(store.CLEAR_GATE, [microgridId, slotStart, sequence]);
    const served = await sql.query(store.SERVE_ORDERS, [
      microgridId,
      cleared.orders.map(({ orderId }) => orderId),
      cleared.orders.map(({ status }) => status),
      cleared.orders.map(({ filledWh }) => filledWh),
    ]);
    if (served.length !== book.length) throw new Error('an order changed while its gate closed');
    await insertTrades(
      sql,
      microgridId,
      slotStart,
      0,
      trades.map((trade) => ({ ...trade, sequence: sequence! })),
    );
    return {
      clearingPrice: cleared.clearingPrice,
      tradedWh: cleared.tradedWh,
      sequence: sequence!,
    };
  }

  /** The first slot that still waits for its gate, those `except` aside; null when there is none. */
  async earliestOpenSlot(
    sql: Sql,
    microgridId: string,
    except: readonly Instant[] = [],
  ): Promise<Instant | null> {
    const [row] = await sql.query<{ slotStart: Instant | null }>(store.EARLIEST_OPEN_SLOT, [
      microgridId,
      except,
    ]);
    return row?.slotStart ?? null;
  }

  /** Whether orders of the slot, or trades made ahead, still wait for its gate. */
  async awaitsGate(sql: Sql, microgridId: string, slotStart: Instant): Promise<boolean> {
    const [row] = await sql.query<{ awaits: boolean }>(store.AWAITS_GATE, [microgridId, slotStart]);
    return row!.awaits;
  }

  /** Orders ever placed. */
  async orderCount(sql: Sql, microgridId: string): Promise<number> {
    const [row] = await sql.query<{ orders: number }>(store.ORDER_COUNT, [microgridId]);
    return row!.orders;
  }

  /** What a household set last, also when it counts only from the next slot. */
  async limits(sql: Sql, household: Household): Promise<Limits> {
    const [row] = await sql.query<Limits>(store.LATEST_LIMITS, [
      household.microgridId,
      household.householdId,
    ]);
    return (
      row ?? {
        sellAboveMicroPerKwh: null,
        buyBelowMicroPerKwh: null,
        wishes: [],
        validFrom: household.activeFrom,
      }
    );
  }

  /** Changes a standing order from the next slot on. Limits that are set already make no record. */
  async setLimits(
    microgrid: Microgrid,
    household: Household,
    { wishes = [], ...prices }: Omit<Limits, 'validFrom' | 'wishes'> & { wishes?: StandingWish[] },
  ): Promise<Limits> {
    const limits = { ...prices, wishes };
    return this.database.transaction(async (sql) => {
      const head = await this.ledger.lock(sql, microgrid.microgridId);
      const current = await this.limits(sql, household);
      if (
        current.sellAboveMicroPerKwh === limits.sellAboveMicroPerKwh &&
        current.buyBelowMicroPerKwh === limits.buyBelowMicroPerKwh &&
        canonicalJson(current.wishes) === canonicalJson(limits.wishes)
      ) {
        return current;
      }
      const now = await this.clock.now(sql);
      const validFrom = nextSlotStart(now, microgrid, household);
      const { householdId } = household;
      const draft = limitsRecord(householdId, { ...limits, validFrom }, head + 1, now);
      const [sequence] = await this.ledger.append(sql, microgrid.microgridId, [draft]);
      await sql.query(store.SET_LIMITS, [
        microgrid.microgridId,
        householdId,
        validFrom,
        limits.sellAboveMicroPerKwh,
        limits.buyBelowMicroPerKwh,
        canonicalJson(limits.wishes),
        sequence,
      ]);
      return { ...limits, validFrom };
    });
  }

  /** The standing orders that hold in a slot; a household that never set one is absent. */
  async standingOrders(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
  ): Promise<Map<string, StandingLimits>> {
    const rows = await sql.query<StandingLimits & { householdId: string }>(store.STANDING_ORDERS, [
      microgridId,
      slotStart,
    ]);
    return new Map(rows.map(({ householdId, ...limits }) => [householdId, limits]));
  }

  /** The orders that came to the book of a slot, by id; those taken back untraded are absent. */
  async ordersOf(sql: Sql, microgridId: string, slotStart: Instant): Promise<BookedOrder[]> {
    return sql.query<BookedOrder>(store.ORDERS_OF_SLOT, [microgridId, slotStart]);
  }

  /** The trades of a slot as they count now, by number. */
  async tradesOf(sql: Sql, microgridId: string, slotStart: Instant): Promise<SavedTrade[]> {
    return sql.query<SavedTrade>(store.TRADES_OF_SLOT, [microgridId, slotStart]);
  }

  /**
   * Keeps the trades of a slot as one revision, which counts from now on, even without a trade. Those
   * of a gate are kept already, as revision 0.
   */
  async saveTrades(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
    revision: number,
    trades: readonly (Trade & { readonly sequence: number })[],
  ): Promise<void> {
    const counted = await sql.query(store.COUNT_REVISION, [microgridId, slotStart, revision]);
    if (counted.length === 0) throw new Error(`revision ${revision} of ${slotStart} came too late`);
    await insertTrades(sql, microgridId, slotStart, revision, trades);
  }

  /** The trades of a microgrid without names, newest first; one more than the limit if there are more. */
  async tape(
    microgridId: string,
    limit: number,
    after: { readonly slot: Instant; readonly number: number } | null,
  ): Promise<TapeRow[]> {
    return this.database.query<TapeRow>(store.TAPE, [
      microgridId,
      after?.slot ?? null,
      after?.number ?? null,
      limit + 1,
    ]);
  }

  private async earlierGate(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
  ): Promise<GateResult | null> {
    const [gate] = await sql.query<GateResult>(store.GATE, [microgridId, slotStart]);
    return gate ?? null;
  }

  private async cleared(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
    book: readonly GatedOrder[],
  ): Promise<ClearedGate> {
    const { microgridId } = microgrid;
    return clearOrders({
      orders: book.map((order) => ({ ...order, orderId: order.id, householdId: order.household })),
      tariff: await this.parties.tariffAt(sql, microgridId, slotStart),
      rules: clearingRules(microgrid, await this.parties.networkAt(sql, microgridId, slotStart)),
      coverMicro: await this.coverOf(sql, microgridId, book),
    });
  }

  /** What was traded ahead stays; the orders that are still open end. */
  private async endOfTrading(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
    book: readonly HeldOrder[],
  ): Promise<ClearedGate> {
    const [ahead] = await sql.query<TradedAhead>(store.TRADED_AHEAD, [microgridId, slotStart]);
    return tradingEnded(ahead!, book);
  }

  /** What each buyer can spend once the holds of the book are given back. */
  private async coverOf(
    sql: Sql,
    microgridId: string,
    book: readonly HeldOrder[],
  ): Promise<(householdId: string) => number> {
    const held = new Map<string, number>();
    for (const { household, side, energyWh, priceMicroPerKwh } of book) {
      if (side === 'ask') continue;
      held.set(household, (held.get(household) ?? 0) + costMicro(energyWh, priceMicroPerKwh));
    }
    const wallets = [...held.keys()].map(walletOf);
    const balances = await this.ledger.balances(sql, microgridId, wallets);
    return (householdId) => {
      const balance = balances.get(walletOf(householdId));
      if (balance?.limited === false) return Infinity;
      return (held.get(householdId) ?? 0) + (balance ? availableBalance(balance) : 0);
    };
  }
}

/** Keeps trades of a slot, each with the record that made it. */
export async function insertTrades(
  sql: Sql,
  microgridId: string,
  slotStart: Instant,
  revision: number,
  trades: readonly (Trade & { readonly sequence: number })[],
): Promise<void> {
  if (trades.length === 0) return;
  await sql.query(store.INSERT_TRADES, [
    microgridId,
    slotStart,
    revision,
    trades.map((trade) => trade.number),
    trades.map((trade) => trade.tradeId),
    trades.map((trade) => trade.buyer),
    trades.map((trade) => trade.seller),
    trades.map((trade) => trade.bidId),
    trades.map((trade) => trade.askId),
    trades.map((trade) => trade.energyWh),
    trades.map((trade) => trade.buyerPriceMicroPerKwh),
    trades.map((trade) => trade.sellerPriceMicroPerKwh),
    trades.map((trade) => trade.congestionMicroPerKwh),
    trades.map((trade) => trade.firm),
    trades.map((trade) => trade.holdId),
    trades.map((trade) => trade.sequence),
  ]);
}

/** The first slot after `now` in which the household is a member. */
function nextSlotStart(now: Instant, { slotMinutes }: Microgrid, household: Household): Instant {
  const next = slotStartOf(parseInstant(now), slotMinutes) + slotMinutes * 60_000;
  return formatInstant(Math.max(next, parseInstant(household.activeFrom)));
}
