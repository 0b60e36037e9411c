import { walletOf, type AccountTerms } from '../ledger/accounts.js';
import { erasureDraft, type ErasureFacts } from '../ledger/erasure.js';
import type { RecordBody, RecordDraft } from '../ledger/record.js';
import type { StandingWish } from '../market/limits.js';
import { limitsRecord } from '../market/market-records.js';
import { fundTerms } from '../rewards/reward-records.js';
import type { JsonObject } from '../units/canonical-json.js';
import { Books } from './books.js';
import type { ErasedHouseholds } from './erased.js';
import { Exchanges } from './exchanges.js';
import type { Findings, Row } from './finding.js';
import { Members } from './members.js';
import { compareRecord, type OpenedRecord } from './opened-record.js';
import { OrderBook } from './order-book.js';
import { Programs, type ReadClaims } from './programs.js';
import type { ReadRecords } from './slot-states.js';
import { Slots } from './slots.js';
import type { TABLES_AT_END } from './tables.js';

/**
 * A microgrid told again from its records, one after another. What follows from earlier records is
 * derived from them and compared with what the record says; only then it is posted.
 */
export class History {
  readonly members = new Members();
  readonly exchanges = new Exchanges();
  readonly books = new Books((account) => this.termsOf(account));
  readonly orders: OrderBook;
  readonly slots: Slots;
  readonly programs: Programs;

  constructor(
    private readonly findings: Findings,
    programKeys: ReadonlyMap<string, Uint8Array>,
    private readonly erased: ErasedHouseholds,
    read: { records: ReadRecords; claims: ReadClaims },
  ) {
    this.orders = new OrderBook(this.members, this.books, erased, findings);
    this.slots = new Slots(this.members, this.orders, this.books, read.records, findings);
    this.programs = new Programs(programKeys, erased, read.claims, findings);
  }

  /** @throws Error where the record contradicts what stands before it so that nothing can follow */
  async apply(record: OpenedRecord): Promise<void> {
    const { body } = record;
    this.assertComplete(body);
    if (!this.orders.allows(body)) throw new Error('it stands where a match has to follow');
    if (record.erased) this.members.remember(this.erased.factsOf(record.keyHolder));
    else this.members.apply(body);
    if (!record.erased) this.exchanges.apply(body);
    if (this.slots.concern(body)) {
      await this.slots.take(record, (settled, draft) => this.settle(settled, draft));
    } else if (record.erased) {
      if (body.kind === 'award') this.programs.takeErased(body);
      this.settle(record, null);
    } else if (body.kind === 'erasure') {
      this.erased.check(body, this.books, this.findings);
      this.settle(record, erasureDraft(body.facts as ErasureFacts, body.at));
    } else if (body.kind === 'order' || body.kind === 'gate') {
      this.settle(record, this.isLimits(body) ? limitsDraft(body) : this.orders.expected(body));
      if (body.kind === 'gate') this.slots.states.closeGate(body);
      else this.slots.states.trade(body);
    } else if (body.kind === 'expiry') {
      this.settle(record, this.books.expiry(String(body.facts['hold'])));
    } else if (this.programs.concern(body)) {
      const currency = this.members.microgrid?.currency ?? '';
      this.settle(record, await this.programs.expected(body, currency));
    } else {
      this.slots.states.note(body);
      if (body.transfers.length > 0) {
        this.findings.add('record_body', body.sequence, 'transfers', 'none', body.cause);
      }
      this.post(body);
    }
  }

  /** Whether the last record may be the last: not within a slot, a run or an order's match. */
  get complete(): boolean {
    return !this.slots.pending && !this.programs.pending && this.orders.allows(null);
  }

  /** The tables that are compared whole, as they should be now. */
  rowsAtEnd(): Record<keyof typeof TABLES_AT_END, Row[]> {
    const { members, books, slots, programs } = this;
    return {
      account: books.rows(),
      microgrid: members.microgridRows(),
      household: members.householdRows(),
      gateway: members.gatewayRows(),
      meter: members.meterRows(),
      meterExchange: this.exchanges.rows(),
      meterKey: members.meterKeyRows(),
      meterProfile: members.profileRows(),
      tariff: members.tariffRows(),
      networkNode: members.networkRows(),
      standingOrder: members.standingOrderRows(),
      erasure: this.erased.rows(),
      tradedSlot: slots.states.tradedSlotRows(),
      slot: slots.states.slotRows(),
      storageLot: slots.lots.rows(),
      manifestState: slots.manifestRows(members.microgrid?.microgridId ?? ''),
      program: programs.programRows(),
      programFunding: programs.fundingRows(),
      programMember: programs.memberRows(),
      programRun: programs.runRows(),
      award: programs.awardRows(),
    };
  }

  private settle(record: OpenedRecord, draft: RecordDraft | null): void {
    const { body } = record;
    if (record.erased) this.books.complete(body);
    else if (draft) compareRecord(record, draft, this.findings);
    else {
      const { sequence, cause } = body;
      this.findings.add('record_body', sequence, 'facts', 'what earlier records allow', cause);
    }
    this.post(body);
  }

  private post(body: RecordBody): void {
    this.books.post(body, this.findings);
    this.slots.count(body);
  }

  /** The records of a slot, and those of a run, follow one another. */
  private assertComplete(body: RecordBody): void {
    if (this.slots.pending && !this.slots.concern(body)) {
      throw new Error('it stands among the records of a slot');
    }
    if (this.programs.pending && body.kind !== 'award') {
      throw new Error('it stands where an award has to follow');
    }
  }

  private isLimits({ kind, facts }: RecordBody): boolean {
    return kind === 'order' && facts['action'] === 'limits';
  }

  private termsOf(account: string): AccountTerms | null {
    const [kind, owner, purpose] = account.split('/');
    if (kind === 'program') return fundTerms(owner!);
    if (kind !== 'household' || account !== walletOf(owner!) || !purpose) return null;
    return { account, limited: true, creditLimit: this.members.creditLimitOf(owner!) };
  }
}

function limitsDraft({ facts, sequence, at }: RecordBody): RecordDraft {
  const { household, ...limits } = facts as JsonObject & {
    household: string;
    validFrom: string;
    sellAboveMicroPerKwh: number | null;
    buyBelowMicroPerKwh: number | null;
    wishes?: StandingWish[];
  };
  return limitsRecord(household, limits, sequence, at);
}
