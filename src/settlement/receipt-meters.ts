import { bytesToHex } from '@noble/hashes/utils.js';
import {
  bad,
  counted,
  good,
  type Checked,
  type Receipt,
  type ReceiptMessage,
  type ReceiptSignatures,
  type ShownRecord,
} from '../ledger/receipt.js';
import {
  messageFault,
  readingsSaid,
  type MeterSigner,
  type VouchedReading,
} from '../metering/vouched-reading.js';
import { fromBase64, MalformedError } from '../transparency/bytes.js';
import { sha256 } from '../transparency/sha256.js';
import { keyRecordOf, signerOf, type KeyRecord } from './meter-signers.js';
import { followsFrom, namesOf } from './receipt-borders.js';
import { isSettlement, settlementOf, type SettlementShown } from './receipt-facts.js';

/**
 * From the meter to the settlement: each message is signed by a key that the log shows to be registered
 * for its meter, each says readings that the settlement names, and from these follow the registers that
 * its energy is counted from. Checked from the receipt alone. Pure, and it runs in a browser.
 */

/** @param shown the receipt's records; @param keys those that registered what its meters sign with */
export function checkMeters(
  { household, signed }: Pick<Receipt, 'household' | 'signed'>,
  shown: readonly ShownRecord[],
  keys: readonly ShownRecord[],
): Checked {
  const [first] = shown;
  const { sequence } = first!;
  const settlement = isSettlement(first!) ? settlementOf(first!) : null;
  if (!settlement) {
    if (signed) return bad(sequence, 'signed', 'messages of a settlement alone', 'others');
    return good('It names no reading of a meter.', null);
  }
  const named = new Set(settlement.registers.flatMap(namesOf));
  if (named.size === 0) return good('It names no reading of a meter.', null);
  if (!signed) {
    const what = counted(named.size, 'reading');
    return good(`It names ${what}, none of them with a signature of its meter.`, null);
  }
  const registered = registeredKeys(keys, household, sequence);
  if (!registered.good) return registered;
  const vouched = vouchedReadings(signed, registered.value, settlement, sequence);
  if (!vouched.good) return vouched;
  const idle = [...registered.value.values()].find((key) => !isUsed(key, signed));
  if (idle) return bad(idle.sequence, 'signed.keys', 'keys of the messages', 'another one');
  let follow = 0;
  let borders = 0;
  for (const register of settlement.registers) {
    for (const side of ['start', 'end'] as const) {
      const outcome = followsFrom(vouched.value, register, side, settlement);
      if (typeof outcome === 'object') {
        const field = `facts.registers ${register.meter} ${register.register} ${side}Wh`;
        return bad(sequence, field, outcome.expected, outcome.found);
      }
      if (outcome !== 'not known') borders += 1;
      if (outcome === 'follows') follow += 1;
    }
  }
  const signatures =
    new Set(signed.messages.map(({ meter }) => meter)).size === 1
      ? "The meter's own signature vouches"
      : "The meters' own signatures vouch";
  const readings = `${vouched.value.size} of ${counted(named.size, 'reading')}`;
  return good(
    `${signatures} for ${readings}, and ${follow} of ${counted(borders, 'register value')} follow from them. ${keysInWords(registered.value)}`,
    null,
  );
}

/** By their sequence: registered before the slot was settled, and counted among the household's own. */
function registeredKeys(
  keys: readonly ShownRecord[],
  household: string,
  before: number,
): Checked<ReadonlyMap<number, KeyRecord>> {
  const registered = new Map<number, KeyRecord>();
  for (const shown of keys) {
    const { sequence, values } = shown;
    const key = keyRecordOf(shown);
    if (!key) return bad(sequence, 'facts.action', "a meter's key or device", 'something else');
    if (!values.has(`numbers.${household}`)) {
      return bad(sequence, 'household', household, 'another household');
    }
    if (sequence >= before) {
      return bad(sequence, 'sequence', `a key registered before record ${before}`, sequence);
    }
    if (registered.has(sequence)) return bad(sequence, 'record', 'each record once', 'twice');
    registered.set(sequence, key);
  }
  return good('', registered);
}

/** What the messages say of the readings that the settlement names, by their hashes. */
function vouchedReadings(
  { messages }: ReceiptSignatures,
  keys: ReadonlyMap<number, KeyRecord>,
  { registers }: SettlementShown,
  sequence: number,
): Checked<ReadonlyMap<string, VouchedReading>> {
  const vouched = new Map<string, VouchedReading>();
  const seen = new Set<string>();
  for (const [at, message] of messages.entries()) {
    const { meter } = message;
    const place = `signed.messages.${at}`;
    const signer = signerIn(keys, message, place, sequence);
    if (!signer.good) return signer;
    const bytes = bytesIn(message);
    if (!bytes) return bad(sequence, `${place}.bytes`, 'base64', 'something else');
    const fault = messageFault({ meter, bytes }, signer.value);
    if (fault) return bad(sequence, `${place}.${fault.field}`, fault.expected, fault.found);
    const own = registers.filter((register) => register.meter === meter);
    const used = readingsSaid({ meter, bytes }, signer.value).filter(({ hash, register }) =>
      own.some((one) => one.register === register && namesOf(one).includes(hash)),
    );
    if (used.length === 0) {
      const name = bytesToHex(sha256(bytes));
      return bad(sequence, `${place}.readings`, 'readings that the settlement names', name);
    }
    const name = `${meter} ${message.bytes}`;
    if (seen.has(name)) return bad(sequence, place, 'each message once', 'twice');
    seen.add(name);
    for (const reading of used) vouched.set(reading.hash, reading);
  }
  return good('', vouched);
}

function signerIn(
  keys: ReadonlyMap<number, KeyRecord>,
  { meter, key, device }: ReceiptMessage,
  place: string,
  sequence: number,
): Checked<MeterSigner> {
  const named = { key: keys.get(key), device: device === undefined ? null : keys.get(device) };
  for (const [what, record] of Object.entries(named)) {
    if (record === undefined) {
      return bad(sequence, `${place}.${what}`, 'a record of signed.keys', 'none');
    }
    if (record && record.meter !== meter) {
      return bad(record.sequence, 'facts.meter', meter, record.meter);
    }
  }
  const signer = signerOf(named.key!, named.device ?? null);
  return signer
    ? good('', signer)
    : bad(key, 'facts.publicKey', `a public key of ${meter}`, 'none, or that of another device');
}

function bytesIn({ bytes }: ReceiptMessage): Uint8Array | null {
  try {
    return fromBase64(bytes);
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

function isUsed({ sequence }: KeyRecord, { messages }: ReceiptSignatures): boolean {
  return messages.some(({ key, device }) => key === sequence || device === sequence);
}

/** For whoever compares them with what is printed on the meter. */
function keysInWords(keys: ReadonlyMap<number, KeyRecord>): string {
  const told = [...keys.values()].flatMap(({ sequence, meter, at, publicKey }) =>
    publicKey
      ? `${meter} signs with the key of record ${sequence}, ${at}, SHA-256 ${bytesToHex(sha256(publicKey))}`
      : [],
  );
  return `${told.join('; ')}.`;
}
