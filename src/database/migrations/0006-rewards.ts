import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Reward programs, who joined them, their runs and awards, and the log of regulators' queries. */
export class Rewards0006 implements MigrationInterface {
  name = 'Rewards0006';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(REWARDS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const REWARDS = `
CREATE TABLE program (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  program_id ident NOT NULL,
  name text NOT NULL,
  created_by ident NOT NULL REFERENCES person,
  indicator text NOT NULL CHECK (indicator IN ('neighbor-claimed')),
  rate_micro_per_kwh safe_integer NOT NULL CHECK (rate_micro_per_kwh > 0),
  -- Random, and known here alone: without it a pseudonym leads to no household.
  pseudonym_key bytea NOT NULL CHECK (octet_length(pseudonym_key) = 32),
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, program_id)
);

-- Money put into a program. The reference makes it happen once, however often it is asked for.
CREATE TABLE program_funding (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  reference ident NOT NULL,
  amount_micro safe_integer NOT NULL CHECK (amount_micro > 0),
  funded_by ident NOT NULL REFERENCES person,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, program_id, reference),
  FOREIGN KEY (microgrid_id, program_id) REFERENCES program
);

-- One row a membership: who left and joined again has two. Slots of [joined_from, left_at) count.

CREATE TABLE program_member (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  household_id ident NOT NULL,
  pseudonym text NOT NULL,
  consented_by ident NOT NULL REFERENCES person,
  joined_from timestamptz NOT NULL,
  left_at timestamptz,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, program_id, household_id, joined_from),
  UNIQUE (microgrid_id, program_id, pseudonym, joined_from),
  FOREIGN KEY (microgrid_id, program_id) REFERENCES program,
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household,
  CHECK (left_at >= joined_from)
);
CREATE INDEX program_member_by_household ON program_member (microgrid_id, household_id);

CREATE TABLE program_run (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  period_from timestamptz NOT NULL,
  period_to timestamptz NOT NULL,
  awarded_micro safe_integer NOT NULL,
  households integer NOT NULL,
  first_sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, program_id, period_from),
  FOREIGN KEY (microgrid_id, program_id) REFERENCES program,
  CHECK (period_from < period_to)
);

CREATE TABLE award (
  microgrid_id ident NOT NULL,
  program_id ident NOT NULL,
  period_from timestamptz NOT NULL,
  household_id ident NOT NULL,
  pseudonym text NOT NULL,
  claimed_wh safe_integer NOT NULL,
  amount_micro safe_integer NOT NULL,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, program_id, period_from, household_id),
  FOREIGN KEY (microgrid_id, program_id, period_from) REFERENCES program_run
);

CREATE TABLE regulator_query (
  microgrid_id ident NOT NULL,
  query_id uuid NOT NULL DEFAULT gen_random_uuid(),
  person_id ident NOT NULL REFERENCES person,
  asked_at timestamptz(3) NOT NULL DEFAULT now(),
  question jsonb NOT NULL,
  outcome text NOT NULL,
  households ident[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (microgrid_id, query_id)
);
CREATE INDEX regulator_query_by_time ON regulator_query (microgrid_id, asked_at, query_id);

-- Which households stood behind an answer about a month, and with which energy: what a later answer
-- is compared with. An answer that equals an earlier one adds no row.
CREATE TABLE regulator_answer (
  microgrid_id ident NOT NULL,
  month text NOT NULL CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
  query_id uuid NOT NULL,
  households ident[] NOT NULL,
  energies text[] NOT NULL CHECK (cardinality(energies) = cardinality(households)),
  PRIMARY KEY (microgrid_id, month, query_id),
  FOREIGN KEY (microgrid_id, query_id) REFERENCES regulator_query
);
`;
