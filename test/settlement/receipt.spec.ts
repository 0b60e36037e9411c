import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatReceipt, type Receipt } from '../../src/ledger/receipt.js';
import { checkReceipt, type ReceiptReport } from '../../src/settlement/receipt-check.js';
import { ALGORITHM, ed25519Signer } from '../../src/transparency/signed-note.js';
import { parsePolicy } from '../../src/transparency/tlog-policy.js';
import type { Json } from '../../src/units/canonical-json.js';
import { busyStreet, sealed } from './busy-street.js';
import { meteredStreet, streetAhead } from './random-street.js';
import { LOG, POLICY, signersOf } from './sealed-slot.js';

/** What a household takes away from a slot: it holds by itself, says nothing of neighbors, and no bit of it can be changed. */

const POLICY_OF_STREET = parsePolicy(POLICY);
const STREETS = Number(process.env['RECEIPT_STREETS'] ?? 15);

describe('the receipt of any settlement', () => {
  test('holds, and names no neighbor', () => {
    fc.assert(
      fc.property(fc.oneof(meteredStreet, streetAhead), (street) => {
        const slot = sealed(street);
        for (const { id } of street.homes) {
          const text = formatReceipt(slot.receipt(id, slot.placesOf(id)));
          const report = check(text);
          expect([report.misfit, report.ok]).toEqual([null, true]);
          const others = street.homes.filter((home) => home.id !== id);
          expect(others.filter((home) => text.includes(`"${home.id}"`))).toEqual([]);
          expect(others.filter((home) => text.includes(`household/${home.id}/`))).toEqual([]);
        }
      }),
      { numRuns: STREETS },
    );
  });

  test('holds for each trade alone', () => {
    const { slot, trades } = busyStreet();
    expect(trades.length).toBeGreaterThan(2);
    for (const at of trades) {
      for (const household of slot.bodies[at]!.households) {
        const report = check(formatReceipt(slot.receipt(household, [at])));
        expect(report.misfit).toBeNull();
        expect(report.what!['trades']).toHaveLength(1);
      }
    }
  });

  test('says what happened, readings included, at its head', () => {
    const { slot, places } = busyStreet();
    const { what } = slot.receipt('h0', places);
    expect(Object.keys(what)).toEqual([
      'record',
      'kind',
      'at',
      'slot',
      'settlement',
      'readings',
      'trades',
    ]);
    expect(what['readings']).toEqual(['aa', 'bb']);
    expect(what['trades']).toHaveLength(places.length - 1);
  });
});

describe('a receipt that was tampered with', () => {
  test('does not hold, whichever value was changed', () => {
    const { slot, places } = busyStreet();
    const receipt = slot.receipt('h0', places);
    const paths = leavesOf(receipt as unknown as Json);
    expect(paths.length).toBeGreaterThan(200);
    const missed = paths.filter((path) => check(formatReceipt(tampered(receipt, path))).ok);
    expect(missed).toEqual([]);
  });

  test('does not hold with a character changed anywhere', () => {
    const { slot, places } = busyStreet();
    const text = formatReceipt(slot.receipt('h0', places));
    fc.assert(
      fc.property(
        fc.nat(text.length - 2),
        fc.constantFrom('0', '7', 'a', 'Z', '"', ' '),
        (at, by) => {
          const other = `${text.slice(0, at)}${by}${text.slice(at + 1)}`;
          const isSame = stripped(other) === stripped(text);
          expect(check(other).ok).toBe(isSame);
        },
      ),
      { numRuns: 100 },
    );
  });

  const CASES: [string, string, (receipt: Receipt) => unknown, string][] = [
    ['a trade left out', 'sums', (one) => ({ ...one, records: one.records.slice(0, -1) }), 'what.'],
    [
      'a trade left out of the head too',
      'sums',
      (one) => ({
        ...one,
        what: { ...one.what, trades: (one.what['trades'] as Json[]).slice(0, -1) },
        records: one.records.slice(0, -1),
      }),
      'facts.settlement.',
    ],
    [
      'a record twice',
      'sums',
      (one) => ({ ...one, records: [...one.records, one.records.at(-1)!] }),
      'record',
    ],
    ['another household', 'sums', (one) => ({ ...one, household: 'h1' }), 'household'],
    ['another microgrid', 'fields', (one) => ({ ...one, microgrid: 'avenue' }), 'microgrid'],
    ['an unknown member', 'form', (one) => ({ ...one, more: 1 }), 'file'],
    [
      'a fraction in the head',
      'sums',
      (one) => ({ ...one, what: { ...one.what, record: 0.5 } }),
      'what.record',
    ],
    ['another version', 'form', (one) => ({ ...one, format: 'neighborwatt-receipt/v9' }), 'format'],
    ['no record', 'form', (one) => ({ ...one, records: [] }), 'records'],
    [
      'the proof of another record',
      'inclusion',
      (one) => ({
        ...one,
        records: one.records.map((record) => ({ ...record, proof: one.records[0]!.proof })),
      }),
      'index',
    ],
  ];
  test.each(CASES)('%s shows at the step "%s"', (_, step, tamper, field) => {
    const { slot, places } = busyStreet();
    const report = check(formatReceipt(tamper(slot.receipt('h0', places)) as Receipt));
    expect(firstBad(report)).toBe(step);
    expect(report.misfit!.field).toContain(field);
  });

  test.each([
    ['a member told twice', (text: string) => text.replace('"kind"', '"kind": "gift", "kind"')],
    ['an escape', (text: string) => text.replace('"street"', '"\\u0073treet"')],
    [
      'a number spelled otherwise',
      (text: string) => text.replace(/"record": (\d+)/, '"record": $1.0'),
    ],
    ['something behind', (text: string) => `${text}{}`],
    ['lists in lists', () => `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    [
      'lists in lists, in a member that is open',
      (text: string) =>
        text.replace('"what": {', `"what": {"more": ${'['.repeat(9_000)}${']'.repeat(9_000)},`),
    ],
    ['nothing', () => ''],
  ])('%s shows in its form', (_, tamper) => {
    const { slot, places } = busyStreet();
    expect(firstBad(check(tamper(formatReceipt(slot.receipt('h0', places)))))).toBe('form');
  });

  test('may be set out otherwise: white space means nothing', () => {
    const { slot, places } = busyStreet();
    const text = formatReceipt(slot.receipt('h0', places));
    expect(check(JSON.stringify(JSON.parse(text))).ok).toBe(true);
  });
});

describe('whose signatures count', () => {
  const other = ed25519Signer({
    name: LOG.name,
    algorithm: ALGORITHM.ed25519,
    seed: new Uint8Array(32).fill(9),
  });
  const rows: [string, ReturnType<typeof signersOf>, string][] = [
    ['a witness short of the quorum', signersOf(1), 'witnesses'],
    ['no witness', signersOf(0), 'witnesses'],
    ['witnesses without the log', signersOf().slice(1), 'log'],
    ['another key under the name of the log', [other, ...signersOf().slice(1)], 'log'],
  ];
  test.each(rows)('%s is not enough', (_, signers, step) => {
    const { slot, places } = busyStreet();
    const report = check(formatReceipt(slot.receipt('h0', places, signers)));
    expect(firstBad(report)).toBe(step);
    expect(report.steps.map(({ outcome }) => outcome)).toEqual(
      report.steps.map((_one, at, all) => {
        const first = all.findIndex(({ outcome }) => outcome === 'bad');
        return at < first ? 'good' : at === first ? 'bad' : 'unchecked';
      }),
    );
  });

  test('a log that the policy does not name is not believed', () => {
    const { slot, places } = busyStreet();
    const stranger = parsePolicy(POLICY.replaceAll(/^log .*$/gm, '# no log'));
    const report = checkReceipt(formatReceipt(slot.receipt('h0', places)), stranger);
    expect(firstBad(report)).toBe('log');
    expect(report.misfit!.found).toBe(LOG.name);
  });
});

function check(text: string): ReceiptReport {
  return checkReceipt(text, POLICY_OF_STREET);
}

function firstBad({ steps }: ReceiptReport): string | undefined {
  return steps.find(({ outcome }) => outcome === 'bad')?.step;
}

/** Paths of all values that are no list and no object. */
function leavesOf(value: Json, path: readonly (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== 'object') return [[...path]];
  const members: [string | number, Json][] = Array.isArray(value)
    ? value.map((one: Json, at) => [at, one])
    : Object.entries(value);
  return members.flatMap(([name, inner]) => leavesOf(inner, [...path, name]));
}

function tampered(receipt: Receipt, path: readonly (string | number)[]): Receipt {
  const copy = JSON.parse(JSON.stringify(receipt)) as Receipt;
  let at = copy as unknown as Record<string | number, unknown>;
  for (const name of path.slice(0, -1)) at = at[name] as typeof at;
  const last = path.at(-1)!;
  const value = at[last];
  if (typeof value === 'number') at[last] = value + 1;
  else if (typeof value === 'boolean') at[last] = !value;
  else if (typeof value === 'string') at[last] = `${value.slice(0, -3)}A${value.slice(-2)}x`;
  else at[last] = 'something';
  return copy;
}

/** The text without the white space between its tokens. */
function stripped(text: string): string {
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_, kept: string | undefined) => kept ?? '');
}
