import type { Microgrid, Pricing, SharingKey, Tariff } from '../parties/microgrid.js';
import { askWithin, bidWithin } from './limits.js';
import { coveredWh, type MeteredHousehold, type MeteredMarketResult } from './metered-market.js';
import { pairInOrder, type LimitOrder } from './pairing.js';
import { midMarketRate, supplyDemandRate } from './pricing.js';
import { ration } from './rationing.js';
import { divide } from './sharing-keys.js';
import type { MatchedTrade } from './trade.js';

/**
 * The `sharing` mechanism: at slot close the surplus of all households is divided among those that
 * lack energy by the community's key, at the price it agreed on. Nobody takes part at a price beyond
 * its limits, and nobody is given more than its wallet covers.
 */

/** How a surplus is divided, and the price where it is fixed. */
export type SharingRules = { readonly key: SharingKey; readonly priceMicroPerKwh: number | null };

/** Of a microgrid under `sharing`; null under the others. */
export function sharingRules(microgrid: Microgrid): SharingRules | null {
  if (microgrid.mechanism !== 'sharing') return null;
  return { key: microgrid.sharingKey, priceMicroPerKwh: microgrid.sharingPriceMicroPerKwh };
}

export interface SharingHousehold extends MeteredHousehold {
  readonly share: { readonly parts: number; readonly rank: number };
}

export interface MeteredSharingInput {
  readonly households: readonly SharingHousehold[];
  readonly tariff: Tariff;
  readonly pricing: Pricing;
  readonly sharing: SharingRules;
}

/** Divides one slot's surplus; what does not divide goes to the lower id. @throws RangeError when a household both sells and buys */
export function meteredSharing(input: MeteredSharingInput): MeteredMarketResult {
  const { households, price, buyerPrice, shares } = shareOut(input);
  const given = shares.map(({ givenWh }) => givenWh);
  const taken = shares.map(({ takenWh }) => takenWh);
  const trades = pairInOrder(
    { orders: orders(households, buyerPrice, given), quantities: given },
    { orders: orders(households, price, taken), quantities: taken },
    price,
  )!.map(({ bid, ask, quantity }): MatchedTrade => ({
    buyer: bid.trader,
    seller: ask.trader,
    bidId: null,
    askId: null,
    energyWh: quantity,
    buyerPriceMicroPerKwh: buyerPrice,
    sellerPriceMicroPerKwh: price,
    congestionMicroPerKwh: 0,
    firm: false,
  }));
  return {
    price: trades.length === 0 ? null : price,
    interval: null,
    tradedWh: sum(given),
    trades,
    walletLimited: households.flatMap(({ householdId }, at) =>
      shares[at]!.coveredWh < shares[at]!.wantedWh ? [householdId] : [],
    ),
    wishes: [],
  };
}

/** What a household brought to the pool, or wanted of it, at the agreed price, and what it got. */
export interface Share {
  readonly offeredWh: number;
  readonly takenWh: number;
  readonly wantedWh: number;
  /** What its wallet covers of what it wants. */
  readonly coveredWh: number;
  readonly givenWh: number;
}

/** The division behind the trades: households by id, and the share of each in their order. */
export function shareOut(input: MeteredSharingInput): {
  readonly households: readonly SharingHousehold[];
  readonly price: number;
  /** With the grid fee. */
  readonly buyerPrice: number;
  readonly shares: readonly Share[];
} {
  const { tariff, sharing } = input;
  const households = input.households.toSorted((a, b) => (a.householdId < b.householdId ? -1 : 1));
  const both = households.find(({ toSellWh, toBuyWh }) => toSellWh > 0 && toBuyWh > 0);
  if (both) throw new RangeError(`household ${both.householdId} has energy to sell and to buy`);
  const price = sharingPrice(input);
  const buyerPrice = price + tariff.gridFeeMicroPerKwh;
  const offered = households.map((one) => {
    const least = askWithin(tariff, one.sellAboveMicroPerKwh);
    return least !== null && least <= price ? one.toSellWh : 0;
  });
  const sellers = offered.filter((wh) => wh > 0).length;
  const wanted = households.map((one) => {
    const most = bidWithin(tariff, one.buyBelowMicroPerKwh);
    return most !== null && buyerPrice <= most && sellers > 0 ? one.toBuyWh : 0;
  });
  const covered = households.map((one, at) =>
    Math.min(wanted[at]!, coveredWh(one, buyerPrice, sellers)),
  );
  const given = divide(
    sharing.key,
    sum(offered),
    households.map(({ share }, at) => ({ needWh: covered[at]!, ...share })),
  );
  const taken = ration('pro-rata', sum(given), offered);
  const shares = households.map((_, at) => ({
    offeredWh: offered[at]!,
    takenWh: taken[at]!,
    wantedWh: wanted[at]!,
    coveredWh: covered[at]!,
    givenWh: given[at]!,
  }));
  return { households, price, buyerPrice, shares };
}

/**
 * What sellers receive per kWh: the rate agreed on, moved as little as needed for neither side to fare
 * better with the utility. Under a fee that leaves no room between the tariffs, the feed-in tariff: no
 * buyer takes part then.
 */
function sharingPrice({ households, tariff, pricing, sharing }: MeteredSharingInput): number {
  const { retailMicroPerKwh: retail, feedInMicroPerKwh: feedIn } = tariff;
  const highest = Math.max(feedIn, retail - tariff.gridFeeMicroPerKwh);
  const rate =
    pricing === 'fixed'
      ? sharing.priceMicroPerKwh!
      : pricing === 'mid-market'
        ? midMarketRate({ retail, feedIn })
        : supplyDemandRate(
            { retail, feedIn },
            BigInt(sum(households.map(({ toSellWh }) => toSellWh))),
            BigInt(sum(households.map(({ toBuyWh }) => toBuyWh))),
          );
  return Math.max(feedIn, Math.min(highest, rate));
}

/** A household sells or buys, never both: nobody can meet itself. */
function orders(
  households: readonly SharingHousehold[],
  price: number,
  quantities: readonly number[],
): LimitOrder[] {
  return households.map(({ householdId: id }, at) => ({
    id,
    trader: id,
    price,
    quantity: quantities[at]!,
  }));
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}
