import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who takes part: microgrids, households, meters, tariffs, people, their grants and credentials. */
export class Parties0001 implements MigrationInterface {
  name = 'Parties0001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PARTIES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const PARTIES = `
CREATE DOMAIN ident AS text CHECK (VALUE ~ '^[A-Za-z0-9_-]{1,64}$');
CREATE DOMAIN safe_integer AS bigint CHECK (VALUE BETWEEN -9007199254740991 AND 9007199254740991);

CREATE TABLE microgrid (
  microgrid_id ident PRIMARY KEY,
  name text NOT NULL,
  time_zone text NOT NULL DEFAULT 'UTC',
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  slot_minutes smallint NOT NULL DEFAULT 15 CHECK (slot_minutes IN (5, 15, 30, 60)),
  mechanism text NOT NULL DEFAULT 'metered' CHECK (mechanism IN ('metered', 'call-auction')),
  pricing text NOT NULL DEFAULT 'clearing' CHECK (pricing IN ('clearing', 'mid-market')),
  price_k_thousandths smallint NOT NULL DEFAULT 500 CHECK (price_k_thousandths BETWEEN 0 AND 1000),
  grace_seconds integer NOT NULL DEFAULT 300 CHECK (grace_seconds BETWEEN 0 AND 86400),
  gate_closure_seconds integer NOT NULL DEFAULT 0 CHECK (gate_closure_seconds BETWEEN 0 AND 86400),
  correction_days smallint NOT NULL DEFAULT 14 CHECK (correction_days BETWEEN 0 AND 366),
  unexplained_tolerance_wh integer NOT NULL DEFAULT 10,
  credit_limit_micro safe_integer NOT NULL DEFAULT 0 CHECK (credit_limit_micro >= 0),
  starts_at timestamptz NOT NULL
);

-- Meters, gateways, households and people share one namespace for the deployment.
CREATE TABLE party (
  party_id ident PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('meter', 'gateway', 'household', 'person', 'service'))
);

CREATE TABLE household (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  household_id ident NOT NULL UNIQUE REFERENCES party,
  alias text NOT NULL,
  feeder text,
  import_limit_w integer CHECK (import_limit_w > 0),
  export_limit_w integer CHECK (export_limit_w > 0),
  credit_limit_micro safe_integer NOT NULL DEFAULT 0 CHECK (credit_limit_micro >= 0),
  active_from timestamptz NOT NULL,
  active_until timestamptz,
  PRIMARY KEY (microgrid_id, household_id),
  UNIQUE (microgrid_id, alias)
);

CREATE TABLE gateway (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  gateway_id ident NOT NULL UNIQUE REFERENCES party,
  PRIMARY KEY (microgrid_id, gateway_id)
);

CREATE TABLE meter (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL UNIQUE REFERENCES party,
  household_id ident NOT NULL,
  role text NOT NULL CHECK (role IN ('grid', 'generation', 'storage')),
  usable_wh safe_integer CHECK (usable_wh > 0),
  gateway_id ident,
  active_from timestamptz NOT NULL,
  active_until timestamptz,
  PRIMARY KEY (microgrid_id, meter_id),
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household,
  FOREIGN KEY (microgrid_id, gateway_id) REFERENCES gateway,
  CHECK ((role = 'storage') = (usable_wh IS NOT NULL))
);
CREATE INDEX meter_by_household ON meter (microgrid_id, household_id);

-- One row a band of the local day; a version is all rows of one valid_from. A band runs to the next.
CREATE TABLE tariff (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  valid_from timestamptz NOT NULL,
  from_minute smallint NOT NULL CHECK (from_minute BETWEEN 0 AND 1439),
  retail_micro_per_kwh safe_integer NOT NULL CHECK (retail_micro_per_kwh >= 0),
  feed_in_micro_per_kwh safe_integer NOT NULL CHECK (feed_in_micro_per_kwh >= 0),
  grid_fee_micro_per_kwh safe_integer NOT NULL DEFAULT 0 CHECK (grid_fee_micro_per_kwh >= 0),
  PRIMARY KEY (microgrid_id, valid_from, from_minute),
  CHECK (feed_in_micro_per_kwh <= retail_micro_per_kwh)
);

CREATE TABLE person (
  person_id ident PRIMARY KEY REFERENCES party,
  name text NOT NULL,
  password_hash text,
  password_must_change boolean NOT NULL DEFAULT false,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- An operator or regulator without a microgrid acts for the whole deployment.
CREATE TABLE person_grant (
  grant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  person_id ident NOT NULL REFERENCES person,
  role text NOT NULL CHECK (role IN ('household', 'operator', 'regulator', 'simulator')),
  microgrid_id ident REFERENCES microgrid,
  household_id ident,
  valid_from timestamptz NOT NULL,
  valid_until timestamptz,
  FOREIGN KEY (microgrid_id, household_id) REFERENCES household,
  CHECK ((role = 'household') = (household_id IS NOT NULL))
);
CREATE INDEX person_grant_by_person ON person_grant (person_id);
CREATE INDEX person_grant_by_household ON person_grant (microgrid_id, household_id);

-- Tokens are random 256-bit values; only their SHA-256 is kept.
CREATE TABLE session (
  session_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  person_id ident NOT NULL REFERENCES person,
  token_hash bytea NOT NULL UNIQUE,
  refresh_hash bytea NOT NULL UNIQUE,
  expires_at timestamptz NOT NULL,
  refresh_expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX session_by_person ON session (person_id);

-- Refresh tokens already exchanged: one that comes again was stolen, and ends its session.
CREATE TABLE spent_refresh (
  refresh_hash bytea PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE
);
CREATE INDEX spent_refresh_by_session ON spent_refresh (session_id);

CREATE TABLE invitation (
  token_hash bytea PRIMARY KEY,
  purpose text NOT NULL CHECK (purpose IN ('invitation', 'password-reset')),
  person_id ident REFERENCES person,
  role text,
  microgrid_id ident,
  household_id ident,
  valid_from timestamptz,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);

-- secret_hash is Mosquitto's $7$ PBKDF2-SHA512 form.
CREATE TABLE mqtt_credential (
  username ident PRIMARY KEY REFERENCES party,
  kind text NOT NULL CHECK (kind IN ('service', 'meter', 'household', 'gateway')),
  microgrid_id ident,
  secret_hash text NOT NULL,
  changes integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);

-- The market's clock when it is simulated; one row.
CREATE TABLE market_clock (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  now timestamptz NOT NULL
);
`;
