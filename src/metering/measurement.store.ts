import type { Sql } from '../database/database.service.js';
import type { MeterRole } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import type { Measurement, MeasurementQuality, MeteredFlow } from './measurement.js';

/** Measurements as they were settled, and what meters say at the moment. */

/** One household's measurement with the record that settled it. */
export type MeasurementRow = Pick<
  Measurement,
  | 'householdId'
  | 'importWh'
  | 'exportWh'
  | 'generatedWh'
  | 'chargedWh'
  | 'dischargedWh'
  | 'consumptionWh'
  | 'unexplainedWh'
  | 'quality'
> & { sequence: number };

export interface StoredMeasurement {
  slot: Instant;
  slotEnd: Instant;
  /** 0 as the slot was closed; counts its corrections. */
  revision: number;
  sequence: number;
  importWh: number;
  exportWh: number;
  generatedWh: number;
  chargedWh: number;
  dischargedWh: number;
  productionWh: number;
  consumptionWh: number;
  usesWh: number;
  unexplainedWh: number;
  quality: MeasurementQuality;
}

/** Slots in [from, until) and before `before`; null is open. */
export interface MeasurementsAsked {
  microgridId: string;
  householdId: string;
  from: Instant | null;
  until: Instant | null;
  before: Instant | null;
  limit: number;
}

export interface LivePower {
  meterId: string;
  householdId: string;
  role: MeterRole;
  readAt: Instant;
  powerW: number;
}

export async function saveMeasurements(
  sql: Sql,
  microgridId: string,
  slotStart: Instant,
  revision: number,
  rows: readonly MeasurementRow[],
): Promise<void> {
  if (rows.length === 0) return;
  await sql.query(INSERT_MEASUREMENTS, [
    microgridId,
    slotStart,
    revision,
    rows.map(({ householdId }) => householdId),
    rows.map(({ sequence }) => sequence),
    rows.map(({ importWh }) => importWh),
    rows.map(({ exportWh }) => exportWh),
    rows.map(({ generatedWh }) => generatedWh),
    rows.map(({ chargedWh }) => chargedWh),
    rows.map(({ dischargedWh }) => dischargedWh),
    rows.map(({ consumptionWh }) => consumptionWh),
    rows.map(({ unexplainedWh }) => unexplainedWh),
    rows.map(({ quality }) => quality),
  ]);
}

export async function measurementsOf(
  sql: Sql,
  { microgridId, householdId, from, until, before, limit }: MeasurementsAsked,
): Promise<StoredMeasurement[]> {
  const parameters = [microgridId, householdId, from, until, before, limit];
  return sql.query<StoredMeasurement>(MEASUREMENTS_OF, parameters);
}

export async function allRead(
  sql: Sql,
  microgridId: string,
  meterIds: readonly string[],
  at: Instant,
): Promise<boolean> {
  const [row] = await sql.query<{ all_read: boolean }>(ALL_READ, [microgridId, meterIds, at]);
  return row!.all_read;
}

export async function livePower(sql: Sql, microgridId: string): Promise<LivePower[]> {
  return sql.query<LivePower>(LIVE_POWER, [microgridId]);
}

/** What households were measured in these slots, or in [from, until); in their latest revision. */
export async function flowsIn(
  sql: Sql,
  microgridId: string,
  asked: { readonly starts: readonly Instant[] } | FlowsBetween,
): Promise<MeteredFlow[]> {
  return 'starts' in asked
    ? sql.query<MeteredFlow>(FLOWS_AT, [microgridId, asked.starts])
    : sql.query<MeteredFlow>(FLOWS_BETWEEN, [
        microgridId,
        asked.from,
        asked.until,
        asked.householdIds,
      ]);
}

export interface FlowsBetween {
  readonly from: Instant;
  readonly until: Instant;
  readonly householdIds: readonly string[];
}

/** What all households together had to sell and to buy, by slot of [from, until). */
export async function streetFlows(
  sql: Sql,
  microgridId: string,
  from: Instant,
  until: Instant,
): Promise<{ slot: Instant; supplyWh: number; demandWh: number }[]> {
  return sql.query(STREET_FLOWS, [microgridId, from, until]);
}

const INSERT_MEASUREMENTS = `
INSERT INTO measurement (microgrid_id, slot_start, revision, household_id, sequence,
  import_wh, export_wh, generated_wh, charged_wh, discharged_wh, consumption_wh, unexplained_wh,
  quality)
SELECT $1::text, $2::timestamptz, $3::smallint, m.* FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
  $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[]) AS m`;

const MEASUREMENTS_OF = `
SELECT DISTINCT ON (m.slot_start)
  m.slot_start AS slot, m.slot_start + make_interval(mins => g.slot_minutes) AS "slotEnd",
  m.revision, m.sequence,
  m.import_wh AS "importWh", m.export_wh AS "exportWh", m.generated_wh AS "generatedWh",
  m.charged_wh AS "chargedWh", m.discharged_wh AS "dischargedWh",
  m.generated_wh + m.discharged_wh AS "productionWh", m.consumption_wh AS "consumptionWh",
  m.consumption_wh + m.charged_wh AS "usesWh", m.unexplained_wh AS "unexplainedWh", m.quality
FROM measurement m JOIN microgrid g USING (microgrid_id)
WHERE m.microgrid_id = $1 AND m.household_id = $2
  AND m.slot_start >= coalesce($3::timestamptz, '-infinity')
  AND m.slot_start < coalesce($4::timestamptz, 'infinity')
  AND m.slot_start < coalesce($5::timestamptz, 'infinity')
ORDER BY m.slot_start DESC, m.revision DESC LIMIT $6`;

const FLOW = `
  household_id AS "householdId", slot_start AS slot, export_wh - import_wh AS "netWh",
  export_wh - import_wh + charged_wh - discharged_wh AS "balanceWh"`;

const FLOWS_AT = `
SELECT DISTINCT ON (slot_start, household_id) ${FLOW}
FROM measurement WHERE microgrid_id = $1 AND slot_start = ANY ($2::timestamptz[])
ORDER BY slot_start, household_id, revision DESC`;

const FLOWS_BETWEEN = `
SELECT DISTINCT ON (slot_start, household_id) ${FLOW}
FROM measurement
WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3 AND household_id = ANY ($4::text[])
ORDER BY slot_start, household_id, revision DESC`;

const STREET_FLOWS = `
SELECT slot, sum(greatest("netWh", 0))::bigint AS "supplyWh",
  sum(greatest(-"netWh", 0))::bigint AS "demandWh"
FROM (
  SELECT DISTINCT ON (slot_start, household_id) ${FLOW}
  FROM measurement WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
  ORDER BY slot_start, household_id, revision DESC
) AS flow GROUP BY slot`;

const ALL_READ = `
SELECT NOT EXISTS (
  SELECT FROM unnest($2::text[]) AS asked (meter_id)
  WHERE NOT EXISTS (
    SELECT FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = asked.meter_id
      AND r.register IN ('import', 'export') AND r.read_at = $3
  )
) AS all_read`;

const LIVE_POWER = `
SELECT m.meter_id AS "meterId", m.household_id AS "householdId", m.role,
  latest.read_at AS "readAt", latest.power_w AS "powerW"
FROM meter m
CROSS JOIN LATERAL (
  SELECT each.read_at, each.power_w FROM unnest(ARRAY['import', 'export']) AS name (register)
  CROSS JOIN LATERAL (
    SELECT r.read_at, r.power_w FROM reading r
    WHERE r.microgrid_id = $1 AND r.meter_id = m.meter_id AND r.register = name.register
    ORDER BY r.read_at DESC LIMIT 1
  ) each
  WHERE each.power_w IS NOT NULL
  ORDER BY each.read_at DESC LIMIT 1
) latest
WHERE m.microgrid_id = $1
ORDER BY m.meter_id`;
