import type { INestApplicationContext } from '@nestjs/common';
import { SETTINGS, type Settings } from './config.js';
import { DatabaseService } from './database/database.service.js';
import { openDatabase } from './database/open-database.service.js';
import { ErasureService, type Erased } from './erasure.service.js';
import { walletOf } from './ledger/accounts.js';
import { LedgerService } from './ledger/ledger.service.js';
import { LogService } from './ledger/log.service.js';
import { UsageError, type Given, type Outcome } from './operator-command.js';
import { MarketClockService } from './parties/market-clock.service.js';
import { COMMAND_LINE } from './parties/people.js';

/** What an operator does to the database as a whole, and as another role than the service. */

/** The command line has connected, and with that migrated. */
export async function migrated(app: INestApplicationContext): Promise<Outcome> {
  const [row] = await app
    .get(DatabaseService)
    .query<{ name: string }>('SELECT name FROM schema_migration ORDER BY number DESC LIMIT 1');
  const document = { migration: row!.name };
  return { document, text: `The database is up to date (${row!.name}).` };
}

/** The one command that acts as the eraser, on connections of its own. */
export async function erase(app: INestApplicationContext, given: Given): Promise<Outcome> {
  const [household, ...more] = given.positional;
  if (household === undefined || more.length > 0) throw new UsageError('Name one household.');
  const dryRun = given.flag('dry-run');
  const clock = app.get(MarketClockService);
  const database = await openDatabase(app.get<Settings>(SETTINGS), 'eraser');
  try {
    const erasure = new ErasureService(database, app.get(LedgerService));
    const erased = await erasure.erase(household, COMMAND_LINE.personId, (sql) => clock.now(sql), {
      dryRun,
    });
    const document = { dryRun, ...erased };
    if (!dryRun) await app.get(LogService).sign(app.get(DatabaseService), erased.microgrid);
    return { document, text: told(erased, dryRun) };
  } finally {
    await database.close();
  }
}

function told({ household, sequence, repeated, balances, rows }: Erased, dryRun: boolean): string {
  const went = Object.entries(rows).filter(([, count]) => count > 0);
  const wallet = balances.find(({ account }) => account === walletOf(household));
  const left = wallet ? wallet.creditsPosted - wallet.debitsPosted : 0;
  const what = dryRun
    ? `${household} can be erased; nothing was. It would take`
    : repeated
      ? `${household} was erased by record ${sequence}; what had come back is gone:`
      : `${household} is erased, which record ${sequence} tells:`;
  const lines = went.map(([name, count]) => `  ${String(count).padStart(8)}  ${name}`);
  const note = `Its wallet holds ${left} millionths of ${wallet?.asset}: settle that outside, nobody can book it later.`;
  return [what, ...(lines.length > 0 ? lines : ['  nothing']), ...(left === 0 ? [] : [note])].join(
    '\n',
  );
}
