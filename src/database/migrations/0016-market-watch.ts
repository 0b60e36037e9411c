import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What was noticed in the market, and how far it was looked at. */
export class MarketWatch0016 implements MigrationInterface {
  name = 'MarketWatch0016';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MARKET_WATCH);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const MARKET_WATCH = `
-- Days of market time up to which trades and prices were looked at, and what makes pseudonyms of the
-- households for regulators.
CREATE TABLE market_watch (
  microgrid_id ident PRIMARY KEY REFERENCES microgrid,
  watched_through timestamptz NOT NULL,
  pseudonym_key uuid NOT NULL DEFAULT gen_random_uuid()
);

-- Slots of [from_slot, until_slot); households in the order in which the evidence speaks of them, and
-- how many there were on the street.
CREATE TABLE market_alarm (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  alarm_id text NOT NULL CHECK (alarm_id ~ '^[0-9a-f]{32}$'),
  kind text NOT NULL
    CHECK (kind IN ('wash-trades', 'linked-trades', 'circular-trades', 'price-setter')),
  severity text NOT NULL CHECK (severity IN ('notice', 'warning', 'serious')),
  from_slot timestamptz NOT NULL,
  until_slot timestamptz NOT NULL,
  households ident[] NOT NULL,
  street_households integer NOT NULL,
  reason text NOT NULL,
  evidence jsonb NOT NULL,
  PRIMARY KEY (microgrid_id, alarm_id)
);
CREATE INDEX market_alarm_newest ON market_alarm (microgrid_id, until_slot, alarm_id);

-- Insert-only, but for a household that was erased.
CREATE TRIGGER market_alarm_insert_only BEFORE UPDATE OR TRUNCATE ON market_alarm
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER market_alarm_erasable BEFORE DELETE ON market_alarm
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();
`;
