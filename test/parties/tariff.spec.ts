import { describe, expect, test } from '@jest/globals';
import type { TariffVersion } from '../../src/parties/microgrid.js';
import { tariffIn } from '../../src/parties/tariff.js';

/** Time of day in the microgrid's own time zone, and versions in order. */

function version(validFrom: string, retailByMinute: Record<number, number>): TariffVersion {
  const bands = Object.entries(retailByMinute).map(([minute, retail]) => ({
    fromMinute: Number(minute),
    retailMicroPerKwh: retail,
    feedInMicroPerKwh: 1,
    gridFeeMicroPerKwh: 0,
  }));
  return { validFrom, bands };
}

const VERSIONS = [
  version('2026-01-01T00:00:00Z', { 0: 200, 420: 300, 1320: 200 }),
  version('2026-07-01T00:00:00Z', { 0: 400 }),
];

describe('the tariff of a slot', () => {
  test.each([
    ['the first holds before it begins', 'UTC', '2025-12-31T12:00:00Z', 300],
    ['a night band', 'UTC', '2026-02-01T06:45:00Z', 200],
    ['a day band from its first minute', 'UTC', '2026-02-01T07:00:00Z', 300],
    [
      'the day in Berlin begins an hour earlier in winter',
      'Europe/Berlin',
      '2026-02-01T06:00:00Z',
      300,
    ],
    ['and two hours earlier in summer', 'Europe/Berlin', '2026-06-01T05:00:00Z', 300],
    ['a quarter to seven by Kathmandu time', 'Asia/Kathmandu', '2026-02-01T01:00:00Z', 200],
    ['the last slot of the old version', 'UTC', '2026-06-30T23:45:00Z', 200],
    ['midnight of the change', 'UTC', '2026-07-01T00:00:00Z', 400],
  ])('%s', (_, timeZone, at, retailMicroPerKwh) => {
    expect(tariffIn(VERSIONS, timeZone, at)).toMatchObject({ retailMicroPerKwh });
  });

  test('on the night the clocks go back, the doubled hour has the same band twice', () => {
    const versions = [version('2026-01-01T00:00:00Z', { 0: 200, 150: 250, 180: 300 })];
    const prices = ['2026-10-25T00:30:00Z', '2026-10-25T01:30:00Z', '2026-10-25T02:00:00Z'].map(
      (at) => tariffIn(versions, 'Europe/Berlin', at).retailMicroPerKwh,
    );
    expect(prices).toEqual([250, 250, 300]);
  });
});
