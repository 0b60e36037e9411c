import { hexToBytes } from '@noble/hashes/utils.js';
import { parseInstant } from '../../units/slot.js';
import { MAX_PAYLOAD_BYTES } from '../reading.js';
import type { Register, Rejection } from '../reading.js';
import { parsePayload } from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import { Refusal } from './session.js';
import { energyOf, isRejection, memberAt, valueAt } from './value.js';

/**
 * A document in OCMF, `OCMF|{payload}|{signature}`: what was signed and how, and what the payload says,
 * believed or not. Pure, and it runs in a browser.
 */

/** The two parts of a document. */
export interface SplitOcmf {
  /** What was signed: the exact bytes between the bars. */
  payload: Uint8Array;
  /** As OCMF names it. */
  algorithm: string;
  curve: OcmfCurve;
  /** DER. */
  signature: Uint8Array;
}

/** What a payload says. */
export interface OcmfPayload {
  /** `T` transactions, `F` fiscal: each has a counter of its own. */
  context: string;
  counter: number;
  meter: string | undefined;
  /** Per time, what the registers showed, or why a value is not read. */
  values: ({ found: Found; at: MeasuredAt } | Rejection)[];
}

/** Curves by their names in OpenSSL. */
export type OcmfCurve =
  | 'secp192k1'
  | 'prime192v1'
  | 'secp256k1'
  | 'prime256v1'
  | 'secp384r1'
  | 'secp521r1'
  | 'brainpoolP256r1'
  | 'brainpoolP384r1';

/** @throws Refusal or RangeError when the text is not OCMF, or signed in no way that is known */
export function splitOcmf(text: Uint8Array): SplitOcmf {
  if (text.length > MAX_PAYLOAD_BYTES) throw new Refusal('too_large', 'more than a message may be');
  if (!isOcmf(text)) throw new Refusal('malformed', 'no OCMF|');
  // The payload may hold bars in its texts; the signature's part holds none.
  const bar = text.lastIndexOf(BAR);
  if (bar < PREFIX.length) throw new Refusal('bad_signature', 'a document without a signature');
  const section = parsePayload(text.subarray(bar + 1));
  const algorithm = textAt(section, 'SA') ?? USUAL_ALGORITHM;
  const curve = Object.hasOwn(CURVES, algorithm) ? CURVES[algorithm] : undefined;
  if (!curve) throw new Refusal('bad_signature', 'an algorithm that is not known');
  const payload = text.subarray(PREFIX.length, bar);
  return { payload, algorithm, curve, signature: signatureIn(section) };
}

/** @throws Refusal or RangeError when the payload is none */
export function readOcmf(payload: Uint8Array): OcmfPayload {
  const json = parsePayload(payload);
  const pagination = /^([A-Z])(\d{1,15})$/.exec(textAt(json, 'PG') ?? '');
  if (!pagination) throw new Refusal('malformed', 'PG is not a context and a counter');
  return {
    context: pagination[1]!,
    counter: Number(pagination[2]),
    meter: textAt(json, 'MS') ?? textAt(json, 'GS'),
    values: valuesIn(memberAt(json, ['RD'])),
  };
}

/** Whether the bytes begin as a document does. */
export function isOcmf(bytes: Uint8Array): boolean {
  return PREFIX.every((byte, at) => bytes[at] === byte);
}

/** `OCMF|` */
const PREFIX = [0x4f, 0x43, 0x4d, 0x46, 0x7c];
const BAR = 0x7c;

/** OCMF, section "Signature algorithms": all of them hash with SHA-256. */
const CURVES: Readonly<Record<string, OcmfCurve>> = {
  'ECDSA-secp192k1-SHA256': 'secp192k1',
  'ECDSA-secp192r1-SHA256': 'prime192v1',
  'ECDSA-secp256k1-SHA256': 'secp256k1',
  'ECDSA-secp256r1-SHA256': 'prime256v1',
  'ECDSA-secp384r1-SHA256': 'secp384r1',
  'ECDSA-secp521r1-SHA256': 'secp521r1',
  'ECDSA-brainpool256r1-SHA256': 'brainpoolP256r1',
  'ECDSA-brainpoolP256r1-SHA256': 'brainpoolP256r1',
  'ECDSA-brainpool384r1-SHA256': 'brainpoolP384r1',
  'ECDSA-brainpoolP384r1-SHA256': 'brainpoolP384r1',
};
const USUAL_ALGORITHM = 'ECDSA-secp256r1-SHA256';

function signatureIn(section: unknown): Uint8Array {
  const data = textAt(section, 'SD') ?? '';
  const isBase64 = textAt(section, 'SE') === 'base64';
  const isData = (isBase64 ? /^[A-Za-z0-9+/]+={0,2}$/ : /^([0-9A-Fa-f]{2})+$/).test(data);
  const bytes = isData ? (isBase64 ? lenientBase64(data) : hexToBytes(data)) : null;
  if (!bytes) throw new Refusal('bad_signature', 'SD is not a signature');
  return bytes;
}

/** Devices leave the padding out. */
function lenientBase64(data: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(data.replace(/=+$/, '')), (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

interface Line {
  time: string;
  register: Register;
  /** Whether it is the total of its tariffs. */
  isTotal: boolean;
  microWh: bigint;
}

/** TM, TX, EF and ST may be left out where they are as in the value before. */
function valuesIn(list: unknown): OcmfPayload['values'] {
  if (!Array.isArray(list) || list.length > MOST_VALUES) {
    throw new Refusal('malformed', `RD is not a list of at most ${MOST_VALUES} values`);
  }
  const values: OcmfPayload['values'] = [];
  const lines: Line[] = [];
  let before: Readonly<Record<'TM' | 'ST' | 'EF' | 'RI' | 'RU', string>> = EMPTY;
  for (const [index, value] of list.entries()) {
    const read = {
      TM: textAt(value, 'TM') ?? before.TM,
      ST: textAt(value, 'ST') ?? before.ST,
      EF: textAt(value, 'EF') ?? before.EF,
      RI: textAt(value, 'RI') ?? before.RI,
      RU: textAt(value, 'RU') ?? before.RU,
    };
    before = read;
    const line = lineOf(value, read, index);
    if ('reason' in line) values.push(line);
    else lines.push(line);
  }
  const times = [...new Set(lines.map(({ time }) => time))];
  return [...values, ...times.map((time) => atTime(time, lines))];
}

const EMPTY = { TM: '', ST: '', EF: '', RI: '', RU: '' };

function lineOf(
  value: unknown,
  { TM, ST, EF, RI, RU }: Readonly<typeof EMPTY>,
  index: number,
): Line | Rejection {
  if (ST !== 'G') {
    const detail = `value ${index}: the meter calls it ${ST.slice(0, 4)}, not good`;
    return { reason: 'no_value', detail };
  }
  if (/[Et]/.test(EF)) {
    const what = EF.includes('E') ? 'energy' : 'time';
    return { reason: 'no_value', detail: `value ${index}: the meter says its ${what} is wrong` };
  }
  const obis = /^1-[0-9b]:([12])\.8\.(\d)(?:[*.](?:255|FF))?$/.exec(RI);
  if (!obis) {
    return {
      reason: 'not_understood',
      detail: `value ${index}: ${RI.slice(0, 40)} is no register`,
    };
  }
  if (RU !== 'Wh' && RU !== 'kWh') {
    return { reason: 'unit_unknown', detail: `value ${index} counts in ${RU.slice(0, 20)}` };
  }
  const microWh = energyOf(valueAt(value, ['RV']), `value ${index}`, { unit: RU });
  if (isRejection(microWh)) return microWh;
  if (microWh === null) return { reason: 'malformed', detail: `value ${index} has no RV` };
  const register = obis[1] === '1' ? 'import' : 'export';
  return { time: TM, register, isTotal: obis[2] === '0', microWh };
}

function atTime(time: string, lines: readonly Line[]): OcmfPayload['values'][number] {
  // 2021-10-07T15:29:55,000+0200 S: S synchronised, I informative, R relative, U unknown.
  const match = /^(.{19})[,.](\d{1,3})([+-]\d{2})(\d{2}) ([SIRU])$/.exec(time);
  if (!match) return { reason: 'bad_time', detail: `${time.slice(0, 40)} is no time of OCMF` };
  const [, local, fraction, hours, minutes, status] = match as unknown as string[];
  if (status === 'R' || status === 'U') {
    return { reason: 'bad_time', detail: `${time}: the meter does not know the time` };
  }
  const millis = parseInstant(`${local}.${fraction}${hours}:${minutes}`);
  const note = status === 'I' ? 'the clock is informative, not synchronised' : undefined;
  return {
    found: {
      importMicroWh: sumOf(lines, time, 'import'),
      exportMicroWh: sumOf(lines, time, 'export'),
    },
    at: { kind: 'instant', millis, ...(note === undefined ? {} : { note }) },
  };
}

/** The total where there is one, else the sum of the tariffs. */
function sumOf(lines: readonly Line[], time: string, register: Register): bigint | null {
  const own = lines.filter((line) => line.time === time && line.register === register);
  const total = own.find(({ isTotal }) => isTotal);
  if (own.length === 0) return null;
  return total ? total.microWh : own.reduce((sum, { microWh }) => sum + microWh, 0n);
}

function textAt(json: unknown, name: string): string | undefined {
  const found = memberAt(json, [name]);
  return typeof found === 'string' ? found : undefined;
}

const MOST_VALUES = 200;
