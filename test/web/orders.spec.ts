import { describe, expect, test } from '@jest/globals';
import { REFUSALS } from '../../src/market/order.js';
import type { Order } from '../../web/src/answers.js';
import {
  explainOrder,
  orderInWords,
  parseEnergy,
  refusalInWords,
  slotsFrom,
} from '../../web/src/orders.js';

describe('an order on the page', () => {
  test.each([
    ['0.5', 500],
    ['0,125', 125],
    ['2', 2000],
    ['.001', 1],
    ['12.', 12_000],
  ])('%s kWh are %s Wh', (typed, energyWh) => {
    expect(parseEnergy(typed)).toEqual({ ok: true, energyWh });
  });

  test.each(['', '0', '0.0001', '-1', 'much', '1e3', '123456'])('%j is no energy', (typed) => {
    expect(parseEnergy(typed)).toEqual({ ok: false, reason: expect.stringMatching(/\.$/) });
  });

  test('says beforehand what it will do, and what the wallet keeps for it', () => {
    const order = { side: 'bid', energyWh: 500, priceMicroPerKwh: 200_000, firm: false } as const;
    expect(explainOrder(order, 'EUR')).toMatch(/buy up to .*0\.20.* Your wallet keeps .*0\.10/);
    expect(explainOrder({ ...order, side: 'ask', firm: true }, 'EUR')).toMatch(
      /^You sell .*settles in full/,
    );
  });

  test.each<[Partial<Order>, string]>([
    [{ status: 'open' }, 'waiting'],
    [{ status: 'open', filledWh: 200 }, 'waiting, '],
    [{ status: 'filled', filledWh: 500 }, 'traded in full'],
    [{ status: 'partly-filled', filledWh: 200 }, ' of '],
    [{ status: 'unfilled' }, 'not traded'],
    [{ status: 'cancelled', filledWh: 200 }, 'the rest taken back'],
  ])('%j is told', (changes, words) => {
    const order = { energyWh: 500, filledWh: 0, ...changes } as Order;
    expect(orderInWords(order)).toContain(words);
  });

  test('every reason of the service has words of the page, but for those it cannot cause', () => {
    const never = ['idempotency_conflict', 'never_at_once'];
    for (const code of REFUSALS) {
      const words = refusalInWords({ code, message: 'as the service says' });
      expect([code, words === 'as the service says']).toEqual([code, never.includes(code)]);
    }
  });

  test('slots follow one another from the first that is open', () => {
    expect(slotsFrom('2026-06-01T23:45:00Z', 15, 2)).toEqual([
      '2026-06-01T23:45:00Z',
      '2026-06-02T00:00:00Z',
    ]);
  });
});
