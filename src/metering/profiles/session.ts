import type { ProfileName } from '../../parties/meter-profile.js';
import type { Instant } from '../../units/slot.js';
import type { Register, Rejection } from '../reading.js';
import type { Mapping } from './mapping.js';

/**
 * What a profile is: the messages of one kind of device in, readings or named rejections out. A
 * profile is pure; what it must remember (births, overlays, lines of a telegram) lives in a session,
 * in memory and bounded, and comes back after a restart with the device's next full message.
 */

/** One message as the broker brought it. */
export interface ProfileMessage {
  topic: string;
  payload: Buffer;
  /** Replayed by the broker from what it keeps: never a new reading. */
  retained: boolean;
  receivedAtMillis: number;
}

/** What is enrolled of a meter. */
export interface ProfileContext {
  mapping: Mapping;
  /** IANA name, for local times without a zone; `mapping.timeZone` goes before it. */
  timeZone: string;
}

/**
 * `measured` counts. `partial` does not: it is one phase of a meter whose registers are summed once
 * all are known, or a device that the mapping does not name, and is there for an installer to see.
 */
export type ReadingQuality = 'measured' | 'partial';

/** What one register showed at an instant, or, without a register value, a power for display. */
export interface ProfileReading {
  /** What the source calls the meter: a serial number or a device. No id of an enrolled meter. */
  meter?: string;
  /** Of a power: the register that it counts up. */
  register: Register;
  readAt: Instant;
  readAtMillis: number;
  /** Null in a reading of power. */
  microWh: bigint | null;
  /** Watts, for display only: negative when fed into the grid; a generator's output is positive. */
  powerW: number | null;
  quality: ReadingQuality;
  /** For people: where the time came from, what the device said beside the value. */
  note?: string;
}

/** What to send to the device, e.g. Sparkplug's request to be born again. */
export interface ProfilePublication {
  topic: string;
  payload: Buffer;
}

/** What a valid signature vouches for: its counter must grow per meter and context. */
export interface SignedCounter {
  /** SHA-256 of the public key (SPKI, DER), in hex. */
  keyHash: string;
  /** OCMF's pagination context: `T` transactions, `F` fiscal. */
  context: string;
  counter: number;
}

export interface ProfileOutput {
  readings: ProfileReading[];
  rejections: Rejection[];
  publish?: ProfilePublication[];
  signed?: SignedCounter;
}

/** Takes the messages of one source in order of arrival. Never throws; its memory is bounded. */
export interface ProfileSession {
  take(message: ProfileMessage): ProfileOutput;
}

export interface Profile {
  name: ProfileName;
  /**
   * The topic filters to subscribe to.
   * @param topic the source's base topic, without wildcards and without a slash at its end
   */
  filters(topic: string): string[];
  open(context: ProfileContext): ProfileSession;
}

/** Nothing to read and nothing wrong. */
export function nothing(): ProfileOutput {
  return { readings: [], rejections: [] };
}

export function refused(reason: Rejection['reason'], detail: string): ProfileOutput {
  return { readings: [], rejections: [{ reason, detail }] };
}

/** Ends the reading of one message with a named reason. */
export class Refusal extends Error {
  constructor(
    readonly reason: Rejection['reason'],
    detail: string,
  ) {
    super(detail);
  }
}
