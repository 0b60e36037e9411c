import type { AccountTerms } from '../ledger/accounts.js';
import type { RecordBody, StoredTransfer } from '../ledger/record.js';
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
}

export class Books {
  private readonly accounts = new Map<string, Account>();
  private readonly holds = new Map<string, StoredTransfer>();

  /** @param termsOf what an account must open with, null for one without a limit */
  constructor(private readonly termsOf: (account: string) => AccountTerms | null) {}

  /** Posts a record's transfers in their order, and says which rule of the books one breaks. */
  post(body: RecordBody, findings: Findings): void {
    const opens = new Map(body.opens.map((terms) => [terms.account, terms]));
    this.assertTerms(body, opens, findings);
    const fault = (transfer: StoredTransfer, field: string, expected: unknown, found: unknown) =>
      findings.add('transfer', `${body.sequence} ${transfer.id}`, field, expected, found);
    for (const transfer of body.transfers) {
      const debit = this.account(transfer.debit, transfer.asset, opens);
      const credit = this.account(transfer.credit, transfer.asset, opens);
      if (debit.asset !== transfer.asset) fault(transfer, 'asset', debit.asset, transfer.asset);
      if (credit.asset !== transfer.asset) fault(transfer, 'asset', credit.asset, transfer.asset);
      if (transfer.amount < 0) fault(transfer, 'amount', 'no less than 0', transfer.amount);
      if (transfer.state === 'pending') {
        debit.debitsPending += transfer.amount;
        credit.creditsPending += transfer.amount;
        this.holds.set(transfer.id, transfer);
        continue;
      }
      if (transfer.state !== 'posted') {
        const hold = this.holds.get(transfer.pending ?? '');
        this.holds.delete(transfer.pending ?? '');
        if (!hold) fault(transfer, 'pending_id', 'an open hold', transfer.pending);
        else {
          debit.debitsPending -= hold.amount;
          credit.creditsPending -= hold.amount;
          if (transfer.amount > hold.amount)
            fault(transfer, 'amount', hold.amount, transfer.amount);
          if (hold.debit !== transfer.debit) fault(transfer, 'debit', hold.debit, transfer.debit);
          if (hold.credit !== transfer.credit) {
            fault(transfer, 'credit', hold.credit, transfer.credit);
          }
        }
      }
      debit.debitsPosted += transfer.amount;
      credit.creditsPosted += transfer.amount;
    }
    for (const account of opens.keys()) {
      findings.add('record_body', body.sequence, 'opens', 'an account it touches first', account);
    }
    this.assertLimits(body, findings);
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
        (terms) => terms && `${terms.limited} ${terms.creditLimit}`,
      );
      findings.same('record_body', sequence, `opens ${id}`, expected, found);
    }
  }

  /** After the record: within it, lines of one cause may cross. */
  private assertLimits(body: RecordBody, findings: Findings): void {
    for (const id of new Set(body.transfers.flatMap(({ debit, credit }) => [debit, credit]))) {
      const { terms, debitsPending, debitsPosted, creditsPosted } = this.accounts.get(id)!;
      if (!terms?.limited) continue;
      const owed = debitsPending + debitsPosted - creditsPosted;
      if (owed > terms.creditLimit) {
        findings.add('transfer', body.sequence, `limit of ${id}`, terms.creditLimit, owed);
      }
    }
  }
}
