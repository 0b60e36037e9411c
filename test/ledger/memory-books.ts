import type { AccountTerms } from '../../src/ledger/accounts.js';
import type { KnownRecord } from '../../src/ledger/draft-check.js';
import type { Outcome } from '../../src/ledger/outcome.js';
import type { Account, Books, Hold } from '../../src/ledger/books.js';
import { decide } from '../../src/ledger/posting.js';
import type { RecordBody, RecordDraft } from '../../src/ledger/record.js';
import { parseInstant } from '../../src/units/slot.js';

/** The ledger's decisions, kept in memory instead of in tables. */
export class MemoryBooks {
  readonly bodies: RecordBody[] = [];
  private readonly open = new Map<string, Account>();
  private readonly holds = new Map<string, Hold>();
  private readonly records = new Map<string, KnownRecord>();
  private readonly failedCauses = new Set<string>();
  private readonly failedIds = new Set<string>();
  private readonly numbers = new Map<string, number>();

  constructor(private readonly microgridId: string) {}

  submit(drafts: readonly RecordDraft[], terms: readonly AccountTerms[] = []): Outcome[] {
    const decision = decide(this.books(), drafts, terms);
    for (const { now } of decision.accounts) this.open.set(now.account, now);
    for (const cause of decision.failedCauses) this.failedCauses.add(cause);
    for (const id of decision.failedIds) this.failedIds.add(id);
    const expiries = new Map(decision.timeoutsSet.map(({ id, expiresAt }) => [id, expiresAt]));
    for (const { body, keyHolder } of decision.records) {
      const { sequence, cause } = body;
      this.bodies.push(body);
      this.records.set(cause, { sequence, keyHolder, body });
      for (const [household, number] of Object.entries(body.numbers!)) {
        this.numbers.set(household, number);
      }
      for (const transfer of body.transfers) {
        const expiresAt = expiries.get(transfer.id) ?? null;
        this.holds.set(transfer.id, { ...transfer, expiresAt, resolved: null });
        const resolved = transfer.pending === undefined ? null : this.holds.get(transfer.pending)!;
        const state = transfer.state as 'post' | 'void' | 'expire';
        if (resolved)
          this.holds.set(resolved.id, { ...resolved, expiresAt: null, resolved: state });
      }
    }
    return decision.outcomes;
  }

  /** Deletes a record's body; its head stays. */
  erase(cause: string): void {
    this.records.set(cause, { ...this.records.get(cause)!, keyHolder: null, body: null });
  }

  account(name: string): Account | undefined {
    return this.open.get(name);
  }

  accounts(): Account[] {
    return [...this.open.values()];
  }

  /** All of them: deciding takes what it needs. */
  private books(): Books {
    const due = [...this.holds.values()]
      .filter(({ expiresAt }) => expiresAt !== null)
      .sort((a, b) => parseInstant(a.expiresAt!) - parseInstant(b.expiresAt!));
    return {
      microgridId: this.microgridId,
      sequence: this.bodies.length,
      accounts: this.open,
      holds: this.holds,
      due,
      records: this.records,
      failedCauses: this.failedCauses,
      failedIds: this.failedIds,
      numbers: this.numbers,
    };
  }
}
