import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How households let their autopilot quote, and how far it has quoted. */
export class Autopilot0014 implements MigrationInterface {
  name = 'Autopilot0014';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(AUTOPILOT);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const AUTOPILOT = `
-- A household's strategy, from a slot on; without a row its autopilot is off. state is what the
-- strategy remembers, plan what its battery should do.
CREATE TABLE household_strategy (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  strategy text NOT NULL CHECK (strategy ~ '^[a-z][a-z-]{0,39}$'),
  enabled boolean NOT NULL,
  valid_from timestamptz NOT NULL,
  state jsonb NOT NULL DEFAULT '{}',
  plan jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (microgrid_id, household_id),
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household
);

-- The last slot that the autopilot has quoted, with orders or without.
CREATE TABLE autopilot (
  microgrid_id ident PRIMARY KEY REFERENCES microgrid,
  quoted_through timestamptz NOT NULL
);
`;
