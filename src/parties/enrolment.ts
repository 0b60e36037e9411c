/**
 * Enrolment as values: what a request may say, what is wrong with it given what is enrolled already,
 * and the rows it becomes.
 */

import { z } from 'zod';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant, SlotMinutes } from '../units/slot.js';
import { formatInstant, isSlotBorder, parseInstant, slotStartOf } from '../units/slot.js';
import type { EnrolmentDraft } from './enrolment-journal.js';
import type { Household, Meter } from './microgrid.js';
import {
  ownerOf,
  PROFILE_NAMES,
  profileFacts,
  profileRow,
  TOPIC,
  topicFault,
} from './meter-profile.js';
import type { MeterProfile, RequestedProfile } from './meter-profile.js';
import { Topics } from './topic-owners.js';
import type { TopicOwners } from './topic-owners.js';
import { ident, instant, nonNegative, positive } from './parse.js';

const WATTS = positive.max(2_147_483_647, 'must be below 2^31');
/** Shown to neighbors, so it is one short line without control characters. */
const ALIAS = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(60, 'must have at most 60 characters')
  .regex(/^[^\p{C}]*$/u, 'must not contain control characters');

const METER = z.strictObject({
  meter: ident,
  role: z.enum(['grid', 'generation', 'storage'], 'must be grid, generation or storage'),
  usableWh: positive.nullish(),
  gateway: ident.nullish(),
  profile: z.enum(PROFILE_NAMES, `must be one of ${PROFILE_NAMES.join(', ')}`).nullish(),
  topic: TOPIC.nullish(),
});

/** A household with its meters; one that exists already is only given further meters. */
export const MEMBER = z.strictObject({
  household: ident,
  alias: ALIAS.nullish(),
  feeder: z.string().trim().min(1).max(60).nullish(),
  shareParts: z.int().min(0).max(1_000_000).nullish(),
  shareRank: z.int().min(0).max(1000).nullish(),
  importLimitW: WATTS.nullish(),
  exportLimitW: WATTS.nullish(),
  creditLimitMicro: nonNegative.nullish(),
  activeFrom: instant.nullish(),
  meters: z.array(METER).max(50, 'must have at most 50 meters').default([]),
  gateway: ident.nullish(),
});

/** Members with their meters, and gateways, to be enrolled in one go. */
export const ENROLMENT = z.strictObject({
  members: z.array(MEMBER).max(10_000, 'must have at most 10000 members').default([]),
  gateways: z
    .array(z.strictObject({ gateway: ident }))
    .max(10_000)
    .default([]),
});

export type EnrolmentRequest = z.input<typeof ENROLMENT>;
export type Enrolment = z.output<typeof ENROLMENT>;
export type Member = Enrolment['members'][number];

/** What is enrolled already, of what the request names. */
export interface Enrolled {
  microgridId: string;
  startsAt: Instant;
  slotMinutes: SlotMinutes;
  /** Market time. */
  now: Instant;
  /** Taken ids, whatever they name. */
  parties: ReadonlySet<string>;
  /** Named households that are in this microgrid already. */
  households: ReadonlyMap<
    string,
    { activeFrom: Instant; activeUntil: Instant | null; grid: boolean }
  >;
  /** Aliases in use in this microgrid. */
  aliases: ReadonlySet<string>;
  /** Gateways of this microgrid. */
  gateways: ReadonlySet<string>;
  /** Topics of the request that are in use, or lie above or below one: by whom. */
  topics: TopicOwners;
}

/** Why a member cannot be enrolled; `meter` is its place among the member's meters. */
export interface EnrolmentFault {
  member: number | null;
  meter: number | null;
  field: string;
  detail: string;
}

/** Everything that is wrong with the request, in its own order; empty when it can be enrolled. */
export function enrolmentFaults(request: Enrolment, enrolled: Enrolled): EnrolmentFault[] {
  const faults: EnrolmentFault[] = [];
  const named = new Set(enrolled.parties);
  const aliases = new Set(enrolled.aliases);
  const gateways = new Set(enrolled.gateways);
  const topics = new Topics(enrolled.topics);

  const takeId = (id: string, at: Omit<EnrolmentFault, 'detail'>): void => {
    if (named.has(id)) {
      faults.push({ ...at, detail: `${id} is taken already; choose another id` });
    }
    named.add(id);
  };

  for (const { gateway } of request.gateways) {
    takeId(gateway, { member: null, meter: null, field: 'gateway' });
    gateways.add(gateway);
  }
  request.members.forEach((one, member) => {
    const at = { member, meter: null };
    const existing = enrolled.households.get(one.household);
    if (existing) {
      faults.push(...existingFaults(one, existing).map((fault) => ({ ...at, ...fault })));
    } else {
      takeId(one.household, { ...at, field: 'household' });
      const alias = one.alias ?? one.household;
      if (aliases.has(alias)) {
        const detail = `"${alias}" is the alias of another household; choose another`;
        faults.push({ ...at, field: 'alias', detail });
      }
      aliases.add(alias);
    }
    if (one.meters.length > 0 && !existing?.grid && !one.meters.some(isGridMeter)) {
      const detail = `${one.household} has meters but none with the role grid; enrol that one too`;
      faults.push({ ...at, field: 'meters', detail });
    }
    const border = activeFromFault(activeFromOf(one, enrolled), enrolled);
    if (border) faults.push({ ...at, field: 'activeFrom', detail: border });
    one.meters.forEach((meter, index) => {
      const here = { member, meter: index };
      takeId(meter.meter, { ...here, field: 'meter' });
      faults.push(...meterFaults(meter, gatewayOf(meter, one), gateways, here));
      const topic = deviceFault(meter, gatewayOf(meter, one), enrolled.microgridId, topics);
      if (topic) faults.push({ ...here, field: 'topic', detail: topic });
    });
  });
  return faults;
}

function isGridMeter(meter: { role: string }): boolean {
  return meter.role === 'grid';
}

/** A household that exists can only be given further meters. */
function existingFaults(
  member: Member,
  existing: { activeUntil: Instant | null },
): { field: string; detail: string }[] {
  if (existing.activeUntil !== null) {
    const detail = `${member.household} has moved out; enrol the next tenant under a new id`;
    return [{ field: 'household', detail }];
  }
  if (member.meters.length === 0) {
    const detail = `${member.household} is enrolled already and no further meter is given`;
    return [{ field: 'household', detail }];
  }
  const settings = [
    'alias',
    'feeder',
    'shareParts',
    'shareRank',
    'importLimitW',
    'exportLimitW',
    'creditLimitMicro',
  ] as const;
  return settings
    .filter((field) => member[field] !== undefined && member[field] !== null)
    .map((field) => ({
      field,
      detail: `${member.household} is enrolled already; leave ${field} out to add meters to it`,
    }));
}

function meterFaults(
  meter: Member['meters'][number],
  gateway: string | null,
  gateways: ReadonlySet<string>,
  here: { member: number; meter: number },
): EnrolmentFault[] {
  const faults: EnrolmentFault[] = [];
  const usableWh = meter.usableWh ?? null;
  if (meter.role === 'storage' && usableWh === null) {
    const detail = `${meter.meter} measures a battery; give its usable size in Wh`;
    faults.push({ ...here, field: 'usableWh', detail });
  }
  if (meter.role !== 'storage' && usableWh !== null) {
    const detail = `${meter.meter} is no storage meter; leave usableWh out`;
    faults.push({ ...here, field: 'usableWh', detail });
  }
  if (gateway && !gateways.has(gateway)) {
    const detail = `${gateway} is no gateway of this microgrid; enrol it first or with this request`;
    faults.push({ ...here, field: 'gateway', detail });
  }
  return faults;
}

/** What is wrong with the topic of a meter's device, or null. */
function deviceFault(
  meter: Member['meters'][number],
  gatewayId: string | null,
  microgridId: string,
  topics: Topics,
): string | null {
  const name = { microgridId, meterId: meter.meter };
  const requested = requestedProfile(meter);
  const fault = topicFault(name, requested);
  const topic = fault ? null : profileRow(name, requested)?.topic;
  if (!topic) return fault;
  if (topics.take(topic, ownerOf({ ...name, gatewayId }))) return null;
  return `${topic} is the topic of another device, or lies above or below one`;
}

function requestedProfile({ profile, topic }: Member['meters'][number]): RequestedProfile {
  return { profile: profile ?? 'native', topic };
}

/** The meter's own, or else the member's; null on the meter says none. */
function gatewayOf(meter: Member['meters'][number], member: Member): string | null {
  return (meter.gateway === undefined ? member.gateway : meter.gateway) ?? null;
}

/** By default the start of the microgrid, and once it has started the next slot. */
export function activeFromOf(
  member: { activeFrom?: Instant | null | undefined },
  microgrid: { startsAt: Instant; slotMinutes: SlotMinutes; now: Instant },
): Instant {
  if (member.activeFrom) return member.activeFrom;
  const now = parseInstant(microgrid.now);
  if (now <= parseInstant(microgrid.startsAt)) return microgrid.startsAt;
  const start = slotStartOf(now, microgrid.slotMinutes);
  return formatInstant(start === now ? now : start + microgrid.slotMinutes * 60_000);
}

/** A slot that has ended is settled with the members it had. */
function activeFromFault(
  activeFrom: Instant,
  microgrid: { startsAt: Instant; slotMinutes: SlotMinutes; now: Instant },
): string | null {
  const at = parseInstant(activeFrom);
  if (!isSlotBorder(at, microgrid.slotMinutes)) {
    return `${activeFrom} is no slot border; slots are ${microgrid.slotMinutes} minutes long`;
  }
  if (at < parseInstant(microgrid.startsAt)) {
    return `${activeFrom} is before the microgrid starts, ${microgrid.startsAt}`;
  }
  const running = slotStartOf(parseInstant(microgrid.now), microgrid.slotMinutes);
  if (at < running) return `${activeFrom} has passed; the earliest is ${formatInstant(running)}`;
  return null;
}

/** The rows a faultless request becomes. */
export interface EnrolmentRows {
  gateways: string[];
  households: Omit<Household, 'microgridId' | 'activeUntil'>[];
  meters: Omit<Meter, 'microgridId' | 'activeUntil'>[];
  /** Of the meters whose device does not speak the native format. */
  profiles: MeterProfile[];
}

export function enrolmentRows(request: Enrolment, enrolled: Enrolled): EnrolmentRows {
  const added = request.members.filter((one) => !enrolled.households.has(one.household));
  return {
    gateways: request.gateways.map(({ gateway }) => gateway),
    households: added.map((one) => ({
      householdId: one.household,
      alias: one.alias ?? one.household,
      feeder: one.feeder ?? null,
      shareParts: one.shareParts ?? 1,
      shareRank: one.shareRank ?? 0,
      importLimitW: one.importLimitW ?? null,
      exportLimitW: one.exportLimitW ?? null,
      creditLimitMicro: one.creditLimitMicro ?? 0,
      activeFrom: activeFromOf(one, enrolled),
    })),
    meters: request.members.flatMap((one) =>
      one.meters.map((meter) => ({
        meterId: meter.meter,
        householdId: one.household,
        role: meter.role,
        usableWh: meter.usableWh ?? null,
        gatewayId: gatewayOf(meter, one),
        activeFrom: activeFromOf(one, enrolled),
      })),
    ),
    profiles: request.members.flatMap((one) =>
      one.meters.flatMap((meter) => {
        const name = { microgridId: enrolled.microgridId, meterId: meter.meter };
        return profileRow(name, requestedProfile(meter)) ?? [];
      }),
    ),
  };
}

/** One record a household, without its alias: an alias is personal. */
export function enrolmentDrafts(rows: EnrolmentRows, now: Instant, by: string): EnrolmentDraft[] {
  const households = new Map(rows.households.map((one) => [one.householdId, one]));
  const profiles = new Map(rows.profiles.map((one) => [one.meterId, one]));
  const metersOf = new Map<string, EnrolmentRows['meters']>();
  for (const { householdId } of rows.households) metersOf.set(householdId, []);
  for (const meter of rows.meters) {
    metersOf.set(meter.householdId, [...(metersOf.get(meter.householdId) ?? []), meter]);
  }
  const drafts = [...metersOf].map(([householdId, meters]): EnrolmentDraft => {
    const household = households.get(householdId);
    return {
      kind: 'enrolment',
      at: now,
      cause: household ? `household/${householdId}/enrolled` : `meter/${meters[0]!.meterId}/added`,
      keyHolder: householdId,
      households: [householdId],
      facts: {
        household: householdId,
        by,
        ...(household ? householdFacts(household) : {}),
        meters: meters.map(({ meterId, role, usableWh, gatewayId, activeFrom }) => ({
          meter: meterId,
          role,
          usableWh,
          gateway: gatewayId,
          activeFrom,
          // Left out where it is native, as in records from before there were profiles.
          ...(profiles.has(meterId) ? profileFacts(profiles.get(meterId)!) : {}),
        })),
      },
      transfers: [],
    };
  });
  if (rows.gateways.length === 0) return drafts;
  const gateways: EnrolmentDraft = {
    kind: 'enrolment',
    at: now,
    cause: `gateway/${rows.gateways[0]!}/enrolled`,
    keyHolder: '',
    households: [],
    facts: { gateways: rows.gateways, by },
    transfers: [],
  };
  return [gateways, ...drafts];
}

function householdFacts(household: EnrolmentRows['households'][number]): JsonObject {
  const { activeFrom, feeder, shareParts, shareRank } = household;
  const { importLimitW, exportLimitW, creditLimitMicro } = household;
  return {
    activeFrom,
    feeder,
    shareParts,
    shareRank,
    importLimitW,
    exportLimitW,
    creditLimitMicro,
  };
}
