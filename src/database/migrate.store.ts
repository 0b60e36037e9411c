import type { DataSource, MigrationInterface, QueryRunner } from 'typeorm';
import { MIGRATIONS } from './migrations.js';

/** The database was written by a newer version, or by another program. */
export class UnknownMigration extends Error {
  override name = 'UnknownMigration';
}

/**
 * Runs what is pending, all of it or nothing, and answers the names it ran. Any number of instances
 * may start at once: one runs the migrations, the others wait and find nothing left to do.
 * @throws UnknownMigration when the database is ahead of this version
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
      await runner.commitTransaction();
      return ran;
    } catch (error) {
      await runner.rollbackTransaction().catch(() => undefined);
      throw error;
    }
  } finally {
    await runner.release();
  }
}

async function runPending(
  runner: QueryRunner,
  migrations: readonly (new () => MigrationInterface)[],
): Promise<string[]> {
  await runner.query(CREATE_MIGRATION_TABLE);
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

// Held until the transaction ends. The number is "NWMIGRAT" in ASCII: no other lock uses it.
const LOCK_MIGRATIONS = `SELECT pg_advisory_xact_lock(x'4e574d4947524154'::bigint)`;

const CREATE_MIGRATION_TABLE = `
CREATE TABLE IF NOT EXISTS schema_migration (
  number integer PRIMARY KEY,
  name text NOT NULL UNIQUE,
  applied_at timestamptz NOT NULL DEFAULT now()
)`;

const APPLIED_MIGRATIONS = `SELECT number, name FROM schema_migration ORDER BY number`;

const RECORD_MIGRATION = `INSERT INTO schema_migration (number, name) VALUES ($1, $2)`;
