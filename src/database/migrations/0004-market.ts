import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Standing limits, orders and the trades they become. */
export class Market0004 implements MigrationInterface {
  name = 'Market0004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MARKET);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const MARKET = `
-- A household's standing order from a slot on; without a row its limits are the tariffs.
CREATE TABLE standing_order (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  valid_from timestamptz NOT NULL,
  sell_above_micro_per_kwh safe_integer CHECK (sell_above_micro_per_kwh >= 0),
  buy_below_micro_per_kwh safe_integer CHECK (buy_below_micro_per_kwh >= 0),
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, household_id, valid_from),
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household
);

CREATE TABLE market_order (
  microgrid_id ident NOT NULL,
  order_id text NOT NULL CHECK (order_id ~ '^[0-9a-f]{32}$'),
  household_id ident NOT NULL,
  slot_start timestamptz NOT NULL,
  side text NOT NULL CHECK (side IN ('bid', 'ask')),
  energy_wh safe_integer NOT NULL CHECK (energy_wh > 0),
  price_micro_per_kwh safe_integer NOT NULL CHECK (price_micro_per_kwh >= 0),
  delivery text NOT NULL CHECK (delivery IN ('delivered', 'firm')),
  status text NOT NULL CHECK (status IN ('open', 'filled', 'partly-filled', 'unfilled', 'cancelled')),
  filled_wh safe_integer NOT NULL DEFAULT 0 CHECK (filled_wh BETWEEN 0 AND energy_wh),
  idempotency_key text NOT NULL,
  request_hash bytea NOT NULL,
  hold_id text,
  sequence safe_integer NOT NULL,
  placed_by ident NOT NULL,
  PRIMARY KEY (microgrid_id, order_id),
  UNIQUE (microgrid_id, placed_by, idempotency_key),
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household
);
CREATE INDEX market_order_by_slot ON market_order (microgrid_id, slot_start, status);
CREATE INDEX market_order_by_household ON market_order (microgrid_id, household_id, sequence);

-- energy_wh was traded; settled_wh and claimed_wh are known when the slot closes. Under 'metered'
-- a trade is made at close. revision counts corrections of the slot.
CREATE TABLE trade (
  microgrid_id ident NOT NULL,
  slot_start timestamptz NOT NULL,
  number integer NOT NULL,
  revision smallint NOT NULL DEFAULT 0,
  trade_id text NOT NULL CHECK (trade_id ~ '^[0-9a-f]{32}$'),
  buyer_id ident NOT NULL,
  seller_id ident NOT NULL,
  bid_id text,
  ask_id text,
  energy_wh safe_integer NOT NULL CHECK (energy_wh > 0),
  buyer_price_micro_per_kwh safe_integer NOT NULL,
  seller_price_micro_per_kwh safe_integer NOT NULL,
  firm boolean NOT NULL,
  hold_id text,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, slot_start, number, revision),
  CHECK (buyer_id <> seller_id)
);
-- What the market did in a slot: the revision of its trades that counts (it may have none), and the
-- record of its gate, after which no order for the slot is taken or given back.
CREATE TABLE traded_slot (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  slot_start timestamptz NOT NULL,
  revision smallint NOT NULL DEFAULT 0,
  gate_sequence safe_integer,
  PRIMARY KEY (microgrid_id, slot_start)
);
CREATE INDEX trade_by_buyer ON trade (microgrid_id, buyer_id, slot_start);
CREATE INDEX trade_by_seller ON trade (microgrid_id, seller_id, slot_start);
`;
