import { formatRegisterWh } from '../units/energy.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Instant } from '../units/slot.js';
import { estimateEnd, registerAt } from './border.js';
import type { BorderQuality, BorderValue, RegisterReading, Surroundings } from './border.js';
import { STRAIGHT_LINE_MILLIS, type Estimate, type Gap, type Shape } from './estimation.js';
import type { Border, MeterSlot } from './measurement.js';
import { readingHash } from './reading.js';
import type { Register } from './reading.js';

/**
 * Both borders of one register over one slot, from what is known around it. The start is what the
 * readings say now; where they do not say, it is the end that the slot before was settled with.
 */

/** What is known of one register around one slot; all readings count, see `plausibility.ts`. */
export interface Evidence {
  meterId: string;
  register: Register;
  slotStart: Instant;
  slotEnd: Instant;
  /** The end border of the slot before, as last settled. */
  carried: { valueWh: number; quality: BorderQuality } | null;
  /** The last one at or before the start. */
  beforeStart: RegisterReading | null;
  /** The first one after the start, and the last one, up to the end. */
  firstInside: RegisterReading | null;
  lastInside: RegisterReading | null;
  /** The first one after the end. */
  afterEnd: RegisterReading | null;
  /** The last one up to the end that no later reading can bring into doubt. */
  anchor: RegisterReading | null;
}

/** A meter's slot with its place in time, as it is kept for the slot after it. */
export interface MeteredSlot extends MeterSlot {
  slotStart: Instant;
  slotEnd: Instant;
  /** The highest register value really read up to the slot's end. */
  lastReal: WrittenReading | null;
  /** From where readings are judged for the slot after it. */
  anchor: WrittenReading | null;
}

export interface WrittenReading {
  readAt: Instant;
  valueWh: string;
}

/** Borders of a slot without the meter they belong to. */
export interface SlotBorders {
  start: Border | null;
  end: Border | null;
}

/** Whether readings leave the end open, so that the slot's energy has to be estimated. */
export function needsEstimate(evidence: Evidence): boolean {
  return startOf(evidence) !== null && realEnd(evidence) === null;
}

/** What belongs to either border of a slot. */
export interface OfBorders<Thing> {
  start: Thing | null;
  end: Thing | null;
}

/** The gaps that the borders of a slot lie in, where they are long and energy flowed in them. */
export function longGaps(evidence: Evidence): OfBorders<Gap> {
  const { slotStart, slotEnd } = evidence;
  return {
    start: longGap(parseInstant(slotStart), aroundStart(evidence)),
    end: longGap(parseInstant(slotEnd), aroundEnd(evidence)),
  };
}

/**
 * @param estimate the energy of the slot where readings do not give its end
 * @param shapes of its `longGaps`
 */
export function slotBorders(
  evidence: Evidence,
  estimate: Estimate,
  shapes: OfBorders<Shape> = EVENLY,
): SlotBorders {
  const known = startOf(evidence, shapes.start);
  const end =
    realEnd(evidence, shapes.end) ??
    (known && estimateEnd(known.valueWh, estimate, lastRealOf(evidence)));
  const start = isBelow(end, known) ? null : known;
  return { start: start && borderOf(evidence, start), end: end && borderOf(evidence, end) };
}

/** Whether a start was carried over from a first reading that has turned out not to count. */
export function isBelow(end: BorderValue | null, start: BorderValue | null): boolean {
  return end !== null && start !== null && end.valueWh < start.valueWh;
}

/** The last real reading up to the slot's end. */
export function lastRealOf({ lastInside, beforeStart }: Evidence): RegisterReading | null {
  return lastInside ?? beforeStart;
}

/** A reading as it is stored. */
export function writtenReading(reading: RegisterReading): WrittenReading {
  return { readAt: formatInstant(reading.atMillis), valueWh: formatRegisterWh(reading.microWh) };
}

/**
 * Whether a slot was settled with other borders than readings give now. An estimate is no reason:
 * only a start that moved, or turned out not to be known, or an end that readings have come to
 * enclose.
 */
export function isOutdated(settled: SlotBorders, now: SlotBorders): boolean {
  if (!now.start && !now.end) return false;
  if (differ(settled.start, now.start)) return true;
  return now.end !== null && now.end.quality !== 'estimated' && differ(settled.end, now.end);
}

/** Whether the slot before was settled with another end than this slot starts with. */
export function startMoved({ carried }: Evidence, { start }: SlotBorders): boolean {
  return start !== null && differ(carried, start);
}

/** Micro-Wh that may be negative, as decimal Wh. */
function formatOffset(microWh: bigint): string {
  return microWh < 0n ? `-${formatRegisterWh(-microWh)}` : formatRegisterWh(microWh);
}

type Level = Pick<Border, 'valueWh' | 'quality'>;

function differ(a: Level | null, b: Level | null): boolean {
  return a?.valueWh !== b?.valueWh || a?.quality !== b?.quality;
}

const EVENLY = { start: null, end: null };

function longGap(atMillis: number, { before, after }: Surroundings): Gap | null {
  if (!before || !after || before.atMillis === atMillis) return null;
  if (after.microWh === before.microWh) return null;
  if (after.atMillis - before.atMillis <= STRAIGHT_LINE_MILLIS) return null;
  return { fromMillis: before.atMillis, toMillis: after.atMillis };
}

function aroundStart({ beforeStart, firstInside, afterEnd }: Evidence): Surroundings {
  return { before: beforeStart, after: firstInside ?? afterEnd };
}

function aroundEnd(evidence: Evidence): Surroundings {
  return { before: lastRealOf(evidence), after: evidence.afterEnd };
}

function startOf(evidence: Evidence, shape: Shape | null = null): BorderValue | null {
  const { slotStart, beforeStart, carried } = evidence;
  const real = registerAt(parseInstant(slotStart), aroundStart(evidence), shape);
  if (real || !carried) return real;
  return { ...carried, readings: beforeStart ? [beforeStart] : [] };
}

function realEnd(evidence: Evidence, shape: Shape | null = null): BorderValue | null {
  return registerAt(parseInstant(evidence.slotEnd), aroundEnd(evidence), shape);
}

function borderOf({ meterId, register }: Evidence, border: BorderValue): Border {
  return {
    valueWh: border.valueWh,
    quality: border.quality,
    readAts: border.readings.map(({ atMillis }) => formatInstant(atMillis)),
    readingHashes: border.readings.map(({ atMillis, microWh, offsetMicroWh = 0n }) =>
      readingHash(meterId, formatInstant(atMillis), register, microWh - offsetMicroWh),
    ),
    ...(border.readings.some(({ offsetMicroWh = 0n }) => offsetMicroWh !== 0n)
      ? { offsets: border.readings.map(({ offsetMicroWh = 0n }) => formatOffset(offsetMicroWh)) }
      : {}),
    ...(border.likeDays === undefined ? {} : { likeDays: border.likeDays }),
  };
}
