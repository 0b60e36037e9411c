import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Versions of accounts and numbers of records, limits on credits, holds that expire, failed ids. */
export class Posting0008 implements MigrationInterface {
  name = 'Posting0008';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(POSTING);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const POSTING = `
-- How many records have touched the account since records say so; 0 before the first of them.
ALTER TABLE account ADD COLUMN version safe_integer NOT NULL DEFAULT 0 CHECK (version >= 0);
ALTER TABLE account ADD COLUMN debit_limit safe_integer CHECK (debit_limit >= 0);
ALTER TABLE account ADD CONSTRAINT account_within_debit_limit
  CHECK (credits_pending + credits_posted <= debits_posted + debit_limit);

-- Null in rows of records that do not number themselves yet.
ALTER TABLE record_household ADD COLUMN number safe_integer CHECK (number > 0);

ALTER TABLE record_head DROP CONSTRAINT record_head_kind_check;
ALTER TABLE record_head ADD CONSTRAINT record_head_kind_check
  CHECK (kind IN ('enrolment', 'tariff', 'operator-action', 'order', 'gate', 'household-slot',
    'trade', 'slot-closed', 'deposit', 'award', 'correction', 'erasure', 'expiry'));

ALTER TABLE transfer DROP CONSTRAINT transfer_state_check;
ALTER TABLE transfer ADD CONSTRAINT transfer_state_check
  CHECK (state IN ('posted', 'pending', 'post', 'void', 'expire'));
ALTER TABLE transfer DROP CONSTRAINT transfer_check1;
ALTER TABLE transfer ADD CONSTRAINT transfer_resolves
  CHECK ((state IN ('post', 'void', 'expire')) = (pending_id IS NOT NULL));
ALTER TABLE transfer DROP CONSTRAINT transfer_check2;
ALTER TABLE transfer ADD CONSTRAINT transfer_moves
  CHECK (state IN ('void', 'expire') OR amount > 0);

-- Open holds that end by themselves; gone once they are resolved.
CREATE TABLE hold_timeout (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  transfer_id text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (microgrid_id, transfer_id),
  FOREIGN KEY (microgrid_id, transfer_id) REFERENCES transfer (microgrid_id, transfer_id)
);
CREATE INDEX hold_timeout_by_time ON hold_timeout (microgrid_id, expires_at);

-- Hashes of causes, and ids of transfers, that were refused for a reason that might have passed.
CREATE TABLE failed_id (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  id text NOT NULL CHECK (id ~ '^([0-9a-f]{32}|[0-9a-f]{64})$'),
  PRIMARY KEY (microgrid_id, id)
);
CREATE TRIGGER failed_id_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON failed_id
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;
