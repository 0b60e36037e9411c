import { SYSTEM, TOKENS, walletOf } from '../ledger/accounts.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import { measure, type MeterSlot } from '../metering/measurement.js';
import type { Lot } from '../settlement/claims.js';
import { closeSlot, type SlotTerms } from '../settlement/close-slot.js';
import { correctSlot, type SettledBefore } from '../settlement/correct-slot.js';
import {
  settledHousehold,
  type HouseholdFacts,
  type ManifestFacts,
  type RegisterFacts,
} from '../settlement/slot-facts.js';
import { slotRecords, type Supply } from '../settlement/slot-records.js';
import { canonicalJson, type Json } from '../units/canonical-json.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Books } from './books.js';
import type { Findings, Row } from './finding.js';
import type { Members } from './members.js';
import type { OrderBook } from './order-book.js';

/**
 * Every slot settled again: from the registers in its records, the limits, tariffs, wallets, trades
 * and lots known from before, `closeSlot` has to give the very records that stand in the journal.
 */

interface SlotState {
  slotEnd: Instant;
  status: 'gate-closed' | 'closed' | 'quarantined';
  clearingPrice: number | null;
  tradedWh: number;
  gateSequence: number | null;
  closedSequence: number | null;
  correctionSequences: number[];
  revision: number;
  /** Records of the slot, first and last, for its close and for each correction. */
  spans: [number, number][];
}

/** Reads earlier records of the microgrid; corrections need those of their slot. */
export type ReadRecords = (spans: readonly [number, number][]) => Promise<RecordBody[]>;

export class Slots {
  private readonly states = new Map<Instant, SlotState>();
  private readonly lots = new Map<string, Lot[]>();
  /** Records of the slot or correction under way. */
  private open: RecordBody[] = [];

  constructor(
    private readonly members: Members,
    private readonly orders: OrderBook,
    private readonly books: Books,
    private readonly readRecords: ReadRecords,
  ) {}

  /**
   * Takes in a record of a slot. With the last one of a close or a correction it returns what all
   * its records should have been; the records themselves are then posted one by one.
   */
  async take(body: RecordBody, findings: Findings): Promise<Expectation | null> {
    if (body.kind === 'operator-action' && body.facts['action'] === 'slot-quarantined') {
      const slot = String(body.facts['slot']);
      this.state(slot).status = 'quarantined';
      return null;
    }
    if (body.kind === 'gate') {
      this.closeGate(body);
      return null;
    }
    const isSlotRecord = ['household-slot', 'trade', 'slot-closed', 'correction'].includes(
      body.kind,
    );
    if (!isSlotRecord) return null;
    this.open.push(body);
    if (body.kind === 'slot-closed') return this.closed(findings);
    if (body.kind === 'correction' && !('household' in body.facts)) return this.corrected(findings);
    return null;
  }

  /** Whether records of a slot are waiting for its last one. */
  get pending(): boolean {
    return this.open.length > 0;
  }

  slotRows(): Row[] {
    return [...this.states].map(([slot, state]) => ({
      slot_start: slot,
      slot_end: state.slotEnd,
      status: state.status,
      clearing_price_micro_per_kwh: state.clearingPrice,
      traded_wh: state.tradedWh,
      gate_sequence: state.gateSequence,
      closed_sequence: state.closedSequence,
      correction_sequences: state.correctionSequences,
      revision: state.revision,
    }));
  }

  /** Revisions of trades: under `metered` every closed slot, else every gate that was cleared. */
  tradedSlotRows(tradedUnderMetered: ReadonlySet<Instant>): Row[] {
    return [...this.states]
      .filter(([slot, { gateSequence }]) => gateSequence !== null || tradedUnderMetered.has(slot))
      .map(([slot, { gateSequence, revision }]) => ({
        slot_start: slot,
        revision: gateSequence === null ? revision : 0,
        gate_sequence: gateSequence,
      }));
  }

  closedSlots(): Instant[] {
    return [...this.states].filter(([, { status }]) => status === 'closed').map(([slot]) => slot);
  }

  lotRows(): Row[] {
    return [...this.lots].flatMap(([household, lots]) =>
      lots.map((lot) => ({
        household_id: household,
        charged_in: lot.chargedIn,
        source: lot.source,
        remaining_wh: lot.energyWh,
      })),
    );
  }

  private closeGate({ facts, sequence }: RecordBody): void {
    const state = this.state(String(facts['slot']));
    state.gateSequence = sequence;
    state.clearingPrice = (facts['clearingPriceMicroPerKwh'] ?? null) as number | null;
    state.tradedWh = Number(facts['tradedWh']);
  }

  private closed(findings: Findings): Expectation {
    const bodies = this.takeOpen();
    const manifest = bodies.at(-1)!;
    const facts = manifest.facts as ManifestFacts;
    const households = bodies.filter(({ kind }) => kind === 'household-slot').map(factsOf);
    const terms = this.termsOf(manifest.microgrid, facts);
    const registers = new Map(households.map((one) => [one.household, meterSlots(one)]));
    this.assertInputs(bodies, findings, terms);
    const slot = closeSlot({
      terms,
      households: households.map((one) => settledHousehold(one, this.energyOf(one))),
      trades: terms.mechanism === 'metered' ? [] : this.orders.tradesOf(facts.slot),
    });
    for (const { input, uses } of slot.households) {
      if (input.lots.length > 0 || uses.lotsAfter.length > 0) {
        this.lots.set(input.householdId, uses.lotsAfter);
      }
    }
    const state = this.state(facts.slot);
    state.slotEnd = facts.slotEnd;
    state.status = 'closed';
    state.clearingPrice = slot.clearingPriceMicroPerKwh ?? state.clearingPrice;
    state.tradedWh = slot.tradedWh;
    state.closedSequence = manifest.sequence;
    state.spans = [[bodies[0]!.sequence, manifest.sequence]];
    return { bodies, drafts: slotRecords(slot, registers, this.supply()) };
  }

  private async corrected(findings: Findings): Promise<Expectation> {
    const bodies = this.takeOpen();
    const closing = bodies.at(-1)!;
    const slotStart = String(closing.facts['slot']);
    const state = this.states.get(slotStart);
    if (!state) {
      findings.add('record_body', closing.sequence, 'slot', 'a closed slot', slotStart);
      return { bodies, drafts: [] };
    }
    const earlier = await this.readRecords(state.spans);
    const before = new Map<string, HouseholdFacts>();
    for (const body of earlier) {
      if ('household' in body.facts) before.set(factsOf(body).household, factsOf(body));
    }
    const manifest = earlier.find(({ kind }) => kind === 'slot-closed')!.facts as ManifestFacts;
    const changedFacts = bodies.slice(0, -1).map(factsOf);
    for (const body of bodies.slice(0, -1)) this.assertEnergy(body, findings);
    const now = new Map([...before, ...changedFacts.map((one) => [one.household, one] as const)]);
    const [first] = before.values();
    const slot = closeSlot({
      terms: { ...this.termsOf(closing.microgrid, manifest), tariff: first!.tariff },
      households: [...now.values()]
        .sort((a, b) => (a.household < b.household ? -1 : 1))
        .map((one) => settledHousehold(before.get(one.household) ?? one, this.energyOf(one))),
      trades: manifest.mechanism === 'metered' ? [] : this.orders.tradesOf(slotStart),
    });
    const correction = correctSlot({
      slot,
      revision: state.revision + 1,
      at: closing.at,
      registers: new Map([...now].map(([id, one]) => [id, meterSlots(one)])),
      before: new Map(
        [...before].map(([id, facts]): [string, SettledBefore] => [
          id,
          { facts, settlement: facts.settlement, lotsAfter: facts.battery.after },
        ]),
      ),
      posted: earlier.flatMap(({ transfers }) => transfers),
      lotsNow: this.lots,
      supplyBefore: this.supply(),
    });
    for (const { householdId, lots } of correction.batteries) this.lots.set(householdId, lots);
    state.revision += 1;
    state.tradedWh = slot.tradedWh;
    state.correctionSequences.push(closing.sequence);
    state.spans.push([bodies[0]!.sequence, closing.sequence]);
    return { bodies, drafts: correction.drafts };
  }

  /** What the facts take for given must be what was known before the slot closed. */
  private assertInputs(bodies: readonly RecordBody[], findings: Findings, terms: SlotTerms): void {
    const { members } = this;
    const manifest = bodies.at(-1)!;
    const same = (body: RecordBody, field: string, expected: Json, found: Json) =>
      findings.same(
        'record_body',
        body.sequence,
        field,
        canonicalJson(expected),
        canonicalJson(found),
      );
    const ofHouseholds = bodies.filter(({ kind }) => kind === 'household-slot');
    same(
      manifest,
      'households of the slot',
      members.activeIn(terms.slot),
      ofHouseholds.map((body) => factsOf(body).household),
    );
    const { microgrid } = members;
    same(
      manifest,
      'mechanism, pricing and k',
      [microgrid!.mechanism, microgrid!.pricing, microgrid!.priceKThousandths],
      [terms.mechanism, terms.pricing, terms.kThousandths],
    );
    for (const body of ofHouseholds) {
      const facts = factsOf(body);
      const id = facts.household;
      same(body, 'tariff', { ...terms.tariff }, facts.tariff);
      same(body, 'limits', members.limitsIn(id, terms.slot), facts.limits);
      same(
        body,
        'availableMicro',
        this.books.available(walletOf(id), members.creditLimitOf(id)),
        facts.availableMicro,
      );
      same(body, 'battery.usableWh', members.usableWhOf(id, terms.slot), facts.battery.usableWh);
      same(body, 'battery.before', this.lots.get(id) ?? [], facts.battery.before);
      this.assertEnergy(body, findings);
    }
  }

  /** The energy follows from the registers, and every register has the role its meter has. */
  private assertEnergy(body: RecordBody, findings: Findings): void {
    const facts = factsOf(body);
    const energy = this.energyOf(facts);
    findings.same(
      'record_body',
      body.sequence,
      'energy',
      canonicalJson({ ...energy }),
      canonicalJson({ ...facts.energy }),
    );
    for (const { meter, role } of facts.registers) {
      findings.same(
        'record_body',
        body.sequence,
        `role of ${meter}`,
        this.members.roleOf(meter),
        role,
      );
    }
  }

  private energyOf(facts: HouseholdFacts): HouseholdFacts['energy'] {
    const tolerance = this.members.microgrid?.unexplainedToleranceWh ?? 0;
    const measured = measure(facts.household, meterSlots(facts), tolerance);
    return settledHousehold(facts, measured).energy;
  }

  private termsOf(microgridId: string, facts: ManifestFacts): SlotTerms {
    return {
      microgridId,
      slot: facts.slot,
      slotEnd: facts.slotEnd,
      currency: this.members.microgrid?.currency ?? '',
      mechanism: facts.mechanism,
      pricing: facts.pricing,
      kThousandths: facts.kThousandths,
      tariff: this.members.tariffAt(facts.slot),
    };
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

  private state(slot: Instant): SlotState {
    let state = this.states.get(slot);
    if (!state) {
      const slotMinutes = this.members.microgrid?.slotMinutes ?? 15;
      state = {
        slotEnd: formatInstant(parseInstant(slot) + slotMinutes * 60_000),
        status: 'gate-closed',
        clearingPrice: null,
        tradedWh: 0,
        gateSequence: null,
        closedSequence: null,
        correctionSequences: [],
        revision: 0,
        spans: [],
      };
      this.states.set(slot, state);
    }
    return state;
  }

  private takeOpen(): RecordBody[] {
    const bodies = this.open;
    this.open = [];
    return bodies;
  }
}

/** Records as they stand, and what they should have been. */
export interface Expectation {
  bodies: RecordBody[];
  drafts: RecordDraft[];
}

function factsOf(body: RecordBody): HouseholdFacts {
  return body.facts as HouseholdFacts;
}

/** The registers of a record as metering gave them. */
export function meterSlots({ household, registers }: HouseholdFacts): MeterSlot[] {
  return registers.map((one) => ({
    meterId: one.meter,
    householdId: household,
    role: one.role,
    register: one.register,
    start: border(one.startWh, one.startQuality, one.startReadings),
    end: border(one.endWh, one.endQuality, one.endReadings),
  }));
}

function border(
  valueWh: number | null,
  quality: RegisterFacts['startQuality'],
  readingHashes: string[],
): MeterSlot['start'] {
  return valueWh === null || quality === null ? null : { valueWh, quality, readingHashes };
}
