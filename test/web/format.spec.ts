import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  dayStart,
  formatDay,
  formatEnergy,
  formatKwh,
  formatMoney,
  formatMoment,
  formatPower,
  formatShare,
  formatSpan,
  formatSlot,
  formatTime,
  moneyParts,
  monthOf,
  monthsBetween,
  monthStart,
} from '../../web/src/format.js';

const plain = (text: string): string => text.replaceAll('\u202f', ' ').replaceAll('\u2212', '-');

describe('money is shown exactly', () => {
  test.each([
    [0, 'EUR', '€0.00'],
    [1, 'EUR', '€0.000001'],
    [-1_842_310, 'EUR', '-€1.84231'],
    [1_204_500_000, 'USD', '$1,204.50'],
    [9_007_199_254_740_991, 'EUR', '€9,007,199,254.740991'],
    [300_000, 'CHF', 'CHF\u00a00.30'],
    [300_000, 'CREDIT', 'CREDIT\u00a00.30'],
  ])('%p micro-units of %p read %p', (micro, currency, text) => {
    expect(plain(formatMoney(micro, currency))).toBe(text);
  });

  test('an earning can be marked', () => {
    expect(formatMoney(250_000, 'EUR', true)).toBe('+€0.25');
    expect(formatMoney(0, 'EUR', true)).toBe('€0.00');
  });

  test('the parts of any amount add up to it', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (micro) => {
        const { sign, whole, cents, rest } = moneyParts(micro, 'EUR');
        const digits = BigInt(whole.replaceAll(',', '') + cents + rest);
        expect(sign === '' ? digits : -digits).toBe(BigInt(micro));
      }),
    );
  });

  test('a fraction of a micro-unit is a mistake', () => {
    expect(() => formatMoney(0.5, 'EUR')).toThrow(RangeError);
  });
});

describe('energy, power and shares', () => {
  test.each([
    [0, '0 Wh'],
    [999, '999 Wh'],
    [-640, '-640 Wh'],
    [1_000, '1.000 kWh'],
    [1_234_567, '1,234.567 kWh'],
  ])('%p Wh read %p', (wh, text) => {
    expect(plain(formatEnergy(wh))).toBe(text);
  });

  test('kWh keep all three decimals', () => {
    expect(formatKwh(7)).toBe('0.007');
    expect(plain(formatKwh(-1_640))).toBe('-1.640');
  });

  test.each([
    [0, '0 W'],
    [-0.4, '0 W'],
    [999, '999 W'],
    [1_240, '1.24 kW'],
    [1_245, '1.24 kW'],
    [1_255, '1.26 kW'],
    [-12_000, '-12.00 kW'],
  ])('%p W read %p', (watts, text) => {
    expect(plain(formatPower(watts))).toBe(text);
  });

  test('shares round half to even and know no share of nothing', () => {
    expect(plain(formatShare(1, 3))).toBe('33.3 %');
    expect(plain(formatShare(1, 2000))).toBe('0.0 %');
    expect(plain(formatShare(3, 2000))).toBe('0.2 %');
    expect(formatShare(0, 0)).toBe('–');
  });
});

describe('time is the microgrid’s', () => {
  test('an instant is read off the wall of its zone', () => {
    expect(formatTime('2026-06-01T10:15:00Z', 'Europe/Berlin')).toBe('12:15');
    expect(formatTime('2026-06-01T22:00:00Z', 'Europe/Berlin')).toBe('00:00');
    expect(formatDay('2026-06-01T22:30:00Z', 'Europe/Berlin')).toBe('Tue 2 Jun');
    expect(formatMoment('2026-06-01T10:15:00Z', 'UTC')).toBe('1 Jun, 10:15');
  });

  test.each([
    ['2026-06-02T22:05:00Z', '2026-06-02T22:00:00Z', '00:00'],
    ['2026-06-02T22:05:00Z', '2026-06-02T21:45:00Z', 'Tue 23:45'],
    ['2026-06-02T22:05:00Z', '2026-05-28T10:00:00Z', 'Thu 12:00'],
    ['2026-06-02T22:05:00Z', '2026-05-27T10:00:00Z', '27 May, 12:00'],
    ['2026-10-26T08:00:00Z', '2026-10-24T22:15:00Z', 'Sun 00:15'],
    ['2026-06-02T12:00:00Z', '2026-06-03T12:00:00Z', '3 Jun, 14:00'],
  ])('at %p the slot of %p is called %p', (now, slot, text) => {
    expect(formatSlot(slot, { now, timeZone: 'Europe/Berlin' })).toBe(text);
  });

  test.each([
    ['2026-06-01T10:15:00Z', 'Europe/Berlin', '2026-05-31T22:00:00Z'],
    ['2026-06-01T21:59:59Z', 'Europe/Berlin', '2026-05-31T22:00:00Z'],
    ['2026-06-01T22:00:00Z', 'Europe/Berlin', '2026-06-01T22:00:00Z'],
    ['2026-03-29T12:00:00Z', 'Europe/Berlin', '2026-03-28T23:00:00Z'],
    ['2026-10-25T12:00:00Z', 'Europe/Berlin', '2026-10-24T22:00:00Z'],
    ['2026-06-01T03:00:00Z', 'America/Los_Angeles', '2026-05-31T07:00:00Z'],
    ['2026-06-01T10:00:00Z', 'Asia/Kathmandu', '2026-05-31T18:15:00Z'],
  ])('the day of %p in %p began at %p', (at, timeZone, began) => {
    expect(dayStart(Date.parse(at), timeZone)).toBe(Date.parse(began));
  });

  test('months follow the wall as well', () => {
    expect(monthOf(Date.parse('2026-05-31T22:30:00Z'), 'Europe/Berlin')).toBe('2026-06');
    expect(monthStart('2026-06', 'Europe/Berlin')).toBe(Date.parse('2026-05-31T22:00:00Z'));
    const [first, last] = [Date.parse('2025-11-30T23:30:00Z'), Date.parse('2026-02-01T00:00:00Z')];
    expect(monthsBetween(first, last, 'Europe/Berlin')).toEqual(['2025-12', '2026-01', '2026-02']);
    expect(monthsBetween(last, first, 'UTC')).toEqual(['2025-11']);
  });

  test.each([
    [-5, '0 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [3_900_000, '1 h 05'],
    [200_000_000, '2 days'],
  ])('%p ms last %p', (millis, text) => {
    expect(plain(formatSpan(millis))).toBe(text);
  });
});
