import { isOutOfCirculation, SYSTEM, type Token } from '../../src/ledger/accounts.js';
import { accountChanges, type Hold } from '../../src/ledger/posting.js';
import { recordBody, type RecordDraft } from '../../src/ledger/record.js';

/** Books in memory: what the ledger does to balances, without a database. */
export class Books {
  private readonly posted = new Map<string, number>();
  private readonly held = new Map<string, number>();
  private readonly assets = new Map<string, string>();
  private readonly holds = new Map<string, Hold>();
  private sequence = 0;

  constructor(private readonly microgridId: string) {}

  post(drafts: readonly RecordDraft[]): void {
    const bodies = drafts.map((draft) =>
      recordBody(this.microgridId, (this.sequence += 1), draft, []),
    );
    const transfers = bodies.flatMap((body) => body.transfers);
    for (const change of accountChanges(transfers, this.holds)) {
      const { account } = change;
      add(this.posted, account, change.creditsPosted - change.debitsPosted);
      add(this.held, account, change.debitsPending);
      this.assets.set(account, change.asset);
    }
    for (const transfer of transfers) {
      if (transfer.state === 'pending') this.holds.set(transfer.id, transfer);
      if (transfer.pending !== undefined) this.holds.delete(transfer.pending);
    }
  }

  balance(account: string): number {
    return this.posted.get(account) ?? 0;
  }

  heldOf(account: string): number {
    return this.held.get(account) ?? 0;
  }

  /** What is left to spend of an account that may owe nothing. */
  available(account: string): number {
    return this.balance(account) - this.heldOf(account);
  }

  /** Over all accounts, by asset: zero in true books. */
  sums(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const [account, balance] of this.posted) {
      const asset = this.assets.get(account)!;
      sums[asset] = (sums[asset] ?? 0) + balance;
    }
    return sums;
  }

  /** Tokens that households hold, counted on their own accounts. */
  inHouseholds(token: Token): number {
    let sum = 0;
    for (const [account, balance] of this.posted) {
      if (account.startsWith('household/') && this.assets.get(account) === token) sum += balance;
    }
    return sum;
  }

  /** The same, counted from the other side: issued less what left circulation. */
  circulating(token: Token): number {
    let sum = 0 - this.balance(SYSTEM.issued(token));
    for (const [account, balance] of this.posted) {
      if (isOutOfCirculation(account) && this.assets.get(account) === token) sum -= balance;
    }
    return sum;
  }
}

function add(sums: Map<string, number>, account: string, amount: number): void {
  sums.set(account, (sums.get(account) ?? 0) + amount);
}
