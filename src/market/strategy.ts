import { createHash } from 'node:crypto';
import type { JsonObject } from '../units/canonical-json.js';
import { divideFloor, toSafeInteger } from '../units/integer.js';
import type { Instant } from '../units/slot.js';
import { quantile, type Forecast } from './forecast.js';
import type { Side } from './order.js';

/**
 * How the autopilot quotes for a household: a strategy is a pure function from what the household may
 * know to what it offers in one coming slot. It knows no clock and no chance; what it wants to remember
 * it returns as its state. `docs/market.md` shows how to write one.
 */
export type Strategy = (situation: Situation) => Decision;

export interface Situation {
  readonly household: string;
  readonly slot: Instant;
  /** Its energy at the grid in that slot; null while too little was measured. */
  readonly forecast: Forecast | null;
  /** What all households together had to sell and to buy at this time of day lately, in Wh. */
  readonly street: StreetEnergy;
  /** The least it takes and the most it pays, both as orders may say them; null: it will not. */
  readonly limits: {
    readonly askMicroPerKwh: number | null;
    readonly bidMicroPerKwh: number | null;
  };
  readonly tariff: {
    readonly retailMicroPerKwh: number;
    readonly feedInMicroPerKwh: number;
    readonly gridFeeMicroPerKwh: number;
  };
  /** How its latest orders fared; null before the first. */
  readonly last: Outcome | null;
  /** For households with a battery. */
  readonly storage: Storage | null;
  /** What it returned last; empty at first. */
  readonly state: JsonObject;
}

export interface StreetEnergy {
  readonly supplyWh: number;
  readonly demandWh: number;
}

export interface Outcome {
  readonly slot: Instant;
  readonly side: Side;
  /** The price it quoted, its own side of the grid fee included. */
  readonly priceMicroPerKwh: number;
  readonly energyWh: number;
  readonly filledWh: number;
  /** What sellers received; null when nothing was traded. */
  readonly clearingMicroPerKwh: number | null;
}

export interface Storage {
  readonly usableWh: number;
  /** What it held at the end of the newest slot that is known, which is `chargedThrough`. */
  readonly chargeWh: number;
  readonly chargedThrough: Instant;
  readonly slotMinutes: number;
  /** The slot that is quoted and those after it, in order. */
  readonly ahead: readonly SlotAhead[];
}

export interface SlotAhead {
  readonly slot: Instant;
  /** Its energy at the grid if its battery did nothing; null where too little was measured. */
  readonly balance: Forecast | null;
  readonly street: StreetEnergy;
  readonly tariff: Situation['tariff'];
}

export interface Quote {
  readonly side: Side;
  readonly energyWh: number;
  readonly priceMicroPerKwh: number;
}

/** What a battery should do in a slot. */
export type PlannedSlot = {
  readonly slot: Instant;
  readonly chargeWh: number;
  readonly dischargeWh: number;
};

export interface Decision {
  /** All on one side. */
  readonly quotes: readonly Quote[];
  readonly state?: JsonObject;
  readonly plan?: readonly PlannedSlot[];
}

/** Quotes the household's own limits; how much of its energy, `npm run backtest` may tune. */
export function fixedAs(sizing: Sizing): Strategy {
  return (situation) => {
    const stake = stakeOf(situation, sizing);
    if (stake === null) return { quotes: [] };
    return { quotes: sliced(stake, limitOf(situation, stake.side)!, sizing) };
  };
}

/** How much of what may come is offered, and in how many orders. */
export interface Sizing {
  /** The outcome that is not exceeded with this probability ... */
  readonly quantileThousandths: number;
  /** ... so many times over. */
  readonly times: number;
  /** An auction pairs each order with few others: in several orders a household meets more neighbors. */
  readonly slices: number;
}

/** Found on the tuning weeks named in `docs/market.md`, by the command named there. */
export const SIZING: Sizing = { quantileThousandths: 900, times: 8, slices: 4 };

/** Quotes the household's own limits. */
export const fixed: Strategy = fixedAs(SIZING);

/**
 * Which side to take and how much to offer; null where there is nothing to gain.
 *
 * A household may stand on one side of a slot only. It takes the one where its expected part of the
 * street's energy is larger: who is a likely seller on a street full of sun gains more from the small
 * chance of needing some. And it offers more than it expects: a delivered order settles what is
 * delivered and nothing else, the long side is rationed by what was offered, and each trade binds two
 * households of which either may fall short.
 */
export function stakeOf(situation: Situation, sizing = SIZING): Stake | null {
  const { forecast, street } = situation;
  if (forecast === null) return null;
  const surplusWh = sumOf(forecast.outcomesWh, (wh) => wh);
  const needWh = sumOf(forecast.outcomesWh, (wh) => -wh);
  // need / demand against surplus / supply, without dividing: a street without one side has no market.
  const asBuyer = BigInt(needWh) * BigInt(street.supplyWh);
  const asSeller = BigInt(surplusWh) * BigInt(street.demandWh);
  if (asBuyer === 0n && asSeller === 0n) return null;
  const side = asBuyer > asSeller ? 'bid' : 'ask';
  if (limitOf(situation, side) === null) return null;
  const likelyWh =
    side === 'bid'
      ? -quantile(forecast, 1000 - sizing.quantileThousandths)
      : quantile(forecast, sizing.quantileThousandths);
  return likelyWh <= 0 ? null : { side, energyWh: likelyWh * sizing.times };
}

/** A number from 0 to `choices` − 1 that depends on the text alone. */
export function drawn(text: string, choices: number): number {
  return Number(createHash('sha256').update(text).digest().readBigUInt64BE() % BigInt(choices));
}

export interface Stake {
  readonly side: Side;
  readonly energyWh: number;
}

/** The stake in orders of equal size, the first ones a Wh larger where it does not divide. */
export function sliced(
  { side, energyWh }: Stake,
  priceMicroPerKwh: number,
  { slices } = SIZING,
): Quote[] {
  const each = Math.floor(energyWh / slices);
  return Array.from({ length: slices }, (_, index) => ({
    side,
    energyWh: each + (index < energyWh % slices ? 1 : 0),
    priceMicroPerKwh,
  })).filter((quote) => quote.energyWh > 0);
}

export function limitOf({ limits }: Pick<Situation, 'limits'>, side: Side): number | null {
  return side === 'bid' ? limits.bidMicroPerKwh : limits.askMicroPerKwh;
}

/** `part / whole` of a price difference, rounded down. */
export function partOf(difference: number, part: number, whole: number): number {
  return toSafeInteger(divideFloor(BigInt(difference) * BigInt(part), BigInt(whole)), 'part');
}

function sumOf(outcomesWh: readonly number[], of: (wh: number) => number): number {
  return outcomesWh.reduce((sum, wh) => sum + Math.max(of(wh), 0), 0);
}
