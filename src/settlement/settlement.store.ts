/** SQL of settlement: every statement takes a whole slot. */

/** Where the next slot starts: behind the last one that was closed or passed over. */
export const NEXT_SLOT = `
  SELECT coalesce(
    (SELECT max(slot_end) FROM slot
     WHERE microgrid_id = $1 AND status IN ('closed', 'quarantined')),
    (SELECT starts_at FROM microgrid WHERE microgrid_id = $1)) AS "slotStart"`;

export const CLOSED_THROUGH = `
  SELECT max(slot_end) AS "closedThrough" FROM slot
  WHERE microgrid_id = $1 AND status IN ('closed', 'quarantined')`;

/** The microgrid that is furthest behind; null while one of them has closed nothing. */
export const ALL_CLOSED_THROUGH = `
  SELECT CASE WHEN bool_and(last.closed IS NOT NULL) THEN min(last.closed) END AS "closedThrough"
  FROM microgrid LEFT JOIN LATERAL (
    SELECT max(slot_end) AS closed FROM slot
    WHERE slot.microgrid_id = microgrid.microgrid_id AND status IN ('closed', 'quarantined')
  ) last ON true`;

export const SLOT = `
  SELECT status, revision, closed_sequence AS "closedSequence" FROM slot
  WHERE microgrid_id = $1 AND slot_start = $2`;

const CLEARED_SLOT = `
  slot_start AS slot, slot_end AS "slotEnd", revision, gate_sequence AS "gateSequence",
  CASE WHEN status = 'closed' THEN closed_sequence END AS "closedSequence", EXISTS (
    SELECT FROM erasure JOIN household USING (microgrid_id, household_id)
    WHERE erasure.microgrid_id = slot.microgrid_id AND active_from <= slot_start
      AND (active_until IS NULL OR active_until > slot_start)) AS "isErasedInPart"`;

/** A slot whose orders have met: at its gate, or when it closed. */
export const CLEARED = `
  SELECT ${CLEARED_SLOT} FROM slot
  WHERE microgrid_id = $1 AND slot_start = $2 AND (status = 'closed' OR gate_sequence IS NOT NULL)`;

/** Such slots in [$2, $3) before $4, newest first. */
export const CLEARED_SLOTS = `
  SELECT ${CLEARED_SLOT} FROM slot
  WHERE microgrid_id = $1 AND (status = 'closed' OR gate_sequence IS NOT NULL)
    AND ($2::timestamptz IS NULL OR slot_start >= $2)
    AND ($3::timestamptz IS NULL OR slot_start < $3)
    AND ($4::timestamptz IS NULL OR slot_start < $4)
  ORDER BY slot_start DESC LIMIT $5`;

export const GATE_CLOSED = `
  INSERT INTO slot (microgrid_id, slot_start, slot_end, status, clearing_price_micro_per_kwh,
    traded_wh, gate_sequence)
  VALUES ($1, $2, $3, 'gate-closed', $4, $5, $6)
  ON CONFLICT (microgrid_id, slot_start) DO UPDATE SET
    clearing_price_micro_per_kwh = excluded.clearing_price_micro_per_kwh,
    traded_wh = excluded.traded_wh, gate_sequence = excluded.gate_sequence
  WHERE slot.status <> 'closed'`;

/** The price of the gate stays where the close cleared nothing itself. */
export const SLOT_CLOSED = `
  INSERT INTO slot (microgrid_id, slot_start, slot_end, status, clearing_price_micro_per_kwh,
    traded_wh, closed_sequence)
  VALUES ($1, $2, $3, 'closed', $4, $5, $6)
  ON CONFLICT (microgrid_id, slot_start) DO UPDATE SET
    status = 'closed', reason = NULL, traded_wh = excluded.traded_wh,
    clearing_price_micro_per_kwh =
      coalesce(excluded.clearing_price_micro_per_kwh, slot.clearing_price_micro_per_kwh),
    closed_sequence = excluded.closed_sequence`;

export const SLOT_CORRECTED = `
  UPDATE slot SET revision = $3, traded_wh = $4,
    correction_sequences = correction_sequences || $5::bigint
  WHERE microgrid_id = $1 AND slot_start = $2`;

export const SLOT_QUARANTINED = `
  INSERT INTO slot (microgrid_id, slot_start, slot_end, status, reason)
  VALUES ($1, $2, $3, 'quarantined', $4)
  ON CONFLICT (microgrid_id, slot_start) DO UPDATE SET status = 'quarantined',
    reason = excluded.reason
  WHERE slot.status <> 'closed'`;

export const INSERT_SETTLEMENTS = `
  INSERT INTO settlement (microgrid_id, slot_start, revision, household_id, sequence, produced_wh,
    consumed_wh, used_wh, self_wh, clean_self_wh, from_neighbors_wh, clean_from_neighbors_wh,
    to_neighbors_wh, from_grid_wh, to_grid_wh, unexplained_use_wh, sold_wh, bought_wh,
    imbalance_wh, neighbor_micro, fee_micro, utility_micro, net_micro, tariff_micro, quality)
  SELECT $1, $2, $3, * FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
    $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
    $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::text[])`;

export const INSERT_TRADE_SETTLEMENTS = `
  INSERT INTO trade_settlement (microgrid_id, slot_start, revision, number, sequence, buyer_id,
    seller_id, settled_wh, claimed_wh, cost_micro, proceeds_micro, firm)
  SELECT $1, $2, $3, * FROM unnest($4::integer[], $5::bigint[], $6::text[], $7::text[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::boolean[])`;

export const LOTS = `
  SELECT household_id AS "householdId", charged_in AS "chargedIn", source,
    remaining_wh AS "energyWh"
  FROM storage_lot WHERE microgrid_id = $1
  ORDER BY household_id, charged_in, array_position(ARRAY['own', 'neighbor', 'grid'], source)`;

export const DELETE_LOTS = `
  DELETE FROM storage_lot WHERE microgrid_id = $1 AND household_id = ANY ($2::text[])`;

export const INSERT_LOTS = `
  INSERT INTO storage_lot (microgrid_id, household_id, charged_in, source, remaining_wh)
  SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::bigint[])`;

/** Takes or renews the lease on every microgrid whose lease is free; never waits for a lock. */
export const TAKE_LEASES = `
  UPDATE journal_head SET lease_holder = $1, lease_until = now() + interval '15 seconds',
    lease_epoch = lease_epoch + (lease_holder IS DISTINCT FROM $1)::int
  WHERE microgrid_id IN (
    SELECT microgrid_id FROM journal_head
    WHERE lease_holder IS NULL OR lease_holder = $1 OR lease_until < now()
    FOR UPDATE SKIP LOCKED)`;

export const LEASED = `
  SELECT microgrid_id AS "microgridId" FROM journal_head
  WHERE lease_holder = $1 AND lease_until > now()`;

export const SLOTS_BETWEEN = `
  SELECT slot_start AS slot, slot_end AS "slotEnd", status,
    clearing_price_micro_per_kwh AS "clearingPriceMicroPerKwh", traded_wh AS "tradedWh", revision,
    reason
  FROM slot
  WHERE microgrid_id = $1 AND ($2::timestamptz IS NULL OR slot_start >= $2)
    AND ($3::timestamptz IS NULL OR slot_start < $3)
    AND ($4::timestamptz IS NULL OR slot_start < $4)
  ORDER BY slot_start DESC LIMIT $5`;

const SETTLEMENT_FIELDS = `
  settlement.household_id AS household, settlement.slot_start AS slot,
  settlement.produced_wh AS "producedWh", settlement.consumed_wh AS "consumedWh",
  settlement.used_wh AS "usedWh", settlement.self_wh AS "selfWh",
  settlement.clean_self_wh AS "cleanSelfWh",
  settlement.from_neighbors_wh AS "fromNeighborsWh",
  settlement.clean_from_neighbors_wh AS "cleanFromNeighborsWh",
  settlement.to_neighbors_wh AS "toNeighborsWh", settlement.from_grid_wh AS "fromGridWh",
  settlement.to_grid_wh AS "toGridWh", settlement.unexplained_use_wh AS "unexplainedUseWh",
  settlement.sold_wh AS "soldWh", settlement.bought_wh AS "boughtWh",
  settlement.imbalance_wh AS "imbalanceWh", settlement.neighbor_micro AS "neighborMicro",
  settlement.fee_micro AS "feeMicro", settlement.utility_micro AS "utilityMicro",
  settlement.net_micro AS "netMicro", settlement.tariff_micro AS "tariffMicro",
  settlement.quality, settlement.revision, settlement.sequence`;

/** A settlement is the one of its highest revision. */
const IS_CURRENT = `NOT EXISTS (
    SELECT FROM settlement later
    WHERE later.microgrid_id = settlement.microgrid_id
      AND later.slot_start = settlement.slot_start
      AND later.household_id = settlement.household_id
      AND later.revision > settlement.revision)`;

export const SETTLEMENTS_OF_HOUSEHOLD = `
  SELECT ${SETTLEMENT_FIELDS} FROM settlement
  WHERE settlement.microgrid_id = $1 AND settlement.household_id = $2
    AND ($3::timestamptz IS NULL OR settlement.slot_start >= $3)
    AND ($4::timestamptz IS NULL OR settlement.slot_start < $4)
    AND ($5::timestamptz IS NULL OR settlement.slot_start < $5)
    AND ${IS_CURRENT}
  ORDER BY settlement.slot_start DESC LIMIT $6`;

/** Settlements of a household with what its trades in each slot add up to, oldest first. */
export const BILL_LINES = `
  SELECT ${SETTLEMENT_FIELDS}, traded.trades, traded.firm AS "firmTrades",
    traded.bought_micro AS "boughtMicro", traded.earned_micro AS "earnedMicro"
  FROM settlement
  JOIN slot ON slot.microgrid_id = settlement.microgrid_id AND slot.slot_start = settlement.slot_start
  CROSS JOIN LATERAL (
    SELECT count(*) AS trades, count(*) FILTER (WHERE firm) AS firm,
      coalesce(sum(cost_micro) FILTER (WHERE buyer_id = $2), 0)::bigint AS bought_micro,
      coalesce(sum(proceeds_micro) FILTER (WHERE seller_id = $2), 0)::bigint AS earned_micro
    FROM trade_settlement one
    WHERE one.microgrid_id = settlement.microgrid_id AND one.slot_start = settlement.slot_start
      AND one.revision = slot.revision AND $2 IN (one.buyer_id, one.seller_id)) traded
  WHERE settlement.microgrid_id = $1 AND settlement.household_id = $2
    AND settlement.slot_start >= $3 AND settlement.slot_start < $4
    AND ($5::timestamptz IS NULL OR settlement.slot_start > $5) AND ${IS_CURRENT}
  ORDER BY settlement.slot_start LIMIT $6`;

export const SETTLEMENTS_OF_SLOT = `
  SELECT ${SETTLEMENT_FIELDS} FROM settlement
  WHERE settlement.microgrid_id = $1 AND settlement.slot_start = $2 AND ${IS_CURRENT}
  ORDER BY settlement.household_id`;

/** Records of earlier true-ups at a border. */
export const TRUE_UPS_AT_BORDER = `
  SELECT sequence FROM true_up
  WHERE microgrid_id = $1 AND household_id = ANY ($2::text[]) AND border_at = $3`;

/** True-ups of a household, each behind the last slot in which it was a member until it was booked. */
const TRUE_UPS_BEHIND_SLOTS = `
  true_up CROSS JOIN LATERAL (
    SELECT max(slot_start) AS slot FROM settlement
    WHERE settlement.microgrid_id = true_up.microgrid_id
      AND settlement.household_id = true_up.household_id
      AND settlement.slot_start <= true_up.booked_at) behind
  WHERE true_up.microgrid_id = $1 AND true_up.household_id = $2`;

export const TRUE_UPS_IN_SLOTS = `
  SELECT behind.slot, border_at AS border, booked_at AS at, sequence, import_wh AS "importWh",
    export_wh AS "exportWh", retail_micro_per_kwh AS "retailMicroPerKwh",
    feed_in_micro_per_kwh AS "feedInMicroPerKwh", (-import_micro)::bigint AS "importMicro",
    export_micro AS "exportMicro", net_micro AS "netMicro"
  FROM ${TRUE_UPS_BEHIND_SLOTS} AND behind.slot = ANY ($3::timestamptz[])
  ORDER BY sequence`;

/** Sums of the true-ups behind slots in [$3, $4). */
export const TRUE_UP_SUMS = `
  SELECT count(*)::bigint AS records, coalesce(sum(import_wh), 0)::bigint AS "importWh",
    coalesce(sum(export_wh), 0)::bigint AS "exportWh",
    coalesce(sum(net_micro), 0)::bigint AS "netMicro"
  FROM ${TRUE_UPS_BEHIND_SLOTS} AND behind.slot >= $3 AND behind.slot < $4`;

export const INSERT_TRUE_UPS = `
  INSERT INTO true_up (microgrid_id, border_at, revision, booked_at, retail_micro_per_kwh,
    feed_in_micro_per_kwh, sequence, household_id, import_wh, export_wh, generated_wh, charged_wh,
    discharged_wh, consumption_wh, unexplained_wh, import_micro, export_micro, net_micro)
  SELECT $1, $2::timestamptz, $3::smallint, $4::timestamptz, $5::bigint, $6::bigint, * FROM unnest(
    $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
    $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[])`;

export const RECORD_SEQUENCES_OF_SLOT = `
  SELECT sequence FROM settlement WHERE microgrid_id = $1 AND slot_start = $2
  UNION SELECT sequence FROM trade_settlement WHERE microgrid_id = $1 AND slot_start = $2
  UNION SELECT unnest(correction_sequences) FROM slot WHERE microgrid_id = $1 AND slot_start = $2`;

/** Manifests of days in which something was opened to everyone, up to a checkpoint. */
export const OPENED_MANIFESTS = `
  SELECT head.sequence
  FROM record_head head JOIN record_body body USING (microgrid_id, sequence)
  WHERE head.microgrid_id = $1 AND head.kind = 'manifest' AND head.sequence > $2
    AND head.sequence <= $3
    AND convert_from(body.bytes, 'UTF8')::jsonb #> '{facts,opened}' <> '[]'
  ORDER BY head.sequence LIMIT $4`;

export const MANIFESTS = `
  SELECT sequence FROM record_head
  WHERE microgrid_id = $1 AND sequence > $2 AND kind = $3 AND sequence <= $4
  ORDER BY sequence LIMIT $5`;

export const MANIFEST_STATE = `SELECT state FROM manifest_state WHERE microgrid_id = $1`;

export const KEEP_MANIFEST_STATE = `
  INSERT INTO manifest_state (microgrid_id, state) VALUES ($1, $2)
  ON CONFLICT (microgrid_id) DO UPDATE SET state = excluded.state`;

/** The records of a household's trades of a slot, as they were settled when it closed. */
export const TRADES_OF_HOUSEHOLD = `
  SELECT sequence FROM trade_settlement
  WHERE microgrid_id = $1 AND slot_start = $2 AND revision = 0 AND $3 IN (buyer_id, seller_id)
  ORDER BY sequence`;

/**
 * What corrections changed for a household in these slots: by how much, and whose readings were
 * late, as the last record of each correction says.
 */
export const CORRECTIONS_IN_SLOTS = `
  SELECT corrected.slot_start AS slot, corrected.revision, head.at,
    corrected.net_micro - coalesce(earlier.net_micro, 0) AS "changedMicro",
    late.households @> to_jsonb($2::text) AS own,
    coalesce((
      SELECT array_agg(neighbor.alias ORDER BY neighbor.alias)
      FROM household neighbor
      WHERE neighbor.microgrid_id = $1 AND neighbor.household_id <> $2
        AND late.households @> to_jsonb(neighbor.household_id::text)), '{}') AS neighbors
  FROM settlement corrected
  JOIN slot ON slot.microgrid_id = corrected.microgrid_id
    AND slot.slot_start = corrected.slot_start
  JOIN record_head head ON head.microgrid_id = corrected.microgrid_id
    AND head.sequence = corrected.sequence
  JOIN record_body closing ON closing.microgrid_id = corrected.microgrid_id
    AND closing.sequence = slot.correction_sequences[corrected.revision]
  CROSS JOIN LATERAL (
    SELECT coalesce(convert_from(closing.bytes, 'UTF8')::jsonb #> '{facts,late}', '[]') AS households
  ) late
  LEFT JOIN LATERAL (
    SELECT before.net_micro FROM settlement before
    WHERE before.microgrid_id = corrected.microgrid_id
      AND before.slot_start = corrected.slot_start
      AND before.household_id = corrected.household_id
      AND before.revision < corrected.revision
    ORDER BY before.revision DESC LIMIT 1
  ) earlier ON true
  WHERE corrected.microgrid_id = $1 AND corrected.household_id = $2 AND corrected.revision > 0
    AND corrected.slot_start = ANY ($3::timestamptz[])
  ORDER BY corrected.slot_start, corrected.revision`;

/** With whom a household traded in these slots, by alias. */
export const NEIGHBORS_IN_SLOTS = `
  SELECT traded.slot_start AS slot, neighbor.alias,
    CASE WHEN traded.buyer_id = $2 THEN 'bought' ELSE 'sold' END AS side,
    sum(traded.settled_wh)::bigint AS "energyWh",
    sum(CASE WHEN traded.buyer_id = $2 THEN traded.cost_micro ELSE traded.proceeds_micro END)::bigint
      AS micro
  FROM trade_settlement traded
  JOIN slot ON slot.microgrid_id = traded.microgrid_id AND slot.slot_start = traded.slot_start
    AND slot.revision = traded.revision
  JOIN household neighbor ON neighbor.microgrid_id = traded.microgrid_id
    AND neighbor.household_id =
      CASE WHEN traded.buyer_id = $2 THEN traded.seller_id ELSE traded.buyer_id END
  WHERE traded.microgrid_id = $1 AND traded.slot_start = ANY ($3::timestamptz[])
    AND $2 IN (traded.buyer_id, traded.seller_id) AND traded.settled_wh > 0
  GROUP BY 1, 2, 3 ORDER BY 1, 3, 2`;

const RANK = (quality: string) =>
  `array_position(ARRAY['measured', 'interpolated', 'estimated', 'missing'], ${quality})`;

/**
 * Sums per household and quality. What was claimed from neighbors is no better than the worst of the
 * readings behind it: the household's own, and those of whom it claimed from in the slot.
 */
export const ENERGY_BY_QUALITY = `
  WITH line AS MATERIALIZED (
    SELECT slot_start, household_id, quality, produced_wh, used_wh, clean_self_wh,
      clean_from_neighbors_wh
    FROM settlement
    WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3 AND ${IS_CURRENT}
  ), behind AS (
    SELECT traded.slot_start, traded.buyer_id AS household_id, max(${RANK('line.quality')}) AS rank
    FROM line
    JOIN trade_settlement traded ON traded.microgrid_id = $1
      AND traded.slot_start = line.slot_start AND traded.seller_id = line.household_id
    JOIN slot ON slot.microgrid_id = $1 AND slot.slot_start = traded.slot_start
      AND slot.revision = traded.revision
    WHERE line.quality <> 'measured' AND traded.claimed_wh > 0
      AND traded.slot_start >= $2 AND traded.slot_start < $3
    GROUP BY traded.slot_start, traded.buyer_id
  )
  SELECT household_id AS "householdId", quality,
    (ARRAY['measured', 'interpolated', 'estimated', 'missing'])
      [greatest(${RANK('quality')}, rank)] AS "neighborQuality",
    sum(produced_wh)::bigint AS "producedWh", sum(used_wh)::bigint AS "usedWh",
    sum(clean_self_wh)::bigint AS "cleanSelfWh",
    sum(clean_from_neighbors_wh)::bigint AS "cleanFromNeighborsWh"
  FROM line LEFT JOIN behind USING (slot_start, household_id)
  GROUP BY 1, 2, 3 ORDER BY household_id`;

export const SETTLEMENT_TOTALS = `
  SELECT count(*)::bigint AS lines, count(DISTINCT settlement.slot_start)::bigint AS slots,
    count(DISTINCT settlement.household_id)::bigint AS households,
    coalesce(sum(produced_wh), 0)::bigint AS "productionMintedWh",
    coalesce(sum(consumed_wh), 0)::bigint AS "consumptionMintedWh",
    coalesce(sum(self_wh), 0)::bigint AS "selfClaimedWh",
    coalesce(sum(from_neighbors_wh), 0)::bigint AS "neighborClaimedWh",
    coalesce(sum(to_grid_wh), 0)::bigint AS "toGridWh",
    coalesce(sum(from_grid_wh), 0)::bigint AS "fromGridWh",
    coalesce(sum(unexplained_use_wh), 0)::bigint AS "unexplainedWh",
    coalesce(sum(net_micro), 0)::bigint AS "netMicro",
    coalesce(sum(tariff_micro), 0)::bigint AS "tariffMicro"
  FROM settlement
  WHERE microgrid_id = $1 AND ($2::text IS NULL OR household_id = $2)
    AND ($3::timestamptz IS NULL OR slot_start >= $3)
    AND ($4::timestamptz IS NULL OR slot_start < $4) AND ${IS_CURRENT}`;

/** A household's slots of [$3, $4) by quality, from the best on. */
export const TOTALS_BY_QUALITY = `
  SELECT settlement.quality, count(*)::bigint AS slots, sum(produced_wh)::bigint AS "producedWh",
    sum(consumed_wh)::bigint AS "consumedWh"
  FROM settlement
  WHERE microgrid_id = $1 AND household_id = $2 AND slot_start >= $3 AND slot_start < $4
    AND ${IS_CURRENT}
  GROUP BY settlement.quality ORDER BY ${RANK('settlement.quality')}`;

export const TRADE_TOTALS = `
  SELECT count(*)::bigint AS trades, coalesce(sum(traded.settled_wh), 0)::bigint AS "tradedWh"
  FROM trade_settlement traded
  JOIN slot ON slot.microgrid_id = traded.microgrid_id AND slot.slot_start = traded.slot_start
    AND slot.revision = traded.revision
  WHERE traded.microgrid_id = $1`;

/** What each household paid in all, and what it would have by the tariff; by id, after $2. */
export const BILLS = `
  SELECT billed.household, (-billed.net - later.micro)::bigint AS "costMicro",
    (-billed.tariff - later.micro)::bigint AS "tariffCostMicro", billed."withGridWh"
  FROM (
    SELECT settlement.household_id AS household, coalesce(sum(net_micro), 0)::bigint AS net,
      coalesce(sum(tariff_micro), 0)::bigint AS tariff,
      coalesce(sum(abs(imbalance_wh)), 0)::bigint AS "withGridWh"
    FROM settlement
    WHERE microgrid_id = $1 AND settlement.household_id COLLATE "C" > $2 AND ${IS_CURRENT}
    GROUP BY settlement.household_id ORDER BY settlement.household_id COLLATE "C" LIMIT $3) billed
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(net_micro), 0)::bigint AS micro FROM true_up
    WHERE microgrid_id = $1 AND household_id = billed.household) later
  ORDER BY billed.household COLLATE "C"`;
