import { performance } from 'node:perf_hooks';
import type { Sql } from '../database/database.service.js';
import { readMeters } from './intake.store.js';
import type { EnrolledMeter } from './intake-verdict.js';

/**
 * Enrolled meters by id, remembered for a while so that intake need not ask for every message.
 * Whatever is asked together and not known is read in one statement.
 */
export class MeterDirectory {
  private readonly known = new Map<string, { meter: EnrolledMeter | null; readMillis: number }>();

  /** @returns the meters of these ids; null for those not enrolled */
  async find(
    sql: Sql,
    meterIds: Iterable<string>,
    maxAgeMillis = REMEMBER_MILLIS,
  ): Promise<Map<string, EnrolledMeter | null>> {
    const nowMillis = performance.now();
    const found = new Map<string, EnrolledMeter | null>();
    const unknown = new Set<string>();
    for (const meterId of meterIds) {
      const entry = this.known.get(meterId);
      const lifeMillis = entry?.meter ? maxAgeMillis : Math.min(maxAgeMillis, REMEMBER_NONE_MILLIS);
      if (entry && nowMillis - entry.readMillis < lifeMillis) found.set(meterId, entry.meter);
      else unknown.add(meterId);
    }
    if (unknown.size === 0) return found;
    const meters = await readMeters(sql, [...unknown]);
    if (this.known.size + unknown.size > MAX_KNOWN) this.known.clear();
    for (const meterId of unknown) {
      const meter = meters.get(meterId) ?? null;
      this.known.set(meterId, { meter, readMillis: nowMillis });
      found.set(meterId, meter);
    }
    return found;
  }
}

const REMEMBER_MILLIS = 60_000;
/** A meter enrolled just now shall not have to wait for long. */
const REMEMBER_NONE_MILLIS = 1_000;
const MAX_KNOWN = 250_000;
