import {
  checkFields,
  checkInclusion,
  checkLog,
  checkWitnesses,
  judge,
  readReceipt,
  recordsOf,
  type Checked,
  type Misfit,
} from '../ledger/receipt.js';
import type { Policy } from '../transparency/tlog-policy.js';
import type { JsonObject } from '../units/canonical-json.js';
import { checkMeters } from './receipt-meters.js';
import { checkSums } from './receipt-sums.js';

/**
 * A receipt judged from beginning to end, offline: its form, the fields up to the entry of the log,
 * the entry up to the checkpoint, the signatures on that by a policy, the figures, and the meters' own
 * signatures under them. The command and the page are two faces of this.
 */

export const RECEIPT_STEPS = [
  'form',
  'fields',
  'inclusion',
  'log',
  'witnesses',
  'sums',
  'meters',
] as const;
export type ReceiptStep = (typeof RECEIPT_STEPS)[number];

/** `unchecked`: what came before does not hold, so that this would say nothing. */
export interface StepReport {
  readonly step: ReceiptStep;
  readonly outcome: 'good' | 'bad' | 'unchecked';
  /** What was found, in plain words; empty where nothing was. */
  readonly says: string;
}

export interface ReceiptReport {
  readonly ok: boolean;
  readonly steps: readonly StepReport[];
  /** The first thing that does not fit. */
  readonly misfit: Misfit | null;
  /** The head of the receipt, once all of it holds. */
  readonly what: JsonObject | null;
}

/**
 * @param text the file
 * @param policy whose signatures count; see `parsePolicy`
 * @throws RangeError never for what a file may hold: what is wrong with it is in the report
 */
export function checkReceipt(text: string, policy: Policy): ReceiptReport {
  const said = new Map<ReceiptStep, string>();
  const failed = (step: ReceiptStep, misfit: Misfit): ReceiptReport => ({
    ok: false,
    steps: RECEIPT_STEPS.map((name) => ({
      step: name,
      outcome: name === step ? 'bad' : said.has(name) ? 'good' : 'unchecked',
      says: name === step ? inWords(misfit) : (said.get(name) ?? ''),
    })),
    misfit,
    what: null,
  });
  const holds = <T>(step: ReceiptStep, checked: Checked<T>): checked is Good<T> => {
    if (checked.good) said.set(step, checked.says);
    return checked.good;
  };
  const receipt = readReceipt(text);
  if (!holds('form', receipt)) return failed('form', receipt.misfit);
  const { microgrid, records: own } = receipt.value;
  const records = recordsOf(receipt.value);
  const fields = checkFields({ microgrid, records });
  if (!holds('fields', fields)) return failed('fields', fields.misfit);
  const inclusion = checkInclusion({ records }, fields.value);
  if (!holds('inclusion', inclusion)) return failed('inclusion', inclusion.misfit);
  const judged = judge(inclusion.value, policy);
  const log = checkLog(receipt.value, judged, policy);
  if (!holds('log', log)) return failed('log', log.misfit);
  const witnesses = checkWitnesses(judged, policy);
  if (!holds('witnesses', witnesses)) return failed('witnesses', witnesses.misfit);
  const shown = fields.value.slice(0, own.length);
  const sums = checkSums(receipt.value, shown);
  if (!holds('sums', sums)) return failed('sums', sums.misfit);
  const meters = checkMeters(receipt.value, shown, fields.value.slice(own.length));
  if (!holds('meters', meters)) return failed('meters', meters.misfit);
  const steps = RECEIPT_STEPS.map((step): StepReport => ({
    step,
    outcome: 'good',
    says: said.get(step)!,
  }));
  return { ok: true, steps, misfit: null, what: receipt.value.what };
}

type Good<T> = Extract<Checked<T>, { good: true }>;

function inWords({ record, field, expected, found }: Misfit): string {
  const where = record === null ? field : `record ${record}, ${field}`;
  return `${where}: expected ${expected}, found ${found}.`;
}
