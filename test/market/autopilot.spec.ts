import { describe, expect, test } from '@jest/globals';
import { firstQuoted, newestSlot, pilot, quotedAt } from '../../src/market/autopilot.js';
import type { Quote } from '../../src/market/strategy.js';
import type { SlotMinutes } from '../../src/units/slot.js';

/** When slots are quoted, and how quotes are cut to what connection and wallet carry. */

const DAY = '2026-06-01T';
const millis = (time: string) => Date.parse(`${DAY}${time}:00Z`);
const clock = (epochMillis: number) => new Date(epochMillis).toISOString().slice(11, 16);
const terms = (slotMinutes: SlotMinutes, gateClosureSeconds: number, graceSeconds = 300) => ({
  microgridId: 'street',
  slotMinutes,
  gateClosureSeconds,
  graceSeconds,
});

// slot | length | gate closure | grace | newest slot it may look at | quoted at
const TIMES = `
  12:00 | 15 | 0    | 300  | 11:30 | 11:50
  12:00 | 60 | 3600 | 300  | 09:00 | 10:05
  12:00 | 60 | 0    | 300  | 10:00 | 11:05
  12:00 | 5  | 0    | 300  | 11:45 | 11:55
  12:00 | 30 | 900  | 0    | 11:00 | 11:30
  12:00 | 15 | 0    | 1800 | 11:00 | 11:45
`;

describe('a slot is quoted when the last slot that can count is closed for certain', () => {
  test.each(
    TIMES.trim()
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim())),
  )(
    '%s of %s min, gate %s s before, grace %s s: %s, at %s',
    (slot, length, gate, grace, newest, at) => {
      const rules = terms(Number(length) as SlotMinutes, Number(gate), Number(grace));
      const start = millis(slot!);
      expect(clock(newestSlot(start, rules))).toBe(newest);
      expect(clock(quotedAt(start, rules))).toBe(at);
      expect(quotedAt(start, rules)).toBeLessThanOrEqual(start - (Number(gate) + 60) * 1000);
      expect(firstQuoted(quotedAt(start, rules) - 1, rules)).toBe(start);
      expect(firstQuoted(quotedAt(start, rules), rules)).toBe(start + Number(length) * 60_000);
    },
  );
});

describe('quotes are cut', () => {
  const tariff = { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 };
  const placed = (
    quotes: readonly Quote[],
    bounds: { importLimitW?: number; exportLimitW?: number; availableMicro?: number },
  ) => {
    const [decided] = pilot({
      terms: terms(15, 0),
      slotMillis: millis('12:00'),
      tariffAt: () => tariff,
      energy: { net: () => () => 1, balance: () => () => 1, street: () => undefined },
      households: [
        {
          household: {
            microgridId: 'street',
            householdId: 'A',
            alias: 'A',
            feeder: null,
            shareParts: 1,
            shareRank: 0,
            importLimitW: bounds.importLimitW ?? null,
            exportLimitW: bounds.exportLimitW ?? null,
            creditLimitMicro: 0,
            activeFrom: `${DAY}00:00:00Z`,
            activeUntil: null,
          },
          strategy: () => ({ quotes }),
          limits: { sellAbove: null, buyBelow: null },
          last: null,
          usableWh: 0,
          state: {},
          availableMicro: bounds.availableMicro ?? 0,
        },
      ],
    });
    return decided!.orders.map(({ request }) => request.energyWh);
  };
  const bid = (energyWh: number, priceMicroPerKwh = 300_000): Quote => ({
    side: 'bid',
    energyWh,
    priceMicroPerKwh,
  });
  const ask = (energyWh: number): Quote => ({ side: 'ask', energyWh, priceMicroPerKwh: 50_000 });

  test.each([
    ['nothing to cut', [ask(500), ask(700)], {}, [500, 700]],
    [
      'the connection carries 1 kW for a quarter',
      [ask(200), ask(200)],
      { exportLimitW: 1000 },
      [200, 50],
    ],
    ['the other side of the connection does not matter', [ask(500)], { importLimitW: 4 }, [500]],
    ['the wallet covers 1 kWh', [bid(600), bid(600)], { availableMicro: 300_002 }, [600, 400]],
    ['the wallet is empty', [bid(600)], {}, []],
    ['a bid for nothing', [bid(0)], { availableMicro: 300_002 }, []],
  ])('%s', (_, quotes, bounds, energies) => {
    expect(placed(quotes, bounds)).toEqual(energies);
  });

  test('what breaks the rules of a market is the fault of its strategy', () => {
    expect(() => placed([ask(1), bid(1)], {})).toThrow('both sides');
    expect(() => placed([bid(1, 300_001)], {})).toThrow('beyond the tariffs');
  });
});
