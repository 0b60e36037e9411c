import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The keys of meters that sign what they send, and how far each has counted. */
export class MeterKeys0019 implements MigrationInterface {
  name = 'MeterKeys0019';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(METER_KEYS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const METER_KEYS = `
-- What an operator registered, one after another: the last one of a meter holds. Without a key it
-- says that the one before was revoked.
CREATE TABLE meter_key (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  number integer NOT NULL CHECK (number >= 1),
  -- SubjectPublicKeyInfo, DER.
  public_key bytea CHECK (octet_length(public_key) BETWEEN 32 AND 512),
  registered_at timestamptz NOT NULL,
  PRIMARY KEY (microgrid_id, meter_id, number),
  FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter
);

-- Insert-only, but for a household that was erased.
CREATE TRIGGER meter_key_insert_only BEFORE UPDATE OR TRUNCATE ON meter_key
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER meter_key_erasable BEFORE DELETE ON meter_key
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();
CREATE TRIGGER meter_key_only_erased AFTER DELETE ON meter_key REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('meter_id');

-- The highest counter that was believed under each key. context: which of its counters, where a
-- device has several.
CREATE TABLE meter_counter (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  key_number integer NOT NULL,
  context text NOT NULL,
  counter safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, meter_id, key_number, context)
);
`;
