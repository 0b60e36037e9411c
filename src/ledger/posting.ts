import type { StoredTransfer } from './record.js';

/**
 * What a batch of transfers does to its accounts: the sums that are added to the four cumulative
 * sides, one row an account, so that posting is a fixed number of statements however many there are.
 */

export interface AccountChange {
  account: string;
  asset: string;
  debitsPending: number;
  creditsPending: number;
  debitsPosted: number;
  creditsPosted: number;
}

/** A pending transfer as far as its resolution needs it. */
export interface Hold {
  id: string;
  debit: string;
  credit: string;
  asset: string;
  amount: number;
}

/**
 * @param transfers in posting order; a resolution may name a hold of the same batch
 * @param holds the earlier, still unresolved holds that `transfers` resolve, by id
 * @returns changes sorted by account id
 * @throws Error when an amount is not positive (or that of a void not zero), when a resolution names
 *   no open hold, differs from it, or exceeds it, and when an account would hold two assets: a broken
 *   invariant of the caller, not an expected outcome
 */
export function accountChanges(
  transfers: readonly StoredTransfer[],
  holds: ReadonlyMap<string, Hold>,
): AccountChange[] {
  const changes = new Map<string, AccountChange>();
  const open = new Map(holds);
  const changeOf = (account: string, asset: string): AccountChange => {
    let change = changes.get(account);
    if (!change) {
      change = {
        account,
        asset,
        debitsPending: 0,
        creditsPending: 0,
        debitsPosted: 0,
        creditsPosted: 0,
      };
      changes.set(account, change);
    }
    if (change.asset !== asset) {
      throw new Error(`account ${account} holds ${change.asset}, not ${asset}`);
    }
    return change;
  };
  for (const transfer of transfers) {
    if (transfer.debit === transfer.credit) throw new Error(`transfer ${transfer.id} to itself`);
    if (transfer.state === 'void' ? transfer.amount !== 0 : transfer.amount <= 0) {
      throw new Error(`transfer ${transfer.id} is ${transfer.state} with ${transfer.amount}`);
    }
    const debit = changeOf(transfer.debit, transfer.asset);
    const credit = changeOf(transfer.credit, transfer.asset);
    if (transfer.state === 'pending') {
      debit.debitsPending += transfer.amount;
      credit.creditsPending += transfer.amount;
      open.set(transfer.id, transfer);
      continue;
    }
    if (transfer.state !== 'posted') {
      const hold = resolve(open, transfer);
      debit.debitsPending -= hold.amount;
      credit.creditsPending -= hold.amount;
    }
    debit.debitsPosted += transfer.amount;
    credit.creditsPosted += transfer.amount;
  }
  return [...changes.values()].sort((a, b) => (a.account < b.account ? -1 : 1));
}

function resolve(open: Map<string, Hold>, transfer: StoredTransfer): Hold {
  const hold = open.get(transfer.pending ?? '');
  if (!hold) throw new Error(`transfer ${transfer.id} resolves no open hold: ${transfer.pending}`);
  open.delete(hold.id);
  if (
    hold.debit !== transfer.debit ||
    hold.credit !== transfer.credit ||
    hold.asset !== transfer.asset
  ) {
    throw new Error(`transfer ${transfer.id} differs from its hold ${hold.id}`);
  }
  if (transfer.amount > hold.amount) {
    throw new Error(`transfer ${transfer.id} exceeds its hold of ${hold.amount}`);
  }
  return hold;
}
