import sparkplug from 'sparkplug-payload';
import { formatInstant, parseInstant } from '../../src/units/slot.js';
import { Signer } from '../support/signing.js';

/** What devices say that come out of the box, at both ends of one slot. */

export const START = '2026-06-01T08:00:00Z';
export const END = '2026-06-01T08:15:00Z';

/** A device at both ends of the slot: what it says with these registers, in Wh. */
export interface Device {
  profile: 'native' | 'tasmota' | 'shelly' | 'p1' | 'dsmr-reader' | 'zigbee2mqtt' | 'sparkplug';
  /** Below which it publishes; the meter's own where it can be told any. */
  topic: (meter: string, microgrid: string) => string;
  mapping?: { sources: { path: string; register: 'import' | 'export'; unit: 'Wh' }[] };
  start: [importWh: number, exportWh: number];
  end: [importWh: number, exportWh: number];
  /** Rows kept of it behind both ends, where that is not one a register and end. */
  kept?: { start: number; end: number };
  /** Why what is not true of it is refused. */
  refused?: readonly string[];
  /** With which it signs. */
  signer?: Signer;
  says: (at: string, importWh: number, exportWh: number, first: boolean) => Said[];
}
type Said = [below: string, payload: string | Buffer];

const SIGNER = new Signer(7);

export const DEVICES: Record<string, Device> = {
  // FullTopic microgrids/{microgrid}/meters/{meter}/%prefix%/, TelePeriod 300.
  tasmota: {
    profile: 'tasmota',
    topic: (meter, microgrid) => `microgrids/${microgrid}/meters/${meter}/tele`,
    start: [34_507_476.1, 14_737_142.2],
    end: [34_507_976.6, 14_737_142.2],
    says: (at, importWh, exportWh) => [
      ['/LWT', 'Online'],
      [
        '/SENSOR',
        // Local time of Berlin, without a zone.
        `{"Time":"${at.replace('T08', 'T10').slice(0, 19)}","SML":{"Total_in":${kWh(importWh, 4)},"Total_out":${kWh(exportWh, 4)},"Power_curr":-894,"Meter_number":"0901454d48000000000"}}`,
      ],
    ],
  },
  'shelly-pro': {
    profile: 'shelly',
    topic: (meter) => `shellypro3em-${meter}`,
    start: [5_415_414.19, 0],
    end: [5_415_800.2, 12],
    says: (_, importWh, exportWh) => [
      ['/online', 'true'],
      ['/status/em:0', '{"id":0,"total_act_power":2413.825}'],
      ['/status/emdata:0', `{"id":0,"total_act":${importWh},"total_act_ret":${exportWh}}`],
    ],
  },
  'shelly-3em': {
    profile: 'shelly',
    topic: (meter) => `shellies/shellyem3-${meter}`,
    start: [300, 3],
    end: [630.7, 3],
    // Three phases, each a third.
    says: (_, importWh, exportWh) =>
      [0, 1, 2].flatMap((phase): Said[] => [
        [`/emeter/${phase}/power`, '230.35'],
        [`/emeter/${phase}/total`, (importWh / 3).toFixed(1)],
        [`/emeter/${phase}/total_returned`, (exportWh / 3).toFixed(1)],
      ]),
  },
  p1: {
    profile: 'p1',
    topic: (meter) => `dsmr/${meter}/raw`,
    start: [6_825, 2_444],
    end: [7_013, 2_444],
    says: (at, importWh, exportWh) => [['', telegram(at, importWh, exportWh)]],
  },
  'dsmr-reader': {
    profile: 'dsmr-reader',
    topic: (meter) => `dsmr-${meter}`,
    start: [4_000, 6_000],
    end: [4_250, 6_000],
    says: (at, importWh, exportWh) => [
      [
        '/json',
        `{"id":1,"timestamp":"${at}","electricity_delivered_1":1,"electricity_delivered_2":${kWh(importWh - 1_000)},"electricity_returned_1":2,"electricity_returned_2":${kWh(exportWh - 2_000)},"electricity_currently_delivered":0.5,"electricity_currently_returned":0}`,
      ],
    ],
  },
  sparkplug: {
    profile: 'sparkplug',
    topic: (meter) => `spBv1.0/${meter}`,
    mapping: {
      sources: [
        { path: 'Energy/Import', register: 'import', unit: 'Wh' },
        { path: 'Energy/Export', register: 'export', unit: 'Wh' },
      ],
    },
    start: [4_711_000, 815_000],
    end: [4_711_000, 815_312],
    says: (at, importWh, exportWh, first) => [
      ...(first ? ([['/NBIRTH/gw-01', nodeBirth(at)]] satisfies Said[]) : []),
      [
        `/${first ? 'DBIRTH' : 'DDATA'}/gw-01/meter-h01`,
        deviceMessage(at, importWh, exportWh, first ? 1 : 2),
      ],
    ],
  },
  // A reading a minute, each followed by a zero; and whatever else a bad line makes of it.
  glitchy: {
    profile: 'native',
    topic: nativeTopic,
    start: [734_000, 91_000],
    end: [734_600, 91_150],
    kept: { start: 2, end: 2 + 2 * (15 + 15 + 2) },
    refused: [
      'beyond_connection',
      'falling_register',
      'malformed',
      'not_active',
      'register_missing',
    ],
    says: (at, importWh, exportWh, first) =>
      first ? [reading(at, importWh, exportWh)] : glitches(at, importWh, exportWh),
  },
  // Believed only with its signature and a growing counter.
  signed: {
    profile: 'native',
    topic: nativeTopic,
    start: [8_000, 500],
    end: [8_250, 500],
    refused: ['bad_signature', 'replayed', 'unsigned'],
    signer: SIGNER,
    says: (at, importWh, exportWh, first) => {
      const truth = { readAt: at, importWh, exportWh };
      if (first) return [['/readings', SIGNER.reading(truth, 1)]];
      const huge = { ...truth, importWh: importWh + 100_000 };
      return [
        reading(at, importWh + 100_000, exportWh),
        ['/readings', new Signer(8).reading(huge, 2)],
        ['/readings', tampered(SIGNER.reading(truth, 2), JSON.stringify(huge))],
        ['/readings', SIGNER.reading(huge, 1)],
        ['/readings', SIGNER.reading(truth, 2)],
      ];
    },
  },
  // Behind a gateway: zigbee2mqtt is one client for all its devices.
  plug: {
    profile: 'zigbee2mqtt',
    topic: (meter) => `zigbee2mqtt/Plug in the kitchen of ${meter}`,
    start: [1_050, 0],
    end: [1_080, 0],
    says: (_, importWh) => [['', `{"energy":${kWh(importWh, 2)},"power":102,"linkquality":255}`]],
  },
};

function nativeTopic(meter: string, microgrid: string): string {
  return `microgrids/${microgrid}/meters/${meter}`;
}

function reading(readAt: string, importWh: number | null, exportWh: number | null): Said {
  return ['/readings', JSON.stringify({ readAt, importWh, exportWh })];
}

/** The slot up to `at` minute by minute: 40 Wh taken and 10 given in each. */
function glitches(at: string, importWh: number, exportWh: number): Said[] {
  return Array.from({ length: 15 }, (_, index): Said[] => {
    const minute = index + 1;
    const after = (seconds: number): string =>
      formatInstant(parseInstant(at) - (15 - minute) * 60_000 + seconds * 1_000);
    const takenWh = importWh - (15 - minute) * 40;
    const givenWh = exportWh - (15 - minute) * 10;
    return [
      reading(after(0), takenWh, givenWh),
      reading(after(1), 0, 0),
      ...(minute === 4 ? [reading(after(2), takenWh - 5_000, givenWh - 5_000)] : []),
      ...(minute === 6 ? [reading(after(2), takenWh + 7_000_000, givenWh + 7_000_000)] : []),
      ...(minute === 8 ? [reading(after(2), null, null)] : []),
      ...(minute === 9 ? ([['/readings', '']] satisfies Said[]) : []),
      ...(minute === 10 ? [reading('2026-01-01T00:00:00Z', 1, 1)] : []),
    ];
  }).flat();
}

/** Another content under the signature of this one. */
function tampered(envelope: string, content: string): string {
  const payload = Buffer.from(content).toString('base64url');
  return JSON.stringify({ ...(JSON.parse(envelope) as object), payload });
}

function kWh(wattHours: number, digits = 3): string {
  return (wattHours / 1_000).toFixed(digits);
}

/** As DSMR 5 says it: local time with its season, tariffs apart, CRC16 (poly A001) at the end. */
function telegram(at: string, importWh: number, exportWh: number): string {
  const register = (wattHours: number): string => kWh(wattHours).padStart(10, '0');
  const time = `${at
    .slice(2, 19)
    .replaceAll(/[-T:]/g, '')
    .replace(/(?<=^.{6})08/, '10')}S`;
  const body = [
    '/ISk5\\2MT382-1000',
    '',
    '1-3:0.2.8(50)',
    `0-0:1.0.0(${time})`,
    '0-0:96.1.1(4B384547303034303436333935353037)',
    `1-0:1.8.1(${register(4_426)}*kWh)`,
    `1-0:1.8.2(${register(importWh - 4_426)}*kWh)`,
    `1-0:2.8.1(${register(exportWh)}*kWh)`,
    '1-0:2.8.2(000000.000*kWh)',
    '1-0:1.7.0(00.244*kW)',
    '1-0:2.7.0(00.000*kW)',
    '!',
  ].join('\r\n');
  let crc = 0;
  for (const byte of Buffer.from(body)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return `${body}${crc.toString(16).toUpperCase().padStart(4, '0')}\r\n`;
}

const { encodePayload } = sparkplug.get('spBv1.0')!;

function nodeBirth(at: string): Buffer {
  const timestamp = Date.parse(at);
  const metrics = [
    { name: 'bdSeq', value: 7, type: 'Int64' as const, timestamp },
    { name: 'Node Control/Rebirth', value: false, type: 'Boolean' as const, timestamp },
  ];
  return Buffer.from(encodePayload({ timestamp, seq: 0, metrics }));
}

function deviceMessage(at: string, importWh: number, exportWh: number, seq: number): Buffer {
  const timestamp = Date.parse(at);
  const metrics = [
    { name: 'Energy/Import', value: importWh, type: 'UInt64' as const, timestamp },
    { name: 'Energy/Export', value: exportWh, type: 'UInt64' as const, timestamp },
  ];
  return Buffer.from(encodePayload({ timestamp, seq, metrics }));
}
