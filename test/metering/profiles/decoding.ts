import { MAPPING } from '../../../src/metering/profiles/mapping.js';
import { PROFILES } from '../../../src/metering/profiles/profile.js';
import type {
  ProfileMessage,
  ProfileName,
  ProfileOutput,
  ProfileSession,
} from '../../../src/metering/profiles/profile.js';
import { formatRegisterWh } from '../../../src/units/energy.js';

/** Payloads through a profile, told as an installer would read them. */

export const RECEIVED_AT = '2026-06-01T10:00:05Z';

export interface Opened {
  session: ProfileSession;
  /** Readings and refusals of one message, as lines. */
  hear(topic: string, payload: string | Buffer, more?: Partial<ProfileMessage>): string[];
}

export function open(profile: ProfileName, mapping: object = {}, timeZone = 'UTC'): Opened {
  const session = PROFILES[profile].open({ mapping: MAPPING.parse(mapping), timeZone });
  return {
    session,
    hear: (topic, payload, more = {}) =>
      told(session.take({ ...message(topic, payload), ...more })),
  };
}

export function message(topic: string, payload: string | Buffer): ProfileMessage {
  return {
    topic,
    payload: Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
    retained: false,
    receivedAtMillis: Date.parse(RECEIVED_AT),
  };
}

/**
 * @example told(...) // ['2026-06-01T10:00:05Z import 1050 Wh', 'no_value']
 */
export function told({ readings, rejections }: ProfileOutput): string[] {
  return [
    ...readings.map(({ meter, readAt, register, microWh, powerW, quality }) => {
      const value = microWh === null ? `${powerW} W` : `${formatRegisterWh(microWh)} Wh`;
      const rest = [quality === 'measured' ? '' : quality, meter ?? ''].filter((one) => one !== '');
      return [readAt, register, value, ...rest].join(' ');
    }),
    ...rejections.map(({ reason }) => reason),
  ];
}
