import type { Pricing } from '../parties/microgrid.js';
import { divideFloor, toSafeInteger } from '../units/integer.js';

/**
 * What energy costs between neighbors: where in its room for manoeuvre a call auction sets the one
 * price that all its trades share, and the rates that communities agree on. Prices are integer
 * micro-units per kWh; every rule rounds down, towards the buyer, and since a trade has one price for
 * both its sides, nothing is lost or left over by it.
 */

/** Bounds of prices, both ends included. */
export type PriceInterval = readonly [low: number, high: number];

/** How trades of a call auction are priced; all but `pay-as-bid` give every trade the same price. */
export type AuctionPricing = Exclude<Pricing, 'fixed'>;

export interface PriceRule {
  readonly pricing: Exclude<AuctionPricing, 'pay-as-bid'>;
  /** Where in the competitive interval `clearing` stands: 0 its low end, 1000 its high end. */
  readonly kThousandths: number;
  /** The tariffs, needed by all but `clearing`. */
  readonly retail?: number;
  readonly feedIn?: number;
  /** All that is offered and wanted, whatever its limits: needed by `supply-demand-ratio`. */
  readonly supply?: bigint;
  readonly demand?: bigint;
}

export interface Tariffs {
  readonly retail: number;
  readonly feedIn: number;
}

/**
 * The uniform price of a call auction in which something was traded.
 * @param competitive the prices at which nobody willing is left out and nobody unwilling trades
 * @param accepted from the highest accepted ask to the lowest accepted bid: the prices every served
 *   order agreed to; it contains the competitive interval, and an agreed rate is moved into it as
 *   little as needed
 */
export function uniformPrice(
  rule: PriceRule,
  competitive: PriceInterval,
  [low, high]: PriceInterval,
): number {
  if (rule.pricing === 'clearing') return clearingPrice(rule.kThousandths, competitive);
  const { retail, feedIn, supply = 0n, demand = 0n } = rule;
  if (retail === undefined || feedIn === undefined) {
    throw new RangeError(`${rule.pricing} pricing needs the retail and the feed-in tariff`);
  }
  const tariffs = { retail, feedIn };
  const rate =
    rule.pricing === 'mid-market'
      ? midMarketRate(tariffs)
      : supplyDemandRate(tariffs, supply, demand);
  return Math.max(low, Math.min(high, rate));
}

/** The middle of the tariffs. */
export function midMarketRate({ retail, feedIn }: Tariffs): number {
  return Math.floor((retail + feedIn) / 2);
}

/**
 * What sellers get when the price falls with plenty: retail R where nothing is offered, feed-in F from
 * as much supply as demand on, and R·F / ((R − F)·r + F) between, r being supply by demand
 * (Liu et al. 2017, supply and demand ratio).
 */
export function supplyDemandRate(
  { retail, feedIn }: Tariffs,
  supply: bigint,
  demand: bigint,
): number {
  if (supply >= demand) return feedIn;
  const [high, low] = [BigInt(retail), BigInt(feedIn)];
  const divisor = (high - low) * supply + low * demand;
  // Nothing is offered where energy fed in is worth nothing: the formula has no value, its limit has.
  if (divisor === 0n) return retail;
  return toSafeInteger(divideFloor(high * low * demand, divisor));
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
