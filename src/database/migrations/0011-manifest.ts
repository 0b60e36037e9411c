import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Manifests of days, what is counted towards the next one, and the auditors who may see all of it. */
export class Manifest0011 implements MigrationInterface {
  name = 'Manifest0011';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(MANIFEST);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const MANIFEST = `
ALTER TABLE record_head DROP CONSTRAINT record_head_kind_check;
ALTER TABLE record_head ADD CONSTRAINT record_head_kind_check CHECK (kind IN ('enrolment', 'tariff',
  'operator-action', 'order', 'gate', 'household-slot', 'trade', 'slot-closed', 'manifest', 'deposit',
  'award', 'correction', 'erasure', 'expiry'));
CREATE INDEX record_head_by_manifest ON record_head (microgrid_id, kind, sequence)
  WHERE kind IN ('manifest', 'slot-closed');

-- What manifests have counted, as canonical JSON: it changes as a whole with every slot, and one row
-- is as cheap to write anew for a thousand households as for one.
CREATE TABLE manifest_state (
  microgrid_id ident PRIMARY KEY REFERENCES microgrid,
  state text NOT NULL
);

ALTER TABLE person_grant DROP CONSTRAINT person_grant_role_check;
ALTER TABLE person_grant ADD CONSTRAINT person_grant_role_check
  CHECK (role IN ('household', 'operator', 'regulator', 'auditor', 'simulator'));
`;
