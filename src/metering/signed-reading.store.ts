import type { Sql } from '../database/database.service.js';
import { parseRegisterWh } from '../units/energy.js';
import type { Instant } from '../units/slot.js';
import type { Border } from './measurement.js';
import { readingHash } from './reading.js';
import type { Register } from './reading.js';
import type { MeteredSlot } from './slot-borders.js';
import { isSigned } from './signed-reading.js';

/**
 * Names the readings that were signed by hashes over their messages too, so that what a record
 * commits to leads to the meter's signature. Answers at once where no meter has signed.
 */
export async function nameSigned(
  sql: Sql,
  microgridId: string,
  slots: readonly MeteredSlot[],
): Promise<MeteredSlot[]> {
  const rows = await sql.query<{ meterId: string }>(METERS_THAT_SIGN, [microgridId]);
  const signing = new Set(rows.map(({ meterId }) => meterId));
  const asked = slots
    .filter(({ meterId }) => signing.has(meterId))
    .flatMap(({ meterId, register, start, end }) =>
      [start, end].flatMap((border) =>
        (border?.readAts ?? []).map((readAt) => ({ meterId, register, readAt })),
      ),
    );
  if (asked.length === 0) return [...slots];
  const found = await sql.query<SentRow>(SENT, [
    microgridId,
    asked.map(({ meterId }) => meterId),
    asked.map(({ register }) => register),
    asked.map(({ readAt }) => readAt),
  ]);
  const hashes = new Map(
    found
      .filter(({ bytes }) => isSigned(bytes))
      .map(({ meterId, register, readAt, valueWh, payloadHash }) => [
        `${meterId} ${register} ${readAt}`,
        readingHash(meterId, readAt, register, parseRegisterWh(valueWh), payloadHash),
      ]),
  );
  const named = (slot: MeteredSlot, border: Border | null): Border | null =>
    border && {
      ...border,
      readingHashes: border.readingHashes.map((hash, place) => {
        const readAt = border.readAts?.[place];
        return hashes.get(`${slot.meterId} ${slot.register} ${readAt}`) ?? hash;
      }),
    };
  return slots.map((slot) => ({
    ...slot,
    start: named(slot, slot.start),
    end: named(slot, slot.end),
  }));
}

interface SentRow {
  meterId: string;
  register: Register;
  readAt: Instant;
  valueWh: string;
  payloadHash: string;
  bytes: Buffer;
}

const METERS_THAT_SIGN = `
SELECT DISTINCT meter_id AS "meterId" FROM meter_counter WHERE microgrid_id = $1`;

const SENT = `
SELECT r.meter_id AS "meterId", r.register, r.read_at AS "readAt", r.value_wh AS "valueWh",
  encode(p.payload_hash, 'hex') AS "payloadHash", p.bytes
FROM (
  SELECT DISTINCT * FROM unnest($2::text[], $3::text[], $4::timestamptz[])
    AS asked (meter_id, register, read_at)
) asked
JOIN reading r ON r.microgrid_id = $1 AND r.meter_id = asked.meter_id
  AND r.register = asked.register AND r.read_at = asked.read_at
JOIN reading_payload p ON p.microgrid_id = $1 AND p.payload_hash = r.payload_hash`;
