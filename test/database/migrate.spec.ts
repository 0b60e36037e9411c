import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { DataSource, type MigrationInterface, type QueryRunner } from 'typeorm';
import { DatabaseService } from '../../src/database/database.service.js';
import { migrate, UnknownMigration } from '../../src/database/migrate.store.js';
import { MIGRATIONS } from '../../src/database/migrations.js';
import { emptyDatabase } from '../support/database.js';

let database: { url: string; drop(): Promise<void> };
beforeEach(async () => {
  database = await emptyDatabase();
});
afterEach(() => database.drop());

it('four instances start at once on an empty database: each migration runs once', async () => {
  const services = await Promise.all(
    Array.from({ length: 4 }, () => DatabaseService.open({ url: database.url, poolSize: 2 })),
  );
  for (const service of services) {
    const applied = await service.query(
      'SELECT number, name FROM schema_migration ORDER BY number',
    );
    expect(applied).toEqual(
      MIGRATIONS.map((Migration, index) => ({ number: index + 1, name: Migration.name })),
    );
    await service.close();
  }
});

it('four sources race for the same migrations: one runs them, three find nothing to do', async () => {
  const sources = await Promise.all(Array.from({ length: 4 }, connected));
  const ran = await Promise.all(sources.map((source) => migrate(source)));
  expect(ran.map(({ length }) => length).sort()).toEqual([0, 0, 0, MIGRATIONS.length]);
  await Promise.all(sources.map((source) => source.destroy()));
});

it('a migration that fails leaves nothing of any behind', async () => {
  class Good0001 extends Step {
    override statement = 'CREATE TABLE good (id integer)';
  }
  class Bad0002 extends Step {
    override statement = 'CREATE TABLE bad (id integer); SELECT 1 / 0';
  }
  const source = await connected();
  await expect(migrate(source, [Good0001, Bad0002])).rejects.toThrow('division by zero');
  expect(await source.query(`SELECT to_regclass('good') AS good`)).toEqual([{ good: null }]);
  await source.destroy();
});

it('a database that is ahead of the program is refused', async () => {
  class New0001 extends Step {}
  class Newer0002 extends Step {}
  const source = await connected();
  expect(await migrate(source, [New0001])).toEqual(['New0001']);
  expect(await migrate(source, [New0001, Newer0002])).toEqual(['Newer0002']);
  await expect(migrate(source, [New0001])).rejects.toThrow(UnknownMigration);
  await expect(migrate(source, [New0001])).rejects.toThrow(/migration 2 \(Newer0002\)/);
  await source.destroy();
});

class Step implements MigrationInterface {
  statement = 'SELECT 1';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(this.statement);
  }

  async down(): Promise<void> {}
}

async function connected(): Promise<DataSource> {
  return new DataSource({ type: 'postgres', url: database.url, poolSize: 2 }).initialize();
}
