import { filterCovers } from '../broker/topics.js';
import { faultInWords } from '../parties/fault-words.js';
import { topicAndAbove } from '../parties/meter-profile.js';
import type { MeterProfile } from '../parties/meter-profile.js';
import { groupBy } from '../units/group-by.js';
import { MAPPING } from './profiles/mapping.js';
import type { Mapping } from './profiles/mapping.js';
import { PROFILES } from './profiles/profile.js';
import type { Profile } from './profiles/profile.js';

/** Which meters a topic speaks for: those whose device publishes on it. */

/** A meter with a device of its own format. */
export interface DeviceRoute {
  readonly microgridId: string;
  readonly meterId: string;
  readonly profile: Profile;
  readonly topic: string;
  /** Null where what is stored does not fit, e.g. after an older version's was restored. */
  readonly mapping: Mapping | null;
  /** IANA name, for payloads with local times. */
  readonly timeZone: string;
  readonly filters: readonly string[];
  /** Tells a route that was set up anew from the same one read again. */
  readonly signature: string;
}

/** A topic filter to subscribe to, with the service's own QoS. */
export interface FollowedFilter {
  readonly filter: string;
  readonly qos: 0 | 1;
}

export function routeOf(device: MeterProfile & { timeZone: string }): DeviceRoute {
  const { microgridId, meterId, profile: name, topic, mapping, timeZone } = device;
  const profile = PROFILES[name];
  const read = MAPPING.safeParse(mapping ?? {}, { error: faultInWords });
  return {
    microgridId,
    meterId,
    profile,
    topic,
    mapping: read.success ? read.data : null,
    timeZone,
    filters: profile.filters(topic),
    signature: JSON.stringify([microgridId, name, topic, mapping, timeZone]),
  };
}

/** All routes, found by topic in a few look-ups, however many there are. */
export class DeviceRoutes {
  private readonly byTopic: ReadonlyMap<string, readonly DeviceRoute[]>;

  constructor(readonly all: readonly DeviceRoute[]) {
    this.byTopic = groupBy(all, ({ topic }) => topic);
  }

  /** Whether the topic is some device's, be it read or not. */
  knows(topic: string): boolean {
    return topicAndAbove(topic).some((base) => this.byTopic.has(base));
  }

  /** The routes whose device may have published there, in the order of their meters. */
  find(topic: string): DeviceRoute[] {
    return topicAndAbove(topic)
      .flatMap((base) => this.byTopic.get(base) ?? [])
      .filter(({ filters }) => filters.some((filter) => filterCovers(filter, topic)));
  }

  /**
   * What has to be subscribed to at an external broker. A message without a time of its own is worth
   * nothing later: with QoS 0 the broker keeps none of those while the service is away, and a
   * register that comes late is not taken for the present one.
   */
  followed(): FollowedFilter[] {
    const qosOf = new Map<string, 0 | 1>();
    for (const { profile, filters } of this.all) {
      for (const filter of filters) {
        const qos = TELLS_TIME.has(profile.name) ? 1 : 0;
        qosOf.set(filter, Math.max(qosOf.get(filter) ?? 0, qos) as 0 | 1);
      }
    }
    return [...qosOf].map(([filter, qos]) => ({ filter, qos }));
  }
}

/** Profiles whose payloads say when they were measured. */
const TELLS_TIME: ReadonlySet<string> = new Set([
  'tasmota',
  'p1',
  'dsmr-reader',
  'sparkplug',
  'glow',
  'ocmf',
]);
