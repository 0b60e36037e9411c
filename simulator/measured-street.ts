import { largestRemainder } from '../src/units/integer.js';
import type { SlotMinutes } from '../src/units/slot.js';

/** Measured energy of households in intervals of equal length, and the same in shorter ones. */
export interface MeasuredStreet {
  /** Length of the intervals below. */
  stepMinutes: number;
  /** Length of the intervals in the file when they were split, else null: these values are derived. */
  derivedFromMinutes: number | null;
  /** Start of the first interval, epoch milliseconds. */
  startsAt: number;
  intervals: number;
  households: MeasuredHousehold[];
}

export interface MeasuredHousehold {
  household: string;
  /** One value an interval; null is a gap. Load and generation are missing together. */
  loadWh: (number | null)[];
  pvWh: (number | null)[];
}

/**
 * The same street in intervals of a slot, where the slot is shorter than the step: every interval is
 * split evenly by largest remainder, so that its sum is kept.
 * @throws RangeError when the slot does not divide the step
 */
export function splitIntervals(street: MeasuredStreet, slotMinutes: SlotMinutes): MeasuredStreet {
  if (slotMinutes >= street.stepMinutes) return street;
  if (street.stepMinutes % slotMinutes !== 0) {
    throw new RangeError(`slots of ${slotMinutes} min do not divide ${street.stepMinutes} min`);
  }
  const parts = street.stepMinutes / slotMinutes;
  const evenly = Array.from({ length: parts }, () => 1);
  const split = (values: (number | null)[]) =>
    values.flatMap((wh) => (wh === null ? evenly.map(() => null) : largestRemainder(wh, evenly)));
  return {
    stepMinutes: slotMinutes,
    derivedFromMinutes: street.stepMinutes,
    startsAt: street.startsAt,
    intervals: street.intervals * parts,
    households: street.households.map(({ household, loadWh, pvWh }) => ({
      household,
      loadWh: split(loadWh),
      pvWh: split(pvWh),
    })),
  };
}
