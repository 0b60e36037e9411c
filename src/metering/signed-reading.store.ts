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

/** A register of a record, with the readings that it names by their hashes. */
export interface NamedRegister {
  readonly meterId: string;
  readonly register: Register;
  readonly hashes: readonly string[];
}

/** A message as a meter sent it. */
export interface SentMessage {
  readonly meterId: string;
  readonly bytes: Buffer;
}

/**
 * The signed messages in which the readings came that a settlement names; readings further from the
 * slot's borders than the 64th are not looked for. Answers at once where no meter has signed.
 */
export async function signedMessages(
  sql: Sql,
  microgridId: string,
  registers: readonly NamedRegister[],
  borders: readonly Instant[],
): Promise<SentMessage[]> {
  const rows = await sql.query<{ meterId: string }>(METERS_THAT_SIGN, [microgridId]);
  const signing = new Set(rows.map(({ meterId }) => meterId));
  const asked = registers.filter(({ meterId }) => signing.has(meterId));
  if (asked.length === 0) return [];
  const around = await sql.query<Omit<SentRow, 'bytes'>>(AROUND, [
    microgridId,
    asked.map(({ meterId }) => meterId),
    asked.map(({ register }) => register),
    borders,
  ]);
  const named = new Set(asked.flatMap(({ hashes }) => hashes));
  const senders = new Map<string, string>();
  for (const { meterId, readAt, register, valueWh, payloadHash } of around) {
    const microWh = parseRegisterWh(valueWh);
    const hash = readingHash(meterId, readAt, register, microWh, payloadHash);
    if (named.has(hash)) senders.set(payloadHash, meterId);
  }
  if (senders.size === 0) return [];
  const found = await sql.query<{ payloadHash: string; bytes: Buffer }>(PAYLOADS, [
    microgridId,
    [...senders.keys()].map((hash) => Buffer.from(hash, 'hex')),
  ]);
  return found.map(({ payloadHash, bytes }) => ({ meterId: senders.get(payloadHash)!, bytes }));
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

const OF_ASKED = `
r.microgrid_id = $1 AND r.meter_id = asked.meter_id AND r.register = asked.register`;

const AROUND = `
SELECT DISTINCT asked.meter_id AS "meterId", asked.register, near.read_at AS "readAt",
  near.value_wh AS "valueWh", encode(near.payload_hash, 'hex') AS "payloadHash"
FROM unnest($2::text[], $3::text[]) AS asked (meter_id, register)
CROSS JOIN unnest($4::timestamptz[]) AS border (at)
CROSS JOIN LATERAL (
  (SELECT r.read_at, r.value_wh, r.payload_hash FROM reading r
   WHERE ${OF_ASKED} AND r.read_at <= border.at ORDER BY r.read_at DESC LIMIT 64)
  UNION ALL
  (SELECT r.read_at, r.value_wh, r.payload_hash FROM reading r
   WHERE ${OF_ASKED} AND r.read_at > border.at ORDER BY r.read_at LIMIT 64)
) near`;

const PAYLOADS = `
SELECT encode(payload_hash, 'hex') AS "payloadHash", bytes FROM reading_payload
WHERE microgrid_id = $1 AND payload_hash = ANY ($2::bytea[])
ORDER BY octet_length(bytes), payload_hash`;
