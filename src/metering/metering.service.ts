import { Injectable } from '@nestjs/common';
import type { IncomingMessage } from '../broker/broker-link.js';
import type { Sql } from '../database/database.service.js';
import type { Meter } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import { estimateEnergy } from './border.js';
import * as borders from './border.store.js';
import type { RegisterSlot } from './border.store.js';
import * as corrections from './correction.store.js';
import { keepSuspects, readEvidence } from './evidence.store.js';
import type { JudgedSlot } from './evidence.store.js';
import type { Estimate } from './estimation.js';
import { firstReadings } from './household-meters.store.js';
import type { FirstReading } from './household-meters.store.js';
import { IntakeService } from './intake.service.js';
import type { IntakeCounters } from './intake.service.js';
import * as measurements from './measurement.store.js';
import type { LivePower, MeasurementRow, StoredMeasurement } from './measurement.store.js';
import type { MeteredFlow } from './measurement.js';
import type { MeterDayAsked, MeterDayRow } from './meter-day.js';
import { meterDay } from './meter-day.store.js';
import * as oversight from './oversight.store.js';
import type { MeterState, StoredRejection } from './oversight.store.js';
import { nameSigned, signedMessages } from './signed-reading.store.js';
import type { NamedRegister, SentMessage } from './signed-reading.store.js';
import { registersFor } from './reading.js';
import {
  isOutdated,
  lastRealOf,
  needsEstimate,
  slotBorders,
  startMoved,
  writtenReading,
} from './slot-borders.js';
import type { Evidence, MeteredSlot, SlotBorders } from './slot-borders.js';

/** What of a meter its registers' slots are made from. */
export type MeterOfSlot = Pick<Meter, 'meterId' | 'householdId' | 'role'>;

/**
 * The door of metering: readings in, and out of them the registers of every slot, now and as they
 * were settled. Results depend on which readings there are, never on the order they came in, except
 * that of two contradicting values the first one counts.
 */
@Injectable()
export class MeteringService {
  constructor(private readonly incoming: IntakeService) {}

  /** Resolves once the message can no longer be lost; rejects when it must come again. */
  intake(message: IncomingMessage): Promise<void> {
    return this.incoming.intake(message);
  }

  /** Since the start: `accepted`, `repeated`, and each reason of rejection. */
  counters(): IntakeCounters {
    return this.incoming.counters();
  }

  /**
   * Every register of these meters over one slot, as readings give it now. Call it in the
   * transaction that settles the slot: it also keeps which readings are suspect, and marks
   * earlier slots that were settled with another border.
   */
  async bordersFor(
    sql: Sql,
    microgridId: string,
    meters: readonly MeterOfSlot[],
    slotStart: Instant,
    slotEnd: Instant,
  ): Promise<MeteredSlot[]> {
    const registers = meters.flatMap(({ meterId, householdId, role }) =>
      registersFor(role).map((register) => ({ meterId, householdId, role, register })),
    );
    const asked = registers.map(({ meterId, register }) => ({
      meterId,
      register,
      slotStart,
      slotEnd,
    }));
    const evidence = await readEvidence(sql, microgridId, asked);
    const found = await this.derive(sql, microgridId, evidence);
    const moved = evidence.filter((each, index) => startMoved(each, found[index]!));
    const places = moved.map(({ meterId, register }) => ({ meterId, register, at: slotStart }));
    await corrections.mark(sql, microgridId, places);
    await this.keepSuspects(sql, microgridId, evidence);
    const slots = registers.map((register, index) => {
      const lastReal = lastRealOf(evidence[index]!);
      const { anchor } = evidence[index]!;
      return {
        ...register,
        slotStart,
        slotEnd,
        ...found[index]!,
        lastReal: lastReal && writtenReading(lastReal),
        anchor: anchor && writtenReading(anchor),
      };
    });
    return nameSigned(sql, microgridId, slots);
  }

  /** The signed messages in which the readings came that a settlement of a slot names, short ones first. */
  signedMessages(
    sql: Sql,
    microgridId: string,
    registers: readonly NamedRegister[],
    borders: readonly Instant[],
  ): Promise<SentMessage[]> {
    return signedMessages(sql, microgridId, registers, borders);
  }

  /** Whether every one of these meters was read exactly at this instant. */
  allRead(
    sql: Sql,
    microgridId: string,
    meters: readonly Pick<Meter, 'meterId'>[],
    at: Instant,
  ): Promise<boolean> {
    const meterIds = meters.map(({ meterId }) => meterId);
    return measurements.allRead(sql, microgridId, meterIds, at);
  }

  /** Keeps the borders a slot was settled with; revision 0 is its close, higher ones corrections. */
  async saveBorders(
    sql: Sql,
    microgridId: string,
    revision: number,
    slots: readonly MeteredSlot[],
  ): Promise<void> {
    await borders.saveBorders(sql, microgridId, revision, slots);
  }

  /** Where these registers ended in these slots as last settled, in Wh; null where that is not known. */
  async settledEnds(
    sql: Sql,
    microgridId: string,
    slots: readonly RegisterSlot[],
  ): Promise<(number | null)[]> {
    const settled = await borders.readSettled(sql, microgridId, slots);
    return settled.map(({ end }) => end?.valueWh ?? null);
  }

  /** Keeps the measurements of a slot; a slot is closed to metering once it has some. */
  async saveMeasurements(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
    revision: number,
    rows: readonly MeasurementRow[],
  ): Promise<void> {
    await measurements.saveMeasurements(sql, microgridId, slotStart, revision, rows);
  }

  /** A household's measurements in their latest revision, newest first. */
  measurementsOf(sql: Sql, asked: measurements.MeasurementsAsked): Promise<StoredMeasurement[]> {
    return measurements.measurementsOf(sql, asked);
  }

  /** What households were measured in some slots of the past, many households at once. */
  flowsIn(
    sql: Sql,
    microgridId: string,
    asked: { readonly starts: readonly Instant[] } | measurements.FlowsBetween,
  ): Promise<MeteredFlow[]> {
    return measurements.flowsIn(sql, microgridId, asked);
  }

  /** What all households of a microgrid had to sell and to buy, slot by slot of [from, until). */
  streetFlows(
    sql: Sql,
    microgridId: string,
    from: Instant,
    until: Instant,
  ): Promise<{ slot: Instant; supplyWh: number; demandWh: number }[]> {
    return measurements.streetFlows(sql, microgridId, from, until);
  }

  /**
   * Starts of closed slots, oldest first, that were settled with other borders than readings give
   * now. Answers at once when nothing came late. A slot stays due until it is settled again with
   * `bordersFor` and `saveBorders`; marks that lead to no slot any more are removed here.
   * @param since start of the correction window: earlier slots stand
   */
  async dueCorrections(sql: Sql, microgridId: string, since: Instant): Promise<Instant[]> {
    const marks = await corrections.readMarks(sql, microgridId, MAX_MARKS);
    if (marks.length === 0) return [];
    const around = await corrections.slotsAround(sql, microgridId, marks, since);
    const due = await this.outdated(sql, microgridId, around);
    const registers = new Set(due.map(registerKey));
    const settled = marks.filter((mark) => !registers.has(registerKey(mark)));
    await corrections.removeMarks(sql, microgridId, settled);
    return [...new Set(due.map(({ slotStart }) => slotStart))];
  }

  /** The latest power of every meter that sent any. */
  livePower(sql: Sql, microgridId: string): Promise<LivePower[]> {
    return measurements.livePower(sql, microgridId);
  }

  /** Of meters of these households that were claimed in the last days, the first reading since. */
  firstReadings(
    sql: Sql,
    microgridId: string,
    householdIds: readonly string[],
  ): Promise<FirstReading[]> {
    return firstReadings(sql, microgridId, householdIds);
  }

  /** What a meter said in a span of time and what counts of it; null for a meter that is not there. */
  meterDay(sql: Sql, asked: MeterDayAsked): Promise<MeterDayRow[] | null> {
    return meterDay(sql, asked);
  }

  /** What was refused on a microgrid's topics, latest first. */
  rejections(
    sql: Sql,
    microgridId: string,
    page: { limit: number; after: string | null },
  ): Promise<StoredRejection[]> {
    return oversight.rejections(sql, microgridId, page);
  }

  /** Every meter with its last reading and what of it was refused, by id. */
  meterStates(
    sql: Sql,
    microgridId: string,
    page: { limit: number; after: string | null },
  ): Promise<MeterState[]> {
    return oversight.meterStates(sql, microgridId, page);
  }

  /** What flags of these meters are told from. */
  meterFigures(
    sql: Sql,
    microgridId: string,
    meterIds: readonly string[],
    now: Instant,
  ): Promise<oversight.StoredFigures[]> {
    return oversight.meterFigures(sql, microgridId, meterIds, now);
  }

  private async outdated(
    sql: Sql,
    microgridId: string,
    around: readonly RegisterSlot[],
  ): Promise<RegisterSlot[]> {
    const evidence = await readEvidence(sql, microgridId, around);
    await this.keepSuspects(sql, microgridId, evidence);
    // An estimate is never a reason to settle again, so none is made here.
    const shapes = await borders.readShapes(sql, microgridId, evidence);
    const now = evidence.map((each, index) => slotBorders(each, NO_ESTIMATE, shapes[index]));
    const settled = await borders.readSettled(sql, microgridId, around);
    return around.filter((_, index) => isOutdated(settled[index]!, now[index]!));
  }

  private async keepSuspects(
    sql: Sql,
    microgridId: string,
    judged: readonly JudgedSlot[],
  ): Promise<void> {
    const found = await keepSuspects(sql, microgridId, judged);
    for (const [rule, count] of Object.entries(found)) this.incoming.count(rule, count);
  }

  private async derive(
    sql: Sql,
    microgridId: string,
    evidence: readonly Evidence[],
  ): Promise<SlotBorders[]> {
    const open = evidence.filter(needsEstimate);
    const like = await borders.readLikeEnergy(sql, microgridId, open);
    const past = await borders.readPast(sql, microgridId, open);
    const estimates = new Map(
      open.map((each, index): [Evidence, Estimate] => [
        each,
        like[index] ?? {
          energyWh: estimateEnergy(past[index]!.yesterday, past[index]!.previous),
        },
      ]),
    );
    const shapes = await borders.readShapes(sql, microgridId, evidence);
    return evidence.map((each, index) =>
      slotBorders(each, estimates.get(each) ?? NO_ESTIMATE, shapes[index]),
    );
  }
}

function registerKey({ meterId, register }: { meterId: string; register: string }): string {
  return `${meterId}/${register}`;
}

const NO_ESTIMATE: Estimate = { energyWh: 0 };

/** Looked at in one go; the rest follows at the next. */
const MAX_MARKS = 2_000;
