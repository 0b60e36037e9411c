import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Which readings do not count and by which rule, and from where a register's readings are judged. */
export class Plausibility0018 implements MigrationInterface {
  name = 'Plausibility0018';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PLAUSIBILITY);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const PLAUSIBILITY = `
-- Readings that no border rests on, by the rule that they break. The reading itself stays as it came.
CREATE TABLE suspect_reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL CHECK (register IN ('import', 'export')),
  read_at timestamptz NOT NULL,
  rule text NOT NULL CHECK (rule IN ('falling_register', 'beyond_connection', 'outlier')),
  PRIMARY KEY (microgrid_id, meter_id, register, read_at)
);

-- The last reading up to the border that no later one can bring into doubt; anchor_wh goes on through
-- exchanges and rollovers. Readings behind it are judged together with those of the next slot.
ALTER TABLE register_border
  ADD COLUMN anchor_at timestamptz,
  ADD COLUMN anchor_wh numeric(18, 6),
  ADD CHECK ((anchor_at IS NULL) = (anchor_wh IS NULL));
`;
