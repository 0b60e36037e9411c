import type { VouchedReading } from '../metering/vouched-reading.js';
import { floorToWh, parseRegisterWh } from '../units/energy.js';
import { divideFloor } from '../units/integer.js';
import { parseInstant } from '../units/slot.js';
import type { SettlementShown } from './receipt-facts.js';

/**
 * Whether the value of a register at a slot's border follows from the readings that its meter has
 * signed. Counted here from the receipt alone, without the program that settled the slot.
 */

export type RegisterShown = SettlementShown['registers'][number];

/**
 * `bounded`: the readings allow it, but where it lies between or behind them was estimated. `not
 * vouched`: one of its readings is not signed. `not known`: the register has no value there.
 */
export type Following =
  | 'follows'
  | 'bounded'
  | 'not vouched'
  | 'not known'
  | { readonly expected: string; readonly found: number | string };

/** The readings of both borders, by their hashes. */
export function namesOf({ startReadings, endReadings }: RegisterShown): string[] {
  return [...startReadings, ...endReadings];
}

/** @param vouched what meters have signed, by the hashes that records name it by */
export function followsFrom(
  vouched: ReadonlyMap<string, VouchedReading>,
  register: RegisterShown,
  side: 'start' | 'end',
  { slot, slotEnd }: Pick<SettlementShown, 'slot' | 'slotEnd'>,
): Following {
  const valueWh = register[`${side}Wh`];
  if (valueWh === null) return 'not known';
  const names = register[`${side}Readings`];
  const offsets = register[`${side}Offsets`];
  const levels: Level[] = [];
  for (const [place, name] of names.entries()) {
    const reading = vouched.get(name);
    if (!reading) return 'not vouched';
    if (reading.meter !== register.meter || reading.register !== register.register) {
      return { expected: 'readings of its own', found: `${reading.meter} ${reading.register}` };
    }
    const microWh = reading.microWh + offsetMicroWh(offsets?.[place] ?? '0');
    levels.push({ atMillis: parseInstant(reading.readAt), microWh });
  }
  if (levels.length === 0) return 'not vouched';
  const atMillis = parseInstant(side === 'start' ? slot : slotEnd);
  const quality = register[`${side}Quality`] ?? '';
  const isShaped = register[`${side}LikeDays`] !== undefined;
  const range = rangeAt(atMillis, levels, { quality, isShaped });
  // A start is carried over from an estimate, or from what has turned out since not to count.
  if (side === 'start' && (!range || quality === 'estimated')) return 'bounded';
  if (!range) return { expected: 'readings around its border', found: valueWh };
  const { fromWh, toWh } = range;
  if (valueWh >= fromWh && valueWh <= toWh) return fromWh === toWh ? 'follows' : 'bounded';
  return { expected: fromWh === toWh ? `${fromWh}` : `${fromWh} to ${toWh}`, found: valueWh };
}

/** What a register showed. */
interface Level {
  readonly atMillis: number;
  readonly microWh: bigint;
}

/**
 * What the register may have shown: the reading at the instant itself; between two readings the place
 * on the straight line, or any place where like days gave it; behind the last one no less than that.
 * @returns null where these readings are not around the instant as its quality says
 */
function rangeAt(
  atMillis: number,
  [first, second]: readonly Level[],
  { quality, isShaped }: { quality: string; isShaped: boolean },
): { fromWh: number; toWh: number } | null {
  if (!first || first.atMillis > atMillis) return null;
  const fromWh = floorToWh(first.microWh);
  if (quality === 'measured') {
    return first.atMillis === atMillis && !second ? { fromWh, toWh: fromWh } : null;
  }
  if (quality === 'estimated') return second ? null : { fromWh, toWh: Infinity };
  if (!second || first.atMillis === atMillis || second.atMillis <= atMillis) return null;
  if (isShaped) return { fromWh, toWh: floorToWh(second.microWh) };
  const rise = second.microWh - first.microWh;
  const elapsed = BigInt(atMillis - first.atMillis);
  const part = divideFloor(rise * elapsed, BigInt(second.atMillis - first.atMillis));
  const valueWh = floorToWh(first.microWh + part);
  return { fromWh: valueWh, toWh: valueWh };
}

/** Decimal Wh that may be negative. */
function offsetMicroWh(text: string): bigint {
  return text.startsWith('-') ? -parseRegisterWh(text.slice(1)) : parseRegisterWh(text);
}
