import type { Sql } from '../database/database.service.js';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import { groupBy } from '../units/group-by.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { surroundings } from './border.js';
import type { BorderQuality, RegisterReading } from './border.js';
import type { RegisterSlot } from './border.store.js';
import { readExchanges } from './exchange.store.js';
import { DEFAULT_CONNECTION_W, judge, LOOKAHEAD } from './plausibility.js';
import type { Judgement, Suspect } from './plausibility.js';
import type { Evidence } from './slot-borders.js';

/**
 * What PostgreSQL knows of registers around slots, for any number of meters and slots at once. Where
 * readings rise as they should, which is nearly everywhere, one statement tells all; only those of
 * other registers are read and judged one by one, from the last reading that is beyond doubt.
 */

/** Evidence with what else comes to light about a register's readings up to the slot's end. */
export interface JudgedSlot extends Evidence {
  /** From where on readings were judged; null: from the register's first. */
  judgedFrom: Instant | null;
  suspects: Suspect[];
}

/** Evidence for every asked register and slot, in the order asked. */
export async function readEvidence(
  sql: Sql,
  microgridId: string,
  asked: readonly RegisterSlot[],
): Promise<JudgedSlot[]> {
  if (asked.length === 0) return [];
  const rows = await sql.query<EvidenceRow>(EVIDENCE, [microgridId, ...columnsOf(asked)]);
  const evidence = asked.map((register, index) => fromRow(register, rows[index]!));
  const byRegister = groupBy(
    asked.map((register, index) => ({ register, row: rows[index]! })),
    ({ register }) => `${register.meterId}/${register.register}`,
  );
  const doubtful = [...byRegister.values()].filter((slots) => slots.some(({ row }) => !row.clean));
  // All slots of a register are judged from one reading on, so that they cannot disagree.
  const spans = doubtful.map((slots): Span => {
    const [first, ...rest] = slots as [(typeof slots)[number], ...typeof slots];
    const { anchor_at, is_refuted } = first.row;
    const ends = [first, ...rest].map(({ register }) => register.slotEnd);
    return {
      ...first.register,
      slotEnd: ends.reduce((a, b) => (parseInstant(a) >= parseInstant(b) ? a : b)),
      anchorAt: is_refuted ? null : anchor_at,
    };
  });
  const runs = await readRuns(sql, microgridId, spans);
  const exchanges = await readExchanges(sql, microgridId, spans);
  doubtful.forEach((slots, place) => {
    const { row } = slots[0]!;
    const anchor = row.is_refuted ? null : anchorOf(row);
    const run = runs.get(place + 1) ?? [];
    const judgement = judge(run, anchor, row.max_w, exchanges.get(place + 1));
    for (const { register, row: own } of slots) {
      evidence[own.place - 1] = {
        ...fromRun(register, run, anchor, judgement),
        carried: carriedOf(own),
        judgedFrom: spans[place]!.anchorAt,
      };
    }
  });
  return evidence;
}

/** A register over one or more slots, and from where on it is judged. */
interface Span extends RegisterSlot {
  anchorAt: Instant | null;
}

/**
 * Keeps which readings of these registers are suspect, and by which rule, and tells the operator of
 * those that are new. @returns how many new ones there are, by rule
 */
export async function keepSuspects(
  sql: Sql,
  microgridId: string,
  judged: readonly JudgedSlot[],
): Promise<Record<string, number>> {
  const suspects = judged.flatMap(({ meterId, register, suspects: found }) =>
    found.map(({ reading, rule }) => ({ meterId, register, rule, ...shown(reading) })),
  );
  const keys = [
    microgridId,
    suspects.map(({ meterId }) => meterId),
    suspects.map(({ register }) => register),
    suspects.map(({ readAt }) => readAt),
  ];
  await sql.query(FORGET_SUSPECTS, [
    ...keys,
    judged.map(({ meterId }) => meterId),
    judged.map(({ register }) => register),
    judged.map(({ judgedFrom }) => judgedFrom),
    judged.map(({ slotEnd }) => slotEnd),
  ]);
  if (suspects.length === 0) return {};
  const found = await sql.query<{ rule: string; count: number }>(KEEP_SUSPECTS, [
    ...keys,
    suspects.map(({ rule }) => rule),
  ]);
  return Object.fromEntries(found.map(({ rule, count }) => [rule, count]));
}

function fromRow(register: RegisterSlot, row: EvidenceRow): JudgedSlot {
  const offset = offsetOf(row);
  const reading = (at: Instant | null, valueWh: string | null) =>
    at === null || valueWh === null ? null : withOffset(readingOf(at, valueWh), offset);
  return {
    ...register,
    carried: carriedOf(row),
    judgedFrom: row.anchor_at,
    suspects: [],
    beforeStart: reading(row.before_at, row.before_wh),
    firstInside: reading(row.first_at, row.first_wh),
    lastInside: reading(row.last_at, row.last_wh),
    afterEnd: reading(row.after_at, row.after_wh),
    anchor: reading(row.next_anchor_at, row.next_anchor_wh) ?? anchorOf(row),
  };
}

/** @param run the anchor first, if there is one, and the readings behind it */
function fromRun(
  register: RegisterSlot,
  run: readonly RegisterReading[],
  anchor: RegisterReading | null,
  judgement: Judgement,
): Omit<JudgedSlot, 'carried' | 'judgedFrom'> {
  const startMillis = parseInstant(register.slotStart);
  const endMillis = parseInstant(register.slotEnd);
  const good = anchor ? [anchor, ...judgement.good] : judgement.good;
  const upToEnd = run.filter(({ atMillis }) => atMillis <= endMillis);
  // So many readings are behind it that later ones cannot change what it is.
  const settledMillis = upToEnd.at(-1 - LOOKAHEAD)?.atMillis ?? Number.NEGATIVE_INFINITY;
  const times = new Set(upToEnd.map(({ atMillis }) => atMillis));
  const inside = good.filter(({ atMillis }) => atMillis > startMillis && atMillis <= endMillis);
  return {
    ...register,
    suspects: judgement.suspects.filter(({ reading }) => reading.atMillis <= endMillis),
    beforeStart: surroundings(startMillis, good).before,
    firstInside: inside[0] ?? null,
    lastInside: inside.at(-1) ?? null,
    afterEnd: surroundings(endMillis, good).after,
    anchor:
      good.findLast(({ atMillis }) => atMillis <= settledMillis && times.has(atMillis)) ?? anchor,
  };
}

/** The readings of registers that have to be judged, by their place from 1 on. */
async function readRuns(
  sql: Sql,
  microgridId: string,
  spans: readonly Span[],
): Promise<Map<number, RegisterReading[]>> {
  if (spans.length === 0) return new Map();
  const found = await sql.query<{ place: number; at: Instant; value_wh: string }>(RUNS, [
    microgridId,
    ...columnsOf(spans),
    spans.map(({ anchorAt }) => anchorAt),
  ]);
  const runs = new Map<number, RegisterReading[]>();
  for (const { place, at, value_wh } of found) {
    const run = runs.get(place);
    if (run) run.push(readingOf(at, value_wh));
    else runs.set(place, [readingOf(at, value_wh)]);
  }
  return runs;
}

function columnsOf(asked: readonly RegisterSlot[]): unknown[][] {
  return [
    asked.map(({ meterId }) => meterId),
    asked.map(({ register }) => register),
    asked.map(({ slotStart }) => slotStart),
    asked.map(({ slotEnd }) => slotEnd),
  ];
}

function carriedOf({ carried_wh, carried_quality }: EvidenceRow): Evidence['carried'] {
  if (carried_wh === null || carried_quality === null) return null;
  return { valueWh: carried_wh, quality: carried_quality };
}

function anchorOf(row: EvidenceRow): RegisterReading | null {
  if (row.anchor_at === null || row.anchor_wh === null) return null;
  const reading = readingOf(row.anchor_at, row.anchor_wh);
  const offset = offsetOf(row);
  return offset === 0n ? reading : { ...reading, offsetMicroWh: offset };
}

/** What the anchor counts for beyond what its meter shows. */
function offsetOf({ anchor_wh, anchor_shown_wh }: EvidenceRow): bigint {
  if (anchor_wh === null || anchor_shown_wh === null) return 0n;
  return parseRegisterWh(anchor_wh) - parseRegisterWh(anchor_shown_wh);
}

function withOffset(reading: RegisterReading, offset: bigint): RegisterReading {
  if (offset === 0n) return reading;
  return { ...reading, microWh: reading.microWh + offset, offsetMicroWh: offset };
}

function readingOf(at: Instant, valueWh: string): RegisterReading {
  return { atMillis: parseInstant(at), microWh: parseRegisterWh(valueWh) };
}

function shown({ atMillis, microWh, offsetMicroWh = 0n }: RegisterReading) {
  return {
    readAt: formatInstant(atMillis),
    valueWh: formatRegisterWh(microWh - offsetMicroWh),
  };
}

interface EvidenceRow {
  place: number;
  carried_wh: number | null;
  carried_quality: BorderQuality | null;
  anchor_at: Instant | null;
  anchor_wh: string | null;
  anchor_shown_wh: string | null;
  max_w: number;
  /** Late readings have brought the anchor itself into doubt since it was kept. */
  is_refuted: boolean;
  clean: boolean;
  before_at: Instant | null;
  before_wh: string | null;
  first_at: Instant | null;
  first_wh: string | null;
  last_at: Instant | null;
  last_wh: string | null;
  after_at: Instant | null;
  after_wh: string | null;
  next_anchor_at: Instant | null;
  next_anchor_wh: string | null;
}

const ASKED = `
unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
  WITH ORDINALITY AS asked (meter_id, register, slot_start, slot_end, place)`;

const OF_ASKED = `
r.microgrid_id = $1::text AND r.meter_id = asked.meter_id AND r.register = asked.register`;

/** What may have been carried: see `follows` in `plausibility.ts`, of which this is the twin. */
const FOLLOWS = `
  each.value_wh >= each.wh_before
  AND (each.value_wh - each.wh_before - 1000) * 2400000
    <= connection.max_w * (extract(epoch FROM each.read_at - each.at_before) * 1000)`;

/**
 * From the anchor, which was kept with the border before, through the eighth reading behind the slot.
 * Where each of these follows from the one before, all of them count, and the greatest in time is the
 * greatest in value.
 */
const EVIDENCE = `
SELECT asked.place,
  carried.value_wh AS carried_wh, carried.quality AS carried_quality,
  carried.anchor_at, carried.anchor_wh, run.anchor_shown_wh, connection.max_w,
  anchor.is_refuted, run.clean AND NOT anchor.is_refuted AND NOT EXISTS (
    SELECT FROM meter_exchange r
    WHERE ${OF_ASKED} AND r.exchanged_at > coalesce(carried.anchor_at, '-infinity')
  ) AS clean,
  run.before_at, run.before_wh, run.first_at, run.first_wh, run.last_at, run.last_wh,
  run.after_at, run.after_wh, settled.read_at AS next_anchor_at, settled.value_wh AS next_anchor_wh
FROM ${ASKED}
LEFT JOIN LATERAL (
  SELECT r.value_wh, r.quality, r.anchor_at, r.anchor_wh
  FROM register_border r WHERE ${OF_ASKED} AND r.border_at = asked.slot_start
  ORDER BY r.revision DESC LIMIT 1
) carried ON true
CROSS JOIN LATERAL (
  SELECT coalesce((
    SELECT CASE asked.register WHEN 'import' THEN h.import_limit_w ELSE h.export_limit_w END
    FROM meter m JOIN household h USING (microgrid_id, household_id)
    WHERE m.microgrid_id = $1 AND m.meter_id = asked.meter_id AND m.role = 'grid'
  ), ${DEFAULT_CONNECTION_W}) AS max_w
) connection
CROSS JOIN LATERAL (
  SELECT carried.anchor_at IS NOT NULL AND EXISTS (
    SELECT FROM suspect_reading r WHERE ${OF_ASKED} AND r.read_at = carried.anchor_at
  ) AS is_refuted
) anchor
CROSS JOIN LATERAL (
  SELECT
    coalesce(bool_and(each.wh_before IS NULL OR (${FOLLOWS})), true) AS clean,
    min(each.value_wh) FILTER (WHERE each.read_at = carried.anchor_at) AS anchor_shown_wh,
    max(each.read_at) FILTER (WHERE each.read_at <= asked.slot_start) AS before_at,
    max(each.value_wh) FILTER (WHERE each.read_at <= asked.slot_start) AS before_wh,
    min(each.read_at) FILTER (WHERE each.is_inside) AS first_at,
    min(each.value_wh) FILTER (WHERE each.is_inside) AS first_wh,
    max(each.read_at) FILTER (WHERE each.is_inside) AS last_at,
    max(each.value_wh) FILTER (WHERE each.is_inside) AS last_wh,
    min(each.read_at) FILTER (WHERE each.read_at > asked.slot_end) AS after_at,
    min(each.value_wh) FILTER (WHERE each.read_at > asked.slot_end) AS after_wh
  FROM (
    SELECT near.read_at, near.value_wh,
      lag(near.read_at) OVER (ORDER BY near.read_at) AS at_before,
      lag(near.value_wh) OVER (ORDER BY near.read_at) AS wh_before,
      near.read_at > asked.slot_start AND near.read_at <= asked.slot_end AS is_inside
    FROM (
      (SELECT r.read_at, r.value_wh FROM reading r
        WHERE ${OF_ASKED} AND r.read_at >= coalesce(carried.anchor_at, '-infinity')
          AND r.read_at <= asked.slot_end)
      UNION ALL
      (SELECT r.read_at, r.value_wh FROM reading r
        WHERE ${OF_ASKED} AND r.read_at > asked.slot_end ORDER BY r.read_at LIMIT ${LOOKAHEAD})
    ) near
  ) each
) run
LEFT JOIN LATERAL (
  SELECT r.read_at, r.value_wh FROM reading r
  WHERE ${OF_ASKED} AND r.read_at >= coalesce(carried.anchor_at, '-infinity')
    AND r.read_at <= asked.slot_end
  ORDER BY r.read_at DESC OFFSET ${LOOKAHEAD} LIMIT 1
) settled ON true
ORDER BY asked.place`;

/** A register may be silent, or suspect, for long: the next reading that counts is looked for far. */
const RUNS = `
SELECT asked.place, near.read_at AS at, near.value_wh
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
  WITH ORDINALITY AS asked (meter_id, register, slot_start, slot_end, anchor_at, place)
CROSS JOIN LATERAL (
  (SELECT r.read_at, r.value_wh FROM reading r
    WHERE ${OF_ASKED} AND r.read_at >= coalesce(asked.anchor_at, '-infinity')
      AND r.read_at <= asked.slot_end)
  UNION ALL
  (SELECT r.read_at, r.value_wh FROM reading r
    WHERE ${OF_ASKED} AND r.read_at > asked.slot_end ORDER BY r.read_at LIMIT 1000)
) near
ORDER BY asked.place, near.read_at`;

const FORGET_SUSPECTS = `
DELETE FROM suspect_reading s
USING unnest($5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
  AS judged (meter_id, register, judged_from, slot_end)
WHERE s.microgrid_id = $1 AND s.meter_id = judged.meter_id AND s.register = judged.register
  AND s.read_at > coalesce(judged.judged_from, '-infinity') AND s.read_at <= judged.slot_end
  AND (s.meter_id, s.register, s.read_at) NOT IN (
    SELECT * FROM unnest($2::text[], $3::text[], $4::timestamptz[]))`;

/** One reading may be judged for several slots at once. What is new is shown among the refusals. */
const KEEP_SUSPECTS = `
WITH kept AS (
  INSERT INTO suspect_reading (microgrid_id, meter_id, register, read_at, rule)
  SELECT DISTINCT ON (meter_id, register, read_at) $1::text, found.*
  FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::text[])
    AS found (meter_id, register, read_at, rule)
  ORDER BY meter_id, register, read_at
  ON CONFLICT (microgrid_id, meter_id, register, read_at)
    DO UPDATE SET rule = excluded.rule WHERE suspect_reading.rule <> excluded.rule
  RETURNING meter_id, register, read_at, rule
), shown AS (
  INSERT INTO rejection (microgrid_id, meter_id, reason, payload_hash, topic, detail, payload, count)
  SELECT $1::text, kept.meter_id, kept.rule, r.payload_hash,
    'microgrids/' || $1::text || '/meters/' || kept.meter_id || '/readings',
    min(kept.register || ' register of '
      || to_char(kept.read_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || CASE kept.rule
        WHEN 'falling_register' THEN ' is lower than one before: not used'
        WHEN 'beyond_connection'
          THEN ' is higher than the connection can have carried: held back, not used'
        ELSE ' does not fit the readings around it: not used' END),
    coalesce(substring((array_agg(p.bytes))[1] FROM 1 FOR 4096), ''), count(*)
  FROM kept
  JOIN reading r ON r.microgrid_id = $1::text AND r.meter_id = kept.meter_id
    AND r.register = kept.register AND r.read_at = kept.read_at
  LEFT JOIN reading_payload p ON p.microgrid_id = $1::text AND p.payload_hash = r.payload_hash
  GROUP BY kept.meter_id, kept.rule, r.payload_hash
  ON CONFLICT (microgrid_id, meter_id, reason, payload_hash) DO NOTHING
  RETURNING reason, count
)
SELECT reason AS rule, sum(count)::bigint AS count FROM shown GROUP BY reason`;
