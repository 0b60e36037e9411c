import { describe, expect, test } from '@jest/globals';
import { formatReceipt, type Receipt, type ReceiptMessage } from '../../src/ledger/receipt.js';
import type { Border, MeterSlot } from '../../src/metering/measurement.js';
import { checkReceipt, type ReceiptReport } from '../../src/settlement/receipt-check.js';
import { parsePolicy } from '../../src/transparency/tlog-policy.js';
import { Signer } from '../support/signing.js';
import { busyStreet } from './busy-street.js';
import { POLICY } from './sealed-slot.js';
import { DEVICE_AT, KEY_AT, signedStreet, type Said } from './signed-street.js';

/** From the meter to the cent: what a meter has signed is followed to the money, and nothing else passes. */

const POLICY_OF_STREET = parsePolicy(POLICY);
const STREET = signedStreet();

describe('a receipt with what meters have signed', () => {
  test.each([
    ['ECDSA-secp192k1-SHA256', 'secp192k1'],
    ['ECDSA-secp192r1-SHA256', 'prime192v1'],
    ['ECDSA-secp256k1-SHA256', 'secp256k1'],
    ['ECDSA-secp256r1-SHA256', 'prime256v1'],
    ['ECDSA-secp384r1-SHA256', 'secp384r1'],
    ['ECDSA-secp521r1-SHA256', 'secp521r1'],
    ['ECDSA-brainpoolP256r1-SHA256', 'brainpoolP256r1'],
    ['ECDSA-brainpoolP384r1-SHA256', 'brainpoolP384r1'],
  ])('says how many readings they vouch for, native and by %s', (algorithm, namedCurve) => {
    const { receipt } = signedStreet({ algorithm, namedCurve });
    const report = check(receipt);
    expect(report.misfit).toBeNull();
    const [form, , , , , , meters] = report.steps;
    expect(form!.says).toMatch(/and 5 messages of its meters\.$/);
    expect(meters!.says).toMatch(
      /^The meters' own signatures vouch for 8 of 10 readings, and 6 of 10 register values follow from them\. h0-grid signs with the key of record 6, 2026-05-01T00:00:00Z, SHA-256 [0-9a-f]{64}; h0-generation signs with the key of record 7/,
    );
  });

  test('names nobody else, not even who registered the key', () => {
    const text = formatReceipt(STREET.receipt);
    for (const other of ['h1', 'h2', 'h3', 'otto']) expect(text).not.toContain(`"${other}"`);
    expect(text).not.toMatch(/household\/h[123]/);
  });

  test('says less where less is shown', () => {
    const [first] = STREET.receipt.signed!.messages;
    const one = changed({ keys: STREET.receipt.signed!.keys.slice(0, 1), messages: [first!] });
    expect(saysOf(check(one))).toMatch(
      /^The meter's own signature vouches for 2 of 10 readings, and 2 of 10 register values/,
    );
  });

  test('one without any says so, and holds as it did', () => {
    const { slot, places, trades } = busyStreet();
    expect(saysOf(check(slot.receipt('h0', places)))).toBe(
      'It names 2 readings, none of them with a signature of its meter.',
    );
    expect(saysOf(check(slot.receipt('h0', trades.slice(0, 1))))).toBe(
      'It names no reading of a meter.',
    );
  });
});

describe('a border that does not follow from what was signed', () => {
  const same = (slot: MeterSlot): MeterSlot => slot;
  const ofEnd =
    (meter: string, by: Partial<Border>) =>
    (slot: MeterSlot): MeterSlot =>
      slot.meterId === meter && slot.register === 'export'
        ? { ...slot, end: { ...slot.end!, ...by } }
        : slot;
  const ROWS: [string, Said, (slot: MeterSlot) => MeterSlot, string, string][] = [
    ['a Wh less than between two readings', { afterWh: 21_402.5 }, same, 'h0-grid', '20901'],
    ['a Wh less than at a reading', { endKwh: '1.208' }, same, 'h0-generation', '1208'],
    [
      'readings of other instants, said to be at the border',
      {},
      ofEnd('h0-grid', { quality: 'measured' }),
      'h0-grid',
      'readings around its border',
    ],
    [
      'an estimate below what was read',
      { endKwh: '1.208' },
      ofEnd('h0-generation', { quality: 'estimated' }),
      'h0-generation',
      '1208 to Infinity',
    ],
    [
      'a register counted on from an exchange, without what it had counted',
      {},
      ofEnd('h0-generation', { offsets: ['12.5'] }),
      'h0-generation',
      '1219',
    ],
    [
      'a place in a long gap before both readings',
      { beforeWh: 20_901 },
      ofEnd('h0-grid', { likeDays: ['2026-05-31'] }),
      'h0-grid',
      '20901 to 21400',
    ],
  ];
  test.each(ROWS)('%s', (_, said, change, meter, expected) => {
    const { misfit } = check(signedStreet(undefined, change, said).receipt);
    const field = `facts.registers ${meter} export endWh`;
    expect([misfit?.field, misfit?.expected]).toEqual([field, expected]);
  });

  test('a register that is told from the readings of another', () => {
    let imported: string[] = [];
    const change = (slot: MeterSlot): MeterSlot => {
      if (slot.meterId !== 'h0-grid') return slot;
      if (slot.register === 'import') imported = slot.start!.readingHashes;
      return { ...slot, start: { ...slot.start!, readingHashes: imported } };
    };
    expect(check(signedStreet(undefined, change).receipt).misfit).toMatchObject({
      field: 'facts.registers h0-grid export startWh',
      expected: 'readings of its own',
      found: 'h0-grid import',
    });
  });

  test('but where like days gave a place between two readings, that may be', () => {
    const change = ofEnd('h0-grid', { likeDays: ['2026-05-31'] });
    expect(saysOf(check(signedStreet(undefined, change).receipt))).toContain('5 of 10 register');
  });
});

describe('what was tampered with is named', () => {
  const { receipt, grid, document } = STREET;
  const { keys, messages } = receipt.signed!;
  const bytesOf = (at: number) => Buffer.from(messages[at]!.bytes, 'base64');
  const reworded = (at: number, edit: (text: string) => string | Buffer): Receipt =>
    replaced(at, { bytes: Buffer.from(edit(bytesOf(at).toString())).toString('base64') });
  const replaced = (at: number, by: Partial<ReceiptMessage>): Receipt =>
    changed({ messages: messages.map((one, place) => (place === at ? { ...one, ...by } : one)) });
  const READING = { readAt: '2026-06-01T12:00:00Z', importWh: 1_000, exportWh: 20_001 };
  const ROWS: [string, Receipt, string, string][] = [
    [
      'a native message, by a bit of what was signed',
      reworded(0, (text) => {
        const message = JSON.parse(text) as { payload: string };
        const payload = Buffer.from(message.payload, 'base64url').toString();
        const other = Buffer.from(payload.replace('20000.25', '20001.25')).toString('base64url');
        return JSON.stringify({ ...message, payload: other });
      }),
      'meters',
      'signed.messages.0.signature',
    ],
    [
      'its signature',
      reworded(0, (text) => text.replace(/"signature":".{4}/, '"signature":"AAAA')),
      'meters',
      'signed.messages.0.signature',
    ],
    [
      'its counter',
      reworded(0, (text) => text.replace('"counter":1', '"counter":2')),
      'meters',
      'signed.messages.0.counter',
    ],
    [
      'its bytes, where nobody signed them',
      reworded(0, (text) => `${text} `),
      'meters',
      'signed.messages.0.readings',
    ],
    ['what is no message', reworded(0, () => '{}'), 'meters', 'signed.messages.0.bytes'],
    ['what is no base64', replaced(0, { bytes: 'x' }), 'meters', 'signed.messages.0.bytes'],
    [
      'another reading that the meter has signed too',
      reworded(0, () => grid.reading(READING, 4)),
      'meters',
      'signed.messages.0.readings',
    ],
    [
      'the right reading, signed by a stranger',
      reworded(0, () => new Signer(8).reading(READING, 1)),
      'meters',
      'signed.messages.0.signature',
    ],
    [
      'a document, by a digit',
      reworded(3, (text) => text.replace('0.007', '0.008')),
      'meters',
      'signed.messages.3.signature',
    ],
    [
      "a document's counter",
      reworded(3, (text) => text.replace('"T1"', '"T9"')),
      'meters',
      'signed.messages.3.signature',
    ],
    [
      'the document of another device under the same key',
      reworded(3, () => document({ PG: 'T1', MS: 'M2', RD: [] })),
      'meters',
      'signed.messages.3.meter',
    ],
    [
      'a document without a signature',
      reworded(3, (text) => text.slice(0, text.lastIndexOf('|'))),
      'meters',
      'signed.messages.3.bytes',
    ],
    [
      'a message of one meter as that of another',
      replaced(0, { meter: 'h0-storage' }),
      'meters',
      'facts.meter',
    ],
    [
      "the key of another meter of the household's",
      replaced(0, { key: DEVICE_AT }),
      'meters',
      'facts.meter',
    ],
    ['a key that is not there', replaced(0, { key: 5 }), 'meters', 'signed.messages.0.key'],
    ['a device that is none', replaced(0, { device: KEY_AT }), 'meters', 'facts.publicKey'],
    [
      'a message twice',
      changed({ messages: [...messages, messages[0]!] }),
      'meters',
      'signed.messages.5',
    ],
    [
      'a key that nothing is signed with',
      changed({ messages: messages.slice(0, 3) }),
      'meters',
      'signed.keys',
    ],
    ['a key twice', changed({ keys: [...keys, keys[0]!] }), 'meters', 'record'],
    [
      'the key in its record',
      changed({
        keys: keys.map((key) => ({
          ...key,
          leaves: key.leaves.map((leaf) =>
            'name' in leaf && leaf.name === 'facts.publicKey'
              ? { ...leaf, value: String(leaf.value).replace(/.{4}$/, 'AAA=') }
              : leaf,
          ),
        })),
      }),
      'fields',
      'entry',
    ],
    [
      'the proof that a key was registered',
      changed({ keys: keys.map((key) => ({ ...key, proof: keys[0]!.proof })) }),
      'inclusion',
      'index',
    ],
    [
      'a settlement in the place of a key',
      changed({ keys: [...keys, receipt.records[0]!] }),
      'meters',
      'facts.action',
    ],
    [
      'messages beside a trade alone',
      { ...receipt, what: tradeAlone().what, records: tradeAlone().records },
      'meters',
      'signed',
    ],
    ['an older format', { ...receipt, format: 'neighborwatt-receipt/v1' }, 'form', 'signed'],
    ['more messages than there may be', manyMessages(65), 'form', 'signed.messages'],
    ['no message', changed({ messages: [] }), 'form', 'signed.messages'],
  ];
  test.each(ROWS)('%s', (_, tampered, step, field) => {
    const report = check(tampered);
    expect(report.steps.find(({ outcome }) => outcome === 'bad')?.step).toBe(step);
    expect(report.misfit!.field).toBe(field);
    expect(report.misfit!.found.length).toBeLessThanOrEqual(200);
  });

  function manyMessages(count: number): Receipt {
    return changed({ messages: Array.from({ length: count }, () => messages[0]!) });
  }
});

function changed(signed: Partial<NonNullable<Receipt['signed']>>): Receipt {
  return { ...STREET.receipt, signed: { ...STREET.receipt.signed!, ...signed } };
}

/** The first trade of the signed street, by itself. */
function tradeAlone(): Pick<Receipt, 'what' | 'records'> {
  const [, trade] = STREET.receipt.records;
  const { trades } = STREET.receipt.what as { trades: { record: number }[] };
  const values = new Map(
    trade!.leaves.flatMap((leaf) => ('name' in leaf ? [[leaf.name, leaf.value] as const] : [])),
  );
  const what = {
    record: values.get('sequence')!,
    kind: 'trade',
    at: values.get('at')!,
    slot: values.get('facts.slot')!,
    trades: trades.filter(({ record }) => record === values.get('sequence')),
  };
  return { what, records: [trade!] };
}

function check(receipt: Receipt): ReceiptReport {
  return checkReceipt(formatReceipt(receipt), POLICY_OF_STREET);
}

function saysOf({ steps, misfit }: ReceiptReport): string {
  expect(misfit).toBeNull();
  return steps.at(-1)!.says;
}
