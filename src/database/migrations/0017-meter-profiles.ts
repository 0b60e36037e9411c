import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How meters' devices speak, and the codes by which households claim their meters. */
export class MeterProfiles0017 implements MigrationInterface {
  name = 'MeterProfiles0017';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(METER_PROFILES);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const METER_PROFILES = `
-- A meter without a row speaks the native format on its own topic. Everything below its topic is the
-- meter's alone, in the whole deployment. mapping is canonical JSON.
CREATE TABLE meter_profile (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  profile text NOT NULL CHECK (profile ~ '^[a-z][a-z0-9-]{0,39}$' AND profile <> 'native'),
  topic text COLLATE "C" NOT NULL CHECK (topic ~ '^[^$+#][^+#]{0,199}$'),
  mapping text,
  PRIMARY KEY (microgrid_id, meter_id),
  FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter
);
CREATE INDEX meter_profile_by_topic ON meter_profile (topic);

-- A one-time code by which a household claims a meter; a new one takes the place of the old. The code
-- is short, so it is stretched as a password is.
CREATE TABLE meter_claim (
  microgrid_id ident NOT NULL,
  meter_id ident NOT NULL,
  code_hash text NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (microgrid_id, meter_id),
  FOREIGN KEY (microgrid_id, meter_id) REFERENCES meter
);
`;
