import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MarketService } from '../market/market.service.js';
import type { Period } from '../parties/access.js';
import type { Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import type { Instant } from '../units/slot.js';
import { isMadeAtClose } from './close-slot.js';
import * as store from './settlement.store.js';
import { SlotClosingService } from './slot-closing.service.js';
import {
  settledHousehold,
  termsOfManifest,
  type HouseholdFacts,
  type ManifestFacts,
} from './slot-facts.js';
import { explainClose, explainOrders, type ExplainedSlot } from './slot-fairness.js';

/** A slot whose orders have met, and the records that say so. */
export interface ClearedSlot {
  readonly slot: Instant;
  readonly slotEnd: Instant;
  readonly revision: number;
  readonly gateSequence: number | null;
  readonly closedSequence: number | null;
  /** A household that was a member in it has been erased. */
  readonly isErasedInPart: boolean;
}

/** `erased_in_part`: orders of a household that has gone are no longer known. */
export type FairnessOutcome =
  | { readonly outcome: 'explained'; readonly slot: ExplainedSlot }
  | { readonly outcome: 'not_cleared_yet' | 'erased_in_part' };

/** One explanation for all who ask at the same time. */
interface Kept {
  readonly restsOn: string;
  readonly told: Promise<FairnessOutcome>;
  /** Counted once it is there. */
  orders: number;
}

/** Orders that are kept at most in slots explained before. */
const KEPT_ORDERS = 100_000;

/**
 * Explains slots from the journal whenever somebody asks, in a handful of statements. What was told
 * last is kept in memory and told again while the slot's records are the same; nothing is stored.
 */
@Injectable()
export class FairnessService {
  private readonly kept = new Map<string, Kept>();
  private keptOrders = 0;

  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly ledger: LedgerService,
    private readonly market: MarketService,
    private readonly closing: SlotClosingService,
  ) {}

  async explain(microgrid: Microgrid, slotStart: Instant): Promise<FairnessOutcome> {
    const [cleared] = await this.database.query<ClearedSlot>(store.CLEARED, [
      microgrid.microgridId,
      slotStart,
    ]);
    return cleared ? this.explainCleared(microgrid, cleared) : { outcome: 'not_cleared_yet' };
  }

  /** Slots that can be explained, newest first; one more than the limit if there are more. */
  async clearedSlots(
    microgridId: string,
    { from, until }: Period,
    page: { readonly after: Instant | null; readonly limit: number },
  ): Promise<ClearedSlot[]> {
    return this.database.query<ClearedSlot>(store.CLEARED_SLOTS, [
      microgridId,
      from,
      until,
      page.after,
      page.limit + 1,
    ]);
  }

  /** The newest slot that can be explained, and which records that rests on; null where none can. */
  async latest(microgridId: string): Promise<{ slot: ExplainedSlot; restsOn: string } | null> {
    const [cleared] = await this.database.query<ClearedSlot>(store.CLEARED_SLOTS, [
      microgridId,
      null,
      null,
      null,
      1,
    ]);
    const microgrid = cleared && (await this.parties.microgrid(this.database, microgridId));
    if (!cleared || !microgrid) return null;
    const told = await this.explainCleared(microgrid, cleared);
    if (told.outcome !== 'explained') return null;
    return { slot: told.slot, restsOn: `${cleared.slot} ${restsOn(cleared)}` };
  }

  explainCleared(microgrid: Microgrid, cleared: ClearedSlot): Promise<FairnessOutcome> {
    const place = `${microgrid.microgridId} ${cleared.slot}`;
    const known = this.kept.get(place);
    if (known?.restsOn === restsOn(cleared)) return known.told;
    this.forget(place);
    const kept: Kept = {
      restsOn: restsOn(cleared),
      told: this.tell(microgrid, cleared),
      orders: 0,
    };
    this.kept.set(place, kept);
    kept.told.then(
      (told) => this.count(place, kept, told),
      () => {
        if (this.kept.get(place) === kept) this.forget(place);
      },
    );
    return kept.told;
  }

  private async tell(microgrid: Microgrid, cleared: ClearedSlot): Promise<FairnessOutcome> {
    if (cleared.isErasedInPart) return { outcome: 'erased_in_part' };
    return isMadeAtClose(microgrid)
      ? this.ofClose(microgrid, cleared)
      : this.ofGate(microgrid, cleared);
  }

  /** Orders that met ahead, and the trades that came of them. */
  private async ofGate(
    microgrid: Microgrid,
    { slot, revision, gateSequence }: ClearedSlot,
  ): Promise<FairnessOutcome> {
    const { microgridId } = microgrid;
    const [terms, orders, trades, [gate]] = await Promise.all([
      this.closing.termsOf(this.database, microgrid, slot),
      this.market.ordersOf(this.database, microgridId, slot),
      this.market.tradesOf(this.database, microgridId, slot),
      this.ledger.recordsAt(this.database, microgridId, [gateSequence ?? 0]),
    ]);
    const book = explainOrders(terms, orders, trades);
    const { timeZone } = microgrid;
    const at = gate?.at ?? terms.slotEnd;
    return explained({ terms, basis: 'gate', revision, at, timeZone, book });
  }

  /** Standing orders with the energy that was metered, as last corrected. */
  private async ofClose(
    microgrid: Microgrid,
    { slot, revision, closedSequence }: ClearedSlot,
  ): Promise<FairnessOutcome> {
    const { microgridId } = microgrid;
    const rows = await this.database.query<{ sequence: number }>(store.SETTLEMENTS_OF_SLOT, [
      microgridId,
      slot,
    ]);
    const [now, [closed], records, trades] = await Promise.all([
      this.closing.termsOf(this.database, microgrid, slot),
      this.ledger.recordsAt(this.database, microgridId, [closedSequence!]),
      this.ledger.recordsAt(
        this.database,
        microgridId,
        rows.map(({ sequence }) => sequence),
      ),
      this.market.tradesOf(this.database, microgridId, slot),
    ]);
    const manifest = closed?.facts as ManifestFacts | undefined;
    if (!manifest) throw new Error(`slot ${slot} of ${microgridId} has no manifest`);
    const households = records
      .map(({ facts }) =>
        settledHousehold(facts as HouseholdFacts, (facts as HouseholdFacts).energy),
      )
      .sort((a, b) => (a.householdId < b.householdId ? -1 : 1));
    const [first] = records;
    const tariff = first ? (first.facts as HouseholdFacts).tariff : now.tariff;
    const terms = { ...termsOfManifest(now, manifest), tariff };
    const book = explainClose(terms, households, trades);
    const { timeZone } = microgrid;
    return explained({ terms, basis: 'close', revision, at: terms.slotEnd, timeZone, book });
  }

  /** Makes room for what has just been told; what was told longest ago goes first. */
  private count(place: string, kept: Kept, told: FairnessOutcome): void {
    if (this.kept.get(place) !== kept) return;
    kept.orders = 1 + (told.outcome === 'explained' ? told.slot.book.orders.length : 0);
    this.keptOrders += kept.orders;
    for (const oldest of this.kept.keys()) {
      if (this.keptOrders <= KEPT_ORDERS) break;
      this.forget(oldest);
    }
  }

  private forget(place: string): void {
    this.keptOrders -= this.kept.get(place)?.orders ?? 0;
    this.kept.delete(place);
  }
}

/** What is told of a slot changes with its records alone. */
function restsOn(cleared: ClearedSlot): string {
  const { gateSequence, closedSequence, revision, isErasedInPart } = cleared;
  return `${gateSequence} ${closedSequence} ${revision} ${isErasedInPart}`;
}

function explained(slot: ExplainedSlot): FairnessOutcome {
  return { outcome: 'explained', slot };
}
