import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { eventsOf } from '../../src/feed/events-of.js';
import { feedEvent, type FeedEvent } from '../../src/feed/feed-event.js';
import { settlementOf } from '../../src/feed/record-views.js';
import { frames, pageOf, take, type Subscription } from '../../src/feed/subscription.js';
import type { RecordDraft, StoredRecord } from '../../src/ledger/record.js';
import { limitsRecord } from '../../src/market/market-records.js';
import { runRecords } from '../../src/rewards/reward-records.js';
import { only } from '../../src/settlement/by-quality.js';
import { closeSlot, type SlotHousehold } from '../../src/settlement/close-slot.js';
import { correctSlot } from '../../src/settlement/correct-slot.js';
import { wholeSlot } from '../settlement/whole-slot.js';
import { rules } from '../market/rules.js';
import * as records from './records.js';

const ALIASES = new Map([
  ['h01', 'Birch'],
  ['h02', 'Cedar'],
]);
const NO_SUPPLY = { PRODUCTION: 0, CONSUMPTION: 0, STORAGE: 0 };

const stored = (draft: RecordDraft, sequence: number): StoredRecord => ({
  microgridId: 'street',
  sequence,
  kind: draft.kind,
  at: draft.at,
  households: [...draft.households].sort(),
  facts: JSON.parse(JSON.stringify(draft.facts)) as StoredRecord['facts'],
  transfers: [],
});

function told(drafts: readonly RecordDraft[]): FeedEvent[] {
  return drafts.flatMap((draft, index) =>
    eventsOf(stored(draft, index + 1), ALIASES).map(({ event }) =>
      feedEvent.parse({ ...event, previous: index }),
    ),
  );
}

function household(householdId: string, importWh: number, exportWh: number): SlotHousehold {
  const generatedWh = exportWh;
  const energy = { importWh, exportWh, generatedWh, chargedWh: 0, dischargedWh: 0 };
  return {
    householdId,
    feeder: null,
    share: { parts: 1, rank: 0 },
    energy: { ...energy, consumptionWh: importWh, unexplainedWh: 0, quality: 'measured' },
    limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
    availableMicro: 10_000_000,
    usableWh: 0,
    lots: [],
  };
}

const settled = closeSlot({
  terms: {
    microgridId: 'street',
    slot: records.slotAt(0),
    slotEnd: records.slotAt(1),
    currency: 'EUR',
    mechanism: 'metered',
    rules: rules(),
    sharing: null,
    tariff: { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 },
  },
  households: [household('h01', 0, 900), household('h02', 800, 0)],
  trades: [],
});

describe('what the other rooms write is understood', () => {
  test('a closed slot', () => {
    const events = told(wholeSlot(settled, NO_SUPPLY));
    expect(events.map(({ type, room }) => `${type} ${room}`)).toEqual([
      'settlement household/street/h01',
      'settlement operator/street',
      'settlement household/street/h02',
      'settlement operator/street',
      'trade household/street/h01',
      'trade household/street/h02',
      'trade microgrid/street',
      'trade operator/street',
      'slot-closed microgrid/street',
      'slot-closed operator/street',
      'slot-closed regulator/street',
    ]);
    expect(events[5]).toMatchObject({ side: 'bought', counterparty: 'Birch', energyWh: 800 });
  });

  test('a correction, which devices receive as the settlement it is now', () => {
    const { drafts } = correctSlot({
      slot: settled,
      revision: 2,
      at: records.slotAt(9),
      registers: new Map(),
      before: new Map(),
      posted: [],
      lotsNow: new Map(),
      supplyBefore: NO_SUPPLY,
      since: null,
    });
    const events = told(drafts);
    expect(events.map(({ type }) => type)).not.toContain('record');
    expect(events.at(-1)).toMatchObject({ type: 'correction', revision: 2 });
    expect(settlementOf(stored(drafts[0]!, 7))).toMatchObject({
      household: 'h01',
      toNeighborsWh: 800,
      revision: 2,
      sequence: 7,
    });
    expect(settlementOf(stored(drafts.at(-1)!, 9))).toBeNull();
  });

  test('a true-up, to its household and the operator alone', () => {
    const energy = { importWh: -700, exportWh: 20 };
    const priced = { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000 };
    const money = { netMicro: 211_000, currency: 'EUR' };
    const events = told([
      {
        kind: 'true-up',
        at: records.slotAt(9),
        cause: 'a cause',
        keyHolder: 'h01',
        households: ['h01'],
        facts: {
          household: 'h01',
          slot: records.slotAt(1),
          border: records.slotAt(2),
          energy,
          tariff: priced,
          money,
        },
        transfers: [],
      },
    ]);
    expect(events.map(({ room }) => room)).toEqual(['household/street/h01', 'operator/street']);
    for (const event of events) {
      const said = { ...energy, ...priced, ...money, border: records.slotAt(2) };
      expect(event).toMatchObject({ type: 'true-up', household: 'h01', ...said });
    }
  });

  test('limits and awards', () => {
    const limits = {
      validFrom: records.slotAt(1),
      sellAboveMicroPerKwh: 90_000,
      buyBelowMicroPerKwh: null,
    };
    const [own, tape] = told([limitsRecord('h01', limits, 3, records.slotAt(0))]);
    expect(own).toMatchObject({ type: 'limits', ...limits });
    expect(tape).toMatchObject({ type: 'record', households: [] });
    const period = { from: records.slotAt(0), to: records.slotAt(90) };
    const run = runRecords(
      { program: 'sun', indicator: 'neighbor-claimed', rateMicroPerKwh: 1_000, currency: 'EUR' },
      period,
      [
        {
          householdId: 'h02',
          pseudonym: 'p-1',
          claimedWh: 800,
          byQuality: only('estimated', 800),
          amountMicro: 800,
        },
      ],
      800,
      { by: 'rita', at: records.slotAt(95) },
    );
    const awards = told(run).filter(({ type }) => type === 'award');
    expect(awards.map(({ view }) => view)).toEqual(['household', 'operator', 'regulator']);
    expect(JSON.stringify(awards[2])).not.toMatch(/h02|estimated/);
  });

  test('facts of another shape are told as a record without content', () => {
    const odd = { ...records.deposit('h01', 1), facts: { secret: 'h02' } };
    for (const event of told([odd])) expect(event).toMatchObject({ type: 'record' });
    expect(JSON.stringify(told([odd]))).not.toContain('secret');
  });
});

describe('a subscription', () => {
  const rooms = new Map([
    ['household/street/h01', { from: null, until: null }],
    ['microgrid/street', { from: null, until: null }],
  ]);
  const begin = (): Subscription => ({
    microgrid: 'street',
    rooms,
    cursor: 0,
    seen: new Map(),
    live: true,
  });
  const journal = Array.from({ length: 6 }, (_, slot) => records.slotRecords(slot))
    .flat()
    .map((draft, index) => stored(draft, index + 1));

  test('takes the same events whatever the pages, overlapping ones included', () => {
    const whole = take(begin(), pageOf(journal, 0, journal.length, ALIASES));
    const cut = fc.integer({ min: 0, max: journal.length });
    fc.assert(
      fc.property(fc.array(fc.tuple(cut, cut), { maxLength: 8 }), (cuts) => {
        const subscription = begin();
        const events: FeedEvent[] = [];
        for (const [from, through] of [...cuts, [0, journal.length] as const]) {
          if (from > subscription.cursor || through < from) continue;
          const page = pageOf(journal.slice(from, through), from, through, ALIASES);
          events.push(...take(subscription, page));
        }
        expect(events).toEqual(whole);
      }),
    );
  });

  test('refuses a page that leaves a gap', () => {
    expect(() => take(begin(), pageOf(journal.slice(3), 3, 9, ALIASES))).toThrow('gap');
  });

  test('shows a tenant a chain without what lies before the tenancy', () => {
    const period = { from: records.slotAt(2), until: null };
    const tenant = { ...begin(), rooms: new Map([['household/street/h01', period]]) };
    const events = take(tenant, pageOf(journal, 0, journal.length, ALIASES));
    expect(events[0]).toMatchObject({ type: 'settlement', slot: records.slotAt(2), previous: 0 });
    expect(events[1]).toMatchObject({ type: 'trade', previous: events[0]!.sequence });
  });

  test('is sent in frames that never split a record', () => {
    const events = take(begin(), pageOf(journal, 0, journal.length, ALIASES));
    for (const size of [1, 2, 5]) {
      const split = frames(events, size);
      expect(split.flat()).toEqual(events);
      const lasts = split.map((frame) => frame.at(-1)!.sequence);
      const firsts = split.map((frame) => frame[0]!.sequence);
      expect(firsts.slice(1).every((first, index) => first > lasts[index]!)).toBe(true);
    }
  });
});
