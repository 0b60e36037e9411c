/**
 * A receipt beside whose signatures count, judged in the browser by the very code of `npm run verify`.
 */
import { checkReceipt, type ReceiptReport } from '../../src/settlement/receipt-check.js';
import { MalformedError } from '../../src/transparency/bytes.js';
import { parsePolicy, type Policy } from '../../src/transparency/tlog-policy.js';

export type Judgement =
  | { state: 'empty' }
  | { state: 'no-policy' }
  | { state: 'bad-policy'; why: string }
  | { state: 'judged'; report: ReceiptReport };

/** @param receipt the file's text, null while there is none */
export function judge(receipt: string | null, policyText: string): Judgement {
  if (receipt === null || receipt.trim() === '') return { state: 'empty' };
  if (policyText.trim() === '') return { state: 'no-policy' };
  let policy: Policy;
  try {
    // A text field ends without the newline that the format asks for.
    policy = parsePolicy(`${policyText.trim()}\n`);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { state: 'bad-policy', why: error.message };
  }
  return { state: 'judged', report: checkReceipt(receipt, policy) };
}

/** Whose log the receipt speaks of, to ask this service for its policy; null where it does not say. */
export function microgridOf(receipt: string): string | null {
  try {
    const { microgrid } = JSON.parse(receipt) as { microgrid?: unknown };
    return typeof microgrid === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(microgrid)
      ? microgrid
      : null;
  } catch {
    return null;
  }
}

/** What each step is for, in words for people. */
export const STEP_TITLES: Readonly<Record<ReceiptReport['steps'][number]['step'], string>> = {
  form: 'It is a receipt, whole and plainly written',
  fields: 'What it shows is what was sealed',
  inclusion: 'The seal stands in the public log',
  log: 'The log has signed for it',
  witnesses: 'Witnesses have seen that log',
  sums: 'The figures add up',
  meters: 'What the meters have signed',
};
