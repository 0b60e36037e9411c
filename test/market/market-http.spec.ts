import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MarketApp } from './market-app.js';
import { openStreet, SLOT, type Street } from './street.js';

let street: Street;
let app: MarketApp;

beforeAll(async () => {
  street = await openStreet({ wallets: { A: 0, B: 1_000_000 } });
  app = await MarketApp.open(street.url);
});

afterAll(async () => {
  await app.close();
  await street.drop();
});

const call: MarketApp['call'] = (...request) => app.call(...request);

const BID = {
  microgrid: 'street',
  household: 'B',
  slot: SLOT,
  side: 'bid',
  energyWh: 500,
  priceMicroPerKwh: 200_000,
};
const key = (value: string) => ({ 'idempotency-key': value });

describe('the market over HTTP', () => {
  test('201 for a new order, 200 for its repetition, 409 for another body under its key', async () => {
    const placed = await call('B', 'POST', '/orders', BID, key('one'));
    expect(placed).toMatchObject({
      status: 201,
      body: { status: 'open', filledWh: 0, delivery: 'delivered', ...BID },
    });
    const repeated = await call('B', 'POST', '/orders', BID, key('one'));
    expect(repeated).toEqual({ status: 200, body: placed.body });
    const other = await call('B', 'POST', '/orders', { ...BID, energyWh: 1 }, key('one'));
    expect(other).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
  });

  test('names what does not fit', async () => {
    const codes = [
      await call('B', 'POST', '/orders', BID),
      await call('B', 'POST', '/orders', BID, key('a b')),
      await call('B', 'POST', '/orders', { ...BID, energyWh: 0.5 }, key('two')),
      await call('B', 'POST', '/orders', { ...BID, slot: 'noon' }, key('two')),
      await call('B', 'POST', '/orders', { ...BID, energyWh: 0 }, key('two')),
      await call('B', 'POST', '/orders', { ...BID, energyWh: 9_000_000 }, key('two')),
      await call('A', 'POST', '/orders', BID, key('two')),
      await call('A', 'POST', '/orders', { ...BID, household: 'nobody' }, key('two')),
    ].map(({ status, body }) => [status, body.code]);
    expect(codes).toEqual([
      [400, 'idempotency_key_missing'],
      [400, 'invalid_request'],
      [400, 'invalid_request'],
      [400, 'invalid_request'],
      [422, 'energy_not_positive'],
      [422, 'exceeds_balance'],
      [403, 'forbidden'],
      [403, 'forbidden'],
    ]);
  });

  test('lists and cancels the own orders only; the book shows prices without names', async () => {
    const placed = await call('B', 'POST', '/orders', { ...BID, energyWh: 7 }, key('three'));
    const page = await call('B', 'GET', '/orders?limit=1');
    expect(page.body).toMatchObject({ items: [placed.body], next: expect.any(String) });
    const rest = await call('B', 'GET', `/orders?limit=5&after=${String(page.body.next)}`);
    expect(rest.body).toMatchObject({ items: [{ energyWh: 500 }], next: null });
    expect((await call('A', 'GET', '/orders')).body).toEqual({ items: [], next: null });
    expect((await call('A', 'GET', '/orders?household=B')).status).toBe(403);

    const book = await call('A', 'GET', `/microgrids/street/order-book?slot=${SLOT}`);
    expect(book.body).toEqual({
      slot: SLOT,
      bids: [{ priceMicroPerKwh: 200_000, energyWh: 507 }],
      asks: [],
    });
    expect((await call('A', 'GET', '/microgrids/street/order-book')).body.slot).toBe(
      '2026-06-01T10:15:00Z',
    );

    const path = `/orders/${String(placed.body.id)}`;
    expect(await call('A', 'DELETE', path)).toMatchObject({ status: 404 });
    expect(await call('B', 'DELETE', path)).toMatchObject({
      status: 200,
      body: { status: 'cancelled' },
    });
    const cancelled = await call('B', 'GET', '/orders?status=cancelled');
    expect(cancelled.body).toMatchObject({ items: [{ id: placed.body.id }] });
  });

  test('limits are set for the next slot and read back; a misspelt one is refused', async () => {
    const path = '/households/A/limits';
    const none = { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null };
    expect((await call('A', 'GET', path)).body).toMatchObject(none);
    const set = { sellAboveMicroPerKwh: 90_000, buyBelowMicroPerKwh: null, wishes: [] };
    const answer = { status: 200, body: { ...set, validFrom: '2026-06-01T10:15:00Z' } };
    expect(await call('A', 'PUT', path, set)).toEqual(answer);
    expect(await call('A', 'GET', path)).toEqual(answer);
    expect((await call('A', 'PUT', path, { sellAbove: 1 })).status).toBe(400);
    expect((await call('A', 'PUT', path, { ...set, sellAboveMicroPerKwh: -1 })).status).toBe(400);
    expect((await call('B', 'PUT', path, set)).status).toBe(403);
    const wishes = [{ kind: 'solar', premiumMicroPerKwh: 10_000 }];
    expect(await call('A', 'PUT', path, { ...set, wishes })).toMatchObject({
      status: 422,
      body: { code: 'wishes_do_not_count' },
    });
    const free = [{ kind: 'solar', premiumMicroPerKwh: 0 }];
    expect((await call('A', 'PUT', path, { ...set, wishes: free })).status).toBe(400);
  });

  test('the tape has neither names nor numbers of trades', async () => {
    await call('A', 'POST', '/orders', { ...BID, household: 'A', side: 'ask' }, key('four'));
    await street.clearGate();
    const tape = await call('A', 'GET', '/microgrids/street/trades?limit=1');
    expect(tape.body).toEqual({
      items: [
        {
          trade: expect.stringMatching(/^[0-9a-f]{32}$/),
          sequence: expect.any(Number),
          slot: SLOT,
          energyWh: 500,
          priceMicroPerKwh: 200_000,
        },
      ],
      next: null,
    });
    const [order] = (await call('B', 'GET', '/orders?status=filled')).body.items as unknown[];
    expect(order).toMatchObject({ filledWh: 500, status: 'filled' });
    expect((await call('A', 'GET', '/microgrids/elsewhere/trades')).status).toBe(403);
    expect((await call('A', 'GET', '/microgrids/street/trades?after=!')).status).toBe(400);
  });
});

describe('a strategy over HTTP', () => {
  const path = '/households/A/strategy';

  test('is off until it is chosen, and then what was chosen', async () => {
    expect(await call('A', 'GET', path)).toMatchObject({
      status: 200,
      body: { strategy: 'fixed', enabled: false, plan: [] },
    });
    const chosen = await call('A', 'PUT', path, { strategy: 'adaptive' });
    expect(chosen).toMatchObject({ status: 200, body: { strategy: 'adaptive', enabled: true } });
    expect(await call('A', 'GET', path)).toEqual(chosen);
    const off = await call('A', 'PUT', path, { strategy: 'adaptive', enabled: false });
    expect(off).toMatchObject({ status: 200, body: { enabled: false } });
  });

  test.each([
    ['no such strategy', { strategy: 'clairvoyant' }],
    ['a misspelt switch', { strategy: 'fixed', enable: false }],
    ['no strategy', { enabled: true }],
  ])('%s is refused', async (_, body) => {
    expect(await call('A', 'PUT', path, body)).toMatchObject({ status: 400 });
  });

  test("a neighbor's is neither read nor chosen", async () => {
    expect(await call('B', 'GET', path)).toMatchObject({ status: 403 });
    expect(await call('B', 'PUT', path, { strategy: 'fixed' })).toMatchObject({ status: 403 });
  });
});
