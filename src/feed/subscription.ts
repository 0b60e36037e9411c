import type { StoredRecord } from '../ledger/record.js';
import type { Period } from '../parties/access.js';
import { eventsOf, type RoomEvent } from './events-of.js';
import type { FeedEvent } from './feed-event.js';
import { isVisible, type Room } from './feed-room.js';
import type { Aliases } from './record-views.js';

/**
 * Where a listener stands in the journal of one microgrid, and what a stretch of the journal is to
 * it. Live events and resumed ones go through the same `take`, so they cannot differ.
 */
export interface Subscription {
  readonly microgrid: string;
  rooms: ReadonlyMap<Room, Period>;
  /** The last sequence that was taken. */
  cursor: number;
  /** The last sequence that each room heard of, up to the cursor, as far as it is shown here. */
  seen: Map<Room, number>;
  /** A live one gets what the follower reads; one that catches up reads for itself. */
  live: boolean;
}

/** A stretch of a journal, by room: the events after `from` up to and including `through`. */
export interface Page {
  readonly from: number;
  readonly through: number;
  readonly byRoom: ReadonlyMap<Room, readonly RoomEvent[]>;
}

/**
 * @param records everything after `from`, in sequence
 * @param through up to where the journal was read; beyond the last record where bodies were erased
 */
export function pageOf(
  records: readonly StoredRecord[],
  from: number,
  through: number,
  aliases: Aliases,
): Page {
  const byRoom = new Map<Room, RoomEvent[]>();
  for (const record of records) {
    for (const roomEvent of eventsOf(record, aliases)) {
      const events = byRoom.get(roomEvent.room);
      if (events) events.push(roomEvent);
      else byRoom.set(roomEvent.room, [roomEvent]);
    }
  }
  return { from, through, byRoom };
}

/**
 * The events of the page that the subscription has not had yet, in sequence; moves it past the page.
 * What lies outside the listener's tenancy is left out of the chain of `previous` too: it would look
 * like a gap that nothing can close.
 * @throws Error when the page begins after the cursor, because that would be a gap
 */
export function take(subscription: Subscription, page: Page): FeedEvent[] {
  const { cursor, seen } = subscription;
  if (page.from > cursor) throw new Error(`a page after ${page.from} leaves a gap after ${cursor}`);
  if (page.through <= cursor) return [];
  const events: FeedEvent[] = [];
  for (const [room, period] of subscription.rooms) {
    for (const { event, of } of page.byRoom.get(room) ?? []) {
      if (event.sequence <= cursor || !isVisible(period, of)) continue;
      events.push({ ...event, previous: seen.get(room) ?? 0 });
      seen.set(room, event.sequence);
    }
  }
  subscription.cursor = page.through;
  return events.sort((a, b) => a.sequence - b.sequence);
}

/** Splits events into frames of about `size`, never between two events of one record. */
export function frames(events: readonly FeedEvent[], size: number): FeedEvent[][] {
  const result: FeedEvent[][] = [];
  let frame: FeedEvent[] = [];
  for (const event of events) {
    if (frame.length >= size && frame.at(-1)!.sequence !== event.sequence) {
      result.push(frame);
      frame = [];
    }
    frame.push(event);
  }
  if (frame.length > 0) result.push(frame);
  return result;
}
