import { describe, expect, it } from '@jest/globals';
import { meterKey, parsePublicKey } from '../../src/parties/meter-key.js';
import { decodeMessage, openSigned, signatureFault } from '../../src/metering/signed-reading.js';
import { Signer } from '../support/signing.js';

/** What a signed message is, and which are believed. */

const meter = new Signer(1);
const key = meterKey(1, parsePublicKey(meter.publicKey));
const READING = '{"readAt":"2026-06-01T10:15:00Z","importWh":1.5,"sequence":7}';

const edited = (text: string, change: (message: Record<string, unknown>) => object): string =>
  JSON.stringify(change(JSON.parse(text) as Record<string, unknown>));

async function faultOf(text: string, known = key): Promise<string | undefined> {
  return (await signatureFault(decodeMessage(Buffer.from(text)).signed, known))?.reason;
}

it('is read as what was signed', () => {
  const { readings, rejections, signed } = decodeMessage(Buffer.from(meter.envelope(READING, 7)));
  expect(readings).toMatchObject([{ readAt: '2026-06-01T10:15:00Z', importMicroWh: 1_500_000n }]);
  expect(rejections).toEqual([]);
  expect(signed).toMatchObject({ counter: 7, content: Buffer.from(READING) });
});

it('is believed with padding, in any order, and with more in it', async () => {
  const { payload, signature } = JSON.parse(meter.envelope(READING, 7)) as Record<string, string>;
  const text = JSON.stringify({ serial: 'x', counter: 7, signature: `${signature}==`, payload });
  expect(await faultOf(` ${text}\n`)).toBeUndefined();
});

describe('is not believed', () => {
  const good = meter.envelope(READING, 7);
  it.each([
    ['by another key', new Signer(2).envelope(READING, 7), 'bad_signature'],
    [
      'with another payload',
      edited(good, (one) => ({
        ...one,
        payload: Buffer.from(`${READING} `).toString('base64url'),
      })),
      'bad_signature',
    ],
    ['with another counter', edited(good, (one) => ({ ...one, counter: 8 })), 'unsigned_counter'],
    [
      'without a counter in what was signed',
      meter.envelope('{"readAt":"2026-06-01T10:15:00Z","importWh":1.5}', 7),
      'unsigned_counter',
    ],
    [
      'of several readings with another counter than the highest',
      meter.envelope('[{"sequence":6},{"sequence":9},{"sequence":8}]', 8),
      'unsigned_counter',
    ],
    ['unsigned', READING, 'unsigned'],
    // RFC 8032, 5.1.7: a scalar that is not below the order of the group is refused.
    [
      'with a second form of its signature',
      edited(good, (one) => ({ ...one, signature: plusOrder(String(one['signature'])) })),
      'bad_signature',
    ],
  ])('%s', async (_, text, reason) => {
    expect(await faultOf(text)).toBe(reason);
  });

  it('when the key was revoked, or there never was one', async () => {
    expect(await faultOf(good, meterKey(2, null))).toBe('revoked_key');
    expect((await signatureFault(openedOf(good), null))?.reason).toBe('unknown_key');
    expect(await signatureFault(null, null)).toBeNull();
  });
});

describe('is malformed', () => {
  const good = meter.envelope(READING, 7);
  it.each([
    ['payload', { payload: 'a+b/' }],
    ['payload', { payload: 7 }],
    ['payload', { payload: 'AB' }],
    ['signature', { signature: 'AAAA' }],
    ['signature', { signature: null }],
    ['counter', { counter: -1 }],
    ['counter', { counter: 1.5 }],
    ['counter', { counter: '7' }],
    ['counter', { counter: 2 ** 53 }],
    ['counter', { counter: undefined }],
  ])('with this %s: %j', (member, wrong) => {
    const opened = openSigned(Buffer.from(edited(good, (one) => ({ ...one, ...wrong }))));
    expect(opened).toMatchObject({ reason: 'malformed' });
    expect((opened as { detail: string }).detail).toContain(member);
  });
});

it('what only looks like one is an unsigned message', () => {
  for (const text of [
    '{"readAt":"2026-06-01T10:15:00Z","importWh":1,"signature":"none"}',
    `[${meter.envelope(READING, 7)}]`,
    `{"payload":{"signature":1}}`,
    `{"payload":"x","signature":`,
  ]) {
    expect(openSigned(Buffer.from(text))).toBeNull();
  }
});

describe('a key', () => {
  const der = parsePublicKey(meter.publicKey);
  it.each([
    ['hex', der.subarray(-32).toString('hex')],
    ['base64', der.subarray(-32).toString('base64')],
    ['base64url', der.subarray(-32).toString('base64url')],
    ['DER in base64', der.toString('base64')],
    ['PEM', `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`],
  ])('is read from %s', (_, text) => {
    expect(parsePublicKey(text)).toEqual(der);
  });

  it.each([
    ['words', 'no key', /is no public key/],
    ['31 bytes', Buffer.alloc(31, 7).toString('hex'), /is no public key/],
    ['the neutral point', `01${'00'.repeat(31)}`, /small order/],
    ['no point', `02${'00'.repeat(31)}`, /no point|small order|no public key/],
  ])('is not %s', (_, text, why) => {
    expect(() => parsePublicKey(text)).toThrow(why);
  });
});

function openedOf(text: string) {
  return decodeMessage(Buffer.from(text)).signed;
}

/** S + L, where L is the order of the group. */
function plusOrder(signature: string): string {
  const bytes = Buffer.from(signature, 'base64url');
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const scalar = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order;
  const grown = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse();
  return Buffer.concat([bytes.subarray(0, 32), grown]).toString('base64url');
}
