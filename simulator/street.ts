import { replan, type SettledEnergy } from './battery.js';
import { stepHousehold, type HouseholdState, type SimulatedHousehold } from './household.js';
import { firstState, metersOf, STREET_LATITUDE_DEGREES } from './neighborhood.js';
import { formatInstant } from '../src/units/slot.js';

/** The whole street as values: its state at an instant, the next one, and what its meters then publish. */
export interface Street {
  seed: string;
  microgrid: string;
  stepMinutes: number;
  /** Epoch milliseconds. */
  at: number;
  households: Record<string, HouseholdState>;
}

/** The street at the end of its next step. */
export function stepStreet(street: Street, households: readonly SimulatedHousehold[]): Street {
  const climate = { seed: street.seed, latitudeDegrees: STREET_LATITUDE_DEGREES };
  return {
    ...street,
    at: street.at + street.stepMinutes * 60_000,
    households: Object.fromEntries(
      households.map((household) => [
        household.household,
        stepHousehold(
          household,
          street.households[household.household]!,
          climate,
          street.at,
          street.stepMinutes,
        ).state,
      ]),
    ),
  };
}

/** The street before its first step. */
export function firstStreet(
  street: Omit<Street, 'households'>,
  households: readonly SimulatedHousehold[],
): Street {
  return {
    ...street,
    households: Object.fromEntries(
      households.map((household) => [household.household, firstState(household)]),
    ),
  };
}

/** The street after a household heard of a settlement; the same object where no plan changed. */
export function learn(street: Street, household: string, settled: SettledEnergy): Street {
  const state = street.households[household];
  if (!state) return street;
  const plan = replan(state.plan, settled);
  if (
    plan.chargePermille === state.plan.chargePermille &&
    plan.dischargePermille === state.plan.dischargePermille
  ) {
    return street;
  }
  return { ...street, households: { ...street.households, [household]: { ...state, plan } } };
}

/**
 * What every meter publishes at the street's instant. `powerW` is the average of the last step: import,
 * generation and charge are positive, export and discharge negative.
 */
export function messagesOf(
  street: Street,
  households: readonly SimulatedHousehold[],
): { meter: string; topic: string; payload: string }[] {
  const readAt = formatInstant(street.at);
  return households.flatMap((household) => {
    const { registers, powerW } = street.households[household.household]!;
    const shown = {
      grid: { importWh: registers.importWh, exportWh: registers.exportWh },
      generation: { importWh: 0, exportWh: registers.generatedWh },
      storage: { importWh: registers.chargedWh, exportWh: registers.dischargedWh },
    };
    return metersOf(household).map(({ meter, role }) => ({
      meter,
      topic: `microgrids/${street.microgrid}/meters/${meter}/readings`,
      payload: JSON.stringify({ readAt, ...shown[role], powerW: powerW[role] }),
    }));
  });
}
