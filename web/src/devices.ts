/**
 * Devices in words: the profiles that an operator chooses from, what is typed about a device as a
 * request of it, and what was read of a message or why not.
 */
import type { DeviceMessage, DeviceReading, DeviceReport, MeterRole } from './answers.js';

/** Every profile, and on which topics and with what its devices speak. */
export const DEVICE_PROFILES: readonly { name: string; title: string; words: string }[] = [
  {
    name: 'native',
    title: 'Native',
    words: 'JSON with readAt, importWh and exportWh, on the meter’s own topic below readings.',
  },
  {
    name: 'tasmota',
    title: 'Tasmota',
    words: 'Reading heads and plugs, on topics that end in SENSOR, STATUS8 or STATUS10.',
  },
  {
    name: 'shelly',
    title: 'Shelly',
    words: 'Gen1: emeter/0/total and the like. Later ones: status/emdata:0 or events/rpc.',
  },
  { name: 'p1', title: 'P1 telegrams', words: 'Raw telegrams with their check value.' },
  {
    name: 'dsmr-reader',
    title: 'DSMR-reader',
    words: 'Its JSON or its split topics, with the usual keys.',
  },
  {
    name: 'sparkplug',
    title: 'Sparkplug B',
    words: 'Below spBv1.0/{group}. A payload is binary: paste it in hex or base64.',
  },
  {
    name: 'home-assistant',
    title: 'Home Assistant',
    words: 'Statestream or discovery. Its mapping must say which entity is which register.',
  },
  { name: 'zigbee2mqtt', title: 'zigbee2mqtt', words: 'zigbee2mqtt/{friendly name}.' },
  { name: 'victron', title: 'Victron', words: 'N/{portal}/grid/{instance}/Ac/Energy and below.' },
  { name: 'openems', title: 'OpenEMS', words: 'edge/{id}/channel and below.' },
  { name: 'evcc', title: 'evcc', words: 'evcc/site/grid and below.' },
  { name: 'glow', title: 'Glow (SMETS2)', words: 'glow/{mac}/SENSOR/electricitymeter.' },
  { name: 'esphome', title: 'ESPHome, SlimmeLezer', words: '{prefix}/sensor/{name}/state.' },
  { name: 'ocmf', title: 'OCMF', words: 'Signed readings. Its mapping must hold the publicKey.' },
];

/** What is typed about a device. */
export interface TypedDevice {
  profile: string;
  topic: string;
  mapping: string;
}

/** A message that is tried. */
export interface TypedMessage {
  /** Empty: the device's own. */
  topic: string;
  payload: string;
  encoding: 'utf8' | 'hex' | 'base64';
  retained: boolean;
}

export type ParsedMapping = { ok: true; mapping: object | null } | { ok: false; reason: string };

/** A mapping as typed; nothing is none. */
export function parseMapping(text: string): ParsedMapping {
  if (text.trim() === '') return { ok: true, mapping: null };
  try {
    const mapping: unknown = JSON.parse(text);
    if (typeof mapping === 'object' && mapping !== null && !Array.isArray(mapping)) {
      return { ok: true, mapping };
    }
    return { ok: false, reason: 'A mapping is a JSON object, such as {"invert": true}.' };
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it does not parse';
    return { ok: false, reason: `This is not JSON yet: ${why}.` };
  }
}

/** The body of a trial. @param role of the meter that it is tried for, if for one */
export function trialOf(
  { profile, topic }: TypedDevice,
  mapping: object | null,
  { topic: below, payload, encoding, retained }: TypedMessage,
  role: MeterRole | null,
): object {
  const message = { topic: below.trim() || null, payload, encoding, retained };
  return { profile, topic: topic.trim(), mapping, role, messages: [message] };
}

/**
 * The body that sets a meter's profile. A native meter's topic follows from its name; one that differs
 * is sent nevertheless, so that the service says why it cannot be.
 */
export function profileOf(
  { profile, topic }: TypedDevice,
  mapping: object | null,
  ownTopic: string,
): object {
  const typed = topic.trim();
  const isOwn = typed === '' || typed === ownTopic;
  return { profile, ...(isOwn ? {} : { topic: typed }), ...(mapping ? { mapping } : {}) };
}

/** @example readingInWords({ register: 'import', valueWh: '12', ... }) // 'import 12 Wh' */
export function readingInWords({ register, valueWh, powerW, quality }: DeviceReading): string {
  const value = valueWh === undefined ? inWatts(powerW ?? 0) : `${register} ${valueWh} Wh`;
  if (quality === 'partial') return `${value}, a part that does not count by itself`;
  return valueWh === undefined ? `${value}, for display only` : value;
}

/** What came of a message that held neither a reading nor a fault. */
export const NOTHING_IN_IT =
  'Nothing for a meter: it may be a part of what comes in several messages.';

/** @example refusalInWords({ reason: 'no_value', detail: 'it is null' }) // 'Refused (no value): it is null.' */
export function refusalInWords({ reason, detail }: DeviceMessage['rejections'][number]): string {
  return `Refused (${reason.replaceAll('_', ' ')}): ${detail.replace(/\.$/, '')}.`;
}

/** In one sentence, what was heard so far. */
export function heardInWords({ messages, retained, powerW }: DeviceReport): string {
  const count = messages === 1 ? 'One message' : `${messages} messages`;
  const kept = retained === 0 ? '' : `, ${retained} of them kept by the broker`;
  const power = powerW === null ? '' : ` The power is ${inWatts(powerW)}.`;
  return `${count}${kept}.${power}`;
}

/** Whether a register is heard and nothing is wrong: what `npm run meter-test` calls ok. */
export function isWell({ problems, registers }: DeviceReport): boolean {
  return problems.length === 0 && registers.length > 0;
}

function inWatts(powerW: number): string {
  return `${powerW < 0 ? '\u2212' : ''}${Math.abs(powerW)} W`;
}
