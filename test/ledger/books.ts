import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings } from '../../src/config.js';
import type { Sql } from '../../src/database/database.service.js';
import { SYSTEM, walletOf, type AccountTerms } from '../../src/ledger/accounts.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import { LogService } from '../../src/ledger/log.service.js';
import type { RecordDraft, TransferDraft } from '../../src/ledger/record.js';
import { freshDatabase } from '../support/database.js';

export const AT = '2026-06-01T10:00:00Z';

/** The books of an empty microgrid `street`, and beside it `avenue`, on a database of their own. */
export async function openBooks() {
  const { url, database, asOwner, drop } = await freshDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'neighborwatt-ledger-'));
  const settings = loadSettings({ DATA_DIR: dataDir, LOG_ORIGIN: 'grid.example/log' });
  await database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at)
     VALUES ('street', 'A street', 'EUR', $1), ('avenue', 'An avenue', 'EUR', $1)`,
    [AT],
  );
  const ledger = new LedgerService();
  let notes = 0;
  return {
    url,
    database,
    asOwner,
    ledger,
    log: new LogService(settings),
    settings,

    /** Appends in a transaction of its own, or in the one given. */
    append(drafts: readonly RecordDraft[], terms: readonly AccountTerms[] = [], sql?: Sql) {
      const append = (on: Sql) => ledger.append(on, 'street', drafts, terms);
      return sql ? append(sql) : database.transaction(append);
    },

    /** `count` records without a transfer. */
    note(count: number): RecordDraft[] {
      return Array.from({ length: count }, () => draft(`note/${(notes += 1)}`));
    },

    async balance(account: string) {
      const balance = (await ledger.balances(database, 'street', [account])).get(account);
      if (!balance) return null;
      const { debitsPosted, creditsPosted, debitsPending, creditsPending } = balance;
      return `${debitsPosted}/${creditsPosted}, ${debitsPending}/${creditsPending}`;
    },

    async close() {
      await drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export type OpenBooks = Awaited<ReturnType<typeof openBooks>>;

export function draft(
  cause: string,
  transfers: readonly TransferDraft[] = [],
  more: Partial<RecordDraft> = {},
): RecordDraft {
  return {
    kind: 'deposit',
    at: AT,
    cause,
    keyHolder: '',
    households: [],
    facts: { cause },
    transfers,
    ...more,
  };
}

/** Money from outside into a household's wallet. */
export function paidIn(household: string, amount: number): TransferDraft {
  return money(SYSTEM.bank, walletOf(household), amount);
}

export function money(
  debit: string,
  credit: string,
  amount: number,
  more: Partial<TransferDraft> = {},
): TransferDraft {
  return { debit, credit, asset: 'EUR', amount, code: 'test', ...more };
}

export function walletOwing(household: string, creditLimit: number): AccountTerms {
  return { account: walletOf(household), limited: true, creditLimit };
}
