import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { accountChanges, type AccountChange, type Hold } from '../../src/ledger/posting.js';
import type { StoredTransfer } from '../../src/ledger/record.js';

/**
 * Postings as a bookkeeper writes them: `id: B > A 100 EUR [hold|posts h1|voids h1]`, and what each
 * account's four sides come to: `posted debits/credits, pending debits/credits`.
 */
interface Case {
  what: string;
  /** Open before the batch. */
  holds?: string[];
  transfers: string[];
  /** `account: debits posted/credits posted, debits pending/credits pending`, or the refusal. */
  expect: string[] | RegExp;
}

const CASES: Case[] = [
  {
    what: 'a transfer debits one account and credits another',
    transfers: ['t1: B > A 100 EUR'],
    expect: ['A: 0/100, 0/0', 'B: 100/0, 0/0'],
  },
  {
    what: 'transfers of one batch add up, account by account',
    transfers: ['t1: B > A 100 EUR', 't2: A > B 30 EUR', 't3: C > A 5 EUR'],
    expect: ['A: 30/105, 0/0', 'B: 100/30, 0/0', 'C: 5/0, 0/0'],
  },
  {
    what: 'a hold is pending on both sides',
    transfers: ['h1: B > M 100 EUR hold'],
    expect: ['B: 0/0, 100/0', 'M: 0/0, 0/100'],
  },
  {
    what: 'a hold is posted in full',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 100 EUR posts h1'],
    expect: ['B: 100/0, -100/0', 'M: 0/100, 0/-100'],
  },
  {
    what: 'a hold is posted in part, and the rest is free',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 60 EUR posts h1'],
    expect: ['B: 60/0, -100/0', 'M: 0/60, 0/-100'],
  },
  {
    what: 'a hold is voided',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 0 EUR voids h1'],
    expect: ['B: 0/0, -100/0', 'M: 0/0, 0/-100'],
  },
  {
    what: 'a hold is made and resolved in one batch',
    transfers: ['h1: B > M 100 EUR hold', 't1: B > M 70 EUR posts h1'],
    expect: ['B: 70/0, 0/0', 'M: 0/70, 0/0'],
  },
  {
    what: 'two assets in one batch, each on accounts of its own',
    transfers: ['t1: B > A 100 EUR', 't2: AP > BP 800 PRODUCTION'],
    expect: ['A: 0/100, 0/0', 'AP: 800/0, 0/0', 'B: 100/0, 0/0', 'BP: 0/800, 0/0'],
  },
  {
    what: 'an account holds one asset',
    transfers: ['t1: B > A 100 EUR', 't2: A > C 800 PRODUCTION'],
    expect: /account A holds EUR, not PRODUCTION/,
  },
  {
    what: 'a hold is resolved once, within a batch',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 60 EUR posts h1', 't2: B > M 40 EUR posts h1'],
    expect: /t2 resolves no open hold: h1/,
  },
  {
    what: 'a hold is resolved once: what was resolved before is not open',
    transfers: ['t1: B > M 0 EUR voids h1'],
    expect: /t1 resolves no open hold: h1/,
  },
  {
    what: 'a hold must be made before it is resolved',
    transfers: ['t1: B > M 60 EUR posts h1', 'h1: B > M 100 EUR hold'],
    expect: /t1 resolves no open hold: h1/,
  },
  {
    what: "another's hold is not resolved",
    holds: ['h1: C > M 100 EUR hold'],
    transfers: ['t1: B > M 60 EUR posts h1'],
    expect: /t1 differs from its hold h1/,
  },
  {
    what: 'a hold is not paid to somebody else',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > A 60 EUR posts h1'],
    expect: /t1 differs from its hold h1/,
  },
  {
    what: 'a hold in one asset is not posted in another',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 60 CHF posts h1'],
    expect: /t1 differs from its hold h1/,
  },
  {
    what: 'not more is posted than was held',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 101 EUR posts h1'],
    expect: /t1 exceeds its hold of 100/,
  },
  {
    what: 'a void moves nothing',
    holds: ['h1: B > M 100 EUR hold'],
    transfers: ['t1: B > M 1 EUR voids h1'],
    expect: /t1 is void with 1/,
  },
  {
    what: 'nothing is not transferred',
    transfers: ['t1: B > A 0 EUR'],
    expect: /t1 is posted with 0/,
  },
  {
    what: 'nothing is taken back by a negative amount',
    transfers: ['t1: B > A -5 EUR'],
    expect: /t1 is posted with -5/,
  },
  {
    what: 'nobody pays itself',
    transfers: ['t1: B > B 5 EUR'],
    expect: /t1 to itself/,
  },
];

describe('posting', () => {
  test.each(CASES)('$what', ({ holds = [], transfers, expect: expected }) => {
    const open = new Map(holds.map(read).map((hold): [string, Hold] => [hold.id, hold]));
    const changes = () => accountChanges(transfers.map(read), open);
    if (expected instanceof RegExp) expect(changes).toThrow(expected);
    else expect(changes().map(told)).toEqual(expected);
    // A refused or accepted batch leaves what it was given as it was.
    expect(open.size).toBe(holds.length);
  });

  test('sums to nothing over all accounts, whatever is posted', () => {
    const one = fc.tuple(fc.nat(4), fc.nat(4), fc.integer({ min: 1, max: 1_000 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(one, { maxLength: 30 }), (rows) => {
        const transfers = rows
          .filter(([debit, credit]) => debit !== credit)
          .map(([debit, credit, amount, held], at) =>
            read(`t${at}: ${debit} > ${credit} ${amount} EUR${held ? ' hold' : ''}`),
          );
        const changes = accountChanges(transfers, new Map());
        const sum = (of: (change: AccountChange) => number) =>
          changes.reduce((total, change) => total + of(change), 0);
        expect(sum((change) => change.creditsPosted - change.debitsPosted)).toBe(0);
        expect(sum((change) => change.creditsPending - change.debitsPending)).toBe(0);
      }),
    );
  });
});

function read(text: string): StoredTransfer {
  const match = /^(\w+): (\w+) > (\w+) (-?\d+) (\w+)(?: (hold|posts|voids)(?: (\w+))?)?$/.exec(
    text,
  );
  if (!match) throw new Error(`not a transfer: ${text}`);
  const [, id, debit, credit, amount, asset, word, pending] = match;
  const state = { hold: 'pending', posts: 'post', voids: 'void' }[word ?? ''] ?? 'posted';
  return {
    id: id!,
    debit: debit!,
    credit: credit!,
    amount: Number(amount),
    asset: asset!,
    code: 'test',
    state: state as StoredTransfer['state'],
    ...(pending === undefined ? {} : { pending }),
  };
}

function told(change: AccountChange): string {
  const { account, debitsPosted, creditsPosted, debitsPending, creditsPending } = change;
  return `${account}: ${debitsPosted}/${creditsPosted}, ${debitsPending}/${creditsPending}`;
}
