import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { LogService, type SignedCheckpoint } from '../ledger/log.service.js';
import { openedValues } from '../ledger/opening.js';
import { OpeningService, type ProvenRecord } from '../ledger/opening.service.js';
import {
  formatReceipt,
  RECEIPT_FORMAT,
  SIGNED_RECEIPT_FORMAT,
  type ReceiptRecord,
  type ReceiptSignatures,
  type ShownRecord,
} from '../ledger/receipt.js';
import type { StoredRecord } from '../ledger/record.js';
import type { Period } from '../parties/access.js';
import { PartiesService } from '../parties/parties.service.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import { MeterSignatureService } from './meter-signature.service.js';
import { fieldsFor, keyFieldsFor, whatHappened } from './receipt-facts.js';
import { SettlementService } from './settlement.service.js';
import * as store from './settlement.store.js';

export type ReceiptOutcome =
  | { readonly outcome: 'made'; readonly text: string }
  /** No published checkpoint covers it; the next is due about then. */
  | { readonly outcome: 'not_published_yet'; readonly due: Instant | null }
  | { readonly outcome: 'no_such_record' };

/**
 * Makes receipts: a household's own fields of a record, and of the trades of the slot where the record
 * settles one, with the proof that the log holds them, and what the household's meters have signed of
 * it. A fixed number of statements, however many trades there are.
 */
@Injectable()
export class ReceiptService {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly log: LogService,
    private readonly openings: OpeningService,
    private readonly settlement: SettlementService,
    private readonly signatures: MeterSignatureService,
  ) {}

  /**
   * The receipt of a record for one of the households that it concerns.
   * @param tenancy whose readings it may show
   */
  async receipt(record: StoredRecord, household: string, tenancy: Period): Promise<ReceiptOutcome> {
    const { microgridId: microgrid } = record;
    const sequences = await this.sequencesOf(record, household);
    const last = Math.max(...sequences);
    const checkpoint = await this.log.publishedCovering(this.database, microgrid, last);
    if (!checkpoint) return { outcome: 'not_published_yet', due: await this.nextDue(microgrid) };
    const opened = await this.openings.open(
      this.database,
      microgrid,
      sequences,
      checkpoint,
      (body) => fieldsFor(body, household),
    );
    if (opened[0]?.sequence !== record.sequence) return { outcome: 'no_such_record' };
    const shown = opened.map(({ leaves, sequence }): ShownRecord => {
      const values = openedValues(leaves);
      return { sequence, kind: String(values.get('kind')), values };
    });
    const signed = await this.signaturesOf(record, household, checkpoint, tenancy);
    const text = formatReceipt({
      format: signed ? SIGNED_RECEIPT_FORMAT : RECEIPT_FORMAT,
      microgrid,
      household,
      what: whatHappened(shown, household),
      records: opened.map(withoutSequence),
      ...(signed ? { signed } : {}),
    });
    return { outcome: 'made', text };
  }

  /** What the household's meters have signed of it; null where there is nothing. */
  private async signaturesOf(
    record: StoredRecord,
    household: string,
    checkpoint: SignedCheckpoint,
    tenancy: Period,
  ): Promise<ReceiptSignatures | null> {
    const found = await this.signatures.behind(this.database, record, tenancy);
    if (!found) return null;
    const keys = await this.openings.open(
      this.database,
      record.microgridId,
      found.keys,
      checkpoint,
      () => keyFieldsFor(household),
    );
    // Erased meanwhile.
    if (keys.length < found.keys.length) return null;
    return { keys: keys.map(withoutSequence), messages: found.messages };
  }

  /** The record itself first; with a settlement go the household's trades of the slot. */
  private async sequencesOf(record: StoredRecord, household: string): Promise<number[]> {
    if (record.kind !== 'household-slot') return [record.sequence];
    const trades = await this.database.query<{ sequence: number }>(store.TRADES_OF_HOUSEHOLD, [
      record.microgridId,
      record.facts['slot'],
      household,
    ]);
    return [record.sequence, ...trades.map(({ sequence }) => sequence)];
  }

  /** When the slot that is to close next will have been closed; null before the first. */
  private async nextDue(microgridId: string): Promise<Instant | null> {
    const closedThrough = await this.settlement.closedThrough(this.database, microgridId);
    const microgrid = await this.parties.microgrid(this.database, microgridId);
    if (closedThrough === null || !microgrid) return null;
    const { slotMinutes, graceSeconds } = microgrid;
    return formatInstant(parseInstant(closedThrough) + slotMinutes * 60_000 + graceSeconds * 1000);
  }
}

function withoutSequence({ leaves, entry, proof }: ProvenRecord): ReceiptRecord {
  return { leaves, entry, proof };
}
