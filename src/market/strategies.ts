import { adaptive } from './adaptive.js';
import { battery } from './battery-plan.js';
import {
  drawn,
  fixed,
  limitOf,
  sliced,
  stakeOf,
  type Decision,
  type Situation,
  type Strategy,
} from './strategy.js';

/** The strategies that a household can choose from; the two that learn and plan have pages of their own. */

/** By the name a household chooses. */
export const STRATEGIES = {
  fixed,
  'zero-intelligence': zeroIntelligence,
  adaptive,
  battery,
} as const satisfies Record<string, Strategy>;
export type StrategyName = keyof typeof STRATEGIES;
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as readonly StrategyName[];

/**
 * Any price within the limits, each as likely as the other: Gode and Sunder's zero-intelligence trader,
 * constrained to never lose (JPE 101(1), 1993). What is drawn depends on slot and household alone.
 */
export function zeroIntelligence(situation: Situation): Decision {
  const stake = stakeOf(situation);
  if (stake === null) return { quotes: [] };
  const { retailMicroPerKwh, feedInMicroPerKwh } = situation.tariff;
  const limit = limitOf(situation, stake.side)!;
  const [low, high] =
    stake.side === 'bid' ? [feedInMicroPerKwh, limit] : [limit, retailMicroPerKwh];
  const text = `neighborwatt/zero-intelligence/v1\n${situation.household}\n${situation.slot}`;
  return { quotes: sliced(stake, low + drawn(text, high - low + 1)) };
}
