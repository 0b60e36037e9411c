import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Sql } from '../../src/database/database.service.js';
import { STATUSES } from '../../src/ledger/outcome.js';
import type { RecordDraft } from '../../src/ledger/record.js';
import { record, term, told, type Ledger } from './bookkeeping.js';
import { openBooks, type OpenBooks } from './books.js';
import { MemoryBooks } from './memory-books.js';
import { Oracle } from './oracle.js';

/**
 * Every status a record can meet, as rows of a bookkeeper: what stands in the books, the record that
 * comes, what becomes of it. Each row holds for the decision, for the ledger in its tables, and for
 * the oracle. `bookkeeping.ts` says how a record is written.
 */
interface Row {
  what: string;
  /** `B may owe 50`, `A may hold 100`: the terms on which accounts open. */
  terms?: string[];
  /** Records that come first; each is created unless a status stands behind `=>`. */
  before?: string[];
  record: string;
  /** Members of the record, and of those before it, that a line of text does not say. */
  earlier?: Partial<RecordDraft>;
  later?: Partial<RecordDraft>;
  /** Its body is deleted before the record comes. */
  erased?: string;
  becomes: string;
}

const RENT = '10:00 rent: t1: B > A 100';
const MOST = Number.MAX_SAFE_INTEGER;

const ROWS: Row[] = [
  // Created
  { what: 'a transfer moves money', record: RENT, becomes: 'created' },
  { what: 'a record needs no transfer', record: '10:00 note: ', becomes: 'created' },
  {
    what: 'what stands on the account is spent',
    terms: ['B may owe 0'],
    before: ['10:00 in: C > B 100'],
    record: RENT,
    becomes: 'created',
  },
  {
    what: 'credit is spent to the last unit',
    terms: ['B may owe 100'],
    record: RENT,
    becomes: 'created',
  },
  {
    what: 'an account fills to the last unit',
    terms: ['A may hold 100'],
    record: RENT,
    becomes: 'created',
  },
  {
    what: 'a line spends what the line before it brought',
    terms: ['B may owe 0'],
    record: '10:00 through: C > B 100; B > A 100',
    becomes: 'created',
  },
  {
    what: 'a hold is posted in full',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 settled: B > M 100 posts h1',
    becomes: 'created',
  },
  {
    what: 'a hold is posted in part, which frees the rest',
    terms: ['B may owe 100'],
    before: ['10:00 order: B > M 100 hold h1', '10:01 settled: B > M 30 posts h1'],
    record: '10:02 more: B > A 70',
    becomes: 'created',
  },
  {
    what: 'a hold is voided, which frees all of it',
    terms: ['B may owe 100'],
    before: ['10:00 order: B > M 100 hold h1', '10:01 taken back: B > M voids h1'],
    record: RENT,
    becomes: 'created',
  },
  {
    what: 'a hold is made and posted in one record',
    record: '10:00 both: B > M 100 hold h1; B > M 60 posts h1',
    becomes: 'created',
  },
  {
    what: 'a hold is posted while its time lasts',
    before: ['10:00 order: B > M 100 hold h1 for 60s'],
    record: '10:00:59 settled: B > M 100 posts h1',
    becomes: 'created',
  },
  {
    what: 'what expired is free again, at the very second',
    terms: ['B may owe 100'],
    before: ['10:00 order: B > M 100 hold h1 for 60s'],
    record: '10:01 rent: B > A 100',
    becomes: 'created',
  },
  {
    what: 'at most what there is: a balancing transfer moves less than asked',
    terms: ['B may owe 0'],
    before: ['10:00 in: C > B 40', '10:01 sweep: B > A at most 100 of debit'],
    record: '10:02 in again: C > B 5; B > A 5',
    becomes: 'created',
  },
  {
    what: 'at most what there is room for',
    terms: ['A may hold 30'],
    before: ['10:00 fill: B > A at most 100 of credit'],
    record: '10:01 back: A > B 30',
    becomes: 'created',
  },
  {
    what: 'at most what both allow',
    terms: ['A may hold 30', 'B may owe 20'],
    before: ['10:00 fill: B > A at most 100 of both'],
    record: '10:01 rest: C > A 10',
    becomes: 'created',
  },
  {
    what: 'a refusal that cannot pass does not use up the cause',
    before: ['10:00 rent: B > A 0 => amount_must_not_be_zero, line 1'],
    record: RENT,
    becomes: 'created',
  },

  // Of the record
  { what: 'a cause has a name', record: '10:00 : B > A 100', becomes: 'cause_must_not_be_empty' },
  {
    what: 'what was erased cannot be compared any more',
    before: [RENT],
    erased: 'rent',
    record: RENT,
    becomes: 'exists_erased',
  },
  {
    what: 'another kind',
    before: [RENT],
    later: { kind: 'award' },
    record: RENT,
    becomes: 'exists_with_different_kind',
  },
  {
    what: 'another key',
    before: [RENT],
    later: { keyHolder: 'B' },
    record: RENT,
    becomes: 'exists_with_different_key_holder',
  },
  {
    what: 'other households',
    before: [RENT],
    earlier: { households: ['a', 'b'] },
    later: { households: ['a', 'c'] },
    record: RENT,
    becomes: 'exists_with_different_households',
  },
  {
    what: 'other facts',
    before: [RENT],
    earlier: { facts: { month: 5 } },
    later: { facts: { month: 6 } },
    record: RENT,
    becomes: 'exists_with_different_facts',
  },
  {
    what: 'one line more',
    before: [RENT],
    record: `${RENT}; B > C 5`,
    becomes: 'exists_with_different_number_of_lines',
  },
  {
    what: 'another id',
    before: [RENT],
    record: '10:00 rent: t2: B > A 100',
    becomes: 'exists_with_different_id, line 1',
  },
  {
    what: 'a hold instead of a payment',
    before: [RENT],
    record: '10:00 rent: t1: B > A 100 hold',
    becomes: 'exists_with_different_state, line 1',
  },
  {
    what: 'at most instead of exactly',
    before: [RENT],
    record: '10:00 rent: t1: B > A at most 100 of debit',
    becomes: 'exists_with_different_balancing, line 1',
  },
  {
    what: 'another hold',
    before: ['10:00 order: B > M 5 hold h1; B > M 5 hold h2', '10:01 paid: t1: B > M 5 posts h1'],
    record: '10:01 paid: t1: B > M 5 posts h2',
    becomes: 'exists_with_different_pending_id, line 1',
  },
  {
    what: 'another timeout',
    before: ['10:00 order: B > M 5 hold h1 for 60s'],
    record: '10:00 order: B > M 5 hold h1 for 61s',
    becomes: 'exists_with_different_timeout, line 1',
  },
  {
    what: 'another payer',
    before: [RENT],
    record: '10:00 rent: t1: C > A 100',
    becomes: 'exists_with_different_debit_account, line 1',
  },
  {
    what: 'another payee',
    before: [RENT],
    record: '10:00 rent: t1: B > C 100',
    becomes: 'exists_with_different_credit_account, line 1',
  },
  {
    what: 'another amount',
    before: [RENT],
    record: '10:00 rent: t1: B > A 101',
    becomes: 'exists_with_different_amount, line 1',
  },
  {
    what: 'another asset',
    before: [RENT],
    record: '10:00 rent: t1: B > A 100 CHF',
    becomes: 'exists_with_different_asset, line 1',
  },
  {
    what: 'another purpose, on the second line',
    before: ['10:00 rent: B > A 100; B > A 5 as water'],
    record: '10:00 rent: B > A 100; B > A 5 as power',
    becomes: 'exists_with_different_code, line 2',
  },
  { what: 'the same again', before: [RENT], record: RENT, becomes: 'exists' },
  {
    what: 'the same, an hour later: the instant is a label',
    before: [RENT],
    record: '11:00 rent: t1: B > A 100',
    becomes: 'exists',
  },
  {
    what: 'the same households in another order, one of them twice',
    before: [RENT],
    earlier: { households: ['a', 'b'] },
    later: { households: ['b', 'a', 'b'] },
    record: RENT,
    becomes: 'exists',
  },
  {
    what: 'the same question of a balancing transfer, whatever it moved',
    terms: ['B may owe 40'],
    before: ['10:00 sweep: B > A at most 100 of debit'],
    record: '10:05 sweep: B > A at most 100 of debit',
    becomes: 'exists',
  },
  {
    what: 'the same, though it could not be posted today',
    terms: ['B may owe 100'],
    before: [RENT],
    record: RENT,
    becomes: 'exists',
  },
  {
    what: 'a cause that was refused for lack of money stays refused, when there is some',
    terms: ['B may owe 0'],
    before: ['10:00 rent: B > A 100 => exceeds_credits, line 1', '10:01 in: C > B 100'],
    record: '10:02 rent: B > A 100',
    becomes: 'id_already_failed',
  },
  {
    what: 'an id that failed stays failed under any cause, wherever it stands',
    terms: ['B may owe 0'],
    before: [`${RENT} => exceeds_credits, line 1`],
    record: '10:02 once more: C > A 1; t1: C > A 1',
    becomes: 'id_already_failed, line 2',
  },

  // Of a line, whatever the books say
  {
    what: 'an id of another form',
    record: '10:00 rent: not-hex: B > A 100',
    becomes: 'id_must_be_32_hex_digits, line 1',
  },
  {
    what: 'the id of a line of another record',
    before: [RENT],
    record: '10:01 other: C > A 5; t1: B > A 100',
    becomes: 'id_belongs_to_another_line, line 2',
  },
  {
    what: 'the id of another line of this record',
    record: '10:00 rent: t1: B > A 100; t1: B > A 100',
    becomes: 'id_belongs_to_another_line, line 2',
  },
  {
    what: 'an account that is no path, to pay',
    record: '10:00 rent: B.1 > A 100',
    becomes: 'debit_account_must_be_a_path, line 1',
  },
  {
    what: 'an account that is no path, to be paid',
    record: '10:00 rent: B > A! 100',
    becomes: 'credit_account_must_be_a_path, line 1',
  },
  {
    what: 'nobody pays itself',
    record: '10:00 rent: B > B 100',
    becomes: 'accounts_must_be_different, line 1',
  },
  {
    what: 'holds expire by themselves',
    before: ['10:00 order: B > M 5 hold h1 for 60s'],
    record: '10:01 over: B > M expires h1',
    becomes: 'expiry_is_made_by_the_ledger, line 1',
  },
  {
    what: 'a payment resolves no hold',
    record: '10:00 rent: B > A 100 pending h1',
    becomes: 'pending_id_must_be_absent, line 1',
  },
  {
    what: 'a resolution names its hold',
    record: '10:00 paid: B > A 100 posts',
    becomes: 'pending_id_must_be_32_hex_digits, line 1',
  },
  {
    what: 'and not itself',
    record: '10:00 paid: t1: B > A 100 posts t1',
    becomes: 'pending_id_must_be_different, line 1',
  },
  {
    what: 'only a hold has a timeout',
    record: '10:00 rent: B > A 100 for 60s',
    becomes: 'timeout_reserved_for_pending_transfer, line 1',
  },
  {
    what: 'a timeout of no time',
    record: '10:00 order: B > M 100 hold h1 for 0s',
    becomes: 'timeout_must_be_1_to_2147483647_seconds, line 1',
  },
  {
    what: 'a timeout of a fraction',
    record: '10:00 order: B > M 100 hold h1 for 1.5s',
    becomes: 'timeout_must_be_1_to_2147483647_seconds, line 1',
  },
  {
    what: 'a hold is posted as it is or for less, not at most',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 paid: B > M 100 of debit posts h1',
    becomes: 'balancing_not_for_resolutions, line 1',
  },
  {
    what: 'nothing is taken back by a negative amount',
    record: '10:00 rent: B > A -5',
    becomes: 'amount_must_be_a_safe_integer, line 1',
  },
  {
    what: 'there are no halves of a unit',
    record: '10:00 rent: B > A 0.5',
    becomes: 'amount_must_be_a_safe_integer, line 1',
  },
  {
    what: 'a void moves nothing',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 taken back: B > M 1 voids h1',
    becomes: 'amount_must_be_zero, line 1',
  },
  {
    what: 'nothing is not paid',
    record: '10:00 rent: B > A 0',
    becomes: 'amount_must_not_be_zero, line 1',
  },
  {
    what: 'it is some asset that moves',
    record: "10:00 rent: B > A 100 ''",
    becomes: 'asset_must_not_be_empty, line 1',
  },
  {
    what: 'for some purpose',
    record: "10:00 rent: B > A 100 as ''",
    becomes: 'code_must_not_be_empty, line 1',
  },

  // Of a line against the books
  {
    what: 'the payer has another asset',
    before: [RENT],
    record: '10:01 other: B > C 5 CHF',
    becomes: 'debit_account_has_different_asset, line 1',
  },
  {
    what: 'the payee has another asset, since the line before',
    record: '10:00 both: B > A 100; C > A 5 CHF',
    becomes: 'credit_account_has_different_asset, line 2',
  },
  {
    what: 'there is no such hold',
    record: '10:00 paid: B > M 100 posts h1',
    becomes: 'pending_transfer_not_found, line 1',
  },
  {
    what: 'the hold is made in the line after',
    record: '10:00 both: B > M 100 posts h1; B > M 100 hold h1',
    becomes: 'pending_transfer_not_found, line 1',
  },
  {
    what: 'a payment is no hold',
    before: [RENT],
    record: '10:01 paid: B > A 100 posts t1',
    becomes: 'pending_transfer_not_pending, line 1',
  },
  {
    what: "another's hold",
    before: ['10:00 order: C > M 100 hold h1'],
    record: '10:01 paid: B > M 100 posts h1',
    becomes: 'pending_transfer_has_different_debit_account, line 1',
  },
  {
    what: 'a hold for somebody else',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 paid: B > A 100 posts h1',
    becomes: 'pending_transfer_has_different_credit_account, line 1',
  },
  {
    what: 'more than was held',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 paid: B > M 101 posts h1',
    becomes: 'exceeds_pending_transfer_amount, line 1',
  },
  {
    what: 'a hold is posted once, even in part',
    before: ['10:00 order: B > M 100 hold h1', '10:01 paid: B > M 40 posts h1'],
    record: '10:02 paid again: B > M 60 posts h1',
    becomes: 'pending_transfer_already_posted, line 1',
  },
  {
    what: 'a hold is resolved once in a record too',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 twice: B > M 40 posts h1; B > M voids h1',
    becomes: 'pending_transfer_already_posted, line 2',
  },
  {
    what: 'what was voided is not posted',
    before: ['10:00 order: B > M 100 hold h1', '10:01 taken back: B > M voids h1'],
    record: '10:02 paid: B > M 100 posts h1',
    becomes: 'pending_transfer_already_voided, line 1',
  },
  {
    what: 'a hold ends with its time, at the very second',
    before: ['10:00 order: B > M 100 hold h1 for 60s'],
    record: '10:01 paid: B > M 100 posts h1',
    becomes: 'pending_transfer_expired, line 1',
  },
  {
    what: 'debits on hold fit a safe integer',
    before: [`10:00 much: B > A ${MOST} hold h1`],
    record: '10:01 more: B > C 1 hold h2',
    becomes: 'overflows_debits_pending, line 1',
  },
  {
    what: 'so do credits on hold',
    before: [`10:00 much: B > A ${MOST} hold h1`],
    record: '10:01 more: C > A 1 hold h2',
    becomes: 'overflows_credits_pending, line 1',
  },
  {
    what: 'so do debits, as they add up and never fall',
    before: [`10:00 much: B > A ${MOST}`, `10:01 back: A > B ${MOST}`],
    record: '10:02 more: B > C 1',
    becomes: 'overflows_debits_posted, line 1',
  },
  {
    what: 'so do credits',
    before: [`10:00 much: B > A ${MOST}`],
    record: '10:01 more: C > A 1',
    becomes: 'overflows_credits_posted, line 1',
  },
  {
    what: 'debits on hold and posted fit together',
    before: [`10:00 much: B > A ${MOST}`],
    record: '10:01 more: B > C 1 hold h1',
    becomes: 'overflows_debits, line 1',
  },
  {
    what: 'so do credits on hold and posted',
    before: [`10:00 much: B > A ${MOST}`],
    record: '10:01 more: C > A 1 hold h1',
    becomes: 'overflows_credits, line 1',
  },
  {
    what: 'no more than there is and may be owed',
    terms: ['B may owe 50'],
    before: ['10:00 in: C > B 49'],
    record: RENT,
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'what is on hold cannot be spent',
    terms: ['B may owe 100'],
    before: ['10:00 order: B > M 1 hold h1'],
    record: RENT,
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'what comes on hold cannot be spent yet',
    terms: ['B may owe 0'],
    before: ['10:00 order: C > B 100 hold h1'],
    record: RENT,
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'a line does not spend what only the line after it brings',
    terms: ['B may owe 0'],
    record: '10:00 through: B > A 100; C > B 100',
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'at most, where there is nothing',
    record: '10:00 sweep: B > A at most 100 of debit',
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'no more than an account may hold',
    terms: ['A may hold 99'],
    record: RENT,
    becomes: 'exceeds_debits, line 1',
  },
  {
    what: 'what is promised on hold takes its room',
    terms: ['A may hold 100'],
    before: ['10:00 order: C > A 1 hold h1'],
    record: RENT,
    becomes: 'exceeds_debits, line 1',
  },
  {
    what: 'at most, where there is no room',
    record: '10:00 fill: B > A at most 100 of credit',
    becomes: 'exceeds_debits, line 1',
  },
  {
    what: 'a hold in one asset is not posted in another, where accounts have neither',
    before: ['10:00 order: B > M 100 hold h1'],
    record: '10:01 paid: B > M 100 CHF posts h1',
    becomes: 'debit_account_has_different_asset, line 1',
  },

  // Precedence
  {
    what: 'of two bad lines the first is named',
    record: '10:00 two: B > A 1; B > B 5; B > A 0',
    becomes: 'accounts_must_be_different, line 2',
  },
  {
    what: 'of one line with two faults, the one that comes first in the list',
    terms: ['B may owe 0', 'A may hold 0'],
    record: '10:00 two: B > A 5',
    becomes: 'exceeds_credits, line 1',
  },
  {
    what: 'that it exists comes before everything a line may have wrong',
    terms: ['B may owe 100'],
    before: [RENT],
    record: '10:01 rent: t1: B > B -5',
    becomes: 'exists_with_different_credit_account, line 1',
  },
];

let onDisk: OpenBooks;
beforeAll(async () => {
  onDisk = await openBooks();
});
afterAll(() => onDisk.close());

test('every status has its row, and the rows stand in the order of precedence', () => {
  const shown = ROWS.map(({ becomes }) => becomes.split(',')[0]!);
  const inOrder = [...new Set(shown)];
  expect(inOrder).toEqual(STATUSES);
});

describe('a record in the books:', () => {
  test.each(ROWS)('$what: $becomes', async (row) => {
    const memory = new MemoryBooks('street');
    const oracle = new Oracle('street');
    expect(await judged(row, memory, (cause) => memory.erase(cause))).toBe(row.becomes);
    expect(await judged(row, oracle, (cause) => oracle.erase(cause))).toBe(row.becomes);
    const undone = new Error('the next row begins with empty books');
    const onTables = async (sql: Sql): Promise<never> => {
      const ledger: Ledger = {
        submit: (drafts, terms) => onDisk.ledger.submit(sql, 'street', drafts, terms),
      };
      const erase = () => sql.query('DELETE FROM record_body');
      expect(await judged(row, ledger, erase)).toBe(row.becomes);
      throw undone;
    };
    // Only the owner can delete what the ledger has written.
    const inTables = row.erased ? onDisk.asOwner(onTables) : onDisk.database.transaction(onTables);
    await expect(inTables).rejects.toBe(undone);
  });
});

async function judged(
  row: Row,
  ledger: Ledger,
  erase: (cause: string) => unknown,
): Promise<string> {
  const terms = (row.terms ?? []).map(term);
  for (const text of row.before ?? []) {
    const [written, status = 'created'] = text.split(' => ') as [string, string?];
    const [outcome] = await ledger.submit([record(written, row.earlier)], terms);
    expect(`${written}: ${told(outcome!)}`).toBe(`${written}: ${status}`);
  }
  if (row.erased !== undefined) await erase(row.erased);
  const [outcome] = await ledger.submit([record(row.record, row.later ?? row.earlier)], terms);
  return told(outcome!);
}
