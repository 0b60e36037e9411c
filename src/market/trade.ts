import { createHash } from 'node:crypto';
import type { Instant } from '../units/slot.js';

/** A trade between two neighbors in one slot, and how the trades of a slot are numbered and named. */

export interface MatchedTrade {
  readonly buyer: string;
  readonly seller: string;
  /** The orders that met; null where standing orders did. */
  readonly bidId: string | null;
  readonly askId: string | null;
  readonly energyWh: number;
  /** Includes the grid fee on neighbor trades; the seller's price does not. */
  readonly buyerPriceMicroPerKwh: number;
  readonly sellerPriceMicroPerKwh: number;
  /** Of the difference between the prices, the rent for full wires between the two; the rest is fees. */
  readonly congestionMicroPerKwh: number;
  /** Firm trades settle in full, the others exactly the energy that was delivered. */
  readonly firm: boolean;
  /** The buyer's wish that it meets; absent for none. */
  readonly wish?: MetWish;
}

/** A wish that a trade meets. */
export type MetWish = {
  readonly kind: 'neighbor' | 'feeder' | 'solar';
  /** Of the buyer's price, what is beyond that of other energy. */
  readonly extraMicroPerKwh: number;
};

export interface Trade extends MatchedTrade {
  /** From 1, in the order in which trades are claimed and settled. */
  readonly number: number;
  readonly tradeId: string;
  /** The pending transfer that holds the buyer's money; null where nothing is held. */
  readonly holdId: string | null;
}

/** A trade as it stands in the book of trades. */
export interface SavedTrade extends Trade {
  /** 0 as first traded; corrections of the slot count up. */
  readonly revision: number;
  /** The record that made it. */
  readonly sequence: number;
}

/** Numbers and names trades of one slot, in the order given, `first` on. */
export function numberTrades(
  microgridId: string,
  slotStart: Instant,
  matched: readonly MatchedTrade[],
  revision = 0,
  first = 1,
): Trade[] {
  return matched.map((trade, index) => ({
    ...trade,
    number: first + index,
    tradeId: tradeId(microgridId, slotStart, revision, first + index),
    holdId: null,
  }));
}

/** 16 bytes in hex, hashed from where the trade stands. */
export function tradeId(
  microgridId: string,
  slotStart: Instant,
  revision: number,
  number: number,
): string {
  return createHash('sha256')
    .update(`neighborwatt/trade/v1\n${microgridId}\n${slotStart}\n${revision}\n${number}`)
    .digest('hex')
    .slice(0, 32);
}
