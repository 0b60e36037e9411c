import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Sql } from '../../src/database/database.service.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import type { RecordDraft } from '../../src/ledger/record.js';
import { idOf } from './bookkeeping.js';
import { AT, openBooks, type OpenBooks } from './books.js';

/** Posting takes the same statements for four records as for ten thousand. */

let books: OpenBooks;
beforeAll(async () => {
  books = await openBooks();
});
afterAll(() => books.close());

test.each([1, 25, 2_500])('four times %d records', async (count) => {
  const microgrid = `of-${count}`;
  await books.database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at) VALUES ($1, 'Many', 'EUR', $2)`,
    [microgrid, AT],
  );
  const ledger = new LedgerService();
  const each = Array.from({ length: count }, (_, at) => at);
  await books.database.transaction((sql) => ledger.submit(sql, microgrid, each.map(holds)));
  // Repeats, holds that are resolved and made and expire, lines and causes that fail, new accounts.
  const drafts = each.flatMap(sorts);
  const statements: string[] = [];
  const outcomes = await books.database.transaction((sql) =>
    ledger.submit(counted(sql, statements), microgrid, drafts, [
      { account: 'poor', limited: true, creditLimit: 0 },
    ]),
  );
  const kinds = new Set(outcomes.map(({ status }) => status));
  expect([...kinds]).toEqual(['exists', 'created', 'exceeds_credits']);
  expect(statements).toEqual(STATEMENTS);
});

const STATEMENTS = [
  'SELECT journal_head',
  'SELECT hold_timeout',
  'SELECT account',
  'SELECT transfer',
  'SELECT record_head',
  'SELECT unnest',
  'INSERT failed_id',
  'INSERT account',
  'UPDATE account',
  'INSERT record_key',
  'COPY record_head',
  'COPY record_body',
  'COPY record_household',
  'COPY transfer',
  'COPY log_entry',
  'INSERT hold_timeout',
  'DELETE hold_timeout',
  'SELECT log_tile',
  'INSERT log_tile',
  'UPDATE journal_head',
];

/** One to be posted, and one that stays, or whose time is soon over. */
function holds(at: number): RecordDraft {
  const usual = { debit: `payer-${at}`, credit: 'market', asset: 'EUR', amount: 5, code: 'test' };
  return draft(`hold/${at}`, AT, [
    { ...usual, state: 'pending', id: idOf(`h${at}`), ...within(at, 100) },
    { ...usual, state: 'pending', id: idOf(`e${at}`), ...within(at, 50) },
  ]);
}

function within(at: number, timeoutSeconds: number) {
  return at % 10 === 0 ? { timeoutSeconds } : {};
}

function sorts(at: number): RecordDraft[] {
  const later = '2026-06-01T10:01:00Z';
  const usual = { debit: `payer-${at}`, credit: 'market', asset: 'EUR', amount: 5, code: 'test' };
  const timed = { state: 'pending', id: idOf(`n${at}`), ...within(at, 100) } as const;
  return [
    holds(at),
    draft(`post/${at}`, later, [{ ...usual, state: 'post', pendingId: idOf(`h${at}`) }]),
    draft(`new/${at}`, later, [{ ...usual, credit: `household/${at}/w`, ...timed }], `${at}`),
    draft(`poor/${at}`, later, [{ ...usual, debit: 'poor', id: idOf(`p${at}`) }]),
  ];
}

function draft(
  cause: string,
  at: string,
  transfers: RecordDraft['transfers'],
  household = '',
): RecordDraft {
  const households = household === '' ? [] : [household];
  return { kind: 'deposit', at, cause, keyHolder: household, households, facts: {}, transfers };
}

function counted(sql: Sql, statements: string[]): Sql {
  const named = (text: string) => {
    const [, verb, table] = /(SELECT|INSERT INTO|UPDATE|DELETE FROM|COPY)\s+(\w+)/.exec(text)!;
    const from = /FROM\s+(\w+)/.exec(text);
    statements.push(`${verb!.split(' ')[0]} ${verb === 'SELECT' ? from![1] : table}`);
  };
  return {
    query: (text, parameters) => {
      named(text);
      return sql.query(text, parameters);
    },
    copyIn: (copies) => {
      for (const { text } of copies) named(text);
      return sql.copyIn(copies);
    },
  };
}
