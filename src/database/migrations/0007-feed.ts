import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How far the consumers of the journals have come. */
export class Feed0007 implements MigrationInterface {
  name = 'Feed0007';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(FEED);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const FEED = `
-- Everything up to sequence has been passed on by the consumer, e.g. settlements over MQTT.
CREATE TABLE feed_cursor (
  microgrid_id ident NOT NULL REFERENCES microgrid,
  consumer text NOT NULL,
  sequence safe_integer NOT NULL CHECK (sequence >= 0),
  PRIMARY KEY (microgrid_id, consumer)
);
`;
