import { z } from 'zod';
import {
  bad,
  checkFields,
  checkInclusion,
  checkLog,
  checkWitnesses,
  good,
  judge,
  RECEIPT_RECORD,
  type Checked,
  type ReceiptRecord,
  type ShownRecord,
} from '../ledger/receipt.js';
import type { Policy } from '../transparency/tlog-policy.js';

/**
 * The opened windows of a microgrid judged from its manifests alone: each stands in the log, its supply
 * before + minted − retired is its supply after, and the windows of a token follow one another without
 * a gap or an overlap from the first record on, so that none was left out. Pure, and offline.
 */

export const MANIFEST_LIST = z.strictObject({
  format: z.literal('neighborwatt-manifests/v1'),
  microgrid: z.string(),
  records: z.array(RECEIPT_RECORD),
  next: z.int().nullable(),
});

const WINDOW = z.object({
  from: z.string(),
  to: z.string(),
  since: z.int().nonnegative(),
  before: z.int(),
  minted: z.int(),
  retired: z.int(),
  after: z.int(),
});

/** A token's sums over whole days; `record` is the manifest that opened them. */
export interface OpenedWindow extends z.infer<typeof WINDOW> {
  readonly token: string;
  readonly record: number;
}

/** @param list.records all pages of it, in sequence */
export function checkManifests(
  list: { readonly microgrid: string; readonly records: readonly ReceiptRecord[] },
  policy: Policy,
): Checked<readonly OpenedWindow[]> {
  if (list.records.length === 0) return good('No window is open yet.', []);
  const fields = checkFields(list);
  if (!fields.good) return fields;
  const inclusion = checkInclusion(list, fields.value);
  if (!inclusion.good) return inclusion;
  const judged = judge(inclusion.value, policy);
  const log = checkLog(list, judged, policy);
  if (!log.good) return log;
  const witnesses = checkWitnesses(judged, policy);
  if (!witnesses.good) return witnesses;
  return checkWindows(fields.value);
}

/** Windows of opened manifests, in sequence: each adds up, and follows the one before of its token. */
export function checkWindows(shown: readonly ShownRecord[]): Checked<OpenedWindow[]> {
  const last = new Map<string, OpenedWindow>();
  const windows: OpenedWindow[] = [];
  let before = 0;
  for (const { sequence: record, kind, values } of shown) {
    if (kind !== 'manifest') return bad(record, 'kind', 'manifest', kind);
    if (record <= before) return bad(record, 'sequence', `more than ${before}`, record);
    before = record;
    const tokens = z.array(z.string()).min(1).safeParse(values.get('facts.opened'));
    if (!tokens.success) return bad(record, 'facts.opened', 'a list of tokens', 'something else');
    for (const token of tokens.data) {
      const field = `facts.window.${token}`;
      const window = WINDOW.safeParse(values.get(field));
      if (!window.success) return bad(record, field, 'a window', values.get(field));
      const opened = { ...window.data, token, record };
      const misfit = unlike(opened, last.get(token), field);
      if (misfit) return misfit;
      last.set(token, opened);
      windows.push(opened);
    }
  }
  return good(`${windows.length} windows add up and follow one another.`, windows);
}

function unlike(
  { record, since, from, before, minted, retired, after }: OpenedWindow,
  previous: OpenedWindow | undefined,
  field: string,
): Checked<OpenedWindow[]> | null {
  const sum = before + minted - retired;
  if (sum !== after) return bad(record, `${field}.after`, sum, after);
  const expected = { since: previous?.record ?? 0, before: previous?.after ?? 0 };
  if (since !== expected.since) return bad(record, `${field}.since`, expected.since, since);
  if (before !== expected.before) return bad(record, `${field}.before`, expected.before, before);
  if (previous && from !== previous.to) return bad(record, `${field}.from`, previous.to, from);
  return null;
}
