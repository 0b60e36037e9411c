/**
 * Who may do what: one table, asked alike by the HTTP guard, the feed and the MQTT broker. What is
 * not in the table is denied.
 */

import { filterCovers } from '../broker/topics.js';
import type { Instant } from '../units/slot.js';
import { parseInstant } from '../units/slot.js';

/** What a person may be granted. */
export type Role = 'household' | 'operator' | 'regulator' | 'auditor' | 'simulator';

/** What connects over MQTT; `household` is the device of a household. */
export type DeviceKind = 'service' | 'meter' | 'household' | 'gateway';

/**
 * How far an entry reaches.
 * - `any`: any grant of the role; the handler shows or accepts only what the grants cover
 * - `deployment`: only a grant that is not bound to a microgrid
 * - `microgrid`: the grant's microgrid, or every one when it is bound to none
 * - `household`: the grant's own household
 * - `own`: a device, for its own name; `enrolled`: a gateway, for its meters; `all`: the service
 */
type Reach = 'any' | 'deployment' | 'microgrid' | 'household';
type DeviceReach = 'own' | 'enrolled' | 'all';

interface Entry {
  people?: Partial<Record<Role, Reach>>;
  devices?: Partial<Record<DeviceKind, DeviceReach>>;
}

const TABLE = {
  // Every signed-in person, whatever the grants: the own session and password.
  self: {},
  'microgrid.read': {
    people: {
      household: 'microgrid',
      operator: 'microgrid',
      regulator: 'microgrid',
      auditor: 'microgrid',
      simulator: 'microgrid',
    },
  },
  // Order book and tape are anonymous, but slot by slot: a regulator's figures stand under the rule
  // of cells instead.
  'market.read': {
    people: {
      household: 'microgrid',
      operator: 'microgrid',
      simulator: 'microgrid',
    },
  },
  // The handler tells a regulator no energy of a slot and no limit.
  'fairness.read': {
    people: {
      household: 'microgrid',
      operator: 'microgrid',
      regulator: 'microgrid',
      simulator: 'microgrid',
    },
  },
  'household.read': { people: { household: 'household', operator: 'microgrid' } },
  'household.write': { people: { household: 'household' } },
  // Beside it the device itself may, with nothing but the code: that route is open to everyone.
  'meter.claim': { people: { household: 'household' } },
  // Operators switch it on for members who never open the page; limits stay the household's own.
  'strategy.write': { people: { household: 'household', operator: 'microgrid' } },
  'order.read': { people: { household: 'household', operator: 'microgrid' } },
  'order.write': { people: { household: 'household' } },
  // The handler shows a household only the records that concern it.
  'ledger.read': {
    people: { household: 'microgrid', operator: 'microgrid', regulator: 'microgrid' },
  },
  'feed.microgrid': {
    people: {
      household: 'microgrid',
      operator: 'microgrid',
      simulator: 'microgrid',
    },
  },
  'feed.household': { people: { household: 'household' } },
  'feed.operator': { people: { operator: 'microgrid' } },
  'feed.regulator': { people: { regulator: 'microgrid' } },
  'program.read': {
    people: { household: 'microgrid', operator: 'microgrid', regulator: 'microgrid' },
  },
  'program.write': { people: { regulator: 'microgrid' } },
  'program.join': { people: { household: 'household' } },
  'efficiency.read': { people: { regulator: 'microgrid' } },
  'regulator-log.read': {
    people: {
      household: 'microgrid',
      operator: 'microgrid',
      regulator: 'microgrid',
      auditor: 'microgrid',
    },
  },
  // The handler shows an auditor the accounts of the microgrid and its programs, no household's.
  'accounts.read': { people: { operator: 'microgrid', auditor: 'microgrid' } },
  // Money too, and microgrids that are too small to be told about: a regulator's auditor.
  'manifest.read': { people: { operator: 'microgrid', auditor: 'microgrid' } },
  'operator.list': { people: { operator: 'any' } },
  'operator.read': { people: { operator: 'microgrid' } },
  'operator.write': { people: { operator: 'microgrid' } },
  'microgrid.create': { people: { operator: 'deployment' } },
  'deployment.grant': { people: { operator: 'deployment' } },
  // The handler checks each grant that is given or touched against the caller's own.
  'people.manage': { people: { operator: 'any' } },
  'deposit.write': { people: { operator: 'microgrid' } },
  'clock.advance': { people: { simulator: 'deployment' } },
  'reading.publish': { devices: { meter: 'own', gateway: 'enrolled', service: 'all' } },
  'settlement.receive': { devices: { household: 'own', service: 'all' } },
} as const satisfies Record<string, Entry>;

export type Action = keyof typeof TABLE;

/** Every action there is, for tests and for checking a decorator's word. */
export const ACTIONS = Object.keys(TABLE) as Action[];

/** A role given to a person, holding in [validFrom, validUntil) of market time. */
export interface Grant {
  role: Role;
  /** Null: the whole deployment. */
  microgridId: string | null;
  householdId: string | null;
  validFrom: Instant;
  validUntil: Instant | null;
}

/** Whom a request is about. */
export interface Scope {
  microgrid?: string | undefined;
  household?: string | undefined;
}

/** Slots a reader may see: [from, until), null where there is no border. */
export interface Period {
  from: Instant | null;
  until: Instant | null;
}

/** Whether one of these grants allows the action on this scope at market time `at`. */
export function may(grants: readonly Grant[], action: Action, scope: Scope, at: Instant): boolean {
  if (action === 'self') return true;
  return grants.some((grant) => holdsAt(grant, at) && allows(grant, action, scope));
}

/**
 * The slots of a household that these grants let their holder read now, or null for none. A former
 * tenant sees nothing once the grant has ended, and the next tenant nothing from before it began.
 */
export function accessPeriod(
  grants: readonly Grant[],
  scope: { microgrid: string; household: string },
  at: Instant,
): Period | null {
  const holding = grants.filter(
    (grant) => holdsAt(grant, at) && allows(grant, 'household.read', scope),
  );
  if (holding.length === 0) return null;
  if (holding.some((grant) => grant.role !== 'household')) return { from: null, until: null };
  const earliest = holding.reduce((a, b) => (isBefore(b.validFrom, a.validFrom) ? b : a));
  const endless = holding.some((grant) => grant.validUntil === null);
  const untils = holding.flatMap((grant) => (grant.validUntil === null ? [] : [grant.validUntil]));
  return {
    from: earliest.validFrom,
    until: endless ? null : untils.reduce((a, b) => (isBefore(a, b) ? b : a)),
  };
}

function holdsAt(grant: Grant, at: Instant): boolean {
  return (
    !isBefore(at, grant.validFrom) && (grant.validUntil === null || isBefore(at, grant.validUntil))
  );
}

function allows(grant: Grant, action: Action, scope: Scope): boolean {
  const entry: Entry = TABLE[action];
  const reach = entry.people?.[grant.role];
  const everywhere = grant.microgridId === null && grant.role !== 'household';
  switch (reach) {
    case 'any':
      return true;
    case 'deployment':
      return everywhere;
    case 'microgrid':
      return everywhere || (grant.microgridId !== null && grant.microgridId === scope.microgrid);
    case 'household':
      return (
        grant.householdId !== null &&
        grant.householdId === scope.household &&
        (scope.microgrid === undefined || grant.microgridId === scope.microgrid)
      );
    case undefined:
      return false;
  }
}

function isBefore(a: Instant, b: Instant): boolean {
  return parseInstant(a) < parseInstant(b);
}

/** Who is behind an MQTT connection. */
export interface Principal {
  username: string;
  kind: DeviceKind;
  microgridId: string | null;
  /** Ids of the meters enrolled under a gateway; empty for every other kind. */
  meters: ReadonlySet<string>;
  /** Topic filters of a device that does not keep to the native ones, or of all of a gateway's. */
  topics: readonly string[];
}

/**
 * Whether a device may publish to this topic: `microgrids/+/meters/{itself}/#`, and a gateway the
 * same for its meters within its microgrid. Topics with wildcards are never publishable.
 */
export function mayPublish(principal: Principal, topic: string): boolean {
  if (!isPlainTopic(topic)) return false;
  if (principal.topics.some((filter) => filterCovers(filter, topic))) return true;
  const [root, microgrid, kind, meter] = topic.split('/');
  if (root !== 'microgrids') return false;
  const reach = deviceReach('reading.publish', principal.kind);
  // The service publishes anything of ours: settlements, and readings it relays.
  if (reach === 'all') return microgrid !== undefined;
  if (kind !== 'meters' || meter === undefined) return false;
  // The microgrid is not compared for a meter: metering refuses and counts a foreign one.
  if (reach === 'own') return meter === principal.username;
  if (reach === 'enrolled') {
    return microgrid === principal.microgridId && principal.meters.has(meter);
  }
  return false;
}

/**
 * Whether a device may subscribe with this filter: a household's device to
 * `microgrids/{one or +}/households/{itself}/settlements`, the service to anything under `microgrids/`.
 */
export function maySubscribe(principal: Principal, filter: string): boolean {
  const levels = filter.split('/');
  if (filter.length > MAX_TOPIC) return false;
  // Commands to a device come on its own topics, and an installer hears there what it says.
  if (principal.topics.some((own) => filterCovers(own, filter))) return true;
  if (levels[0] !== 'microgrids' || levels.length < 2) return false;
  const reach = deviceReach('settlement.receive', principal.kind);
  if (reach === 'all') return true;
  if (reach !== 'own' || levels.length !== 5) return false;
  const [, microgrid, kind, household, leaf] = levels;
  return (
    microgrid !== '#' &&
    kind === 'households' &&
    household === principal.username &&
    leaf === 'settlements'
  );
}

const MAX_TOPIC = 512;

function isPlainTopic(topic: string): boolean {
  return topic.length <= MAX_TOPIC && !/[+#\0]/.test(topic);
}

function deviceReach(action: Action, kind: DeviceKind): DeviceReach | undefined {
  const entry: Entry = TABLE[action];
  return entry.devices?.[kind];
}
