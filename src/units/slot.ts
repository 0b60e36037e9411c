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

/** The start of the slot that contains the instant, in epoch milliseconds. */
export function slotStartOf(epochMillis: number, slotMinutes: SlotMinutes): number {
  const length = slotMinutes * 60_000;
  return Math.floor(epochMillis / length) * length;
}

/** Whether the instant lies exactly on a slot border. */
export function isSlotBorder(epochMillis: number, slotMinutes: SlotMinutes): boolean {
  return epochMillis % (slotMinutes * 60_000) === 0;
}
