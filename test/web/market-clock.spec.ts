import { describe, expect, test } from '@jest/globals';
import { marketNow, newMarketClock, observe, paceOf } from '../../web/src/market-clock.js';

const QUARTER = 15 * 60_000;

/** A simulated clock seen at these [wall, market] seconds. */
function seen(...sightings: [wall: number, market: number][]) {
  return sightings.reduce(
    (clock, [wall, market]) =>
      observe(clock, { wallMillis: wall * 1000, marketMillis: market * 1000 }),
    newMarketClock('simulated'),
  );
}

describe('a system clock', () => {
  test('is ours with its offset, taken from the sighting that arrived fastest', () => {
    let clock = newMarketClock('system');
    expect(marketNow(clock, 0)).toBeNull();
    clock = observe(clock, { marketMillis: 10_000, wallMillis: 10_300 });
    clock = observe(clock, { marketMillis: 20_000, wallMillis: 20_050 });
    clock = observe(clock, { marketMillis: 29_000, wallMillis: 30_000 });
    expect(marketNow(clock, 40_050)).toBe(40_000);
    expect(paceOf(clock)).toBe(1);
  });
});

describe('a simulated clock', () => {
  test('stands where it was seen until its pace is known', () => {
    expect(paceOf(seen([0, 0]))).toBeNull();
    expect(marketNow(seen([0, 36_000]), 5_000)).toBe(36_000_000);
  });

  test('has the pace that was seen, and runs on between sightings', () => {
    const clock = seen([0, 0], [10, 900], [20, 1_800]);
    expect(paceOf(clock)).toBe(90);
    expect(marketNow(clock, 20_000)).toBe(2 * QUARTER);
    expect(marketNow(clock, 25_000)).toBe(2.5 * QUARTER);
  });

  test('stands still when nothing comes any more', () => {
    const clock = seen([0, 0], [10, 900], [20, 1_800]);
    expect(marketNow(clock, 300_000)).toBe(2 * QUARTER + 1.25 * QUARTER);
  });

  test('never hears anything from a sighting that is not ahead', () => {
    const clock = seen([0, 0], [10, 900]);
    expect(observe(clock, { wallMillis: 11_000, marketMillis: 800_000 })).toBe(clock);
    expect(observe(clock, { wallMillis: 11_000, marketMillis: 900_000 })).toBe(clock);
  });

  test('takes no pace from two sightings in the same moment', () => {
    expect(paceOf(seen([10, 0], [10.004, 900]))).toBeNull();
  });

  test('forgets how fast it once was', () => {
    const clock = seen([0, 0], [10, 9_000], [120, 9_100], [130, 9_110], [140, 9_120]);
    expect(paceOf(clock)).toBe(1);
  });
});
