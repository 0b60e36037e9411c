import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomFrom } from '../../simulator/random.js';
import { householdsOf } from '../../src/ledger/accounts.js';
import { MarketApp } from './market-app.js';
import { NOW, openStreet, SLOT, type Street } from './street.js';

/**
 * Orders over HTTP, to two instances of the service at once: whatever is wrong has a name, and however
 * many come together, no wallet ever owes more than it may.
 */

/** `CROWD_TURNS` makes the crowd busier, `CROWD_SEED` another. */
const SEED = process.env['CROWD_SEED'] ?? String(Date.now() % 1_000_000);
/** The gate closes as soon as so many orders were taken, while others are on their way. */
const CROWD = 10;
const TURNS = Number(process.env['CROWD_TURNS'] ?? 4);

const WALLETS = { A: 0, B: 100_000, C: 60_000, D: 40_000, E: 25_000 };
const LATER = '2026-06-01T12:15:00Z';
const PAST_ITS_GATE = NOW;
const ORDER = {
  microgrid: 'street',
  household: 'B',
  slot: LATER,
  side: 'bid',
  energyWh: 100,
  priceMicroPerKwh: 200_000,
};

/** What is sent by whom, what stands in it, and how it is answered under each of the mechanisms. */
const REFUSED: [what: string, by: string, change: object, status: number, code: string][] = [
  ['a slot that is none', 'B', { slot: '2026-06-01T12:07:00Z' }, 422, 'unknown_slot'],
  ['a slot too far ahead', 'B', { slot: '2026-06-09T12:00:00Z' }, 422, 'unknown_slot'],
  ['a slot before the microgrid', 'B', { slot: '2026-05-31T12:00:00Z' }, 422, 'unknown_slot'],
  ['a closed gate', 'B', { slot: PAST_ITS_GATE }, 409, 'gate_closed'],
  ['a price above retail', 'B', { priceMicroPerKwh: 300_001 }, 422, 'price_outside_tariffs'],
  ['a price below feed-in', 'B', { priceMicroPerKwh: 49_999 }, 422, 'price_outside_tariffs'],
  ['no energy', 'B', { energyWh: 0 }, 422, 'energy_not_positive'],
  ['negative energy', 'B', { energyWh: -100 }, 422, 'energy_not_positive'],
  ['half a Wh', 'B', { energyWh: 0.5 }, 400, 'invalid_request'],
  ['more than the wire carries', 'B', { energyWh: 1001 }, 422, 'above_connection_limit'],
  ['more than the wallet has', 'D', { household: 'D', energyWh: 201 }, 422, 'exceeds_balance'],
  ['an order for a neighbor', 'C', {}, 403, 'forbidden'],
  ['an order for nobody', 'C', { household: 'nobody' }, 403, 'forbidden'],
  ['an order elsewhere', 'B', { microgrid: 'elsewhere' }, 403, 'forbidden'],
  ['a time that there is not', 'B', { timeInForce: 'day' }, 400, 'invalid_request'],
];

describe.each(['call-auction', 'continuous'] as const)('under %s', (mechanism) => {
  let street: Street;
  let apps: [MarketApp, MarketApp];

  beforeAll(async () => {
    street = await openStreet({ wallets: WALLETS, mechanism, importLimitW: 4000 });
    apps = await Promise.all([MarketApp.open(street.url), MarketApp.open(street.url)]);
  });
  afterAll(async () => {
    for (const app of apps) await app.close();
    await street.drop();
  });

  test.each(REFUSED)('%s is refused by its name, and leaves nothing', async (...row) => {
    const [what, by, change, status, code] = row;
    const head = await street.ledger.head(street.database, 'street');
    const key = { 'idempotency-key': what.replaceAll(' ', '-') };
    const answer = await apps[0].call(by, 'POST', '/orders', { ...ORDER, ...change }, key);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(String(answer.body['detail'])).toMatch(/\.$/);
    expect(await street.ledger.head(street.database, 'street')).toBe(head);
  });

  test('all or nothing at once is for a market that trades at once', async () => {
    const ask = { ...ORDER, household: 'A', side: 'ask', timeInForce: 'fok' };
    const answer = await apps[0].call('A', 'POST', '/orders', ask, { 'idempotency-key': 'fok' });
    expect(answer).toMatchObject(
      mechanism === 'continuous'
        ? { status: 201, body: { status: 'unfilled', timeInForce: 'fok' } }
        : { status: 422, body: { code: 'never_at_once' } },
    );
  });

  test('one key is one order, to whichever instance and however often at once it is sent', async () => {
    const head = await street.ledger.head(street.database, 'street');
    const key = { 'idempotency-key': 'once' };
    const order = { ...ORDER, household: 'C', energyWh: 10 };
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, one) =>
        apps[one % 2]!.call('C', 'POST', '/orders', order, key),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(7).fill(200), 201]);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    expect(await street.ledger.head(street.database, 'street')).toBe(head + 1);
    const other = await apps[1].call('C', 'POST', '/orders', { ...order, energyWh: 11 }, key);
    expect(other).toMatchObject({ status: 409, body: { code: 'idempotency_conflict' } });
    const id = String(answers[0]!.body['id']);
    const cancelled = await Promise.all(
      apps.map((app) => app.call('C', 'DELETE', `/orders/${id}`)),
    );
    expect(cancelled.map(({ status }) => status)).toEqual([200, 200]);
    expect(await apps[0].call('B', 'DELETE', `/orders/${id}`)).toMatchObject({
      status: 404,
      body: { code: 'unknown_order' },
    });
  });

  test(`a crowd that orders, takes back and meets a closing gate never spends money twice (CROWD_SEED=${SEED})`, async () => {
    const outcomes = new Map<string, number>();
    let crowded: () => void;
    const crowd = new Promise<void>((resolve) => (crowded = resolve));
    const note = (what: string) => {
      outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
      if ((outcomes.get('accepted') ?? 0) >= CROWD) crowded();
    };
    const client = async (number: number): Promise<void> => {
      const random = randomFrom(`${SEED}/${mechanism}/${number}`);
      const household = 'ABCDE'[number % 5]!;
      const placed: string[] = [];
      for (let turn = 0; turn < TURNS; turn += 1) {
        const app = apps[random.between(0, 1)]!;
        if (placed.length > 0 && random.between(0, 3) === 0) {
          const [id] = placed.splice(random.between(0, placed.length - 1), 1);
          const { body } = await app.call(household, 'DELETE', `/orders/${id!}`);
          note(`${String(body['code'] ?? body['status'])} back`);
          continue;
        }
        const order = {
          ...ORDER,
          household,
          slot: SLOT,
          side: household === 'A' || random.between(0, 4) === 0 ? 'ask' : 'bid',
          energyWh: random.between(1, 120),
          priceMicroPerKwh: random.between(50_000, 300_000),
          delivery: random.between(0, 1) === 0 ? 'firm' : 'delivered',
        };
        const key = { 'idempotency-key': `crowd-${number}-${turn}` };
        const { body } = await app.call(household, 'POST', '/orders', order, key);
        note(String(body['code'] ?? 'accepted'));
        if (typeof body['id'] === 'string') placed.push(body['id']);
      }
    };
    const gates = async () => {
      await crowd;
      await street.clock.advance(street.database, SLOT);
      return Promise.all([
        street.clearGate(),
        ...apps.map((app) =>
          street.database.transaction((sql) =>
            app.market.clearGate(sql, street.microgrid, SLOT, SLOT),
          ),
        ),
      ]);
    };
    const [closed] = await Promise.all([
      gates(),
      ...Array.from({ length: 15 }, (_, number) => client(number)),
    ]);
    expect(new Set(closed.map((gate) => gate!.sequence)).size).toBe(1);
    expect(outcomes.get('accepted')).toBeGreaterThanOrEqual(CROWD);
    const named =
      /^(accepted|exceeds_balance|gate_closed|opposite_side_open|above_connection_limit|too_many_orders)$/;
    const ofCancels = /^(cancelled|gate_closed|order_ended) back$/;
    expect([...outcomes.keys()].filter((one) => !named.test(one) && !ofCancels.test(one))).toEqual(
      [],
    );
    expect(await beyondTheirLimit(street)).toEqual([]);
    expect(await misfits(street)).toEqual([]);
  });
});

/** Households that the journal shows owing more than their wallet has, after whichever record. */
async function beyondTheirLimit({ ledger, database }: Street): Promise<string[]> {
  const free = new Map<string, number>();
  const holds = new Map<string, number>();
  const found: string[] = [];
  const records = await ledger.records(database, 'street', { since: 0, limit: 10_000 });
  expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, index) => index + 1));
  for (const { sequence, transfers } of records) {
    for (const { id, debit, credit, amount, state, pending } of transfers) {
      const [payer] = householdsOf(debit, debit);
      const [payee] = householdsOf(credit, credit);
      const move = (whose: string | undefined, micro: number) => {
        if (whose !== undefined) free.set(whose, (free.get(whose) ?? 0) + micro);
      };
      if (state === 'pending') holds.set(id, amount);
      if (state === 'void') {
        move(payer, holds.get(pending!)!);
        // Whatever is freed once is never freed again.
        holds.delete(pending!);
      } else move(payer, -amount);
      if (state === 'posted') move(payee, amount);
    }
    for (const [household, micro] of free) {
      if (micro < 0) found.push(`${household} owes ${-micro} after ${sequence}`);
    }
  }
  return found;
}

/** What does not fit together of orders, trades and holds, in one statement. */
async function misfits({ database }: Street): Promise<unknown[]> {
  return database.query(
    `WITH traded AS (
       SELECT order_id, sum(energy_wh) AS wh
       FROM trade CROSS JOIN LATERAL (VALUES (bid_id), (ask_id)) AS of (order_id)
       GROUP BY order_id
     ), held AS (
       SELECT debit_account AS wallet, sum(amount) AS micro FROM transfer
       WHERE state = 'pending' AND (
         transfer_id IN (SELECT hold_id FROM trade)
         OR transfer_id IN (SELECT hold_id FROM market_order WHERE status = 'open'))
       GROUP BY debit_account
     )
     SELECT order_id AS what, filled_wh AS told, wh AS found
     FROM market_order LEFT JOIN traded USING (order_id)
     WHERE filled_wh <> coalesce(wh, 0) OR filled_wh > energy_wh
     UNION ALL
     SELECT account_id, debits_pending, micro FROM account
     LEFT JOIN held ON wallet = account_id
     WHERE account_id LIKE 'household/%/wallet' AND debits_pending <> coalesce(micro, 0)
     UNION ALL
     SELECT status, count(*), 0 FROM market_order WHERE slot_start = $1 AND status = 'open'
     GROUP BY status`,
    [SLOT],
  );
}
