import { describe, expect, test } from '@jest/globals';
import type { FeedEvent } from '../../src/feed/feed-event.js';
import {
  NOTHING_YET,
  reduceFrame,
  resynced,
  subscribed,
  withTrades,
  type FeedState,
} from '../../web/src/feed-reducer.js';

const SLOT = '2026-06-01T10:15:00Z';
const AT = '2026-06-01T10:35:00Z';

const base = { microgrid: 'street', at: AT } as const;

function trade(sequence: number, previous: number): FeedEvent {
  return {
    ...base,
    type: 'trade',
    view: 'microgrid',
    room: 'street',
    sequence,
    previous,
    slot: SLOT,
    trade: `t${sequence}`,
    energyWh: sequence,
    priceMicroPerKwh: 120_000,
  };
}

function slotClosed(sequence: number, previous: number): FeedEvent {
  return {
    ...base,
    type: 'slot-closed',
    view: 'microgrid',
    room: 'street',
    sequence,
    previous,
    slot: SLOT,
    slotEnd: '2026-06-01T10:30:00Z',
    clearingPriceMicroPerKwh: 120_000,
    trades: 1,
    tradedWh: 500,
  };
}

function limits(sequence: number, previous: number): FeedEvent {
  return {
    ...base,
    type: 'limits',
    view: 'household',
    room: 'street/h07',
    sequence,
    previous,
    household: 'h07',
    sellAboveMicroPerKwh: null,
    buyBelowMicroPerKwh: 200_000,
    validFrom: AT,
  };
}

function reading(powerW: number, at = AT, sequence = 7): FeedEvent {
  return {
    ...base,
    at,
    type: 'reading',
    view: 'household',
    room: 'street/h07',
    sequence,
    previous: sequence,
    household: 'h07',
    meter: 'h07-grid',
    role: 'grid',
    powerW,
  };
}

function take(state: FeedState, ...frames: FeedEvent[][]): FeedState {
  return frames.reduce((known, frame) => {
    const reduced = reduceFrame(known, frame);
    if (reduced.gap) throw new Error('a gap');
    return reduced.state;
  }, state);
}

const sequences = (state: FeedState): number[] => state.tape.map((each) => each.sequence);

describe('what the page knows from the feed', () => {
  const start = subscribed(NOTHING_YET, 100);

  test('begins where the first subscription was accepted', () => {
    expect(start).toMatchObject({ sequence: 100, base: 100 });
    expect(subscribed(start, 170)).toBe(start);
  });

  test('grows frame by frame, in each room by its own chain', () => {
    const state = take(start, [trade(101, 98)], [limits(102, 40)], [slotClosed(103, 101)]);
    expect(state.sequence).toBe(103);
    expect(sequences(state)).toEqual([101]);
    expect(state.versions).toEqual({ slots: 2, household: 1, terms: 2, fairness: 1, meters: 1 });
  });

  test('takes several records in one frame', () => {
    const state = take(start, [trade(101, 98), trade(102, 101), slotClosed(103, 102)]);
    expect(sequences(state)).toEqual([102, 101]);
  });

  test('drops what it has seen, so that a resume may overlap', () => {
    const state = take(start, [trade(101, 98)], [trade(102, 101)]);
    expect(take(state, [trade(101, 98)], [trade(102, 101)])).toBe(state);
    expect(take(start, [trade(99, 98)])).toBe(start);
  });

  test('notices what is missing, and takes nothing of that frame', () => {
    const state = take(start, [trade(101, 98)]);
    expect(reduceFrame(state, [trade(104, 103)])).toEqual({ gap: true });
    expect(reduceFrame(start, [trade(104, 103)])).toEqual({ gap: true });
    expect(reduceFrame(state, [trade(102, 101), trade(105, 104)])).toEqual({ gap: true });
    expect(sequences(take(state, [trade(103, 101)], [trade(104, 103)]))).toEqual([104, 103, 101]);
  });

  test('a quiet room may be older than the subscription', () => {
    expect(take(start, [limits(140, 3)]).rooms).toEqual({ 'street/h07': 140 });
  });

  test('starts anew after a resync, and has everything read again', () => {
    const before = take(start, [trade(101, 98)]);
    const state = resynced(before, 500);
    expect(state).toMatchObject({ sequence: 500, base: 500, rooms: {}, tape: [] });
    expect(state.versions.slots).toBe(before.versions.slots + 1);
    expect(reduceFrame(state, [trade(501, 480)]).gap).toBe(false);
  });
});

describe('transient events', () => {
  const start = subscribed(NOTHING_YET, 100);

  test('tell power and the market’s time, and never move the sequence', () => {
    const state = take(start, [reading(-900)], [reading(-1_200, '2026-06-01T10:36:00Z')]);
    expect(state.power['h07-grid']).toMatchObject({ role: 'grid', watts: -1_200 });
    expect(state.marketMillis).toBe(Date.parse('2026-06-01T10:36:00Z'));
    expect(state).toMatchObject({ sequence: 100, rooms: {} });
  });

  test('tell that a claimed meter was heard, maybe long ago', () => {
    const first: FeedEvent = {
      ...base,
      type: 'first-reading',
      view: 'household',
      room: 'street/h07',
      sequence: 7,
      previous: 7,
      household: 'h07',
      meter: 'h07-grid',
      claimedAt: AT,
    };
    const state = take(start, [first]);
    expect(state.versions.meters).toBe(start.versions.meters + 1);
    expect(state).toMatchObject({ sequence: 100, rooms: {}, marketMillis: null, power: {} });
  });

  test('an older reading changes nothing', () => {
    const state = take(start, [reading(-900)], [reading(400, '2026-06-01T10:00:00Z')]);
    expect(state.power['h07-grid']?.watts).toBe(-900);
    expect(state.marketMillis).toBe(Date.parse(AT));
  });
});

describe('the tape', () => {
  const made = (sequence: number, trade = `t${sequence}`, slot = SLOT) => ({
    trade,
    sequence,
    slot,
    energyWh: 1,
    priceMicroPerKwh: 1,
  });
  const tape = (...all: number[]) => all.map((sequence) => made(sequence));
  const ids = (joined: readonly { trade: string }[]) => joined.map(({ trade }) => trade);

  test('joins what was read and what was heard, newest first, each trade once', () => {
    const joined = withTrades(tape(9, 8, 7), tape(8, 10));
    expect(ids(joined)).toEqual(['t10', 't9', 't8', 't7']);
  });

  test('keeps apart the trades that one gate made, also after they were read again', () => {
    const read = [made(40, 'a'), made(40, 'b'), made(40, 'c')];
    expect(ids(withTrades([], read))).toEqual(['a', 'b', 'c']);
    // As the slot closes each is heard of once more, as settled by a record of its own.
    const heard = [made(52, 'b'), made(51, 'a')];
    expect(ids(withTrades(heard, read))).toEqual(['b', 'a', 'c']);
  });

  test('stands in the order of slots, whichever was traded first', () => {
    const ahead = made(30, 'tomorrow', '2026-06-02T10:15:00Z');
    expect(ids(withTrades(tape(45), [ahead]))).toEqual(['tomorrow', 't45']);
  });

  test('does not grow without end', () => {
    const many = Array.from({ length: 1_000 }, (_, index) => index);
    expect(withTrades([], tape(...many))).toHaveLength(400);
  });
});
