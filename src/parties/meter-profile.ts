/**
 * How a meter speaks: the profile of its device, the topic it publishes on, and what of that is its
 * registers. A meter without a row speaks the native format on its own topic.
 */

import { z } from 'zod';
import { canonicalJson } from '../units/canonical-json.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import type { EnrolmentDraft } from './enrolment-journal.js';

/** Every kind of device; what each of them sends is known to `metering/profiles/`. */
export const PROFILE_NAMES = [
  'native',
  'tasmota',
  'shelly',
  'p1',
  'dsmr-reader',
  'sparkplug',
  'home-assistant',
  'zigbee2mqtt',
  'victron',
  'openems',
  'evcc',
  'glow',
  'esphome',
  'ocmf',
] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** A meter and how its device speaks. Everything at and below `topic` is this device's. */
export interface MeterProfile {
  microgridId: string;
  meterId: string;
  profile: Exclude<ProfileName, 'native'>;
  topic: string;
  /** Checked by `metering` before it is stored. */
  mapping: JsonObject | null;
}

/** Devices let their topic be set to this length at least; MQTT itself allows 65,535 bytes. */
const MAX_TOPIC = 200;
const MAX_MAPPING = 4_096;

/** What many devices have in common: whoever owned one of these would own them all. */
const SHARED: ReadonlySet<string> = new Set(
  'cmnd edge glow homeassistant homeassistant/sensor microgrids N R shellies spBv1.0 spBv1.0/STATE stat tasmota tele zigbee2mqtt'.split(
    ' ',
  ),
);

/** The topic below which a device publishes, without wildcards. */
export const TOPIC = z
  .string()
  .max(MAX_TOPIC, `must have at most ${MAX_TOPIC} characters`)
  .refine((topic) => topic.isWellFormed() && topic.trim() === topic && !/[\p{Cc}+#]/u.test(topic), {
    message: 'must be a topic without + and #, such as shellies/shellyem3-C45BBE6A1B2C',
  })
  .refine((topic) => !topic.startsWith('$') && topic.split('/').every((level) => level !== ''), {
    message: 'must not start with $ or hold an empty level',
  })
  .refine((topic) => !SHARED.has(topic), {
    message: 'is shared by many devices: name the level below it that is this device',
  });

const MAPPING = z
  .record(z.string(), z.json())
  .refine((mapping) => isBounded(mapping), {
    message: `must be JSON of at most ${MAX_MAPPING} bytes with factors as text, such as "0.001"`,
  })
  .transform((mapping) => mapping as JsonObject);

/** What a request may say of a meter's device. */
export const PROFILE = z.strictObject({
  profile: z.enum(PROFILE_NAMES, `must be one of ${PROFILE_NAMES.join(', ')}`),
  topic: TOPIC.nullish(),
  mapping: MAPPING.nullish(),
});
export type RequestedProfile = z.output<typeof PROFILE>;

/** The topics that a meter has to itself, whatever its device. */
export function ownTopic({ microgridId, meterId }: MeterName): string {
  return `microgrids/${microgridId}/meters/${meterId}`;
}

type MeterName = Pick<MeterProfile, 'microgridId' | 'meterId'>;

/**
 * The one rule from which the embedded broker's access and Mosquitto's ACL file follow. A meter writes
 * what is native and its own. A device that uses other topics writes and reads what lies below the one
 * it was enrolled with; where the meter has a gateway, that is the gateway's to do, and several meters
 * of one gateway may share a topic. Nobody writes anything else.
 * @returns topic filters, beside `microgrids/+/meters/{meter}/#`
 * @example deviceTopics({ topic: 'shellies/em-1' })
 *   // ['shellies/em-1/#'], which covers shellies/em-1 too
 */
export function deviceTopics({ topic }: Pick<MeterProfile, 'topic'>): string[] {
  return [`${topic}/#`];
}

/** Who may use a device's topic: two of its meters may have the same. */
export function ownerOf({ meterId, gatewayId }: { meterId: string; gatewayId: string | null }) {
  return gatewayId ?? meterId;
}

/** What stands against this device's topic by itself, or null. */
export function topicFault(
  meter: MeterName,
  { profile, topic, mapping }: RequestedProfile,
): string | null {
  if (profile === 'native') {
    const more = topic ?? mapping ?? null;
    return more === null ? null : 'a native meter has its own topic and format: leave the rest out';
  }
  if (topic === undefined || topic === null) return null;
  const own = ownTopic(meter);
  const isForeign = topic !== own && !topic.startsWith(`${own}/`);
  return topic.startsWith('microgrids/') && isForeign
    ? `topics under microgrids/ belong to the meters they name: use ${own}`
    : null;
}

/** The row a faultless request becomes; null for a native meter. */
export function profileRow(
  { microgridId, meterId }: MeterName,
  requested: RequestedProfile,
): MeterProfile | null {
  const { profile, topic, mapping } = requested;
  if (profile === 'native') return null;
  const name = { microgridId, meterId };
  return {
    ...name,
    profile,
    topic: topic ?? ownTopic(name),
    mapping: mapping ?? null,
  };
}

/** A topic and all those above it: two meters collide when either's topic is among the other's. */
export function topicAndAbove(topic: string): string[] {
  const levels = topic.split('/');
  return levels.map((_, index) => levels.slice(0, index + 1).join('/'));
}

/** A profile as records tell it. */
export function profileFacts(profile: MeterProfile | null): JsonObject {
  if (profile === null) return { profile: 'native' };
  const { profile: name, topic, mapping } = profile;
  return { profile: name, topic, mapping };
}

/** What made the record of a changed device. @param change counts the changes of the device */
export function causeOfDevice(meterId: string, change: number): string {
  return `device/${meterId}/change/${change}`;
}

/** The record of a changed profile. @param change counts the changes of the device */
export function profileDraft(
  { meterId }: Pick<MeterProfile, 'meterId'>,
  householdId: string,
  profile: MeterProfile | null,
  by: string,
  now: Instant,
  change: number,
): EnrolmentDraft {
  return {
    kind: 'operator-action',
    at: now,
    cause: causeOfDevice(meterId, change),
    keyHolder: householdId,
    households: [householdId],
    facts: { action: 'meter-profile', by, meter: meterId, ...profileFacts(profile) },
    transfers: [],
  };
}

/** A mapping as it is stored and compared. */
export function mappingText(mapping: JsonObject | null): string | null {
  return mapping === null ? null : canonicalJson(mapping);
}

function isBounded(mapping: Readonly<Record<string, unknown>>): boolean {
  try {
    return Buffer.byteLength(canonicalJson(mapping as { [key: string]: Json })) <= MAX_MAPPING;
  } catch {
    return false;
  }
}
