import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { MarketWatchService } from '../settlement/market-watch.service.js';
import { MIN_HOUSEHOLDS } from '../units/cell.js';
import { logQuery } from './efficiency.service.js';
import * as store from './query-log.store.js';

/** An alarm without a name, a day or an energy. */
export interface RegulatorAlarm {
  readonly kind: string;
  readonly severity: string;
  /** In UTC. */
  readonly month: string;
  /** Pseudonyms that stay the same within a microgrid. */
  readonly households: readonly string[];
  /** Whether one person can act for two of them. */
  readonly linked: boolean;
}

const MOST_ALARMS = 200;

/**
 * Tells regulators what the market watch noticed, as far as privacy goes: of months that are over, on
 * streets of at least 15 households, under pseudonyms and without figures. Every look is in the access
 * log that the households read.
 */
@Injectable()
export class AlarmService {
  constructor(
    private readonly database: DatabaseService,
    private readonly watch: MarketWatchService,
  ) {}

  /** The latest 200 at most, newest month first. */
  async alarms(microgridId: string, by: string): Promise<RegulatorAlarm[]> {
    return this.database.transaction(async (sql) => {
      await sql.query(store.LOCK_QUERIES, [microgridId]);
      const rows = await this.watch.alarmsOfMonths(sql, microgridId, MIN_HOUSEHOLDS, MOST_ALARMS);
      const concerned = [...new Set(rows.flatMap(({ households }) => households))].sort();
      await logQuery(sql, microgridId, by, { what: 'alarms' }, 'answered', concerned);
      return rows.map(({ kind, severity, month, households, evidence, pseudonymKey }) => ({
        kind,
        severity,
        month,
        households: households.map((household) => pseudonymOf(pseudonymKey, household)),
        linked: evidence['linked'] === true,
      }));
    });
  }
}

/** 8 bytes in hex; only who has the microgrid's key can tell whose it is. */
function pseudonymOf(key: string, household: string): string {
  return bytesToHex(hmac(sha256, utf8ToBytes(key), utf8ToBytes(household))).slice(0, 16);
}
