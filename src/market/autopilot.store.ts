/** SQL of the autopilot: a slot of a microgrid at a time. */

export const STRATEGY_OF_HOUSEHOLD = `
  SELECT strategy, enabled, valid_from AS "validFrom", plan
  FROM household_strategy WHERE microgrid_id = $1 AND household_id = $2`;

/** Another strategy starts without what the last one remembered. */
export const SET_STRATEGY = `
  INSERT INTO household_strategy AS held (microgrid_id, household_id, strategy, enabled, valid_from)
  VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (microgrid_id, household_id) DO UPDATE SET
    strategy = excluded.strategy, enabled = excluded.enabled, valid_from = excluded.valid_from,
    state = CASE WHEN held.strategy = excluded.strategy THEN held.state ELSE '{}' END,
    plan = '[]'`;

/** Null while no household has it on. */
export const NEXT_SLOT = `
  SELECT CASE WHEN min(valid_from) IS NOT NULL THEN greatest(min(valid_from), (
    SELECT quoted_through + make_interval(mins => $2::integer) FROM autopilot
    WHERE microgrid_id = $1)) END AS "slotStart"
  FROM household_strategy WHERE microgrid_id = $1 AND enabled`;

export const QUOTED_THROUGH = `
  INSERT INTO autopilot AS pilot (microgrid_id, quoted_through) VALUES ($1, $2)
  ON CONFLICT (microgrid_id) DO UPDATE SET quoted_through = excluded.quoted_through
  WHERE pilot.quoted_through < excluded.quoted_through`;

/** Who has it on in a slot and has placed no order of its own for it. */
export const PILOTED = `
  SELECT household_id AS "householdId", strategy, state
  FROM household_strategy
  WHERE microgrid_id = $1 AND enabled AND valid_from <= $2 AND NOT EXISTS (
    SELECT FROM market_order
    WHERE market_order.microgrid_id = $1 AND slot_start = $2 AND status <> 'cancelled'
      AND market_order.household_id = household_strategy.household_id)
  ORDER BY household_id COLLATE "C"`;

/** How each household's latest orders of its autopilot fared, of those whose gate has been cleared. */
export const LAST_OUTCOMES = `
  WITH latest AS (
    SELECT household_id, max(slot_start) AS slot_start FROM market_order
    WHERE microgrid_id = $1 AND placed_by = household_id
      AND status IN ('filled', 'partly-filled', 'unfilled')
      AND slot_start >= $3 AND slot_start < $2
    GROUP BY household_id
  ), price AS (
    SELECT slot_start, max(seller_price_micro_per_kwh) AS micro FROM trade
    WHERE microgrid_id = $1 AND revision = 0 AND slot_start IN (SELECT slot_start FROM latest)
    GROUP BY slot_start
  )
  SELECT household_id AS "householdId", slot_start AS slot, min(side) AS side,
    min(price_micro_per_kwh) AS "priceMicroPerKwh", sum(energy_wh)::bigint AS "energyWh",
    sum(filled_wh)::bigint AS "filledWh", min(price.micro) AS "clearingMicroPerKwh"
  FROM market_order JOIN latest USING (household_id, slot_start) LEFT JOIN price USING (slot_start)
  WHERE microgrid_id = $1 AND placed_by = household_id
    AND status IN ('filled', 'partly-filled', 'unfilled')
  GROUP BY household_id, slot_start`;

export const INSERT_ORDERS = `
  INSERT INTO market_order (microgrid_id, slot_start, order_id, household_id, placed_by, side,
    energy_wh, price_micro_per_kwh, delivery, status, idempotency_key, request_hash, hold_id, sequence)
  SELECT $1, $2, id, household, household, side, energy, price, delivery, 'open', key, hash, hold,
    sequence
  FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
    $9::text[], $10::bytea[], $11::text[], $12::bigint[])
    AS placed (id, household, side, energy, price, delivery, key, hash, hold, sequence)`;

export const REMEMBER = `
  UPDATE household_strategy SET state = told.state::jsonb, plan = told.plan::jsonb
  FROM unnest($2::text[], $3::text[], $4::text[]) AS told (household_id, state, plan)
  WHERE household_strategy.microgrid_id = $1
    AND household_strategy.household_id = told.household_id`;

/** What the autopilot has in the book for a household, from a slot on. */
export const OPEN_OF_PILOT = `
  SELECT microgrid_id AS microgrid, household_id AS household, order_id AS id, slot_start AS slot,
    side, energy_wh AS "energyWh", price_micro_per_kwh AS "priceMicroPerKwh", delivery,
    hold_id AS "holdId", filled_wh AS "filledWh"
  FROM market_order
  WHERE microgrid_id = $1 AND household_id = $2 AND placed_by = $2 AND status = 'open'
    AND slot_start >= $3
  ORDER BY slot_start, order_id`;

export const TAKE_BACK = `
  UPDATE market_order SET status = 'cancelled'
  WHERE microgrid_id = $1 AND order_id = ANY ($2::text[]) AND status = 'open' RETURNING order_id`;
