import { createHash, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { Desk, merged, session } from './desk.js';
import { publicKeyOf } from './mapping.js';
import { readOcmf, splitOcmf } from './ocmf-document.js';
import type { OcmfPayload } from './ocmf-document.js';
import { refused, Refusal } from './session.js';
import type { Profile, ProfileOutput, SignedCounter } from './session.js';

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
  meter: OcmfPayload['meter'];
  values: OcmfPayload['values'];
}

/**
 * @returns null when the signature is not the key's over these bytes
 * @throws Refusal or RangeError when the text is not OCMF
 */
export function openOcmf(text: Buffer, key: KeyObject): OpenedOcmf | null {
  const { payload, algorithm, curve, signature } = splitOcmf(text);
  if (key.asymmetricKeyDetails?.namedCurve !== curve) {
    throw new Refusal('bad_signature', `signed with ${algorithm}, but the key is of another curve`);
  }
  if (!verify('sha256', payload, { key, dsaEncoding: 'der' }, signature)) return null;
  const { context, counter, meter, values } = readOcmf(payload);
  const keyHash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
  return { signed: { keyHash, context, counter }, meter, values };
}

const MOST_CONTEXTS = 16;
