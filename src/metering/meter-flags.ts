/**
 * What about a meter deserves a look, by name. A flag changes nothing of what is counted: it asks an
 * operator to go there. No flag looks at how little a household uses.
 */

export type MeterFlag =
  /** It said nothing for a day. */
  | 'dead'
  /** It says the same energy, more than what is always on takes, slot after slot. */
  | 'frozen'
  /** What it takes from the grid rises and falls with the neighbors' sun: wired the wrong way round? */
  | 'follows_sun'
  /** It showed less than before: energy between two readings would be negative. */
  | 'falling_register'
  /** It showed more than its connection carries; what it shows may be held back. */
  | 'beyond_connection'
  /** Some of its readings do not fit those around them. */
  | 'outlier'
  /** Its clock is off by more than a minute. */
  | 'clock_off';

export const METER_FLAGS: readonly MeterFlag[] = [
  'dead',
  'frozen',
  'follows_sun',
  'falling_register',
  'beyond_connection',
  'outlier',
  'clock_off',
];

/** What is known of one meter of late. */
export interface MeterFigures {
  /** Market time since its last reading; null: it never said anything. */
  silentSeconds: number | null;
  /** Suspect readings of the last day, by rule. */
  suspects: Readonly<Partial<Record<MeterFlag, number>>>;
  /** The energy that each of its last slots had, if they were metered and all had the same. */
  repeatedWh: number | null;
  slotMinutes: number;
  /** How its import goes with what the others generate, -1 to 1, over so many sunny slots. */
  sunCorrelation: number | null;
  sunnySlots: number;
  /** Median of when messages came in less their latest reading; null where nobody can tell. */
  clockBehindSeconds: number | null;
}

/** Slots of the same energy before a meter counts as frozen. */
export const REPEATED_SLOTS = 24;
/** Days that the sun is compared over. */
export const SUN_DAYS = 3;

/** Below this a router or a fridge alone takes the same whole Wh slot after slot. */
const FROZEN_FROM_W = 100;
const DEAD_SECONDS = 86_400;
const CLOCK_OFF_SECONDS = 60;
const SUN_CORRELATION = 0.8;
const SUNNY_SLOTS = 48;

/** @example flagsOf({ ...figures, silentSeconds: 90_000 }) // ['dead'] */
export function flagsOf(figures: MeterFigures): MeterFlag[] {
  const { silentSeconds, sunCorrelation, sunnySlots, clockBehindSeconds } = figures;
  const isOff = clockBehindSeconds !== null && Math.abs(clockBehindSeconds) > CLOCK_OFF_SECONDS;
  const followsSun =
    sunCorrelation !== null && sunCorrelation >= SUN_CORRELATION && sunnySlots >= SUNNY_SLOTS;
  const rules = ['falling_register', 'beyond_connection', 'outlier'] as const;
  return [
    ...(silentSeconds === null || silentSeconds > DEAD_SECONDS ? (['dead'] as const) : []),
    ...(isFrozen(figures) ? (['frozen'] as const) : []),
    ...(followsSun ? (['follows_sun'] as const) : []),
    ...rules.filter((rule) => (figures.suspects[rule] ?? 0) > 0),
    ...(isOff ? (['clock_off'] as const) : []),
  ];
}

function isFrozen({ repeatedWh, slotMinutes }: MeterFigures): boolean {
  return repeatedWh !== null && repeatedWh * 60 >= FROZEN_FROM_W * slotMinutes;
}
