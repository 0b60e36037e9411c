import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DatabaseService } from '../../src/database/database.service.js';
import { SYSTEM, walletOf } from '../../src/ledger/accounts.js';
import { LedgerService, LimitExceeded } from '../../src/ledger/ledger.service.js';
import { transferId } from '../../src/ledger/record.js';
import type { TransferDraft } from '../../src/ledger/record.js';
import { AT, draft, money, openBooks, paidIn, walletOwing, type OpenBooks } from './books.js';

let books: OpenBooks;
beforeEach(async () => {
  books = await openBooks();
});
afterEach(() => books.close());

describe('appending', () => {
  test('numbers records from one, and tells what was written', async () => {
    const { append, ledger, database } = books;
    expect(await append([])).toEqual([]);
    expect(await append([draft('a'), draft('b')])).toEqual([1, 2]);
    const facts = { household: 'A', amount: 100 };
    const about = { keyHolder: 'A', households: ['A', 'B'], facts };
    expect(await append([draft('c', [paidIn('A', 100)], about)])).toEqual([3]);
    expect(await ledger.head(database, 'street')).toBe(3);
    expect(await ledger.records(database, 'street', { since: 2, limit: 10 })).toEqual([
      {
        microgridId: 'street',
        sequence: 3,
        kind: 'deposit',
        at: AT,
        households: ['A', 'B'],
        facts,
        transfers: [
          {
            id: transferId('street', 'c', 0),
            debit: SYSTEM.bank,
            credit: walletOf('A'),
            asset: 'EUR',
            amount: 100,
            code: 'test',
            state: 'posted',
          },
        ],
      },
    ]);
    const ofB = await ledger.records(database, 'street', { since: 0, limit: 10, household: 'B' });
    expect(ofB.map(({ sequence }) => sequence)).toEqual([3]);
    expect(await ledger.lastSequenceOf(database, 'street', 'B', 2)).toBe(0);
  });

  test('leaves no gap and no half under ten writers at once', async () => {
    const other = await DatabaseService.open({ url: books.url, poolSize: 5 });
    const writers = Array.from({ length: 10 }, (_, writer) =>
      (async () => {
        const on = writer % 2 === 0 ? books.database : other;
        const taken: number[] = [];
        for (let round = 0; round < 8; round += 1) {
          const drafts = Array.from({ length: 1 + (writer % 3) }, (_, line) =>
            draft(`${writer}/${round}/${line}`, [paidIn(`h${writer}`, 1)]),
          );
          const work = on.transaction((sql) => new LedgerService().append(sql, 'street', drafts));
          taken.push(...(await work));
        }
        return taken;
      })(),
    );
    const taken = (await Promise.all(writers)).flat();
    await other.close();
    const all = Array.from({ length: taken.length }, (_, at) => at + 1);
    expect(taken.toSorted((a, b) => a - b)).toEqual(all);
    const { database, ledger } = books;
    expect(await ledger.summary(database, 'street')).toMatchObject({
      records: taken.length,
      transfers: taken.length,
      sequence: taken.length,
    });
    const [logged] = await database.query<{ entries: number; last: number }>(
      `SELECT count(*) AS entries, max(entry_index) AS last FROM log_entry WHERE microgrid_id = 'street'`,
    );
    expect(logged).toEqual({ entries: taken.length, last: taken.length - 1 });
    expect((await books.log.sign(database, 'street'))!.size).toBe(taken.length);
  });

  test('refuses the same cause a second time, with all that came with it', async () => {
    const { append, ledger, database } = books;
    await append([draft('a', [paidIn('A', 100)])]);
    const again = append([draft('b', [paidIn('A', 1)]), draft('a')]);
    await expect(again).rejects.toThrow('record a: exists_with_different_number_of_lines');
    await expect(append([draft('c'), draft('c')])).rejects.toThrow('record c: exists');
    expect(await ledger.head(database, 'street')).toBe(1);
    expect(await books.balance(walletOf('A'))).toBe('0/100, 0/0');
    // Another microgrid has causes of its own.
    await database.transaction((sql) => ledger.append(sql, 'avenue', [draft('a')]));
    expect((await ledger.recordOfCause(database, 'avenue', 'a'))!.sequence).toBe(1);
    expect(await ledger.recordOfCause(database, 'street', 'b')).toBeNull();
  });

  test('keeps nothing when the transaction around it fails', async () => {
    const { append, ledger, database } = books;
    const work = database.transaction(async (sql) => {
      await append([draft('a', [paidIn('A', 100)])], [], sql);
      throw new Error('the slot does not settle');
    });
    await expect(work).rejects.toThrow('the slot does not settle');
    expect(await ledger.head(database, 'street')).toBe(0);
    expect(await books.balance(walletOf('A'))).toBeNull();
    expect(await append([draft('a')])).toEqual([1]);
  });

  test('hashes the same journal to the same bytes in another database', async () => {
    const drafts = [
      draft('a', [paidIn('A', 100)], { keyHolder: 'A', households: ['A'] }),
      draft('b', [money(walletOf('A'), walletOf('B'), 40)]),
    ];
    const twin = await openBooks();
    await books.append(drafts, [walletOwing('A', 0)]);
    for (const one of drafts) await twin.append([one], [walletOwing('A', 0)]);
    const [here, there] = [
      await books.ledger.summary(books.database, 'street'),
      await twin.ledger.summary(twin.database, 'street'),
    ];
    expect(here).toEqual(there);
    expect(await commitments(books)).not.toEqual(await commitments(twin));
    await twin.close();
  });
});

describe('holds', () => {
  test('are kept, posted in part, voided, and resolved once', async () => {
    const { append, balance } = books;
    const wallet = walletOf('A');
    await append([draft('in', [paidIn('A', 100)])], [walletOwing('A', 0)]);
    await append([draft('h1', [hold(60)]), draft('h2', [hold(40)])]);
    expect(await balance(wallet)).toBe('0/100, 100/0');
    await append([draft('p1', [resolve('h1', 'post', 25)])]);
    expect(await balance(wallet)).toBe('25/100, 40/0');
    await append([draft('v2', [resolve('h2', 'void', 0)])]);
    expect(await balance(wallet)).toBe('25/100, 0/0');
    expect(await balance(SYSTEM.market)).toBe('0/25, 0/0');
    for (const held of ['h1', 'h2']) {
      await expect(append([draft('again', [resolve(held, 'void', 0)])])).rejects.toThrow(
        /again, line 0 .*: pending_transfer_already_(posted|voided)/,
      );
    }
  });

  test('are not resolved by two writers at once', async () => {
    const { append, balance } = books;
    await append([draft('in', [paidIn('A', 100)]), draft('h', [hold(60)])], [walletOwing('A', 0)]);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, (_, at) => append([draft(`p${at}`, [resolve('h', 'post', 60)])])),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await balance(walletOf('A'))).toBe('60/100, 0/0');
  });

  test('refuse what differs from them or exceeds them', async () => {
    const { append, balance } = books;
    await append([draft('in', [paidIn('A', 100)]), draft('h', [hold(60)])]);
    const refused: [TransferDraft, string][] = [
      [resolve('h', 'post', 61), 'exceeds_pending_transfer_amount'],
      [{ ...resolve('h', 'post', 60), credit: walletOf('B') }, 'different_credit_account'],
      [{ ...resolve('h', 'post', 60), debit: walletOf('B') }, 'different_debit_account'],
      [{ ...resolve('h', 'post', 60), pendingId: transferId('avenue', 'h', 0) }, 'not_found'],
    ];
    for (const [transfer, status] of refused) {
      await expect(append([draft('p', [transfer])])).rejects.toThrow(status);
    }
    expect(await balance(walletOf('A'))).toBe('0/100, 60/0');
  });
});

describe('limits', () => {
  test('hold to the micro-unit, for what is posted and what is held', async () => {
    const { append, balance } = books;
    const terms = [walletOwing('A', 50)];
    const pay = (cause: string, amount: number) => append([draft(cause, [spend(amount)])], terms);
    await append([draft('in', [paidIn('A', 100)])], terms);
    await expect(pay('1', 151)).rejects.toThrow(LimitExceeded);
    await pay('2', 100);
    await append([draft('h', [hold(50)])], terms);
    await expect(pay('3', 1)).rejects.toThrow(LimitExceeded);
    await expect(append([draft('h2', [hold(1)])], terms)).rejects.toThrow(LimitExceeded);
    await append([draft('v', [resolve('h', 'void', 0)])]);
    await pay('4', 50);
    await expect(pay('5', 1)).rejects.toThrow(LimitExceeded);
    expect(await balance(walletOf('A'))).toBe('150/100, 0/0');
  });

  test('are those an account was opened with, and stand in the record that opened it', async () => {
    const { append, ledger, database } = books;
    await append([draft('in', [paidIn('A', 100)])], [walletOwing('A', 50)]);
    await expect(append([draft('1', [spend(200)])], [walletOwing('A', 999)])).rejects.toThrow(
      LimitExceeded,
    );
    const [{ bytes }] = (await database.query<{ bytes: Buffer }>(
      `SELECT bytes FROM record_body`,
    )) as [{ bytes: Buffer }];
    expect(JSON.parse(bytes.toString())).toMatchObject({
      opens: [{ account: walletOf('A'), limited: true, creditLimit: 50 }],
    });
    const balance = (await ledger.balances(database, 'street', [walletOf('A')])).get(walletOf('A'));
    expect(balance).toMatchObject({ limited: true, creditLimit: 50 });
  });

  test('count line by line in their order, and refuse the whole batch together', async () => {
    const { append, balance } = books;
    const terms = [walletOwing('A', 0)];
    const [pay, get] = [draft('1', [spend(100)]), draft('2', [paidIn('A', 100)])];
    await expect(append([pay, get], terms)).rejects.toThrow(LimitExceeded);
    await append([get, pay], terms);
    expect(await balance(walletOf('A'))).toBe('100/100, 0/0');
    const batch = [draft('3', [paidIn('B', 7)]), draft('4', [spend(1)])];
    await expect(append(batch, terms)).rejects.toThrow(LimitExceeded);
    expect(await balance(walletOf('B'))).toBe('0/100, 0/0');
  });

  test('an account holds one asset for ever', async () => {
    const { append } = books;
    await append([draft('in', [paidIn('A', 100)])]);
    const other = { ...spend(5), asset: 'PRODUCTION' };
    await expect(append([draft('1', [other])])).rejects.toThrow(
      'household/B/wallet 5 PRODUCTION): debit_account_has_different_asset',
    );
  });
});

function hold(amount: number) {
  return money(walletOf('A'), SYSTEM.market, amount, { state: 'pending' });
}

function resolve(cause: string, state: 'post' | 'void', amount: number) {
  const pendingId = transferId('street', cause, 0);
  return money(walletOf('A'), SYSTEM.market, amount, { state, pendingId });
}

function spend(amount: number) {
  return money(walletOf('A'), walletOf('B'), amount);
}

async function commitments({ database }: OpenBooks): Promise<string[]> {
  const rows = await database.query<{ commitment: Buffer }>(
    `SELECT commitment FROM record_head ORDER BY sequence`,
  );
  return rows.map(({ commitment }) => commitment.toString('hex'));
}
