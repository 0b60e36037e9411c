import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Accounts, transfers, the journal with its erasable bodies, and the append-only log. */
export class Ledger0002 implements MigrationInterface {
  name = 'Ledger0002';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(LEDGER);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const LEDGER = `
-- The row whose lock orders every write to a microgrid's journal.
CREATE TABLE journal_head (
  microgrid_id ident PRIMARY KEY REFERENCES microgrid,
  sequence safe_integer NOT NULL DEFAULT 0 CHECK (sequence >= 0),
  log_edge bytea NOT NULL DEFAULT '',
  lease_holder text,
  lease_epoch bigint NOT NULL DEFAULT 0,
  lease_until timestamptz
);

CREATE TABLE record_head (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  sequence safe_integer NOT NULL CHECK (sequence > 0),
  kind text NOT NULL CHECK (kind IN ('enrolment', 'tariff', 'operator-action', 'order', 'gate',
    'household-slot', 'trade', 'slot-closed', 'deposit', 'award', 'correction', 'erasure')),
  at timestamptz NOT NULL,
  cause_hash bytea NOT NULL CHECK (octet_length(cause_hash) = 32),
  commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
  PRIMARY KEY (microgrid_id, sequence),
  UNIQUE (microgrid_id, cause_hash)
);

-- key_holder names the household whose key salts the record; '' is the microgrid's own key.
CREATE TABLE record_body (
  microgrid_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  key_holder text NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (microgrid_id, sequence),
  FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head
);

-- Which households a record concerns: the rooms that hear of it.
CREATE TABLE record_household (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, household_id, sequence),
  FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head
);

CREATE TABLE record_key (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  key_holder text NOT NULL,
  key bytea NOT NULL CHECK (octet_length(key) = 32),
  PRIMARY KEY (microgrid_id, key_holder)
);

CREATE TABLE account (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  account_id text NOT NULL CHECK (account_id ~ '^[A-Za-z0-9_/-]{1,160}$'),
  asset text NOT NULL,
  debits_pending safe_integer NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
  credits_pending safe_integer NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
  debits_posted safe_integer NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
  credits_posted safe_integer NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
  limited boolean NOT NULL DEFAULT false,
  credit_limit safe_integer NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),
  PRIMARY KEY (microgrid_id, account_id),
  CONSTRAINT account_within_limit
    CHECK (NOT limited OR debits_pending + debits_posted <= credits_posted + credit_limit)
);

CREATE TABLE transfer (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  transfer_id text NOT NULL CHECK (transfer_id ~ '^[0-9a-f]{32}$'),
  sequence safe_integer NOT NULL,
  line integer NOT NULL,
  debit_account text NOT NULL,
  credit_account text NOT NULL,
  asset text NOT NULL,
  amount safe_integer NOT NULL CHECK (amount >= 0),
  code text NOT NULL,
  state text NOT NULL CHECK (state IN ('posted', 'pending', 'post', 'void')),
  pending_id text,
  PRIMARY KEY (microgrid_id, sequence, line),
  UNIQUE (microgrid_id, transfer_id),
  FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head,
  CHECK (debit_account <> credit_account),
  CHECK ((state IN ('post', 'void')) = (pending_id IS NOT NULL)),
  CHECK (state = 'void' OR amount > 0)
);
-- A pending transfer resolves at most once.
CREATE UNIQUE INDEX transfer_resolution ON transfer (microgrid_id, pending_id) WHERE pending_id IS NOT NULL;
CREATE INDEX transfer_by_debit ON transfer (microgrid_id, debit_account, sequence);
CREATE INDEX transfer_by_credit ON transfer (microgrid_id, credit_account, sequence);

CREATE TABLE log_entry (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  entry_index safe_integer NOT NULL CHECK (entry_index >= 0),
  entry bytea NOT NULL CHECK (octet_length(entry) = 33),
  PRIMARY KEY (microgrid_id, entry_index)
);

-- Level l, tile n: up to 256 concatenated hashes (C2SP tlog-tiles); the last tile of a level is partial.
CREATE TABLE log_tile (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  level smallint NOT NULL,
  tile safe_integer NOT NULL,
  hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
  PRIMARY KEY (microgrid_id, level, tile)
);

CREATE TABLE checkpoint (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  size safe_integer NOT NULL,
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  note text NOT NULL,
  PRIMARY KEY (microgrid_id, size)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % refused: it is insert-only; post a correcting record instead', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER transfer_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER record_head_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON record_head
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER record_body_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON record_body
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER log_entry_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_entry
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER checkpoint_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;
