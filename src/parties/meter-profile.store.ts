import type { Sql } from '../database/database.service.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import { mappingText, topicAndAbove } from './meter-profile.js';
import type { MeterProfile } from './meter-profile.js';

/** The statements of meters' profiles. */

/** A topic that was asked for and the meter that has it, or one above or below it. */
export interface TakenTopic {
  topic: string;
  meterId: string;
  gatewayId: string | null;
}

/** A profile, and the time zone of the meter's microgrid. */
export type PlacedProfile = MeterProfile & { timeZone: string };

/**
 * Which of these topics collide with one that is in use, anywhere in the deployment. It waits for
 * whoever else is about to take a topic, until the end of the transaction.
 * @param now market time: what ended by then is free
 */
export async function takenTopics(
  sql: Sql,
  topics: readonly string[],
  now: Instant,
): Promise<TakenTopic[]> {
  if (topics.length === 0) return [];
  await sql.query(LOCK_TOPICS);
  const above = topics.flatMap((topic) => topicAndAbove(topic).map((each) => ({ topic, each })));
  return sql.query<TakenTopic>(TAKEN_TOPICS, [
    above.map(({ topic }) => topic),
    above.map(({ each }) => each),
    topics,
    now,
  ]);
}

export async function upsertProfiles(sql: Sql, profiles: readonly MeterProfile[]): Promise<void> {
  if (profiles.length === 0) return;
  await sql.query(UPSERT_PROFILES, [
    profiles.map(({ microgridId }) => microgridId),
    profiles.map(({ meterId }) => meterId),
    profiles.map(({ profile }) => profile),
    profiles.map(({ topic }) => topic),
    profiles.map(({ mapping }) => mappingText(mapping)),
  ]);
}

export const DELETE_PROFILE = `DELETE FROM meter_profile WHERE microgrid_id = $1 AND meter_id = $2`;

interface ProfileRow extends Omit<PlacedProfile, 'mapping'> {
  mapping: string | null;
}

/** @param meterIds null for those of all meters that have not ended at market time `now` */
export async function readProfiles(
  sql: Sql,
  microgridId: string | null,
  meterIds: readonly string[] | null,
  now: Instant | null,
): Promise<PlacedProfile[]> {
  const rows = await sql.query<ProfileRow>(PROFILES, [microgridId, meterIds, now]);
  return rows.map((row) => ({
    ...row,
    mapping: row.mapping === null ? null : (JSON.parse(row.mapping) as JsonObject),
  }));
}

// Any number does, so long as nothing else of ours locks it.
const LOCK_TOPICS = `SELECT pg_advisory_xact_lock(1701705)`;

// '0' is what follows '/' in ASCII: the range holds what stands below the topic.
const TAKEN_TOPICS = `
WITH living AS (
  SELECT topic, meter_id, gateway_id FROM meter_profile JOIN meter USING (microgrid_id, meter_id)
  WHERE active_until IS NULL OR active_until > $4
)
SELECT DISTINCT asked.topic, living.meter_id AS "meterId", living.gateway_id AS "gatewayId"
FROM unnest($1::text[], $2::text[]) AS asked (topic, above)
JOIN living ON living.topic = asked.above COLLATE "C"
UNION
SELECT asked.topic, living.meter_id, living.gateway_id FROM unnest($3::text[]) AS asked (topic)
JOIN living ON living.topic > (asked.topic || '/') COLLATE "C"
  AND living.topic < (asked.topic || '0') COLLATE "C"
ORDER BY 1, 2`;

const UPSERT_PROFILES = `
INSERT INTO meter_profile (microgrid_id, meter_id, profile, topic, mapping)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (microgrid_id, meter_id) DO UPDATE SET profile = excluded.profile,
  topic = excluded.topic, mapping = excluded.mapping`;

const PROFILES = `
SELECT microgrid_id AS "microgridId", meter_id AS "meterId", profile, topic, mapping,
  microgrid.time_zone AS "timeZone"
FROM meter_profile
JOIN meter USING (microgrid_id, meter_id)
JOIN microgrid USING (microgrid_id)
WHERE ($1::text IS NULL OR microgrid_id = $1)
  AND ($2::text[] IS NULL OR meter_id = ANY ($2))
  AND ($3::timestamptz IS NULL OR active_until IS NULL OR active_until > $3)
ORDER BY meter_id COLLATE "C"`;

/** The household and the gateway of a meter, and when it ends. */
export const METER = `
SELECT household_id AS "householdId", gateway_id AS "gatewayId", active_until AS "activeUntil"
FROM meter WHERE microgrid_id = $1 AND meter_id = $2`;
