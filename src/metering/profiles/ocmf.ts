import { createHash, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { MAX_PAYLOAD_BYTES } from '../reading.js';
import type { Register, Rejection } from '../reading.js';
import { Desk, merged, parsePayload, session } from './desk.js';
import type { Found, MeasuredAt } from './desk.js';
import { publicKeyOf } from './mapping.js';
import { refused, Refusal } from './session.js';
import type { Profile, ProfileOutput, SignedCounter } from './session.js';
import { energyOf, isRejection, memberAt, valueAt } from './value.js';
import { parseInstant } from '../../units/slot.js';

/**
 * OCMF, signed readings of charging stations and fiscal meters: `OCMF|{payload}|{signature}`. Only
 * what the enrolled key has signed, over the exact bytes between the bars, is read; of that, only
 * values that the meter itself calls good, of the registers 1.8.x and 2.8.x.
 */
export const ocmf: Profile = {
  name: 'ocmf',
  filters: (topic) => [topic, `${topic}/+`],
  open(context) {
    const desk = new Desk(context);
    const { publicKey } = context.mapping;
    const key = publicKey === undefined ? undefined : publicKeyOf(publicKey);
    /** The last counter of each context. */
    const counters = new Map<string, number>();
    return session((message) => {
      if (message.payload.length === 0) return refused('device_gone', 'an empty payload');
      if (message.retained) return refused('retained', 'replayed by the broker');
      if (!key) return refused('bad_signature', 'no publicKey in the mapping to check it with');
      const opened = openOcmf(message.payload, key);
      if (opened === null) {
        return refused('bad_signature', "the signature is not the enrolled key's over these bytes");
      }
      const { signed, meter, values } = opened;
      const last = counters.get(signed.context);
      if (last !== undefined && signed.counter < last) {
        return refused('replayed', `${signed.context}${signed.counter} came after ${last}`);
      }
      if (last !== undefined || counters.size < MOST_CONTEXTS) {
        counters.set(signed.context, signed.counter);
      }
      const outputs = values.map((value): ProfileOutput => {
        if ('reason' in value) return { readings: [], rejections: [value] };
        return desk.readings({ ...value.found, meter }, value.at, message);
      });
      return { ...merged(outputs), signed };
    });
  },
};

/** A document whose signature holds. */
export interface OpenedOcmf {
  signed: SignedCounter;
  meter: string | undefined;
  /** Per time, what the registers showed, or why a value is not read. */
  values: ({ found: Found; at: MeasuredAt } | Rejection)[];
}

/**
 * @returns null when the signature is not the key's over these bytes
 * @throws Refusal or RangeError when the text is not OCMF
 */
export function openOcmf(text: Buffer, key: KeyObject): OpenedOcmf | null {
  if (text.length > MAX_PAYLOAD_BYTES) throw new Refusal('too_large', 'more than a message may be');
  if (text.toString('latin1', 0, 5) !== 'OCMF|') throw new Refusal('malformed', 'no OCMF|');
  // The payload may hold bars in its texts; the signature's part holds none.
  const bar = text.lastIndexOf('|');
  if (bar < 5) throw new Refusal('bad_signature', 'a document without a signature');
  const payload = text.subarray(5, bar);
  if (!isSignedBy(payload, parsePayload(text.subarray(bar + 1)), key)) return null;
  const json = parsePayload(payload);
  const pagination = /^([A-Z])(\d{1,15})$/.exec(textAt(json, 'PG') ?? '');
  if (!pagination) throw new Refusal('malformed', 'PG is not a context and a counter');
  return {
    signed: {
      keyHash: createHash('sha256')
        .update(key.export({ type: 'spki', format: 'der' }))
        .digest('hex'),
      context: pagination[1]!,
      counter: Number(pagination[2]),
    },
    meter: textAt(json, 'MS') ?? textAt(json, 'GS'),
    values: valuesIn(memberAt(json, ['RD'])),
  };
}

/** OCMF, section "Signature algorithms": the names of curves as OpenSSL has them. */
const CURVES: Readonly<Record<string, readonly [curve: string, hash: string]>> = {
  'ECDSA-secp192k1-SHA256': ['secp192k1', 'sha256'],
  'ECDSA-secp192r1-SHA256': ['prime192v1', 'sha256'],
  'ECDSA-secp256k1-SHA256': ['secp256k1', 'sha256'],
  'ECDSA-secp256r1-SHA256': ['prime256v1', 'sha256'],
  'ECDSA-secp384r1-SHA256': ['secp384r1', 'sha256'],
  'ECDSA-secp521r1-SHA256': ['secp521r1', 'sha256'],
  'ECDSA-brainpool256r1-SHA256': ['brainpoolP256r1', 'sha256'],
  'ECDSA-brainpoolP256r1-SHA256': ['brainpoolP256r1', 'sha256'],
  'ECDSA-brainpool384r1-SHA256': ['brainpoolP384r1', 'sha256'],
  'ECDSA-brainpoolP384r1-SHA256': ['brainpoolP384r1', 'sha256'],
};
const USUAL_ALGORITHM = 'ECDSA-secp256r1-SHA256';

function isSignedBy(payload: Buffer, section: unknown, key: KeyObject): boolean {
  const algorithm = textAt(section, 'SA') ?? USUAL_ALGORITHM;
  const known = Object.hasOwn(CURVES, algorithm) ? CURVES[algorithm] : undefined;
  if (!known) throw new Refusal('bad_signature', 'an algorithm that is not known');
  const [curve, hash] = known;
  if (key.asymmetricKeyDetails?.namedCurve !== curve) {
    throw new Refusal('bad_signature', `signed with ${algorithm}, but the key is of another curve`);
  }
  const data = textAt(section, 'SD') ?? '';
  const encoding = textAt(section, 'SE') === 'base64' ? 'base64' : 'hex';
  const isData = (encoding === 'hex' ? /^([0-9A-Fa-f]{2})+$/ : /^[A-Za-z0-9+/]+={0,2}$/).test(data);
  if (!isData) throw new Refusal('bad_signature', 'SD is not a signature');
  return verify(hash, payload, { key, dsaEncoding: 'der' }, Buffer.from(data, encoding));
}

interface Line {
  time: string;
  register: Register;
  /** Whether it is the total of its tariffs. */
  isTotal: boolean;
  microWh: bigint;
}

/** TM, TX, EF and ST may be left out where they are as in the value before. */
function valuesIn(list: unknown): OpenedOcmf['values'] {
  if (!Array.isArray(list) || list.length > MOST_VALUES) {
    throw new Refusal('malformed', `RD is not a list of at most ${MOST_VALUES} values`);
  }
  const values: OpenedOcmf['values'] = [];
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

function atTime(time: string, lines: readonly Line[]): OpenedOcmf['values'][number] {
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
const MOST_CONTEXTS = 16;
