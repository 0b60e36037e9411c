import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Further mechanisms and prices, rationing, sharing keys, and the network with its fees and capacities. */
export class MarketRules0015 implements MigrationInterface {
  name = 'MarketRules0015';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MARKET_RULES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const MARKET_RULES = `
ALTER TABLE microgrid
  DROP CONSTRAINT microgrid_mechanism_check,
  ADD CONSTRAINT microgrid_mechanism_check
    CHECK (mechanism IN ('metered', 'call-auction', 'continuous', 'sharing')),
  DROP CONSTRAINT microgrid_pricing_check,
  ADD CONSTRAINT microgrid_pricing_check
    CHECK (pricing IN ('clearing', 'mid-market', 'supply-demand-ratio', 'pay-as-bid', 'fixed')),
  ADD COLUMN rationing text NOT NULL DEFAULT 'pro-rata'
    CHECK (rationing IN ('time', 'pro-rata', 'max-min')),
  ADD COLUMN sharing_key text NOT NULL DEFAULT 'dynamic'
    CHECK (sharing_key IN ('static', 'dynamic', 'hybrid', 'cascade')),
  ADD COLUMN sharing_price_micro_per_kwh safe_integer
    CHECK (sharing_price_micro_per_kwh >= 0),
  ADD CHECK ((pricing = 'fixed') = (sharing_price_micro_per_kwh IS NOT NULL));

ALTER TABLE household
  ADD COLUMN share_parts integer NOT NULL DEFAULT 1 CHECK (share_parts >= 0),
  ADD COLUMN share_rank smallint NOT NULL DEFAULT 0 CHECK (share_rank >= 0);

-- Of the difference between a trade's prices, what is rent for a wire that was full; the rest is fees.
ALTER TABLE trade ADD COLUMN congestion_micro_per_kwh safe_integer NOT NULL DEFAULT 0
  CHECK (congestion_micro_per_kwh >= 0);

-- The tree of the wires from a slot on. A household hangs from the node that its feeder names.
CREATE TABLE network_node (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  valid_from timestamptz NOT NULL,
  node_id text NOT NULL CHECK (char_length(node_id) BETWEEN 1 AND 60),
  parent_id text,
  fee_micro_per_kwh safe_integer NOT NULL CHECK (fee_micro_per_kwh >= 0),
  capacity_up_w integer CHECK (capacity_up_w >= 0),
  capacity_down_w integer CHECK (capacity_down_w >= 0),
  PRIMARY KEY (microgrid_id, valid_from, node_id),
  FOREIGN KEY (microgrid_id, valid_from, parent_id) REFERENCES network_node,
  CHECK (parent_id IS NOT NULL
    OR (fee_micro_per_kwh = 0 AND capacity_up_w IS NULL AND capacity_down_w IS NULL))
);
CREATE UNIQUE INDEX network_root ON network_node (microgrid_id, valid_from) WHERE parent_id IS NULL;
`;
