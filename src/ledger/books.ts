import type { Instant } from '../units/slot.js';
import { householdsOf, type Balance } from './accounts.js';
import type { KnownRecord } from './draft-check.js';
import type { Refusal } from './outcome.js';
import type { RecordDraft, TransferState } from './record.js';

/** What deciding on a batch rests on: accounts, holds and causes, and what an account has room for. */

export interface Account extends Balance {
  readonly account: string;
  readonly asset: string;
  /** How many records have touched it. */
  version: number;
}

/** A transfer that the batch names as a hold, or that is due to expire. */
export interface Hold {
  readonly id: string;
  readonly debit: string;
  readonly credit: string;
  readonly asset: string;
  readonly amount: number;
  readonly state: TransferState;
  /** Null: it holds until it is resolved. */
  readonly expiresAt: Instant | null;
  /** How it was resolved, null while it is open. */
  readonly resolved: Resolution | null;
}

export type Resolution = 'post' | 'void' | 'expire';

/** All that deciding needs, as it stands under the lock of the microgrid's head. */
export interface Books {
  readonly microgridId: string;
  /** Of the last record. */
  readonly sequence: number;
  /** Those that the batch touches, as far as they are open. */
  readonly accounts: ReadonlyMap<string, Account>;
  /** Transfers that the batch names, by id. */
  readonly holds: ReadonlyMap<string, Hold>;
  /** Open holds whose time may come within the batch, in the order in which they expire. */
  readonly due: readonly Hold[];
  /** By cause. */
  readonly records: ReadonlyMap<string, KnownRecord>;
  /** Causes and ids that were refused for a transient reason. */
  readonly failedCauses: ReadonlySet<string>;
  readonly failedIds: ReadonlySet<string>;
  /** By household: how many records concern it. */
  readonly numbers: ReadonlyMap<string, number>;
}

/** Whether holds expire before it: an erasure is written by a role that may touch no account. */
export function movesTime({ kind }: Pick<RecordDraft, 'kind'>): boolean {
  return kind !== 'erasure';
}

/** The record by which a hold ends when its time is over. */
export function expiryOf({ id, debit, credit, asset, amount, expiresAt }: Hold): RecordDraft {
  const households = householdsOf(debit, credit);
  return {
    kind: 'expiry',
    at: expiresAt!,
    cause: `expiry/${id}`,
    keyHolder: households.length === 1 ? households[0]! : '',
    households,
    facts: { hold: id, amount },
    transfers: [
      { debit, credit, asset, amount: 0, code: 'expiry', state: 'expire', pendingId: id },
    ],
  };
}

/** What keeps a new transfer from being posted, in the order of the statuses, or null. */
export function limitFault(
  debit: Account,
  credit: Account,
  amount: number,
  pending: boolean,
): Refusal | null {
  const overflow = pending
    ? overflowOfPending(debit, credit, amount)
    : overflowOfPosted(debit, credit, amount);
  if (overflow) return overflow;
  if (overflows(debit.debitsPending + debit.debitsPosted, amount)) return 'overflows_debits';
  if (overflows(credit.creditsPending + credit.creditsPosted, amount)) return 'overflows_credits';
  if (debit.limited && amount > stillDebitable(debit)) return 'exceeds_credits';
  const isFull = credit.debitLimit !== null && amount > stillCreditable(credit);
  return isFull ? 'exceeds_debits' : null;
}

/**
 * What may still be debited: posted credits and credit limit less all debits, for an account without
 * a limit too. Taken in this order it is exact, as far as it is a safe integer at all.
 */
export function stillDebitable({
  creditLimit,
  debitsPending,
  debitsPosted,
  creditsPosted,
}: Account) {
  return creditLimit - (debitsPending + debitsPosted - creditsPosted);
}

/** What may still be credited: posted debits and debit limit less all credits. */
export function stillCreditable({
  debitLimit,
  creditsPending,
  creditsPosted,
  debitsPosted,
}: Account) {
  return (debitLimit ?? 0) - (creditsPending + creditsPosted - debitsPosted);
}

function overflowOfPending(debit: Account, credit: Account, amount: number): Refusal | null {
  if (overflows(debit.debitsPending, amount)) return 'overflows_debits_pending';
  return overflows(credit.creditsPending, amount) ? 'overflows_credits_pending' : null;
}

export function overflowOfPosted(debit: Account, credit: Account, amount: number): Refusal | null {
  if (overflows(debit.debitsPosted, amount)) return 'overflows_debits_posted';
  return overflows(credit.creditsPosted, amount) ? 'overflows_credits_posted' : null;
}

function overflows(sum: number, amount: number): boolean {
  return !Number.isSafeInteger(sum + amount);
}
