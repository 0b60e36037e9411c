import type { BookedOrder } from './clearing.js';
import type { Side } from './continuous-book.js';
import { limitWithin, orderKey, type ExplainedBook, type FairOrder } from './fairness.js';
import { wireReason } from './network-fairness.js';
import { fateOf } from './order-fate.js';

/**
 * Why an order was filled, in part or not at all: every Wh that it wanted has one reason, with the
 * figures that decided. Of others it names price levels and sums, nobody.
 */

/**
 * - `filled`: traded
 * - `outside-tariffs`: the limit lies where the utility is the better neighbor
 * - `wallet`: the wallet did not cover it
 * - `taken-back`: the household took it back, or a newer order of its own came to meet it
 * - `not-met`: under `continuous`, until the gate nobody else came within the limit with energy left
 * - `not-at-once`: likewise, of an order that was not to wait: when it came
 * - `wallet-rounding`: single Wh that a buyer's wallet did not cover once each trade was rounded
 * - `wish`: went to a neighbor's wish, which is worth its premium more
 * - `no-counterpart`: nobody sold, or nobody bought
 * - `beyond-limit`: nobody came within the limits of this side
 * - `outbid`: better limits were served, and nothing was left
 * - `rationed`: at this limit there was not enough for all
 * - `own-orders`: what was left within the limit was of the same household
 * - `wire-full`, `wire-fees`, `node-price`: what the network had to do with it
 * - `beyond-price`: the community's price is beyond the limit
 * - `shared-out`: the surplus was divided by the community's key; `surplus-left`: nobody needed it
 */
export const REASON_CODES = [
  'filled',
  'outside-tariffs',
  'wallet',
  'taken-back',
  'not-met',
  'not-at-once',
  'wallet-rounding',
  'wish',
  'no-counterpart',
  'beyond-limit',
  'outbid',
  'rationed',
  'own-orders',
  'wire-full',
  'wire-fees',
  'node-price',
  'beyond-price',
  'shared-out',
  'surplus-left',
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

/** Prices in micro-units per kWh, a buyer's with the grid fee; energy in Wh; `wire` names a node. */
export type Figures = Readonly<Record<string, number | string>>;

export interface Reason {
  readonly code: ReasonCode;
  /** How much of what the order wanted has this reason. */
  readonly energyWh: number;
  readonly figures: Figures;
}

/** @returns reasons whose energy sums to what the order wanted, what was traded first */
export function reasonsFor(book: ExplainedBook, order: FairOrder): Reason[] {
  const { tariff } = book;
  const { side, wantedWh } = order;
  const limit = limitWithin(tariff, side, order.setMicroPerKwh);
  if (limit === null) {
    const { feedInMicroPerKwh, retailMicroPerKwh } = tariff;
    const figures = {
      limitMicroPerKwh: order.setMicroPerKwh!,
      feedInMicroPerKwh,
      retailMicroPerKwh,
    };
    return [{ code: 'outside-tariffs', energyWh: wantedWh, figures }];
  }
  const key = orderKey(side, order.id);
  const served = book.served.get(key);
  const filledWh = served?.filledWh ?? 0;
  const reasons: Reason[] = [];
  if (served !== undefined) {
    const { lowest, highest } = served;
    const prices = { lowestMicroPerKwh: lowest, highestMicroPerKwh: highest };
    const wish = order.side === 'bid' ? book.wishes.get(order.id) : undefined;
    const figures = { limitMicroPerKwh: limit, ...prices, ...wish };
    reasons.push({ code: 'filled', energyWh: filledWh, figures });
  }
  const uncoveredWh = wantedWh - order.enteredWh;
  if (uncoveredWh > 0 && order.isTakenBack) {
    reasons.push({ code: 'taken-back', energyWh: uncoveredWh, figures: {} });
  } else if (uncoveredWh > 0) {
    const figures = { coveredWh: order.enteredWh, wantedWh };
    reasons.push({ code: 'wallet', energyWh: uncoveredWh, figures });
  }
  const energyWh = order.enteredWh - filledWh;
  if (book.pool === null && !book.continuous) {
    reasons.push(...ofMarket(book, order, limit, filledWh));
  } else if (energyWh > 0) {
    const why = book.continuous ? ofArrival(book, order, limit) : ofPool(book, order, limit);
    reasons.push({ ...why, energyWh });
  }
  return reasons;
}

/** What the auction left out, and apart from it what it served but for a wish, or for a wallet. */
function ofMarket(
  book: ExplainedBook,
  order: FairOrder,
  limit: number,
  filledWh: number,
): Reason[] {
  const key = orderKey(order.side, order.id);
  const optimalWh = Math.max(book.optimal.get(key) ?? 0, filledWh);
  const reasons: Reason[] = [];
  if (optimalWh > filledWh) {
    const code = book.wishing ? 'wish' : 'wallet-rounding';
    reasons.push({ code, energyWh: optimalWh - filledWh, figures: {} });
  }
  const energyWh = order.enteredWh - optimalWh;
  if (energyWh > 0) {
    const booked = book.booked.get(key)!;
    const why =
      book.network === null
        ? ofAuction(book, booked, order.side, limit)
        : ofNetwork(book, booked, order.side, limit);
    reasons.push({ ...why, energyWh });
  }
  return reasons;
}

type Why = Omit<Reason, 'energyWh'>;

function ofAuction(book: ExplainedBook, booked: BookedOrder, side: Side, limit: number): Why {
  const { outcome, optimal } = book;
  const fee = feeOf(book, side);
  const filled = optimal.get(orderKey(side, booked.id))!;
  const own = outcome[side];
  const opposite = outcome[side === 'bid' ? 'ask' : 'bid'].best;
  const code = fateOf(booked, side, filled, outcome);
  if (code === 'no-counterpart') return { code, figures: {} };
  const figures: Record<string, number> = { limitMicroPerKwh: limit };
  if (code === 'beyond-limit') figures['bestMicroPerKwh'] = opposite! + fee;
  if (code === 'outbid') figures['lastServedMicroPerKwh'] = own.lastServed! + fee;
  if (code === 'rationed') {
    figures['wantedAtLimitWh'] = own.wantedAtLast;
    figures['servedAtLimitWh'] = own.servedAtLast;
  }
  return { code, figures };
}

function ofNetwork(book: ExplainedBook, booked: BookedOrder, side: Side, limit: number): Why {
  const { input } = book.network!;
  const rows = side === 'bid' ? input.bids : input.asks;
  const why = wireReason(
    book.network!,
    side,
    rows.findIndex(({ id }) => id === booked.id),
  );
  const fee = feeOf(book, side);
  const figures: Record<string, number | string> = { limitMicroPerKwh: limit };
  switch (why.code) {
    case 'wire-full':
      figures['wire'] = why.wire;
      figures['capacityWh'] = why.capacity;
      figures['beyondMicroPerKwh'] = why.price + fee;
      break;
    case 'wire-fees':
      figures['node'] = why.node;
      figures['thereMicroPerKwh'] = why.price + fee;
      figures['feesMicroPerKwh'] = why.fees;
      break;
    case 'outbid':
      figures['lastServedMicroPerKwh'] = why.lastServed + fee;
      break;
    case 'rationed':
      figures['wantedAtLimitWh'] = why.wanted;
      figures['servedAtLimitWh'] = why.served;
      break;
    case 'node-price':
      figures['priceMicroPerKwh'] = why.price + fee;
      break;
    case 'no-counterpart':
      return { code: why.code, figures: {} };
  }
  return { code: why.code, figures };
}

/** What an order met one by one: whoever came within its limit had met a better or an earlier one. */
function ofArrival(book: ExplainedBook, order: FairOrder, limit: number): Why {
  const { side, household, isAtOnce = false } = order;
  const opposite = side === 'bid' ? 'ask' : 'bid';
  const others = book.orders.filter((one) => one.side === opposite && one.household !== household);
  if (others.length === 0) return { code: 'no-counterpart', figures: {} };
  const left = others.flatMap((one) => {
    const key = orderKey(opposite, one.id);
    const rests = !one.isAtOnce && one.enteredWh > (book.served.get(key)?.filledWh ?? 0);
    return rests && book.booked.has(key) ? [book.booked.get(key)!.price] : [];
  });
  const code = isAtOnce ? 'not-at-once' : 'not-met';
  const figures = { limitMicroPerKwh: limit };
  if (isAtOnce || left.length === 0) return { code, figures };
  const best = side === 'bid' ? Math.min(...left) : Math.max(...left);
  return { code, figures: { ...figures, bestLeftMicroPerKwh: best + feeOf(book, side) } };
}

function ofPool({ pool }: ExplainedBook, order: FairOrder, limit: number): Why {
  const { shares, price, buyerPrice, rules } = pool!;
  const of = (member: 'offeredWh' | 'takenWh' | 'coveredWh') =>
    [...shares.values()].reduce((sum, share) => sum + share[member], 0);
  const isBid = order.side === 'bid';
  if (isBid ? limit < buyerPrice : limit > price) {
    const priceMicroPerKwh = isBid ? buyerPrice : price;
    return { code: 'beyond-price', figures: { limitMicroPerKwh: limit, priceMicroPerKwh } };
  }
  const [pooledWh, neededWh] = [of('offeredWh'), of('coveredWh')];
  if ((isBid ? pooledWh : neededWh) === 0) return { code: 'no-counterpart', figures: {} };
  return isBid
    ? { code: 'shared-out', figures: { pooledWh, neededWh, key: rules.key } }
    : { code: 'surplus-left', figures: { pooledWh, takenWh: of('takenWh') } };
}

/** Buyers' prices are told with the tariff's grid fee, which they pay on top. */
function feeOf({ tariff }: ExplainedBook, side: Side): number {
  return side === 'bid' ? tariff.gridFeeMicroPerKwh : 0;
}
