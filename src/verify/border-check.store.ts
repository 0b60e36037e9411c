import type { PastSlot } from '../metering/border.js';
import { candidates, hoursOf, likeEnergy, shapeOf } from '../metering/estimation.js';
import type { Estimate, Gap, PastDays, Shape } from '../metering/estimation.js';
import { isSigned } from '../metering/signed-reading.js';
import type { OfBorders } from '../metering/slot-borders.js';
import type { RegisterFacts } from '../settlement/slot-facts.js';
import { formatInstant } from '../units/slot.js';
import {
  borderRow,
  countedFrom,
  derivedBorders,
  isGivenByReadings,
  longGap,
  ReadingIndex,
  shortDecimal,
  type NamedReadings,
  type SettledRegisters,
  type StoredReading,
} from './borders.js';
import type { Exchanges } from './exchanges.js';
import type { Findings, Row } from './finding.js';
import { exactInstant, type TableRows } from './table-rows.store.js';
import { REGISTER_BORDER } from './tables.js';
import * as store from './verify.store.js';

/** One register of a record, with what is known of its readings. */
interface Named {
  settled: SettledRegisters;
  register: RegisterFacts;
  readings: NamedReadings;
}

type ReadingRow = StoredReading & { payloadHash: string; message: Buffer | null };

/** The shapes of the gaps that borders lie in, and the estimate of an end that lies in none. */
type FromLikeDays = OfBorders<Shape> & { estimate: Estimate | null };

const NOTHING_LIKE: FromLikeDays = { start: null, end: null, estimate: null };

const DAY = 86_400_000;

/** A register of five digits of kWh: longer ones turn over a multiple of it. */
const SHORTEST_TURN_MICRO_WH = 100_000_000_000_000n;

/** How far around the slots readings are looked for: most are near, that of a silent meter is far. */
const WINDOWS = [0, DAY, 400 * DAY];

/**
 * Holds the registers of records against the readings that they name and against the border table,
 * a page of records at a time.
 */
export class BorderCheck {
  private rowCount = 0;
  /** The readings that each register named last: the next record of a silent meter names them too. */
  private readonly lastNamed = new Map<string, StoredReading[]>();

  constructor(
    private readonly tables: TableRows,
    private readonly findings: Findings,
    private readonly exchanges: Exchanges,
  ) {}

  async check(page: readonly SettledRegisters[]): Promise<void> {
    if (page.length === 0) return;
    const found = await this.find(page);
    const named = found.filter((one): one is Named => one !== null);
    await this.assertBorders(named);
    await this.compareRows(page, named);
  }

  /** Rows that no record left, of which the comparison by key knows nothing. */
  async end(): Promise<void> {
    const { table } = REGISTER_BORDER;
    this.findings.same(
      table,
      'all',
      'number of rows',
      this.rowCount,
      await this.tables.count(table),
    );
  }

  /** Null for a register of which a reading is missing. */
  private async find(page: readonly SettledRegisters[]): Promise<(Named | null)[]> {
    const registers = page.flatMap((settled) =>
      settled.facts.registers.map((register) => ({ settled, register })),
    );
    let index = new ReadingIndex([]);
    const attempt = (one: { settled: SettledRegisters; register: RegisterFacts }) => {
      const { meter, register, startReadings, endReadings } = one.register;
      const { startOffsets, endOffsets } = one.register;
      const all = (
        hashes: readonly string[],
        offsets: string[] | undefined,
        nearMillis: number,
      ) => {
        const readings = hashes.map((hash, place) => {
          const reading = index.find(meter, register, hash, nearMillis);
          return reading && countedFrom(reading, offsets?.[place]);
        });
        return readings.includes(undefined) ? null : (readings as NamedReadings['start']);
      };
      const start = all(startReadings, startOffsets, one.settled.startMillis);
      const end = all(endReadings, endOffsets, one.settled.endMillis);
      return start && end ? { ...one, readings: { start, end } } : null;
    };
    let found: (Named | null)[] = registers.map(() => null);
    for (const window of WINDOWS) {
      const missing = registers.filter((_, place) => !found[place]);
      if (missing.length === 0) break;
      index = await this.readingsAround(missing, window);
      found = registers.map((one, place) => found[place] ?? attempt(one));
    }
    registers.forEach((one, place) => {
      if (found[place]) return;
      const { sequence, facts } = one.settled;
      const row = `${one.register.meter} ${one.register.register} of ${facts.slot}`;
      const expected = `the readings that record ${sequence} names`;
      this.findings.add('reading', row, 'meter_id, register, read_at, value_wh', expected, 'none');
    });
    this.remember(found);
    return found;
  }

  private async readingsAround(
    registers: readonly { settled: SettledRegisters; register: RegisterFacts }[],
    windowMillis: number,
  ): Promise<ReadingIndex> {
    const starts = registers.map(({ settled }) => settled.startMillis);
    const ends = registers.map(({ settled }) => settled.endMillis);
    const lengthMillis = ends[0]! - starts[0]!;
    const from = starts.reduce((a, b) => Math.min(a, b)) - lengthMillis - windowMillis;
    const to = ends.reduce((a, b) => Math.max(a, b)) + lengthMillis + windowMillis;
    const meters = [...new Set(registers.map(({ register }) => register.meter))];
    const rows = await this.tables.query<ReadingRow>('reading', store.READINGS, [
      meters,
      formatInstant(from),
      formatInstant(to),
    ]);
    const remembered = registers.flatMap(
      ({ register }) => this.lastNamed.get(keyOf(register)) ?? [],
    );
    return new ReadingIndex([
      ...rows.map(({ message, payloadHash, ...row }) => ({
        ...row,
        readAt: exactInstant(row.readAt),
        signedPayload: message && isSigned(message) ? payloadHash : undefined,
      })),
      ...remembered,
      ...registers.flatMap(({ register }) => this.exchanges.readingsOf(register)),
    ]);
  }

  private remember(found: readonly (Named | null)[]): void {
    for (const one of found) {
      if (!one) continue;
      const { meter, register } = one.register;
      const readings = [...one.readings.start, ...one.readings.end].map(
        ({ atMillis, microWh, offsetMicroWh = 0n, signedPayload }): StoredReading => ({
          meter,
          register,
          readAt: formatInstant(atMillis),
          valueWh: `${microWh - offsetMicroWh}e-6`,
          signedPayload,
        }),
      );
      this.lastNamed.set(keyOf(one.register), readings);
    }
  }

  private async assertBorders(named: readonly Named[]): Promise<void> {
    const open = named.filter(({ settled, readings }) => !isGivenByReadings(settled, readings));
    const past = new Map<Named, [PastSlot | null, PastSlot | null]>();
    const previous = await this.bordersThen(open, 0, ({ previousRevision }) => previousRevision);
    const yesterday = await this.bordersThen(
      open,
      DAY,
      ({ yesterdayRevision }) => yesterdayRevision,
    );
    open.forEach((one, place) => past.set(one, [previous[place]!, yesterday[place]!]));
    const told = await this.likeDaysThen(named);
    for (const one of named) {
      const { settled, register, readings } = one;
      const { sequence } = settled;
      this.assertOffsets(one);
      const [before, dayBefore] = past.get(one) ?? [null, null];
      const like = told.get(one) ?? NOTHING_LIKE;
      const { start, end } = derivedBorders(
        settled,
        readings,
        before,
        dayBefore,
        like,
        like.estimate,
      );
      const same = (field: keyof RegisterFacts, expected: unknown) =>
        this.findings.same(
          'record_body',
          sequence,
          `${field} of ${register.meter} ${register.register}`,
          expected,
          register[field],
        );
      same('startWh', start?.valueWh);
      same('startQuality', start?.quality);
      same('endWh', end?.valueWh);
      same('endQuality', end?.quality);
      this.assertLikeDays(one, 'startLikeDays', start?.likeDays);
      this.assertLikeDays(one, 'endLikeDays', end?.likeDays);
    }
  }

  /** A reading counts for more by its meter's exchanges, and by whole turns of its register. */
  private assertOffsets({ settled, register, readings }: Named): void {
    const { meter, register: name } = register;
    for (const { atMillis, offsetMicroWh = 0n } of [...readings.start, ...readings.end]) {
      const known = this.exchanges.offsetAt(meter, name, atMillis, settled.sequence);
      if (offsetMicroWh >= known && (offsetMicroWh - known) % SHORTEST_TURN_MICRO_WH === 0n) {
        continue;
      }
      const field = `offsets of ${meter} ${name}`;
      this.findings.add('record_body', settled.sequence, field, known, offsetMicroWh);
    }
  }

  /** Records made before there were like days name none: straight lines, and the former estimate. */
  private assertLikeDays(
    { settled, register }: Named,
    field: 'startLikeDays' | 'endLikeDays',
    expected: readonly string[] | undefined,
  ): void {
    const name = `${field} of ${register.meter} ${register.register}`;
    const found = register[field]?.join(' ');
    this.findings.same('record_body', settled.sequence, name, expected?.join(' '), found);
  }

  /** What records say to have taken from like days, told again. */
  private async likeDaysThen(named: readonly Named[]): Promise<Map<Named, FromLikeDays>> {
    const told = new Map<Named, FromLikeDays>();
    for (const one of named) {
      const { startLikeDays, endLikeDays, endQuality } = one.register;
      if (!startLikeDays && !endLikeDays) continue;
      const { startMillis, endMillis } = one.settled;
      const slot = { fromMillis: startMillis, toMillis: endMillis };
      const shapeThen = async (gap: Gap | null) =>
        gap && shapeOf(gap, await this.daysThen(one, gap));
      const isEstimate = endLikeDays && endQuality === 'estimated';
      told.set(one, {
        start: startLikeDays ? await shapeThen(longGap(one.readings.start)) : null,
        end: endLikeDays ? await shapeThen(longGap(one.readings.end)) : null,
        estimate: isEstimate ? likeEnergy(slot, await this.daysThen(one, slot)) : null,
      });
    }
    return told;
  }

  /** The days before a gap as they counted when the record was made. */
  private async daysThen({ settled, register }: Named, gap: Gap): Promise<PastDays> {
    const lengthMillis = settled.endMillis - settled.startMillis;
    const midnights = candidates(gap).flat();
    const hours = midnights.flatMap(hoursOf);
    const rows = await this.tables.query<{ endWh: number | null; endQuality: string | null }>(
      REGISTER_BORDER.table,
      store.BORDERS_THEN,
      [
        hours.map(() => register.meter),
        hours.map(() => register.register),
        hours.map((atMillis) => formatInstant(atMillis)),
        hours.map((atMillis) => settled.revisionThen(atMillis - lengthMillis)),
      ],
    );
    const known = rows.map(({ endWh, endQuality }) => (endQuality === 'estimated' ? null : endWh));
    const days = midnights.map((midnight, place): [number, (number | null)[]] => [
      midnight,
      known.slice(place * 25, place * 25 + 25),
    ]);
    return new Map(days);
  }

  /** The end of the slot before, or of the same slot a day before, as it counted then. */
  private async bordersThen(
    open: readonly Named[],
    backMillis: number,
    revisionOf: (settled: SettledRegisters) => number,
  ): Promise<(PastSlot | null)[]> {
    if (open.length === 0) return [];
    const rows = await this.tables.query<{ [Key in keyof PastSlot]: PastSlot[Key] | null }>(
      REGISTER_BORDER.table,
      store.BORDERS_THEN,
      [
        open.map(({ register }) => register.meter),
        open.map(({ register }) => register.register),
        open.map(({ settled: { startMillis, endMillis } }) =>
          formatInstant(backMillis === 0 ? startMillis : endMillis - backMillis),
        ),
        open.map(({ settled }) => revisionOf(settled)),
      ],
    );
    return rows.map(({ endWh, endQuality, ...start }) =>
      endWh === null || endQuality === null ? null : { ...start, endWh, endQuality },
    );
  }

  private async compareRows(
    page: readonly SettledRegisters[],
    named: readonly Named[],
  ): Promise<void> {
    const lastReal = new Map(named.map(({ register, readings }) => [register, readings.end[0]]));
    const expected = page.flatMap(({ facts }) =>
      facts.registers
        .filter(({ endWh }) => endWh !== null)
        .map((register) =>
          borderRow(
            facts,
            register,
            lastReal.has(register) ? (lastReal.get(register) ?? null) : undefined,
          ),
        ),
    );
    this.rowCount += expected.length;
    const { table, key } = REGISTER_BORDER;
    const found = await this.tables.rows(
      table,
      store.BORDER_KEYS,
      key.map((column) => expected.map((row) => row[column])),
    );
    this.findings.sameRows(REGISTER_BORDER, expected, found.map(inShort));
  }
}

function keyOf({ meter, register }: RegisterFacts): string {
  return `${meter} ${register}`;
}

/** PostgreSQL fills decimals up to their scale. */
function inShort(row: Row): Row {
  const value = row['real_wh'];
  return typeof value === 'string' ? { ...row, real_wh: shortDecimal(value) } : row;
}
