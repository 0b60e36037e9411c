import type { MeasuredHousehold, MeasuredStreet } from './measured-street.js';
import { randomFrom, shuffled } from './random.js';
import { advanceMeasured, netFlow, ZERO_REGISTERS } from './registers.js';

/**
 * A measured street as its meters would have told it: step by step, the readings due at each border,
 * and the most that neighbors could have traded.
 */
export interface MeterReading {
  meter: string;
  importWh: number;
  exportWh: number;
}

export interface ReadingStep {
  /** Epoch milliseconds. */
  at: number;
  readings: MeterReading[];
}

/**
 * All steps in order, from the border before the first interval to the one after the last. A household
 * reads its meters before its first measured interval and after every measured one; a gap has no
 * reading at its end.
 */
export function* readingSteps(street: MeasuredStreet): Generator<ReadingStep> {
  const registers = street.households.map(() => ZERO_REGISTERS);
  const firsts = street.households.map(firstMeasured);
  for (let border = 0; border <= street.intervals; border += 1) {
    const readings: MeterReading[] = [];
    street.households.forEach((household, index) => {
      const loadWh = household.loadWh[border - 1] ?? null;
      const pvWh = household.pvWh[border - 1] ?? null;
      const measured = loadWh !== null && pvWh !== null;
      if (measured) registers[index] = advanceMeasured(registers[index]!, loadWh, pvWh);
      if (!measured && border !== firsts[index]) return;
      const { importWh, exportWh, generatedWh } = registers[index]!;
      readings.push(
        { meter: gridMeterOf(household.household), importWh, exportWh },
        { meter: generationMeterOf(household.household), importWh: 0, exportWh: generatedWh },
      );
    });
    yield { at: street.startsAt + border * street.stepMinutes * 60_000, readings };
  }
}

/** The interval with the first values of a household; a street holds only households that have one. */
export function firstMeasured(household: MeasuredHousehold): number {
  return household.loadWh.findIndex((wh) => wh !== null);
}

export function gridMeterOf(household: string): string {
  return `${household}-grid`;
}

export function generationMeterOf(household: string): string {
  return `${household}-pv`;
}

/** The sum over slots of min(total net import, total net export), in Wh. */
export function matchableWh(street: MeasuredStreet, slotMinutes: number): number {
  const perSlot = Math.max(slotMinutes / street.stepMinutes, 1);
  // Slots lie on the UTC grid; the first may begin before the data.
  const offset = (street.startsAt / (street.stepMinutes * 60_000)) % perSlot;
  let total = 0;
  for (let slot = 0; slot * perSlot - offset < street.intervals; slot += 1) {
    const from = Math.max(slot * perSlot - offset, 0);
    const to = slot * perSlot - offset + perSlot;
    let importsWh = 0;
    let exportsWh = 0;
    for (const { loadWh, pvWh } of street.households) {
      const net = netFlow({ inWh: sum(loadWh, from, to), outWh: sum(pvWh, from, to) });
      importsWh += net.importWh;
      exportsWh += net.exportWh;
    }
    total += Math.min(importsWh, exportsWh);
  }
  return total;
}

export interface Chaos {
  duplicate: boolean;
  shuffle: boolean;
}

/** How far a shuffled message can land from its place. */
const SHUFFLE_WINDOW = 50;

/** The messages of a step as an unruly network delivers them; the same seed, the same disorder. */
export function withChaos<T>(messages: readonly T[], chaos: Chaos, seed: string): T[] {
  const sent = chaos.duplicate ? messages.flatMap((message) => [message, message]) : [...messages];
  if (!chaos.shuffle) return sent;
  const random = randomFrom(seed);
  const result: T[] = [];
  for (let start = 0; start < sent.length; start += SHUFFLE_WINDOW) {
    result.push(...shuffled(sent.slice(start, start + SHUFFLE_WINDOW), random));
  }
  return result;
}

function sum(values: readonly (number | null)[], from: number, to: number): number {
  let total = 0;
  for (let index = from; index < to && index < values.length; index += 1) {
    total += values[index] ?? 0;
  }
  return total;
}
