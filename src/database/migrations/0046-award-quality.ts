import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What the claims of an award rest on, in Wh by quality; null in awards made before. */
export class AwardQuality0046 implements MigrationInterface {
  name = 'AwardQuality0046';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMNS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const COLUMNS = `
ALTER TABLE award
  ADD COLUMN measured_wh safe_integer CHECK (measured_wh >= 0),
  ADD COLUMN interpolated_wh safe_integer CHECK (interpolated_wh >= 0),
  ADD COLUMN estimated_wh safe_integer CHECK (estimated_wh >= 0),
  ADD COLUMN missing_wh safe_integer CHECK (missing_wh >= 0),
  ADD CHECK (num_nulls(measured_wh, interpolated_wh, estimated_wh, missing_wh) IN (0, 4));
`;
