import { z } from 'zod';
import {
  estimateEnd,
  estimateEnergy,
  registerAt,
  type BorderValue,
  type PastSlot,
  type RegisterReading,
} from '../metering/border.js';
import {
  STRAIGHT_LINE_MILLIS,
  type Estimate,
  type Gap,
  type Shape,
} from '../metering/estimation.js';
import type { MeterSlot } from '../metering/measurement.js';
import { isBelow, type OfBorders } from '../metering/slot-borders.js';
import { readingHash, type Register } from '../metering/reading.js';
import type { HouseholdFacts, RegisterFacts } from '../settlement/slot-facts.js';
import { formatRegisterWh, parseRegisterWh } from '../units/energy.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Row } from './finding.js';

/**
 * The borders of registers, worked out again: from the readings that a record names, or, where these
 * do not give it, from the slot before and the estimate that metering makes.
 */

/** The registers of a record, with the revisions in which other slots counted when it was made. */
export interface SettledRegisters {
  sequence: number;
  facts: HouseholdFacts;
  startMillis: number;
  endMillis: number;
  /** Of the slot before, and of the same slot a day before; −1 where it was not closed. */
  previousRevision: number;
  yesterdayRevision: number;
  /** Of any slot before, by its start. */
  revisionThen(startMillis: number): number;
}

const HASHES = z.array(z.string());
const OFFSETS = z.array(z.string().regex(/^-?\d{1,13}(\.\d{1,6})?$/)).optional();
const LIKE_DAYS = z.array(z.iso.date()).min(1).max(6).optional();
const REGISTERS = z.array(
  z.object({
    meter: z.string(),
    register: z.enum(['import', 'export']),
    startReadings: HASHES,
    startOffsets: OFFSETS,
    startLikeDays: LIKE_DAYS,
    endReadings: HASHES,
    endOffsets: OFFSETS,
    endLikeDays: LIKE_DAYS,
  }),
);

/** @throws Error on what cannot be looked up as registers and the readings they name */
export function assertRegisters(registers: unknown): void {
  REGISTERS.parse(registers);
}

/** A reading as it is stored: an exact instant and decimal text. */
export interface StoredReading {
  meter: string;
  register: Register;
  readAt: Instant;
  valueWh: string;
  /** The hash of the message, where that was signed. */
  signedPayload?: string | undefined;
}

/** A reading that a record names. */
export type NamedReading = RegisterReading & { signedPayload?: string | undefined };

type Hashed = NamedReading & { readAt: Instant; hash?: string };

/** Finds readings by the hash that records name them with; hashes only those near the border. */
export class ReadingIndex {
  private readonly byRegister = new Map<string, Hashed[]>();

  constructor(readings: readonly StoredReading[]) {
    for (const { meter, register, readAt, valueWh, signedPayload } of readings) {
      const reading = decoded(readAt, valueWh, signedPayload);
      if (!reading) continue;
      const key = `${meter} ${register}`;
      const known = this.byRegister.get(key);
      if (known) known.push(reading);
      else this.byRegister.set(key, [reading]);
    }
    for (const known of this.byRegister.values()) known.sort((a, b) => a.atMillis - b.atMillis);
  }

  find(
    meter: string,
    register: Register,
    hash: string,
    nearMillis: number,
  ): NamedReading | undefined {
    const readings = this.byRegister.get(`${meter} ${register}`) ?? [];
    let after = firstAfter(readings, nearMillis);
    let before = after - 1;
    while (before >= 0 || after < readings.length) {
      for (const place of [before, after]) {
        const reading = readings[place];
        if (!reading) continue;
        const { readAt, microWh, signedPayload } = reading;
        reading.hash ??= readingHash(meter, readAt, register, microWh, signedPayload);
        if (reading.hash === hash) return reading;
      }
      before -= 1;
      after += 1;
    }
    return undefined;
  }
}

/** Both borders of a register as they had to be. */
export interface DerivedBorders {
  start: BorderValue | null;
  end: BorderValue | null;
}

/** Whether the readings named give both borders, so that other slots need not be asked. */
export function isGivenByReadings(slot: SettledRegisters, named: NamedReadings): boolean {
  const start = atBorder(slot.startMillis, named.start);
  return start !== null && atBorder(slot.endMillis, named.end) !== null;
}

/** The readings that a record names for the borders of a register. */
export interface NamedReadings {
  start: NamedReading[];
  end: NamedReading[];
}

/** The gap between the readings that a border lies between, where it is long and energy flowed in it. */
export function longGap([before, after]: readonly NamedReading[]): Gap | null {
  if (!before || !after || after.microWh <= before.microWh) return null;
  if (after.atMillis - before.atMillis <= STRAIGHT_LINE_MILLIS) return null;
  return { fromMillis: before.atMillis, toMillis: after.atMillis };
}

/**
 * @param previous the slot before as it counted then
 * @param yesterday that of a day before
 * @param shapes of the gaps that the record says to have followed like days in
 * @param like the estimate that the record says to have taken from like days
 */
export function derivedBorders(
  { startMillis, endMillis }: SettledRegisters,
  named: NamedReadings,
  previous: PastSlot | null,
  yesterday: PastSlot | null,
  shapes: OfBorders<Shape>,
  like: Estimate | null,
): DerivedBorders {
  const start =
    atBorder(startMillis, named.start, shapes.start) ??
    (previous && { valueWh: previous.endWh, quality: previous.endQuality, readings: [] });
  const end =
    atBorder(endMillis, named.end, shapes.end) ??
    (start &&
      estimateEnd(
        start.valueWh,
        like ?? { energyWh: estimateEnergy(yesterday, previous) },
        named.end[0] ?? null,
      ));
  return { start: isBelow(end, start) ? null : start, end };
}

/** A reading as it counts behind exchanges and rollovers. */
export function countedFrom(reading: NamedReading, offset: string | undefined): NamedReading {
  if (offset === undefined) return reading;
  const offsetMicroWh = offset.startsWith('-')
    ? -parseRegisterWh(offset.slice(1))
    : parseRegisterWh(offset);
  return { ...reading, microWh: reading.microWh + offsetMicroWh, offsetMicroWh };
}

/** The rows of the border table that a record leaves; `real_*` where the reading was found. */
export function borderRow(
  { slotEnd, revision }: HouseholdFacts,
  register: RegisterFacts,
  lastReal: RegisterReading | null | undefined,
): Row {
  return {
    border_at: slotEnd,
    meter_id: register.meter,
    register: register.register,
    revision: revision ?? 0,
    value_wh: register.endWh,
    quality: register.endQuality,
    start_wh: register.startWh,
    start_quality: register.startQuality,
    real_at: lastReal && formatInstant(lastReal.atMillis),
    real_wh: lastReal && formatRegisterWh(lastReal.microWh),
  };
}

/** Decimal text without the zeros that PostgreSQL adds. */
export function shortDecimal(text: string): string {
  return text?.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

function atBorder(
  atMillis: number,
  [before, after]: RegisterReading[],
  shape: Shape | null = null,
): BorderValue | null {
  if (!before || before.atMillis > atMillis) return null;
  const encloses = after && after.atMillis > atMillis && after.microWh >= before.microWh;
  return registerAt(atMillis, { before, after: encloses ? after : null }, shape);
}

function decoded(readAt: Instant, valueWh: string, signedPayload?: string): Hashed | null {
  try {
    return {
      atMillis: parseInstant(readAt),
      microWh: parseRegisterWh(valueWh),
      readAt,
      signedPayload,
    };
  } catch {
    // What cannot be a reading is nobody's: its payload tells so.
    return null;
  }
}

/** The place of the first reading later than an instant. */
function firstAfter(readings: readonly Hashed[], atMillis: number): number {
  let [low, high] = [0, readings.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (readings[middle]!.atMillis <= atMillis) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The registers of a record as metering gave them. */
export function meterSlots({ household, registers }: HouseholdFacts): MeterSlot[] {
  return registers.map((one) => ({
    meterId: one.meter,
    householdId: household,
    role: one.role,
    register: one.register,
    start: border(one.startWh, one.startQuality, {
      readingHashes: one.startReadings,
      offsets: one.startOffsets,
      likeDays: one.startLikeDays,
    }),
    end: border(one.endWh, one.endQuality, {
      readingHashes: one.endReadings,
      offsets: one.endOffsets,
      likeDays: one.endLikeDays,
    }),
  }));
}

function border(
  valueWh: number | null,
  quality: RegisterFacts['startQuality'],
  told: {
    readingHashes: string[];
    offsets: string[] | undefined;
    likeDays: string[] | undefined;
  },
): MeterSlot['start'] {
  if (valueWh === null || quality === null) return null;
  const { readingHashes, offsets, likeDays } = told;
  return {
    valueWh,
    quality,
    readingHashes,
    ...(offsets === undefined ? {} : { offsets }),
    ...(likeDays === undefined ? {} : { likeDays }),
  };
}
