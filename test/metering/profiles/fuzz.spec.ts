import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isDecimal, toMicroWh } from '../../../src/metering/profiles/decimal.js';
import { MAPPING } from '../../../src/metering/profiles/mapping.js';
import { PROFILE_NAMES, PROFILES } from '../../../src/metering/profiles/profile.js';
import type { ProfileMessage, ProfileName } from '../../../src/metering/profiles/profile.js';
import { sharedFile } from '../../support/shared.js';

/**
 * Whatever arrives: no profile throws, none says more than a message can hold, nothing that is
 * replayed counts, and no register is negative. fast-check prints the seed of a failing run.
 */

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 20);
const path = sharedFile('vectors/meter-payloads.json');
const vectors =
  path === null
    ? []
    : (JSON.parse(readFileSync(path, 'utf8')) as {
        topic: string;
        payload: string;
        payloadEncoding: 'utf8' | 'base64';
      }[]);

const TOPICS = [
  'microgrids/a/meters/b/readings',
  'tele/x/SENSOR',
  'tele/x/RESULT',
  'shellies/shellyem3-1/emeter/0/total',
  'x/status',
  'x/status/emdata:0',
  'x/events/rpc',
  'dsmr/json',
  'dsmr/raw',
  'dsmr/reading/timestamp',
  'dsmr/reading/electricity_delivered_1',
  'spBv1.0/g/NBIRTH/n',
  'spBv1.0/g/DDATA/n/d',
  'homeassistant/sensor/a/state',
  'homeassistant/sensor/a/unit_of_measurement',
  'homeassistant/sensor/a/config',
  'zigbee2mqtt/a',
  'N/p/grid/1/Ac/Energy/Forward',
  'edge/e/channel/lastUpdate',
  'edge/e/channel/_sum/GridBuyActiveEnergy',
  'evcc/site/grid/energy',
  'glow/a/SENSOR/electricitymeter',
  'e/sensor/energy_delivered_tariff1/state',
  ...vectors.map(({ topic }) => topic),
];

const HOSTILE = [
  '{"__proto__":{"energy":1}}',
  '{"energy":1e400}',
  '{"energy":1,"energy":2}',
  '['.repeat(30_000),
  '{"a":'.repeat(20_000),
  '/x\n'.repeat(20_000),
  `/x\n${'1-0:1.8.1(1*kWh)\n'.repeat(3_000)}!0000\n`,
  'OCMF|{"PG":"T1"}|{"SA":"ECDSA-secp256r1-SHA256","SD":"3006020100020100"}',
  `[${'1,'.repeat(30_000)}1]`,
  ' '.repeat(70_000),
  '\u0000',
];

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc.constantFrom(...HOSTILE).map((text) => Buffer.from(text)),
  // A real payload with a piece changed, cut or doubled.
  fc
    .record({
      base: fc.constantFrom(
        Buffer.from('{"energy":1.5}'),
        ...vectors.map((one) => Buffer.from(one.payload, one.payloadEncoding)),
      ),
      at: fc.nat(),
      bytes: fc.uint8Array({ maxLength: 4 }),
      removed: fc.nat({ max: 40 }),
    })
    .map(({ base, at, bytes, removed }) => {
      const place = at % (base.length + 1);
      return Buffer.concat([base.subarray(0, place), bytes, base.subarray(place + removed)]);
    }),
);

const messages: fc.Arbitrary<ProfileMessage[]> = fc.array(
  fc.record({
    topic: fc.oneof(fc.constantFrom(...TOPICS), fc.string()),
    payload,
    retained: fc.boolean(),
    receivedAtMillis: fc.integer({ min: 0, max: 4e12 }),
  }),
  { minLength: 1, maxLength: 12 },
);

const MAPPINGS: object[] = [
  {},
  { channels: [0, 1, 2], invert: true, meter: 'a', crc: 'absent', timeZone: 'Europe/Berlin' },
  {
    sources: [
      { path: 'a.b', register: 'import', factor: '0.001' },
      { topic: '+/state', register: 'export', sign: '-' },
      { column: 2, register: 'power', unit: 'kW' },
    ],
    time: { path: 't', format: 'local' },
  },
];

describe.each(PROFILE_NAMES)('%s', (profile) => {
  it('survives whatever arrives', () => {
    fc.assert(
      fc.property(fc.constantFrom(...MAPPINGS), messages, (mapping, heard) => {
        survive(profile, mapping, heard);
      }),
      { numRuns },
    );
  });
});

function survive(profile: ProfileName, mapping: object, heard: readonly ProfileMessage[]): void {
  const session = PROFILES[profile].open({
    mapping: MAPPING.parse(mapping),
    timeZone: 'Europe/Berlin',
  });
  for (const message of heard) {
    const { readings, rejections, publish = [] } = session.take(message);
    expect(readings.length).toBeLessThanOrEqual(3_000);
    expect(rejections.length).toBeLessThanOrEqual(1_000);
    expect(publish.length).toBeLessThanOrEqual(1);
    for (const { detail } of rejections) expect(detail.length).toBeLessThanOrEqual(600);
    for (const { microWh, powerW, readAt, readAtMillis, meter = '', note = '' } of readings) {
      expect(microWh === null).toBe(powerW !== null);
      expect(microWh ?? 0n).toBeGreaterThanOrEqual(0n);
      expect(Number.isFinite(powerW ?? 0)).toBe(true);
      expect(Date.parse(readAt)).toBe(readAtMillis);
      expect(meter.length + note.length).toBeLessThanOrEqual(1_000);
    }
    if (message.retained && profile !== 'p1') expect(readings).toEqual([]);
  }
}

it('scales decimals exactly, whatever their digits', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), fc.nat({ max: 9 }), (digits, places) => {
      const text = digits.toString().padStart(places + 1, '0');
      const decimal =
        places === 0 ? text : `${text.slice(0, -places)}.${text.slice(text.length - places)}`;
      const exact = (digits * 10n ** 9n) / 10n ** BigInt(places);
      if (exact >= 10n ** 18n) return;
      expect(isDecimal(decimal)).toBe(true);
      expect(toMicroWh(decimal, { unit: 'kWh' })).toBe(exact);
      expect(toMicroWh(decimal, { unit: 'Wh', factor: '1000' })).toBe(exact);
      expect(toMicroWh(`-${decimal}`, { unit: 'MWh', factor: '0.001', sign: '-' })).toBe(exact);
    }),
  );
});
