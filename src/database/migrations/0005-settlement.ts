import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The slots of a microgrid and what each household was settled in them. */
export class Settlement0005 implements MigrationInterface {
  name = 'Settlement0005';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SETTLEMENT);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const SETTLEMENT = `
CREATE TABLE slot (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  slot_start timestamptz NOT NULL,
  slot_end timestamptz NOT NULL,
  status text NOT NULL CHECK (status IN ('gate-closed', 'closed', 'quarantined')),
  clearing_price_micro_per_kwh safe_integer,
  traded_wh safe_integer NOT NULL DEFAULT 0,
  gate_sequence safe_integer,
  closed_sequence safe_integer,
  correction_sequences bigint[] NOT NULL DEFAULT '{}',
  revision smallint NOT NULL DEFAULT 0,
  reason text,
  PRIMARY KEY (microgrid_id, slot_start)
);
CREATE INDEX slot_by_status ON slot (microgrid_id, status, slot_start);

CREATE TABLE settlement (
  microgrid_id ident NOT NULL,
  slot_start timestamptz NOT NULL,
  household_id ident NOT NULL,
  revision smallint NOT NULL DEFAULT 0,
  sequence safe_integer NOT NULL,
  produced_wh safe_integer NOT NULL,
  consumed_wh safe_integer NOT NULL,
  used_wh safe_integer NOT NULL,
  self_wh safe_integer NOT NULL,
  clean_self_wh safe_integer NOT NULL,
  from_neighbors_wh safe_integer NOT NULL,
  clean_from_neighbors_wh safe_integer NOT NULL,
  to_neighbors_wh safe_integer NOT NULL,
  from_grid_wh safe_integer NOT NULL,
  to_grid_wh safe_integer NOT NULL,
  unexplained_use_wh safe_integer NOT NULL,
  sold_wh safe_integer NOT NULL,
  bought_wh safe_integer NOT NULL,
  imbalance_wh safe_integer NOT NULL,
  neighbor_micro safe_integer NOT NULL,
  fee_micro safe_integer NOT NULL,
  utility_micro safe_integer NOT NULL,
  net_micro safe_integer NOT NULL,
  tariff_micro safe_integer NOT NULL,
  quality text NOT NULL,
  PRIMARY KEY (microgrid_id, slot_start, household_id, revision)
);
CREATE INDEX settlement_by_household ON settlement (microgrid_id, household_id, slot_start);

-- What a trade came to when its slot closed. A correction writes all trades of the slot anew.
CREATE TABLE trade_settlement (
  microgrid_id ident NOT NULL,
  slot_start timestamptz NOT NULL,
  number integer NOT NULL,
  revision smallint NOT NULL DEFAULT 0,
  sequence safe_integer NOT NULL,
  buyer_id ident NOT NULL,
  seller_id ident NOT NULL,
  settled_wh safe_integer NOT NULL,
  claimed_wh safe_integer NOT NULL,
  cost_micro safe_integer NOT NULL,
  proceeds_micro safe_integer NOT NULL,
  firm boolean NOT NULL,
  PRIMARY KEY (microgrid_id, slot_start, number, revision)
);
CREATE INDEX trade_settlement_by_buyer ON trade_settlement (microgrid_id, buyer_id, slot_start);
CREATE INDEX trade_settlement_by_seller ON trade_settlement (microgrid_id, seller_id, slot_start);

-- What a battery holds, by the slot it was charged in and where the energy came from.
CREATE TABLE storage_lot (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  charged_in timestamptz NOT NULL,
  source text NOT NULL CHECK (source IN ('own', 'neighbor', 'grid')),
  remaining_wh safe_integer NOT NULL CHECK (remaining_wh > 0),
  PRIMARY KEY (microgrid_id, household_id, charged_in, source)
);
`;
