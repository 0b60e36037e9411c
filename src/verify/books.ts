import type { AccountTerms } from '../ledger/accounts.js';
import { expiryOf, movesTime } from '../ledger/books.js';
import type { ErasedBalance } from '../ledger/erasure.js';
import type { RecordBody, RecordDraft, StoredTransfer } from '../ledger/record.js';
import { formatInstant, parseInstant } from '../units/slot.js';
import type { Findings, Row } from './finding.js';

/**
 * The accounts, kept again from the journal one transfer at a time: slow, plain, and independent of
 * the set-based posting it checks.
 */

interface Account {
  asset: string;
  debitsPending: number;
  creditsPending: number;
  debitsPosted: number;
  creditsPosted: number;
  terms: AccountTerms | null;
  version: number;
}

interface OpenHold {
  transfer: StoredTransfer;
  /** Epoch milliseconds; null where it holds until it is resolved. */
  expiresAtMillis: number | null;
}

type Fault = (field: string, expected: unknown, found: unknown) => void;

export class Books {
  private readonly accounts = new Map<string, Account>();
  private readonly holds = new Map<string, OpenHold>();
  private readonly timed = new Set<string>();
  private readonly numbers = new Map<string, number>();
  private counting = false;

  /** @param termsOf what an account must open with, null for one without a limit */
  constructor(private readonly termsOf: (account: string) => AccountTerms | null) {}

  /** Posts a record's transfers in their order, and says which rule of the books one breaks. */
  post(body: RecordBody, findings: Findings): void {
    const opens = new Map(body.opens.map((terms) => [terms.account, terms]));
    this.assertTerms(body, opens, findings);
    this.assertExpiries(body, findings);
    for (const transfer of body.transfers) {
      const fault: Fault = (field, expected, found) =>
        findings.add('transfer', `${body.sequence} ${transfer.id}`, field, expected, found);
      const debit = this.account(transfer.debit, transfer.asset, opens);
      const credit = this.account(transfer.credit, transfer.asset, opens);
      if (debit.asset !== transfer.asset) fault('asset', debit.asset, transfer.asset);
      if (credit.asset !== transfer.asset) fault('asset', credit.asset, transfer.asset);
      if (transfer.amount < 0) fault('amount', 'no less than 0', transfer.amount);
      if (transfer.balancing) assertBalancing(transfer, debit, credit, fault);
      this.move(transfer, body, debit, credit, fault);
      // Lines of one cause may cross in records that were written before each line was judged.
      if (body.v !== 1) this.assertLimits(body.sequence, transfer, findings);
    }
    for (const account of opens.keys()) {
      findings.add('record_body', body.sequence, 'opens', 'an account it touches first', account);
    }
    if (body.v === 1) {
      for (const transfer of body.transfers) this.assertLimits(body.sequence, transfer, findings);
    }
    this.assertCounts(body, findings);
  }

  /** The record that ends this hold when its time is over, or null where it is not open or timed. */
  expiry(holdId: string): RecordDraft | null {
    const hold = this.holds.get(holdId);
    if (!hold || hold.expiresAtMillis === null) return null;
    const expiresAt = formatInstant(hold.expiresAtMillis);
    return expiryOf({ ...hold.transfer, expiresAt, resolved: null });
  }

  /** Credits and credit limit less debits and holds; `creditLimit` where it was never opened. */
  available(account: string, creditLimit: number): number {
    const one = this.accounts.get(account);
    if (!one) return creditLimit;
    const limit = one.terms?.creditLimit ?? 0;
    return one.creditsPosted + limit - one.debitsPosted - one.debitsPending;
  }

  /** Posted debits less posted credits. */
  drawn(account: string): number {
    const one = this.accounts.get(account);
    return one ? one.debitsPosted - one.creditsPosted : 0;
  }

  /** Says of an erased record what it must have said of accounts and households. */
  complete(body: RecordBody): void {
    const accounts = new Set(body.transfers.flatMap(({ debit, credit }) => [debit, credit]));
    body.opens = [...accounts]
      .filter((account) => !this.accounts.has(account))
      .flatMap((account) => this.termsOf(account) ?? []);
    if (!this.counting) return;
    const next = (count = 0) => count + 1;
    body.v = 2;
    body.versions = Object.fromEntries(
      [...accounts].map((one) => [one, next(this.accounts.get(one)?.version)]),
    );
    body.numbers = Object.fromEntries(
      body.households.map((one) => [one, next(this.numbers.get(one))]),
    );
  }

  /** The accounts whose ids begin so, with their sides, sorted. */
  balancesOf(prefix: string): ErasedBalance[] {
    return [...this.accounts]
      .filter(([account]) => account.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([account, sides]) => ({
        account,
        asset: sides.asset,
        debitsPending: sides.debitsPending,
        creditsPending: sides.creditsPending,
        debitsPosted: sides.debitsPosted,
        creditsPosted: sides.creditsPosted,
      }));
  }

  /** The account table as it should be. */
  rows(): Row[] {
    return [...this.accounts].map(([id, account]) => ({
      account_id: id,
      asset: account.asset,
      debits_pending: account.debitsPending,
      credits_pending: account.creditsPending,
      debits_posted: account.debitsPosted,
      credits_posted: account.creditsPosted,
      limited: account.terms?.limited ?? false,
      credit_limit: account.terms?.creditLimit ?? 0,
      debit_limit: account.terms?.debitLimit ?? null,
      version: account.version,
    }));
  }

  /** Every asset sums to zero over all accounts. */
  assertBalanced(findings: Findings): void {
    const sums = new Map<string, number>();
    for (const { asset, debitsPosted, creditsPosted } of this.accounts.values()) {
      sums.set(asset, (sums.get(asset) ?? 0) + creditsPosted - debitsPosted);
    }
    for (const [asset, sum] of sums) findings.same('account', asset, 'sum', 0, sum);
  }

  private account(id: string, asset: string, opens: Map<string, AccountTerms>): Account {
    let account = this.accounts.get(id);
    if (!account) {
      account = {
        asset,
        debitsPending: 0,
        creditsPending: 0,
        debitsPosted: 0,
        creditsPosted: 0,
        terms: opens.get(id) ?? null,
        version: 0,
      };
      opens.delete(id);
      this.accounts.set(id, account);
    }
    return account;
  }

  private assertTerms(
    { sequence, transfers }: RecordBody,
    opens: ReadonlyMap<string, AccountTerms>,
    findings: Findings,
  ): void {
    for (const id of new Set(transfers.flatMap(({ debit, credit }) => [debit, credit]))) {
      if (this.accounts.has(id)) continue;
      const [expected, found] = [this.termsOf(id), opens.get(id)].map(
        (terms) => terms && `${terms.limited} ${terms.creditLimit} ${terms.debitLimit ?? 'none'}`,
      );
      findings.same('record_body', sequence, `opens ${id}`, expected, found);
    }
  }

  private move(
    transfer: StoredTransfer,
    { at }: RecordBody,
    debit: Account,
    credit: Account,
    fault: Fault,
  ): void {
    const { id, amount, state, timeoutSeconds } = transfer;
    if (state === 'pending') {
      debit.debitsPending += amount;
      credit.creditsPending += amount;
      const expiresAtMillis =
        timeoutSeconds === undefined ? null : parseInstant(at) + 1_000 * timeoutSeconds;
      this.holds.set(id, { transfer, expiresAtMillis });
      if (expiresAtMillis !== null) this.timed.add(id);
      return;
    }
    if (state !== 'posted') {
      const hold = this.holds.get(transfer.pending ?? '')?.transfer;
      this.holds.delete(transfer.pending ?? '');
      this.timed.delete(transfer.pending ?? '');
      if (!hold) fault('pending_id', 'an open hold', transfer.pending);
      else {
        debit.debitsPending -= hold.amount;
        credit.creditsPending -= hold.amount;
        if (amount > hold.amount) fault('amount', hold.amount, amount);
        if (hold.debit !== transfer.debit) fault('debit', hold.debit, transfer.debit);
        if (hold.credit !== transfer.credit) fault('credit', hold.credit, transfer.credit);
      }
    }
    debit.debitsPosted += amount;
    credit.creditsPosted += amount;
  }

  /** Whoever moves past the end of a hold's time comes after the record that ends it. */
  private assertExpiries(body: RecordBody, findings: Findings): void {
    const { kind, sequence, at } = body;
    if (kind === 'expiry' || this.timed.size === 0 || !movesTime(body)) return;
    const millis = parseInstant(at);
    for (const id of this.timed) {
      if (this.holds.get(id)!.expiresAtMillis! > millis) continue;
      findings.add('record_body', sequence, 'at', `the expiry of hold ${id} before it`, at);
    }
  }

  /** Each account and household counts its records from the first that says so, without a gap. */
  private assertCounts(body: RecordBody, findings: Findings): void {
    const { v, sequence, transfers, households, versions = {}, numbers = {} } = body;
    if (v === 1) {
      if (this.counting) findings.add('record_body', sequence, 'v', 2, v);
      return;
    }
    this.counting = true;
    const expectedVersions = new Map<string, number>();
    for (const id of new Set(transfers.flatMap(({ debit, credit }) => [debit, credit]))) {
      const account = this.accounts.get(id)!;
      account.version += 1;
      expectedVersions.set(id, account.version);
    }
    const expectedNumbers = new Map<string, number>();
    for (const household of households) {
      const number = 1 + (this.numbers.get(household) ?? 0);
      this.numbers.set(household, number);
      expectedNumbers.set(household, number);
    }
    const compare = (group: string, expected: Map<string, number>, found: object) => {
      const inRecord = new Map<string, unknown>(Object.entries(found));
      for (const name of new Set([...expected.keys(), ...inRecord.keys()])) {
        const field = `${group}.${name}`;
        findings.same('record_body', sequence, field, expected.get(name), inRecord.get(name));
      }
    };
    compare('versions', expectedVersions, versions);
    compare('numbers', expectedNumbers, numbers);
  }

  private assertLimits(sequence: number, transfer: StoredTransfer, findings: Findings): void {
    for (const id of [transfer.debit, transfer.credit]) {
      const { terms, debitsPending, debitsPosted, creditsPending, creditsPosted } =
        this.accounts.get(id)!;
      if (!terms) continue;
      const owed = debitsPending + debitsPosted - creditsPosted;
      if (terms.limited && owed > terms.creditLimit) {
        findings.add('transfer', sequence, `limit of ${id}`, terms.creditLimit, owed);
      }
      const held = creditsPending + creditsPosted - debitsPosted;
      if (terms.debitLimit !== undefined && held > terms.debitLimit) {
        findings.add('transfer', sequence, `debit limit of ${id}`, terms.debitLimit, held);
      }
    }
  }
}

/** What a balancing transfer moves is what the accounts allowed, and no more than was asked. */
function assertBalancing(
  { balancing, atMost, amount }: StoredTransfer,
  debit: Account,
  credit: Account,
  fault: Fault,
): void {
  const allowed = [atMost ?? 0];
  if (balancing !== 'credit') {
    const owed = debit.debitsPending + debit.debitsPosted - debit.creditsPosted;
    allowed.push((debit.terms?.creditLimit ?? 0) - owed);
  }
  if (balancing !== 'debit') {
    const held = credit.creditsPending + credit.creditsPosted - credit.debitsPosted;
    allowed.push((credit.terms?.debitLimit ?? 0) - held);
  }
  if (amount !== Math.min(...allowed)) fault('amount', Math.min(...allowed), amount);
}
