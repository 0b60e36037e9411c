import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { COUNT_CHANGE } from './device.store.js';
import { EnrolmentJournal } from './enrolment-journal.js';
import { MarketClockService } from './market-clock.service.js';
import * as model from './meter-profile.js';
import type { MeterProfile, RequestedProfile } from './meter-profile.js';
import * as store from './meter-profile.store.js';
import { parse } from './parse.js';

/** How meters' devices speak: set by operators, one record a change, and read by metering. */
@Injectable()
export class MeterProfileService {
  constructor(
    private readonly clock: MarketClockService,
    private readonly journal: EnrolmentJournal,
  ) {}

  /**
   * The profile of a meter from now on; null when it speaks the native format.
   * @throws Problem 404 for no such meter, 409 when it ended or its topic is another meter's
   */
  async set(
    sql: Sql,
    microgridId: string,
    meterId: string,
    request: RequestedProfile,
    by: string,
  ): Promise<MeterProfile | null> {
    const name = { microgridId, meterId };
    const requested = parse(model.PROFILE, request);
    const fault = model.topicFault(name, requested);
    if (fault) throw new Problem(409, 'topic_not_possible', `${sentence(fault)}.`);
    const { householdId, gatewayId } = await this.living(sql, microgridId, meterId);
    const profile = model.profileRow(name, requested);
    const now = await this.clock.now(sql);
    const taken = profile ? await store.takenTopics(sql, [profile.topic], now) : [];
    const owner = model.ownerOf({ meterId, gatewayId });
    const other = taken.find((one) => one.meterId !== meterId && model.ownerOf(one) !== owner);
    if (other) {
      const detail = `${other.topic} is the topic of ${other.meterId}, or lies above or below it.`;
      throw new Problem(409, 'topic_taken', `${detail} Choose another, or end that one first.`);
    }
    if (profile) await store.upsertProfiles(sql, [profile]);
    else await sql.query(store.DELETE_PROFILE, [microgridId, meterId]);
    const [count] = await sql.query<{ changes: number }>(COUNT_CHANGE, [meterId]);
    await this.journal.append(sql, microgridId, [
      model.profileDraft(name, householdId, profile, by, now, count!.changes),
    ]);
    return profile;
  }

  /** Profiles of these meters; one without speaks the native format. */
  async of(
    sql: Sql,
    microgridId: string,
    meterIds: readonly string[],
  ): Promise<Map<string, MeterProfile>> {
    const rows = await store.readProfiles(sql, microgridId, meterIds, null);
    return new Map(rows.map(({ timeZone: _zone, ...row }) => [row.meterId, row]));
  }

  /** Every device in use in the deployment, with the time zone of its microgrid. */
  async all(sql: Sql): Promise<store.PlacedProfile[]> {
    return store.readProfiles(sql, null, null, await this.clock.now(sql));
  }

  private async living(sql: Sql, microgridId: string, meterId: string): Promise<LivingMeter> {
    const [meter] = await sql.query<LivingMeter>(store.METER, [microgridId, meterId]);
    if (!meter) {
      throw new Problem(404, 'unknown_meter', `There is no meter ${meterId} in ${microgridId}.`);
    }
    if (meter.activeUntil !== null) {
      const detail = `${meterId} ends at ${meter.activeUntil}. Set up the next tenant's instead.`;
      throw new Problem(409, 'moved_out', detail);
    }
    return meter;
  }
}

interface LivingMeter {
  householdId: string;
  gatewayId: string | null;
  activeUntil: Instant | null;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
