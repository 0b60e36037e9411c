import type { Tariff } from '../parties/microgrid.js';
import { affordableWh } from '../units/money.js';
import { clearBook, type BookedOrder, type ClearingRules } from './clearing.js';
import { askWithin, bidWithin, premiumWithin, type StandingWish } from './limits.js';
import type { WishResult } from './preferences.js';
import type { PriceInterval } from './pricing.js';
import type { MatchedTrade } from './trade.js';
import type { Wish } from './wish-graph.js';

/**
 * The `metered` mechanism: at slot close the standing orders of all households meet with the energy
 * really metered, in one call auction. Nobody pays more than its wallet covers, whatever the rounding.
 */

export interface MeteredHousehold {
  readonly householdId: string;
  readonly feeder: string | null;
  /** What is left of its production after its own uses. */
  readonly toSellWh: number;
  /** All of it was made by the sun, whether it was stored between or not. */
  readonly sellsClean?: boolean;
  /** What its uses still lack; a household that sells buys nothing. */
  readonly toBuyWh: number;
  /** The least it sells for; null is the feed-in tariff. */
  readonly sellAboveMicroPerKwh: number | null;
  /** The most it pays, grid fee included; null is the retail tariff. */
  readonly buyBelowMicroPerKwh: number | null;
  readonly wishes?: readonly StandingWish[];
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
  readonly wishes: WishResult[];
}

/**
 * Clears one slot.
 * @throws RangeError when a household both sells and buys, or a number is not a safe integer
 * @example a street where A exports 900 Wh, C 300 Wh and B imports 800 Wh, all at default limits:
 *   A sells 600 Wh and C 200 Wh to B at the feed-in tariff
 */
export function meteredMarket(input: MeteredMarketInput): MeteredMarketResult {
  const { tariff } = input;
  const { bids, asks, walletLimited } = standingBook(input);
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
    ...(trade.wish === undefined ? {} : { wish: trade.wish }),
  }));
  return {
    price: cleared.price,
    interval: cleared.interval,
    tradedWh: cleared.volume,
    trades,
    walletLimited: walletLimited.sort(),
    wishes: cleared.wishes,
  };
}

/** The wishes of a buyer that can be met in this slot, each with what counts of its premium. */
function wishesOf(
  { wishes = [], feeder }: MeteredHousehold,
  limit: number,
  { tariff, rules }: MeteredMarketInput,
): Wish[] {
  return wishes.flatMap((wish): Wish[] => {
    const premium = premiumWithin(tariff, limit, wish.premiumMicroPerKwh);
    if (premium === 0) return [];
    if (wish.kind === 'solar') return [{ kind: 'solar', premium }];
    if (wish.kind === 'neighbor') return [{ kind: 'neighbor', trader: wish.household, premium }];
    const known = rules.network?.nodes.some(({ node }) => node === feeder) ?? false;
    return feeder !== null && known ? [{ kind: 'feeder', node: feeder, premium }] : [];
  });
}

/** The standing orders as the auction takes them, each bid as far as its wallet goes. */
export function standingBook(input: MeteredMarketInput): {
  bids: BookedOrder[];
  asks: BookedOrder[];
  walletLimited: string[];
} {
  const { tariff } = input;
  const asks = asksOf(input);
  const lowestAsk = asks.reduce((lowest, { price }) => Math.min(lowest, price), Infinity);
  const walletLimited: string[] = [];
  const bids: BookedOrder[] = [];
  for (const household of input.households) {
    const limit = bidWithin(tariff, household.buyBelowMicroPerKwh);
    if (household.toBuyWh === 0 || limit === null) continue;
    const price = limit - tariff.gridFeeMicroPerKwh;
    const wishes = wishesOf(household, limit, input);
    const most = limit + Math.max(0, ...wishes.map(({ premium }) => premium));
    // From one seller it may buy what meets a wish and what does not.
    const quantity = coveredWh(household, most, asks.length * (1 + wishes.length));
    if (quantity < household.toBuyWh && price >= lowestAsk) {
      walletLimited.push(household.householdId);
    }
    const { householdId: id, feeder } = household;
    bids.push({ id, trader: id, feeder, price, quantity, wishes });
  }
  return { bids, asks, walletLimited };
}

function asksOf({ households, tariff }: MeteredMarketInput): BookedOrder[] {
  return households.flatMap(({ householdId, feeder, toSellWh, toBuyWh, sellsClean, ...limits }) => {
    if (toSellWh > 0 && toBuyWh > 0) {
      throw new RangeError(`household ${householdId} has energy to sell and to buy in one slot`);
    }
    const price = askWithin(tariff, limits.sellAboveMicroPerKwh);
    if (toSellWh === 0 || price === null) return [];
    const solar = sellsClean === true;
    return [{ id: householdId, trader: householdId, feeder, price, quantity: toSellWh, solar }];
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
