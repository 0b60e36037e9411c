import type { Tariff } from '../parties/microgrid.js';

/**
 * Where a limit price stands between the tariffs. Prices of neighbor trades lie between the feed-in
 * and the retail tariff: beyond them the utility is the better neighbor.
 */

/** A standing order: null is the tariff, so that a household always takes part. */
export interface StandingLimits {
  readonly sellAbove: number | null;
  readonly buyBelow: number | null;
  readonly wishes?: StandingWish[];
}

/**
 * Energy that a household would rather buy: of one neighbor, from behind its own feeder, or clean; and
 * what it pays for it per kWh beyond its limit, at most up to the retail tariff.
 */
export type StandingWish =
  | {
      readonly kind: 'neighbor';
      readonly household: string;
      readonly premiumMicroPerKwh: number;
    }
  | { readonly kind: 'feeder' | 'solar'; readonly premiumMicroPerKwh: number };

/** What an ask takes at least, or null where it asks for more than the retail tariff. */
export function askWithin(tariff: Tariff, sellAbove: number | null): number | null {
  const limit = sellAbove ?? tariff.feedInMicroPerKwh;
  return limit > tariff.retailMicroPerKwh ? null : Math.max(limit, tariff.feedInMicroPerKwh);
}

/**
 * What a bid pays at most, grid fee included: the fee is the buyer's, on top of what the seller
 * receives. Null where it offers less than the feed-in tariff.
 */
export function bidWithin(tariff: Tariff, buyBelow: number | null): number | null {
  const limit = buyBelow ?? tariff.retailMicroPerKwh;
  return limit < tariff.feedInMicroPerKwh ? null : Math.min(limit, tariff.retailMicroPerKwh);
}

/** Of a premium, what counts: limit and premium together are never more than the retail tariff. */
export function premiumWithin(tariff: Tariff, limit: number, premiumMicroPerKwh: number): number {
  return Math.max(Math.min(premiumMicroPerKwh, tariff.retailMicroPerKwh - limit), 0);
}
