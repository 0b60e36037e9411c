import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { DatabaseService } from '../../src/database/database.service.js';
import { IntakeService } from '../../src/metering/intake.service.js';
import type { EnrolmentJournal } from '../../src/parties/enrolment-journal.js';
import type { MarketClockService } from '../../src/parties/market-clock.service.js';
import { MeterKeyService } from '../../src/parties/meter-key.service.js';
import { freshDatabase, type FreshDatabase } from '../support/database.js';
import { Signer } from '../support/signing.js';
import { at, enrol, houses, message } from './street.js';

/** Meters with keys, through the intake: who is believed, across restarts, instances and failures. */

let fresh: FreshDatabase;
let meterKeys: MeterKeyService;

const clock = { now: async () => at('12:00') } as MarketClockService;
const settings = { maxClockAheadSeconds: 300 };
const journal: EnrolmentJournal = { append: async () => undefined };

beforeAll(async () => {
  fresh = await freshDatabase();
  await enrol(fresh.database, 'street', houses(20));
  meterKeys = new MeterKeyService(clock, journal, settings);
});
afterAll(() => fresh.drop());

const open = (database: DatabaseService = fresh.database) =>
  new IntakeService(database, clock, settings);

const register = (meterId: string, { publicKey }: Signer) =>
  fresh.database.transaction((sql) =>
    meterKeys.register(sql, 'street', meterId, { publicKey }, 'otto'),
  );

const send = (intake: IntakeService, meterId: string, text: string, mayRepeat = false) =>
  intake.intake({ ...message('street', meterId, text), mayRepeat });

const reading = (n: number) => ({ readAt: at(`10:${String(n).padStart(2, '0')}`), importWh: n });

const readingsOf = async (meterId: string) =>
  (
    await fresh.database.query<{ value: string }>(
      'SELECT trim_scale(value_wh)::text AS value FROM reading WHERE meter_id = $1 ORDER BY read_at',
      [meterId],
    )
  ).map(({ value }) => Number(value));

it('a meter with a key is believed only with a signature and a growing counter', async () => {
  const signer = new Signer(10);
  const intake = open();
  await send(intake, 'm0', JSON.stringify(reading(1)));
  await register('m0', signer);
  // What this instance remembers of the meter is older than its key.
  await send(intake, 'm0', JSON.stringify(reading(2)));
  await send(intake, 'm0', signer.reading(reading(3), 1));
  await send(intake, 'm0', signer.reading(reading(3), 1));
  await send(intake, 'm0', ` ${signer.reading(reading(3), 1)}`);
  await send(intake, 'm0', signer.reading(reading(5), 5));
  await send(intake, 'm0', signer.reading(reading(4), 4));
  await send(intake, 'm0', new Signer(11).reading(reading(6), 6));
  await send(intake, 'm0', signer.reading({ readAt: at('23:00'), importWh: 1 }, 7));
  expect(await readingsOf('m0')).toEqual([1, 3, 5]);
  expect(intake.counters()).toEqual({
    accepted: 3,
    repeated: 0,
    unsigned: 1,
    replayed: 3,
    bad_signature: 1,
    in_future: 1,
  });
});

it('an envelope of a meter without a key is refused until its key is registered', async () => {
  const signer = new Signer(20);
  const intake = open();
  await send(intake, 'm1', signer.reading(reading(1), 1));
  expect(intake.counters()).toMatchObject({ accepted: 0, unknown_key: 1 });
  await register('m1', signer);
  await send(intake, 'm1', signer.reading(reading(1), 1));
  expect(intake.counters()).toMatchObject({ accepted: 1 });
});

it('counters outlive the service, and a new key begins to count anew', async () => {
  const [first, second] = [new Signer(30), new Signer(31)];
  await register('m2', first);
  await send(open(), 'm2', first.reading(reading(1), 100));
  const later = open();
  await send(later, 'm2', first.reading(reading(2), 100));
  await send(later, 'm2', first.reading(reading(3), 101));
  await register('m2', second);
  await send(later, 'm2', first.reading(reading(4), 102));
  await send(later, 'm2', second.reading(reading(5), 1));
  await fresh.database.transaction((sql) => meterKeys.revoke(sql, 'street', 'm2', 'otto'));
  await send(later, 'm2', second.reading(reading(6), 2));
  await send(later, 'm2', JSON.stringify(reading(7)));
  expect(await readingsOf('m2')).toEqual([1, 3, 5]);
  expect(later.counters()).toMatchObject({ replayed: 1, bad_signature: 1, revoked_key: 2 });
});

it('two instances that hear everything keep each message once and cry no replay', async () => {
  const signers = Array.from({ length: 10 }, (_, n) => new Signer(40 + n));
  await Promise.all(signers.map((signer, n) => register(`m${n + 3}`, signer)));
  const messages = Array.from({ length: 50 }, (_, n) =>
    signers.map((signer, of) => ({ meter: `m${of + 3}`, text: signer.reading(reading(n), n) })),
  ).flat();
  const instances = [open(), open()];
  await Promise.all(
    instances.map(async (intake) => {
      const sent: Promise<void>[] = [];
      for (const [place, { meter, text }] of messages.entries()) {
        sent.push(send(intake, meter, text, true));
        if (place % 37 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await Promise.all(sent);
    }),
  );
  const [a, b] = instances.map((intake) => intake.counters());
  expect(a!['accepted']! + b!['accepted']!).toBe(500);
  expect(a!['repeated']! + b!['repeated']!).toBe(500);
  expect([a!['replayed'], b!['replayed']]).toEqual([undefined, undefined]);
});

it('what could not be kept and was overtaken is still taken when it comes again', async () => {
  const signer = new Signer(60);
  await register('m15', signer);
  let failing = true;
  const flaky = {
    query: (...asked: Parameters<DatabaseService['query']>) => fresh.database.query(...asked),
    transaction: (work: Parameters<DatabaseService['transaction']>[0]) => {
      if (!failing) return fresh.database.transaction(work);
      failing = false;
      return Promise.reject(new Error('connection lost'));
    },
  } as unknown as DatabaseService;
  const intake = open(flaky);
  const first = signer.reading(reading(1), 1);
  await expect(send(intake, 'm15', first)).rejects.toThrow('connection lost');
  await send(intake, 'm15', signer.reading(reading(2), 2));
  await send(intake, 'm15', first);
  await send(intake, 'm15', signer.reading(reading(3), 1));
  expect(await readingsOf('m15')).toEqual([1, 2]);
});

it('an array counts once, by the highest sequence of its readings', async () => {
  const signer = new Signer(70);
  await register('m16', signer);
  const intake = open();
  const several = [1, 2, 3].map((n) => ({ ...reading(n), sequence: n }));
  await send(intake, 'm16', signer.envelope(JSON.stringify(several), 3));
  await send(intake, 'm16', signer.reading(reading(4), 3));
  await send(intake, 'm16', signer.reading(reading(5), 4));
  expect(await readingsOf('m16')).toEqual([1, 2, 3, 5]);
});

it('a key is registered once, and not again after it was replaced', async () => {
  const [first, second] = [new Signer(80), new Signer(81)];
  await register('m17', first);
  expect((await register('m17', first)).number).toBe(1);
  expect((await register('m17', second)).number).toBe(2);
  await expect(register('m17', first)).rejects.toThrow(/had this key before/);
  await expect(register('nobody', first)).rejects.toThrow(/no meter nobody/);
});
