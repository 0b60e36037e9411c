import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { loadSettings } from '../config.js';
import { openDatabase } from '../database/open-database.service.js';
import { makeLogins } from '../database/role-logins.store.js';

const HELP = `npm run make-logins

Brings the database up to date as its owner, and makes the log-ins that DATABASE_URL (the service's)
and DATABASE_ERASER_URL name, with the passwords in them. Run it before the service starts, at first
and with each upgrade; it can be repeated. The service then needs DATABASE_URL alone.

It needs DATABASE_OWNER_URL, DATABASE_URL and DATABASE_ERASER_URL, of three users.

Exits 2 when it cannot be done.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: 'boolean', default: false } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const settings = loadSettings(process.env);
  const { databaseUrl, databaseOwnerUrl, databaseEraserUrl } = settings;
  if (!databaseUrl || !databaseOwnerUrl || !databaseEraserUrl) {
    throw new Error('set DATABASE_OWNER_URL, DATABASE_URL and DATABASE_ERASER_URL; see --help');
  }
  const database = await openDatabase(settings, 'owner');
  try {
    const users = await makeLogins(database, [
      { url: databaseUrl, role: 'service' },
      { url: databaseEraserUrl, role: 'eraser' },
    ]);
    process.stdout.write(`The database is up to date; ${users.join(' and ')} can log in.\n`);
  } finally {
    await database.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`make-logins: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
