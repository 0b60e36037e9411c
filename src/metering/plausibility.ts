import type { MeterRole } from '../parties/microgrid.js';
import type { RegisterReading } from './border.js';

/**
 * Which readings of a register count, told from the set of them alone: the same readings in any
 * order of arrival give the same answer. From a reading that counts, the next one that does is the
 * first of the longest run of readings, among the few that follow, in which the register never falls
 * and never rises by more than the connection can carry. Those in between are suspect.
 *
 * So a zero between two readings, a drop of thousands and back, and a rise that comes back are passed
 * over once the readings behind them show it; a rise beyond the connection is held back at once, and
 * until as much time has passed as so much energy takes. A register never starts anew by itself: see
 * `Exchange`. How little energy flows is no reason to doubt anything.
 */

/** Why a reading does not count. */
export type SuspectRule = 'falling_register' | 'beyond_connection' | 'outlier';

export interface Suspect {
  reading: RegisterReading;
  rule: SuspectRule;
}

export interface Judgement {
  /** In time; their values go on through exchanges and rollovers. */
  good: RegisterReading[];
  suspects: Suspect[];
}

/** An operator's word that a meter was replaced: what the old one showed last, the new one first. */
export interface Exchange {
  atMillis: number;
  oldFinalMicroWh: bigint;
  newFirstMicroWh: bigint;
}

/** How many readings are looked at together; a verdict that so many followed no longer changes. */
export const LOOKAHEAD = 8;

/** Where no limit is enrolled, and for generation and storage: more than a 400 A connection carries. */
export const DEFAULT_CONNECTION_W = 250_000;

/** What the connection carries that a register measures. */
export function connectionW(
  role: MeterRole,
  register: 'import' | 'export',
  limits: { importLimitW: number | null; exportLimitW: number | null },
): number {
  if (role !== 'grid') return DEFAULT_CONNECTION_W;
  const limitW = register === 'import' ? limits.importLimitW : limits.exportLimitW;
  return limitW ?? DEFAULT_CONNECTION_W;
}

/** A register that counts whole kWh moves by that much at once. */
const RESOLUTION_MICRO_WH = 1_000_000_000n;

/**
 * @param readings as read, in time, no two at one instant; those up to the anchor are left out
 * @param anchor a reading known to count, from which to go on; null at the beginning of a register
 * @param maxW what the connection carries
 */
export function judge(
  readings: readonly RegisterReading[],
  anchor: RegisterReading | null,
  maxW: number,
  exchanges: readonly Exchange[] = [],
): Judgement {
  const judgement: Judgement = { good: [], suspects: [] };
  const isNew = ({ atMillis }: { atMillis: number }) =>
    anchor === null || atMillis > anchor.atMillis;
  let base = anchor;
  let rest = readings.filter(isNew);
  for (const exchange of exchanges.filter(isNew)) {
    const { atMillis } = exchange;
    base = judgeMeter(
      judgement,
      rest.filter((reading) => reading.atMillis < atMillis),
      base,
      maxW,
    );
    base = exchanged(judgement, base, exchange);
    rest = rest.filter((reading) => reading.atMillis > atMillis);
  }
  judgeMeter(judgement, rest, base, maxW);
  return judgement;
}

/** The old meter ends at its final value, whatever it showed beyond; the new one goes on from there. */
function exchanged(
  { good, suspects }: Judgement,
  base: RegisterReading | null,
  { atMillis, oldFinalMicroWh, newFirstMicroWh }: Exchange,
): RegisterReading {
  const offsetMicroWh = base?.offsetMicroWh ?? 0n;
  const microWh = oldFinalMicroWh + offsetMicroWh;
  while (good.length > 0 && good.at(-1)!.microWh > microWh) {
    suspects.push({ reading: good.pop()!, rule: 'outlier' });
  }
  const final = { atMillis: atMillis - 1, microWh, offsetMicroWh };
  const first = { atMillis, microWh, offsetMicroWh: microWh - newFirstMicroWh };
  if ((good.at(-1) ?? base)?.atMillis !== final.atMillis) good.push(final);
  good.push(first);
  return first;
}

/** Whether a register can have risen so between two readings. `evidence.store.ts` asks the same in SQL. */
export function follows(before: RegisterReading, after: RegisterReading, maxW: number): boolean {
  const rise = after.microWh - before.microWh;
  return rise >= 0n && rise <= carriedMicroWh(after.atMillis - before.atMillis, maxW);
}

/** Half more than the connection's limit, for fuses carry more for a while, and one whole kWh. */
function carriedMicroWh(millis: number, maxW: number): bigint {
  // W * ms * 1.5 / 3.6e6 is Wh.
  return RESOLUTION_MICRO_WH + (BigInt(maxW) * BigInt(millis) * 5n) / 12n;
}

/** @returns the last reading of this meter that counts */
function judgeMeter(
  judgement: Judgement,
  readings: readonly RegisterReading[],
  anchor: RegisterReading | null,
  maxW: number,
): RegisterReading | null {
  let base = anchor;
  let place = 0;
  while (place < readings.length) {
    const next = base ? nextAfter(base, readings, place, maxW) : opening(readings, maxW);
    const until = next ? next.place : readings.length;
    for (; place < until; place += 1) {
      const reading = readings[place]!;
      const rule = base ? ruleFor(base, reading, maxW) : 'outlier';
      judgement.suspects.push({ reading, rule });
    }
    if (!next) break;
    base = next.reading;
    judgement.good.push(base);
    place += 1;
  }
  return base;
}

/** A reading that counts, and its place among the readings. */
interface Next {
  place: number;
  reading: RegisterReading;
}

/** A run of readings by its first one. */
interface Run {
  first: number;
  count: number;
  lastMicroWh: bigint;
  /** Whether the register rises behind a rollover in it. */
  rolledRises: boolean;
}

function nextAfter(
  base: RegisterReading,
  readings: readonly RegisterReading[],
  place: number,
  maxW: number,
): Next | null {
  const { offsetMicroWh = 0n } = base;
  const span = rolloverOf(base.microWh - offsetMicroWh);
  const goOn = (reading: RegisterReading) => continued(reading, offsetMicroWh, span);
  const isRolled = (reading: RegisterReading) => (reading.offsetMicroWh ?? 0n) > offsetMicroWh;
  for (let first = place; first < readings.length; first += 1) {
    if (!follows(base, goOn(readings[first]!), maxW)) continue;
    const window = readings.slice(first, first + LOOKAHEAD).map(goOn);
    const plain = longestRun(base, window, maxW, isRolled, false);
    const rolled = span === null ? null : longestRun(base, window, maxW, isRolled, true);
    // One reading does not tell a rollover from a glitch, nor do zeros.
    const rolls = rolled !== null && rolled.rolledRises && rolled.count > (plain?.count ?? 0);
    const run = rolls ? rolled : plain;
    if (run) return { place: first + run.first, reading: window[run.first]! };
  }
  return null;
}

/**
 * The first reading of a register that counts: that of the first two which agree on more than zero,
 * or one that leads up to it. So neither a zero nor a leap at the very beginning is taken for the
 * register. Where no two of the first few agree, the first one counts.
 */
function opening(readings: readonly RegisterReading[], maxW: number): Next {
  const window = readings.slice(0, LOOKAHEAD);
  const agreeing = window.flatMap((later, end) =>
    window
      .slice(0, end)
      .flatMap((earlier, start) =>
        earlier.microWh > 0n && follows(earlier, later, maxW) ? [{ start, end }] : [],
      ),
  )[0];
  const leading = new Set([agreeing?.start ?? 0]);
  for (let place = (agreeing?.start ?? 0) - 1; place >= 0; place -= 1) {
    const reading = window[place]!;
    if ([...leading].some((next) => follows(reading, window[next]!, maxW))) leading.add(place);
  }
  const place = Math.min(...leading);
  return { place, reading: window[place]! };
}

/** The longest run of allowed readings that can follow the base: each best one from the last on. */
function longestRun(
  base: RegisterReading,
  window: readonly RegisterReading[],
  maxW: number,
  isRolled: (reading: RegisterReading) => boolean,
  withRolled: boolean,
): Run | null {
  const runs: Run[] = [];
  for (let first = window.length - 1; first >= 0; first -= 1) {
    const reading = window[first]!;
    const rolled = isRolled(reading);
    if (rolled && !withRolled) continue;
    const { microWh } = reading;
    let best: Run = { first, count: 1, lastMicroWh: microWh, rolledRises: false };
    for (const run of runs) {
      const next = window[run.first]!;
      if (!follows(reading, next, maxW)) continue;
      const rolledRises = run.rolledRises || (rolled && next.microWh > microWh);
      const longer = { ...run, first, count: run.count + 1, rolledRises };
      if (best.count === 1 || byCount(longer, best) < 0) best = longer;
    }
    runs.unshift(best);
  }
  return runs
    .filter(({ first }) => follows(base, window[first]!, maxW))
    .reduce<Run | null>((a, b) => (a === null || byCount(b, a) < 0 ? b : a), null);
}

/** More readings; of equally many those that claim less; the earlier. */
function byCount(a: Run, b: Run): number {
  return b.count - a.count || compare(a.lastMicroWh, b.lastMicroWh) || a.first - b.first;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function ruleFor(base: RegisterReading, reading: RegisterReading, maxW: number): SuspectRule {
  const now = continued(reading, base.offsetMicroWh ?? 0n, null);
  if (now.microWh < base.microWh) return 'falling_register';
  return follows(base, now, maxW) ? 'outlier' : 'beyond_connection';
}

/** A reading as it goes on from those before: behind exchanges and, near its end, a rollover. */
function continued(
  { atMillis, microWh }: RegisterReading,
  offsetMicroWh: bigint,
  span: bigint | null,
): RegisterReading {
  const rolled = span !== null && microWh < span / 10n ? span : 0n;
  const offset = offsetMicroWh + rolled;
  return offset === 0n
    ? { atMillis, microWh }
    : { atMillis, microWh: microWh + offset, offsetMicroWh: offset };
}

/** Where a register this high starts again from zero: behind 99,999 kWh at the earliest. */
function rolloverOf(microWh: bigint): bigint | null {
  const span = ROLLOVERS.find((one) => microWh < one && microWh > (one * 9n) / 10n);
  return span ?? null;
}

const MICRO_WH_PER_KWH = 1_000_000_000n;
const ROLLOVERS = [5n, 6n, 7n, 8n].map((digits) => 10n ** digits * MICRO_WH_PER_KWH);
