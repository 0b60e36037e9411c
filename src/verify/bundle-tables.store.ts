import { INSERT_ONLY } from '../database/rights.js';

/**
 * Which rows of which tables an operator's bundle holds. A table with a `microgrid_id` is taken whole
 * for its microgrid without being named here, so that a new one cannot be forgotten; every other
 * needs a word on this page (test/verify/bundle.spec.ts).
 */

/** Tables that a restored service does without, and why. */
export const NOT_EXPORTED: Readonly<Record<string, string>> = {
  session: 'tokens end by themselves, and a revoked one must not come back: people log in again',
  spent_refresh: 'goes with the sessions',
  invitation: 'tokens end by themselves, and a used one must not come back: invite again',
  schema_migration: 'the program that restores brings the schema up to date by itself',
  log_tile: 'the tree is built again from the entries',
};

/** Columns that say what an instance does at the moment. */
export const NOT_EXPORTED_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  journal_head: ['lease_holder', 'lease_epoch', 'lease_until'],
};

const PEOPLE_OF_MICROGRID = `
  SELECT person_id FROM person_grant WHERE microgrid_id IS NULL OR microgrid_id = :microgrid
  UNION SELECT created_by FROM program WHERE microgrid_id = :microgrid
  UNION SELECT funded_by FROM program_funding WHERE microgrid_id = :microgrid
  UNION SELECT consented_by FROM program_member WHERE microgrid_id = :microgrid
  UNION SELECT person_id FROM regulator_query WHERE microgrid_id = :microgrid`;

const DEVICES_OF_MICROGRID = `
  SELECT username FROM mqtt_credential WHERE microgrid_id IS NULL OR microgrid_id = :microgrid`;

/** Rows of tables that are not a microgrid's alone; `:microgrid` is its id as a literal. */
export const ROWS_OF_MICROGRID: Readonly<Record<string, string>> = {
  // Entries that a checkpoint covers stand in tile/entries; these are those after it.
  log_entry: `microgrid_id = :microgrid AND entry_index >= :size`,
  party: `party_id IN (SELECT household_id FROM household WHERE microgrid_id = :microgrid
    UNION SELECT gateway_id FROM gateway WHERE microgrid_id = :microgrid
    UNION SELECT meter_id FROM meter WHERE microgrid_id = :microgrid
    UNION ${PEOPLE_OF_MICROGRID} UNION ${DEVICES_OF_MICROGRID})`,
  person: `person_id IN (${PEOPLE_OF_MICROGRID})`,
  person_grant: `microgrid_id IS NULL OR microgrid_id = :microgrid`,
  mqtt_credential: `microgrid_id IS NULL OR microgrid_id = :microgrid`,
  market_clock: 'true',
};

/** Rows of a backup that belong to no microgrid. Those of microgrids lie in their own bundles. */
export const ROWS_OF_DEPLOYMENT: Readonly<Record<string, string>> = {
  party: 'true',
  person: 'true',
  person_grant: 'true',
  mqtt_credential: 'true',
  // Of topics that name no microgrid there is.
  rejection: 'microgrid_id NOT IN (SELECT microgrid_id FROM microgrid)',
};

/**
 * Tables whose rows, once written, stay: those of the bundle that are missing are brought, those that
 * are there are left. Of every other table the bundle's rows take the place of those that are there.
 */
export const ROWS_THAT_STAY: ReadonlySet<string> = new Set(INSERT_ONLY);
