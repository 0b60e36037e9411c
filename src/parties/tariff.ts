/** Which tariff holds at an instant: the newest version begun by then, and its band of the local day. */

import type { Instant } from '../units/slot.js';
import { parseInstant } from '../units/slot.js';
import type { Tariff, TariffBand, TariffVersion } from './microgrid.js';

/**
 * The tariff a slot starting at `at` is settled with. Before the first version the first holds, so
 * that a microgrid that has not started yet can be shown.
 * @param versions in order of validFrom, at least one
 * @throws RangeError when there is no version
 */
export function tariffIn(
  versions: readonly TariffVersion[],
  timeZone: string,
  at: Instant,
): Tariff {
  const atMillis = parseInstant(at);
  const begun = versions.filter((version) => parseInstant(version.validFrom) <= atMillis);
  const version = begun.at(-1) ?? versions[0];
  if (!version) throw new RangeError('a microgrid without a tariff');
  const { retailMicroPerKwh, feedInMicroPerKwh, gridFeeMicroPerKwh } = bandAt(
    version.bands,
    localMinute(atMillis, timeZone),
  );
  return { retailMicroPerKwh, feedInMicroPerKwh, gridFeeMicroPerKwh };
}

/** The last band begun by that minute of the day; before the first band, yesterday's last. */
function bandAt(bands: readonly TariffBand[], minute: number): TariffBand {
  const ordered = [...bands].sort((a, b) => a.fromMinute - b.fromMinute);
  const band = ordered.filter((one) => one.fromMinute <= minute).at(-1) ?? ordered.at(-1);
  if (!band) throw new RangeError('a tariff version without bands');
  return band;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

/** Minutes since local midnight by the wall clock of the zone, so that a band follows summer time. */
export function localMinute(epochMillis: number, timeZone: string): number {
  let clock = clocks.get(timeZone);
  if (!clock) {
    clock = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    clocks.set(timeZone, clock);
  }
  const [hour, minute] = clock.format(epochMillis).split(':').map(Number);
  return hour! * 60 + minute!;
}

/** Whether the runtime knows this IANA time zone. */
export function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone });
    return true;
  } catch {
    return false;
  }
}
