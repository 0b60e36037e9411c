import { canonicalJson } from '../units/canonical-json.js';
import type { Refusal } from './outcome.js';
import {
  transferId,
  uniqueSorted,
  type RecordBody,
  type RecordDraft,
  type StoredTransfer,
  type TransferDraft,
} from './record.js';

/**
 * What can be said of a draft without balances: whether a line has a form that can be posted at all,
 * and whether a record repeats the one that its cause has made already.
 */

/** The record of a cause, as it is known; the body is null where it was erased. */
export interface KnownRecord {
  sequence: number;
  keyHolder: string | null;
  body: RecordBody | null;
}

export interface Difference {
  status: Refusal;
  line: number | null;
}

/**
 * The first difference between a draft and the record of its cause, or null where it is a repeat. The
 * instant is not compared: a repeat comes later. Of a balancing transfer, what was asked is.
 */
export function differenceFrom(
  microgridId: string,
  { body, keyHolder }: KnownRecord,
  draft: RecordDraft,
): Difference | null {
  if (body === null) return { status: 'exists_erased', line: null };
  const status = ofRecords(body, keyHolder, draft);
  if (status) return { status, line: null };
  for (const [line, stored] of body.transfers.entries()) {
    const wanted = draft.transfers[line]!;
    const id = wanted.id ?? transferId(microgridId, draft.cause, line);
    const found = ofLines(stored, wanted, id);
    if (found) return { status: found, line };
  }
  return null;
}

function ofRecords(body: RecordBody, keyHolder: string | null, draft: RecordDraft): Refusal | null {
  if (body.kind !== draft.kind) return 'exists_with_different_kind';
  if (keyHolder !== draft.keyHolder) return 'exists_with_different_key_holder';
  if (canonicalJson(body.households) !== canonicalJson(uniqueSorted(draft.households))) {
    return 'exists_with_different_households';
  }
  if (canonicalJson(body.facts) !== canonicalJson(draft.facts)) {
    return 'exists_with_different_facts';
  }
  return body.transfers.length === draft.transfers.length
    ? null
    : 'exists_with_different_number_of_lines';
}

function ofLines(stored: StoredTransfer, wanted: TransferDraft, id: string): Refusal | null {
  if (stored.id !== id) return 'exists_with_different_id';
  if (stored.state !== (wanted.state ?? 'posted')) return 'exists_with_different_state';
  if (stored.balancing !== wanted.balancing) return 'exists_with_different_balancing';
  if (stored.pending !== wanted.pendingId) return 'exists_with_different_pending_id';
  if (stored.timeoutSeconds !== wanted.timeoutSeconds) return 'exists_with_different_timeout';
  if (stored.debit !== wanted.debit) return 'exists_with_different_debit_account';
  if (stored.credit !== wanted.credit) return 'exists_with_different_credit_account';
  if ((stored.atMost ?? stored.amount) !== wanted.amount) return 'exists_with_different_amount';
  if (stored.asset !== wanted.asset) return 'exists_with_different_asset';
  return stored.code === wanted.code ? null : 'exists_with_different_code';
}

const ID = /^[0-9a-f]{32}$/;

export function isTransferId(id: string): boolean {
  return ID.test(id);
}

export function isAccountPath(account: string): boolean {
  return ACCOUNT.test(account);
}

/** What is wrong with a line whatever the books say, or null. @param id its own */
export function formFault(line: TransferDraft, id: string): Refusal | null {
  const { debit, credit, pendingId, timeoutSeconds, amount } = line;
  const state = line.state ?? 'posted';
  const resolves = state === 'post' || state === 'void';
  if (!isAccountPath(debit)) return 'debit_account_must_be_a_path';
  if (!isAccountPath(credit)) return 'credit_account_must_be_a_path';
  if (debit === credit) return 'accounts_must_be_different';
  if (state === 'expire') return 'expiry_is_made_by_the_ledger';
  if (!resolves && pendingId !== undefined) return 'pending_id_must_be_absent';
  if (resolves && !isTransferId(pendingId ?? '')) return 'pending_id_must_be_32_hex_digits';
  if (pendingId === id) return 'pending_id_must_be_different';
  if (timeoutSeconds !== undefined) {
    if (state !== 'pending') return 'timeout_reserved_for_pending_transfer';
    if (!isWithin(timeoutSeconds, 1, MAX_TIMEOUT_SECONDS)) {
      return 'timeout_must_be_1_to_2147483647_seconds';
    }
  }
  if (resolves && line.balancing !== undefined) return 'balancing_not_for_resolutions';
  if (!isWithin(amount, 0, Number.MAX_SAFE_INTEGER)) return 'amount_must_be_a_safe_integer';
  if (state === 'void' && amount !== 0) return 'amount_must_be_zero';
  if (state !== 'void' && amount === 0) return 'amount_must_not_be_zero';
  if (line.asset === '') return 'asset_must_not_be_empty';
  return line.code === '' ? 'code_must_not_be_empty' : null;
}

/** As the table of accounts has it. */
const ACCOUNT = /^[A-Za-z0-9_/-]{1,160}$/;
/** 68 years; TigerBeetle's is four bytes too. */
const MAX_TIMEOUT_SECONDS = 2_147_483_647;

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}
