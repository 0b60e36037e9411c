import type { AccountTerms } from '../../src/ledger/accounts.js';
import type { Outcome } from '../../src/ledger/outcome.js';
import type { RecordDraft, TransferDraft, TransferState } from '../../src/ledger/record.js';

/**
 * Records as a bookkeeper writes them, one a line:
 *
 *     10:00 rent: B > A 100; A > M 30 hold h1 for 60s; B > M at most 20 of debit
 *     10:01 paid: A > M 25 posts h1; A > M voids h2
 *
 * The instant, the cause, then what goes from whom to whom. Ids stand as `h1`, and mean the 32 digits
 * `000...h1` in hex; accounts are one letter or a path; the asset is EUR unless another is named.
 */

export const DAY = '2026-06-01';

/** A ledger, whatever it is made of. */
export interface Ledger {
  submit(
    drafts: readonly RecordDraft[],
    terms: readonly AccountTerms[],
  ): Outcome[] | Promise<Outcome[]>;
}

export function record(text: string, more: Partial<RecordDraft> = {}): RecordDraft {
  const match = /^(?<time>\d\d:\d\d(?::\d\d)?) (?<cause>[^:]*): *(?<lines>.*)$/.exec(text);
  if (!match) throw new Error(`not a record: ${text}`);
  const { time, cause, lines } = match.groups as Record<'time' | 'cause' | 'lines', string>;
  return {
    kind: 'deposit',
    at: `${DAY}T${time.length === 5 ? `${time}:00` : time}Z`,
    cause,
    keyHolder: '',
    households: [],
    facts: {},
    transfers: lines === '' ? [] : lines.split('; ').map(transfer),
    ...more,
  };
}

const LINE =
  /^(?:(?<id>\S+): )?(?<debit>\S+) > (?<credit>\S+)(?: (?<most>at most ))?(?: ?(?<amount>-?[\d.]+))?(?: (?<asset>[A-Z]+|''))?(?: of (?<balancing>debit|credit|both))?(?: (?<word>hold|posts|voids|expires)(?: (?<pending>[\w'-]+))?)?(?: for (?<seconds>-?[\d.]+)s)?(?: pending (?<stray>\w+))?(?: as (?<code>\S+))?$/;

function transfer(text: string): TransferDraft {
  const groups = LINE.exec(text)?.groups;
  if (!groups) throw new Error(`not a transfer: ${text}`);
  const { id, debit, credit, amount, asset, balancing, word, pending, seconds, stray, code } =
    groups;
  const state = STATES[word ?? ''] ?? 'posted';
  const own = id ?? (state === 'pending' ? pending : undefined);
  const resolved = state === 'pending' ? stray : (pending ?? stray);
  return {
    ...(own === undefined ? {} : { id: idOf(own) }),
    debit: debit!,
    credit: credit!,
    asset: unquoted(asset ?? 'EUR'),
    amount: Number(amount ?? 0),
    code: unquoted(code ?? 'test'),
    ...(word === undefined ? {} : { state }),
    ...(resolved === undefined ? {} : { pendingId: idOf(resolved) }),
    ...(seconds === undefined ? {} : { timeoutSeconds: Number(seconds) }),
    ...(balancing === undefined
      ? {}
      : { balancing: balancing as NonNullable<TransferDraft['balancing']> }),
  };
}

const STATES: Readonly<Record<string, TransferState>> = {
  hold: 'pending',
  posts: 'post',
  voids: 'void',
  expires: 'expire',
};

/** `h1` as 32 hex digits; `bad-...` stays as it is. */
export function idOf(name: string): string {
  if (name.includes('-') || name.length >= 32) return name;
  return Buffer.from(unquoted(name)).toString('hex').padStart(32, '0');
}

function unquoted(text: string): string {
  return text === "''" ? '' : text;
}

/** `created`, or the status with the line that it is about, counted from one as on paper. */
export function told({ status, line }: Outcome): string {
  return line === null ? status : `${status}, line ${line + 1}`;
}

/** `B may owe 50`, `A may hold 100`: the terms on which an account opens. */
export function term(text: string): AccountTerms {
  const match = /^(\S+) may (owe|hold) (\d+)$/.exec(text);
  if (!match) throw new Error(`not a term: ${text}`);
  const [, account, what, limit] = match as unknown as [string, string, string, string];
  return what === 'owe'
    ? { account, limited: true, creditLimit: Number(limit) }
    : { account, limited: false, creditLimit: 0, debitLimit: Number(limit) };
}
