import { describe, expect, test } from '@jest/globals';
import type { MeasuredStreet } from '../../simulator/measured-street.js';
import { matchableWh, readingSteps, withChaos } from '../../simulator/measured-day.js';
import { advanceMeasured, advanceRegisters, ZERO_REGISTERS } from '../../simulator/registers.js';

const HOUR = 3_600_000;

function streetOf(households: Record<string, [number | null, number | null][]>): MeasuredStreet {
  return {
    stepMinutes: 60,
    derivedFromMinutes: null,
    startsAt: 10 * HOUR,
    intervals: Math.max(...Object.values(households).map((rows) => rows.length)),
    households: Object.entries(households).map(([household, rows]) => ({
      household,
      loadWh: rows.map(([load]) => load),
      pvWh: rows.map(([, pv]) => pv),
    })),
  };
}

describe('registers of measured data', () => {
  test('the grid meter counts the net, the generation meter all of the sun', () => {
    const once = advanceMeasured(ZERO_REGISTERS, 300, 1_200);
    expect(once).toMatchObject({ importWh: 0, exportWh: 900, generatedWh: 1_200 });
    expect(advanceMeasured(once, 500, 100)).toMatchObject({
      importWh: 400,
      exportWh: 900,
      generatedWh: 1_300,
    });
  });

  test('a register that would fall is an error', () => {
    const flows = { ...ZERO_REGISTERS, exportWh: -1 };
    expect(() => advanceRegisters(ZERO_REGISTERS, flows)).toThrow('exportWh would fall');
  });

  test('a household reads before its first interval and after each; a gap has no reading at its end', () => {
    const street = streetOf({
      a: [
        [100, 0],
        [null, null],
        [50, 80],
      ],
      b: [
        [null, null],
        [10, 0],
        [20, 0],
      ],
    });
    const told = [...readingSteps(street)].map(({ at, readings }) => [
      at / HOUR,
      readings.map(({ meter, importWh, exportWh }) => `${meter} ${importWh} ${exportWh}`),
    ]);
    expect(told).toEqual([
      [10, ['a-grid 0 0', 'a-pv 0 0']],
      [11, ['a-grid 100 0', 'a-pv 0 0', 'b-grid 0 0', 'b-pv 0 0']],
      [12, ['b-grid 10 0', 'b-pv 0 0']],
      [13, ['a-grid 100 30', 'a-pv 0 80', 'b-grid 30 0', 'b-pv 0 0']],
    ]);
  });
});

describe('what neighbors could trade', () => {
  test('the lesser of imports and exports, slot by slot', () => {
    const street = streetOf({
      a: [
        [100, 1_000],
        [0, 500],
      ],
      b: [
        [700, 0],
        [200, 0],
      ],
      c: [
        [50, 20],
        [300, 300],
      ],
    });
    expect(matchableWh(street, 60)).toBe(730 + 200);
  });

  test('slots longer than the step net within the slot, on the UTC grid', () => {
    const street = {
      ...streetOf({
        a: [
          [100, 0],
          [0, 100],
          [0, 90],
          [0, 0],
        ],
        b: [
          [0, 0],
          [0, 0],
          [60, 0],
          [60, 0],
        ],
      }),
      stepMinutes: 30,
      startsAt: 10 * HOUR + HOUR / 2,
    };
    // [10:30, 11:00) alone, then [11:00, 12:00) and what is left.
    expect(matchableWh(street, 60)).toBe(0 + 60 + 0);
  });
});

describe('chaos', () => {
  const messages = Array.from({ length: 120 }, (_, index) => index);

  test('sends every message twice, within windows of 50, and always alike', () => {
    const sent = withChaos(messages, { duplicate: true, shuffle: true }, 'seed');
    expect(sent).toHaveLength(240);
    for (const message of messages) expect(sent.filter((one) => one === message)).toHaveLength(2);
    const windows = messages.flatMap((message) => [message, message]);
    for (let start = 0; start < 240; start += 50) {
      expect(sent.slice(start, start + 50).sort((a, b) => a - b)).toEqual(
        windows.slice(start, start + 50),
      );
    }
    expect(withChaos(messages, { duplicate: true, shuffle: true }, 'seed')).toEqual(
      withChaos(messages, { duplicate: true, shuffle: true }, 'seed'),
    );
  });

  test('none leaves everything in order', () => {
    expect(withChaos(messages, { duplicate: false, shuffle: false }, 's')).toEqual(messages);
  });
});
