import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  flaggedInstant,
  instantsOf,
  LocalClock,
  parseLocalTime,
} from '../../../src/metering/profiles/local-time.js';
import { open } from './decoding.js';

/** Local times of meters in the two nights of the year on which clocks are changed. */

const utc = (millis: number): string => new Date(millis).toISOString().slice(0, 16);
const instants = (text: string, zone: string): string[] =>
  instantsOf(parseLocalTime(text), zone).map(utc);

it.each([
  ['2026-06-01T12:00:00', 'Europe/Berlin', ['2026-06-01T10:00']],
  ['2026-03-29T01:59:59', 'Europe/Berlin', ['2026-03-29T00:59']],
  ['2026-03-29T02:30:00', 'Europe/Berlin', []],
  ['2026-03-29T03:00:00', 'Europe/Berlin', ['2026-03-29T01:00']],
  ['2026-10-25T02:30:00', 'Europe/Berlin', ['2026-10-25T00:30', '2026-10-25T01:30']],
  ['2026-10-25T03:00:00', 'Europe/Berlin', ['2026-10-25T02:00']],
  // Lord Howe Island moves by half an hour; Apia left a whole day out.
  ['2026-04-05T01:45:00', 'Australia/Lord_Howe', ['2026-04-04T14:45', '2026-04-04T15:15']],
  ['2011-12-30T12:00:00', 'Pacific/Apia', []],
  ['2026-06-01 12:00:00', 'UTC', ['2026-06-01T12:00']],
])('%s in %s is %j', (text, zone, expected) => {
  expect(instants(text, zone)).toEqual(expected);
});

it.each(['2026-02-30T00:00:00', '2026-01-01T24:00:00', '2026-01-01', '01.01.2026 00:00:00', ''])(
  'refuses %j',
  (text) => {
    expect(() => parseLocalTime(text)).toThrow(RangeError);
  },
);

it('finds every instant again among those of its local time', () => {
  const zones = ['Europe/Berlin', 'Europe/London', 'America/New_York', 'Australia/Lord_Howe'];
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.integer({ min: Date.UTC(2_020, 0), max: Date.UTC(2_030, 0) }),
      (timeZone, millis) => {
        const instant = Math.floor(millis / 1_000) * 1_000;
        const local = new Intl.DateTimeFormat('sv-SE', {
          timeZone,
          dateStyle: 'short',
          timeStyle: 'medium',
        }).format(instant);
        expect(instantsOf(parseLocalTime(local), timeZone)).toContain(instant);
      },
    ),
  );
});

it('believes the flags of P1, whatever the zone shows', () => {
  const local = parseLocalTime('2026-10-25T02:30:00');
  expect(utc(flaggedInstant(local, 'S', 'Europe/Amsterdam'))).toBe('2026-10-25T00:30');
  expect(utc(flaggedInstant(local, 'W', 'Europe/Amsterdam'))).toBe('2026-10-25T01:30');
  // A microgrid left at UTC: P1 is at home where it is Central European time.
  expect(utc(flaggedInstant(local, 'W', 'UTC'))).toBe('2026-10-25T01:30');
  expect(utc(flaggedInstant(local, 'S', 'Europe/Vilnius'))).toBe('2026-10-24T23:30');
});

describe('the hour that comes twice', () => {
  const zone = 'Europe/Berlin';
  const LATER = Date.parse('2026-11-01T00:00:00Z');
  const tell = (readings: [string, number][], arrives: (index: number) => number): string[] => {
    const clock = new LocalClock(zone);
    return readings.map(([time, wh], index) => {
      const shown = { importMicroWh: BigInt(wh), exportMicroWh: null };
      const verdict = clock.resolve(parseLocalTime(`2026-10-25T${time}:00`), shown, arrives(index));
      return typeof verdict === 'number' ? utc(verdict).slice(11) : verdict;
    });
  };

  it('is told by the register, days later too', () => {
    const night: [string, number][] = [
      ['01:45', 1],
      ['02:15', 2],
      ['02:45', 3],
      ['02:15', 4],
      ['02:45', 5],
      ['03:15', 6],
    ];
    const expected = ['23:45', '00:15', '00:45', '01:15', '01:45', '02:15'];
    expect(tell(night, () => LATER)).toEqual(expected);
  });

  it('is told by the register out of order', () => {
    const night: [string, number][] = [
      ['01:45', 1],
      ['02:15', 2],
      ['02:15', 4],
      ['02:45', 3],
    ];
    expect(tell(night, () => LATER)).toEqual(['23:45', '00:15', '01:15', '00:45']);
  });

  it('is told by its arrival, where the register stands still', () => {
    const at = Date.parse('2026-10-25T01:15:04Z');
    expect(tell([['02:15', 7]], () => at)).toEqual(['01:15']);
    expect(tell([['02:15', 7]], () => at - 3_600_000)).toEqual(['00:15']);
  });

  it('is refused where nothing tells', () => {
    expect(tell([['02:15', 7]], () => LATER)).toEqual(['ambiguous']);
    expect(tell([['02:30', 7]], () => LATER)).toEqual(['ambiguous']);
  });

  it('never makes a register fall, and loses no reading of a live night', () => {
    const start = Date.parse('2026-10-24T22:00:00Z');
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 20, maxLength: 20 }),
        fc.integer({ min: 0, max: 60_000 }),
        (steps, delayMillis) => {
          let wh = 0;
          const { hear } = open('tasmota', {}, zone);
          steps.forEach((step, index) => {
            wh += step;
            const millis = start + index * 900_000;
            const local = new Date(millis + offsetHours(millis) * 3_600_000).toISOString();
            const payload = `{"Time":"${local.slice(0, 19)}","SML":{"Total_in":${wh}}}`;
            expect(
              hear('tele/x/SENSOR', payload, { receivedAtMillis: millis + delayMillis }),
            ).toEqual([
              `${new Date(millis).toISOString().replace('.000Z', 'Z')} import ${wh * 1_000} Wh`,
            ]);
          });
        },
      ),
      { numRuns: 20 },
    );
  });
});

it('refuses an hour that spring left out', () => {
  const { hear } = open('tasmota', {}, 'Europe/Berlin');
  const payload = '{"Time":"2026-03-29T02:30:00","SML":{"Total_in":1}}';
  expect(hear('tele/x/SENSOR', payload)).toEqual(['bad_time']);
});

function offsetHours(millis: number): number {
  return millis < Date.parse('2026-10-25T01:00:00Z') ? 2 : 1;
}
