import type { StoredRecord } from '../ledger/record.js';
import type { Instant } from '../units/slot.js';
import type { FeedEvent, View } from './feed-event.js';
import {
  householdRoom,
  microgridRoom,
  operatorRoom,
  regulatorRoom,
  REGULATOR_KINDS,
  TAPE_KINDS,
  type Room,
} from './feed-room.js';
import { viewsOf, type Aliases, type Body, type WithoutEach } from './record-views.js';

/** An event but for `previous`, which depends on what its room saw before. */
export type UnlinkedEvent = WithoutEach<FeedEvent, 'previous'>;

/** An event for a room, and the slot (or instant) it belongs to, on which access depends. */
export interface RoomEvent {
  room: Room;
  of: Instant;
  event: UnlinkedEvent;
}

/**
 * What a record tells each room: exactly one event for every room that hears of it, so that a
 * room's chain of `previous` is the chain of the records it hears of.
 * @param aliases of every household that the record names as a trading partner
 */
export function eventsOf(record: StoredRecord, aliases: Aliases): RoomEvent[] {
  const views = viewsOf(record, aliases);
  const microgrid = record.microgridId;
  const tell = (view: View, room: Room, body: Body | null, named: string[]): RoomEvent => ({
    room,
    of: views.of,
    event: {
      ...(body ?? { type: 'record', view, kind: record.kind, households: named }),
      room,
      microgrid,
      sequence: record.sequence,
      at: record.at,
    },
  });
  const events = record.households.map((household) =>
    tell('household', householdRoom(microgrid, household), views.household(household), [household]),
  );
  if (isOneOf(TAPE_KINDS, record.kind)) {
    events.push(tell('microgrid', microgridRoom(microgrid), views.microgrid, []));
  }
  events.push(tell('operator', operatorRoom(microgrid), views.operator, record.households));
  if (isOneOf(REGULATOR_KINDS, record.kind)) {
    events.push(tell('regulator', regulatorRoom(microgrid), views.regulator, []));
  }
  return events;
}

function isOneOf(kinds: readonly string[], kind: string): boolean {
  return kinds.includes(kind);
}
