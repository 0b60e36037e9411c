import { FIRST_PLAN } from './battery.js';
import type { HouseholdState, SimulatedHousehold } from './household.js';
import { randomFrom, type Random } from './random.js';
import { ZERO_REGISTERS } from './registers.js';

/**
 * The street: households with differing roofs, batteries, cars and price limits. The same seed
 * gives the same street, and with the same plans the same day, to the byte.
 */
export function neighborhood(seed: string, households: number): SimulatedHousehold[] {
  return Array.from({ length: households }, (_, index) => householdAt(seed, index));
}

/** Where the street lies. */
export const STREET_LATITUDE_DEGREES = 47;

/** A household before its first step: empty registers, the battery a third full. */
export function firstState(household: SimulatedHousehold): HouseholdState {
  return {
    registers: ZERO_REGISTERS,
    battery: { chargeWh: Math.floor((household.battery?.usableWh ?? 0) / 3), restPermille: 0 },
    plan: FIRST_PLAN,
    restLoadWattMinutes: 0,
    restSolarWattMinutes: 0,
    powerW: { grid: 0, generation: 0, storage: 0 },
  };
}

/** A meter of a simulated household, as it is enrolled. */
export interface StreetMeter {
  meter: string;
  role: 'grid' | 'generation' | 'storage';
  usableWh?: number;
}

/** Its meters: one at the grid, one for a roof, one for a battery. */
export function metersOf(household: SimulatedHousehold): StreetMeter[] {
  const meters: StreetMeter[] = [{ meter: `${household.household}-grid`, role: 'grid' }];
  if (household.solar) meters.push({ meter: `${household.household}-pv`, role: 'generation' });
  if (household.battery) {
    meters.push({
      meter: `${household.household}-battery`,
      role: 'storage',
      usableWh: household.battery.usableWh,
    });
  }
  return meters;
}

const TREES = (
  'Alder Ash Aspen Beech Birch Cedar Cherry Chestnut Elder Elm ' +
  'Hazel Hornbeam Juniper Larch Linden Maple Oak Pine Rowan Willow'
).split(' ');

// Who has what repeats every five houses, so that the smallest street already has a seller and a
// buyer; how much of it differs from house to house.
const EQUIPMENT = [
  { solar: true, battery: true, car: false },
  { solar: false, battery: false, car: false },
  { solar: true, battery: false, car: true },
  { solar: false, battery: false, car: true },
  { solar: true, battery: true, car: false },
] as const;

function householdAt(seed: string, index: number): SimulatedHousehold {
  const household = `house-${String(index + 1).padStart(2, '0')}`;
  const stream = `${seed}/${household}`;
  const random = randomFrom(stream);
  const has = EQUIPMENT[index % EQUIPMENT.length]!;
  const round = Math.floor(index / TREES.length);
  return {
    household,
    alias: `${TREES[index % TREES.length]!}${round === 0 ? '' : ` ${round + 1}`}`,
    load: {
      stream,
      baseW: random.between(90, 260),
      activityW: random.between(350, 1100),
      heatPumpW: index % 4 === 1 ? random.between(1200, 2400) : 0,
    },
    solar: has.solar
      ? { peakW: random.between(30, 98) * 100, facesLaterMinutes: random.between(-6, 6) * 15 }
      : null,
    battery: has.battery
      ? { usableWh: random.between(10, 27) * 500, powerW: random.between(25, 50) * 100 }
      : null,
    cars: has.car
      ? [
          {
            stream: `${stream}/car`,
            chargerW: pick(random, [2300, 3700, 11_000]),
            habit: habitOf(index),
          },
        ]
      : [],
    importLimitW: pick(random, [13_800, 17_250, 24_150]),
    exportLimitW: pick(random, [10_000, 13_800, 17_250]),
    // In hundredths of the currency: nobody sells below 0.06 nor buys above 0.30, and most overlap.
    sellAboveMicroPerKwh: random.between(6, 16) * 10_000,
    buyBelowMicroPerKwh: random.between(18, 30) * 10_000,
  };
}

function pick(random: Random, choices: readonly number[]): number {
  return choices[random.between(0, choices.length - 1)]!;
}

function habitOf(index: number): 'noon' | 'evening' {
  return index % 2 === 0 ? 'evening' : 'noon';
}
