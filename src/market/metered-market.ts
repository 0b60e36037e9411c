import type { Tariff } from '../parties/microgrid.js';
import { affordableWh } from '../units/money.js';
import { clearBook, type BookedOrder, type ClearingRules } from './clearing.js';
import { askWithin, bidWithin } from './limits.js';
import type { PriceInterval } from './pricing.js';
import type { MatchedTrade } from './trade.js';

/**
 * The `metered` mechanism: at slot close the standing orders of all households meet with the energy
 * really metered, in one call auction. Nobody pays more than its wallet covers, whatever the rounding.
 */

export interface MeteredHousehold {
  readonly householdId: string;
  readonly feeder: string | null;
  /** What is left of its production after its own uses. */
  readonly toSellWh: number;
  /** What its uses still lack; a household that sells buys nothing. */
  readonly toBuyWh: number;
  /** The least it sells for; null is the feed-in tariff. */
  readonly sellAboveMicroPerKwh: number | null;
  /** The most it pays, grid fee included; null is the retail tariff. */
  readonly buyBelowMicroPerKwh: number | null;
  /** What its wallet covers. */
  readonly availableMicro: number;
}

export interface MeteredMarketInput {
  readonly households: readonly MeteredHousehold[];
  readonly tariff: Tariff;
  readonly rules: ClearingRules;
}

export interface MeteredMarketResult {
  /** What all sellers receive per kWh, null where prices differ; buyers pay the grid fee on top. */
  readonly price: number | null;
  readonly interval: PriceInterval | null;
  readonly tradedWh: number;
  readonly trades: MatchedTrade[];
  /** Households that could have bought more if their wallet covered it, by id. */
  readonly walletLimited: string[];
}

/**
 * Clears one slot.
 * @throws RangeError when a household both sells and buys, or a number is not a safe integer
 * @example a street where A exports 900 Wh, C 300 Wh and B imports 800 Wh, all at default limits:
 *   A sells 600 Wh and C 200 Wh to B at the feed-in tariff
 */
export function meteredMarket(input: MeteredMarketInput): MeteredMarketResult {
  const { tariff } = input;
  const asks = asksOf(input);
  const lowestAsk = asks.reduce((lowest, { price }) => Math.min(lowest, price), Infinity);
  const walletLimited: string[] = [];
  const bids: BookedOrder[] = [];
  for (const household of input.households) {
    const limit = bidWithin(tariff, household.buyBelowMicroPerKwh);
    if (household.toBuyWh === 0 || limit === null) continue;
    const price = limit - tariff.gridFeeMicroPerKwh;
    const quantity = coveredWh(household, limit, asks.length);
    if (quantity < household.toBuyWh && price >= lowestAsk) {
      walletLimited.push(household.householdId);
    }
    const { householdId: id, feeder } = household;
    bids.push({ id, trader: id, feeder, price, quantity });
  }
  const cleared = clearBook(input.rules, tariff, bids, asks);
  const trades = cleared.trades.map((trade) => ({
    buyer: trade.bid.trader,
    seller: trade.ask.trader,
    bidId: null,
    askId: null,
    energyWh: trade.quantity,
    buyerPriceMicroPerKwh: trade.buyerPrice + tariff.gridFeeMicroPerKwh,
    sellerPriceMicroPerKwh: trade.sellerPrice,
    congestionMicroPerKwh: trade.congestionPrice,
    firm: false,
  }));
  return {
    price: cleared.price,
    interval: cleared.interval,
    tradedWh: cleared.volume,
    trades,
    walletLimited: walletLimited.sort(),
  };
}

function asksOf({ households, tariff }: MeteredMarketInput): BookedOrder[] {
  return households.flatMap(({ householdId, feeder, toSellWh, toBuyWh, ...limits }) => {
    if (toSellWh > 0 && toBuyWh > 0) {
      throw new RangeError(`household ${householdId} has energy to sell and to buy in one slot`);
    }
    const price = askWithin(tariff, limits.sellAboveMicroPerKwh);
    if (toSellWh === 0 || price === null) return [];
    return [{ id: householdId, trader: householdId, feeder, price, quantity: toSellWh }];
  });
}

/**
 * The energy a buyer can pay for at its own limit. Each of its trades is rounded on its own, so one
 * micro-unit is set aside for every trade it could have: a seller each, and at least 1 Wh each.
 */
export function coveredWh(household: MeteredHousehold, limit: number, sellers: number): number {
  const aside = Math.min(sellers, household.toBuyWh);
  return Math.min(household.toBuyWh, affordableWh(household.availableMicro - aside, limit));
}
