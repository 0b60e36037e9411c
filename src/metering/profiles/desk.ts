import { formatInstant, parseInstant } from '../../units/slot.js';
import { parseJson } from '../exact-json.js';
import { MAX_PAYLOAD_BYTES } from '../reading.js';
import type { Register, Rejection } from '../reading.js';
import { parseDecimal } from './decimal.js';
import { LocalClock, parseLocalTime } from './local-time.js';
import type { TimeSource } from './mapping.js';
import { refused, Refusal } from './session.js';
import type {
  ProfileContext,
  ProfileMessage,
  ProfileOutput,
  ProfileReading,
  ProfileSession,
  ReadingQuality,
} from './session.js';
import { registerOfPower } from './value.js';
import type { Value } from './value.js';

/** Where every profile's values become readings: their time, their direction, whose they are. */

/** When values were measured, as far as the payload says. */
export type MeasuredAt =
  | { kind: 'arrival' }
  | { kind: 'instant'; millis: number; note?: string }
  | { kind: 'local'; text: string };

export const ARRIVAL: MeasuredAt = { kind: 'arrival' };

/** What a message says of one meter. */
export interface Found {
  importMicroWh?: bigint | null;
  exportMicroWh?: bigint | null;
  powerW?: number | null;
  /** Of a power, where its sign does not tell. */
  powerRegister?: Register;
  meter?: string | undefined;
  quality?: ReadingQuality;
  note?: string | undefined;
}

/** JSON of devices is deeper than the contract's. */
const MAX_DEPTH = 16;

export function parsePayload(payload: Uint8Array): unknown {
  return parseJson(payload, MAX_DEPTH);
}

/** A session that never throws: whatever a payload does to its decoder is the payload's fault. */
export function session(take: (message: ProfileMessage) => ProfileOutput): ProfileSession {
  return {
    take(message) {
      if (message.payload.length > MAX_PAYLOAD_BYTES) {
        return refused('too_large', `more than ${MAX_PAYLOAD_BYTES} bytes`);
      }
      try {
        const output = take(message);
        const { readings, rejections } = output;
        if (readings.length > MOST_READINGS) {
          return refused('too_large', `${readings.length} readings in a message`);
        }
        return { ...output, rejections: rejections.slice(0, MOST_REJECTIONS) };
      } catch (error) {
        if (error instanceof Refusal) {
          return refused(error.reason, error.message.slice(0, LONGEST_DETAIL));
        }
        const detail = error instanceof Error ? error.message : 'not readable';
        return refused('malformed', detail.slice(0, LONGEST_DETAIL));
      }
    },
  };
}

/** Of one message. */
const MOST_READINGS = 1_000;
const MOST_REJECTIONS = 20;
const LONGEST_DETAIL = 300;

/** One meter's, with the local clock it needs. */
export class Desk {
  readonly timeZone: string;
  private readonly clock: LocalClock;
  /** The last value given of each meter and register, so that two never share an instant. */
  private readonly given = new Map<string, { at: number; microWh: bigint }>();

  constructor(private readonly context: ProfileContext) {
    this.timeZone = context.mapping.timeZone ?? context.timeZone;
    this.clock = new LocalClock(this.timeZone);
  }

  /** The readings of what was found, or why there are none. */
  readings(found: Found, measuredAt: MeasuredAt, message: ProfileMessage): ProfileOutput {
    const { mapping } = this.context;
    const { meter, quality = 'measured' } = found;
    const isOther = mapping.meter !== undefined && meter !== undefined && meter !== mapping.meter;
    if (isOther) return refused('wrong_meter', `${named(meter)}, not ${mapping.meter}`);
    if (message.retained) {
      return refused('retained', 'replayed by the broker, which is never a new reading');
    }
    const [importMicroWh, exportMicroWh] = mapping.invert
      ? [found.exportMicroWh ?? null, found.importMicroWh ?? null]
      : [found.importMicroWh ?? null, found.exportMicroWh ?? null];
    const time = this.timeOf(measuredAt, { importMicroWh, exportMicroWh }, message);
    if (typeof time === 'string') return refused('bad_time', time);
    const note = [found.note, time.note].filter((one) => one !== undefined).join('; ');
    const common = {
      ...(meter === undefined ? {} : { meter }),
      quality,
      ...(note === '' ? {} : { note }),
    };
    const readings: ProfileReading[] = [];
    for (const [register, microWh] of [
      ['import', importMicroWh],
      ['export', exportMicroWh],
    ] as const) {
      if (microWh === null) continue;
      const key = `${meter ?? ''} ${quality} ${register}`;
      const isArrival = measuredAt.kind === 'arrival' && quality === 'measured';
      const at = isArrival ? this.apart(key, time.millis, microWh) : time.millis;
      readings.push({ ...common, register, ...instant(at), microWh, powerW: null });
    }
    if (found.powerW !== undefined && found.powerW !== null) {
      const powerW = mapping.invert ? 0 - found.powerW : found.powerW;
      const register =
        found.powerRegister === undefined
          ? registerOfPower(powerW)
          : mapping.invert
            ? opposite(found.powerRegister)
            : found.powerRegister;
      readings.push({ ...common, register, ...instant(time.millis), microWh: null, powerW });
    }
    return { readings, rejections: [] };
  }

  private timeOf(
    measuredAt: MeasuredAt,
    shown: { importMicroWh: bigint | null; exportMicroWh: bigint | null },
    { receivedAtMillis }: ProfileMessage,
  ): { millis: number; note?: string } | string {
    if (measuredAt.kind === 'arrival') return { millis: receivedAtMillis, note: 'time of arrival' };
    if (measuredAt.kind === 'instant') {
      return isSet(measuredAt.millis) ? measuredAt : 'its clock is not set';
    }
    const { text } = measuredAt;
    if (!isSet(parseLocalTime(text))) return `its clock shows ${text}: it is not set`;
    const resolved = this.clock.resolve(parseLocalTime(text), shown, receivedAtMillis);
    if (resolved === 'no_such_time') return `clocks of ${this.timeZone} never showed ${text}`;
    if (resolved === 'ambiguous') {
      return `clocks of ${this.timeZone} showed ${text} twice, and nothing tells which is meant`;
    }
    return { millis: resolved, note: `${text} in ${this.timeZone}` };
  }

  /** Two values that arrive in one millisecond are a millisecond apart. */
  private apart(key: string, millis: number, microWh: bigint): number {
    const last = this.given.get(key);
    const at = last && last.at === millis && last.microWh !== microWh ? millis + 1 : millis;
    if (this.given.size >= MOST_METERS && !last) this.given.clear();
    this.given.set(key, { at, microWh });
    return at;
  }
}

/** When a payload says it was measured. @throws Refusal when it is not readable as that */
export function measuredAt(value: Value, format: TimeSource['format'], name: string): MeasuredAt {
  if (!('text' in value)) throw new Refusal('bad_time', `${name} does not say when it was`);
  try {
    return timeIn(value.text, format);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Refusal('bad_time', `${name}: ${error.message}`);
  }
}

function timeIn(text: string, format: TimeSource['format']): MeasuredAt {
  switch (format) {
    case 'rfc3339':
      return { kind: 'instant', millis: parseInstant(text) };
    case 'local':
      // Some devices can be told to write their offset after all.
      if (HAS_ZONE.test(text)) return { kind: 'instant', millis: parseInstant(text) };
      parseLocalTime(text);
      return { kind: 'local', text };
    case 'unix':
      return { kind: 'instant', millis: unixMillis(text, 3) };
    case 'unix-ms':
      return { kind: 'instant', millis: unixMillis(text, 0) };
  }
}

/** Seconds (with `shift` 3) or milliseconds since 1970; fractions of a millisecond are dropped. */
export function unixMillis(text: string, shift: number): number {
  const { digits, exponent } = parseDecimal(text);
  const millis = Math.floor(Number(`${digits}e${exponent + shift}`));
  if (!(millis >= 0 && millis < LATEST_MILLIS))
    throw new RangeError(`no time: ${text.slice(0, 40)}`);
  return millis;
}

/** Both in one, of a message that holds several things. */
export function merged(outputs: readonly ProfileOutput[]): ProfileOutput {
  const publish = outputs.flatMap((one) => one.publish ?? []);
  return {
    readings: outputs.flatMap(({ readings }) => readings),
    rejections: outputs.flatMap(({ rejections }) => rejections),
    ...(publish.length > 0 ? { publish } : {}),
  };
}

export function withRejections(
  output: ProfileOutput,
  rejections: readonly Rejection[],
): ProfileOutput {
  return { ...output, rejections: [...output.rejections, ...rejections] };
}

function instant(millis: number): { readAt: string; readAtMillis: number } {
  return { readAt: formatInstant(millis), readAtMillis: millis };
}

function named(meter: string): string {
  return meter.slice(0, 128);
}

function opposite(register: Register): Register {
  return register === 'import' ? 'export' : 'import';
}

const HAS_ZONE = /(Z|[+-]\d{2}:\d{2})$/i;
/** Devices count from 1970 until somebody tells them the time. */
function isSet(millis: number): boolean {
  return millis >= EARLIEST_MILLIS && millis < LATEST_MILLIS;
}

const EARLIEST_MILLIS = Date.UTC(2_000, 0, 1);
const LATEST_MILLIS = Date.UTC(10_000, 0, 1);
const MOST_METERS = 1_000;
