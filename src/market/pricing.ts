import type { Pricing } from '../parties/microgrid.js';

/**
 * Where in its room for manoeuvre a call auction sets the one price that all its trades share.
 * Prices are integer micro-units per kWh; every rule rounds down, towards the buyer.
 */

/** Bounds of prices, both ends included. */
export type PriceInterval = readonly [low: number, high: number];

export interface PriceRule {
  readonly pricing: Pricing;
  /** Where in the competitive interval `clearing` stands: 0 its low end, 1000 its high end. */
  readonly kThousandths: number;
  /** The tariffs between which `mid-market` takes the middle. */
  readonly retail?: number;
  readonly feedIn?: number;
}

/**
 * The uniform price of a call auction in which something was traded.
 * @param competitive the prices at which nobody willing is left out and nobody unwilling trades
 * @param accepted from the highest accepted ask to the lowest accepted bid: the prices every served
 *   order agreed to; it contains the competitive interval
 */
export function uniformPrice(
  rule: PriceRule,
  competitive: PriceInterval,
  accepted: PriceInterval,
): number {
  return rule.pricing === 'mid-market'
    ? midMarketPrice(rule, accepted)
    : clearingPrice(rule.kThousandths, competitive);
}

/** L + floor(k(H − L) / 1000), with the product split so that it stays an exact number. */
function clearingPrice(kThousandths: number, [low, high]: PriceInterval): number {
  if (!Number.isInteger(kThousandths) || kThousandths < 0 || kThousandths > 1000) {
    throw new RangeError(`k must be 0 to 1000 thousandths: ${kThousandths}`);
  }
  const width = high - low;
  const rest = width % 1000;
  return low + ((width - rest) / 1000) * kThousandths + Math.floor((rest * kThousandths) / 1000);
}

/** The middle of the tariffs, moved as little as needed to be within every served order's limit. */
function midMarketPrice({ retail, feedIn }: PriceRule, [low, high]: PriceInterval): number {
  if (retail === undefined || feedIn === undefined) {
    throw new RangeError('mid-market pricing needs the retail and the feed-in tariff');
  }
  const middle = Math.floor((retail + feedIn) / 2);
  return Math.max(low, Math.min(high, middle));
}
