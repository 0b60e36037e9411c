/**
 * What the market's clock says now, estimated from sightings of it. A system clock runs at the pace
 * of ours and only needs its offset; a simulated clock advances in steps at a pace of its own.
 */

/** The market's clock read as `marketMillis` when ours read `wallMillis` (both epoch ms). */
export interface Sighting {
  marketMillis: number;
  wallMillis: number;
}

export interface MarketClock {
  mode: 'system' | 'simulated';
  /** Oldest first; strictly rising in both times under a simulated clock. */
  sightings: readonly Sighting[];
}

const KEPT = 24;
const KEPT_WALL_MILLIS = 90_000;
/** Below this a pace would be jitter of the network. */
const LEAST_WALL_MILLIS = 1_000;
/** How far past the last sighting the estimate may run, in mean steps, before it stands still. */
const RUN_ON_STEPS = 1.25;

export function newMarketClock(mode: MarketClock['mode']): MarketClock {
  return { mode, sightings: [] };
}

/** The clock with one more sighting. One that is not ahead of the last says nothing new. */
export function observe(clock: MarketClock, sighting: Sighting): MarketClock {
  const last = clock.sightings.at(-1);
  if (clock.mode === 'system') {
    const known = last !== undefined && offset(last) >= offset(sighting);
    return known ? clock : { ...clock, sightings: [sighting] };
  }
  if (last && sighting.marketMillis <= last.marketMillis) return clock;
  const oldest = sighting.wallMillis - KEPT_WALL_MILLIS;
  const kept = clock.sightings.filter((known) => known.wallMillis >= oldest).slice(1 - KEPT);
  return { ...clock, sightings: [...kept, sighting] };
}

/**
 * Market milliseconds per millisecond of ours; 1 for a system clock, null while it is not known.
 * @example a quarter-hour every 10 seconds has the pace 90
 */
export function paceOf(clock: MarketClock): number | null {
  if (clock.mode === 'system') return 1;
  const [first, last] = [clock.sightings[0], clock.sightings.at(-1)];
  if (!first || !last) return null;
  const wall = last.wallMillis - first.wallMillis;
  if (wall < LEAST_WALL_MILLIS) return null;
  return (last.marketMillis - first.marketMillis) / wall;
}

/** The market's time when ours reads `wallMillis`; null before the first sighting. */
export function marketNow(clock: MarketClock, wallMillis: number): number | null {
  const last = clock.sightings.at(-1);
  if (!last) return null;
  if (clock.mode === 'system') return wallMillis + offset(last);
  const pace = paceOf(clock);
  if (pace === null) return last.marketMillis;
  const since = Math.max(0, wallMillis - last.wallMillis);
  return last.marketMillis + Math.min(since * pace, runOn(clock.sightings));
}

/** A stopped simulator must stop the clock on the page as well. */
function runOn(sightings: readonly Sighting[]): number {
  const [first, last] = [sightings[0]!, sightings.at(-1)!];
  const steps = Math.max(1, sightings.length - 1);
  return (RUN_ON_STEPS * (last.marketMillis - first.marketMillis)) / steps;
}

function offset(sighting: Sighting): number {
  return sighting.marketMillis - sighting.wallMillis;
}
