import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { AccountTerms } from './accounts.js';
import {
  expiryOf,
  limitFault,
  movesTime,
  overflowOfPosted,
  stillCreditable,
  stillDebitable,
  type Account,
  type Books,
  type Hold,
  type Resolution,
} from './books.js';
import { differenceFrom, formFault, isTransferId, type KnownRecord } from './draft-check.js';
import { isTransient, type Outcome, type Refusal } from './outcome.js';
import {
  bodyOf,
  storedTransfer,
  transferId,
  type RecordBody,
  type RecordDraft,
  type StoredTransfer,
  type TransferDraft,
} from './record.js';

/**
 * What becomes of a batch of records: each is a chain of transfers that is posted whole or leaves
 * nothing, judged in its turn against the books as those before it left them. One after another in
 * memory, because a refusal changes what follows; around it, the same few statements for any number.
 */

export interface PostedRecord {
  readonly body: RecordBody;
  readonly keyHolder: string;
}

export interface Decision {
  /** In the order of the drafts. */
  readonly outcomes: Outcome[];
  /** In sequence; the expiries that came due stand before the record that moved past them. */
  readonly records: PostedRecord[];
  /** Accounts as they are now and as they were, null for those that were opened; sorted by id. */
  readonly accounts: { readonly now: Account; readonly was: Account | null }[];
  readonly failedCauses: string[];
  readonly failedIds: string[];
  /** Holds that will expire unless they are resolved, and such that now have been. */
  readonly timeoutsSet: Hold[];
  readonly timeoutsEnded: Hold[];
}

/**
 * @param books are left as they were
 * @param terms of accounts that are limited, used where the batch opens them
 */
export function decide(
  books: Books,
  drafts: readonly RecordDraft[],
  terms: readonly AccountTerms[] = [],
): Decision {
  const batch = new Batch(books, terms);
  const outcomes = drafts.map((draft) => batch.take(draft));
  return batch.decision(outcomes);
}

interface OpenHold {
  readonly hold: Hold;
  /** Infinite where it holds until it is resolved. */
  readonly expiresAtMillis: number;
  resolved: Resolution | null;
  /** Made by this batch. */
  readonly isNew: boolean;
}

type Side = 'debitsPending' | 'creditsPending' | 'debitsPosted' | 'creditsPosted';

class Batch {
  private sequence: number;
  private readonly terms: ReadonlyMap<string, AccountTerms>;
  private readonly accounts = new Map<string, Account>();
  private readonly holds = new Map<string, OpenHold>();
  /** By cause; those of this batch. */
  private readonly made = new Map<string, KnownRecord>();
  private readonly ids = new Set<string>();
  private readonly numbers = new Map<string, number>();
  private readonly records: PostedRecord[] = [];
  private readonly failedCauses = new Set<string>();
  private readonly failedIds = new Set<string>();
  private readonly timeouts: OpenHold[];
  /** What takes the record in hand back, last step first. */
  private undo: (() => void)[] = [];

  constructor(
    private readonly books: Books,
    terms: readonly AccountTerms[],
  ) {
    this.sequence = books.sequence;
    this.terms = new Map(terms.map((one) => [one.account, one]));
    this.timeouts = books.due.map((hold) => this.known(hold));
  }

  take(draft: RecordDraft): Outcome {
    if (movesTime(draft)) this.expireUntil(draft.at);
    const { cause } = draft;
    const refused = (status: Refusal, line: number | null = null): Outcome => ({
      status,
      sequence: null,
      line,
    });
    if (cause === '') return refused('cause_must_not_be_empty');
    const earlier = this.made.get(cause) ?? this.books.records.get(cause);
    if (earlier) {
      const { sequence } = earlier;
      const difference = differenceFrom(this.books.microgridId, earlier, draft);
      return { ...(difference ?? { status: 'exists', line: null }), sequence };
    }
    if (this.failedCauses.has(cause) || this.books.failedCauses.has(cause)) {
      return refused('id_already_failed');
    }
    const opens: AccountTerms[] = [];
    const transfers: StoredTransfer[] = [];
    for (const [line, transfer] of draft.transfers.entries()) {
      const id = transfer.id ?? transferId(this.books.microgridId, cause, line);
      const posted = this.post(transfer, id, draft.at, opens);
      if (typeof posted !== 'string') {
        transfers.push(posted);
        continue;
      }
      for (const step of this.undo.reverse()) step();
      this.undo = [];
      if (isTransient(posted)) {
        this.failedCauses.add(cause);
        if (transfer.id !== undefined) this.failedIds.add(transfer.id);
      }
      return refused(posted, line);
    }
    return { status: 'created', sequence: this.record(draft, transfers, opens), line: null };
  }

  decision(outcomes: Outcome[]): Decision {
    const { books, holds } = this;
    const accounts = [...this.accounts.values()]
      .map((now) => ({ now, was: books.accounts.get(now.account) ?? null }))
      .filter(({ now, was }) => now.version !== was?.version)
      .sort((a, b) => (a.now.account < b.now.account ? -1 : 1));
    const timed = [...holds.values()].filter(({ hold }) => hold.expiresAt !== null);
    return {
      outcomes,
      records: this.records,
      accounts,
      failedCauses: [...this.failedCauses],
      failedIds: [...this.failedIds],
      timeoutsSet: timed.flatMap((one) => (one.isNew && !one.resolved ? [one.hold] : [])),
      timeoutsEnded: timed.flatMap((one) =>
        !one.isNew && one.resolved && !one.hold.resolved ? [one.hold] : [],
      ),
    };
  }

  /** Holds whose time is over by `at` end before anything else happens at it. */
  private expireUntil(at: Instant): void {
    const millis = this.timeouts.length === 0 ? 0 : parseInstant(at);
    for (;;) {
      const [next] = this.timeouts;
      if (!next || next.expiresAtMillis > millis) return;
      this.timeouts.shift();
      if (next.resolved) continue;
      const draft = expiryOf(next.hold);
      const line = draft.transfers[0]!;
      const id = transferId(this.books.microgridId, draft.cause, 0);
      const transfer = storedTransfer(line, id);
      const debit = this.account(line.debit, line.asset, []);
      const credit = this.account(line.credit, line.asset, []);
      const refusal = this.postResolution(transfer, next.hold.id, debit, credit);
      if (refusal) throw new Error(`hold ${next.hold.id} does not expire: ${refusal}`);
      this.record(draft, [transfer], []);
    }
  }

  /** Numbers a record whose transfers are posted. @returns its sequence */
  private record(draft: RecordDraft, transfers: StoredTransfer[], opens: AccountTerms[]): number {
    this.undo = [];
    this.sequence += 1;
    const touched = new Set(transfers.flatMap(({ debit, credit }) => [debit, credit]));
    const versions = [...touched].map((name) => {
      const account = this.accounts.get(name)!;
      account.version += 1;
      return [name, account.version] as const;
    });
    const numbers = [...new Set(draft.households)].map((household) => {
      const number = 1 + (this.numbers.get(household) ?? this.books.numbers.get(household) ?? 0);
      this.numbers.set(household, number);
      return [household, number] as const;
    });
    const body = bodyOf(
      this.books.microgridId,
      this.sequence,
      { ...draft, transfers },
      { opens, versions: Object.fromEntries(versions), numbers: Object.fromEntries(numbers) },
    );
    const { keyHolder } = draft;
    this.records.push({ body, keyHolder });
    this.made.set(draft.cause, { sequence: this.sequence, keyHolder, body });
    for (const { id, timeoutSeconds } of transfers) {
      const open = timeoutSeconds === undefined ? undefined : this.holds.get(id);
      if (open) this.remember(open);
    }
    return this.sequence;
  }

  /** One line, in TigerBeetle's order of questions. @returns the transfer, or why there is none */
  private post(
    draft: TransferDraft,
    id: string,
    at: Instant,
    opens: AccountTerms[],
  ): StoredTransfer | Refusal {
    if (draft.id !== undefined && !isTransferId(id)) return 'id_must_be_32_hex_digits';
    if (this.isTaken(id)) return 'id_belongs_to_another_line';
    if (this.failedIds.has(id) || this.books.failedIds.has(id)) return 'id_already_failed';
    const fault = formFault(draft, id);
    if (fault) return fault;
    const debit = this.account(draft.debit, draft.asset, opens);
    const credit = this.account(draft.credit, draft.asset, opens);
    if (debit.asset !== draft.asset) return 'debit_account_has_different_asset';
    if (credit.asset !== draft.asset) return 'credit_account_has_different_asset';
    const transfer = storedTransfer(draft, id);
    const status =
      draft.pendingId === undefined
        ? this.postNew(transfer, debit, credit, at)
        : this.postResolution(transfer, draft.pendingId, debit, credit);
    if (status) return status;
    this.ids.add(id);
    this.undo.push(() => this.ids.delete(id));
    return transfer;
  }

  private postNew(
    transfer: StoredTransfer,
    debit: Account,
    credit: Account,
    at: Instant,
  ): Refusal | null {
    const { balancing } = transfer;
    if (balancing === 'debit' || balancing === 'both') {
      transfer.amount = Math.min(transfer.amount, stillDebitable(debit));
      if (transfer.amount <= 0) return 'exceeds_credits';
    }
    if (balancing === 'credit' || balancing === 'both') {
      transfer.amount = Math.min(transfer.amount, stillCreditable(credit));
      if (transfer.amount <= 0) return 'exceeds_debits';
    }
    const { amount } = transfer;
    const pending = transfer.state === 'pending';
    const fault = limitFault(debit, credit, amount, pending);
    if (fault) return fault;
    this.move(debit, pending ? 'debitsPending' : 'debitsPosted', amount);
    this.move(credit, pending ? 'creditsPending' : 'creditsPosted', amount);
    if (pending) this.hold(transfer, at);
    return null;
  }

  private postResolution(
    { amount, state, debit: debitId, credit: creditId }: StoredTransfer,
    pendingId: string,
    debit: Account,
    credit: Account,
  ): Refusal | null {
    const known = this.books.holds.get(pendingId);
    const open = this.holds.get(pendingId) ?? (known && this.known(known));
    if (!open)
      return this.ids.has(pendingId)
        ? 'pending_transfer_not_pending'
        : 'pending_transfer_not_found';
    const { hold } = open;
    if (hold.state !== 'pending') return 'pending_transfer_not_pending';
    if (hold.debit !== debitId) return 'pending_transfer_has_different_debit_account';
    if (hold.credit !== creditId) return 'pending_transfer_has_different_credit_account';
    if (amount > hold.amount) return 'exceeds_pending_transfer_amount';
    if (open.resolved) return ALREADY[open.resolved];
    const overflow = overflowOfPosted(debit, credit, amount);
    if (overflow) return overflow;
    open.resolved = state as Resolution;
    this.undo.push(() => (open.resolved = null));
    this.move(debit, 'debitsPending', -hold.amount);
    this.move(credit, 'creditsPending', -hold.amount);
    this.move(debit, 'debitsPosted', amount);
    this.move(credit, 'creditsPosted', amount);
    return null;
  }

  private isTaken(id: string): boolean {
    return this.ids.has(id) || this.holds.has(id) || this.books.holds.has(id);
  }

  private hold(transfer: StoredTransfer, at: Instant): void {
    const { id, timeoutSeconds = Infinity } = transfer;
    const expiresAtMillis = parseInstant(at) + 1_000 * timeoutSeconds;
    const expiresAt = expiresAtMillis === Infinity ? null : formatInstant(expiresAtMillis);
    const hold = { ...transfer, expiresAt, resolved: null };
    this.holds.set(id, { hold, expiresAtMillis, resolved: null, isNew: true });
    this.undo.push(() => this.holds.delete(id));
  }

  private known(hold: Hold): OpenHold {
    const { expiresAt, resolved } = hold;
    const expiresAtMillis = expiresAt === null ? Infinity : parseInstant(expiresAt);
    const open = { hold, expiresAtMillis, resolved, isNew: false };
    this.holds.set(hold.id, open);
    return open;
  }

  /** Behind all that expire no later, found by halving. */
  private remember(open: OpenHold): void {
    let [from, to] = [0, this.timeouts.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.timeouts[middle]!.expiresAtMillis <= open.expiresAtMillis) from = middle + 1;
      else to = middle;
    }
    this.timeouts.splice(from, 0, open);
  }

  /** The account, opened for `asset` where it is not yet. */
  private account(name: string, asset: string, opens: AccountTerms[]): Account {
    const open = this.accounts.get(name);
    if (open) return open;
    const known = this.books.accounts.get(name);
    const account = known ? { ...known } : this.openAccount(name, asset, opens);
    this.accounts.set(name, account);
    return account;
  }

  private openAccount(name: string, asset: string, opens: AccountTerms[]): Account {
    const terms = this.terms.get(name);
    const debitLimit = terms?.debitLimit ?? null;
    if (terms && (terms.limited || debitLimit !== null)) opens.push({ ...terms });
    this.undo.push(() => this.accounts.delete(name));
    return {
      account: name,
      asset,
      debitsPending: 0,
      creditsPending: 0,
      debitsPosted: 0,
      creditsPosted: 0,
      limited: terms?.limited ?? false,
      creditLimit: terms?.creditLimit ?? 0,
      debitLimit,
      version: 0,
    };
  }

  private move(account: Account, side: Side, amount: number): void {
    account[side] += amount;
    this.undo.push(() => (account[side] -= amount));
  }
}

const ALREADY = {
  post: 'pending_transfer_already_posted',
  void: 'pending_transfer_already_voided',
  expire: 'pending_transfer_expired',
} as const;
