import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DatabaseService } from '../../src/database/database.service.js';
import { householdsOf, type AccountTerms, type Balance } from '../../src/ledger/accounts.js';
import { LedgerService } from '../../src/ledger/ledger.service.js';
import {
  commitment,
  logEntry,
  type RecordBody,
  type RecordDraft,
  type TransferDraft,
} from '../../src/ledger/record.js';
import { formatInstant } from '../../src/units/slot.js';
import { idOf, told } from './bookkeeping.js';
import { AT, openBooks, type OpenBooks } from './books.js';
import { Oracle } from './oracle.js';

/**
 * Days of random bookkeeping on the ledger and on the oracle side by side: up to three batches at once
 * on the same few accounts, and after each round every status and every balance compared.
 *
 *     WORKLOAD_RECORDS=100000 WORKLOAD_SEED=2026 npm test -- test/ledger/workload.spec.ts
 *
 * A failing day prints its seed and path and is shrunk; `WORKLOAD_SEED` runs it again.
 */

/** Records handed in, about: a day has a few hundred. */
const RECORDS = Number(process.env.WORKLOAD_RECORDS ?? 2_000);
const RECORDS_A_DAY = 200;
const SEED = process.env.WORKLOAD_SEED;

const ACCOUNTS = ['bank', 'market', 'household/a/w', 'household/b/w', 'household/c/w'].concat([
  'household/d/w',
  'household/e/w',
  'fees',
]);
const TERMS: AccountTerms[] = [
  { account: 'household/a/w', limited: true, creditLimit: 0 },
  { account: 'household/b/w', limited: true, creditLimit: 60 },
  { account: 'household/c/w', limited: false, creditLimit: 0, debitLimit: 80 },
  { account: 'household/d/w', limited: true, creditLimit: 40, debitLimit: 90 },
];

const small = (max: number) => fc.nat({ max });
const line = fc.record({
  what: fc.constantFrom(
    ...([
      'pay',
      'pay',
      'pay',
      'hold',
      'hold',
      'timed',
      'timed',
      'post',
      'post',
      'post',
      'void',
    ] as const),
    ...(['most', 'most', 'wrong'] as const),
  ),
  debit: small(ACCOUNTS.length - 1),
  credit: small(ACCOUNTS.length - 1),
  amount: fc.integer({ min: 1, max: 50 }),
  hold: small(79),
  twist: small(11),
});
const entry = fc.record({
  /** A fresh cause, or one of before again, as it was or with something changed. */
  cause: fc.constantFrom('new', 'new', 'new', 'new', 'again', 'changed'),
  pick: small(999),
  seconds: small(9),
  lines: fc.array(line, { minLength: 1, maxLength: 4 }),
});
type Entry = typeof entry extends fc.Arbitrary<infer T> ? T : never;
type Line = Entry['lines'][number];

const batch = fc.array(entry, { minLength: 1, maxLength: 9 });
const day = fc.array(fc.array(batch, { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 50,
  size: 'max',
});

let books: OpenBooks;
let second: DatabaseService;
beforeAll(async () => {
  books = await openBooks();
  second = await DatabaseService.open({ url: books.url, poolSize: 3 });
});
afterAll(async () => {
  await second.close();
  await books.close();
});

test('the ledger and the oracle agree on every status and every balance', async () => {
  let records = 0;
  let number = 0;
  const property = fc.asyncProperty(day, async (rounds) => {
    number += 1;
    records += await runDay(`day${number}`, rounds);
  });
  const numRuns = Math.ceil(RECORDS / RECORDS_A_DAY);
  await fc.assert(property, { numRuns, ...(SEED === undefined ? {} : { seed: Number(SEED) }) });
  expect(records).toBeGreaterThan(RECORDS / 2);
  if (process.env.WORKLOAD_RECORDS !== undefined) {
    process.stderr.write(`${records} records in ${number} days\n`);
  }
}, 3_600_000);

/** @returns how many records were handed in */
async function runDay(microgrid: string, rounds: readonly Entry[][][]): Promise<number> {
  await books.database.query(
    `INSERT INTO microgrid (microgrid_id, name, currency, starts_at) VALUES ($1, 'A day', 'EUR', $2)`,
    [microgrid, AT],
  );
  const oracle = new Oracle(microgrid);
  const writer = new Writer(Date.parse(AT));
  const then = new Map<number, Record<string, string>>();
  for (const round of rounds) {
    const batches = round.map((entries) => entries.map((one) => writer.draft(one)));
    const done = await Promise.all(
      batches.map((drafts, at) =>
        submit(at % 2 === 0 ? books.database : second, microgrid, drafts),
      ),
    );
    // The head's lock is the order in which they came.
    for (const { drafts, outcomes } of done.sort((a, b) => a.turn - b.turn)) {
      const expected = oracle.submit(drafts, TERMS);
      expect(outcomes.map(shown)).toEqual(expected.map(shown));
    }
    expect(await balances(microgrid)).toEqual(oracle.balances());
    then.set(oracle.sequence, oracle.balances());
  }
  for (const [sequence, expected] of then) {
    if (sequence % 3 === 0)
      expect(await balancesAt(microgrid, sequence)).toEqual(unversioned(expected));
  }
  await assertStatements(microgrid, oracle);
  expect(await numbers(microgrid)).toEqual(Object.fromEntries(oracle.numbers));
  expect(await books.ledger.head(books.database, microgrid)).toBe(oracle.sequence);
  expect(await fromTransfers(microgrid)).toEqual(await posted(microgrid));
  await assertSealed(microgrid);
  return rounds.flat(2).length;
}

let turns = 0;

async function submit(database: DatabaseService, microgrid: string, drafts: RecordDraft[]) {
  const ledger = new LedgerService();
  return database.transaction(async (sql) => {
    await ledger.lock(sql, microgrid);
    const turn = (turns += 1);
    return { turn, drafts, outcomes: await ledger.submit(sql, microgrid, drafts, TERMS) };
  });
}

function shown(outcome: Parameters<typeof told>[0]): string {
  return `${told(outcome)} ${outcome.sequence}`;
}

/** Makes records of what was drawn; it remembers what it made, to hand it in again. */
class Writer {
  private readonly made: RecordDraft[] = [];

  constructor(private atMillis: number) {}

  draft({ cause, pick, seconds, lines }: Entry): RecordDraft {
    this.atMillis += 1_000 * seconds;
    const at = formatInstant(this.atMillis);
    const earlier = this.made[pick % Math.max(this.made.length, 1)];
    if (cause !== 'new' && earlier) {
      if (cause === 'again') return { ...earlier, at };
      return { ...earlier, at, transfers: earlier.transfers.map((one) => changed(one, pick)) };
    }
    const transfers = lines.map(transferOf);
    // Not those who are paid: the expiry of a hold for them concerns them for the first time.
    const households = householdsOf(...transfers.map(({ debit }) => debit));
    const draft: RecordDraft = {
      kind: 'deposit',
      at,
      cause: `record/${this.made.length}`,
      keyHolder: households[0] ?? '',
      households,
      facts: {},
      transfers,
    };
    this.made.push(draft);
    return draft;
  }
}

function transferOf({ what, debit, credit, amount, hold, twist }: Line): TransferDraft {
  const usual = { asset: 'EUR', code: 'test', amount };
  const line = { ...usual, debit: ACCOUNTS[debit]!, credit: ACCOUNTS[credit]! };
  // A hold is always between the same two, so that its resolution finds it more often than not.
  const [from, to] = [hold % ACCOUNTS.length, (hold + 1 + (hold % 5)) % ACCOUNTS.length];
  const held = twist === 0 ? line : { ...usual, debit: ACCOUNTS[from]!, credit: ACCOUNTS[to]! };
  const holdId = idOf(`h${hold}`);
  switch (what) {
    case 'pay':
      return twist < 3 ? { ...line, id: idOf(`p${hold}`) } : line;
    case 'hold':
      return { ...held, id: holdId, state: 'pending' };
    case 'timed':
      return { ...held, id: holdId, state: 'pending', timeoutSeconds: 1 + 7 * twist };
    case 'post':
      return { ...held, state: 'post', pendingId: holdId };
    case 'void':
      return { ...held, amount: 0, state: 'void', pendingId: holdId };
    case 'most': {
      const balancing = (['debit', 'credit', 'both'] as const)[twist % 3]!;
      return { ...line, balancing, ...(twist > 8 ? { state: 'pending', id: holdId } : {}) };
    }
    case 'wrong':
      return [
        { ...line, asset: 'CHF' },
        { ...line, amount: 0 },
        { ...line, amount: Number.MAX_SAFE_INTEGER - amount },
        { ...line, timeoutSeconds: 5 },
        { ...line, pendingId: holdId },
        { ...line, id: 'none' },
        { ...line, code: '' },
      ][twist % 7]!;
  }
}

function changed(transfer: TransferDraft, pick: number): TransferDraft {
  return [
    { ...transfer, amount: transfer.amount + 1 },
    { ...transfer, code: 'other' },
    { ...transfer, credit: 'elsewhere' },
    { ...transfer, id: idOf(`x${pick}`) },
    { ...transfer, state: 'pending' as const },
    { ...transfer, timeoutSeconds: 1_000 },
    { ...transfer, balancing: 'debit' as const },
  ][pick % 7]!;
}

async function balances(microgrid: string): Promise<Record<string, string>> {
  const rows = await books.database.query<{ account: string; balance: string }>(
    `SELECT account_id AS account, format('%s/%s, %s/%s, %s', debits_posted, credits_posted,
       debits_pending, credits_pending, version) AS balance
     FROM account WHERE microgrid_id = $1`,
    [microgrid],
  );
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
}

/** The same as of an earlier record, out of the transfers. */
async function balancesAt(microgrid: string, sequence: number): Promise<Record<string, string>> {
  const { ledger, database } = books;
  const page = { after: '', limit: 1_000 };
  const rows = await ledger.accounts(database, microgrid, sequence, page, true);
  return Object.fromEntries(rows.map((row) => [row.accountId, sides(row)]));
}

function sides(one: Omit<Balance, 'limited' | 'creditLimit' | 'debitLimit'>): string {
  return `${one.debitsPosted}/${one.creditsPosted}, ${one.debitsPending}/${one.creditsPending}`;
}

function unversioned(expected: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(expected).map(([account, text]) => [account, text.replace(/, \d+$/, '')]),
  );
}

/** Statements in pages of any size end at the balance, and each line moves it by its amount. */
async function assertStatements(microgrid: string, oracle: Oracle): Promise<void> {
  for (const [account, expected] of Object.entries(oracle.balances())) {
    let [after, balance, last] = [{ sequence: 0, line: -1 }, 0, '0, 0/0'];
    for (let limit = 7; ; limit += 1) {
      const range = { from: null, to: null };
      const page = { after, limit };
      const lines = await books.ledger.statement(books.database, microgrid, account, range, page);
      for (const line of lines) {
        const moves = line.state === 'posted' || line.state === 'post' ? line.amount : 0;
        balance += line.side === 'debit' ? -moves : moves;
        expect(line.balance).toBe(balance);
        last = `${line.balance}, ${line.held}/${line.expected}`;
      }
      if (lines.length < limit) break;
      after = lines.at(-1)!;
    }
    const [posted, pending] = expected.split(', ') as [string, string];
    const [debits, credits] = posted.split('/').map(Number) as [number, number];
    expect(`${account} ${last}`).toBe(`${account} ${credits - debits}, ${pending}`);
  }
}

async function numbers(microgrid: string): Promise<Record<string, number>> {
  const rows = await books.database.query<{ household: string; numbers: number[] }>(
    `SELECT household_id AS household, array_agg(number ORDER BY sequence) AS numbers
     FROM record_household WHERE microgrid_id = $1 GROUP BY household_id`,
    [microgrid],
  );
  // One after another, without a gap.
  for (const row of rows) expect(row.numbers).toEqual(row.numbers.map((_, at) => at + 1));
  return Object.fromEntries(rows.map((row) => [row.household, row.numbers.length]));
}

/** Each record's log entry follows from its bytes and the key of its holder. */
async function assertSealed(microgrid: string): Promise<void> {
  const rows = await books.database.query<{ bytes: Buffer; key: Buffer; entry: Buffer }>(
    `SELECT bytes, key, entry FROM record_body
     JOIN record_key USING (microgrid_id, key_holder)
     JOIN log_entry ON log_entry.microgrid_id = $1 AND entry_index = sequence - 1
     WHERE record_body.microgrid_id = $1`,
    [microgrid],
  );
  for (const { bytes, key, entry } of rows) {
    const body = JSON.parse(bytes.toString('utf8')) as RecordBody;
    expect(entry.toString('hex')).toBe(
      Buffer.from(logEntry(commitment(key, body))).toString('hex'),
    );
  }
}

/** Credits less debits by account, from the rows of transfers. */
async function fromTransfers(microgrid: string): Promise<unknown> {
  return books.database.query(
    `SELECT account, sum(amount)::bigint AS balance FROM (
       SELECT credit_account AS account, amount FROM transfer
       WHERE microgrid_id = $1 AND state <> 'pending'
       UNION ALL
       SELECT debit_account, -amount FROM transfer WHERE microgrid_id = $1 AND state <> 'pending'
     ) moved GROUP BY account HAVING sum(amount) <> 0 ORDER BY account`,
    [microgrid],
  );
}

async function posted(microgrid: string): Promise<unknown> {
  return books.database.query(
    `SELECT account_id AS account, (credits_posted - debits_posted)::bigint AS balance FROM account
     WHERE microgrid_id = $1 AND credits_posted <> debits_posted ORDER BY account_id`,
    [microgrid],
  );
}
