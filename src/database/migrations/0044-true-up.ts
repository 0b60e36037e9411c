import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Energy that late readings show behind the correction window, booked at the current tariff. */
export class TrueUp0044 implements MigrationInterface {
  name = 'TrueUp0044';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TRUE_UP);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const TRUE_UP = `
ALTER TABLE record_head DROP CONSTRAINT record_head_kind_check;
ALTER TABLE record_head ADD CONSTRAINT record_head_kind_check CHECK (kind IN ('enrolment', 'tariff',
  'operator-action', 'order', 'gate', 'household-slot', 'trade', 'slot-closed', 'manifest', 'deposit',
  'award', 'correction', 'true-up', 'erasure', 'expiry'));

-- Energy is signed: negative is what had been settled and was not there.
CREATE TABLE true_up (
  microgrid_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  household_id ident NOT NULL,
  border_at timestamptz NOT NULL,
  revision smallint NOT NULL,
  booked_at timestamptz NOT NULL,
  import_wh safe_integer NOT NULL,
  export_wh safe_integer NOT NULL,
  generated_wh safe_integer NOT NULL,
  charged_wh safe_integer NOT NULL,
  discharged_wh safe_integer NOT NULL,
  consumption_wh safe_integer NOT NULL,
  unexplained_wh safe_integer NOT NULL,
  retail_micro_per_kwh safe_integer NOT NULL,
  feed_in_micro_per_kwh safe_integer NOT NULL,
  import_micro safe_integer NOT NULL,
  export_micro safe_integer NOT NULL,
  net_micro safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, household_id, border_at, revision)
);
CREATE INDEX true_up_by_sequence ON true_up (microgrid_id, sequence);

-- Insert-only, but for a household that was erased.
CREATE TRIGGER true_up_insert_only BEFORE UPDATE OR TRUNCATE ON true_up
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER true_up_erasable BEFORE DELETE ON true_up
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing();
CREATE TRIGGER true_up_only_erased AFTER DELETE ON true_up
  REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION only_of_erased('household_id');
`;
