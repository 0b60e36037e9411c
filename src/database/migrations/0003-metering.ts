import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Raw payloads, readings, rejections, and what they become at slot borders. */
export class Metering0003 implements MigrationInterface {
  name = 'Metering0003';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(METERING);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const METERING = `
-- The exact bytes a meter sent, once each.
CREATE TABLE reading_payload (
  microgrid_id ident NOT NULL,
  payload_hash bytea NOT NULL CHECK (octet_length(payload_hash) = 32),
  bytes bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (microgrid_id, payload_hash)
);

-- A register at an instant, in Wh with six decimals. The first value for a key counts.
CREATE TABLE reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL CHECK (register IN ('import', 'export')),
  read_at timestamptz NOT NULL,
  value_wh numeric(18, 6) NOT NULL CHECK (value_wh >= 0),
  power_w integer,
  payload_hash bytea NOT NULL,
  PRIMARY KEY (microgrid_id, meter_id, register, read_at)
);

-- Another value for a key that already has one: kept, flagged, not counted.
CREATE TABLE reading_contradiction (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamptz NOT NULL,
  value_wh numeric(18, 6) NOT NULL,
  payload_hash bytea NOT NULL,
  PRIMARY KEY (microgrid_id, meter_id, register, read_at, value_wh)
);

-- What was refused, and why. The same payload refused again for the same reason only counts up.
-- microgrid_id is what the topic said, '' where it said nothing usable.
CREATE TABLE rejection (
  microgrid_id text NOT NULL,
  meter_id text NOT NULL,
  reason text NOT NULL,
  payload_hash bytea NOT NULL,
  topic text NOT NULL,
  detail text NOT NULL,
  payload bytea NOT NULL,
  count bigint NOT NULL DEFAULT 1,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (microgrid_id, meter_id, reason, payload_hash)
);
CREATE INDEX rejection_by_time ON rejection (microgrid_id, last_seen_at);

-- What a register of a slot was settled with: its value at the slot's end, which is border_at, and
-- at its start (null: unknown, so no energy). real_* is the highest value really read up to the end:
-- a register never restarts unnoticed. A correction adds a row of the next revision.
CREATE TABLE register_border (
  microgrid_id ident NOT NULL,
  border_at timestamptz NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL CHECK (register IN ('import', 'export')),
  revision smallint NOT NULL DEFAULT 0,
  value_wh safe_integer NOT NULL CHECK (value_wh >= 0),
  quality text NOT NULL CHECK (quality IN ('measured', 'interpolated', 'estimated')),
  start_wh safe_integer CHECK (start_wh BETWEEN 0 AND value_wh),
  start_quality text CHECK (start_quality IN ('measured', 'interpolated', 'estimated')),
  real_at timestamptz,
  real_wh numeric(18, 6),
  PRIMARY KEY (microgrid_id, border_at, meter_id, register, revision),
  CHECK ((start_wh IS NULL) = (start_quality IS NULL)),
  CHECK ((real_at IS NULL) = (real_wh IS NULL))
);

-- Where a reading came, or a border moved, behind what was settled: the slots around it are compared
-- again. times tells a mark that was renewed from the one that was looked at.
CREATE TABLE late_reading (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  register text NOT NULL,
  read_at timestamptz NOT NULL,
  times integer NOT NULL DEFAULT 1,
  PRIMARY KEY (microgrid_id, meter_id, register, read_at)
);

-- The energy of one household in one slot, derived from its meters' borders.
CREATE TABLE measurement (
  microgrid_id ident NOT NULL,
  slot_start timestamptz NOT NULL,
  household_id ident NOT NULL,
  revision smallint NOT NULL DEFAULT 0,
  sequence safe_integer NOT NULL,
  import_wh safe_integer NOT NULL,
  export_wh safe_integer NOT NULL,
  generated_wh safe_integer NOT NULL,
  charged_wh safe_integer NOT NULL,
  discharged_wh safe_integer NOT NULL,
  consumption_wh safe_integer NOT NULL,
  unexplained_wh safe_integer NOT NULL,
  quality text NOT NULL CHECK (quality IN ('measured', 'interpolated', 'estimated', 'missing')),
  PRIMARY KEY (microgrid_id, slot_start, household_id, revision)
);
CREATE INDEX measurement_by_household ON measurement (microgrid_id, household_id, slot_start);
`;
