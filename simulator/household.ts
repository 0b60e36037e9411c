import { stepBattery, type Battery, type BatteryCharge, type BatteryPlan } from './battery.js';
import { carW, type ElectricCar } from './electric-car.js';
import { loadW, type LoadProfile } from './load.js';
import { advanceRegisters, netFlow, type HouseholdRegisters } from './registers.js';
import { solarW, type SolarArray } from './solar-array.js';
import { weatherAt, type Climate } from './weather.js';

/**
 * A simulated household: its devices, and what its meters show after a step of some minutes. In every
 * step sun + import + discharge = load + charge + export, exactly, in whole Wh.
 */
export interface SimulatedHousehold {
  household: string;
  alias: string;
  load: LoadProfile;
  solar: SolarArray | null;
  battery: Battery | null;
  cars: ElectricCar[];
  importLimitW: number;
  exportLimitW: number;
  sellAboveMicroPerKwh: number;
  buyBelowMicroPerKwh: number;
}

export interface HouseholdState {
  registers: HouseholdRegisters;
  battery: BatteryCharge;
  plan: BatteryPlan;
  /** Energy below a Wh, in watt-minutes (60 make a Wh), carried to the next step. */
  restLoadWattMinutes: number;
  restSolarWattMinutes: number;
  /** Average power in the last step: import, generation and charge are positive. */
  powerW: { grid: number; generation: number; storage: number };
}

export interface HouseholdFlows extends HouseholdRegisters {
  loadWh: number;
}

/**
 * The household after one step.
 * @param from the step's start, epoch milliseconds
 * @param minutes its length; weather and devices are taken at its middle
 */
export function stepHousehold(
  household: SimulatedHousehold,
  before: HouseholdState,
  climate: Climate,
  from: number,
  minutes: number,
): { state: HouseholdState; flows: HouseholdFlows } {
  const middle = from + minutes * 30_000;
  const weather = weatherAt(climate, middle);
  const usedW =
    loadW(household.load, weather, middle) +
    household.cars.reduce((watts, car) => watts + carW(car, middle), 0);
  const sunW = household.solar ? solarW(household.solar, climate, weather, middle) : 0;

  const load = wholeWh(usedW * minutes + before.restLoadWattMinutes);
  const sun = wholeWh(sunW * minutes + before.restSolarWattMinutes);
  const battery = household.battery
    ? stepBattery(household.battery, before.battery, before.plan, sun.wh - load.wh, minutes)
    : { chargedWh: 0, dischargedWh: 0, charge: before.battery };
  const flows: HouseholdFlows = {
    ...netFlow({ inWh: load.wh + battery.chargedWh, outWh: sun.wh + battery.dischargedWh }),
    generatedWh: sun.wh,
    chargedWh: battery.chargedWh,
    dischargedWh: battery.dischargedWh,
    loadWh: load.wh,
  };
  const storageW = wattsOf(battery.chargedWh - battery.dischargedWh, minutes);
  return {
    flows,
    state: {
      registers: advanceRegisters(before.registers, flows),
      battery: battery.charge,
      plan: before.plan,
      restLoadWattMinutes: load.restWattMinutes,
      restSolarWattMinutes: sun.restWattMinutes,
      powerW: { grid: usedW - sunW + storageW, generation: sunW, storage: storageW },
    },
  };
}

function wholeWh(wattMinutes: number): { wh: number; restWattMinutes: number } {
  return { wh: Math.floor(wattMinutes / 60), restWattMinutes: wattMinutes % 60 };
}

function wattsOf(wh: number, minutes: number): number {
  return Math.round((wh * 60) / minutes);
}
