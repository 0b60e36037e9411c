import { describe, expect, it } from '@jest/globals';
import { MeterTest, type MeterProblemCode } from '../../src/metering/meter-test.js';
import type { Mapping } from '../../src/metering/profiles/mapping.js';
import { PROFILES } from '../../src/metering/profiles/profile.js';

/** What an installer is told, from what a plug in a smart home says: `minute payload (kept)`. */

interface Installation {
  mapping?: Mapping;
  role?: 'grid' | 'generation';
  heard: string[];
}

const CASES: [MeterProblemCode | null, string, Installation][] = [
  ['silence', 'nothing is heard', { heard: [] }],
  ['only_retained', 'only what the broker kept', { heard: ['0 {"energy":1.05} kept'] }],
  ['power_only', 'a power and no register', { heard: ['0 {"power":102}', '1 {"power":99}'] }],
  ['not_understood', 'another format', { heard: ['0 {"temperature":21}'] }],
  ['refused', 'text for a number', { heard: ['0 {"energy":"a lot"}'] }],
  ['wrong_register', 'a plug behind panels', { role: 'generation', heard: ['0 {"energy":1.05}'] }],
  [
    'wrong_unit',
    'Wh taken for kWh',
    { heard: ['0 {"energy":1050,"power":600}', '6 {"energy":1110,"power":600}'] },
  ],
  [
    'wrong_unit',
    'watt-minutes taken for Wh, told by its own power',
    {
      mapping: { sources: [source('energy', 'import', 'Wh'), source('power', 'power', 'W')] },
      heard: ['0 {"energy":1000,"power":60}', '10 {"energy":1600,"power":60}'],
    },
  ],
  ['falling_register', 'a counter of the day', { heard: ['0 {"energy":9.5}', '1 {"energy":0.1}'] }],
  [
    'clock_drift',
    'a clock ten minutes behind',
    { heard: ['10 {"energy":1.05,"last_seen":"2026-06-01T08:00:00Z"}'] },
  ],
  [
    null,
    'all well',
    { role: 'grid', heard: ['0 {"energy":1.05,"power":100}', '6 {"energy":1.06,"power":100}'] },
  ],
];

describe('an installer is told of', () => {
  it.each(CASES)('%s: %s', (code, _, { mapping = {}, role, heard }) => {
    const session = PROFILES.zigbee2mqtt.open({ mapping, timeZone: 'UTC' });
    const test = new MeterTest();
    for (const line of heard) {
      const [, minute, payload, kept] = /^(\d+) (\{.*\})( kept)?$/.exec(line)!;
      const message = {
        topic: 'zigbee2mqtt/plug',
        payload: Buffer.from(payload!),
        retained: kept !== undefined,
        receivedAtMillis: Date.parse('2026-06-01T08:00:00Z') + Number(minute) * 60_000,
      };
      test.take(message, session.take(message));
    }
    const { problems } = test.report({
      topic: 'zigbee2mqtt/plug',
      profile: 'zigbee2mqtt',
      seconds: 60,
      role,
    });
    const codes = problems.map((problem) => problem.code);
    if (code === null) expect(problems).toEqual([]);
    else expect(codes).toContain(code);
    for (const { advice } of problems) expect(advice).toMatch(/^.{20,}[.?]$/s);
  });
});

function source(path: string, register: 'import' | 'power', unit: 'Wh' | 'W') {
  return { path, register, unit };
}
