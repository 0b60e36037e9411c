import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { equalBytes } from '../transparency/bytes.js';
import { formatTlogProof } from '../transparency/tlog-proof.js';
import { LogService, type SignedCheckpoint } from './log.service.js';
import { commitmentOf, openRecord } from './opening.js';
import * as store from './opening.store.js';
import { entryOf, type ReceiptRecord } from './receipt.js';
import type { RecordBody } from './record.js';

/** A record opened in part, with the proof that its entry stands in the log. */
export interface ProvenRecord extends ReceiptRecord {
  readonly sequence: number;
}

/** Opens records for those who may see a part of them, and proves that the log holds them. */
@Injectable()
export class OpeningService {
  constructor(private readonly log: LogService) {}

  /**
   * @param isOpen which fields of a record are shown
   * @returns in sequence; records that were erased are absent
   * @throws Error when a body does not lead to its commitment; nothing is shown then
   */
  async open(
    sql: Sql,
    microgridId: string,
    sequences: readonly number[],
    checkpoint: SignedCheckpoint,
    isOpen: (body: RecordBody) => (name: string) => boolean,
  ): Promise<ProvenRecord[]> {
    const rows = await sql.query<{
      sequence: number;
      bytes: Buffer;
      key: Uint8Array;
      commitment: Uint8Array;
    }>(store.BODIES_WITH_KEYS, [microgridId, sequences]);
    const paths = await this.log.proveInclusions(
      sql,
      microgridId,
      rows.map(({ sequence }) => sequence),
      checkpoint.size,
    );
    return rows.map(({ sequence, bytes, key, commitment }, at) => {
      const body = JSON.parse(bytes.toString('utf8')) as RecordBody;
      const leaves = openRecord(key, body, isOpen(body));
      if (!equalBytes(commitmentOf(leaves), commitment)) {
        throw new Error(`record ${sequence} of ${microgridId} is not what was committed to`);
      }
      const proof = { index: sequence - 1, hashes: paths[at]!, checkpoint: checkpoint.note };
      return { sequence, leaves, entry: entryOf(leaves), proof: formatTlogProof(proof) };
    });
  }
}
