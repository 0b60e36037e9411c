import type { Sql } from '../../src/database/database.service.js';
import type { IncomingMessage } from '../../src/broker/broker-link.js';
import type { MeterRole } from '../../src/parties/microgrid.js';
import type { FreshDatabase } from '../support/database.js';

/** A microgrid with meters, each in a household of its own, straight into the tables. */
export interface StreetMeter {
  meterId: string;
  householdId: string;
  role: MeterRole;
  activeUntil?: string;
}

/** `houses(2)`: grid meters m0 and m1 of households h0 and h1. */
export function houses(count: number): StreetMeter[] {
  return Array.from({ length: count }, (_, index) => ({
    meterId: `m${index}`,
    householdId: `h${index}`,
    role: 'grid' as const,
  }));
}

export async function enrol(
  sql: Sql,
  microgridId: string,
  meters: readonly StreetMeter[],
  slotMinutes = 15,
): Promise<void> {
  await sql.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, slot_minutes, starts_at)
     VALUES ($1::text, $1::text, 'EUR', $2, '2026-06-01T00:00:00Z')`,
    [microgridId, slotMinutes],
  );
  const households = [...new Set(meters.map(({ householdId }) => householdId))];
  await sql.query(
    `INSERT INTO party SELECT unnest($1::text[]), 'household'
     UNION ALL SELECT unnest($2::text[]), 'meter'`,
    [households, meters.map(({ meterId }) => meterId)],
  );
  await sql.query(
    `INSERT INTO household (microgrid_id, household_id, alias, active_from)
     SELECT $1, id, id, '2026-06-01T00:00:00Z' FROM unnest($2::text[]) AS id`,
    [microgridId, households],
  );
  await sql.query(
    `INSERT INTO meter (microgrid_id, meter_id, household_id, role, usable_wh, active_from, active_until)
     SELECT $1, m.id, m.household, m.role, CASE m.role WHEN 'storage' THEN 5000 END,
       '2026-06-01T00:00:00Z', m.until
     FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[])
       AS m (id, household, role, until)`,
    [
      microgridId,
      meters.map(({ meterId }) => meterId),
      meters.map(({ householdId }) => householdId),
      meters.map(({ role }) => role),
      meters.map(({ activeUntil }) => activeUntil ?? null),
    ],
  );
}

/** Removes every street and all that was metered there. */
export async function forget({ asOwner }: Pick<FreshDatabase, 'asOwner'>): Promise<void> {
  await asOwner(async (sql) => {
    await sql.query(`
      TRUNCATE suspect_reading, meter_exchange, reading, reading_payload, reading_contradiction, rejection, late_reading,
        register_border, measurement`);
    for (const table of ['meter', 'household', 'microgrid', 'party']) {
      await sql.query(`DELETE FROM ${table}`);
    }
  });
}

/** A message as the broker hands it over. */
export function message(
  microgridId: string,
  meterId: string,
  content: unknown,
  retained = false,
): IncomingMessage {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return {
    topic: `microgrids/${microgridId}/meters/${meterId}/readings`,
    payload: Buffer.from(text),
    retained,
  };
}

/** `at('10:15')` on the day of the tests. */
export function at(time: string): string {
  return `2026-06-01T${time.length === 5 ? `${time}:00` : time}Z`;
}
