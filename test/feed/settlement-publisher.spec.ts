import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { settlementMessage } from '../../src/feed/feed-event.js';
import { pause, startFeedApp, until, type FeedApp } from './feed-app.js';
import * as records from './records.js';

let street: FeedApp;
beforeAll(async () => {
  street = await startFeedApp();
});
afterAll(() => street?.stop());

test('every settlement goes to its household, corrections too, in the order of the journal', async () => {
  await street.append([...records.slotRecords(0), records.correction('h02', 0)]);
  await until(() => street.broker.messages.length >= 4, 'the messages');
  const sent = street.broker.messages.map(({ topic, payload }) => ({
    topic,
    message: settlementMessage.parse(JSON.parse(payload)),
  }));
  expect(sent.map(({ topic, message }) => [topic, message.revision, message.toGridWh])).toEqual([
    ['microgrids/street/households/h01/settlements', 0, 300],
    ['microgrids/street/households/h02/settlements', 0, 300],
    ['microgrids/street/households/h03/settlements', 0, 300],
    ['microgrids/street/households/h02/settlements', 1, 400],
  ]);
  expect(JSON.parse(street.broker.messages[0]!.payload)).toMatchObject({
    household: 'h01',
    slot: records.slotAt(0),
    producedWh: 900,
    currency: 'EUR',
    quality: 'measured',
  });
  await pause(1_200);
  expect(street.broker.messages).toHaveLength(4);
});

test('while the broker is away nothing is lost, and a failure repeats at most that page', async () => {
  street.broker.isAway = true;
  street.broker.messages.length = 0;
  await street.append(records.slotRecords(1));
  await pause(800);
  expect(street.broker.messages).toHaveLength(0);
  street.broker.failures = 2;
  street.broker.isAway = false;
  const topics = () => new Set(street.broker.messages.map(({ topic }) => topic));
  await until(() => topics().size === 3, 'all three households');
});

test('only one instance publishes at a time', async () => {
  await street.database.transaction(async (sql) => {
    await sql.query(`SELECT pg_advisory_xact_lock(hashtextextended('feed/mqtt-settlements', 0))`);
    street.broker.messages.length = 0;
    await street.append(records.slotRecords(2));
    await pause(1_200);
    expect(street.broker.messages).toHaveLength(0);
  });
  await until(() => street.broker.messages.length === 3, 'the messages');
});
