import { SHARING_KEYS, type SharingKey } from '../parties/microgrid.js';
import { divideFloor, safeInteger, toSafeInteger } from '../units/integer.js';
import { inOrderOfId } from './canonical-order.js';
import { midMarketRate, supplyDemandRate, type Tariffs } from './pricing.js';
import { proRata, ration } from './rationing.js';
import { divide } from './sharing-keys.js';

/**
 * Sharing by key: what members feed in during a slot is divided among those who draw in it, in whole
 * Wh. What a key leaves is fed into the grid, what it does not cover comes from there.
 *
 * Energy shared has one price for both its sides, so that the members' money balances to the unit
 * without any rounding; what is rounded are only the mean prices that are shown.
 */

/** Those a microgrid can have, and two more for trying out. */
export const ALL_SHARING_KEYS = [...SHARING_KEYS, 'equal', 'matrix'] as const;

/**
 * - `static`: everybody's part of the pool is fixed; what it does not need of it is fed in.
 * - `dynamic`: in proportion to need; never feeds in while somebody needs.
 * - `hybrid`: static, and what that leaves dynamically among those who still need.
 * - `cascade`: group after group, the lowest number first, dynamically within each.
 * - `equal`: equal parts, as water fills vessels, for those who need that much.
 * - `matrix`: every member who feeds in says to whom it goes, in which proportion.
 */
export type AnySharingKey = (typeof ALL_SHARING_KEYS)[number];

export const SHARING_PRICINGS = [
  'mid-market',
  'supply-demand-ratio',
  'bill-sharing',
  'fixed',
] as const;

/** What shared energy costs; `bill-sharing` is free, and the members share one bill of the grid. */
export type SharingPricing = (typeof SHARING_PRICINGS)[number];

export interface Member {
  /** Unique on its side; a Wh that does not divide goes to the lower id. */
  readonly id: string;
  /** Wh fed in, or needed; not negative. */
  readonly quantity: number;
}

export interface NeedyMember extends Member {
  /** `static`, `hybrid`: its weight, 1 unless said otherwise. `cascade`: its group, 0 likewise. */
  readonly key?: number;
}

/** One cell of a `matrix`: with which weight the first gives to the second. */
export interface GivenTo {
  readonly from: string;
  readonly to: string;
  readonly key: number;
}

export interface SharingInput {
  readonly supply: readonly Member[];
  readonly demand: readonly NeedyMember[];
  readonly key: AnySharingKey;
  /** What static weights are parts of, when not of their sum: what is missing to it is fed in. */
  readonly keyTotal?: number;
  readonly matrix?: readonly GivenTo[];
}

export interface Shared {
  /** What members who both feed in and need use of their own, by id: it is not shared. */
  readonly ownUse: ReadonlyMap<string, number>;
  /** What each of `supply` gave to others, and each of `demand` got from them, in their order. */
  readonly given: readonly number[];
  readonly received: readonly number[];
  readonly volume: number;
  /** Who gave to whom; fewer than there are members, but for a matrix. */
  readonly pairs: readonly SharedPair[];
}

export interface SharedPair {
  readonly from: string;
  readonly to: string;
  readonly quantity: number;
}

/**
 * Divides the energy of one slot. Whoever is on both sides uses its own first.
 * @throws RangeError when sums exceed 2^53 − 1, or a matrix names somebody who is not there
 * @example
 * share({ key: 'dynamic', supply: [{ id: 'roof', quantity: 900 }],
 *   demand: [{ id: 'a', quantity: 600 }, { id: 'b', quantity: 600 }] }) // a and b receive 450 each
 */
export function share(input: SharingInput): Shared {
  const ownUse = ownUseOf(input);
  const [supply, demand] = [netOf(input.supply, ownUse), netOf(input.demand, ownUse)];
  const { key, keyTotal } = input;
  const pairs =
    key === 'matrix'
      ? matrixPairs(supply, demand, input.matrix ?? [])
      : pooledPairs(supply, demand, key, keyTotal);
  const [given, received] = [new Map<string, number>(), new Map<string, number>()];
  let volume = 0;
  for (const { from, to, quantity } of pairs) {
    given.set(from, (given.get(from) ?? 0) + quantity);
    received.set(to, (received.get(to) ?? 0) + quantity);
    volume += quantity;
  }
  return {
    ownUse,
    given: input.supply.map(({ id }) => given.get(id) ?? 0),
    received: input.demand.map(({ id }) => received.get(id) ?? 0),
    volume,
    pairs,
  };
}

export interface SharingPriceRule extends Tariffs {
  readonly pricing: SharingPricing;
  /** Needed by `fixed` pricing. */
  readonly price?: number;
}

export interface SharingPrices {
  /** What shared energy costs its buyer and brings its seller. */
  readonly shared: number;
  /** What all that members need costs on the mean, grid included; rounded down. */
  readonly buy: number;
  /** What all that members feed in brings on the mean, grid included; rounded down. */
  readonly sell: number;
}

/**
 * The prices of a slot. Each member pays `shared` for what it received and the retail tariff for the
 * rest, and gets `shared` for what it gave and the feed-in tariff for the rest: no rounding.
 * @param supply and demand, in Wh, own use excluded
 */
export function sharingPrices(
  rule: SharingPriceRule,
  supply: number,
  demand: number,
  volume: number,
): SharingPrices {
  const shared = sharedPrice(rule, BigInt(supply), BigInt(demand));
  const mean = (total: number, gridPrice: number): number => {
    if (total === 0) return shared;
    const money = BigInt(volume) * BigInt(shared) + BigInt(total - volume) * BigInt(gridPrice);
    return toSafeInteger(divideFloor(money, BigInt(total)), 'price');
  };
  return { shared, buy: mean(demand, rule.retail), sell: mean(supply, rule.feedIn) };
}

function sharedPrice(rule: SharingPriceRule, supply: bigint, demand: bigint): number {
  switch (rule.pricing) {
    case 'mid-market':
      return midMarketRate(rule);
    case 'supply-demand-ratio':
      return supplyDemandRate(rule, supply, demand);
    case 'bill-sharing':
      return 0;
    case 'fixed':
      if (rule.price === undefined) throw new RangeError('fixed pricing needs a price');
      return rule.price;
  }
}

function ownUseOf({ supply, demand }: SharingInput): Map<string, number> {
  const fedIn = new Map(supply.map(({ id, quantity }) => [id, quantity]));
  const ownUse = new Map<string, number>();
  for (const { id, quantity } of demand) {
    const own = Math.min(fedIn.get(id) ?? 0, quantity);
    if (own > 0) ownUse.set(id, own);
  }
  return ownUse;
}

/** By id, without what each uses of its own. */
function netOf<One extends Member>(members: readonly One[], ownUse: ReadonlyMap<string, number>) {
  return inOrderOfId(members).map((member) => ({
    ...member,
    quantity: member.quantity - (ownUse.get(member.id) ?? 0),
  }));
}

/** All who feed in give in proportion to it: nobody's energy is better than another's. */
function pooledPairs(
  supply: readonly Member[],
  demand: readonly NeedyMember[],
  key: SharingKey | 'equal',
  keyTotal: number | undefined,
): SharedPair[] {
  const received = divided(key, keyTotal, demand, totalOf(supply));
  const volume = received.reduce((sum, quantity) => sum + quantity, 0);
  const given = inProportion(volume, quantitiesOf(supply));
  const pairs: SharedPair[] = [];
  let [from, left] = [-1, 0];
  demand.forEach(({ id: to }, row) => {
    for (let open = received[row]!; open > 0;) {
      while (left === 0) left = given[++from]!;
      const quantity = Math.min(open, left);
      pairs.push({ from: supply[from]!.id, to, quantity });
      open -= quantity;
      left -= quantity;
    }
  });
  return pairs;
}

/** What each member gets of the pool, in order of id. */
function divided(
  key: SharingKey | 'equal',
  keyTotal: number | undefined,
  demand: readonly NeedyMember[],
  pool: number,
): readonly number[] {
  const needs = quantitiesOf(demand);
  const usable = Math.min(pool, totalOf(demand));
  if (key === 'equal') return ration('max-min', usable, needs);
  const isByParts = key === 'static' || key === 'hybrid';
  const claimants = demand.map(({ key: own, quantity: needWh }) => ({
    needWh,
    parts: own ?? 1,
    rank: own ?? 0,
  }));
  const parts = claimants.reduce((sum, one) => safeInteger(sum + one.parts, 'sum of keys'), 0);
  // What is missing to the whole belongs to nobody who needs anything.
  const missing = isByParts ? (keyTotal ?? parts) - parts : 0;
  if (missing < 0) throw new RangeError(`keys sum to ${parts}, more than ${keyTotal}`);
  const nobody = { needWh: 0, parts: missing, rank: 0 };
  return divide(key, pool, [...claimants, nobody]).slice(0, demand.length);
}

/** Who feeds in divides by its weights; who is offered more than it needs takes of all in proportion. */
function matrixPairs(
  supply: readonly Member[],
  demand: readonly NeedyMember[],
  matrix: readonly GivenTo[],
): SharedPair[] {
  const needs = new Map(demand.map(({ id, quantity }) => [id, quantity]));
  const rows = new Map<string, GivenTo[]>(supply.map(({ id }) => [id, []]));
  for (const cell of matrix) {
    const row = rows.get(cell.from);
    if (row === undefined || !needs.has(cell.to)) {
      throw new RangeError(`nobody to share from ${cell.from} to ${cell.to}`);
    }
    row.push(cell);
  }
  const offers = new Map<string, { from: string; quantity: number }[]>();
  for (const { id, quantity } of supply) {
    const cells = rows.get(id)!.sort((a, b) => (a.to < b.to ? -1 : 1));
    const parts = inProportion(
      quantity,
      cells.map(({ key }) => key),
    );
    cells.forEach(({ to }, at) => {
      const all = offers.get(to) ?? [];
      if (parts[at]! > 0) all.push({ from: id, quantity: parts[at]! });
      offers.set(to, all);
    });
  }
  return demand.flatMap(({ id: to, quantity: need }) => {
    const offered = offers.get(to) ?? [];
    const taken = inProportion(Math.min(need, totalOf(offered)), quantitiesOf(offered));
    return offered
      .map(({ from }, at) => ({ from, to, quantity: taken[at]! }))
      .filter(({ quantity }) => quantity > 0);
  });
}

/** Nothing where there is nothing to divide, or nobody's weight counts. */
function inProportion(total: number, weights: readonly number[]): readonly number[] {
  const isForNobody = total === 0 || weights.every((weight) => weight === 0);
  return isForNobody ? weights.map(() => 0) : proRata(total, weights);
}

function quantitiesOf(members: readonly { quantity: number }[]): number[] {
  return members.map(({ quantity }) => quantity);
}

function totalOf(members: readonly { quantity: number }[]): number {
  return members.reduce((sum, { quantity }) => safeInteger(sum + quantity, 'sum of energy'), 0);
}
