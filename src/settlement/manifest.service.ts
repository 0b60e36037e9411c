import { Injectable } from '@nestjs/common';
import type { Sql } from '../database/database.service.js';
import { LogService } from '../ledger/log.service.js';
import { OpeningService } from '../ledger/opening.service.js';
import type { ReceiptRecord } from '../ledger/receipt.js';
import type { RecordBody } from '../ledger/record.js';
import { auditedFields, publicFields, type ManifestKind } from './manifest-release.js';
import * as store from './settlement.store.js';

/** A list of manifests, each with its proof; `next` is the sequence to go on after, or null. */
export interface ManifestList {
  readonly format: 'neighborwatt-manifests/v1';
  readonly microgrid: string;
  readonly records: readonly ReceiptRecord[];
  readonly next: number | null;
}

/** Hands out manifests that a published checkpoint covers: to everyone what is open, to auditors all. */
@Injectable()
export class ManifestService {
  constructor(
    private readonly log: LogService,
    private readonly openings: OpeningService,
  ) {}

  /** Manifests of days in which a token was opened, in sequence, with nothing but its windows open. */
  async opened(sql: Sql, microgridId: string, page: Page): Promise<ManifestList> {
    const parameters = [microgridId, page.after] as const;
    return this.list(sql, store.OPENED_MANIFESTS, parameters, page, publicFields);
  }

  /** Manifests of one kind, in sequence, with all their facts open. */
  async all(sql: Sql, microgridId: string, kind: ManifestKind, page: Page): Promise<ManifestList> {
    const parameters = [microgridId, page.after, kind] as const;
    return this.list(sql, store.MANIFESTS, parameters, page, auditedFields);
  }

  private async list(
    sql: Sql,
    query: string,
    [microgrid, ...rest]: readonly [string, ...unknown[]],
    { limit }: Page,
    fieldsOf: (body: RecordBody) => ReadonlySet<string> | null,
  ): Promise<ManifestList> {
    const format = 'neighborwatt-manifests/v1' as const;
    const checkpoint = await this.log.latestPublished(sql, microgrid);
    if (!checkpoint) return { format, microgrid, records: [], next: null };
    const rows = await sql.query<{ sequence: number }>(query, [
      microgrid,
      ...rest,
      checkpoint.size,
      limit + 1,
    ]);
    const sequences = rows.slice(0, limit).map(({ sequence }) => sequence);
    const opened = await this.openings.open(sql, microgrid, sequences, checkpoint, (body) => {
      const open = fieldsOf(body);
      return (name) => open?.has(name) ?? false;
    });
    const records = opened.map(({ leaves, entry, proof }) => ({ leaves, entry, proof }));
    return { format, microgrid, records, next: rows.length > limit ? sequences.at(-1)! : null };
  }
}

interface Page {
  after: number;
  limit: number;
}
