import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import type { LogKeys } from './log-keys.js';
import { COVERED_TABLES } from './tables.js';
import { Verification, type MicrogridReport } from './verification.service.js';
import * as store from './verify.store.js';

/** The door of verify: which microgrids there are, and a report of each. */
@Injectable()
export class VerifyService {
  constructor(private readonly database: DatabaseService) {}

  /** Every microgrid of which any covered table has a row, founded or not. */
  async microgrids(sql: Sql = this.database): Promise<string[]> {
    const found = new Set<string>();
    for (const { table } of COVERED_TABLES) {
      const rows = await sql.query<{ id: string }>(store.microgridsIn(table));
      for (const { id } of rows) found.add(id);
    }
    return [...found].sort();
  }

  /**
   * One consistent look at a microgrid: everything is read in one transaction.
   * @param keys whose signatures count
   * @param kept checkpoints that were kept outside of the database, of any log
   */
  async verify(
    microgridId: string,
    keys: LogKeys,
    kept: readonly string[] = [],
  ): Promise<MicrogridReport> {
    let report: MicrogridReport | undefined;
    try {
      await this.database.transaction(async (sql) => {
        await sql.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
        report = await this.verifyIn(sql, microgridId, keys, kept);
      });
    } catch (error) {
      // Damage ends the transaction as well, but it is in the report.
      if (!report) throw error;
    }
    return report!;
  }

  /** The same in the caller's transaction. */
  async verifyIn(
    sql: Sql,
    microgridId: string,
    keys: LogKeys,
    kept: readonly string[] = [],
  ): Promise<MicrogridReport> {
    return Verification.run(sql, microgridId, keys, kept);
  }
}
