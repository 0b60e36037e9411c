import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Checkpoints as they were published: with the cosignatures that the policy of the time asked for. */
export class Publication0010 implements MigrationInterface {
  name = 'Publication0010';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PUBLICATION);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const PUBLICATION = `
-- Whose signatures made checkpoints good, as C2SP tlog-policy without addresses; by its SHA-256.
CREATE TABLE log_policy (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  policy_hash bytea NOT NULL CHECK (octet_length(policy_hash) = 32),
  policy bytea NOT NULL,
  PRIMARY KEY (microgrid_id, policy_hash)
);

-- A signed checkpoint with the cosignatures of its witnesses, once their quorum was met.
CREATE TABLE publication (
  microgrid_id ident NOT NULL,
  size safe_integer NOT NULL,
  note text NOT NULL,
  policy_hash bytea NOT NULL,
  PRIMARY KEY (microgrid_id, size),
  FOREIGN KEY (microgrid_id, size) REFERENCES checkpoint,
  FOREIGN KEY (microgrid_id, policy_hash) REFERENCES log_policy
);

CREATE TRIGGER log_policy_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_policy
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER publication_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON publication
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;
