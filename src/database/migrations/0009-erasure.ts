import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What is insert-only says so to everyone, and lets the eraser remove erased households alone. */
export class Erasure0009 implements MigrationInterface {
  name = 'Erasure0009';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(ERASURE);
    await runner.query(TRIGGERS);
  }

  async down(): Promise<void> {
    throw new Error('Migrations only grow: restore a backup instead of going down.');
  }
}

const ERASURE = `
-- Households that were erased, and the record that says so. A row here is what lets the eraser
-- remove the household's rows.
CREATE TABLE erasure (
  microgrid_id ident NOT NULL,
  household_id ident NOT NULL,
  sequence safe_integer NOT NULL,
  PRIMARY KEY (microgrid_id, household_id),
  FOREIGN KEY (microgrid_id, sequence) REFERENCES record_head
);

-- As refuse_change, to everyone but the eraser.
CREATE FUNCTION refuse_unless_erasing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'neighborwatt_eraser' THEN
    RAISE EXCEPTION '% of % refused: it is insert-only; the rows of an erased household are removed by npm run operator -- erase',
      TG_OP, TG_TABLE_NAME;
  END IF;
  RETURN NULL;
END $$;

-- What the eraser removes belongs to a household whose erasure stands in the journal. The argument
-- is the column that names the household, or its meter.
CREATE FUNCTION only_of_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kept text;
BEGIN
  EXECUTE CASE TG_ARGV[0]
    WHEN 'meter_id' THEN
      'SELECT gone.meter_id FROM gone LEFT JOIN meter USING (microgrid_id, meter_id)
       LEFT JOIN erasure USING (microgrid_id, household_id) WHERE erasure.sequence IS NULL LIMIT 1'
    ELSE
      format('SELECT gone.%1$I FROM gone LEFT JOIN erasure ON erasure.microgrid_id = gone.microgrid_id
         AND erasure.household_id = gone.%1$I WHERE erasure.sequence IS NULL LIMIT 1', TG_ARGV[0])
    END INTO kept;
  IF kept IS NOT NULL THEN
    RAISE EXCEPTION 'DELETE of % refused: % was not erased', TG_TABLE_NAME, quote_literal(kept);
  END IF;
  RETURN NULL;
END $$;

-- The same bytes may have come from another meter too.
CREATE FUNCTION only_unnamed_payloads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM gone JOIN reading USING (microgrid_id, payload_hash))
    OR EXISTS (SELECT FROM gone JOIN reading_contradiction USING (microgrid_id, payload_hash)) THEN
    RAISE EXCEPTION 'DELETE of reading_payload refused: a reading still names it';
  END IF;
  RETURN NULL;
END $$;

-- Ids are never given again; only the id of a person is a name.
CREATE FUNCTION only_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM gone WHERE kind <> 'person') THEN
    RAISE EXCEPTION 'DELETE of party refused: only the ids of people are forgotten';
  END IF;
  RETURN NULL;
END $$;

-- Every record of a household is salted with its key: without one there are no more of them.
CREATE FUNCTION refuse_key_of_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM erasure
    WHERE microgrid_id = NEW.microgrid_id AND household_id = NEW.key_holder) THEN
    RAISE EXCEPTION 'household % was erased: no record of it can be made any more', NEW.key_holder;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER record_key_not_of_erased BEFORE INSERT ON record_key
  FOR EACH ROW EXECUTE FUNCTION refuse_key_of_erased();
`;

/** With what `only_of_erased` asks, or another check. */
const ERASABLE: readonly (readonly [table: string, check: string])[] = [
  ['record_body', `only_of_erased('key_holder')`],
  ['record_key', `only_of_erased('key_holder')`],
  ['measurement', `only_of_erased('household_id')`],
  ['settlement', `only_of_erased('household_id')`],
  ['award', `only_of_erased('household_id')`],
  ['reading', `only_of_erased('meter_id')`],
  ['reading_contradiction', `only_of_erased('meter_id')`],
  ['register_border', `only_of_erased('meter_id')`],
  ['reading_payload', 'only_unnamed_payloads()'],
  ['party', 'only_people()'],
];

const TRIGGERS = [
  'DROP TRIGGER record_body_insert_only ON record_body',
  ...ERASABLE.flatMap(([table, check]) => [
    `CREATE TRIGGER ${table}_insert_only BEFORE UPDATE OR TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
    `CREATE TRIGGER ${table}_erasable BEFORE DELETE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing()`,
    `CREATE TRIGGER ${table}_only_erased AFTER DELETE ON ${table} REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION ${check}`,
  ]),
  // The energies of an erased household are blanked in answers that were given.
  `CREATE TRIGGER regulator_answer_insert_only BEFORE DELETE OR TRUNCATE ON regulator_answer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
  `CREATE TRIGGER regulator_answer_erasable BEFORE UPDATE ON regulator_answer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unless_erasing()`,
].join(';\n');
