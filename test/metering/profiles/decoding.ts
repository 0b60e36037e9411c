import { describe, expect, it } from '@jest/globals';
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

export interface Scenario {
  profile: ProfileName;
  tells: string;
  mapping?: object;
  timeZone?: string;
  /** Topic, payload, and what it is read as: readings as `instant register value`, then reasons. */
  messages: [topic: string, payload: string, ...read: string[]][];
}

/** Reads each scenario's messages in one session; and once more as if a broker replayed them. */
export function checkScenarios(scenarios: readonly Scenario[]): void {
  describe.each(scenarios)('$profile: $tells', ({ profile, mapping, timeZone, messages }) => {
    it('is read so', () => {
      const { hear } = open(profile, mapping, timeZone);
      const heard = messages.map(([topic, payload]) => [topic, payload, ...hear(topic, payload)]);
      expect(heard).toEqual(messages);
    });

    it('holds nothing that the broker replays', () => {
      const { session } = open(profile, mapping, timeZone);
      for (const [topic, payload] of messages) {
        const { readings } = session.take({ ...message(topic, payload), retained: true });
        expect(readings).toEqual([]);
      }
    });
  });
}
