import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is the first reading of a meter that was taken into use. */
export class FirstReading0050 implements MigrationInterface {
  name = 'FirstReading0050';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FIRST_READING);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const FIRST_READING = `
-- How far the meter had been read when its code was used; null: not at all. What is behind it came after,
-- by the device that has the new secret: readings themselves do not tell when they arrived.
ALTER TABLE meter_claim ADD COLUMN read_before timestamptz;
`;
