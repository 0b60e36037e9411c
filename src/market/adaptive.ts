import { divideHalfEven } from '../units/integer.js';
import type { Side } from './order.js';
import {
  limitOf,
  sliced,
  stakeOf,
  type Decision,
  type Outcome,
  type Situation,
} from './strategy.js';

/**
 * A trader that learns its margin: zero-intelligence-plus (D. Cliff, Minimal-intelligence agents for
 * bargaining behaviours, HP Labs 1997), told slot by slot instead of shout by shout. It asks for a
 * little more while others pay it, and gives way as soon as it is left out. Its prices never leave the
 * household's limits.
 */
export function adaptive(situation: Situation): Decision {
  const memory = learnt(situation);
  const state = { ...memory };
  const stake = stakeOf(situation);
  if (stake === null) return { quotes: [], state };
  const margin = stake.side === 'bid' ? memory.bidMargin : memory.askMargin;
  return { quotes: sliced(stake, priceAt(situation, stake.side, margin)), state };
}

/** Thousandths of the way from the own limit to the far tariff, and how fast they change. */
type Memory = {
  readonly bidMargin: number;
  readonly bidMomentum: number;
  readonly askMargin: number;
  readonly askMomentum: number;
  /** The outcome that was learnt from last; each teaches once. */
  readonly learntFrom: string;
};

const FIRST: Memory = {
  bidMargin: 50,
  bidMomentum: 0,
  askMargin: 50,
  askMomentum: 0,
  learntFrom: '',
};

/** Learning rate and momentum in thousandths, in the middle of Cliff's ranges; the step aimed beyond. */
const RATE = 300;
const INERTIA = 50;
const BEYOND = 20;

function learnt(situation: Situation): Memory {
  const memory = { ...FIRST, ...(situation.state as Partial<Memory>) };
  const { last } = situation;
  if (last === null || last.slot === memory.learntFrom) return memory;
  const { side } = last;
  const [margin, momentum] =
    side === 'bid'
      ? [memory.bidMargin, memory.bidMomentum]
      : [memory.askMargin, memory.askMomentum];
  const wanted = targetMargin(situation, last);
  // Widrow-Hoff with momentum: a part of the way to the target, smoothed by the last step.
  const step =
    wanted === null
      ? 0
      : divided(
          INERTIA * momentum + (1000 - INERTIA) * divided(RATE * (wanted - margin), 1000),
          1000,
        );
  const moved = Math.min(1000, Math.max(0, margin + step));
  return side === 'bid'
    ? { ...memory, bidMargin: moved, bidMomentum: step, learntFrom: last.slot }
    : { ...memory, askMargin: moved, askMomentum: step, learntFrom: last.slot };
}

/** Where the margin should go after an outcome; null: it stays. */
function targetMargin(situation: Situation, last: Outcome): number | null {
  const { side, clearingMicroPerKwh: cleared } = last;
  const isFilled = last.filledWh === last.energyWh;
  // Nobody traded: whoever wants to has to come nearer.
  if (cleared === null) return 0;
  const paid = side === 'bid' ? cleared + situation.tariff.gridFeeMicroPerKwh : cleared;
  const reached = marginAt(situation, side, paid);
  if (reached === null) return null;
  const own = marginAt(situation, side, last.priceMicroPerKwh) ?? 0;
  if (isFilled || reached > own) return Math.max(own, reached) + BEYOND;
  return Math.max(0, reached - BEYOND);
}

function priceAt(situation: Situation, side: Side, margin: number): number {
  const limit = limitOf(situation, side)!;
  return limit + divided((farTariff(situation, side) - limit) * margin, 1000);
}

/** The margin that quotes this price, 0 to 1000; null where the household does not trade on that side. */
function marginAt(situation: Situation, side: Side, price: number): number | null {
  const limit = limitOf(situation, side);
  if (limit === null) return null;
  const room = Math.abs(farTariff(situation, side) - limit);
  if (room === 0) return 0;
  const better = side === 'bid' ? limit - price : price - limit;
  return Math.min(1000, Math.max(0, divided(better * 1000, room)));
}

/** The best price anyone could hope for. */
function farTariff({ tariff }: Situation, side: Side): number {
  return side === 'bid' ? tariff.feedInMicroPerKwh : tariff.retailMicroPerKwh;
}

function divided(numerator: number, denominator: number): number {
  return Number(divideHalfEven(BigInt(numerator), BigInt(denominator)));
}
