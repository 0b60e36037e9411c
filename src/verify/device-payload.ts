import { MAPPING } from '../metering/profiles/mapping.js';
import { PROFILES } from '../metering/profiles/profile.js';
import type { Register } from '../metering/reading.js';
import type { MeterProfile } from '../parties/meter-profile.js';
import { parseInstant, type Instant } from '../units/slot.js';

/**
 * A payload in a device's own format, read again. Where one message says it all, the reading must be
 * what it says; where a device spreads a reading over several, its payload vouches by its hash alone.
 */

/** A device that spoke for a meter at some time. */
export type PastDevice = Pick<MeterProfile, 'profile' | 'topic' | 'mapping'> & { timeZone: string };

/**
 * Where a payload has no time, it was read when it was received, so that instant is given to it again.
 * @returns `nothing` where the message alone tells nothing of the register at that instant
 */
export function deviceSays(
  devices: readonly PastDevice[],
  bytes: Uint8Array,
  { register, readAt, microWh }: { register: Register; readAt: Instant; microWh: string },
): 'the same' | 'otherwise' | 'nothing' {
  const receivedAtMillis = parseInstant(readAt);
  const said = devices.flatMap(({ profile: name, topic: base, mapping, timeZone }) => {
    const profile = PROFILES[name];
    const read = MAPPING.safeParse(mapping ?? {});
    if (!read.success) return [];
    const topics = profile.filters(base).filter((filter) => !/[+#]/.test(filter));
    return topics.flatMap((topic) => {
      const session = profile.open({ mapping: read.data, timeZone });
      const payload = Buffer.from(bytes);
      return session.take({ topic, payload, retained: false, receivedAtMillis }).readings;
    });
  });
  const values = said.filter(
    (one) =>
      one.register === register &&
      one.quality === 'measured' &&
      one.microWh !== null &&
      one.readAtMillis === receivedAtMillis,
  );
  // Of signed documents nothing is said that the key did not sign: each tells by itself.
  const signs = devices.length > 0 && devices.every(({ profile }) => profile === 'ocmf');
  if (values.length === 0) return signs ? 'otherwise' : 'nothing';
  return values.some((one) => String(one.microWh) === microWh) ? 'the same' : 'otherwise';
}
