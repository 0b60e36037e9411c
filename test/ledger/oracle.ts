import { householdsOf, type AccountTerms } from '../../src/ledger/accounts.js';
import type { Outcome, Status } from '../../src/ledger/outcome.js';
import { transferId, type RecordDraft, type TransferDraft } from '../../src/ledger/record.js';

/**
 * The ledger told as simply as it can be: one record after another, each on a copy of the accounts
 * that is kept or thrown away; sums in bigint; for every question the list of what may be wrong, in
 * its order. It is what the real ledger is held against.
 */

interface Account {
  asset: string;
  debitsPending: bigint;
  creditsPending: bigint;
  debitsPosted: bigint;
  creditsPosted: bigint;
  mayOwe: bigint | null;
  creditLimit: bigint;
  mayHold: bigint | null;
  version: number;
}

interface Transfer extends TransferDraft {
  id: string;
  cause: string;
  expiresAt: number | null;
  end: 'post' | 'void' | 'expire' | null;
}

type Wrong = readonly [Status, boolean];

const MOST = BigInt(Number.MAX_SAFE_INTEGER);
const HEX = /^[0-9a-f]{32}$/;

export class Oracle {
  accounts = new Map<string, Account>();
  readonly numbers = new Map<string, number>();
  sequence = 0;
  private transfers = new Map<string, Transfer>();
  /** Holds that are not open for ever, in the order in which they were made. */
  private readonly timed = new Set<string>();
  private readonly recorded = new Map<string, { sequence: number; draft: RecordDraft }>();
  private readonly erased = new Set<string>();
  private readonly failed = new Set<string>();

  constructor(private readonly microgridId: string) {}

  submit(drafts: readonly RecordDraft[], terms: readonly AccountTerms[]): Outcome[] {
    return drafts.map((draft) => {
      this.expireUntil(Date.parse(draft.at));
      return this.take(draft, terms);
    });
  }

  /** Debits and credits posted, then pending, and how many records have touched the account. */
  balances(): Record<string, string> {
    return Object.fromEntries(
      [...this.accounts].map(([name, one]) => [
        name,
        `${one.debitsPosted}/${one.creditsPosted}, ${one.debitsPending}/${one.creditsPending}, ${one.version}`,
      ]),
    );
  }

  /** The record's body is deleted; that it was there is still known. */
  erase(cause: string): void {
    this.erased.add(cause);
  }

  private take(draft: RecordDraft, terms: readonly AccountTerms[]): Outcome {
    const { cause } = draft;
    if (cause === '') return { status: 'cause_must_not_be_empty', sequence: null, line: null };
    const earlier = this.recorded.get(cause);
    if (earlier) {
      const { sequence } = earlier;
      if (this.erased.has(cause)) return { status: 'exists_erased', sequence, line: null };
      return { ...this.repeated(earlier.draft, draft), sequence };
    }
    if (this.failed.has(cause)) return { status: 'id_already_failed', sequence: null, line: null };
    const before = { accounts: this.accounts, transfers: this.transfers };
    this.accounts = copyOf(before.accounts);
    this.transfers = new Layer(before.transfers);
    for (const [line, transfer] of draft.transfers.entries()) {
      const status = this.post(draft, transfer, line, terms);
      if (status === 'created') continue;
      Object.assign(this, before);
      if (['pending_transfer_not_found', 'exceeds_credits', 'exceeds_debits'].includes(status)) {
        this.failed.add(cause);
        if (transfer.id !== undefined) this.failed.add(transfer.id);
      }
      return { status, sequence: null, line };
    }
    for (const [id, transfer] of this.transfers) {
      before.transfers.set(id, transfer);
      if (transfer.expiresAt !== null) this.timed.add(id);
    }
    this.transfers = before.transfers;
    return { status: 'created', sequence: this.record(draft), line: null };
  }

  private record(draft: RecordDraft): number {
    for (const name of new Set(draft.transfers.flatMap(({ debit, credit }) => [debit, credit]))) {
      this.accounts.get(name)!.version += 1;
    }
    for (const household of new Set(draft.households)) {
      this.numbers.set(household, 1 + (this.numbers.get(household) ?? 0));
    }
    this.sequence += 1;
    this.recorded.set(draft.cause, { sequence: this.sequence, draft });
    return this.sequence;
  }

  private post(
    { cause, at }: RecordDraft,
    draft: TransferDraft,
    line: number,
    terms: readonly AccountTerms[],
  ): Status {
    const id = draft.id ?? transferId(this.microgridId, cause, line);
    const { pendingId, timeoutSeconds, balancing, asset, code } = draft;
    const state = draft.state ?? 'posted';
    const resolves = state === 'post' || state === 'void';
    const malformed = firstOf([
      ['id_must_be_32_hex_digits', !HEX.test(id)],
      ['id_belongs_to_another_line', this.transfers.has(id)],
      ['id_already_failed', this.failed.has(id)],
      ['debit_account_must_be_a_path', !/^[\w/-]{1,160}$/.test(draft.debit)],
      ['credit_account_must_be_a_path', !/^[\w/-]{1,160}$/.test(draft.credit)],
      ['accounts_must_be_different', draft.debit === draft.credit],
      ['expiry_is_made_by_the_ledger', state === 'expire'],
      ['pending_id_must_be_absent', !resolves && pendingId !== undefined],
      ['pending_id_must_be_32_hex_digits', resolves && !HEX.test(pendingId ?? '')],
      ['pending_id_must_be_different', pendingId === id],
      [
        'timeout_reserved_for_pending_transfer',
        timeoutSeconds !== undefined && state !== 'pending',
      ],
      [
        'timeout_must_be_1_to_2147483647_seconds',
        timeoutSeconds !== undefined &&
          !(Number.isInteger(timeoutSeconds) && timeoutSeconds > 0 && timeoutSeconds < 2 ** 31),
      ],
      ['balancing_not_for_resolutions', resolves && balancing !== undefined],
      ['amount_must_be_a_safe_integer', !(Number.isSafeInteger(draft.amount) && draft.amount >= 0)],
      ['amount_must_be_zero', state === 'void' && draft.amount !== 0],
      ['amount_must_not_be_zero', state !== 'void' && draft.amount === 0],
      ['asset_must_not_be_empty', asset === ''],
      ['code_must_not_be_empty', code === ''],
    ]);
    if (malformed) return malformed;
    const debit = this.account(draft.debit, asset, terms);
    const credit = this.account(draft.credit, asset, terms);
    const elsewhere = firstOf([
      ['debit_account_has_different_asset', debit.asset !== asset],
      ['credit_account_has_different_asset', credit.asset !== asset],
    ]);
    if (elsewhere) return elsewhere;
    const made = { ...draft, state, id, cause, expiresAt: null, end: null };
    return resolves
      ? this.resolve(made, debit, credit)
      : this.move(made, debit, credit, Date.parse(at));
  }

  private move(made: Transfer, debit: Account, credit: Account, at: number): Status {
    const { balancing, timeoutSeconds, state } = made;
    let amount = BigInt(made.amount);
    const owed = debit.debitsPending + debit.debitsPosted - debit.creditsPosted;
    const held = credit.creditsPending + credit.creditsPosted - credit.debitsPosted;
    if (balancing === 'debit' || balancing === 'both') {
      amount = least(amount, debit.creditLimit - owed);
      if (amount <= 0n) return 'exceeds_credits';
    }
    if (balancing === 'credit' || balancing === 'both') {
      amount = least(amount, (credit.mayHold ?? 0n) - held);
      if (amount <= 0n) return 'exceeds_debits';
    }
    const pending = state === 'pending';
    const wrong = firstOf([
      ['overflows_debits_pending', pending && debit.debitsPending + amount > MOST],
      ['overflows_credits_pending', pending && credit.creditsPending + amount > MOST],
      ['overflows_debits_posted', !pending && debit.debitsPosted + amount > MOST],
      ['overflows_credits_posted', !pending && credit.creditsPosted + amount > MOST],
      ['overflows_debits', debit.debitsPending + debit.debitsPosted + amount > MOST],
      ['overflows_credits', credit.creditsPending + credit.creditsPosted + amount > MOST],
      ['exceeds_credits', debit.mayOwe !== null && owed + amount > debit.mayOwe],
      ['exceeds_debits', credit.mayHold !== null && held + amount > credit.mayHold],
    ]);
    if (wrong) return wrong;
    if (pending) {
      debit.debitsPending += amount;
      credit.creditsPending += amount;
    } else {
      debit.debitsPosted += amount;
      credit.creditsPosted += amount;
    }
    const expiresAt = timeoutSeconds === undefined ? null : at + 1_000 * timeoutSeconds;
    this.transfers.set(made.id, { ...made, amount: Number(amount), expiresAt });
    return 'created';
  }

  private resolve(made: Transfer, debit: Account, credit: Account): Status {
    const hold = this.transfers.get(made.pendingId!);
    if (!hold) return 'pending_transfer_not_found';
    const amount = BigInt(made.amount);
    const wrong = firstOf([
      ['pending_transfer_not_pending', hold.state !== 'pending'],
      ['pending_transfer_has_different_debit_account', hold.debit !== made.debit],
      ['pending_transfer_has_different_credit_account', hold.credit !== made.credit],
      ['exceeds_pending_transfer_amount', made.amount > hold.amount],
      ['pending_transfer_already_posted', hold.end === 'post'],
      ['pending_transfer_already_voided', hold.end === 'void'],
      ['pending_transfer_expired', hold.end === 'expire'],
      ['overflows_debits_posted', debit.debitsPosted + amount > MOST],
      ['overflows_credits_posted', credit.creditsPosted + amount > MOST],
    ]);
    if (wrong) return wrong;
    debit.debitsPending -= BigInt(hold.amount);
    credit.creditsPending -= BigInt(hold.amount);
    debit.debitsPosted += amount;
    credit.creditsPosted += amount;
    this.transfers.set(hold.id, { ...hold, end: made.state as 'post' | 'void' | 'expire' });
    this.transfers.set(made.id, made);
    return 'created';
  }

  /** Each hold whose time is over makes a record of its own, the earliest first. */
  private expireUntil(now: number): void {
    const due = [...this.timed]
      .map((id) => this.transfers.get(id)!)
      .filter(({ expiresAt }) => expiresAt! <= now)
      .sort((a, b) => a.expiresAt! - b.expiresAt!);
    for (const { id, debit, credit, asset, end } of due) {
      this.timed.delete(id);
      if (end !== null) continue;
      const cause = `expiry/${id}`;
      const line = { debit, credit, asset, amount: 0, code: 'expiry', pendingId: id };
      const made = {
        ...line,
        state: 'expire' as const,
        id: transferId(this.microgridId, cause, 0),
      };
      const [from, to] = [this.accounts.get(debit)!, this.accounts.get(credit)!];
      this.resolve({ ...made, cause, expiresAt: null, end: null }, from, to);
      const households = householdsOf(debit, credit);
      const at = '';
      this.record({
        kind: 'expiry',
        at,
        cause,
        keyHolder: '',
        households,
        facts: {},
        transfers: [made],
      });
    }
  }

  /** A repeat is compared member by member, in the order of the statuses; the instant is not. */
  private repeated(
    earlier: RecordDraft,
    later: RecordDraft,
  ): { status: Status; line: number | null } {
    const json = (value: unknown) => JSON.stringify(value);
    const households = (draft: RecordDraft) => [...new Set(draft.households)].sort();
    const differs = firstOf([
      ['exists_with_different_kind', earlier.kind !== later.kind],
      ['exists_with_different_key_holder', earlier.keyHolder !== later.keyHolder],
      ['exists_with_different_households', json(households(earlier)) !== json(households(later))],
      ['exists_with_different_facts', json(earlier.facts) !== json(later.facts)],
      [
        'exists_with_different_number_of_lines',
        earlier.transfers.length !== later.transfers.length,
      ],
    ]);
    if (differs) return { status: differs, line: null };
    for (const [line, one] of earlier.transfers.entries()) {
      const other = later.transfers[line]!;
      const derived = transferId(this.microgridId, earlier.cause, line);
      const status = firstOf([
        ['exists_with_different_id', (one.id ?? derived) !== (other.id ?? derived)],
        ['exists_with_different_state', (one.state ?? 'posted') !== (other.state ?? 'posted')],
        ['exists_with_different_balancing', one.balancing !== other.balancing],
        ['exists_with_different_pending_id', one.pendingId !== other.pendingId],
        ['exists_with_different_timeout', one.timeoutSeconds !== other.timeoutSeconds],
        ['exists_with_different_debit_account', one.debit !== other.debit],
        ['exists_with_different_credit_account', one.credit !== other.credit],
        ['exists_with_different_amount', one.amount !== other.amount],
        ['exists_with_different_asset', one.asset !== other.asset],
        ['exists_with_different_code', one.code !== other.code],
      ]);
      if (status) return { status, line };
    }
    return { status: 'exists', line: null };
  }

  private account(name: string, asset: string, terms: readonly AccountTerms[]): Account {
    const open = this.accounts.get(name);
    if (open) return open;
    const opening = terms.find(({ account }) => account === name);
    const creditLimit = BigInt(opening?.creditLimit ?? 0);
    const account: Account = {
      asset,
      debitsPending: 0n,
      creditsPending: 0n,
      debitsPosted: 0n,
      creditsPosted: 0n,
      mayOwe: opening?.limited ? creditLimit : null,
      creditLimit,
      mayHold: opening?.debitLimit === undefined ? null : BigInt(opening.debitLimit),
      version: 0,
    };
    this.accounts.set(name, account);
    return account;
  }
}

/** What a record has done to transfers, over those before it, which stay as they are. */
class Layer extends Map<string, Transfer> {
  constructor(private readonly below: ReadonlyMap<string, Transfer>) {
    super();
  }

  override get(id: string): Transfer | undefined {
    return super.get(id) ?? this.below.get(id);
  }

  override has(id: string): boolean {
    return super.has(id) || this.below.has(id);
  }
}

function copyOf(accounts: ReadonlyMap<string, Account>): Map<string, Account> {
  return new Map([...accounts].map(([name, account]) => [name, { ...account }]));
}

function firstOf(wrong: readonly Wrong[]): Status | null {
  return wrong.find(([, applies]) => applies)?.[0] ?? null;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
