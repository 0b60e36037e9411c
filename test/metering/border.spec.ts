import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  estimateEnd,
  estimateEnergy,
  registerAt,
  surroundings,
} from '../../src/metering/border.js';
import type { PastSlot, RegisterReading } from '../../src/metering/border.js';
import { DEFAULT_CONNECTION_W, judge } from '../../src/metering/plausibility.js';
import { isOutdated, slotBorders } from '../../src/metering/slot-borders.js';
import type { Evidence, SlotBorders } from '../../src/metering/slot-borders.js';
import { floorToWh } from '../../src/units/energy.js';
import { formatInstant } from '../../src/units/slot.js';

const at = (atMillis: number, wh: number): RegisterReading => ({
  atMillis,
  microWh: BigInt(Math.round(wh * 1e6)),
});

/** Those that count, of readings in any order. */
const goodOf = (readings: readonly RegisterReading[]) =>
  judge(
    readings.toSorted((a, b) => a.atMillis - b.atMillis),
    null,
    DEFAULT_CONNECTION_W,
  ).good;

it('never gives a Wh before all of it has flowed', () => {
  // A third of 5.999999 Wh.
  const readings = [at(0, 0), at(3, 5.999999)];
  expect(registerAt(1, surroundings(1, readings))).toMatchObject({ valueWh: 1 });
});

it.each([
  ['on the border', 60, [at(60, 7.9)], 7, 'measured'],
  ['between two', 60, [at(0, 0), at(120, 9)], 4, 'interpolated'],
  ['nearest two count', 60, [at(0, 0), at(30, 6), at(90, 8), at(999, 99)], 7, 'interpolated'],
  ['a low one between good ones', 60, [at(0, 1), at(50, 0), at(120, 3)], 2, 'interpolated'],
  ['a low one on the border', 60, [at(0, 1), at(60, 0), at(120, 3)], 2, 'interpolated'],
  ['zeros after every reading', 60, [at(0, 4), at(1, 0), at(60, 6), at(61, 0)], 6, 'measured'],
])('%s', (_, border, readings, valueWh, quality) => {
  expect(registerAt(border, surroundings(border, goodOf(readings)))).toMatchObject({
    valueWh,
    quality,
  });
});

it.each([
  ['nothing before', [at(61, 5)]],
  ['nothing after', [at(59, 5)]],
  ['only a lower one after', [at(59, 5), at(61, 4)]],
  ['nothing', []],
])('is not derivable with %s', (_, readings) => {
  expect(registerAt(60, surroundings(60, goodOf(readings)))).toBeNull();
});

const monotone = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.bigInt(0n, 5_000_000n)), {
    minLength: 2,
    maxLength: 30,
  })
  .map((steps) => {
    let atMillis = 0;
    let microWh = 123_456_789n;
    return steps.map(([millis, micro]) => {
      atMillis += millis;
      microWh += micro;
      return { atMillis, microWh };
    });
  });

it('telescopes for any readings and any cutting of the time axis', () => {
  fc.assert(
    fc.property(
      monotone,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      (readings, cuts) => {
        const first = readings[0]!;
        const last = readings.at(-1)!;
        const span = last.atMillis - first.atMillis;
        const borders = cuts
          .map((cut) => Math.floor(first.atMillis + cut * span))
          .concat(first.atMillis, last.atMillis)
          .sort((a, b) => a - b);
        const values = borders.map((border) => {
          const value = registerAt(border, surroundings(border, goodOf(readings)));
          return value!.valueWh;
        });
        const energies = values.slice(1).map((value, index) => value - values[index]!);
        expect(Math.min(0, ...energies)).toBe(0);
        expect(energies.reduce((sum, energy) => sum + energy, 0)).toBe(
          floorToWh(last.microWh) - floorToWh(first.microWh),
        );
      },
    ),
  );
});

const anyReadings = fc
  .uniqueArray(fc.tuple(fc.nat(1_000), fc.nat(100)), { selector: ([millis]) => millis })
  .map((pairs) => pairs.map(([millis, wh]) => at(millis, wh)));

it('never falls, whatever is read', () => {
  fc.assert(
    fc.property(anyReadings, fc.nat(1_000), fc.nat(1_000), (readings, a, b) => {
      const [earlier, later] = [Math.min(a, b), Math.max(a, b)];
      const good = goodOf(readings);
      const start = registerAt(earlier, surroundings(earlier, good));
      const end = registerAt(later, surroundings(later, good));
      if (start && end) expect(end.valueWh).toBeGreaterThanOrEqual(start.valueWh);
      const real = good.map(({ microWh }) => microWh);
      expect(real).toEqual(real.toSorted((x, y) => (x < y ? -1 : x > y ? 1 : 0)));
    }),
  );
});

/** Evidence as the naive reading of all readings gives it: the twin of the store's statement. */
function evidenceOf(
  readings: readonly RegisterReading[],
  slotStart: number,
  slotEnd: number,
  carried: SlotBorders | null,
): Evidence {
  const real = goodOf(readings);
  const inside = real.filter(({ atMillis }) => atMillis > slotStart && atMillis <= slotEnd);
  return {
    meterId: 'm1',
    register: 'import',
    slotStart: formatInstant(slotStart),
    slotEnd: formatInstant(slotEnd),
    carried: carried?.end ?? null,
    beforeStart: real.findLast(({ atMillis }) => atMillis <= slotStart) ?? null,
    firstInside: inside[0] ?? null,
    lastInside: inside.at(-1) ?? null,
    afterEnd: real.find(({ atMillis }) => atMillis > slotEnd) ?? null,
    anchor: null,
  };
}

const SLOT = 100;
const SLOTS = 11;

/** Closes all slots one by one with the readings that had come by then, then corrects what is due. */
function settleLive(readings: readonly RegisterReading[], arrivals: readonly number[]) {
  const settled: SlotBorders[] = [];
  const evidence = (index: number, known: readonly RegisterReading[]) =>
    evidenceOf(known, index * SLOT, (index + 1) * SLOT, settled[index - 1] ?? null);
  for (let index = 0; index < SLOTS; index += 1) {
    const known = readings.filter((_, reading) => arrivals[reading]! <= index);
    settled[index] = slotBorders(evidence(index, known), { energyWh: 3 });
  }
  for (let index = 0; index < SLOTS; index += 1) {
    const now = slotBorders(evidence(index, readings), { energyWh: 3 });
    if (isOutdated(settled[index]!, now)) settled[index] = now;
  }
  return settled;
}

it('settles to the same energy whenever readings came, once corrected', () => {
  fc.assert(
    fc.property(
      anyReadings,
      fc.array(fc.nat(SLOTS), { minLength: 200, maxLength: 200 }),
      (readings, arrivals) => {
        const settled = settleLive(readings, arrivals);
        const real = goodOf(readings);
        settled.forEach(({ start, end }, index) => {
          if (!start) return;
          expect(end!.valueWh).toBeGreaterThanOrEqual(start.valueWh);
          // A border is one value for both slots that touch it.
          const next = settled[index + 1]?.start;
          if (next) expect(end).toMatchObject({ valueWh: next.valueWh, quality: next.quality });
          const given = registerAt((index + 1) * SLOT, surroundings((index + 1) * SLOT, real));
          if (given) expect(end!.valueWh).toBe(given.valueWh);
        });
      },
    ),
  );
});

it('does not carry a first reading over that turned out not to count', () => {
  const [high, low, same] = [at(0, 2), at(101, 1), at(200, 1)];
  const early = slotBorders(evidenceOf([high, same], 0, SLOT, null), { energyWh: 3 });
  expect(early.end).toMatchObject({ valueWh: 5, quality: 'estimated' });
  const { start, end } = slotBorders(evidenceOf([high, low, same], SLOT, 2 * SLOT, early), {
    energyWh: 3,
  });
  expect(start).toBeNull();
  expect(end).toMatchObject({ valueWh: 1, quality: 'measured' });
});

const past = (
  startWh: number | null,
  endWh: number,
  quality: 'measured' | 'estimated',
): PastSlot => ({
  startWh,
  startQuality: startWh === null ? null : 'measured',
  endWh,
  endQuality: quality,
});

it.each([
  ['yesterday, if it was metered', past(0, 40, 'measured'), past(40, 47, 'measured'), 40],
  ['else the slot before', past(0, 40, 'estimated'), past(40, 47, 'estimated'), 7],
  ['else nothing', null, null, 0],
  ['nothing, where the slot before has no start', null, past(null, 47, 'measured'), 0],
])('estimates like %s', (_, yesterday, previous, energyWh) => {
  expect(estimateEnergy(yesterday, previous)).toBe(energyWh);
});

it('never estimates below what the register has shown', () => {
  expect(estimateEnd(100, { energyWh: 5 }, at(0, 120.5))).toMatchObject({
    valueWh: 120,
    quality: 'estimated',
  });
  expect(estimateEnd(100, { energyWh: 5 }, at(0, 90))).toMatchObject({
    valueWh: 105,
    quality: 'estimated',
  });
});
