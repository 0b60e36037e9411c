import type { RegisterReading } from '../metering/border.js';
import { judge, LOOKAHEAD, type SuspectRule } from '../metering/plausibility.js';
import type { Register } from '../metering/reading.js';
import { parseRegisterWh } from '../units/energy.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Exchanges } from './exchanges.js';
import type { Findings } from './finding.js';
import { exactInstant, type TableRows } from './table-rows.store.js';
import * as store from './verify.store.js';

/** A stored reading, and the rule by which it is kept as suspect. */
interface JudgedRow {
  meter: string;
  register: Register;
  readAt: Instant;
  valueWh: string;
  rule: SuspectRule | null;
}

/** What a connection carries, as it was enrolled; null where nothing is known of the meter. */
export type LimitOf = (meter: string, register: Register) => number | null;

const TABLE = 'suspect_reading';
const FIELDS = 'meter_id, register, read_at, rule';

/** Readings judged in one go: more than can be suspect in a row, and little enough to hold. */
const JUDGED = 4_000;

/**
 * Judges every reading again, from the first of its register on, and holds the suspects against those
 * that are kept. Left out are readings that later ones may still bring into another light, and
 * registers in which something late waits to be looked at.
 * @param closedThrough end of the last closed slot: readings behind it have not been judged
 */
export async function checkSuspects(
  tables: TableRows,
  limitOf: LimitOf,
  exchanges: Exchanges,
  closedThrough: Instant,
  findings: Findings,
): Promise<void> {
  for (const { meter, register, readAt } of await tables.query<JudgedRow>(
    TABLE,
    store.IDLE_SUSPECTS,
  )) {
    const name = `${meter} ${register} ${exactInstant(readAt)}`;
    findings.add(TABLE, name, FIELDS, 'a reading', 'none');
  }
  const waiting = await tables.query<{ meter: string; register: Register }>(
    'late_reading',
    store.WAITING_REGISTERS,
  );
  const late = new Set(waiting.map(({ meter, register }) => `${meter} ${register}`));
  const rows = await tables.stream<JudgedRow>('reading', store.judgedReadings(closedThrough));
  for (let next = await rows.next(); next && !findings.full; next = await rows.next()) {
    const { meter, register } = next;
    const limitW = late.has(`${meter} ${register}`) ? null : limitOf(meter, register);
    let open = [next];
    let anchor: RegisterReading | null = null;
    for (;;) {
      let left = JUDGED;
      const more = await rows.takeWhile(
        (row) => row.meter === meter && row.register === register && (left -= 1) >= 0,
      );
      open = limitW === null ? [] : [...open, ...more];
      if (limitW !== null)
        ({ open, anchor } = assertSettled(open, anchor, limitW, exchanges, findings));
      if (more.length < JUDGED) break;
    }
  }
}

/** @returns what is still open behind the last reading that is beyond doubt */
function assertSettled(
  rows: readonly JudgedRow[],
  anchor: RegisterReading | null,
  limitW: number,
  exchanges: Exchanges,
  findings: Findings,
): { open: JudgedRow[]; anchor: RegisterReading | null } {
  const readings = rows.map(readingOf);
  const settledMillis = readings.at(-1 - LOOKAHEAD)?.atMillis ?? Number.NEGATIVE_INFINITY;
  const { good, suspects } = judge(
    readings,
    anchor,
    limitW,
    exchanges.of(rows[0]!.meter, rows[0]!.register),
  );
  const last = good.findLast(({ atMillis }) => atMillis <= settledMillis) ?? anchor;
  const rules = new Map(suspects.map(({ reading, rule }) => [reading.atMillis, rule]));
  const isSettled = (place: number) => last !== null && readings[place]!.atMillis <= last.atMillis;
  rows.forEach(({ meter, register, readAt, rule }, place) => {
    if (!isSettled(place)) return;
    const expected = rules.get(readings[place]!.atMillis) ?? null;
    const name = `${meter} ${register} ${exactInstant(readAt)}`;
    findings.same(TABLE, name, FIELDS, expected ?? 'no suspect', rule ?? 'no suspect');
  });
  return { open: rows.filter((_, place) => !isSettled(place)), anchor: last };
}

function readingOf({ readAt, valueWh }: JudgedRow): RegisterReading {
  return { atMillis: parseInstant(exactInstant(readAt)), microWh: parseRegisterWh(valueWh) };
}
