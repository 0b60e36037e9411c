import { describe, expect, test } from '@jest/globals';
import { householdReach, ownReach } from '../../src/market/reach.js';
import {
  firstOpenSlot,
  judgeOrder,
  MAX_OPEN_ORDERS,
  orderId,
  REFUSALS,
  requestHash,
  type OrderContext,
  type OrderRequest,
} from '../../src/market/order.js';
import type { Grant } from '../../src/parties/access.js';

const REQUEST: OrderRequest = {
  microgrid: 'street',
  household: 'h1',
  slot: '2026-06-01T12:00:00Z',
  side: 'bid',
  energyWh: 1000,
  priceMicroPerKwh: 200_000,
  delivery: 'delivered',
};

const CONTEXT: OrderContext = {
  now: '2026-06-01T10:00:00Z',
  mechanism: 'call-auction',
  slotMinutes: 15,
  startsAt: '2026-06-01T00:00:00Z',
  gateClosureSeconds: 600,
  gateCleared: false,
  tariff: { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 },
  importLimitW: 5000,
  exportLimitW: null,
  activeFrom: '2026-06-01T00:00:00Z',
  activeUntil: '2026-06-02T00:00:00Z',
  open: [],
  traded: { bid: 0, ask: 0 },
};

describe('an order', () => {
  // Each row breaks one more thing than the row after it: the first refusal that applies is given.
  test.each<[string, Partial<OrderRequest>, Partial<OrderContext>]>([
    ['mechanism_takes_no_orders', { slot: '2026-06-01T12:01:00Z' }, { mechanism: 'metered' }],
    ['unknown_slot', { slot: '2026-06-01T12:01:00Z' }, { gateCleared: true }],
    ['unknown_slot', { slot: '2026-05-31T23:45:00Z' }, {}],
    ['unknown_slot', { slot: '2026-06-02T00:00:00Z' }, {}],
    ['unknown_slot', { slot: '2026-06-08T10:15:00Z' }, { activeUntil: null }],
    ['gate_closed', { priceMicroPerKwh: 1 }, { gateCleared: true }],
    ['gate_closed', { priceMicroPerKwh: 1 }, { now: '2026-06-01T11:50:00Z' }],
    ['price_outside_tariffs', { priceMicroPerKwh: 49_999, energyWh: 0 }, {}],
    ['price_outside_tariffs', { priceMicroPerKwh: 300_001, energyWh: 0 }, {}],
    ['energy_not_positive', { energyWh: 0 }, {}],
    ['energy_not_positive', { energyWh: -5 }, { open: [{ side: 'ask', energyWh: 1 }] }],
    ['above_connection_limit', { energyWh: 1251 }, { open: [{ side: 'ask', energyWh: 1 }] }],
    ['above_connection_limit', { energyWh: 1000 }, { open: [{ side: 'bid', energyWh: 251 }] }],
    ['opposite_side_open', {}, { open: [{ side: 'ask', energyWh: 1 }] }],
    [
      'too_many_orders',
      {},
      { open: Array.from({ length: MAX_OPEN_ORDERS }, () => ({ side: 'bid', energyWh: 1 })) },
    ],
    ['accepted', { energyWh: 999 }, { open: [{ side: 'bid', energyWh: 251 }] }],
    ['accepted', { side: 'ask', energyWh: 900_000 }, {}],
    ['accepted', { priceMicroPerKwh: 50_000 }, { now: '2026-06-01T11:49:59Z' }],
    ['accepted', { slot: '2026-06-08T10:00:00Z' }, { activeUntil: null }],
  ])('%s: %j %j', (verdict, request, context) => {
    expect(judgeOrder({ ...REQUEST, ...request }, { ...CONTEXT, ...context })).toBe(verdict);
  });

  test('refusals are named once each', () => {
    expect(new Set(REFUSALS).size).toBe(REFUSALS.length);
  });

  test('is named by microgrid, person and key; its hash by everything that it says', () => {
    expect(orderId('street', 'anna', 'k')).toMatch(/^[0-9a-f]{32}$/);
    expect(orderId('street', 'anna', 'k')).toBe(orderId('street', 'anna', 'k'));
    expect(orderId('street', 'ann', 'ak')).not.toBe(orderId('street', 'anna', 'k'));
    expect(requestHash({ ...REQUEST })).toEqual(requestHash(REQUEST));
    expect(requestHash({ ...REQUEST, energyWh: 1001 })).not.toEqual(requestHash(REQUEST));
  });

  test('the first open slot is the next one whose gate is still open', () => {
    const microgrid = { slotMinutes: 15 as const, gateClosureSeconds: 600 };
    expect(firstOpenSlot('2026-06-01T10:04:59Z', microgrid)).toBe('2026-06-01T10:15:00Z');
    expect(firstOpenSlot('2026-06-01T10:05:00Z', microgrid)).toBe('2026-06-01T10:30:00Z');
  });
});

describe('whose orders a person sees', () => {
  const now = '2026-06-10T00:00:00Z';
  const tenant: Grant = {
    role: 'household',
    microgridId: 'street',
    householdId: 'h1',
    validFrom: '2026-06-01T00:00:00Z',
    validUntil: '2026-07-01T00:00:00Z',
  };
  const operator: Grant = {
    ...tenant,
    role: 'operator',
    householdId: null,
    validUntil: null,
  };
  const h1 = { microgridId: 'street', householdId: 'h1' };

  test('a tenant: the own household, within the tenancy', () => {
    const [reach] = ownReach([tenant, tenant], now);
    expect(reach).toEqual({ ...h1, from: tenant.validFrom, until: tenant.validUntil });
    expect(ownReach([tenant, tenant], now)).toHaveLength(1);
    expect(ownReach([tenant], '2026-07-01T00:00:00Z')).toEqual([]);
    expect(householdReach([tenant], { ...h1, householdId: 'h2' }, now)).toEqual([]);
  });

  test('an operator: any household of the microgrid, when asked for', () => {
    expect(ownReach([operator], now)).toEqual([]);
    expect(householdReach([operator], h1, now)).toEqual([{ ...h1, from: null, until: null }]);
  });
});
