import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Receipt, ReceiptMessage } from '../../src/ledger/receipt.js';
import type { RecordDraft } from '../../src/ledger/record.js';
import type { MeterSlot } from '../../src/metering/measurement.js';
import { readingsSaid } from '../../src/metering/vouched-reading.js';
import { parsePublicKey } from '../../src/parties/meter-key.js';
import type { JsonObject } from '../../src/units/canonical-json.js';
import { Signer } from '../support/signing.js';
import { busyStreet } from './busy-street.js';

/**
 * The busy street, where two of `h0`'s three meters sign: the one at the grid in the native format, read
 * at the slot's start and around its end, and the one of its panels in OCMF, mounted the other way round.
 */

export const KEY_AT = 6;
export const DEVICE_AT = 7;
const BEFORE = '2026-05-01T00:00:00Z';

const grid = new Signer(7);

export interface SignedStreet {
  readonly receipt: Receipt;
  /** Signs as the meter at the grid does. */
  readonly grid: Signer;
  /** Signs as the panels' meter does. */
  document(payload: object): Buffer;
}

/** What the meters say around the slot's end, where it is not what the slot was settled with. */
export interface Said {
  /** Of the grid's export, five minutes before and after, in Wh. */
  readonly beforeWh?: number;
  readonly afterWh?: number;
  /** Of the panels, at the border. */
  readonly endKwh?: string;
}

/** @param namedCurve of the panels' meter @param change of what its registers are settled with */
export function signedStreet(
  { algorithm, namedCurve } = { algorithm: 'ECDSA-secp256r1-SHA256', namedCurve: 'prime256v1' },
  change: (slot: MeterSlot) => MeterSlot = (slot) => slot,
  { beforeWh = 20_400, afterWh = 21_400.5, endKwh = '1.207' }: Said = {},
): SignedStreet {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
  const document = (payload: object) => ocmf(payload, algorithm, privateKey);
  const messages = {
    'h0-grid': [
      [1, { readAt: '2026-06-01T12:00:00Z', importWh: 1_000, exportWh: 20_000.25 }],
      [2, { readAt: '2026-06-01T12:10:00Z', importWh: 1_000, exportWh: beforeWh }],
      [3, { readAt: '2026-06-01T12:20:00Z', importWh: 1_000, exportWh: afterWh }],
    ].map(([sequence, reading]) => Buffer.from(grid.reading(reading as object, Number(sequence)))),
    'h0-generation': [
      document(payloadOf('T1', '2026-06-01T14:00:00,000+0200 S', '0.007')),
      document(payloadOf('T2', '2026-06-01T14:15:00,000+0200 S', endKwh)),
    ],
  };
  const named = (slots: readonly MeterSlot[]): MeterSlot[] =>
    slots.map((slot) => change(withReadings(slot, messages)));
  const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('hex');
  const drafts = [
    fact('h0', 'meter/h0-grid/key/1', {
      action: 'meter-key',
      meter: 'h0-grid',
      number: 1,
      publicKey: parsePublicKey(grid.publicKey).toString('base64'),
      unsignedUntil: BEFORE,
    }),
    fact('h0', 'device/h0-generation/change/1', {
      action: 'meter-profile',
      meter: 'h0-generation',
      profile: 'ocmf',
      topic: 'ocmf/panels',
      mapping: { publicKey: spki, invert: true, meter: 'M1' },
    }),
  ];
  const { slot, places } = busyStreet(drafts, named);
  const sent = (meter: 'h0-grid' | 'h0-generation', key: number): ReceiptMessage[] =>
    messages[meter].map((bytes) => ({ meter, bytes: bytes.toString('base64'), key }));
  const receipt = slot.signedReceipt(
    'h0',
    places,
    [0, 1],
    [...sent('h0-grid', KEY_AT), ...sent('h0-generation', DEVICE_AT)],
  );
  return { receipt, grid, document };
}

/** Something that an operator did about a household. */
function fact(household: string, cause: string, facts: JsonObject): RecordDraft {
  return {
    kind: 'operator-action',
    at: BEFORE,
    cause,
    keyHolder: household,
    households: [household],
    facts: { by: 'otto', ...facts },
    transfers: [],
  };
}

/** A reading of the import register, in kWh, as OCMF has it. */
export function payloadOf(PG: string, TM: string, RV: string): object {
  return { FV: '1.0', PG, MS: 'M1', RD: [{ TM, RV, RI: '1-0:1.8.0', RU: 'kWh', ST: 'G', EF: '' }] };
}

export function ocmf(payload: object, SA: string, key: KeyObject): Buffer {
  const text = JSON.stringify(payload);
  const SD = sign('sha256', Buffer.from(text), key).toString('hex');
  return Buffer.from(`OCMF|${text}|${JSON.stringify({ SA, SD })}`);
}

/** The readings of these messages at the borders of a register; those of the battery are not signed. */
function withReadings(
  slot: MeterSlot,
  messages: Readonly<Record<string, readonly Buffer[]>>,
): MeterSlot {
  const { meterId: meter, register } = slot;
  if (meter === 'h0-storage' && register === 'import') {
    return {
      ...slot,
      start: { ...slot.start!, readingHashes: ['aa'] },
      end: { ...slot.end!, readingHashes: ['bb'] },
    };
  }
  const said = (messages[meter] ?? [])
    .flatMap((bytes) => readingsSaid({ meter, bytes }, { inverted: meter !== 'h0-grid' }))
    .filter((one) => one.register === register);
  if (said.length === 0) return slot;
  const hashes = said.map(({ hash }) => hash);
  const quality = hashes.length > 2 ? ('interpolated' as const) : ('measured' as const);
  return {
    ...slot,
    start: { ...slot.start!, readingHashes: hashes.slice(0, 1) },
    end: { ...slot.end!, quality, readingHashes: hashes.slice(1) },
  };
}
