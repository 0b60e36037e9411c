import { createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isSignatureOf, openKey } from '../../src/metering/meter-signature.js';
import { splitOcmf, type OcmfCurve } from '../../src/metering/profiles/ocmf-document.js';
import { decodeReadings } from '../../src/metering/reading.js';
import { messageFault, readingsSaid } from '../../src/metering/vouched-reading.js';
import { parsePublicKey } from '../../src/parties/meter-key.js';
import { sharedFile } from '../support/shared.js';
import { Signer } from '../support/signing.js';

/**
 * What a browser says of a meter's signature, beside what Node's built-in says, by which messages are
 * believed when they come in.
 */

const CURVES: OcmfCurve[] = [
  'prime192v1',
  'secp192k1',
  'prime256v1',
  'secp256k1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
];
const MESSAGE = Buffer.from('{"FV":"1.0","PG":"T1"}');

const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });

describe.each(CURVES)('on %s', (namedCurve) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
  const key = openKey(spkiOf(publicKey));
  const good = sign('sha256', MESSAGE, privateKey);

  it('the key is read, and both believe the signature and no other byte', () => {
    expect(key?.curve).toBe(namedCurve);
    expect(isSignatureOf(key!, MESSAGE, good)).toBe(true);
    expect(isSignatureOf(key!, Buffer.from(`${MESSAGE.toString()} `), good)).toBe(false);
    const another = generateKeyPairSync('ec', { namedCurve }).publicKey;
    expect(isSignatureOf(openKey(spkiOf(another))!, MESSAGE, good)).toBe(false);
  });

  it('a changed signature is nobody’s, in whichever form it is written', () => {
    for (const at of [1, 3, 5, good.length - 1]) {
      const other = Buffer.from(good);
      other[at]! ^= 1;
      expect(isSignatureOf(key!, MESSAGE, other)).toBe(
        verify('sha256', MESSAGE, { key: publicKey, dsaEncoding: 'der' }, other),
      );
    }
    expect(isSignatureOf(key!, MESSAGE, Buffer.alloc(0))).toBe(false);
  });
});

it('reads the keys that operators register, and no others', () => {
  expect(openKey(parsePublicKey(new Signer(1).publicKey))?.curve).toBe('ed25519');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const p224 = generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).publicKey;
  for (const spki of [spkiOf(rsa), spkiOf(p224), Buffer.alloc(0), Buffer.from('30', 'hex')]) {
    expect(openKey(spki)).toBeNull();
  }
  const spki = parsePublicKey(new Signer(1).publicKey);
  expect(openKey(Buffer.concat([spki, Buffer.of(0)]))).toBeNull();
  expect(openKey(spki.subarray(0, -1))).toBeNull();
});

interface Vector {
  id: string;
  payload: string;
  meaning: { signatureValid?: boolean; curve?: string; publicKeySpkiHexOrB64?: string };
}

const file = sharedFile('vectors/meter-payloads.json');
(file ? describe : describe.skip)('documents of real meters', () => {
  const all = file ? (JSON.parse(readFileSync(file, 'utf8')) as Vector[]) : [];
  const signed = all.filter(({ meaning }) => meaning.publicKeySpkiHexOrB64 !== undefined);

  it('are believed or not, as the vectors say', () => {
    expect(signed.length).toBeGreaterThanOrEqual(5);
    for (const { id, payload, meaning } of signed) {
      const publicKey = Buffer.from(meaning.publicKeySpkiHexOrB64!, 'hex');
      const bytes = Buffer.from(payload);
      const signer = { publicKey, isOfDevice: true, inverted: false, serial: null };
      const isGood = messageFault({ meter: 'm', bytes }, signer) === null;
      expect([id, isGood]).toEqual([id, meaning.signatureValid]);
      if (meaning.curve) expect(splitOcmf(bytes).curve).toBe(meaning.curve);
      // The same as the built-in says.
      const { payload: content, signature } = splitOcmf(bytes);
      const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
      expect(verify('sha256', content, { key, dsaEncoding: 'der' }, signature)).toBe(isGood);
    }
  });
});

it('says the readings that intake took from the same bytes', () => {
  const signer = new Signer(2);
  const wh = fc.oneof(
    fc.constant(null),
    fc.double({ min: 0, max: 1e9, noNaN: true }),
    fc.nat(1e9).map((digits) => digits / 1e4),
  );
  const reading = fc.record({
    readAt: fc
      .date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    importWh: wh,
    exportWh: wh,
    sequence: fc.nat(),
  });
  fc.assert(
    fc.property(fc.oneof(reading, fc.array(reading, { minLength: 1, maxLength: 4 })), (payload) => {
      const text = JSON.stringify(payload);
      const bytes = Buffer.from(signer.envelope(text, 1));
      const said = readingsSaid({ meter: 'm', bytes }, { inverted: false });
      const taken = decodeReadings(Buffer.from(text)).readings.flatMap((one) => [
        ...(one.importMicroWh === null ? [] : [`${one.readAt} import ${one.importMicroWh}`]),
        ...(one.exportMicroWh === null ? [] : [`${one.readAt} export ${one.exportMicroWh}`]),
      ]);
      expect(said.map((one) => `${one.readAt} ${one.register} ${one.microWh}`)).toEqual(taken);
    }),
  );
});
