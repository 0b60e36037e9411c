/**
 * What becomes of a record that is handed in: one named status, in an order of precedence that never
 * depends on what else is wrong. The model is TigerBeetle's create_transfers; a record is its linked
 * chain. Statuses of the record come before those of its lines, an earlier line's before a later's.
 */
export const STATUSES = [
  'created',
  'cause_must_not_be_empty',

  // The cause is recorded already. `exists` is a success; the others name the first difference.
  'exists_erased',
  'exists_with_different_kind',
  'exists_with_different_key_holder',
  'exists_with_different_households',
  'exists_with_different_facts',
  'exists_with_different_number_of_lines',
  'exists_with_different_id',
  'exists_with_different_state',
  'exists_with_different_balancing',
  'exists_with_different_pending_id',
  'exists_with_different_timeout',
  'exists_with_different_debit_account',
  'exists_with_different_credit_account',
  'exists_with_different_amount',
  'exists_with_different_asset',
  'exists_with_different_code',
  'exists',
  'id_already_failed',

  // The form of a line, known without the books; the first two ask whether its id is free.
  'id_must_be_32_hex_digits',
  'id_belongs_to_another_line',
  'debit_account_must_be_a_path',
  'credit_account_must_be_a_path',
  'accounts_must_be_different',
  'expiry_is_made_by_the_ledger',
  'pending_id_must_be_absent',
  'pending_id_must_be_32_hex_digits',
  'pending_id_must_be_different',
  'timeout_reserved_for_pending_transfer',
  'timeout_must_be_1_to_2147483647_seconds',
  'balancing_not_for_resolutions',
  'amount_must_be_a_safe_integer',
  'amount_must_be_zero',
  'amount_must_not_be_zero',
  'asset_must_not_be_empty',
  'code_must_not_be_empty',

  // The line against the books as the lines before it left them.
  'debit_account_has_different_asset',
  'credit_account_has_different_asset',
  'pending_transfer_not_found',
  'pending_transfer_not_pending',
  'pending_transfer_has_different_debit_account',
  'pending_transfer_has_different_credit_account',
  'exceeds_pending_transfer_amount',
  'pending_transfer_already_posted',
  'pending_transfer_already_voided',
  'pending_transfer_expired',
  'overflows_debits_pending',
  'overflows_credits_pending',
  'overflows_debits_posted',
  'overflows_credits_posted',
  'overflows_debits',
  'overflows_credits',
  'exceeds_credits',
  'exceeds_debits',
] as const;
export type Status = (typeof STATUSES)[number];

/** Any status that leaves nothing behind. */
export type Refusal = Exclude<Status, 'created' | 'exists'>;

/**
 * What might pass another time. Whoever was refused so may have acted on it: the same cause or id is
 * refused for ever, and a new attempt takes a new one.
 */
const TRANSIENT: ReadonlySet<Status> = new Set<Status>([
  'pending_transfer_not_found',
  'exceeds_credits',
  'exceeds_debits',
]);

export function isTransient(status: Status): boolean {
  return TRANSIENT.has(status);
}

/** What became of one record. */
export interface Outcome {
  status: Status;
  /** Of the record that was created or exists; null where nothing of that cause is recorded. */
  sequence: number | null;
  /** Index of the line that the status is about; null where it is about the record as a whole. */
  line: number | null;
}
