/** The autopilot's strategies in plain words, and what of a battery's plan comes next. */
import type { PlannedSlot } from './answers.js';

export interface StrategyInWords {
  name: string;
  title: string;
  words: string;
  /** Only sensible with a battery. */
  forStorage: boolean;
}

export const STRATEGIES: readonly StrategyInWords[] = [
  {
    name: 'fixed',
    title: 'At my limits',
    words: 'It always offers your own limits, and so trades as often as they allow.',
    forStorage: false,
  },
  {
    name: 'adaptive',
    title: 'Learning a better price',
    words: 'It asks for a little more while others pay it, and gives way when it is left out.',
    forStorage: false,
  },
  {
    name: 'battery',
    title: 'With my battery',
    words: 'It plans a day ahead when to charge, when to use what is stored, and what to offer.',
    forStorage: true,
  },
  {
    name: 'zero-intelligence',
    title: 'By lot',
    words: 'It draws any price within your limits. Made for research: the others trade better.',
    forStorage: true,
  },
];

/** Mechanisms that trade before the energy flows: under the others there is nothing to quote. */
export function tradesAhead(mechanism: string): boolean {
  return mechanism === 'call-auction' || mechanism === 'continuous';
}

/** The first slot in which the battery is to do something. */
export function nextPlanned(plan: readonly PlannedSlot[]): PlannedSlot | null {
  return plan.find(({ chargeWh, dischargeWh }) => chargeWh > 0 || dischargeWh > 0) ?? null;
}
