import type { RecordBody } from '../ledger/record.js';
import { isMadeAtClose } from '../settlement/close-slot.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { Row } from './finding.js';
import type { Members } from './members.js';

/** What has become of each slot so far, and the rows that say so. */

export interface SlotState {
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
  /** Households that took part and were erased. */
  erased: string[];
}

/** Reads earlier records of the microgrid; corrections need those of their slot. */
export type ReadRecords = (spans: readonly [number, number][]) => Promise<RecordBody[]>;

export class SlotStates {
  private readonly states = new Map<Instant, SlotState>();
  /** The records that made trades for a slot before it, which may have no other trace yet. */
  private readonly trading = new Map<Instant, number[]>();

  constructor(private readonly members: Members) {}

  /** The state of a slot, which begins with the first record that tells of it. */
  of(slot: Instant): SlotState {
    let state = this.states.get(slot);
    if (!state) {
      state = {
        slotEnd: this.endOf(slot),
        status: 'gate-closed',
        clearingPrice: null,
        tradedWh: 0,
        gateSequence: null,
        closedSequence: null,
        correctionSequences: [],
        revision: 0,
        spans: [],
        erased: [],
      };
      this.states.set(slot, state);
    }
    return state;
  }

  /** @throws Error unless the slot has been closed */
  closed(slot: Instant): SlotState {
    const state = this.states.get(slot);
    if (state?.status !== 'closed') throw new Error(`${slot} is no closed slot`);
    return state;
  }

  /** Records of a slot; none where it has not been closed. */
  spansOf(slot: Instant): readonly [number, number][] {
    const state = this.states.get(slot);
    return state?.status === 'closed' ? state.spans : [];
  }

  /** In which revision a slot counts now; −1 for one that has not been closed. */
  revisionOf(startMillis: number): number {
    const state = this.states.get(formatInstant(startMillis));
    return state?.status === 'closed' ? state.revision : -1;
  }

  /** In which revision a slot counted when a record was made; −1 where it had not been closed. */
  revisionThen(startMillis: number, sequence: number): number {
    const state = this.states.get(formatInstant(startMillis));
    if (state?.status !== 'closed' || state.closedSequence! > sequence) return -1;
    return state.correctionSequences.filter((one) => one < sequence).length;
  }

  endOf(slot: Instant): Instant {
    const slotMinutes = this.members.microgrid?.slotMinutes ?? 15;
    return formatInstant(parseInstant(slot) + slotMinutes * 60_000);
  }

  /** Takes note of a record in which orders met. */
  trade({ facts, sequence }: RecordBody): void {
    const { trades } = facts;
    if (!Array.isArray(trades) || trades.length === 0) return;
    const slot = String(facts['slot']);
    this.trading.set(slot, [...this.tradingIn(slot), sequence]);
  }

  tradingIn(slot: Instant): readonly number[] {
    return this.trading.get(slot) ?? [];
  }

  closeGate(body: RecordBody): void {
    const { facts, sequence } = body;
    this.trade(body);
    const state = this.of(String(facts['slot']));
    state.gateSequence = sequence;
    state.clearingPrice = (facts['clearingPriceMicroPerKwh'] ?? null) as number | null;
    state.tradedWh = Number(facts['tradedWh']);
  }

  /** Takes note of a slot that was set aside. */
  note({ kind, facts }: RecordBody): void {
    if (kind !== 'operator-action' || facts['action'] !== 'slot-quarantined') return;
    const state = this.of(String(facts['slot']));
    if (state.status !== 'closed') state.status = 'quarantined';
  }

  /** The end of the last slot that was closed. */
  get closedThrough(): Instant | null {
    const closed = [...this.states.values()].filter(({ status }) => status === 'closed');
    return closed.reduce<Instant | null>(
      (last, { slotEnd }) =>
        last === null || parseInstant(slotEnd) > parseInstant(last) ? slotEnd : last,
      null,
    );
  }

  get closedCount(): number {
    return [...this.states.values()].filter(({ status }) => status === 'closed').length;
  }

  /** Closed slots that are told without a household that was erased. */
  get inPartCount(): number {
    return [...this.states.values()].filter(({ erased }) => erased.length > 0).length;
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

  /** Revisions of trades: of every closed slot where they are made at close, else of every gate. */
  tradedSlotRows(): Row[] {
    const { microgrid } = this.members;
    if (microgrid && isMadeAtClose(microgrid)) {
      return [...this.states].flatMap(([slot, { status, revision }]) =>
        status === 'closed' ? [{ slot_start: slot, revision, gate_sequence: null }] : [],
      );
    }
    const gated = [...this.states].filter(([, { gateSequence }]) => gateSequence !== null);
    const slots = new Set([...gated.map(([slot]) => slot), ...this.trading.keys()]);
    return [...slots].map((slot) => ({
      slot_start: slot,
      revision: 0,
      gate_sequence: this.states.get(slot)?.gateSequence ?? null,
    }));
  }
}
