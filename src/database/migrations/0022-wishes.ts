import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What households would rather buy, beside their limits. */
export class Wishes0022 implements MigrationInterface {
  name = 'Wishes0022';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(WISHES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const WISHES = `
-- Canonical JSON, as the record of the limits has it.
ALTER TABLE standing_order ADD COLUMN wishes text NOT NULL DEFAULT '[]';
`;
