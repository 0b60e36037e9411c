import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FeedEvent } from '../../src/feed/feed-event.js';
import { MAX_RESUME_RECORDS } from '../../src/feed/feed.service.js';
import { pause, startFeedApp, until, type FeedApp } from './feed-app.js';
import * as records from './records.js';

let street: FeedApp;
beforeAll(async () => {
  street = await startFeedApp();
});
afterAll(() => street?.stop());

/** Every kind of record that the feed has something to say about. */
const DAY = [
  ...records.slotRecords(0),
  records.order('h02', 1),
  records.order('h01', 2),
  records.gate(8),
  records.deposit('h03', 1),
  records.award('h02', 0),
  records.correction('h03', 0),
  records.deposit('h01', 2),
];

describe('what each person hears', () => {
  test('a household hears of itself and the anonymous tape, and never of another', async () => {
    const ann = await street.connect(
      await street.logIn('ann', [{ role: 'household', household: 'h01' }]),
    );
    const rooms = ['household/street/h01', 'microgrid/street'];
    expect(await ann.subscribe()).toMatchObject({ ok: true, rooms });
    const sequences = await street.append(DAY);
    await ann.reached(sequences.at(-1)!);
    const text = JSON.stringify(ann.frames);
    for (const secret of ['h02', 'h03', 'Oak', 'pseudonym']) expect(text).not.toContain(secret);
    expect(ann.events.map(({ type, room }) => `${type} ${room}`)).toEqual([
      'settlement household/street/h01',
      'trade household/street/h01',
      'trade microgrid/street',
      'slot-closed microgrid/street',
      'order microgrid/street',
      'order household/street/h01',
      'order microgrid/street',
      'gate household/street/h01',
      'gate microgrid/street',
      'deposit household/street/h01',
    ]);
    const [, own, tape] = ann.events;
    expect(own).toMatchObject({ side: 'sold', counterparty: 'Cedar', amountMicro: 72_000 });
    expect(own).not.toHaveProperty('buyer');
    expect(tape).toMatchObject({ energyWh: 600, priceMicroPerKwh: 120_000 });
    // All events of one record come in one frame.
    const frameOf = (event: FeedEvent) => ann.frames.findIndex((frame) => frame.includes(event));
    expect(frameOf(own!)).toBe(frameOf(tape!));
  });

  test('an operator hears of every record by id, with an unbroken chain', async () => {
    const olga = await street.connect(await street.logIn('olga', [{ role: 'operator' }]));
    await olga.subscribe(0);
    const head = await street.ledger.head(street.database, 'street');
    await olga.reached(head);
    const all = olga.events.filter(({ room }) => room === 'operator/street');
    expect(all.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: head }, (_, index) => index + 1),
    );
    for (const { previous, sequence } of all) expect(previous).toBe(sequence - 1);
    expect(all.find(({ type }) => type === 'trade')).toMatchObject({ buyer: 'h02', seller: 'h01' });
    const corrected = all.filter((event) => event.type === 'settlement' && event.revision === 1);
    expect(corrected).toMatchObject([{ household: 'h03', toGridWh: 400, netMicro: 92_000 }]);
  });

  test('a regulator hears of closed slots and of awards under pseudonyms', async () => {
    const rita = await street.connect(await street.logIn('rita', [{ role: 'regulator' }]));
    await rita.subscribe(0);
    await rita.reached(
      await street.ledger.head(street.database, 'street').then((head) => head - 2),
    );
    const own = rita.events.filter(({ room }) => room === 'regulator/street');
    expect(own.map(({ type }) => type)).toEqual(['slot-closed', 'award']);
    expect(own[1]).toMatchObject({ pseudonym: 'pseudonym-of-someone', claimedWh: 600 });
    expect(JSON.stringify(rita.frames)).not.toMatch(/h0\d/);
  });

  test('nobody hears of a microgrid in which they have no grant', async () => {
    const stranger = await street.connect(await street.logIn('stranger', []));
    expect(await stranger.subscribe()).toMatchObject({ ok: false, code: 'forbidden' });
  });

  test('a tenant hears of no slot before the tenancy, nor of any after it', async () => {
    await street.append(Array.from({ length: 8 }, (_, n) => records.householdSlot('h01', 20 + n)));
    const from = records.slotAt(22);
    const end = records.slotAt(26);
    const grants = [{ role: 'household' as const, household: 'h01', from, until: end }];
    const token = await street.logIn('tenant', grants);
    const before = await street.connect(token);
    expect(await before.subscribe(0)).toMatchObject({ code: 'forbidden' });
    await street.setClock(records.slotAt(23));
    const tenant = await street.connect(token);
    await tenant.subscribe(0);
    const isOwn = ({ room }: FeedEvent) => room === 'household/street/h01';
    await until(() => tenant.events.filter(isOwn).length >= 4, 'the four slots of the tenancy');
    await pause(300);
    expect(
      tenant.events.filter(isOwn).map((event) => event.type === 'settlement' && event.slot),
    ).toEqual([22, 23, 24, 25].map(records.slotAt));
    await street.setClock(end);
    expect(await tenant.subscribe()).toMatchObject({ code: 'forbidden' });
  });
});

describe('resume', () => {
  let token: string;
  beforeAll(async () => {
    token = await street.logIn('robin', [
      { role: 'household', household: 'h02' },
      { role: 'operator' },
      { role: 'regulator' },
    ]);
  });

  test('from any sequence on gives the very events that were sent live', async () => {
    const live = await street.connect(token);
    const answer = await live.subscribe();
    const start = answer.ok ? answer.sequence : Number.NaN;
    for (let slot = 40; slot < 46; slot += 1) {
      await street.append(records.slotRecords(slot));
      await pause(60);
    }
    const head = await street.ledger.head(street.database, 'street');
    await live.reached(head);
    expect(new Set(live.events.map(({ room }) => room)).size).toBe(4);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: start, max: head - 1 }), async (since) => {
        const resumed = await street.connect(token);
        expect(await resumed.subscribe(since)).toMatchObject({ ok: true, sequence: since });
        await resumed.reached(head);
        expect(resumed.events).toEqual(live.events.filter(({ sequence }) => sequence > since));
        resumed.socket.disconnect();
      }),
      { numRuns: 12 },
    );
  });

  test('while records keep coming has neither gap nor repetition', async () => {
    const first = await street.connect(token);
    const start = await street.ledger.head(street.database, 'street');
    await first.subscribe();
    const writing = (async () => {
      for (let slot = 100; slot < 160; slot += 1) await street.append(records.slotRecords(slot));
    })();
    const late = [];
    for (let index = 0; index < 5; index += 1) {
      await pause(80);
      const one = await street.connect(token);
      await one.subscribe(start + index);
      late.push(one);
    }
    await writing;
    const head = await street.ledger.head(street.database, 'street');
    await first.reached(head);
    for (const [index, one] of late.entries()) {
      await one.reached(head);
      expect(one.events).toEqual(first.events.filter(({ sequence }) => sequence > start + index));
    }
  });

  test('from beyond the head, or from too far back, asks to reload instead', async () => {
    const head = await street.ledger.head(street.database, 'street');
    const ahead = await street.connect(token);
    expect(await ahead.subscribe(head + 1)).toMatchObject({ ok: true, sequence: head });
    await until(() => ahead.heard('resync'), 'resync');
    expect(ahead.others[0]!.data).toEqual({ microgrid: 'street', sequence: head });

    await street.append(
      Array.from({ length: MAX_RESUME_RECORDS + 1 }, (_, n) => records.deposit('h03', 10_000 + n)),
    );
    const behind = await street.connect(token);
    await behind.subscribe(head);
    await until(() => behind.heard('resync'), 'resync');
    await street.append([records.deposit('h02', 9_999)]);
    await behind.reached(head + MAX_RESUME_RECORDS + 2);
    // It goes on from where it was told to reload, and each room's chain with it.
    expect(behind.events.map(({ type }) => type)).toEqual(['deposit', 'deposit']);
    const operator = behind.events.find(({ room }) => room === 'operator/street');
    expect(operator?.previous).toBe(head + MAX_RESUME_RECORDS + 1);
  });
});

describe('what passes by', () => {
  test('live power reaches the household alone, and only when it changes', async () => {
    const power = (household: string, readAt: string, powerW: number) => ({
      meterId: `m-${household}`,
      householdId: household,
      role: 'grid' as const,
      readAt,
      powerW,
    });
    const now = records.slotAt(30);
    street.metering.power = [power('h01', now, 750), power('h02', now, -1200)];
    const token = await street.logIn('paula', [{ role: 'household', household: 'h02' }]);
    const paula = await street.connect(token);
    await paula.subscribe();
    const readings = () => paula.frames.flat().filter(({ type }) => type === 'reading');
    await until(() => readings().length === 1, 'the present power');
    expect(readings()[0]).toMatchObject({ household: 'h02', powerW: -1200, at: now });
    street.metering.power = [
      power('h01', records.slotAt(31), 800),
      power('h02', records.slotAt(31), 90),
    ];
    await until(() => readings().length === 2, 'the changed power');
    await pause(1_500);
    expect(readings()).toHaveLength(2);
  });

  test('the first reading of a claimed meter reaches its household alone, once for each claim', async () => {
    const heard = (household: string, claimedAt: string) => ({
      meterId: `m-${household}`,
      householdId: household,
      claimedAt,
      readAt: records.slotAt(31),
    });
    const [first, second] = [records.slotAt(30), records.slotAt(32)];
    street.metering.first = [heard('h01', first)];
    const grants = [{ role: 'household' as const, household: 'h03' }];
    const cleo = await street.connect(await street.logIn('cleo', grants));
    await cleo.subscribe();
    const told = ({ frames }: typeof cleo) =>
      frames.flat().filter(({ type }) => type === 'first-reading');
    street.metering.first = [heard('h01', first), heard('h03', first)];
    await until(() => told(cleo).length === 1, 'its first reading');
    expect(told(cleo)[0]).toMatchObject({
      room: 'household/street/h03',
      household: 'h03',
      meter: 'm-h03',
      claimedAt: first,
      at: records.slotAt(31),
    });
    // Whoever opens the page later hears of it first, and another claim waits for another reading.
    const late = await street.connect(await street.logIn('carl', grants));
    await late.subscribe();
    await until(() => told(late).length === 1, 'what is so already');
    street.metering.first = [heard('h03', second)];
    await until(() => told(cleo).length === 2 && told(late).length === 2, 'the second claim');
    expect(told(cleo)[1]).toMatchObject({ claimedAt: second });
  });

  test('a checkpoint follows its signing, stamped with the latest sequence', async () => {
    const olga = await street.connect(await street.logIn('olga2', [{ role: 'operator' }]));
    await olga.subscribe();
    await street.append([records.deposit('h01', 70_000)]);
    const head = await street.ledger.head(street.database, 'street');
    await street.logs.sign(street.database, 'street');
    const checkpoints = () =>
      olga.frames.flat().flatMap((event) => (event.type === 'checkpoint' ? [event] : []));
    await until(() => checkpoints().some(({ size }) => size === head), 'the checkpoint');
    const latest = checkpoints().find(({ size }) => size === head)!;
    expect(latest.sequence).toBe(head);
    expect(latest.note).toContain('neighborwatt.local/street');
  });
});
