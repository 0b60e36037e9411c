import { callAuction, type CallAuctionInput, type LimitOrder } from './call-auction.js';
import type { Severity } from './dealing.js';

/**
 * Households whose own limit sets the price of many slots alone: with the tariff as its limit instead,
 * and its energy and everybody else as they are, the price would have been another, and worse for what
 * it traded.
 * Being the only one who sells, or the last who is needed, is no alarm by itself: who takes any price
 * sets none.
 */

/** The book of a slot as it was cleared; prices without the grid fee. */
export interface PricedSlot extends Pick<CallAuctionInput, 'bids' | 'asks' | 'kThousandths'> {
  readonly slot: string;
  /** What an ask takes and a bid pays at the limits that everybody has who sets none. */
  readonly feedIn: number;
  readonly retail: number;
}

export interface PriceSetterAlarm {
  readonly kind: 'price-setter';
  readonly severity: Severity;
  readonly household: string;
  readonly side: 'bid' | 'ask';
  /** In which it set the price alone, out of those with trades. */
  readonly slots: readonly string[];
  readonly tradedSlots: number;
  /** By how much it moved the price per kWh, on average over its slots, to its own advantage. */
  readonly meanMoveMicroPerKwh: number;
  /**
   * What the others on its side offered of what was wanted, on average over its slots: below 10,000 the
   * street could not do without it. At most 99,990,000.
   */
  readonly residualBasisPoints: number;
}

export const PRICE_LIMITS = {
  /** Of the way from feed-in to retail: smaller moves are none. */
  move: 500,
  slots: 6,
  /** Of the slots with trades. */
  share: 2_500,
  warningShare: 5_000,
} as const;

const MOST_RESIDUAL = 99_990_000;

/** Each slot costs two auctions for everyone who stands alone at an end of its competitive interval. */
export function priceSetters(slots: readonly PricedSlot[]): PriceSetterAlarm[] {
  const found = new Map<string, Move[]>();
  let tradedSlots = 0;
  for (const slot of slots) {
    const { price, interval, filled } = callAuction(slot);
    if (price === null || interval === null) continue;
    tradedSlots += 1;
    for (const order of aloneAt(slot, interval)) {
      if (filled.get(order) === 0) continue;
      const move = moveBy(slot, order, price);
      if (move === null) continue;
      const key = `${move.side} ${order.trader}`;
      found.set(key, [...(found.get(key) ?? []), move]);
    }
  }
  return [...found.values()]
    .filter((moves) => moves.length >= PRICE_LIMITS.slots)
    .filter((moves) => share(moves, tradedSlots) >= PRICE_LIMITS.share)
    .map((moves) => alarmOf(moves, tradedSlots))
    .sort((a, b) => (`${a.household} ${a.side}` < `${b.household} ${b.side}` ? -1 : 1));
}

interface Move {
  readonly slot: string;
  readonly household: string;
  readonly side: 'bid' | 'ask';
  readonly by: number;
  readonly residualBasisPoints: number;
}

/** Orders at an end of the interval that no other household stands at, and that are not the tariff's. */
function aloneAt(slot: PricedSlot, interval: readonly [number, number]): LimitOrder[] {
  return [...new Set(interval)].flatMap((price) => {
    if (price === slot.feedIn || price === slot.retail) return [];
    const there = [...slot.bids, ...slot.asks].filter((order) => order.price === price);
    return new Set(there.map(({ trader }) => trader)).size === 1 ? there.slice(0, 1) : [];
  });
}

/** What its limit, in place of the tariff, did to the price; null unless to its own advantage. */
function moveBy(slot: PricedSlot, { trader, id }: LimitOrder, price: number): Move | null {
  const side = slot.asks.some((ask) => ask.id === id && ask.trader === trader) ? 'ask' : 'bid';
  const at = (orders: readonly LimitOrder[], limit: number) =>
    orders.map((order) => (order.trader === trader ? { ...order, price: limit } : order));
  const without =
    side === 'ask'
      ? callAuction({ ...slot, asks: at(slot.asks, slot.feedIn) })
      : callAuction({ ...slot, bids: at(slot.bids, slot.retail) });
  if (without.price === null) return null;
  const by = side === 'ask' ? price - without.price : without.price - price;
  if (by * 10_000 < PRICE_LIMITS.move * (slot.retail - slot.feedIn) || by <= 0) return null;
  const [own, others] = side === 'ask' ? [slot.asks, slot.bids] : [slot.bids, slot.asks];
  const sum = (orders: readonly LimitOrder[]) =>
    orders.reduce((all, { quantity }) => all + BigInt(quantity), 0n);
  const residual = (sum(own.filter((order) => order.trader !== trader)) * 10_000n) / sum(others);
  const residualBasisPoints = Math.min(MOST_RESIDUAL, Number(residual));
  return { slot: slot.slot, household: trader, side, by, residualBasisPoints };
}

function alarmOf(moves: readonly Move[], tradedSlots: number): PriceSetterAlarm {
  const { household, side } = moves[0]!;
  const mean = (values: readonly number[]) =>
    Number(values.reduce((sum, value) => sum + BigInt(value), 0n) / BigInt(values.length));
  return {
    kind: 'price-setter',
    severity: share(moves, tradedSlots) >= PRICE_LIMITS.warningShare ? 'warning' : 'notice',
    household,
    side,
    slots: moves.map(({ slot }) => slot),
    tradedSlots,
    meanMoveMicroPerKwh: mean(moves.map(({ by }) => by)),
    residualBasisPoints: mean(moves.map(({ residualBasisPoints }) => residualBasisPoints)),
  };
}

function share(moves: readonly Move[], tradedSlots: number): number {
  return Math.floor((moves.length * 10_000) / tradedSlots);
}
