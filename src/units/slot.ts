/** Slots are half-open UTC intervals on the grid of their length; instants are RFC 3339 UTC text. */

export type SlotMinutes = 5 | 15 | 30 | 60;

/** An instant as canonical RFC 3339 UTC text, e.g. `2026-06-01T10:15:00Z`; milliseconds if any. */
export type Instant = string;

/** Canonical text of an instant in epoch milliseconds: whole seconds carry no fraction. */
export function formatInstant(epochMillis: number): Instant {
  return new Date(epochMillis).toISOString().replace('.000Z', 'Z');
}

const RFC_3339 = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Epoch milliseconds of an RFC 3339 instant; fractions beyond milliseconds are dropped.
 * @throws RangeError when it has no zone, is not a real date, or is not RFC 3339
 */
export function parseInstant(text: string): number {
  const canonical = canonicalMillis(text);
  if (canonical !== null) return canonical;
  const match = RFC_3339.exec(text);
  const millis = match ? Date.parse(text.toUpperCase()) : Number.NaN;
  if (!match || Number.isNaN(millis)) {
    throw new RangeError(`not an RFC 3339 instant with a zone: ${text.slice(0, 40)}`);
  }
  // Date.parse rolls 31 February over into March.
  const day = Number(match[1]!.slice(8));
  const [year, month] = match[1]!.split('-').map(Number) as [number, number];
  if (day > new Date(Date.UTC(year, month, 0)).getUTCDate()) {
    throw new RangeError(`no such day: ${text.slice(0, 40)}`);
  }
  return millis;
}

/** An instant in canonical text and in epoch milliseconds. @throws RangeError as `parseInstant` */
export function readInstant(text: string): { instant: Instant; millis: number } {
  const canonical = canonicalMillis(text);
  if (canonical !== null) return { instant: text, millis: canonical };
  const millis = parseInstant(text);
  return { instant: formatInstant(millis), millis };
}

/**
 * Epoch milliseconds of canonical text in whole seconds, as nearly every instant is written; null for
 * all other text. Without an expression and the engine's parser it takes a tenth of the time.
 */
function canonicalMillis(text: string): number | null {
  if (text.length !== 20 || text[10] !== 'T' || text[19] !== 'Z') return null;
  if (text[4] !== '-' || text[7] !== '-' || text[13] !== ':' || text[16] !== ':') return null;
  const year = 100 * twoDigits(text, 0) + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  // Days that not every month has are looked at closely elsewhere; Date.UTC reads year 26 as 1926.
  const isDay = day >= 1 && (day <= 28 || (day <= 30 && month !== 2));
  if (!(year >= 1000 && month >= 1 && month <= 12 && isDay)) return null;
  if (!(hour <= 23 && minute <= 59 && second <= 59)) return null;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** NaN unless both characters are digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - ZERO;
  const ones = text.charCodeAt(at + 1) - ZERO;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? 10 * tens + ones : Number.NaN;
}

const ZERO = 48;

/** The start of the slot that contains the instant, in epoch milliseconds. */
export function slotStartOf(epochMillis: number, slotMinutes: SlotMinutes): number {
  const length = slotMinutes * 60_000;
  return Math.floor(epochMillis / length) * length;
}

/** Whether the instant lies exactly on a slot border. */
export function isSlotBorder(epochMillis: number, slotMinutes: SlotMinutes): boolean {
  return epochMillis % (slotMinutes * 60_000) === 0;
}
