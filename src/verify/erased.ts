import type { ErasureFacts } from '../ledger/erasure.js';
import { sequencesHash } from '../ledger/erasure.js';
import type { RecordBody, StoredTransfer } from '../ledger/record.js';
import type { Books } from './books.js';
import type { Findings, Row } from './finding.js';
import type { OpenedRecord, StoredRow } from './opened-record.js';

/**
 * Households that were erased. Of their records the heads, the log entries and the transfers stay,
 * and one later record that says which they were and how the accounts ended: as much as that is told
 * and held against the rest.
 */

/** What stays of an erased record, beside its head. */
export interface Remnant {
  household: string;
  transfers: StoredTransfer[];
}

interface Erasure {
  sequence: number;
  facts: ErasureFacts;
  /** Sequences of records without a body. */
  gone: number[];
}

export class ErasedHouseholds {
  private readonly erasures = new Map<string, Erasure>();

  /** @param records of kind `erasure`, whose commitments are checked when their turn comes */
  constructor(records: readonly { sequence: number; facts: unknown }[]) {
    for (const { sequence, facts } of records) {
      const { household } = facts as Partial<ErasureFacts>;
      // Anything else tells of no erasure, and is found out in its turn.
      if (typeof household !== 'string') continue;
      this.erasures.set(household, { sequence, facts: facts as ErasureFacts, gone: [] });
    }
  }

  get households(): string[] {
    return [...this.erasures.keys()];
  }

  has(household: string): boolean {
    return this.erasures.has(household);
  }

  factsOf(household: string): ErasureFacts {
    return this.erasures.get(household)!.facts;
  }

  /** Records that were erased, of all households so far. */
  get count(): number {
    return [...this.erasures.values()].reduce((sum, { gone }) => sum + gone.length, 0);
  }

  /** The erased household to which a record without a body belongs, of those it concerns. */
  ownerOf(sequence: number, concerned: readonly string[]): string | null {
    const owners = concerned.filter((one) => sequence < (this.erasures.get(one)?.sequence ?? 0));
    return owners.length === 1 ? owners[0]! : null;
  }

  /** What stays of a record, as one whose facts are unknown. */
  open(row: StoredRow, microgrid: string, { household, transfers }: Remnant): OpenedRecord {
    const { sequence, kind, at, causeHash } = row;
    this.erasures.get(household)!.gone.push(sequence);
    const body: RecordBody = {
      v: 1,
      microgrid,
      sequence,
      kind: kind as RecordBody['kind'],
      at,
      cause: '',
      households: [household],
      opens: [],
      facts: {},
      transfers,
    };
    return { body, keyHolder: household, erased: { causeHash } };
  }

  /** Holds the record of an erasure against what is gone, and against the books as they stand. */
  check({ sequence, facts }: RecordBody, books: Books, findings: Findings): void {
    const { household, records, sequencesSha256, balances } = facts as ErasureFacts;
    const gone = this.erasures.get(household)?.gone ?? [];
    if (gone.length < records) {
      const expected = `no record of ${household}, which record ${sequence} says was erased`;
      const found = `${records - gone.length} that are there`;
      findings.add('record_body', household, 'key_holder', expected, found);
    } else if (!findings.same('record_body', sequence, 'facts.records', gone.length, records)) {
      return;
    } else {
      const hash = sequencesHash(gone);
      findings.same('record_body', sequence, 'facts.sequencesSha256', hash, sequencesSha256);
    }
    const found = new Map(balances.map((one) => [one.account, one]));
    const expected = books.balancesOf(`household/${household}/`);
    for (const one of expected) {
      for (const [side, value] of Object.entries(one)) {
        if (side === 'account') continue;
        const told = found.get(one.account)?.[side as keyof typeof one];
        findings.same('record_body', sequence, `balance of ${one.account}, ${side}`, value, told);
      }
    }
    findings.same('record_body', sequence, 'facts.balances', expected.length, balances.length);
  }

  /** The erasure table as it should be. */
  rows(): Row[] {
    return [...this.erasures].map(([household, { sequence }]) => ({
      household_id: household,
      sequence,
    }));
  }
}
