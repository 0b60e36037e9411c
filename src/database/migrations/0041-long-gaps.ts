import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Finds the long gaps of a register, which a late reading of a day before them may shape otherwise. */
export class LongGaps0041 implements MigrationInterface {
  name = 'LongGaps0041';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(LONG_GAPS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const LONG_GAPS = `
CREATE INDEX register_border_long_gap ON register_border (microgrid_id, meter_id, register, border_at)
  WHERE quality = 'interpolated' AND border_at - real_at > interval '1 hour';
`;
