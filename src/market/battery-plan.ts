import { parseInstant } from '../units/slot.js';
import type { Forecast } from './forecast.js';
import {
  fixed,
  partOf,
  type Decision,
  type PlannedSlot,
  type Situation,
  type SlotAhead,
  type Storage,
  type StreetEnergy,
} from './strategy.js';

/**
 * The strategy of a household with a battery: charge, discharge and offers are planned together over
 * the slots ahead, so that energy is kept for when the street is short of it. Dynamic programming over
 * the battery's charge in whole steps of Wh; without a battery it quotes as `fixed` does.
 */
export function battery(situation: Situation): Decision {
  const { storage } = situation;
  const balance = storage?.ahead[0]?.balance;
  if (!storage || !balance) return fixed(situation);
  // What was planned for slots that nobody has measured yet is taken as done.
  const pending = pendingOf(situation, storage);
  const chargeWh = pending.reduce(
    (charge, planned) => within(charge + storedWh(planned), storage.usableWh),
    storage.chargeWh,
  );
  const plan = planBattery({ ...storage, chargeWh });
  const [now] = plan;
  const shifted = shift(balance, now!.dischargeWh - now!.chargeWh);
  return {
    ...fixed({ ...situation, forecast: shifted }),
    plan,
    state: { pending: [...pending, now!] },
  };
}

function pendingOf({ state }: Situation, { chargedThrough }: Storage): PlannedSlot[] {
  const from = parseInstant(chargedThrough);
  const planned = (state['pending'] ?? []) as unknown as readonly PlannedSlot[];
  return planned.filter(({ slot }) => parseInstant(slot) >= from);
}

/** By how much a planned slot changes the charge. */
function storedWh({ chargeWh, dischargeWh }: PlannedSlot): number {
  return Math.floor((chargeWh * STORED_PERMILLE) / 1000) - dischargeWh;
}

function within(chargeWh: number, usableWh: number): number {
  return Math.min(usableWh, Math.max(0, chargeWh));
}

/** Levels of charge that a plan tells apart. */
const LEVELS = 40;
/** Hours in which a battery is filled or emptied: its power is not enrolled, most can do more. */
const FULL_HOURS = 4;
/** Of what goes in, this part can be taken out again. */
export const STORED_PERMILLE = 950;

/**
 * The plan that costs least, by the forecast. A kWh bought or sold is worth what the street's balance
 * at that time promises: the middle of the tariffs for the part that neighbors serve or take, the
 * tariff for the rest. What is left at the end is worth the feed-in tariff.
 * @returns one entry for each slot ahead; charge and discharge as the storage meter counts them
 * @example with sun at noon and neighbors short in the evening: charge at noon, discharge at seven
 */
export function planBattery(storage: Storage): PlannedSlot[] {
  const { usableWh, slotMinutes, ahead } = storage;
  const stepWh = Math.max(1, Math.floor(usableWh / LEVELS));
  const levels = Math.floor(usableWh / stepWh);
  const most = Math.max(1, Math.floor((usableWh * slotMinutes) / (FULL_HOURS * 60) / stepWh));
  const last = ahead.at(-1);
  // Worth of what is still to come, in micro-units times 1000, for each level; from the end backwards.
  let worth = Array.from(
    { length: levels + 1 },
    (_, level) => level * stepWh * (last?.tariff.feedInMicroPerKwh ?? 0),
  );
  const choices: number[][] = [];
  for (let index = ahead.length - 1; index >= 0; index -= 1) {
    const prices = pricesIn(ahead[index]!);
    const balanceWh = ahead[index]!.balance?.expectedWh ?? 0;
    const best = bestSteps(worth, most, (steps) => {
      const { chargeWh, dischargeWh } = flowsOf(steps, stepWh);
      const atGridWh = balanceWh - chargeWh + dischargeWh;
      return atGridWh * (atGridWh >= 0 ? prices.sell : prices.buy);
    });
    choices[index] = best.map(({ steps }) => steps);
    worth = best.map((choice) => choice.worth);
  }
  let level = Math.min(levels, Math.floor(storage.chargeWh / stepWh));
  return ahead.map(({ slot }, index) => {
    const steps = choices[index]![level]!;
    level += steps;
    return { slot, ...flowsOf(steps, stepWh) };
  });
}

/** For each level the change that is worth most, now and later; of equals the smallest. */
function bestSteps(
  worthAfter: readonly number[],
  most: number,
  worthNow: (steps: number) => number,
): { steps: number; worth: number }[] {
  const changes = Array.from({ length: 2 * most + 1 }, (_, index) => {
    // 0, 1, -1, 2, -2, ...
    const steps = Math.ceil(index / 2) * (index % 2 === 1 ? 1 : -1);
    return { steps, worth: worthNow(steps) };
  });
  return worthAfter.map((_, level) => {
    let best = { steps: 0, worth: -Infinity };
    for (const { steps, worth } of changes) {
      const after = worthAfter[level + steps];
      if (after !== undefined && worth + after > best.worth) best = { steps, worth: worth + after };
    }
    return best;
  });
}

/** Energy of a change of charge, as the storage meter counts it; charging loses some on the way. */
function flowsOf(steps: number, stepWh: number): { chargeWh: number; dischargeWh: number } {
  const changeWh = steps * stepWh;
  return changeWh > 0
    ? { chargeWh: Math.ceil((changeWh * 1000) / STORED_PERMILLE), dischargeWh: 0 }
    : { chargeWh: 0, dischargeWh: 0 - changeWh };
}

/** What a kWh is expected to cost and to bring, given how much of the street's energy finds a neighbor. */
function pricesIn({ street, tariff }: SlotAhead): { buy: number; sell: number } {
  const { retailMicroPerKwh: retail, feedInMicroPerKwh: feedIn, gridFeeMicroPerKwh: fee } = tariff;
  const middle = Math.floor((retail + feedIn) / 2);
  const [served, whole] = [
    Math.min(street.supplyWh, street.demandWh),
    { buyers: street.demandWh, sellers: street.supplyWh },
  ];
  return {
    buy: retail - share(Math.max(0, retail - middle - fee), served, whole.buyers, street),
    sell: feedIn + share(middle - feedIn, served, whole.sellers, street),
  };
}

/** A side that nobody was on is served in full by whoever is on the other. */
function share(difference: number, served: number, side: number, street: StreetEnergy): number {
  if (side === 0) return street.supplyWh + street.demandWh > 0 ? difference : 0;
  return partOf(difference, served, side);
}

function shift({ expectedWh, outcomesWh }: Forecast, byWh: number): Forecast {
  return { expectedWh: expectedWh + byWh, outcomesWh: outcomesWh.map((wh) => wh + byWh) };
}
