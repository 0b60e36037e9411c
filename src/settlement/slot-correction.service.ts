import { Injectable, Logger } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MarketService } from '../market/market.service.js';
import { measureAll } from '../metering/measurement.js';
import { MeteringService } from '../metering/metering.service.js';
import type { Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import { closeSlot, isMadeAtClose, type SlotTerms } from './close-slot.js';
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
} from './slot-closing.service.js';

/**
 * Puts right what late readings changed in closed slots: the slot is settled again under the rules
 * that held in it, and the differences are posted as correcting records.
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
      await this.correct(microgrid, next, at).catch((error: unknown) => {
        if (isPassing(error)) throw error;
        this.log.error(`Slot ${next} of ${microgridId} cannot be corrected: ${String(error)}`);
      });
    }
  }

  private async correct(microgrid: Microgrid, slotStart: Instant, at: Instant): Promise<void> {
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
      const { drafts, changed, batteries } = correctSlot({
        slot,
        revision,
        at,
        registers,
        before,
        posted: await this.postedBy(sql, microgridId, slotStart),
        lotsNow: await this.closing.lots(sql, microgridId),
        supplyBefore: await this.closing.supply(sql, microgridId),
      });
      if (changed.length === 0) return;
      const sequences = await this.ledger.append(sql, microgridId, drafts);
      const closingSequence = sequences.at(-1)!;
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
      await sql.query(store.SLOT_CORRECTED, [
        microgridId,
        slotStart,
        revision,
        slot.tradedWh,
        closingSequence,
      ]);
    });
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
