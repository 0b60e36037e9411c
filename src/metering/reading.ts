import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { LosslessNumber } from 'lossless-json';
import type { MeterRole } from '../parties/microgrid.js';
import { sha256 } from '../transparency/sha256.js';
import { canonicalJson } from '../units/canonical-json.js';
import { formatRegisterWh, parseRegisterWh, registerOfNumber } from '../units/energy.js';
import { readInstant } from '../units/slot.js';
import type { SuspectRule } from './plausibility.js';
import type { Instant } from '../units/slot.js';
import { parseExactJson } from './exact-json.js';

/**
 * The native payload of a meter: bytes in, readings or named rejections out. Registers stay exact
 * decimals; a bad element of an array rejects only itself. But for the bytes it runs in a browser.
 */

export type Register = 'import' | 'export';

/**
 * Why a reading does not count. `contradicts` and those of `SuspectRule` are kept, but not used.
 * Those from `not_understood` on are said by profiles.
 */
export type RejectionReason =
  | 'retained'
  | 'too_large'
  | 'malformed'
  | 'unknown_meter'
  | 'wrong_microgrid'
  | 'unknown_key'
  | 'revoked_key'
  | 'unsigned'
  | 'bad_signature'
  | 'unsigned_counter'
  | 'not_active'
  | 'in_future'
  | 'too_old'
  | 'register_missing'
  | 'replayed'
  | 'contradicts'
  | SuspectRule
  | 'not_understood'
  | 'no_value'
  | 'device_gone'
  | 'incomplete'
  | 'corrupt'
  | 'unit_unknown'
  | 'bad_time'
  | 'stale'
  | 'wrong_meter'
  | 'not_born'
  | 'out_of_sequence'
  | 'refused_by_database';

/** What a meter said at one instant, before it is known what kind of meter it is. */
export interface DecodedReading {
  /** Position in the array; null when the payload was a single object. */
  index: number | null;
  readAt: Instant;
  readAtMillis: number;
  importMicroWh: bigint | null;
  exportMicroWh: bigint | null;
  /** For display only, rounded to whole watts. */
  powerW: number | null;
}

export interface Rejection {
  reason: RejectionReason;
  /** Says what is wrong, where, and what was expected; never the payload itself. */
  detail: string;
}

export interface Decoded {
  readings: DecodedReading[];
  rejections: Rejection[];
}

export const MAX_PAYLOAD_BYTES = 65_536;
export const MAX_READINGS = 1_000;
const MAX_POWER_W = 1_000_000_000;

/**
 * @example decodeReadings(Buffer.from('{"readAt":"2026-06-01T12:15:00+02:00","importWh":14737.1422}'))
 *   // readings[0].readAt === '2026-06-01T10:15:00Z', importMicroWh === 14737142200n
 */
export function decodeReadings(payload: Buffer): Decoded {
  if (payload.length > MAX_PAYLOAD_BYTES) {
    return rejected('too_large', `${payload.length} bytes; at most ${MAX_PAYLOAD_BYTES}`);
  }
  let json: unknown;
  try {
    json = parseExactJson(payload);
  } catch (error) {
    return rejected('malformed', error instanceof Error ? error.message : 'not JSON');
  }
  return readingsIn(json);
}

/** @param json as `parseExactJson` or `parseJson` gives it */
export function readingsIn(json: unknown): Decoded {
  if (!Array.isArray(json)) return decodeElements([json], false);
  if (json.length > MAX_READINGS) {
    return rejected('too_large', `${json.length} readings; at most ${MAX_READINGS} a message`);
  }
  if (json.length === 0) return rejected('malformed', 'an array without a reading');
  return decodeElements(json, true);
}

/** The registers a meter of this role must send, in micro-Wh, or why the reading does not do. */
export function registersOf(
  role: MeterRole,
  { importMicroWh, exportMicroWh }: Pick<DecodedReading, 'importMicroWh' | 'exportMicroWh'>,
): { register: Register; microWh: bigint }[] | Rejection {
  const found: { register: Register; microWh: bigint }[] = [];
  if (importMicroWh !== null && role !== 'generation') {
    found.push({ register: 'import', microWh: importMicroWh });
  }
  if (exportMicroWh !== null) found.push({ register: 'export', microWh: exportMicroWh });
  if (found.length > 0) return found;
  const expected = role === 'generation' ? 'exportWh' : 'importWh or exportWh';
  return { reason: 'register_missing', detail: `a ${role} meter sends ${expected}` };
}

/** Every register that counts for a role. */
export function registersFor(role: MeterRole): readonly Register[] {
  return role === 'generation' ? ['export'] : ['import', 'export'];
}

/**
 * SHA-256, in hex, by which records name the readings they used.
 * @param signedPayload the hash of the message, in hex, where it was signed: it stands for the signature
 */
export function readingHash(
  meterId: string,
  readAt: Instant,
  register: Register,
  microWh: bigint,
  signedPayload?: string,
): string {
  const valueWh = formatRegisterWh(microWh);
  const text = canonicalJson({
    meter: meterId,
    readAt,
    register,
    valueWh,
    ...(signedPayload === undefined ? {} : { signedPayload }),
  });
  return bytesToHex(sha256(utf8ToBytes(text)));
}

function decodeElements(elements: readonly unknown[], inArray: boolean): Decoded {
  const decoded: Decoded = { readings: [], rejections: [] };
  elements.forEach((element, index) => {
    const place = inArray ? index : null;
    try {
      decoded.readings.push(decodeElement(element, place));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const where = inArray ? `reading ${index}: ` : '';
      decoded.rejections.push({ reason: 'malformed', detail: where + error.message });
    }
  });
  return decoded;
}

/** @throws RangeError saying which field does not fit */
function decodeElement(element: unknown, index: number | null): DecodedReading {
  if (typeof element !== 'object' || element === null || Array.isArray(element)) {
    throw new RangeError('not an object with readAt and importWh or exportWh');
  }
  if (element instanceof LosslessNumber) throw new RangeError('a number, not an object');
  const readAt = field(element, 'readAt');
  if (typeof readAt !== 'string') throw new RangeError('readAt is not an RFC 3339 instant');
  const { instant, millis } = named('readAt', () => readInstant(readAt));
  // PostgreSQL would take earlier and later years, canonical text would not.
  if (millis < 0) throw new RangeError('readAt is before 1970');
  return {
    index,
    readAt: instant,
    readAtMillis: millis,
    importMicroWh: registerValue(element, 'importWh'),
    exportMicroWh: registerValue(element, 'exportWh'),
    powerW: powerValue(element),
  };
}

/** Null and absent are the same: the meter has no value to give. */
function registerValue(element: object, name: 'importWh' | 'exportWh'): bigint | null {
  const value = field(element, name);
  if (value === undefined || value === null) return null;
  if (typeof value === 'number') return named(name, () => registerOfNumber(value));
  if (!(value instanceof LosslessNumber)) throw new RangeError(`${name} is not a number`);
  return named(name, () => parseRegisterWh(value.value));
}

function powerValue(element: object): number | null {
  const value = field(element, 'powerW');
  if (value === undefined || value === null) return null;
  const number = value instanceof LosslessNumber ? Number(value.value) : value;
  const watts = typeof number === 'number' ? Math.round(number) : Number.NaN;
  if (!(Math.abs(watts) <= MAX_POWER_W)) throw new RangeError('powerW is not a number of watts');
  return watts + 0;
}

/** An own property only: what an object inherits was not sent. */
function field(element: object, name: string): unknown {
  return Object.hasOwn(element, name) ? (element as Record<string, unknown>)[name] : undefined;
}

function named<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new RangeError(`${name}: ${error instanceof Error ? error.message : 'not readable'}`);
  }
}

function rejected(reason: RejectionReason, detail: string): Decoded {
  return { readings: [], rejections: [{ reason, detail }] };
}
