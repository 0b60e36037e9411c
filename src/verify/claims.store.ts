import { QUALITIES } from '../metering/measurement.js';
import type { Period } from '../rewards/awards.js';
import { only, plus } from '../settlement/by-quality.js';
import { NOT_CLAIMED, type Claimed } from './programs.js';
import type { TableRows } from './table-rows.store.js';

/** What households had claimed from neighbors when a run awarded it, and what those claims rested on. */

/** The claims of the slots of a period, by household, as they stood before a record. */
export async function readClaims(
  tables: TableRows,
  { from, to }: Period,
  before: number,
): Promise<Map<string, Claimed>> {
  const rows = await tables.query<ClaimedRow>('settlement', CLAIMED_BEFORE, [from, to, before]);
  const claims = new Map<string, Claimed>();
  for (const { household, rank, hidden, claimedWh } of rows) {
    const known = claims.get(household) ?? NOT_CLAIMED;
    claims.set(household, {
      byQuality: plus(known.byQuality, only(QUALITIES[rank - 1]!, claimedWh)),
      hidden: known.hidden || (hidden && claimedWh > 0),
    });
  }
  return claims;
}

interface ClaimedRow {
  household: string;
  /** In the order of qualities, from 1 for the best. */
  rank: number;
  hidden: boolean;
  claimedWh: number;
}

/**
 * In [$2, $3), as it stood before record $4. A claim is no better than the worst of both sides: the
 * household's own settlement, and those of all from whom it claimed in the slot.
 */
const CLAIMED_BEFORE = `
  WITH line AS MATERIALIZED (
    SELECT slot_start, household_id, clean_from_neighbors_wh,
      array_position(ARRAY['measured', 'interpolated', 'estimated', 'missing'], quality) AS rank
    FROM settlement
    WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3 AND sequence < $4
      AND NOT EXISTS (
        SELECT FROM settlement later
        WHERE later.microgrid_id = settlement.microgrid_id
          AND later.slot_start = settlement.slot_start
          AND later.household_id = settlement.household_id
          AND later.revision > settlement.revision AND later.sequence < $4)
  ), corrected AS (
    SELECT slot_start,
      (SELECT count(*) FROM unnest(correction_sequences) AS one (at) WHERE one.at < $4) AS revision
    FROM slot WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
  ), bought AS (
    SELECT traded.slot_start, traded.buyer_id AS household_id, max(seller.rank) AS rank,
      bool_or(erasure.household_id IS NOT NULL) AS hidden
    FROM trade_settlement traded
    JOIN corrected
      ON corrected.slot_start = traded.slot_start AND corrected.revision = traded.revision
    LEFT JOIN line seller
      ON seller.slot_start = traded.slot_start AND seller.household_id = traded.seller_id
    LEFT JOIN erasure
      ON erasure.microgrid_id = $1 AND erasure.household_id = traded.seller_id
    WHERE traded.microgrid_id = $1 AND traded.claimed_wh > 0
      AND traded.slot_start >= $2 AND traded.slot_start < $3
    GROUP BY traded.slot_start, traded.buyer_id
  )
  SELECT line.household_id AS household, greatest(line.rank, bought.rank) AS rank,
    coalesce(bought.hidden, false) AS hidden,
    sum(line.clean_from_neighbors_wh)::bigint AS "claimedWh"
  FROM line LEFT JOIN bought
    ON bought.slot_start = line.slot_start AND bought.household_id = line.household_id
  GROUP BY 1, 2, 3`;
