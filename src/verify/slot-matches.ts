import { walletOf } from '../ledger/accounts.js';
import { matchRecord, type HeldOrder, type ReheldOrder } from '../market/market-records.js';
import { SlotBook, type TradedAhead } from '../market/slot-book.js';
import type { Trade } from '../market/trade.js';
import type { RecordDraft } from '../ledger/record.js';
import { canonicalJson } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import type { Instant } from '../units/slot.js';
import type { Books } from './books.js';
import type { Members } from './members.js';

/**
 * Under `continuous` an order meets others the moment it is placed, and the record behind its own says
 * what it met. The same pure book as the service's says it here, out of the orders told before.
 */

/** What the record behind an order has to say, and what it leaves. */
export interface DueMatch {
  draft: RecordDraft;
  trades: Trade[];
  orders: ReheldOrder[];
}

type Placed = HeldOrder & { readonly sequence: number };

export class SlotMatches {
  private readonly slots = new Map<Instant, { tariff: string; book: SlotBook }>();
  private readonly trades = new Map<Instant, Trade[]>();

  constructor(
    private readonly members: Members,
    private readonly books: Books,
  ) {}

  /**
   * What an order meets, whose own record has been posted already.
   * @param open the other open orders of its slot
   * @returns null where it just rests
   */
  meet(
    order: Placed,
    open: () => readonly Placed[],
    holdOf: (id: string) => string | null,
    at: Instant,
  ): DueMatch | 'exceeds_balance' | null {
    const { slot, household: placer } = order;
    const heldMicro = order.side === 'bid' ? costMicro(order.energyWh, order.priceMicroPerKwh) : 0;
    const arrival = this.bookOf(slot, open).place(order, (household) => {
      const freeMicro = this.books.available(
        walletOf(household),
        this.members.creditLimitOf(household),
      );
      return household === placer ? freeMicro + heldMicro : freeMicro;
    });
    if (arrival.outcome === 'exceeds_balance') return arrival.outcome;
    if (arrival.match === null) return null;
    return matchRecord(
      this.members.microgrid!,
      slot,
      at,
      arrival.match,
      holdOf,
      this.tradesOf(slot).length + 1,
    );
  }

  cancel({ slot, id }: Placed): void {
    this.slots.get(slot)?.book.cancel(id);
  }

  /** After what could only be taken as it was told, the book is made anew. */
  restore(slot: Instant): void {
    this.slots.delete(slot);
  }

  add(slot: Instant, trades: readonly Trade[]): void {
    const before = this.trades.get(slot);
    if (before) before.push(...trades);
    else this.trades.set(slot, [...trades]);
  }

  tradesOf(slot: Instant): Trade[] {
    return this.trades.get(slot) ?? [];
  }

  ahead(slot: Instant): TradedAhead {
    const trades = this.tradesOf(slot);
    const prices = new Set(trades.map(({ sellerPriceMicroPerKwh }) => sellerPriceMicroPerKwh));
    const [clearingPrice = null] = prices.size === 1 ? prices : [];
    const tradedWh = trades.reduce((sum, { energyWh }) => sum + energyWh, 0);
    return { lastTrade: trades.length, tradedWh, clearingPrice };
  }

  forget(slot: Instant): void {
    this.slots.delete(slot);
    this.trades.delete(slot);
  }

  private bookOf(slot: Instant, open: () => readonly Placed[]): SlotBook {
    const tariff = this.members.tariffAt(slot);
    const written = canonicalJson({ ...tariff });
    const known = this.slots.get(slot);
    if (known?.tariff === written) return known.book;
    const book = new SlotBook(
      tariff,
      [...open()].sort((a, b) => a.sequence - b.sequence),
    );
    this.slots.set(slot, { tariff: written, book });
    return book;
  }
}
