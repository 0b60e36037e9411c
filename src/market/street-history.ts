import type { MeteredFlow } from '../metering/measurement.js';
import type { Meter } from '../parties/microgrid.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { StreetHistory } from './autopilot.js';
import type { StreetEnergy } from './strategy.js';

/** What was measured on a street, arranged for the autopilot's forecasts. */

/** Usable Wh by household, of those asked that have a battery. */
export function batteriesOf(
  meters: readonly Meter[],
  householdIds: readonly string[],
): Map<string, number> {
  const asked = new Set(householdIds);
  const usable = new Map<string, number>();
  for (const { householdId, usableWh } of meters) {
    if (usableWh === null || !asked.has(householdId)) continue;
    usable.set(householdId, (usable.get(householdId) ?? 0) + usableWh);
  }
  return usable;
}

/**
 * @param flows of everyone, in some slots
 * @param ofBatteries of households whose batteries are planned, days on end
 * @param streets sums over everyone, days on end
 */
export function historyOf(
  flows: readonly MeteredFlow[],
  ofBatteries: readonly MeteredFlow[],
  streets: readonly (StreetEnergy & { slot: Instant })[],
): StreetHistory {
  const net = new Map<string, Map<number, number>>();
  const balance = new Map<string, Map<number, number>>();
  const street = new Map<number, StreetEnergy>(
    streets.map(({ slot, supplyWh, demandWh }) => [parseInstant(slot), { supplyWh, demandWh }]),
  );
  const keep = (series: typeof net, household: string, start: number, wh: number) => {
    const known = series.get(household) ?? new Map<number, number>();
    series.set(household, known.set(start, wh));
  };
  const sums = new Map<number, { supplyWh: number; demandWh: number }>();
  for (const { householdId, slot, netWh } of flows) {
    const start = parseInstant(slot);
    keep(net, householdId, start, netWh);
    const sum = sums.get(start) ?? { supplyWh: 0, demandWh: 0 };
    sums.set(start, sum);
    if (netWh > 0) sum.supplyWh += netWh;
    else sum.demandWh -= netWh;
  }
  for (const [start, sum] of sums) street.set(start, sum);
  for (const { householdId, slot, netWh, balanceWh } of ofBatteries) {
    keep(net, householdId, parseInstant(slot), netWh);
    keep(balance, householdId, parseInstant(slot), balanceWh);
  }
  return {
    net: (household) => (start) => net.get(household)?.get(start),
    balance: (household) => (start) => balance.get(household)?.get(start),
    street: (start) => street.get(start),
  };
}
