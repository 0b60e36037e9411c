import { Injectable, Logger } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import type { RecordDraft } from '../ledger/record.js';
import { MarketService } from '../market/market.service.js';
import { measureAll } from '../metering/measurement.js';
import { MeteringService } from '../metering/metering.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Lot } from './claims.js';
import { closeSlot, isMadeAtClose, type SettledSlot, type SlotTerms } from './close-slot.js';
import { correctSlot, type SettledBefore } from './correct-slot.js';
import { isPassing } from '../database/passing-fault.js';
import * as store from './settlement.store.js';
import {
  settledHousehold,
  termsOfManifest,
  type HouseholdFacts,
  type ManifestFacts,
} from './slot-facts.js';
import {
  saveLots,
  saveSettlements,
  saveTradeSettlements,
  SlotClosingService,
  type RegistersByHousehold,
} from './slot-closing.service.js';
import { gapKey, slotBefore, trueUps, type TrueUpFacts, type TrueUps } from './true-up.js';

/**
 * Puts right what late readings changed in closed slots: the slot is settled again under the rules
 * that held in it, and the differences are posted as correcting records. What they show of slots too
 * old for that is booked as a true-up behind the correction of the first slot that is not.
 */
@Injectable()
export class SlotCorrectionService {
  private readonly log = new Logger('corrections');

  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly ledger: LedgerService,
    private readonly metering: MeteringService,
    private readonly market: MarketService,
    private readonly closing: SlotClosingService,
  ) {}

  /** Corrects every slot of the correction window that readings now contradict, oldest first. */
  async correctDue(microgrid: Microgrid, at: Instant): Promise<void> {
    const { microgridId, correctionDays } = microgrid;
    const since = formatInstant(parseInstant(at) - correctionDays * 86_400_000);
    const tried = new Set<Instant>();
    // A corrected border moves the slot on its other side too, so that more may become due.
    for (;;) {
      const due = await this.metering.dueCorrections(this.database, microgridId, since);
      const next = due.find((slotStart) => !tried.has(slotStart));
      if (next === undefined) return;
      tried.add(next);
      await this.correct(microgrid, next, since, at).catch((error: unknown) => {
        if (isPassing(error)) throw error;
        this.log.error(`Slot ${next} of ${microgridId} cannot be corrected: ${String(error)}`);
      });
    }
  }

  private async correct(
    microgrid: Microgrid,
    slotStart: Instant,
    since: Instant,
    at: Instant,
  ): Promise<void> {
    await this.database.transaction(async (sql) => {
      const { microgridId } = microgrid;
      await this.ledger.lock(sql, microgridId);
      const [known] = await sql.query<{
        status: string;
        revision: number;
        closedSequence: number;
      }>(store.SLOT, [microgridId, slotStart]);
      if (known?.status !== 'closed') return;
      const revision = known.revision + 1;
      const before = await this.settledBefore(sql, microgridId, slotStart);
      const terms = await this.termsThen(sql, microgrid, slotStart, known.closedSequence, before);
      const { meters } = await this.parties.members(sql, microgridId, slotStart);
      const registers = await this.closing.registersOf(sql, terms, meters);
      const slot = closeSlot({
        terms,
        households: measureAll(
          [...before.keys()],
          [...registers.values()].flat(),
          microgrid.unexplainedToleranceWh,
        ).map((energy) =>
          settledHousehold(before.get(energy.householdId)!.facts as HouseholdFacts, energy),
        ),
        trades: isMadeAtClose(terms) ? [] : await this.market.tradesOf(sql, microgridId, slotStart),
        revision,
      });
      const lotsNow = await this.closing.lots(sql, microgridId);
      const { drafts, changed, batteries } = correctSlot({
        slot,
        revision,
        at,
        registers,
        before,
        posted: await this.postedBy(sql, microgridId, slotStart),
        lotsNow,
        supplyBefore: await this.closing.supply(sql, microgridId),
        since,
      });
      if (changed.length === 0) return;
      for (const { householdId, lots } of batteries) lotsNow.set(householdId, lots);
      const booked = isBefore(slotBefore(terms), since)
        ? await this.trueUps(sql, { slot, revision, at, registers, lotsNow })
        : NOTHING_BOOKED;
      const all = [...drafts, ...booked.drafts];
      const sequences = await this.ledger.append(sql, microgridId, all);
      const closingSequence = sequences[drafts.length - 1]!;
      const ids = new Set(changed.map(({ input }) => input.householdId));
      await this.metering.saveBorders(
        sql,
        microgridId,
        revision,
        [...registers].flatMap(([household, slots]) => (ids.has(household) ? slots : [])),
      );
      await this.metering.saveMeasurements(
        sql,
        microgridId,
        slotStart,
        revision,
        changed.map(({ input: { householdId, energy } }, index) => ({
          householdId,
          ...energy,
          sequence: sequences[index]!,
        })),
      );
      await saveSettlements(
        sql,
        slot,
        revision,
        changed.map(({ settlement }, index) => ({ settlement, sequence: sequences[index]! })),
      );
      const ofTrades = slot.trades.map(() => closingSequence);
      if (isMadeAtClose(terms)) {
        const trades = slot.trades.map((trade) => ({ ...trade, sequence: closingSequence }));
        await this.market.saveTrades(sql, microgridId, slotStart, revision, trades);
      }
      await saveTradeSettlements(sql, slot, revision, ofTrades);
      await saveLots(sql, microgridId, batteries);
      await saveLots(sql, microgridId, booked.batteries);
      await saveTrueUps(sql, microgridId, booked.drafts, sequences.slice(drafts.length));
      await sql.query(store.SLOT_CORRECTED, [
        microgridId,
        slotStart,
        revision,
        slot.tradedWh,
        closingSequence,
      ]);
    });
  }

  /** What registers show of the slot before a corrected one, which stands. */
  private async trueUps(
    sql: Sql,
    of: {
      slot: SettledSlot;
      revision: number;
      at: Instant;
      registers: RegistersByHousehold;
      lotsNow: ReadonlyMap<string, readonly Lot[]>;
    },
  ): Promise<TrueUps> {
    const { microgridId, slot: border, slotEnd } = of.slot.terms;
    const asked = [...of.registers.values()].flat().map(({ meterId, register }) => ({
      meterId,
      register,
      slotStart: slotBefore({ slot: border, slotEnd }),
      slotEnd: border,
    }));
    const settled = await this.metering.settledEnds(sql, microgridId, asked);
    const ends = settled.flatMap((endWh, index): [string, number][] => {
      const { meterId: meter, register } = asked[index]!;
      return endWh === null ? [] : [[gapKey({ meter, register }), endWh]];
    });
    return trueUps({
      ...of,
      tariff: await this.parties.tariffAt(sql, microgridId, of.at),
      ends: new Map(ends),
      booked: await this.bookedAt(sql, microgridId, [...of.registers.keys()], border),
    });
  }

  private async bookedAt(
    sql: Sql,
    microgridId: string,
    households: readonly string[],
    border: Instant,
  ): Promise<Map<string, number>> {
    const rows = await sql.query<{ sequence: number }>(store.TRUE_UPS_AT_BORDER, [
      microgridId,
      households,
      border,
    ]);
    const records = await this.ledger.recordsAt(
      sql,
      microgridId,
      rows.map(({ sequence }) => sequence),
    );
    const booked = new Map<string, number>();
    for (const gap of records.flatMap(({ facts }) => (facts as TrueUpFacts).registers)) {
      booked.set(gapKey(gap), (booked.get(gapKey(gap)) ?? 0) + gap.energyWh);
    }
    return booked;
  }

  /** Each household of the slot as its latest record tells it, sorted by id. */
  private async settledBefore(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
  ): Promise<Map<string, SettledBefore>> {
    const rows = await sql.query<{ sequence: number }>(store.SETTLEMENTS_OF_SLOT, [
      microgridId,
      slotStart,
    ]);
    const records = await this.ledger.recordsAt(
      sql,
      microgridId,
      rows.map(({ sequence }) => sequence),
    );
    const settled = records.map(({ facts }): [string, SettledBefore] => {
      const { household, settlement, battery } = facts as HouseholdFacts;
      return [household, { facts, settlement, lotsAfter: battery.after }];
    });
    return new Map(settled.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The rules as the slot's own records state them. */
  private async termsThen(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
    closedSequence: number,
    before: ReadonlyMap<string, SettledBefore>,
  ): Promise<SlotTerms> {
    const terms = await this.closing.termsOf(sql, microgrid, slotStart);
    const [closed] = await this.ledger.recordsAt(sql, microgrid.microgridId, [closedSequence]);
    const [household] = before.values();
    if (!closed || !household) return terms;
    const { tariff } = household.facts as HouseholdFacts;
    return { ...termsOfManifest(terms, closed.facts as ManifestFacts), tariff };
  }

  private async postedBy(sql: Sql, microgridId: string, slotStart: Instant) {
    const rows = await sql.query<{ sequence: number }>(store.RECORD_SEQUENCES_OF_SLOT, [
      microgridId,
      slotStart,
    ]);
    const records = await this.ledger.recordsAt(
      sql,
      microgridId,
      rows.map(({ sequence }) => sequence),
    );
    return records.flatMap(({ transfers }) => transfers);
  }
}

const NOTHING_BOOKED: TrueUps = { drafts: [], batteries: [] };

function isBefore(a: Instant, b: Instant): boolean {
  return parseInstant(a) < parseInstant(b);
}

/** @param sequences of their records, in their order */
async function saveTrueUps(
  sql: Sql,
  microgridId: string,
  drafts: readonly RecordDraft[],
  sequences: readonly number[],
): Promise<void> {
  const all = drafts.map(({ facts }) => facts as TrueUpFacts);
  const [first] = all;
  if (!first) return;
  const energy = (of: (energy: TrueUpFacts['energy']) => number) =>
    all.map((one) => of(one.energy));
  const money = (of: (money: TrueUpFacts['money']) => number) => all.map((one) => of(one.money));
  await sql.query(store.INSERT_TRUE_UPS, [
    microgridId,
    first.border,
    first.revision,
    first.currentSlot,
    first.tariff.retailMicroPerKwh,
    first.tariff.feedInMicroPerKwh,
    sequences,
    all.map(({ household }) => household),
    energy(({ importWh }) => importWh),
    energy(({ exportWh }) => exportWh),
    energy(({ generatedWh }) => generatedWh),
    energy(({ chargedWh }) => chargedWh),
    energy(({ dischargedWh }) => dischargedWh),
    energy(({ consumptionWh }) => consumptionWh),
    energy(({ unexplainedWh }) => unexplainedWh),
    money(({ importMicro }) => importMicro),
    money(({ exportMicro }) => exportMicro),
    money(({ netMicro }) => netMicro),
  ]);
}
