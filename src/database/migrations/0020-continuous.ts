import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Orders that trade the moment they come: how long they stay, and where the best of them are found. */
export class Continuous0020 implements MigrationInterface {
  name = 'Continuous0020';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(CONTINUOUS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const CONTINUOUS = `
ALTER TABLE market_order ADD COLUMN time_in_force text NOT NULL DEFAULT 'gtc'
  CHECK (time_in_force IN ('gtc', 'ioc', 'fok'));

-- Each side of a slot's book, best price first, then first come first.
CREATE INDEX market_order_in_book ON market_order (microgrid_id, slot_start, side,
  (CASE side WHEN 'bid' THEN -price_micro_per_kwh ELSE price_micro_per_kwh END), sequence)
  WHERE status = 'open';

-- Under 'continuous', slots with trades whose gate is still open.
CREATE INDEX traded_slot_without_gate ON traded_slot (microgrid_id, slot_start)
  WHERE gate_sequence IS NULL;
`;
