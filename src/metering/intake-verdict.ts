import { parseReadingsTopic } from '../broker/topics.js';
import type { MeterKey } from '../parties/meter-key.js';
import type { MeterRole } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import type { SignedCounter } from './profiles/session.js';
import { registersOf } from './reading.js';
import type { DecodedReading, Register, Rejection } from './reading.js';
import { decodeMessage } from './signed-reading.js';
import type { SignedMessage } from './signed-reading.js';

/**
 * What becomes of one message: the readings that count and the rejections with their reasons.
 * Decided in the order of `RejectionReason`, from the message, its meter and the market's time.
 */

/** A message as far as it can be understood alone. */
export interface OpenedMessage {
  topic: string;
  payload: Buffer;
  /** As the topic says; '' where it says nothing usable. */
  microgridId: string;
  meterId: string;
  readings: DecodedReading[];
  rejections: Rejection[];
  /** What it was signed with, unchecked; null for a message that was not. */
  signed: SignedMessage | SignedCounter | null;
  mayRepeat: boolean;
}

/** A meter as intake needs it. */
export interface EnrolledMeter {
  microgridId: string;
  meterId: string;
  role: MeterRole;
  activeFromMillis: number;
  activeUntilMillis: number | null;
  correctionDays: number;
  /** Null for a meter that never had one. */
  key: MeterKey | null;
}

/** One register value that counts, unless the database knows better. */
export interface NewReading {
  microgridId: string;
  meterId: string;
  register: Register;
  readAt: Instant;
  readAtMillis: number;
  microWh: bigint;
  powerW: number | null;
}

export interface Verdict {
  readings: NewReading[];
  rejections: Rejection[];
  /** The key that it was judged with; 0 for none. */
  keyNumber: number;
  /** Of a message with a good signature, and in which of the meter's counts. */
  counter: { value: number; context: string } | null;
}

/** One message with its verdict. */
export interface JudgedMessage extends Readonly<Verdict> {
  topic: string;
  payload: Buffer;
  microgridId: string;
  meterId: string;
  /** The broker may have brought it before. */
  mayRepeat: boolean;
  /** This instance had it before and could not keep it: others may have overtaken it. */
  overdue: boolean;
}

/** Opens a message: its topic, its size, its payload. */
export function openMessage(message: {
  topic: string;
  payload: Buffer;
  retained: boolean;
  mayRepeat?: boolean;
}): OpenedMessage {
  const { topic, payload, mayRepeat = false } = message;
  const named = parseReadingsTopic(topic);
  const { microgridId, meterId } = named ?? { microgridId: '', meterId: '' };
  const refuse = (reason: Rejection['reason'], detail: string): OpenedMessage => ({
    topic,
    payload,
    microgridId,
    meterId,
    readings: [],
    rejections: [{ reason, detail }],
    signed: null,
    mayRepeat,
  });
  if (!named) {
    return refuse('malformed', 'the topic is not microgrids/{microgrid}/meters/{meter}/readings');
  }
  // A broker replays what it retains to whoever subscribes: it says nothing new.
  if (message.retained) return refuse('retained', 'readings must not be published as retained');
  return { topic, payload, microgridId, meterId, mayRepeat, ...decodeMessage(payload) };
}

/**
 * @param meter as enrolled, or null when there is none of this id
 * @param fault of its signature, see `signatureFault`
 * @param nowMillis market time
 */
export function judge(
  message: OpenedMessage,
  meter: EnrolledMeter | null,
  fault: Rejection | null,
  nowMillis: number,
  maxClockAheadSeconds: number,
): Verdict {
  const { microgridId, meterId, signed } = message;
  const verdict: Verdict = {
    readings: [],
    rejections: [...message.rejections],
    keyNumber: meter?.key?.number ?? 0,
    counter: null,
  };
  if (message.readings.length === 0) return verdict;
  const refuse = (rejection: Rejection): Verdict => {
    verdict.rejections.push(rejection);
    return verdict;
  };
  if (!meter) return refuse({ reason: 'unknown_meter', detail: 'no meter of this id is enrolled' });
  if (meter.microgridId !== microgridId) {
    return refuse({ reason: 'wrong_microgrid', detail: 'the meter belongs to another microgrid' });
  }
  if (fault) return refuse(fault);
  if (signed) {
    const context = 'keyHash' in signed ? `${signed.context} ${signed.keyHash}` : '';
    verdict.counter = { value: signed.counter, context };
  }
  for (const reading of message.readings) {
    const registers = inTime(reading, meter, nowMillis, maxClockAheadSeconds);
    if (!Array.isArray(registers)) {
      const where = reading.index === null ? '' : `reading ${reading.index}: `;
      verdict.rejections.push({ ...registers, detail: where + registers.detail });
      continue;
    }
    const { readAt, readAtMillis, powerW } = reading;
    for (const { register, microWh } of registers) {
      verdict.readings.push({
        microgridId,
        meterId,
        register,
        readAt,
        readAtMillis,
        microWh,
        powerW,
      });
    }
  }
  return verdict;
}

/** Whether a meter's row, as far as it is known, is the reason for a rejection. */
export function blamesMeter({ rejections }: Verdict): boolean {
  return rejections.some(({ reason }) => BLAMES_METER.has(reason));
}

/** Whether it is the meter's key: one that was registered a moment ago has to count at once. */
export function blamesKey({ rejections }: Verdict): boolean {
  return rejections.some(({ reason }) => BLAMES_KEY.has(reason));
}

const BLAMES_KEY: ReadonlySet<string> = new Set([
  'unknown_key',
  'revoked_key',
  'unsigned',
  'bad_signature',
]);

const BLAMES_METER: ReadonlySet<string> = new Set([
  'unknown_meter',
  'wrong_microgrid',
  'not_active',
  'register_missing',
]);

function inTime(
  reading: DecodedReading,
  meter: EnrolledMeter,
  nowMillis: number,
  maxClockAheadSeconds: number,
): ReturnType<typeof registersOf> {
  const { readAt, readAtMillis } = reading;
  const { activeFromMillis, activeUntilMillis, correctionDays } = meter;
  // Both ends belong to the period: the reading on the last border ends the last slot.
  if (
    readAtMillis < activeFromMillis ||
    (activeUntilMillis !== null && readAtMillis > activeUntilMillis)
  ) {
    return { reason: 'not_active', detail: `the meter was not in use at ${readAt}` };
  }
  if (readAtMillis > nowMillis + maxClockAheadSeconds * 1_000) {
    return {
      reason: 'in_future',
      detail: `${readAt} is more than ${maxClockAheadSeconds} s ahead of market time`,
    };
  }
  if (readAtMillis < nowMillis - correctionDays * MILLIS_PER_DAY) {
    return {
      reason: 'too_old',
      detail: `${readAt} is more than ${correctionDays} days old: its slot stands`,
    };
  }
  return registersOf(meter.role, reading);
}

const MILLIS_PER_DAY = 86_400_000;
