import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Meters that were replaced under the same id, with what both showed. */
export class MeterExchange0038 implements MigrationInterface {
  name = 'MeterExchange0038';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(METER_EXCHANGE);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const METER_EXCHANGE = `
-- Decimals as they were given.
CREATE TABLE meter_exchange (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL CHECK (register IN ('import', 'export')),
  exchanged_at timestamptz NOT NULL,
  old_final_wh numeric NOT NULL CHECK (old_final_wh >= 0),
  new_first_wh numeric NOT NULL CHECK (new_first_wh >= 0),
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, meter_id, register, exchanged_at)
);

-- Insert-only, but for a household that was erased.
CREATE TRIGGER meter_exchange_insert_only BEFORE UPDATE OR TRUNCATE ON meter_exchange
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER meter_exchange_erasable BEFORE DELETE ON meter_exchange
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();
CREATE TRIGGER meter_exchange_only_erased AFTER DELETE ON meter_exchange
  REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');
`;
