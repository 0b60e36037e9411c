import type { SharingKey } from '../parties/microgrid.js';
import { groupBy } from '../units/group-by.js';
import { proRata, ration } from './rationing.js';

/** How a pool of energy is divided among those who need some: in whole Wh, never more than the need. */

export interface Claimant {
  readonly needWh: number;
  readonly parts: number;
  readonly rank: number;
}

/**
 * @param claimants in the order in which units that do not divide are given: by id
 * @returns what each is given, in their order
 * @example divide('static', 100, [{ needWh: 10, parts: 1, rank: 0 }, { needWh: 90, parts: 1, rank: 0 }]) // [10, 50]
 */
export function divide(
  key: SharingKey,
  poolWh: number,
  claimants: readonly Claimant[],
): readonly number[] {
  const needs = claimants.map(({ needWh }) => needWh);
  switch (key) {
    case 'dynamic':
      return byNeed(poolWh, needs);
    case 'static':
      return byParts(poolWh, claimants);
    case 'hybrid': {
      const fixed = byParts(poolWh, claimants);
      const rest = byNeed(
        poolWh - total(fixed),
        needs.map((need, at) => need - fixed[at]!),
      );
      return fixed.map((given, at) => given + rest[at]!);
    }
    case 'cascade':
      return byRank(poolWh, claimants);
  }
}

/** In proportion to the need, as far as the pool goes; all of it is used where it is needed. */
function byNeed(poolWh: number, needs: readonly number[]): readonly number[] {
  return ration('pro-rata', Math.min(poolWh, total(needs)), needs);
}

/** Each its part, and no more than it needs: what it does not need stays over. */
function byParts(poolWh: number, claimants: readonly Claimant[]): readonly number[] {
  const parts = claimants.map((one) => one.parts);
  if (total(parts) === 0) return parts;
  return proRata(poolWh, parts).map((share, at) => Math.min(share, claimants[at]!.needWh));
}

/** Lower ranks first, by need among equals. */
function byRank(poolWh: number, claimants: readonly Claimant[]): readonly number[] {
  const given = claimants.map(() => 0);
  const ranks = groupBy([...claimants.keys()], (at) => claimants[at]!.rank);
  let leftWh = poolWh;
  for (const [, places] of [...ranks].sort(([a], [b]) => a - b)) {
    const shares = byNeed(
      leftWh,
      places.map((at) => claimants[at]!.needWh),
    );
    places.forEach((at, index) => {
      given[at] = shares[index]!;
    });
    leftWh -= total(shares);
  }
  return given;
}

function total(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
