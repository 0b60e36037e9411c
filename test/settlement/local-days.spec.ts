import { describe, expect, test } from '@jest/globals';
import { tariffIn } from '../../src/parties/tariff.js';
import { dayAt, monthAt, monthOf } from '../../src/settlement/statement.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';

/** Days on which clocks change have 92 or 100 quarters, and every quarter has its month and its price. */

const QUARTER = 900_000;

/** The quarters of a month by the local day they lie in. */
function quartersByDay(month: string, timeZone: string): Map<string, number> {
  const { from, to } = monthOf(month, timeZone);
  const days = new Map<string, number>();
  for (let at = parseInstant(from); at < parseInstant(to); at += QUARTER) {
    expect(monthAt(at, timeZone)).toBe(month);
    const day = dayAt(at, timeZone);
    days.set(day, (days.get(day) ?? 0) + 1);
  }
  return days;
}

describe.each([
  ['Europe/Berlin', '2027-03-28', '2027-10-31'],
  ['Europe/London', '2027-03-28', '2027-10-31'],
  ['America/New_York', '2027-03-14', '2027-11-07'],
  ['Pacific/Auckland', '2027-09-26', '2027-04-04'],
])('in %s', (timeZone, shortDay, longDay) => {
  test('a local day has 92, 96 or 100 quarters, and a month all of its days', () => {
    for (const [day, quarters] of [
      [shortDay, 92],
      [longDay, 100],
    ] as const) {
      const days = quartersByDay(day.slice(0, 7), timeZone);
      expect(days.get(day)).toBe(quarters);
      expect([...days.values()].filter((count) => count !== 96)).toEqual([quarters]);
    }
  });

  test('months meet without a gap, and each band of the day has the quarters that its hours have', () => {
    const months = Array.from({ length: 12 }, (_, index) =>
      monthOf(`2027-${String(index + 1).padStart(2, '0')}`, timeZone),
    );
    months.slice(1).forEach(({ from }, index) => expect(from).toBe(months[index]!.to));
    const band = (fromMinute: number, retailMicroPerKwh: number) => ({
      fromMinute,
      retailMicroPerKwh,
      feedInMicroPerKwh: 0,
      gridFeeMicroPerKwh: 0,
    });
    // Night until 06:00 takes in whatever hour is lost or doubled; the day keeps its 18 hours.
    const versions = [{ validFrom: '2026-01-01T00:00:00Z', bands: [band(0, 1), band(360, 2)] }];
    for (const [day, nightQuarters] of [
      [shortDay, 20],
      [longDay, 28],
    ] as const) {
      const { from, to } = monthOf(day.slice(0, 7), timeZone);
      const prices = { 1: 0, 2: 0 };
      for (let at = parseInstant(from); at < parseInstant(to); at += QUARTER) {
        if (dayAt(at, timeZone) !== day) continue;
        const { retailMicroPerKwh } = tariffIn(versions, timeZone, formatInstant(at));
        prices[retailMicroPerKwh as 1 | 2] += 1;
      }
      expect(prices).toEqual({ 1: nightQuarters, 2: 72 });
    }
  });
});
