import { safeInteger } from '../src/units/integer.js';

/**
 * Cumulative registers, in whole Wh: what the meters of a household show after each interval. They only
 * ever grow.
 */
export interface GridRegisters {
  importWh: number;
  exportWh: number;
}

export interface HouseholdRegisters extends GridRegisters {
  /** Of the generation meter. */
  generatedWh: number;
  /** Of the storage meter. */
  chargedWh: number;
  dischargedWh: number;
}

export const ZERO_REGISTERS: HouseholdRegisters = {
  importWh: 0,
  exportWh: 0,
  generatedWh: 0,
  chargedWh: 0,
  dischargedWh: 0,
};

const REGISTERS = Object.keys(ZERO_REGISTERS) as (keyof HouseholdRegisters)[];

/**
 * What the grid meter counts in an interval: the net of what came into the house and what left it.
 * @example netFlow({ inWh: 300, outWh: 1_000 }) // { importWh: 0, exportWh: 700 }
 */
export function netFlow({ inWh, outWh }: { inWh: number; outWh: number }): GridRegisters {
  return { importWh: Math.max(inWh - outWh, 0), exportWh: Math.max(outWh - inWh, 0) };
}

/** The registers after an interval. @throws RangeError when a flow is negative or not whole */
export function advanceRegisters(
  before: HouseholdRegisters,
  flows: HouseholdRegisters,
): HouseholdRegisters {
  const after = { ...ZERO_REGISTERS };
  for (const register of REGISTERS) {
    if (flows[register] < 0) throw new RangeError(`${register} would fall by ${-flows[register]}`);
    after[register] = safeInteger(before[register] + flows[register], register);
  }
  return after;
}

/** The registers after an interval with a measured load and a measured generation. */
export function advanceMeasured(
  before: HouseholdRegisters,
  loadWh: number,
  pvWh: number,
): HouseholdRegisters {
  return advanceRegisters(before, {
    ...ZERO_REGISTERS,
    ...netFlow({ inWh: loadWh, outWh: pvWh }),
    generatedWh: pvWh,
  });
}
