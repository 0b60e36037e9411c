import { formatRegisterWh } from '../units/energy.js';
import { formatInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { MeterTest } from './meter-test.js';
import type { Listened, MeterReport } from './meter-test.js';
import type { ProfileMessage, ProfileOutput, ProfileReading } from './profiles/profile.js';
import type { Rejection } from './reading.js';

/** Meters that an operator listens to just now: their last messages, and what is wrong with them. */

/** A message as it is shown. */
export interface HeardMessage {
  receivedAt: Instant;
  topic: string;
  /** Its first characters; in hex where it is no text. */
  payload: string;
  retained: boolean;
  readings: ShownReading[];
  rejections: Rejection[];
}

/** One value of a message, as `decode` prints it. */
export interface ShownReading {
  meter?: string;
  register: ProfileReading['register'];
  readAt: Instant;
  valueWh?: string;
  powerW?: number;
  quality: ProfileReading['quality'];
  note?: string;
}

interface Watch {
  sinceMillis: number;
  untilMillis: number;
  test: MeterTest;
  messages: HeardMessage[];
}

export class DeviceWatches {
  private readonly watches = new Map<string, Watch>();

  /** Whether anybody listens to anything: checked for every message. */
  get idle(): boolean {
    return this.watches.size === 0;
  }

  isWatched(meterId: string): boolean {
    return this.watches.has(meterId);
  }

  /** Listens on, or from now on; what nobody asks for any more is forgotten. */
  watch(
    meterId: string,
    listened: Omit<Listened, 'seconds'>,
    nowMillis: number,
  ): { since: Instant; report: MeterReport; messages: readonly HeardMessage[] } {
    for (const [id, { untilMillis }] of this.watches) {
      if (untilMillis < nowMillis) this.watches.delete(id);
    }
    if (this.watches.size >= MOST_WATCHES) this.watches.delete([...this.watches.keys()][0]!);
    const watch = this.watches.get(meterId) ?? {
      sinceMillis: nowMillis,
      untilMillis: 0,
      test: new MeterTest(),
      messages: [],
    };
    watch.untilMillis = nowMillis + PATIENCE_MILLIS;
    this.watches.set(meterId, watch);
    const seconds = Math.floor((nowMillis - watch.sinceMillis) / 1_000);
    const report = watch.test.report({ ...listened, seconds });
    return { since: formatInstant(watch.sinceMillis), report, messages: watch.messages };
  }

  /** What was heard of a device that speaks otherwise now says nothing of it; asking begins anew. */
  forget(meterId: string): void {
    this.watches.delete(meterId);
  }

  heard(meterId: string, message: ProfileMessage, output: ProfileOutput): void {
    const watch = this.watches.get(meterId);
    if (!watch) return;
    watch.test.take(message, output);
    watch.messages.unshift(shownMessage(message, output));
    if (watch.messages.length > MOST_MESSAGES) watch.messages.pop();
  }
}

export function shownMessage(message: ProfileMessage, output: ProfileOutput): HeardMessage {
  const { topic, payload, retained, receivedAtMillis } = message;
  return {
    receivedAt: formatInstant(receivedAtMillis),
    topic: topic.slice(0, MOST_CHARACTERS),
    payload: asText(payload.subarray(0, MOST_CHARACTERS)),
    retained,
    readings: output.readings.slice(0, MOST_VALUES).map(shownReading),
    rejections: output.rejections.slice(0, MOST_VALUES),
  };
}

export function shownReading(reading: ProfileReading): ShownReading {
  const { meter, register, readAt, microWh, powerW, quality, note } = reading;
  return {
    ...(meter === undefined ? {} : { meter }),
    register,
    readAt,
    ...(microWh === null ? {} : { valueWh: formatRegisterWh(microWh) }),
    ...(powerW === null ? {} : { powerW }),
    quality,
    ...(note === undefined ? {} : { note }),
  };
}

/** As text where it is text with at most a cut character at its end. */
function asText(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return /[^\P{Cc}\s]|\uFFFD/u.test(text.slice(0, -3)) ? bytes.toString('hex') : text;
}

/** An instance listens for so long after it was last asked. */
const PATIENCE_MILLIS = 120_000;
const MOST_WATCHES = 100;
const MOST_MESSAGES = 20;
const MOST_CHARACTERS = 500;
const MOST_VALUES = 20;
