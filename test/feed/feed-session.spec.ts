import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Server } from 'node:http';
import { io } from 'socket.io-client';
import { ALLOWED_ORIGIN, pause, startFeedApp, until, type FeedApp } from './feed-app.js';
import { connectRaw } from './raw-client.js';
import * as records from './records.js';

let street: FeedApp;
beforeAll(async () => {
  street = await startFeedApp();
});
afterAll(() => street?.stop());

const H01 = [{ role: 'household' as const, household: 'h01' }];

describe('who may connect', () => {
  test('nobody without a token that holds', async () => {
    const refused = { message: 'unauthorized', data: { code: 'unauthorized' } };
    await expect(street.connect('no such token')).rejects.toMatchObject(refused);
    await expect(street.connect('')).rejects.toMatchObject(refused);
    const ended = await street.logIn('ed', H01, -1);
    await expect(street.connect(ended)).rejects.toMatchObject(refused);
  });

  test('a browser from an allowed origin or the page itself, and no other', async () => {
    const token = await street.logIn('bea', H01);
    const own = new URL(street.url).origin;
    for (const origin of [ALLOWED_ORIGIN, own]) await street.connect(token, { origin });
    for (const origin of ['https://evil.example', 'null', `${ALLOWED_ORIGIN}.evil.example`]) {
      await expect(street.connect(token, { origin })).rejects.toThrow();
    }
  });

  test('only over WebSocket, and only to a namespace', async () => {
    const token = await street.logIn('pia', H01);
    await expect(street.connect(token, { transports: ['polling'] })).rejects.toThrow();
    const root = io(new URL(street.url).origin, {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
    });
    await new Promise((resolve) => root.once('connect_error', resolve));
    expect(root.connected).toBe(false);
    root.disconnect();
  });
});

describe('how long', () => {
  test('at expiry it is told, hears nothing more, and is closed within 5 s', async () => {
    const ed = await street.connect(await street.logIn('ed', H01, 2));
    await ed.subscribe();
    const connectedAt = Date.now();
    await until(() => ed.heard('auth_expired'), 'auth_expired', 7_000);
    const [first] = await street.append([records.deposit('h01', 1)]);
    await until(() => ed.heard('disconnect'), 'the end', 5_000);
    expect(Date.now() - connectedAt).toBeLessThan(7_000);
    expect(ed.events.some(({ sequence }) => sequence === first)).toBe(false);
  });

  test('at revocation likewise', async () => {
    const rob = await street.connect(await street.logIn('rob', H01));
    await rob.subscribe();
    await street.database.query(`UPDATE session SET revoked_at = now() WHERE person_id = 'rob'`);
    await until(() => rob.heard('disconnect'), 'the end', 5_000);
    expect(rob.others.map(({ event }) => event)).toEqual(['auth_expired', 'disconnect']);
  });

  test('a new token of the same person extends it, before or just after expiry', async () => {
    const eve = await street.connect(await street.logIn('eve', H01, 3));
    await eve.subscribe();
    const other = await street.logIn('mallory', [{ role: 'household', household: 'h02' }]);
    expect(await eve.authenticate(other)).toMatchObject({ ok: false, code: 'another_person' });
    expect(await eve.authenticate('nonsense')).toMatchObject({ ok: false, code: 'unauthorized' });
    expect(await eve.authenticate(await street.logIn('eve', [], 6))).toMatchObject({ ok: true });
    await pause(4_000);
    expect(eve.heard('auth_expired')).toBe(false);
    await until(() => eve.heard('auth_expired'), 'auth_expired', 5_000);
    // What happens in between is not lost: it goes on from where it stood.
    const [missed] = await street.append([records.deposit('h01', 2)]);
    expect(await eve.authenticate(await street.logIn('eve', []))).toMatchObject({ ok: true });
    await eve.reached(missed!);
    await pause(3_000);
    expect(eve.socket.connected).toBe(true);
  }, 30_000);

  test('a grant that ends closes its room at once, before what comes after', async () => {
    const max = await street.connect(
      await street.logIn('max', [...H01, { role: 'household', household: 'h03' }]),
    );
    await max.subscribe();
    await street.database.transaction(async (sql) => {
      await sql.query(`UPDATE person_grant SET valid_until = valid_from + interval '1 second'
        WHERE person_id = 'max' AND household_id = 'h03'`);
      await sql.query(`INSERT INTO market_clock (now) VALUES ('2026-06-01T00:00:01Z')`);
      await street.ledger.append(sql, 'street', [
        {
          kind: 'operator-action',
          at: records.slotAt(0),
          cause: 'test/grant-ended',
          keyHolder: 'h03',
          households: ['h03'],
          facts: { action: 'grant-ended' },
          transfers: [],
        },
        records.householdSlot('h03', 0),
        records.householdSlot('h01', 0),
      ]);
    });
    await until(() => max.events.length > 0, 'the own settlement');
    await pause(500);
    expect(max.events.map(({ room }) => room)).toEqual(['household/street/h01']);
  });
});

describe('limits', () => {
  test('messages that are not understood are answered, others are counted', async () => {
    const lee = await street.connect(await street.logIn('lee', H01));
    const ask = (event: string, message: unknown) =>
      lee.socket.timeout(3_000).emitWithAck(event, message) as Promise<{ code?: string }>;
    for (const message of [
      undefined,
      7,
      {},
      { microgrid: '../x' },
      { microgrid: 'a', since: -1 },
    ]) {
      expect(await ask('subscribe', message)).toMatchObject({ code: 'invalid_request' });
    }
    let answer: { code?: string } = {};
    for (let index = 0; index < 60 && answer.code !== 'rate_limited'; index += 1) {
      answer = await ask('subscribe', {});
    }
    expect(answer.code).toBe('rate_limited');
  });

  test('a message beyond 16 KiB ends the connection, and so does a flood', async () => {
    const token = await street.logIn('flo', H01);
    const big = await street.connect(token);
    big.socket.emit('subscribe', { microgrid: 'x'.repeat(20_000) });
    await until(() => big.heard('disconnect'), 'the end');
    const flood = await street.connect(token);
    for (let index = 0; index < 400; index += 1) flood.socket.emit('anything', index);
    await until(() => flood.heard('disconnect'), 'the end');
  });
});

test('a frozen client slows nobody down, is cut off, and holds little memory meanwhile', async () => {
  const token = await street.logIn('olga', [{ role: 'operator' }]);
  const healthy = await street.connect(token);
  await healthy.subscribe();
  const frozen = await connectRaw(street.url, token);
  frozen.write(`42/feed,0${JSON.stringify(['subscribe', { microgrid: 'street' }])}`);
  await frozen.received('43/feed,0');
  frozen.freeze();
  const server = street.app.getHttpServer() as Server;
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
  const connectedBefore = await connections();
  // 40 MB and more than the kernel's buffers take.
  const reference = 'x'.repeat(50_000);
  let slowestMillis = 0;
  for (let batch = 0; batch < 8; batch += 1) {
    const sequences = await street.append(
      Array.from({ length: 100 }, (_, n) => {
        const draft = records.deposit('h02', 1_000 + batch * 100 + n);
        return { ...draft, facts: { ...draft.facts, reference } };
      }),
    );
    const committedAt = Date.now();
    await healthy.reached(sequences.at(-1)!);
    slowestMillis = Math.max(slowestMillis, Date.now() - committedAt);
  }
  expect(slowestMillis).toBeLessThan(3_000);
  const end = Date.now() + 20_000;
  while ((await connections()) >= connectedBefore && Date.now() < end) await pause(200);
  expect(await connections()).toBe(connectedBefore - 1);
  expect(healthy.socket.connected).toBe(true);
  frozen.destroy();
}, 60_000);
