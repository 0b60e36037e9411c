import { randomBytes } from 'node:crypto';
import { access, writeFile } from 'node:fs/promises';
import type { INestApplication } from '@nestjs/common';
import { DatabaseService } from './database/database.service.js';
import { COMMAND_LINE } from './parties/people.js';
import { PeopleService } from './parties/people.service.js';

/**
 * Makes a first operator and a simulator with random passwords and writes them to a file that only
 * its owner can read. Does nothing when the file is there already: its log-ins still hold.
 */
export async function writeBootstrapLogins(app: INestApplication, file: string): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (exists) return;
  const logins = {
    operator: { user: 'operator', password: randomBytes(18).toString('base64url') },
    simulator: { user: 'simulator', password: randomBytes(18).toString('base64url') },
  };
  await app.get(DatabaseService).transaction(async (sql) => {
    for (const role of ['operator', 'simulator'] as const) {
      const { user, password } = logins[role];
      await app
        .get(PeopleService)
        .createPerson(
          sql,
          { person: user, name: user, password, grants: [{ role }] },
          COMMAND_LINE,
        );
    }
    // Within the transaction: without the file nobody would know the passwords.
    await writeFile(file, `${JSON.stringify(logins, null, 2)}\n`, { flag: 'wx', mode: 0o600 });
  });
}
