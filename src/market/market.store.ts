/** SQL of the market: orders, standing orders and trades; a slot at a time. */

const ORDER = `
  market_order.microgrid_id AS microgrid, household_id AS household, order_id AS id,
  slot_start AS slot, side, energy_wh AS "energyWh", price_micro_per_kwh AS "priceMicroPerKwh",
  delivery, status, filled_wh AS "filledWh", hold_id AS "holdId", sequence`;
const SHOWN_ORDER = `${ORDER}, time_in_force AS "timeInForce"`;

/** Lower is better, on either side. */
const MERIT = `(CASE side WHEN 'bid' THEN -price_micro_per_kwh ELSE price_micro_per_kwh END)`;

/** The households and the slots of them, [from, until), that a caller may see: $1 to $4. */
const REACH = `unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
    AS reach (microgrid_id, household_id, from_slot, until_slot)`;
const WITHIN_REACH = `
    market_order.microgrid_id = reach.microgrid_id
    AND market_order.household_id = reach.household_id
    AND (from_slot IS NULL OR slot_start >= from_slot)
    AND (until_slot IS NULL OR slot_start < until_slot)`;
const ORDER_IN_REACH = SHOWN_ORDER.replace('household_id AS', 'market_order.household_id AS');

export const ORDER_BY_ID = `
  SELECT ${SHOWN_ORDER}, request_hash AS "requestHash"
  FROM market_order WHERE microgrid_id = $1 AND order_id = $2`;

export const REACHABLE_ORDER = `
  SELECT ${ORDER_IN_REACH}
  FROM market_order JOIN ${REACH} ON ${WITHIN_REACH}
  WHERE market_order.microgrid_id = ANY ($1::text[]) AND order_id = $5`;

/** Newest first, after the position ($7, $8); $5 and $6 narrow to a slot and a status. */
export const REACHABLE_ORDERS = `
  SELECT ${ORDER_IN_REACH}
  FROM market_order JOIN ${REACH} ON ${WITHIN_REACH}
  WHERE ($5::timestamptz IS NULL OR slot_start = $5)
    AND ($6::text IS NULL OR status = $6)
    AND ($7::bigint IS NULL OR (sequence, order_id) < ($7, $8::text))
  ORDER BY sequence DESC, order_id DESC LIMIT $9`;

export const OPEN_OF_HOUSEHOLD = `
  SELECT side, energy_wh - filled_wh AS "energyWh" FROM market_order
  WHERE microgrid_id = $1 AND slot_start = $2 AND status = 'open' AND household_id = $3`;

/** What a household has bought and sold for a slot already. */
export const TRADED_BY_HOUSEHOLD = `
  SELECT coalesce(sum(energy_wh) FILTER (WHERE buyer_id = $3), 0)::bigint AS bid,
    coalesce(sum(energy_wh) FILTER (WHERE seller_id = $3), 0)::bigint AS ask
  FROM trade WHERE microgrid_id = $1 AND slot_start = $2 AND revision = 0`;

/** The best orders of a side within a price: $4 is the price, a bid's with its sign turned. */
export const BEST_IN_BOOK = `
  SELECT ${ORDER} FROM market_order
  WHERE microgrid_id = $1 AND slot_start = $2 AND side = $3 AND status = 'open'
    AND ${MERIT} <= $4
  ORDER BY ${MERIT}, sequence LIMIT $5`;

/** In the order of arrival. */
export const BOOK_OF_SLOT = `
  SELECT ${ORDER} FROM market_order
  WHERE microgrid_id = $1 AND slot_start = $2 AND status = 'open' ORDER BY sequence`;

export const OPEN_OF_SLOT = `
  SELECT ${ORDER}, (
      SELECT feeder FROM household
      WHERE household.microgrid_id = market_order.microgrid_id
        AND household.household_id = market_order.household_id) AS feeder
  FROM market_order WHERE microgrid_id = $1 AND slot_start = $2 AND status = 'open'
  ORDER BY order_id`;

/** Every order that came to the book of a slot; one taken back as far as it had traded. */
export const ORDERS_OF_SLOT = `
  SELECT ${SHOWN_ORDER}, (
      SELECT feeder FROM household
      WHERE household.microgrid_id = market_order.microgrid_id
        AND household.household_id = market_order.household_id) AS feeder
  FROM market_order WHERE microgrid_id = $1 AND slot_start = $2
    AND (status <> 'cancelled' OR filled_wh > 0)
  ORDER BY order_id`;

export const INSERT_ORDER = `
  INSERT INTO market_order (microgrid_id, order_id, household_id, slot_start, side, energy_wh,
    price_micro_per_kwh, delivery, time_in_force, status, idempotency_key, request_hash, hold_id,
    sequence, placed_by)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $14, 'open', $9, $10, $11, $12, $13)`;

export const CANCEL_ORDER = `
  UPDATE market_order SET status = 'cancelled'
  WHERE microgrid_id = $1 AND order_id = $2 AND status = 'open' RETURNING order_id`;

export const SERVE_ORDERS = `
  UPDATE market_order SET status = served.status, filled_wh = served.filled_wh
  FROM unnest($2::text[], $3::text[], $4::bigint[]) AS served (order_id, status, filled_wh)
  WHERE market_order.microgrid_id = $1 AND market_order.order_id = served.order_id
    AND market_order.status = 'open'
  RETURNING market_order.order_id`;

/** What became of orders that met others. */
export const MATCH_ORDERS = `
  UPDATE market_order SET status = matched.status, filled_wh = matched.filled_wh,
    hold_id = matched.hold_id
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
    AS matched (order_id, status, filled_wh, hold_id)
  WHERE market_order.microgrid_id = $1 AND market_order.order_id = matched.order_id
    AND market_order.status = 'open'
  RETURNING market_order.order_id`;

export const ORDER_BOOK = `
  SELECT side, price_micro_per_kwh AS "priceMicroPerKwh",
    sum(energy_wh - filled_wh)::bigint AS "energyWh"
  FROM market_order WHERE microgrid_id = $1 AND slot_start = $2 AND status = 'open'
  GROUP BY side, price_micro_per_kwh
  ORDER BY side, ${MERIT}`;

export const TRADED_SLOT = `
  SELECT revision, gate_sequence AS "gateSequence" FROM traded_slot
  WHERE microgrid_id = $1 AND slot_start = $2`;

/** A gate that was cleared, read back from the trades it made. */
export const GATE = `
  SELECT gate_sequence AS sequence, CASE WHEN min(seller_price_micro_per_kwh) = max(seller_price_micro_per_kwh)
      THEN max(seller_price_micro_per_kwh) END AS "clearingPrice",
    coalesce(sum(energy_wh), 0)::bigint AS "tradedWh"
  FROM traded_slot LEFT JOIN trade ON trade.microgrid_id = traded_slot.microgrid_id
    AND trade.slot_start = traded_slot.slot_start AND trade.revision = 0
  WHERE traded_slot.microgrid_id = $1 AND traded_slot.slot_start = $2
    AND gate_sequence IS NOT NULL
  GROUP BY gate_sequence`;

/** Under `continuous` the row may stand since its first trade. */
export const CLEAR_GATE = `
  INSERT INTO traded_slot (microgrid_id, slot_start, gate_sequence) VALUES ($1, $2, $3)
  ON CONFLICT (microgrid_id, slot_start) DO UPDATE SET gate_sequence = excluded.gate_sequence
  WHERE traded_slot.gate_sequence IS NULL`;

export const BEGIN_TRADING = `
  INSERT INTO traded_slot (microgrid_id, slot_start) VALUES ($1, $2) ON CONFLICT DO NOTHING`;

/** The trades made before a slot's gate: how far they are numbered, and what they come to. */
export const TRADED_AHEAD = `
  SELECT coalesce(max(number), 0) AS "lastTrade", coalesce(sum(energy_wh), 0)::bigint AS "tradedWh",
    CASE WHEN min(seller_price_micro_per_kwh) = max(seller_price_micro_per_kwh)
      THEN max(seller_price_micro_per_kwh) END AS "clearingPrice"
  FROM trade WHERE microgrid_id = $1 AND slot_start = $2 AND revision = 0`;

export const COUNT_REVISION = `
  INSERT INTO traded_slot (microgrid_id, slot_start, revision) VALUES ($1, $2, $3)
  ON CONFLICT (microgrid_id, slot_start)
  DO UPDATE SET revision = excluded.revision WHERE traded_slot.revision <= excluded.revision
  RETURNING revision`;

export const INSERT_TRADES = `
  INSERT INTO trade (microgrid_id, slot_start, revision, number, trade_id, buyer_id, seller_id,
    bid_id, ask_id, energy_wh, buyer_price_micro_per_kwh, seller_price_micro_per_kwh,
    congestion_micro_per_kwh, firm, hold_id, sequence)
  SELECT $1, $2, $3, * FROM unnest($4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::boolean[],
    $15::text[], $16::bigint[])`;

const TRADE = `
  number, trade.revision, trade_id AS "tradeId", buyer_id AS buyer, seller_id AS seller,
  bid_id AS "bidId", ask_id AS "askId", energy_wh AS "energyWh",
  buyer_price_micro_per_kwh AS "buyerPriceMicroPerKwh",
  seller_price_micro_per_kwh AS "sellerPriceMicroPerKwh",
  congestion_micro_per_kwh AS "congestionMicroPerKwh", firm, hold_id AS "holdId", sequence`;

export const TRADES_OF_SLOT = `
  SELECT ${TRADE}
  FROM trade JOIN traded_slot USING (microgrid_id, slot_start, revision)
  WHERE microgrid_id = $1 AND slot_start = $2 ORDER BY number`;

/** Newest first, after the position ($2, $3). */
export const TAPE = `
  SELECT trade_id AS trade, sequence, slot_start AS slot, number, energy_wh AS "energyWh",
    seller_price_micro_per_kwh AS "priceMicroPerKwh"
  FROM trade JOIN traded_slot USING (microgrid_id, slot_start, revision)
  WHERE microgrid_id = $1
    AND ($2::timestamptz IS NULL OR (slot_start, number) < ($2, $3::integer))
  ORDER BY slot_start DESC, number DESC LIMIT $4`;

export const STANDING_ORDERS = `
  SELECT DISTINCT ON (household_id) household_id AS "householdId",
    sell_above_micro_per_kwh AS "sellAbove", buy_below_micro_per_kwh AS "buyBelow",
    wishes::jsonb AS wishes
  FROM standing_order WHERE microgrid_id = $1 AND valid_from <= $2
  ORDER BY household_id, valid_from DESC`;

export const LATEST_LIMITS = `
  SELECT valid_from AS "validFrom", sell_above_micro_per_kwh AS "sellAboveMicroPerKwh",
    buy_below_micro_per_kwh AS "buyBelowMicroPerKwh", wishes::jsonb AS wishes
  FROM standing_order WHERE microgrid_id = $1 AND household_id = $2
  ORDER BY valid_from DESC LIMIT 1`;

/** A second change within one slot replaces the first, which never came to count. */
export const SET_LIMITS = `
  INSERT INTO standing_order (microgrid_id, household_id, valid_from, sell_above_micro_per_kwh,
    buy_below_micro_per_kwh, wishes, sequence)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (microgrid_id, household_id, valid_from) DO UPDATE SET
    sell_above_micro_per_kwh = excluded.sell_above_micro_per_kwh,
    buy_below_micro_per_kwh = excluded.buy_below_micro_per_kwh, wishes = excluded.wishes,
    sequence = excluded.sequence`;

/** With orders that are open, or trades made before the gate. */
export const EARLIEST_OPEN_SLOT = `
  SELECT least((
    SELECT min(slot_start) FROM market_order
    WHERE microgrid_id = $1 AND status = 'open' AND slot_start <> ALL ($2::timestamptz[])
  ), (
    SELECT min(slot_start) FROM traded_slot
    WHERE microgrid_id = $1 AND gate_sequence IS NULL AND slot_start <> ALL ($2::timestamptz[])
  )) AS "slotStart"`;

export const AWAITS_GATE = `
  SELECT EXISTS (
    SELECT FROM market_order
    WHERE microgrid_id = $1 AND slot_start = $2 AND status = 'open') OR EXISTS (
    SELECT FROM traded_slot
    WHERE microgrid_id = $1 AND slot_start = $2 AND gate_sequence IS NULL) AS awaits`;

export const ORDER_COUNT = `
  SELECT count(*)::bigint AS orders FROM market_order WHERE microgrid_id = $1`;
