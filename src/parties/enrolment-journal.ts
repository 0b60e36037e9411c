import type { Sql } from '../database/database.service.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';

/** One cause to be journalled: ids and numbers only, never a name, an alias or a secret. */
export interface EnrolmentDraft {
  kind: 'enrolment' | 'tariff' | 'operator-action';
  at: Instant;
  /** Unique in the microgrid: a cause is journalled once. */
  cause: string;
  /** The household whose key salts the record, or '' for the microgrid's own. */
  keyHolder: string;
  /** Who hears of it. */
  households: string[];
  facts: JsonObject;
  transfers: [];
}

/**
 * Where enrolments, tariffs and operator actions are written down, in the caller's transaction.
 * Parties stands left of the ledger, so the ledger's service is bound to this class at assembly.
 */
export abstract class EnrolmentJournal {
  abstract append(
    sql: Sql,
    microgridId: string,
    drafts: readonly EnrolmentDraft[],
  ): Promise<unknown>;
}
