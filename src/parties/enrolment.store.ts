import type { Sql } from '../database/database.service.js';
import { groupBy } from '../units/group-by.js';
import { Problem } from '../units/problem.js';
import type { Instant } from '../units/slot.js';
import { issueSecrets } from './device.store.js';
import type { Enrolled, Enrolment, EnrolmentRows } from './enrolment.js';
import { ownerOf, profileRow } from './meter-profile.js';
import { takenTopics, upsertProfiles } from './meter-profile.store.js';
import type { IssuedSecret, Microgrid } from './microgrid.js';

/** The statements of an enrolment: whatever its size, each list is read or written in one. */

/** What of the request is enrolled already. */
export async function readEnrolled(
  sql: Sql,
  microgrid: Microgrid,
  request: Enrolment,
  now: Instant,
): Promise<Enrolled> {
  const { microgridId, startsAt, slotMinutes } = microgrid;
  const households = request.members.map((one) => one.household);
  const meters = request.members.flatMap((one) => one.meters);
  const newGateways = request.gateways.map((one) => one.gateway);
  const gateways = [...request.members, ...meters].flatMap((one) => one.gateway ?? []);
  const ids = [...households, ...meters.map((one) => one.meter), ...newGateways];
  const parties = await sql.query<{ partyId: string }>(TAKEN_PARTIES, [ids]);
  const known = await sql.query<{
    householdId: string;
    activeFrom: Instant;
    activeUntil: Instant | null;
    grid: boolean;
  }>(ENROLLED_HOUSEHOLDS, [microgridId, households]);
  const aliases = await sql.query<{ alias: string }>(TAKEN_ALIASES, [
    microgridId,
    request.members.map((one) => one.alias ?? one.household),
  ]);
  const there = await sql.query<{ gatewayId: string }>(GATEWAYS, [microgridId, gateways]);
  const topics = meters.flatMap(({ meter, profile, topic }) => {
    const name = { microgridId, meterId: meter };
    return profileRow(name, { profile: profile ?? 'native', topic })?.topic ?? [];
  });
  const taken = await takenTopics(sql, topics, now);
  return {
    microgridId,
    startsAt,
    slotMinutes,
    now,
    parties: new Set(parties.map((row) => row.partyId)),
    households: new Map(known.map(({ householdId, ...rest }) => [householdId, rest])),
    aliases: new Set(aliases.map((row) => row.alias)),
    gateways: new Set(there.map((row) => row.gatewayId)),
    topics: new Map(
      [...groupBy(taken, (row) => row.topic)].map(([topic, rows]) => [
        topic,
        new Set(rows.map(ownerOf)),
      ]),
    ),
  };
}

/** Writes the rows and issues a secret for each. @throws Problem 409 when an id was taken meanwhile */
export async function insertMembers(
  sql: Sql,
  microgridId: string,
  rows: EnrolmentRows,
): Promise<IssuedSecret[]> {
  const named: Omit<IssuedSecret, 'secret'>[] = [
    ...rows.gateways.map((username) => ({ username, kind: 'gateway' as const })),
    ...rows.households.map((one) => ({ username: one.householdId, kind: 'household' as const })),
    ...rows.meters.map((one) => ({ username: one.meterId, kind: 'meter' as const })),
  ];
  const free = await sql.query<{ partyId: string }>(INSERT_PARTIES, [
    named.map((one) => one.username),
    named.map((one) => one.kind),
  ]);
  if (free.length < named.length) {
    // Another microgrid enrolled one of them since they were looked up.
    const added = new Set(free.map((row) => row.partyId));
    const lost = named.filter((one) => !added.has(one.username)).map((one) => one.username);
    throw alreadyTaken(`Taken in the meantime: ${lost.slice(0, 10).join(', ')}. Choose other ids.`);
  }
  await sql.query(INSERT_GATEWAYS, [microgridId, rows.gateways]);
  await sql.query(INSERT_HOUSEHOLDS, [microgridId, JSON.stringify(rows.households)]);
  await sql.query(INSERT_METERS, [microgridId, JSON.stringify(rows.meters)]);
  await upsertProfiles(sql, rows.profiles);
  return issueSecrets(sql, microgridId, named);
}

export function alreadyTaken(detail: string): Problem {
  return new Problem(409, 'already_taken', detail);
}

/** $1 ids, $2 kinds; answers the ids that were free. In order, so that two never lock crosswise. */
export const INSERT_PARTIES = `
INSERT INTO party (party_id, kind) SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1
ON CONFLICT DO NOTHING RETURNING party_id AS "partyId"`;

const TAKEN_PARTIES = `SELECT party_id AS "partyId" FROM party WHERE party_id = ANY($1)`;

const ENROLLED_HOUSEHOLDS = `
SELECT household_id AS "householdId", active_from AS "activeFrom", active_until AS "activeUntil",
  EXISTS (SELECT FROM meter WHERE meter.microgrid_id = household.microgrid_id
    AND meter.household_id = household.household_id AND role = 'grid'
    AND meter.active_until IS NULL) AS grid
FROM household WHERE microgrid_id = $1 AND household_id = ANY($2)`;

const TAKEN_ALIASES = `SELECT alias FROM household WHERE microgrid_id = $1 AND alias = ANY($2)`;

const GATEWAYS = `
SELECT gateway_id AS "gatewayId" FROM gateway WHERE microgrid_id = $1 AND gateway_id = ANY($2)`;

const INSERT_GATEWAYS = `
INSERT INTO gateway (microgrid_id, gateway_id) SELECT $1, unnest($2::text[])`;

const INSERT_HOUSEHOLDS = `
INSERT INTO household (microgrid_id, household_id, alias, feeder, share_parts, share_rank,
  import_limit_w, export_limit_w, credit_limit_micro, active_from)
SELECT $1, "householdId", alias, feeder, "shareParts", "shareRank", "importLimitW", "exportLimitW",
  "creditLimitMicro", "activeFrom"
FROM jsonb_to_recordset($2::jsonb) AS one ("householdId" text, alias text, feeder text,
  "shareParts" integer, "shareRank" integer,
  "importLimitW" integer, "exportLimitW" integer, "creditLimitMicro" bigint,
  "activeFrom" timestamptz)`;

const INSERT_METERS = `
INSERT INTO meter (microgrid_id, meter_id, household_id, role, usable_wh, gateway_id, active_from)
SELECT $1, "meterId", "householdId", role, "usableWh", "gatewayId", "activeFrom"
FROM jsonb_to_recordset($2::jsonb) AS one ("meterId" text, "householdId" text, role text,
  "usableWh" bigint, "gatewayId" text, "activeFrom" timestamptz)`;
