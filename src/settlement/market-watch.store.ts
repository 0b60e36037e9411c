/** SQL of the market watch: a window of closed slots at a time. */

/** The next day to look at; none while it has not closed. */
export const NEXT_DAY = `
  SELECT "from", "from" + interval '1 day' AS until
  FROM (
    SELECT coalesce(watched_through, date_trunc('day', starts_at, 'UTC')) AS "from"
    FROM microgrid LEFT JOIN market_watch USING (microgrid_id) WHERE microgrid_id = $1) next
  WHERE "from" + interval '1 day' <= (
    SELECT max(slot_end) FROM slot
    WHERE microgrid_id = $1 AND status IN ('closed', 'quarantined'))`;

export const WATCHED = `
  INSERT INTO market_watch (microgrid_id, watched_through) VALUES ($1, $3)
  ON CONFLICT (microgrid_id) DO UPDATE SET watched_through = excluded.watched_through
  WHERE market_watch.watched_through = $2`;

export const DEALINGS = `
  SELECT seller_id AS seller, buyer_id AS buyer, sum(energy_wh)::bigint AS "energyWh",
    count(DISTINCT slot_start)::integer AS slots
  FROM trade JOIN traded_slot USING (microgrid_id, slot_start, revision)
  WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
  GROUP BY seller_id, buyer_id`;

/** Whoever could act for more than one household in the window. */
export const OWNERS = `
  SELECT person_id AS person, array_agg(DISTINCT household_id::text) AS households
  FROM person_grant
  WHERE microgrid_id = $1 AND role = 'household' AND valid_from < $3
    AND (valid_until IS NULL OR valid_until > $2)
  GROUP BY person_id HAVING count(DISTINCT household_id) > 1`;

export const STREET_HOUSEHOLDS = `
  SELECT count(DISTINCT household_id)::integer AS households FROM settlement
  WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3`;

/** The largest trades of each of these pairs. */
export const LARGEST_TRADES = `
  SELECT seller, buyer, slot, number, "tradeId", "energyWh"
  FROM (
    SELECT seller_id AS seller, buyer_id AS buyer, slot_start AS slot, number,
      trade_id AS "tradeId", energy_wh AS "energyWh",
      row_number() OVER (PARTITION BY seller_id, buyer_id
        ORDER BY energy_wh DESC, slot_start, number) AS place
    FROM trade JOIN traded_slot USING (microgrid_id, slot_start, revision)
    JOIN unnest($4::text[], $5::text[]) AS pair (seller, buyer)
      ON seller_id = pair.seller AND buyer_id = pair.buyer
    WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
  ) ranked WHERE place <= $6
  ORDER BY seller, buyer, place`;

/** Orders of slots that were cleared ahead. */
export const ORDERS = `
  SELECT slot_start AS slot, order_id AS id, household_id AS household, side,
    price_micro_per_kwh AS price, energy_wh AS "energyWh"
  FROM market_order
  WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
    AND status IN ('filled', 'partly-filled', 'unfilled')
  ORDER BY slot_start, order_id`;

/**
 * What households had and lacked in slots cleared at their close, with the limits that held; nothing
 * where nobody ever set one.
 */
export const STANDING = `
  SELECT DISTINCT ON (slot_start, household_id) slot_start AS slot, household_id AS household,
    to_neighbors_wh + to_grid_wh AS "toSellWh", from_neighbors_wh + from_grid_wh AS "toBuyWh",
    "sellAbove", "buyBelow"
  FROM settlement LEFT JOIN LATERAL (
    SELECT sell_above_micro_per_kwh AS "sellAbove", buy_below_micro_per_kwh AS "buyBelow"
    FROM standing_order
    WHERE standing_order.microgrid_id = settlement.microgrid_id
      AND standing_order.household_id = settlement.household_id
      AND valid_from <= slot_start
    ORDER BY valid_from DESC LIMIT 1) limits ON true
  WHERE microgrid_id = $1 AND slot_start >= $2 AND slot_start < $3
    AND EXISTS (
      SELECT FROM standing_order
      WHERE standing_order.microgrid_id = $1 AND valid_from < $3
        AND (sell_above_micro_per_kwh IS NOT NULL OR buy_below_micro_per_kwh IS NOT NULL))
  ORDER BY slot_start, household_id, revision DESC`;

/** What was told within the last week as severely is not told again. */
export const INSERT_ALARMS = `
  INSERT INTO market_alarm (microgrid_id, alarm_id, kind, severity, from_slot, until_slot,
    households, street_households, reason, evidence)
  SELECT $1::text, alarm_id, kind, severity, from_slot, until_slot,
    (SELECT array_agg(household) FROM jsonb_array_elements_text(households) AS household)::text[],
    $2, reason, evidence
  FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
    $8::jsonb[], $9::text[], $10::jsonb[])
    AS told (alarm_id, kind, severity, from_slot, until_slot, households, reason, evidence)
  WHERE NOT EXISTS (
    SELECT FROM market_alarm earlier
    WHERE earlier.microgrid_id = $1::text AND earlier.kind = told.kind
      AND to_jsonb(earlier.households) = told.households
      AND earlier.until_slot > told.until_slot - interval '7 days'
      AND earlier.until_slot < told.until_slot
      AND array_position(ARRAY['notice', 'warning', 'serious'], earlier.severity)
        >= array_position(ARRAY['notice', 'warning', 'serious'], told.severity))
  ON CONFLICT DO NOTHING`;

/** Newest first, after the position ($2, $3). */
export const ALARMS = `
  SELECT alarm_id AS alarm, kind, severity, from_slot AS "from", until_slot AS until,
    households::text[] AS households, reason, evidence
  FROM market_alarm
  WHERE microgrid_id = $1 AND ($2::timestamptz IS NULL OR (until_slot, alarm_id) < ($2, $3::text))
  ORDER BY until_slot DESC, alarm_id DESC LIMIT $4`;

/** Of months that are over, on streets of at least $3 households; with what makes the pseudonyms. */
export const ALARMS_OF_MONTHS = `
  SELECT kind, severity, to_char(until_slot AT TIME ZONE 'UTC' - interval '1 microsecond', 'YYYY-MM')
      AS month,
    households::text[] AS households, evidence, pseudonym_key AS "pseudonymKey"
  FROM market_alarm JOIN market_watch USING (microgrid_id)
  WHERE microgrid_id = $1 AND street_households >= $3
    AND until_slot <= date_trunc('month', $2::timestamptz, 'UTC')
  ORDER BY month DESC, kind, severity, alarm_id LIMIT $4`;
