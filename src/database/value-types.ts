import { formatInstant, parseInstant, type Instant } from '../units/slot.js';

/**
 * How PostgreSQL's text values become values of the program: exact or refused, never rounded.
 * int8 is a safe integer, timestamptz a canonical instant, numeric and date stay text, bytea is a
 * Buffer.
 */
export function parserOf(oid: number): ((text: string) => unknown) | undefined {
  return SCALARS.get(oid);
}

/** @throws RangeError beyond 2^53 − 1, where a number would lie. */
export function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer: ${text}`);
  return value;
}

/**
 * A timestamptz as PostgreSQL writes it under DateStyle ISO.
 * @example parseTimestamp('2026-06-01 10:15:00+00') === '2026-06-01T10:15:00Z'
 */
export function parseTimestamp(text: string): Instant {
  if (text.length === 22 && text.endsWith('+00')) {
    return `${text.slice(0, 10)}T${text.slice(11, 19)}Z`;
  }
  if (text.endsWith('infinity')) return text;
  const zoned = text.replace(' ', 'T').replace(/([+-]\d{2})$/, '$1:00');
  return formatInstant(parseInstant(zoned));
}

// Object identifiers of pg_type, fixed for ever in PostgreSQL's catalog.
const INT8 = 20;
const DATE = 1082;
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;
const NUMERIC = 1700;

const SCALARS = new Map<number, (text: string) => unknown>([
  [INT8, parseInt8],
  [DATE, (text) => text],
  [TIMESTAMP, (text) => text],
  [TIMESTAMPTZ, parseTimestamp],
  [NUMERIC, (text) => text],
]);
