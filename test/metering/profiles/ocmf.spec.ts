import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, it } from '@jest/globals';
import { open } from './decoding.js';
import type { Opened } from './decoding.js';

/** Signed readings: every curve, and everything that may be wrong under or beside a signature. */

const CURVES: [algorithm: string, curve: string][] = [
  ['ECDSA-secp192r1-SHA256', 'prime192v1'],
  ['ECDSA-secp192k1-SHA256', 'secp192k1'],
  ['ECDSA-secp256r1-SHA256', 'prime256v1'],
  ['ECDSA-secp256k1-SHA256', 'secp256k1'],
  ['ECDSA-secp384r1-SHA256', 'secp384r1'],
  ['ECDSA-secp521r1-SHA256', 'secp521r1'],
  ['ECDSA-brainpool256r1-SHA256', 'brainpoolP256r1'],
  ['ECDSA-brainpoolP384r1-SHA256', 'brainpoolP384r1'],
];

interface Meter {
  opened: Opened;
  /** The document over a payload, signed; `wrong` is changed after signing. */
  document(payload: string, section?: object): string;
}

function meterWith([algorithm, curve]: [string, string]): Meter {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  return {
    opened: open('ocmf', { publicKey: spki }),
    document(payload, section = {}) {
      const SD = sign('sha256', Buffer.from(payload), privateKey).toString('hex');
      return `OCMF|${payload}|${JSON.stringify({ SA: algorithm, SD, ...section })}`;
    },
  };
}

const P256: [string, string] = ['ECDSA-secp256r1-SHA256', 'prime256v1'];

interface Value {
  TM?: string;
  RV?: unknown;
  RI?: string;
  RU?: string;
  ST?: string;
  EF?: string;
}

const GOOD = {
  TM: '2026-06-01T12:00:00,000+0200 S',
  RV: 1.5,
  RI: '1-0:1.8.0',
  RU: 'kWh',
  ST: 'G',
  EF: '',
};

const payloadOf = (PG: string, values: Value[]): string =>
  JSON.stringify({ FV: '1.0', PG, MS: 'M1', RD: values });

it.each(CURVES)('believes %s, and not another byte', (algorithm, curve) => {
  const { opened, document } = meterWith([algorithm, curve]);
  const text = document(payloadOf('T1', [GOOD]));
  expect(opened.hear('x', text)).toEqual(['2026-06-01T10:00:00Z import 1500 Wh M1']);
  expect(opened.hear('x', text.replace('"RV":1.5', '"RV":1.6'))).toEqual(['bad_signature']);
  // The same values in other bytes were not signed.
  expect(opened.hear('x', text.replace('"RV":1.5', '"RV": 1.5'))).toEqual(['bad_signature']);
});

it('tells what a valid signature vouches for', () => {
  const { opened, document } = meterWith(P256);
  const payload = Buffer.from(document(payloadOf('F12', [GOOD])));
  const message = { topic: 'x', payload, retained: false, receivedAtMillis: 0 };
  const { signed } = opened.session.take(message);
  expect(signed).toMatchObject({ context: 'F', counter: 12 });
  expect(signed?.keyHash).toMatch(/^[0-9a-f]{64}$/);
});

it('takes the usual curve where none is named, and signatures in base64', () => {
  const { opened, document } = meterWith(P256);
  const text = document(payloadOf('T1', [GOOD]), { SA: undefined });
  const hex = /"SD":"([0-9a-f]+)"/.exec(text)![1]!;
  const SD = Buffer.from(hex, 'hex').toString('base64');
  const based = text.replace(hex, SD).replace('"SD"', '"SE":"base64","SD"');
  expect(opened.hear('x', text)).toHaveLength(1);
  expect(opened.hear('x', based)).toEqual(['2026-06-01T10:00:00Z import 1500 Wh M1']);
});

it('lets counters only grow, each in its context', () => {
  const { opened, document } = meterWith(P256);
  const heard = ['T5', 'F1', 'T5', 'T4', 'F2', 'T6'].map((page) =>
    opened.hear('x', document(payloadOf(page, [GOOD]))).map((one) => one.split(' ').at(-1)),
  );
  expect(heard).toEqual([['M1'], ['M1'], ['M1'], ['replayed'], ['M1'], ['M1']]);
});

it.each<[string, Value[], string[]]>([
  ['a status that is not good', [{ ...GOOD, ST: 'E' }], ['no_value']],
  ['a flag for wrong energy', [{ ...GOOD, EF: 'E' }], ['no_value']],
  ['a flag for wrong time', [{ ...GOOD, EF: 't' }], ['no_value']],
  ['a clock that does not know', [{ ...GOOD, TM: '2026-06-01T12:00:00,000+0200 U' }], ['bad_time']],
  ['another register', [{ ...GOOD, RI: '1-0:98.8.0.FF' }], ['not_understood']],
  ['a register of one transaction', [{ ...GOOD, RI: '1-0:1.8.0*198' }], ['not_understood']],
  ['another unit', [{ ...GOOD, RU: 'Ohm' }], ['unit_unknown']],
  ['a value below zero', [{ ...GOOD, RV: '-1' }], ['malformed']],
  ['no value', [{ ...GOOD, RV: undefined }], ['malformed']],
  ['null', [{ ...GOOD, RV: null }], ['no_value']],
  [
    'two tariffs as their sum, and what the value before left said',
    [
      { ...GOOD, RI: '1-0:1.8.1*255' },
      { RV: '2.25', RI: '1-0:1.8.2*255' },
    ],
    ['2026-06-01T10:00:00Z import 3750 Wh M1'],
  ],
])('reads %s', (_, values, expected) => {
  const { opened, document } = meterWith(P256);
  expect(opened.hear('x', document(payloadOf('T1', values)))).toEqual(expected);
});

it('refuses other keys, other curves, and what is no document', () => {
  const { opened, document } = meterWith(P256);
  const stranger = meterWith(P256).document(payloadOf('T1', [GOOD]));
  const curve = meterWith(CURVES[1]!).document(payloadOf('T1', [GOOD]));
  const good = document(payloadOf('T1', [GOOD]));
  const heard = [
    stranger,
    curve,
    document(payloadOf('T1', [GOOD]), { SA: 'RSA' }),
    document(payloadOf('T1', [GOOD]), { SD: 'xyz' }),
    document(payloadOf('T1', [GOOD]), { SD: '' }),
    good.slice(0, good.lastIndexOf('|')),
    document(payloadOf('seven', [GOOD])),
    'OCMF|',
    'ocmf',
    '',
  ].map((text) => opened.hear('x', text).at(0));
  expect(heard).toEqual([
    'bad_signature',
    'bad_signature',
    'bad_signature',
    'bad_signature',
    'bad_signature',
    'bad_signature',
    'malformed',
    'bad_signature',
    'malformed',
    'device_gone',
  ]);
  expect(opened.hear('x', good, { retained: true })).toEqual(['retained']);
});
