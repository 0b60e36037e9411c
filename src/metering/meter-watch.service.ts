import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { flagsOf, METER_FLAGS, type MeterFlag } from './meter-flags.js';
import { MeteringService } from './metering.service.js';
import type { MeterState, StoredFigures } from './oversight.store.js';

/** Meters as whoever looks after them sees them, and how many deserve a look, by flag. */

export interface WatchedMeter {
  meter: string;
  household: string;
  role: MeterState['role'];
  gateway: string | null;
  activeFrom: Instant;
  activeUntil: Instant | null;
  lastReadAt: Instant | null;
  /** Market time since the last reading. */
  silentSeconds: number | null;
  rejected: MeterState['rejected'];
  /**
   * Median of when its latest messages came in less their latest reading; null on a simulated clock,
   * to which the time of arrival says nothing.
   */
  clockBehindSeconds: number | null;
  /** What deserves a look, by name; see `meter-flags.ts`. */
  flags: MeterFlag[];
}

/** Up to `limit + 1` meters of a microgrid, by id, after the meter `after`. */
export async function watchedMeters(
  sql: Sql,
  metering: MeteringService,
  clock: MarketClockService,
  microgridId: string,
  page: { limit: number; after: string | null },
): Promise<WatchedMeter[]> {
  const states = await metering.meterStates(sql, microgridId, page);
  const now = await clock.now();
  const ids = states.map(({ meterId }) => meterId);
  const rows = await metering.meterFigures(sql, microgridId, ids, now);
  const figures = new Map(rows.map((each) => [each.meterId, each]));
  const isSimulated = clock.mode === 'simulated';
  return states.map((state) => watched(state, figures.get(state.meterId)!, now, isSimulated));
}

/**
 * Counts flags for the metrics. It looks at a microgrid once an hour, and at a few each time it is
 * asked, the longest unseen first: flags are about days, and looking at a thousand streets takes time.
 */
@Injectable()
export class MeterWatchService {
  private readonly seen = new Map<string, { atMillis: number; counts: FlagCounts }>();
  private looking: Promise<void> = Promise.resolve();

  constructor(
    private readonly database: DatabaseService,
    private readonly metering: MeteringService,
    private readonly clock: MarketClockService,
  ) {}

  /** How many meters of these microgrids have each flag, as far as they have been looked at. */
  async flagCounts(microgridIds: readonly string[], nowMillis = Date.now()): Promise<FlagCounts> {
    // Whoever asks meanwhile waits for the same look instead of taking another.
    this.looking = this.looking
      .catch(() => undefined)
      .then(() => this.lookAtSome(microgridIds, nowMillis));
    await this.looking;
    const counts = noFlags();
    for (const id of microgridIds) {
      const known = this.seen.get(id)?.counts;
      for (const flag of METER_FLAGS) counts[flag] += known?.[flag] ?? 0;
    }
    return counts;
  }

  private async lookAtSome(microgridIds: readonly string[], nowMillis: number): Promise<void> {
    const seenAt = (id: string) => this.seen.get(id)?.atMillis ?? -Infinity;
    const due = microgridIds
      .filter((id) => nowMillis - seenAt(id) >= AGAIN_AFTER_MILLIS)
      .sort((a, b) => seenAt(a) - seenAt(b));
    for (const id of due.slice(0, LOOKS_AT_ONCE)) {
      this.seen.set(id, { atMillis: nowMillis, counts: await this.look(id) });
    }
  }

  private async look(microgridId: string): Promise<FlagCounts> {
    const counts = noFlags();
    let after: string | null = null;
    do {
      const page: { limit: number; after: string | null } = { limit: METERS_AT_ONCE, after };
      const meters: WatchedMeter[] = await watchedMeters(
        this.database,
        this.metering,
        this.clock,
        microgridId,
        page,
      );
      const shown = meters.slice(0, METERS_AT_ONCE);
      for (const flag of shown.flatMap(({ flags }) => flags)) counts[flag] += 1;
      after = meters.length > METERS_AT_ONCE ? shown.at(-1)!.meter : null;
    } while (after !== null);
    return counts;
  }
}

export type FlagCounts = Record<MeterFlag, number>;

const AGAIN_AFTER_MILLIS = 3_600_000;
const LOOKS_AT_ONCE = 4;
const METERS_AT_ONCE = 1_000;

function noFlags(): FlagCounts {
  return Object.fromEntries(METER_FLAGS.map((flag) => [flag, 0])) as FlagCounts;
}

function watched(
  state: MeterState,
  figures: StoredFigures,
  now: Instant,
  isSimulated: boolean,
): WatchedMeter {
  const { meterId, householdId, role, gatewayId, activeFrom, activeUntil, lastReadAt } = state;
  const silentMillis = lastReadAt === null ? null : parseInstant(now) - parseInstant(lastReadAt);
  const silentSeconds =
    silentMillis === null ? null : Math.max(Math.floor(silentMillis / 1_000), 0);
  const hasEnded = activeUntil !== null && parseInstant(activeUntil) <= parseInstant(now);
  const clockBehindSeconds = isSimulated ? null : figures.clockBehindSeconds;
  return {
    meter: meterId,
    household: householdId,
    role,
    gateway: gatewayId,
    activeFrom,
    activeUntil,
    lastReadAt,
    silentSeconds,
    rejected: state.rejected,
    clockBehindSeconds,
    flags: hasEnded ? [] : flagsOf({ ...figures, silentSeconds, clockBehindSeconds }),
  };
}
