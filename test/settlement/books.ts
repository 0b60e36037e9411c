import { isOutOfCirculation, SYSTEM, type Token } from '../../src/ledger/accounts.js';
import type { RecordDraft } from '../../src/ledger/record.js';
import { MemoryBooks } from '../ledger/memory-books.js';

/** Books in memory: what the ledger does to balances, without a database. */
export class Books {
  private readonly books: MemoryBooks;

  constructor(microgridId: string) {
    this.books = new MemoryBooks(microgridId);
  }

  /** @throws Error when one of them is refused */
  post(drafts: readonly RecordDraft[]): void {
    this.books.submit(drafts).forEach(({ status, line }, index) => {
      if (status === 'created') return;
      throw new Error(`${drafts[index]!.cause}, line ${line}: ${status}`);
    });
  }

  balance(account: string): number {
    const one = this.books.account(account);
    return one ? one.creditsPosted - one.debitsPosted : 0;
  }

  heldOf(account: string): number {
    return this.books.account(account)?.debitsPending ?? 0;
  }

  /** What is left to spend of an account that may owe nothing. */
  available(account: string): number {
    return this.balance(account) - this.heldOf(account);
  }

  /** Over all accounts, by asset: zero in true books. */
  sums(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { account, asset } of this.books.accounts()) {
      sums[asset] = (sums[asset] ?? 0) + this.balance(account);
    }
    return sums;
  }

  /** Tokens that households hold, counted on their own accounts. */
  inHouseholds(token: Token): number {
    let sum = 0;
    for (const { account, asset } of this.books.accounts()) {
      if (account.startsWith('household/') && asset === token) sum += this.balance(account);
    }
    return sum;
  }

  /** The same, counted from the other side: issued less what left circulation. */
  circulating(token: Token): number {
    let sum = 0 - this.balance(SYSTEM.issued(token));
    for (const { account, asset } of this.books.accounts()) {
      if (isOutOfCirculation(account) && asset === token) sum -= this.balance(account);
    }
    return sum;
  }
}
