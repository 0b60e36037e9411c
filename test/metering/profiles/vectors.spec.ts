import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { MAPPING } from '../../../src/metering/profiles/mapping.js';
import { PROFILES } from '../../../src/metering/profiles/profile.js';
import type { ProfileName, ProfileOutput } from '../../../src/metering/profiles/profile.js';
import { formatRegisterWh } from '../../../src/units/energy.js';
import { sharedFile } from '../../support/shared.js';
import { message } from './decoding.js';

/**
 * Every payload of the public vectors: it decodes as its meaning says, or is refused with a reason. A
 * case that this page does not name fails it.
 */

interface Vector {
  id: string;
  topic: string;
  payloadEncoding: 'utf8' | 'base64';
  payload: string;
  meaning: Meaning;
}

interface Meaning {
  importWh?: number | null;
  exportWh?: number | null;
  powerW?: number | null;
  pvPowerW?: number;
  timestamp?: string | null;
  localTime?: string;
  publicKeySpkiHexOrB64?: string;
}

interface Plan {
  profile: ProfileName;
  mapping?: object;
  /** Vectors that the same session hears before. */
  after?: string[];
  /** Instead of what the meaning says, where it says nothing of registers. */
  readings?: string[];
  refused?: string[];
}

const CUSTOM_NAMES = {
  sources: [
    { path: 'SML.Verbrauch_Summe', register: 'import', unit: 'kWh' },
    { path: 'SML.Einspeisung_Summe', register: 'export', unit: 'kWh' },
    { path: 'SML.Watt_Summe', register: 'power' },
  ],
};
const CSV = {
  timeZone: 'Europe/Berlin',
  sources: [
    { column: 1, register: 'import', unit: 'kWh', factor: '1e-10' },
    { column: 2, register: 'export', unit: 'kWh', factor: '1e-10' },
  ],
  time: { column: 0, format: 'local' },
};
const HA_UNKNOWN_UNIT = {
  sources: [{ topic: 'sensor/grid_import/state', register: 'import' }],
};

const PLANS: Readonly<Record<string, Plan>> = {
  'tasmota-sml-a': { profile: 'tasmota' },
  'tasmota-sml-custom-names': { profile: 'tasmota', mapping: CUSTOM_NAMES },
  'tasmota-plug-energy': { profile: 'tasmota' },
  'tasmota-p1-line': { profile: 'tasmota', refused: ['incomplete'] },
  'shelly-gen1-em-power': { profile: 'shelly' },
  'shelly-gen1-em-voltage': { profile: 'shelly' },
  'shelly-gen1-em-total': { profile: 'shelly' },
  'shelly-gen1-em-total_returned': { profile: 'shelly' },
  'shelly-gen1-em-status': { profile: 'shelly' },
  'shelly-pro3em-status-em0': { profile: 'shelly' },
  'shelly-pro3em-status-emdata0': { profile: 'shelly' },
  'shelly-gen4-notify-no-power': { profile: 'shelly' },
  'dsmr-reader-json': { profile: 'dsmr-reader' },
  'p1-dsmr5': { profile: 'p1' },
  'p1-dsmr5-corrupt': { profile: 'p1', refused: ['corrupt'] },
  'glow-electricity': { profile: 'glow' },
  'z2m-plug': { profile: 'zigbee2mqtt' },
  'victron-pv-power': { profile: 'victron' },
  'victron-null': { profile: 'victron', refused: ['no_value'] },
  'victron-grid-energy': { profile: 'victron' },
  'openems-grid': { profile: 'openems' },
  'openems-lastupdate': { profile: 'openems' },
  'evcc-grid': { profile: 'evcc' },
  'ha-statestream': {
    profile: 'home-assistant',
    mapping: HA_UNKNOWN_UNIT,
    refused: ['unit_unknown'],
  },
  'discovergy-register': { profile: 'evcc', mapping: CSV },
  'sparkplug-nbirth': { profile: 'sparkplug', readings: [] },
  'sparkplug-dbirth': {
    profile: 'sparkplug',
    after: ['sparkplug-nbirth'],
    readings: [
      '2025-06-26T12:00:00Z meter-h01 import 4711000',
      '2025-06-26T12:00:00Z meter-h01 export 815000',
      '2025-06-26T12:00:00Z meter-h01 -1250 W',
    ],
  },
  'sparkplug-ddata': {
    profile: 'sparkplug',
    after: ['sparkplug-nbirth', 'sparkplug-dbirth'],
    readings: [
      '2025-06-26T12:15:00Z meter-h01 import 4711000',
      '2025-06-26T12:15:00Z meter-h01 export 815312',
      '2025-06-26T12:15:00Z meter-h01 -1248 W',
    ],
  },
  'sparkplug-ndeath': { profile: 'sparkplug', readings: [] },
  // The meter's own status is E, and its energy and time are marked wrong: a valid signature under a bad value.
  'ocmf-prime256v1-0': { profile: 'ocmf', readings: [], refused: ['no_value'] },
  'ocmf-secp256k1-2': {
    profile: 'ocmf',
    readings: [
      '2021-09-02T10:29:53Z 1XXX0128200099 export 1000',
      '2021-09-02T10:30:07Z 1XXX0128200099 export 2000',
    ],
    refused: ['not_understood', 'not_understood'],
  },
  'ocmf-brainpoolP256r1-3': {
    profile: 'ocmf',
    readings: ['2021-10-26T11:15:09Z 12345678 import 1833'],
  },
  'ocmf-secp384r1-5': {
    profile: 'ocmf',
    readings: ['2021-10-26T12:24:56Z 12345678 import 0'],
  },
  'ocmf-tampered': { profile: 'ocmf', readings: [], refused: ['bad_signature'] },
};

const path = sharedFile('vectors/meter-payloads.json');
const vectors: Vector[] = path === null ? [] : (JSON.parse(readFileSync(path, 'utf8')) as Vector[]);
const whenPresent = path === null ? describe.skip : describe;

whenPresent('the public payloads', () => {
  it('are all accounted for', () => {
    expect(vectors.map(({ id }) => id).sort()).toEqual(Object.keys(PLANS).sort());
  });

  it.each(vectors.map((vector) => [vector.id, vector] as const))('%s', (id, vector) => {
    const plan = PLANS[id]!;
    const { readings, rejections } = hear(vector, plan);
    const expected = plan.readings ?? meant(vector.meaning);
    const shown = readings.map((one) => {
      const value =
        one.microWh === null
          ? `${one.powerW} W`
          : `${one.register} ${Number(formatRegisterWh(one.microWh))}`;
      if (!plan.readings) return value;
      return [one.readAt, one.meter, value].filter((part) => part !== undefined).join(' ');
    });
    expect(shown).toEqual(expected);
    expect(rejections.map(({ reason }) => reason)).toEqual(plan.refused ?? []);
    for (const { readAt } of readings) checkTime(readAt, vector.meaning);
  });

  it.each(vectors.map((vector) => [vector.id, vector] as const))(
    '%s replayed by the broker is no reading',
    (id, vector) => {
      const { readings } = hear(vector, PLANS[id]!, true);
      expect(readings).toEqual([]);
    },
  );
});

function hear(vector: Vector, plan: Plan, retained = false): ProfileOutput {
  const { publicKeySpkiHexOrB64: publicKey } = vector.meaning;
  const mapping = MAPPING.parse({ ...plan.mapping, ...(publicKey ? { publicKey } : {}) });
  const session = PROFILES[plan.profile].open({ mapping, timeZone: 'Europe/Berlin' });
  for (const id of plan.after ?? []) {
    session.take(messageOf(vectors.find((one) => one.id === id)!));
  }
  return session.take({ ...messageOf(vector), retained });
}

function messageOf({ topic, payload, payloadEncoding }: Vector) {
  return message(topic, Buffer.from(payload, payloadEncoding));
}

/** Micro-Wh are the finest that is kept: the seventh decimal of a Wh is dropped. */
function meant({ importWh, exportWh, powerW, pvPowerW }: Meaning): string[] {
  const energy = (register: string, wh: number | null | undefined): string[] =>
    wh === null || wh === undefined ? [] : [`${register} ${Math.floor(wh * 1e6) / 1e6}`];
  const watts = powerW ?? pvPowerW;
  return [
    ...energy('import', importWh),
    ...energy('export', exportWh),
    ...(watts === null || watts === undefined ? [] : [`${watts} W`]),
  ];
}

function checkTime(readAt: string, { timestamp, localTime }: Meaning): void {
  if (timestamp) expect(readAt).toBe(timestamp);
  // Summer in Berlin in all of them, as in the enrolment above.
  if (localTime) {
    expect(new Date(Date.parse(readAt) + 2 * 3_600_000).toISOString().slice(0, 19)).toBe(localTime);
  }
}
