import { hexToBytes } from '@noble/hashes/utils.js';
import type { ShownRecord } from '../ledger/receipt.js';
import type { MeterSigner } from '../metering/vouched-reading.js';
import { fromBase64 } from '../transparency/bytes.js';
import type { Json } from '../units/canonical-json.js';

/**
 * What a household's meters sign with, told from the records that registered it: keys of meters, and
 * the mappings of devices that speak OCMF, which hold a key of their own. Pure, and it runs in a browser.
 */

/** A record that registered a key, or said how a meter's device is read. */
export interface KeyRecord {
  readonly sequence: number;
  readonly meter: string;
  readonly at: string;
  readonly source: 'meter-key' | 'meter-profile';
  /** SubjectPublicKeyInfo, DER; null where the record revoked a key, or its mapping holds none. */
  readonly publicKey: Uint8Array | null;
  readonly inverted: boolean;
  readonly serial: string | null;
}

/** Null for a record that says neither. */
export function keyRecordOf({ sequence, kind, values }: ShownRecord): KeyRecord | null {
  const source = values.get('facts.action');
  const meter = values.get('facts.meter');
  if (kind !== 'operator-action' || typeof meter !== 'string') return null;
  const common = { sequence, meter, at: String(values.get('at')) };
  if (source === 'meter-key') {
    const publicKey = keyIn(values.get('facts.publicKey'));
    return { ...common, source, publicKey, inverted: false, serial: null };
  }
  if (source !== 'meter-profile' || values.get('facts.profile') !== 'ocmf') return null;
  const mapping = membersOf(values.get('facts.mapping'));
  const serial = mapping['meter'];
  return {
    ...common,
    source,
    publicKey: keyIn(mapping['publicKey']),
    inverted: mapping['invert'] === true,
    serial: typeof serial === 'string' ? serial : null,
  };
}

/**
 * @param key whose public key it is
 * @param device how the meter's device was read, where a key of the meter itself does not say so
 * @returns null where the records do not go together
 */
export function signerOf(key: KeyRecord, device: KeyRecord | null): MeterSigner | null {
  const { publicKey } = key;
  const isOfDevice = key.source === 'meter-profile';
  if (!publicKey || (device && (isOfDevice || device.source !== 'meter-profile'))) return null;
  const { inverted, serial } = device ?? key;
  return { publicKey, isOfDevice, inverted, serial };
}

/** As keys are registered, in base64; those of mappings may be in hexadecimal. */
function keyIn(value: Json | undefined): Uint8Array | null {
  if (typeof value !== 'string') return null;
  try {
    return /^([0-9A-Fa-f]{2})+$/.test(value) ? hexToBytes(value) : fromBase64(value);
  } catch {
    return null;
  }
}

function membersOf(value: Json | undefined): Readonly<Record<string, Json>> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as Readonly<Record<string, Json>>) : {};
}
