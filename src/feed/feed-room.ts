import { accessPeriod, may, type Grant, type Period } from '../parties/access.js';
import type { Instant } from '../units/slot.js';
import { parseInstant } from '../units/slot.js';

/**
 * Rooms: who hears what. A socket's rooms follow from its person's grants and the access table
 * alone; a household's room is further limited to the slots of the tenancy.
 *
 * - `household/{m}/{h}` every record that names the household, as it may see it
 * - `microgrid/{m}` the anonymous tape: orders by price level, gates, trades, closed slots, tariffs
 * - `operator/{m}` every record, by id
 * - `regulator/{m}` closed slots, awards under pseudonyms
 */
export type Room = string;

export const householdRoom = (microgrid: string, household: string): Room =>
  `household/${microgrid}/${household}`;
export const microgridRoom = (microgrid: string): Room => `microgrid/${microgrid}`;
export const operatorRoom = (microgrid: string): Room => `operator/${microgrid}`;
export const regulatorRoom = (microgrid: string): Room => `regulator/${microgrid}`;

/** The kinds of records that reach the rooms which do not hear of all of them. */
export const TAPE_KINDS = ['order', 'gate', 'trade', 'slot-closed', 'tariff'] as const;
export const REGULATOR_KINDS = ['slot-closed', 'award'] as const;

/** The rooms of a microgrid that these grants open at market time `at`, with the slots they show. */
export function roomsOf(
  grants: readonly Grant[],
  microgrid: string,
  at: Instant,
): ReadonlyMap<Room, Period> {
  const rooms = new Map<Room, Period>();
  const households = new Set(
    grants.flatMap((grant) => (grant.householdId === null ? [] : [grant.householdId])),
  );
  for (const household of households) {
    const scope = { microgrid, household };
    if (!may(grants, 'feed.household', scope, at)) continue;
    const period = accessPeriod(grants, scope, at);
    if (period) rooms.set(householdRoom(microgrid, household), period);
  }
  if (may(grants, 'feed.microgrid', { microgrid }, at)) rooms.set(microgridRoom(microgrid), ALWAYS);
  if (may(grants, 'feed.operator', { microgrid }, at)) rooms.set(operatorRoom(microgrid), ALWAYS);
  if (may(grants, 'feed.regulator', { microgrid }, at)) rooms.set(regulatorRoom(microgrid), ALWAYS);
  return rooms;
}

/** Whether something that belongs to the slot (or instant) `of` lies in the period. */
export function isVisible(period: Period, of: Instant): boolean {
  if (period.from === null && period.until === null) return true;
  const millis = parseInstant(of);
  return (
    (period.from === null || millis >= parseInstant(period.from)) &&
    (period.until === null || millis < parseInstant(period.until))
  );
}

/** The household of a household's room, or null for the other rooms. */
export function householdOf(room: Room): string | null {
  const [kind, , household] = room.split('/');
  return kind === 'household' ? (household ?? null) : null;
}

const ALWAYS: Period = { from: null, until: null };
