import { createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';

/** A meter that signs: its key follows from a number, so that a story is told alike each time. */
export class Signer {
  /** As an operator registers it. */
  readonly publicKey: string;
  private readonly privateKey: KeyObject;

  constructor(seed: number) {
    // RFC 8410, section 7: a private key is these bytes and the 32 of the seed.
    const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
    const der = Buffer.concat([prefix, Buffer.alloc(32, seed)]);
    this.privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.privateKey).export({ format: 'der', type: 'spki' });
    this.publicKey = spki.subarray(-32).toString('base64url');
  }

  /** The message that carries this payload; `counter` is its `sequence` unless said otherwise. */
  envelope(payload: string | Buffer, counter: number): string {
    const content = Buffer.from(payload);
    return JSON.stringify({
      payload: content.toString('base64url'),
      signature: sign(null, content, this.privateKey).toString('base64url'),
      counter,
    });
  }

  /** A reading that says which one it is, signed. */
  reading(reading: object, sequence: number): string {
    return this.envelope(JSON.stringify({ ...reading, sequence }), sequence);
  }
}
