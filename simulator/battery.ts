/**
 * A home battery and its plan: what part of the sun's surplus it keeps and what part of a shortage it
 * covers. Settlements change the plan; the battery never holds more than it can use, nor less than nothing.
 */
export interface Battery {
  usableWh: number;
  powerW: number;
}

export interface BatteryPlan {
  /** Part of a surplus that is charged rather than offered to the neighbors. */
  chargePermille: number;
  /** Part of a shortage that is discharged rather than bought. */
  dischargePermille: number;
}

export interface BatteryCharge {
  chargeWh: number;
  /** Stored energy below a Wh, in thousandths, carried to the next step. */
  restPermille: number;
}

export interface BatteryStep {
  chargedWh: number;
  dischargedWh: number;
  charge: BatteryCharge;
}

export const FIRST_PLAN: BatteryPlan = { chargePermille: 500, dischargePermille: 700 };

/** Of what the storage meter counts as charged, this part can be discharged again. */
const STORED_PERMILLE = 950;

/**
 * One step of the battery.
 * @param surplusWh the sun's energy beyond the load in the step; negative for a shortage
 * @returns what its meter counts, and the charge after the step
 */
export function stepBattery(
  battery: Battery,
  charge: BatteryCharge,
  plan: BatteryPlan,
  surplusWh: number,
  minutes: number,
): BatteryStep {
  const mostWh = Math.floor((battery.powerW * minutes) / 60);
  if (surplusWh >= 0) {
    const wantedWh = Math.floor((surplusWh * plan.chargePermille) / 1000);
    const roomPermille = (battery.usableWh - charge.chargeWh) * 1000 - charge.restPermille;
    const fitsWh = Math.max(Math.floor(roomPermille / STORED_PERMILLE), 0);
    const chargedWh = Math.min(wantedWh, mostWh, fitsWh);
    const stored = chargedWh * STORED_PERMILLE + charge.restPermille;
    return {
      chargedWh,
      dischargedWh: 0,
      charge: {
        chargeWh: charge.chargeWh + Math.floor(stored / 1000),
        restPermille: stored % 1000,
      },
    };
  }
  const wantedWh = Math.floor((-surplusWh * plan.dischargePermille) / 1000);
  const dischargedWh = Math.min(wantedWh, mostWh, charge.chargeWh);
  return {
    chargedWh: 0,
    dischargedWh,
    charge: { ...charge, chargeWh: charge.chargeWh - dischargedWh },
  };
}

/** What a plan learns from: the energy of one settlement of the household. */
export interface SettledEnergy {
  toNeighborsWh: number;
  toGridWh: number;
  fromNeighborsWh: number;
  fromGridWh: number;
}

/**
 * The plan after a settlement. Selling to the grid earns least, so a household that did it keeps more
 * of its surplus; buying from the grid costs most, so one that did it discharges more. While
 * neighbors took or gave everything, the battery steps back a little and leaves them the trade.
 */
export function replan(plan: BatteryPlan, settled: SettledEnergy): BatteryPlan {
  let { chargePermille, dischargePermille } = plan;
  if (settled.toGridWh > 0) chargePermille += 100;
  else if (settled.toNeighborsWh > 0) chargePermille -= 50;
  if (settled.fromGridWh > 0) dischargePermille += 100;
  else if (settled.fromNeighborsWh > 0) dischargePermille -= 50;
  return {
    chargePermille: Math.min(Math.max(chargePermille, 200), 1000),
    dischargePermille: Math.min(Math.max(dischargePermille, 300), 1000),
  };
}
