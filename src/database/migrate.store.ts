import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { MIGRATIONS } from './migrations.js';
import { applyRights, applyTriggers, RightsRefused } from './rights.store.js';

/** The database was written by a newer version, or by another program. */
export class UnknownMigration extends Error {
  override name = 'UnknownMigration';
}

/** The schema, or the rights in it, are not those of this version, and this log-in may not mend that. */
export class MayNotMigrate extends Error {
  override name = 'MayNotMigrate';
}

/**
 * Runs what is pending, all of it or nothing, brings the rights of the roles up to date, and answers
 * the names it ran. Any number of instances may start at once: one runs the migrations, the others
 * wait and find nothing left to do. A log-in that owns nothing may run it where nothing is to be done.
 * @throws UnknownMigration when the database is ahead of this version; MayNotMigrate
 */
export async function migrate(
  dataSource: DataSource,
  migrations: readonly (new () => MigrationInterface)[] = MIGRATIONS,
): Promise<string[]> {
  const runner = dataSource.createQueryRunner();
  try {
    await runner.startTransaction('READ COMMITTED');
    try {
      await runner.query(LOCK_MIGRATIONS);
      const ran = await runPending(runner, migrations);
      await applyTriggers(runner);
      await applyRights(runner);
      await runner.commitTransaction();
      return ran;
    } catch (error) {
      await runner.rollbackTransaction().catch(() => undefined);
      throw isRefusal(error) ? new MayNotMigrate(MAY_NOT_MIGRATE, { cause: error }) : error;
    }
  } finally {
    await runner.release();
  }
}

async function runPending(
  runner: QueryRunner,
  migrations: readonly (new () => MigrationInterface)[],
): Promise<string[]> {
  const [known] = (await runner.query(FIND_MIGRATION_TABLE)) as { found: boolean }[];
  if (!known?.found) await runner.query(CREATE_MIGRATION_TABLE);
  const applied = (await runner.query(APPLIED_MIGRATIONS)) as { number: number; name: string }[];
  const unknown = applied.find(({ number, name }) => migrations[number - 1]?.name !== name);
  if (unknown) {
    throw new UnknownMigration(
      `The database has migration ${unknown.number} (${unknown.name}), which this version does not know: start the version that wrote it or a newer one.`,
    );
  }
  const ran: string[] = [];
  for (const [index, Migration] of migrations.entries()) {
    if (index < applied.length) continue;
    await new Migration().up(runner);
    await runner.query(RECORD_MIGRATION, [index + 1, Migration.name]);
    ran.push(Migration.name);
  }
  return ran;
}

/** PostgreSQL's insufficient_privilege. */
function isRefusal(error: unknown): boolean {
  if (error instanceof RightsRefused) return true;
  return (error as { code?: unknown } | null)?.code === '42501';
}

const MAY_NOT_MIGRATE =
  "The database's schema or rights are not those of this version, and its log-in may not change them: set DATABASE_OWNER_URL to the log-in of their owner, here or for one run of npm run operator -- migrate.";

// Held until the transaction ends. The number is "NWMIGRAT" in ASCII: no other lock uses it.
const LOCK_MIGRATIONS = `SELECT pg_advisory_xact_lock(x'4e574d4947524154'::bigint)`;

const FIND_MIGRATION_TABLE = `SELECT to_regclass('schema_migration') IS NOT NULL AS found`;

const CREATE_MIGRATION_TABLE = `
CREATE TABLE IF NOT EXISTS schema_migration (
  number integer PRIMARY KEY,
  name text NOT NULL UNIQUE,
  applied_at timestamptz NOT NULL DEFAULT now()
)`;

const APPLIED_MIGRATIONS = `SELECT number, name FROM schema_migration ORDER BY number`;

const RECORD_MIGRATION = `INSERT INTO schema_migration (number, name) VALUES ($1, $2)`;
