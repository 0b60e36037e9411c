/**
 * What the page knows from the feed: a pure fold over the frames that arrive. It drops what was seen
 * before, and says when something is missing, so that the connection can ask for it again.
 */
import type { FeedEvent } from '../../src/feed/feed-event.js';
import type { TapeTrade } from './answers.js';
import type { MeterPower } from './power.js';

export interface FeedState {
  /** Everything up to here is known; null before the first subscription. */
  sequence: number | null;
  /** The sequence this knowledge began with: nothing before it is missed. */
  base: number;
  /** The last sequence seen in each room. */
  rooms: Readonly<Record<string, number>>;
  /** Newest first. */
  tape: readonly TapeTrade[];
  /** By meter. */
  power: Readonly<Record<string, MeterPower>>;
  /** Market time, in epoch milliseconds, of the newest transient event: never one of the past. */
  marketMillis: number | null;
  /** Counted up when something that is read over HTTP has changed. */
  versions: Readonly<Versions>;
}

export interface Versions {
  /** Slots, their prices, and the tape. */
  slots: number;
  /** The household's settlements, balances and awards. */
  household: number;
  /** Its limits, and the tariff. */
  terms: number;
  /** How fair the latest slot was. */
  fairness: number;
  /** Which of the household's meters have been heard. */
  meters: number;
}

/** `gap`: events before this frame are missing; it was not taken in. */
export type Reduced = { gap: false; state: FeedState } | { gap: true };

const KEPT_TRADES = 400;

export const NOTHING_YET: FeedState = {
  sequence: null,
  base: 0,
  rooms: {},
  tape: [],
  power: {},
  marketMillis: null,
  versions: { slots: 0, household: 0, terms: 0, fairness: 0, meters: 0 },
};

/** After a subscription that was accepted: on the first one, knowledge begins at its sequence. */
export function subscribed(state: FeedState, sequence: number): FeedState {
  if (state.sequence !== null) return state;
  return startingAt(state, sequence);
}

/** After `resync`: everything is to be read again over HTTP, events after `sequence` follow. */
export function resynced(state: FeedState, sequence: number): FeedState {
  return startingAt({ ...state, tape: [] }, sequence);
}

/** Takes in one frame, unless events before it are missing. */
export function reduceFrame(state: FeedState, frame: readonly FeedEvent[]): Reduced {
  const seen = (room: string): number => Math.max(state.base, state.rooms[room] ?? 0);
  const recorded = frame.filter((event) => !isTransient(event));
  const fresh = recorded.filter((event) => event.sequence > seen(event.room));
  // In a frame of several records the second one's `previous` is the first one's sequence.
  const rooms: Record<string, number> = { ...state.rooms };
  for (const event of fresh) {
    if (event.previous > Math.max(seen(event.room), rooms[event.room] ?? 0)) return { gap: true };
    rooms[event.room] = event.sequence;
  }
  let next: FeedState = state;
  if (fresh.length > 0) {
    next = {
      ...next,
      rooms,
      sequence: fresh.reduce((most, event) => Math.max(most, event.sequence), state.sequence ?? 0),
      tape: withTrades(next.tape, fresh.flatMap(tapeTradeOf)),
      versions: countUp(next.versions, fresh),
    };
  }
  for (const event of frame) if (isTransient(event)) next = withTransient(next, event);
  return { gap: false, state: next };
}

/** Two tapes as one, newest first, each trade once, as `tape` has it. */
export function withTrades(
  tape: readonly TapeTrade[],
  more: readonly TapeTrade[],
): readonly TapeTrade[] {
  if (more.length === 0) return tape;
  // By id: trades that met in one record, at a gate or in a match, have one sequence.
  const byId = new Map([...more, ...tape].map((one) => [one.trade, one]));
  return [...byId.values()]
    .sort((a, b) => Date.parse(b.slot) - Date.parse(a.slot) || b.sequence - a.sequence)
    .slice(0, KEPT_TRADES);
}

function startingAt(state: FeedState, sequence: number): FeedState {
  const { slots, household, terms, fairness, meters } = state.versions;
  return {
    ...state,
    sequence,
    base: sequence,
    rooms: {},
    versions: {
      slots: slots + 1,
      household: household + 1,
      terms: terms + 1,
      fairness: fairness + 1,
      meters: meters + 1,
    },
  };
}

const TRANSIENT: readonly FeedEvent['type'][] = [
  'reading',
  'first-reading',
  'checkpoint',
  'fairness',
];

function isTransient({ type }: FeedEvent): boolean {
  return TRANSIENT.includes(type);
}

function withTransient(state: FeedState, event: FeedEvent): FeedState {
  const { versions } = state;
  if (event.type === 'fairness') {
    return { ...state, versions: { ...versions, fairness: versions.fairness + 1 } };
  }
  // It may be of yesterday, where the page was opened today.
  if (event.type === 'first-reading') {
    return { ...state, versions: { ...versions, meters: versions.meters + 1 } };
  }
  const at = Date.parse(event.at);
  const next = { ...state, marketMillis: Math.max(state.marketMillis ?? at, at) };
  if (event.type !== 'reading') return next;
  const last = state.power[event.meter];
  if (last && last.at > at) return next;
  return {
    ...next,
    power: { ...state.power, [event.meter]: { role: event.role, at, watts: event.powerW } },
  };
}

function tapeTradeOf(event: FeedEvent): TapeTrade[] {
  if (event.type !== 'trade' || event.view !== 'microgrid') return [];
  const { trade, sequence, slot, energyWh, priceMicroPerKwh } = event;
  return [{ trade, sequence, slot, energyWh, priceMicroPerKwh }];
}

function countUp(versions: Versions, events: readonly FeedEvent[]): Versions {
  const has = (types: readonly FeedEvent['type'][]): number =>
    events.some((event) => types.includes(event.type)) ? 1 : 0;
  return {
    ...versions,
    slots: versions.slots + has(['slot-closed', 'correction', 'gate']),
    household:
      versions.household +
      has(['settlement', 'correction', 'true-up', 'deposit', 'award', 'order', 'match', 'gate']),
    terms: versions.terms + has(['limits', 'tariff']),
  };
}
