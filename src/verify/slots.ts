import { SYSTEM, TOKENS, walletOf } from '../ledger/accounts.js';
import { causeHash, transferId, type RecordBody, type RecordDraft } from '../ledger/record.js';
import { Tally } from '../ledger/tally.js';
import { measure } from '../metering/measurement.js';
import { isMadeAtClose, type SlotTerms } from '../settlement/close-slot.js';
import { correctSlot, type SettledBefore } from '../settlement/correct-slot.js';
import {
  settledHousehold,
  termsOfManifest,
  type HouseholdFacts,
  type ManifestFacts,
} from '../settlement/slot-facts.js';
import { closeManifests, NOTHING_COUNTED } from '../settlement/manifest.js';
import { causeOf, slotRecords, type Supply } from '../settlement/slot-records.js';
import { canonicalJson, type Json } from '../units/canonical-json.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Books } from './books.js';
import { assertRegisters, meterSlots, type SettledRegisters } from './borders.js';
import type { Findings, Row } from './finding.js';
import type { Members } from './members.js';
import { clearingRules } from '../market/clearing.js';
import { sharingRules } from '../market/metered-sharing.js';
import { isSame, type OpenedRecord } from './opened-record.js';
import type { OrderBook } from './order-book.js';
import { tradesIn } from './order-facts.js';
import { BatteryLots } from './battery-lots.js';
import { asErased, closeBeside, correctionBeside, recordedTrades } from './slot-in-part.js';
import { SlotStates, type ReadRecords } from './slot-states.js';
import { TrueUpBook } from './true-up-book.js';

/**
 * Every slot settled again: from the registers in its records, the limits, tariffs, wallets, trades
 * and lots known from before, `closeSlot` has to give the very records that stand in the journal.
 */

type Settle = (record: OpenedRecord, draft: RecordDraft | null) => void;

/** A record of a slot that is so wrong that the slot cannot be settled with it. */
export class BrokenRecord extends Error {
  constructor(
    readonly sequence: number,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** What a slot's close makes, and counts itself. */
const SLOT_KINDS: readonly string[] = ['household-slot', 'trade', 'slot-closed', 'manifest'];

/** What stands by itself, between the closes. */
const CORRECTING_KINDS: readonly string[] = ['correction', 'true-up'];

export class Slots {
  readonly states: SlotStates;
  private readonly trueUps: TrueUpBook;
  readonly lots = new BatteryLots();
  /** Records of the slot or correction under way. */
  private open: OpenedRecord[] = [];
  private settled: SettledRegisters[] = [];
  private manifests = NOTHING_COUNTED;
  private between = new Tally();
  /** The manifest with which a day has to end, behind that of its last slot. */
  private awaited: RecordDraft[] = [];

  constructor(
    private readonly members: Members,
    private readonly orders: OrderBook,
    private readonly books: Books,
    private readonly readRecords: ReadRecords,
    private readonly findings: Findings,
  ) {
    this.states = new SlotStates(members);
    this.trueUps = new TrueUpBook(members, this.states, this.lots, readRecords, findings);
  }

  concern({ kind }: RecordBody): boolean {
    return SLOT_KINDS.includes(kind) || CORRECTING_KINDS.includes(kind);
  }

  /**
   * Takes in a record of a slot. With the last one of a close or a correction, `settle` is given all
   * of them in turn, each with what it should have been.
   */
  async take(record: OpenedRecord, settle: Settle): Promise<void> {
    const { kind, facts } = record.body;
    if (kind === 'manifest') return settle(record, this.awaited.shift() ?? null);
    if (this.awaited.length > 0) throw new Error('it stands where a manifest has to follow');
    if (kind === 'true-up' && this.open.length === 0)
      return settle(record, this.trueUps.next(record));
    if (this.trueUps.pending) throw new Error('it stands where a true-up has to follow');
    this.open.push(record);
    const isLast = kind === 'slot-closed' || (kind === 'correction' && !('household' in facts));
    if (!isLast || record.erased) return;
    const records = this.open.splice(0);
    const drafts = kind === 'slot-closed' ? this.closed(records) : await this.corrected(records);
    this.findings.same(
      'record_body',
      record.body.sequence,
      'number of records of the slot',
      drafts.length,
      records.length,
    );
    records.forEach((one, index) => settle(one, drafts[index] ?? null));
  }

  /** Whether records are waiting: for the last of their slot, the day's manifest, or a true-up. */
  get pending(): boolean {
    return this.open.length > 0 || this.awaited.length > 0 || this.trueUps.pending;
  }

  /** Counts a record that came between slots towards the next manifest. */
  count({ kind, transfers }: RecordBody): void {
    if (SLOT_KINDS.includes(kind)) return;
    this.between.addRecords(kind);
    for (const transfer of transfers) this.between.addTransfers(transfer);
  }

  manifestRows(microgridId: string): Row[] {
    if (this.manifests.through === 0) return [];
    return [{ microgrid_id: microgridId, state: canonicalJson(this.manifests) }];
  }

  /** Registers of the records since this was last asked. */
  takeSettled(): SettledRegisters[] {
    return this.settled.splice(0);
  }

  private closed(records: readonly OpenedRecord[]): (RecordDraft | null)[] {
    const bodies = records.filter((one) => !one.erased).map(({ body }) => body);
    const manifest = bodies.at(-1)!;
    const facts = manifest.facts as ManifestFacts;
    const erased = records.flatMap((one) => (one.erased ? [one.keyHolder] : []));
    for (const one of records) if (one.erased) this.assertRemnant(one, facts);
    const ofHouseholds = bodies.filter(({ kind }) => kind === 'household-slot');
    const households = ofHouseholds.map(factsOf);
    const terms = this.termsOf(manifest.microgrid, facts);
    for (const body of ofHouseholds) this.assertEnergy(body);
    this.assertInputs(manifest, ofHouseholds, terms, erased);
    const input = {
      terms,
      households: households.map((one) => settledHousehold(one, this.energyOf(one))),
      trades: isMadeAtClose(terms) ? [] : this.orders.tradesOf(facts.slot),
    };
    const slot = closeBeside(input, erased, recordedTrades(bodies), facts);
    const registers = new Map(households.map((one) => [one.household, meterSlots(one)]));
    const made = slotRecords(slot, registers);
    const drafts = asErased(made, records, Number(facts['readings']));
    const manifests = closeManifests({
      state: this.manifests,
      between: this.between,
      head: records[0]!.body.sequence - 1,
      slot,
      drafts,
      microgrid: this.members.microgrid!,
    });
    const [ofSlot, ...ofDay] = manifests.drafts;
    this.manifests = manifests.state;
    this.awaited = ofDay;
    this.between = new Tally();
    for (const { input, uses } of slot.households) {
      if (input.lots.length > 0 || uses.lotsAfter.length > 0) {
        this.lots.keep(input.householdId, uses.lotsAfter);
      }
    }
    this.orders.forget(facts.slot);
    const state = this.states.of(facts.slot);
    state.status = 'closed';
    state.clearingPrice = slot.clearingPriceMicroPerKwh ?? state.clearingPrice;
    state.tradedWh = slot.tradedWh;
    state.closedSequence = manifest.sequence;
    state.spans = [[records[0]!.body.sequence, manifest.sequence]];
    state.erased = erased;
    return [...drafts, ofSlot!];
  }

  private async corrected(records: readonly OpenedRecord[]): Promise<(RecordDraft | null)[]> {
    const bodies = records.filter((one) => !one.erased).map(({ body }) => body);
    const closing = bodies.at(-1)!;
    const slotStart = String(closing.facts['slot']);
    const state = this.states.closed(slotStart);
    const earlier = await this.readRecords(state.spans);
    const before = new Map<string, HouseholdFacts>();
    for (const body of earlier) {
      if ('household' in body.facts) before.set(factsOf(body).household, factsOf(body));
    }
    const manifest = earlier.find(({ kind }) => kind === 'slot-closed')!.facts as ManifestFacts;
    const changed = bodies.slice(0, -1);
    for (const body of changed) this.assertEnergy(body);
    const now = new Map([
      ...before,
      ...changed.map((body): [string, HouseholdFacts] => [factsOf(body).household, factsOf(body)]),
    ]);
    const [first] = before.values();
    const terms = this.termsOf(closing.microgrid, manifest);
    const input = {
      terms: { ...terms, tariff: first?.tariff ?? terms.tariff },
      households: [...now.values()]
        .sort((a, b) => (a.household < b.household ? -1 : 1))
        .map((one) => settledHousehold(before.get(one.household) ?? one, this.energyOf(one))),
      trades: isMadeAtClose(terms) ? [] : await this.tradesOf(slotStart),
      revision: state.revision + 1,
    };
    const slot = closeBeside(input, state.erased, recordedTrades([closing]));
    const supply = this.supply();
    const since = this.trueUps.windowOf(closing);
    const corrected = {
      slot,
      revision: state.revision + 1,
      at: closing.at,
      registers: new Map([...now].map(([id, one]) => [id, meterSlots(one)])),
      lotsNow: this.lots.now,
    };
    const correction = correctSlot({
      ...corrected,
      before: new Map(
        [...before].map(([id, facts]): [string, SettledBefore] => [
          id,
          { facts, settlement: facts.settlement, lotsAfter: facts.battery.after },
        ]),
      ),
      posted: earlier.flatMap(({ transfers }) => transfers),
      supplyBefore: supply,
      since,
    });
    for (const { householdId, lots } of correction.batteries) this.lots.keep(householdId, lots);
    state.revision += 1;
    state.tradedWh = slot.tradedWh;
    state.correctionSequences.push(closing.sequence);
    state.spans.push([records[0]!.body.sequence, closing.sequence]);
    await this.trueUps.follow(corrected, since);
    return correctionBeside(correction.drafts, records, state.erased, supply);
  }

  /** The trades of orders that met long ago, from the records that told of them. */
  private async tradesOf(slot: Instant) {
    const records = this.states.tradingIn(slot);
    const told = await this.readRecords(records.map((one): [number, number] => [one, one]));
    return told.sort((a, b) => a.sequence - b.sequence).flatMap((body) => tradesIn(body));
  }

  /** What the facts take for given must be what was known before the slot closed. */
  private assertInputs(
    manifest: RecordBody,
    ofHouseholds: readonly RecordBody[],
    terms: SlotTerms,
    erased: readonly string[],
  ): void {
    const { members } = this;
    const microgrid = members.microgrid!;
    const rules = clearingRules(microgrid, members.networkAt(terms.slot));
    this.same(
      manifest,
      'households of the slot',
      members.activeIn(terms.slot),
      [...ofHouseholds.map((body) => factsOf(body).household), ...erased].sort(),
    );
    this.same(
      manifest,
      'mechanism, rules and sharing',
      [microgrid.mechanism, { ...rules }, sharingRules(microgrid)],
      [terms.mechanism, { ...terms.rules }, terms.sharing],
    );
    for (const body of ofHouseholds) this.assertHousehold(body, terms);
  }

  /** Of an erased record of a slot, all that follows from its slot and its household. */
  private assertRemnant({ body, keyHolder, erased }: OpenedRecord, facts: ManifestFacts): void {
    const { sequence, microgrid, transfers } = body;
    const cause = causeOf.household(facts.slot, keyHolder);
    const hash = causeHash(microgrid, cause);
    this.findings.same('record_head', sequence, 'at', this.states.endOf(facts.slot), body.at);
    this.findings.same('record_head', sequence, 'cause_hash', hash, erased!.causeHash);
    transfers.forEach(({ id }, line) => {
      const expected = transferId(microgrid, cause, line);
      this.findings.same('transfer', `${sequence} ${line}`, 'transfer_id', expected, id);
    });
  }

  private assertHousehold(body: RecordBody, terms: SlotTerms): void {
    const { members } = this;
    const facts = factsOf(body);
    const id = facts.household;
    this.same(body, 'tariff', { ...terms.tariff }, facts.tariff);
    const { wishes = [], ...limits } = members.limitsIn(id, terms.slot);
    this.same(body, 'limits', limits, facts.limits);
    this.same(body, 'wishes', wishes, facts.wishes ?? []);
    const { feeder = null, shareParts = 1, shareRank = 0 } = members.household(id) ?? {};
    if (terms.rules.network !== null) this.same(body, 'feeder', feeder, facts.feeder ?? null);
    if (terms.sharing !== null) {
      this.same(body, 'share', { parts: shareParts, rank: shareRank }, { ...facts.share });
    }
    this.same(
      body,
      'availableMicro',
      this.books.available(walletOf(id), members.creditLimitOf(id)),
      facts.availableMicro,
    );
    this.same(body, 'battery.usableWh', members.usableWhOf(id, terms.slot), facts.battery.usableWh);
    this.same(body, 'battery.before', [...(this.lots.now.get(id) ?? [])], facts.battery.before);
  }

  /**
   * The energy follows from the registers, and those are of all the household's meters.
   * @throws BrokenRecord where there is no such thing in the record
   */
  private assertEnergy(body: RecordBody): void {
    try {
      const facts = factsOf(body);
      assertRegisters(facts.registers);
      this.same(body, 'energy', { ...this.energyOf(facts) }, { ...facts.energy });
      this.same(
        body,
        'registers',
        this.members.registersIn(facts.household, facts.slot),
        facts.registers.map(({ meter, role, register }) => ({ meter, role, register })),
      );
      this.noteRegisters(body);
    } catch (error) {
      throw new BrokenRecord(body.sequence, error);
    }
  }

  private same(body: RecordBody, field: string, expected: Json, found: Json): void {
    if (isSame(expected, found)) return;
    this.findings.add(
      'record_body',
      body.sequence,
      field,
      canonicalJson(expected),
      canonicalJson(found),
    );
  }

  /** With which revisions the slots counted that a border may have been carried over from. */
  private noteRegisters({ sequence, facts: all }: RecordBody): void {
    const facts = all as HouseholdFacts;
    const startMillis = parseInstant(facts.slot);
    const endMillis = parseInstant(facts.slotEnd);
    this.settled.push({
      sequence,
      facts,
      startMillis,
      endMillis,
      previousRevision: this.states.revisionOf(2 * startMillis - endMillis),
      yesterdayRevision: this.states.revisionOf(startMillis - 86_400_000),
      revisionThen: (slotStart) => this.states.revisionThen(slotStart, sequence),
    });
  }

  private energyOf(facts: HouseholdFacts): HouseholdFacts['energy'] {
    const tolerance = this.members.microgrid?.unexplainedToleranceWh ?? 0;
    const measured = measure(facts.household, meterSlots(facts), tolerance);
    return settledHousehold(facts, measured).energy;
  }

  private termsOf(microgridId: string, facts: ManifestFacts): SlotTerms {
    const microgrid = this.members.microgrid!;
    const { mechanism, currency } = microgrid;
    const network = this.members.networkAt(facts.slot);
    const now = {
      microgridId,
      slot: facts.slot,
      slotEnd: this.states.endOf(facts.slot),
      currency,
      mechanism,
      rules: clearingRules(microgrid, network),
      sharing: sharingRules(microgrid),
      tariff: this.members.tariffAt(facts.slot),
    };
    return termsOfManifest(now, facts);
  }

  private supply(): Supply {
    const inCirculation = (token: (typeof TOKENS)[number]) =>
      [SYSTEM.issued(token), SYSTEM.retired(token), SYSTEM.loss(token), SYSTEM.grid(token)].reduce(
        (sum, account) => sum + this.books.drawn(account),
        0,
      );
    return {
      PRODUCTION: inCirculation('PRODUCTION'),
      CONSUMPTION: inCirculation('CONSUMPTION'),
      STORAGE: inCirculation('STORAGE'),
    };
  }
}

function factsOf(body: RecordBody): HouseholdFacts {
  return body.facts as HouseholdFacts;
}
