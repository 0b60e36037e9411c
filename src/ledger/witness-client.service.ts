import { createHash } from 'node:crypto';
import { MalformedError } from '../transparency/bytes.js';
import { parseNote, type NoteSignature } from '../transparency/signed-note.js';
import type { PolicyWitness } from '../transparency/tlog-policy.js';
import {
  formatAddCheckpoint,
  parseSizeLine,
  readCosignature,
} from '../transparency/witness-protocol.js';

/** A checkpoint to be cosigned, and how its tree is proven to grow from an earlier size. */
export interface Offer {
  readonly origin: string;
  readonly size: number;
  /** The signed note. */
  readonly note: string;
  proofFrom(oldSize: number): Promise<readonly Uint8Array[]>;
}

/** What a witness made of it. */
export type Asked =
  | { readonly outcome: 'cosigned'; readonly signature: NoteSignature }
  /** It has cosigned a larger tree of this log. */
  | { readonly outcome: 'ahead'; readonly size: number }
  /** It has cosigned another tree: the offered one does not append to it. */
  | { readonly outcome: 'contradicts' }
  | {
      readonly outcome:
        | 'unreachable'
        | 'log_not_known'
        | 'signature_not_trusted'
        | 'cosignature_not_good'
        | 'answer_not_understood';
      readonly reason: string;
    };

/** The log's side of C2SP tlog-witness, towards a witness that may be slow, wrong or hostile. */
export class WitnessClient {
  /** The size that this witness cosigned last, by origin, as far as it told. */
  private readonly sizes = new Map<string, number>();

  constructor(
    readonly witness: PolicyWitness & { readonly url: string },
    private readonly timeoutMillis: number,
  ) {}

  /** Asks for a cosignature, with the proof from the size that the witness names. */
  async ask(offer: Offer): Promise<Asked> {
    const deadline = AbortSignal.timeout(this.timeoutMillis);
    try {
      let oldSize = Math.min(this.sizes.get(offer.origin) ?? 0, offer.size);
      // Another instance may ask as well, so that the size moves on between two answers.
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
        const answer = await this.post(offer, oldSize, deadline);
        if (answer.status !== 409) return this.judged(offer, answer);
        const size = parseSizeLine(answer.text);
        // Earlier drafts of the protocol say so of another root of the same size.
        if (size === oldSize && oldSize === offer.size) return { outcome: 'contradicts' };
        oldSize = size;
        this.sizes.set(offer.origin, oldSize);
        if (oldSize > offer.size) return { outcome: 'ahead', size: oldSize };
      }
      return { outcome: 'answer_not_understood', reason: 'it kept naming another size' };
    } catch (error) {
      if (error instanceof MalformedError) {
        return { outcome: 'answer_not_understood', reason: error.message };
      }
      if (error instanceof Unreachable) return { outcome: 'unreachable', reason: error.message };
      throw error;
    }
  }

  /** The checkpoint it cosigned last; null where it has or serves none. */
  async latest(origin: string): Promise<string | null | 'unreachable'> {
    const hash = createHash('sha256').update(origin).digest('hex');
    try {
      const signal = AbortSignal.timeout(this.timeoutMillis);
      const { status, text } = await this.fetch(`${hash}/checkpoint`, { signal });
      return status === 200 ? text : status === 404 ? null : 'unreachable';
    } catch (error) {
      if (error instanceof Unreachable || error instanceof MalformedError) return 'unreachable';
      throw error;
    }
  }

  private async post(offer: Offer, oldSize: number, signal: AbortSignal) {
    const proof = oldSize > 0 && oldSize < offer.size ? await offer.proofFrom(oldSize) : [];
    const body = formatAddCheckpoint({ oldSize, proof, checkpoint: offer.note });
    return this.fetch('add-checkpoint', { method: 'POST', body, signal });
  }

  private judged(offer: Offer, { status, text }: Answer): Asked {
    if (status === 200) {
      const signature = readCosignature(text, parseNote(offer.note), this.witness.key);
      if (!signature) {
        return { outcome: 'cosignature_not_good', reason: 'no good cosignature of its key' };
      }
      this.sizes.set(offer.origin, offer.size);
      return { outcome: 'cosigned', signature };
    }
    if (status === 422) return { outcome: 'contradicts' };
    const reason = `HTTP ${status}: ${text.slice(0, 200).trim()}`;
    if (status === 404) return { outcome: 'log_not_known', reason };
    if (status === 403) return { outcome: 'signature_not_trusted', reason };
    return { outcome: 'answer_not_understood', reason };
  }

  private async fetch(path: string, init: RequestInit): Promise<Answer> {
    const url = `${this.witness.url.replace(/\/+$/, '')}/${path}`;
    try {
      const response = await fetch(url, { ...init, redirect: 'error' });
      return { status: response.status, text: await bounded(response) };
    } catch (error) {
      throw error instanceof MalformedError ? error : new Unreachable(reasonOf(error));
    }
  }
}

class Unreachable extends Error {
  override name = 'Unreachable';
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

const MOST_ATTEMPTS = 4;
const MOST_BYTES = 400_000;

async function bounded(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += piece.length;
    if (size > MOST_BYTES) throw new MalformedError(`an answer of more than ${MOST_BYTES} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** fetch says "fetch failed" and keeps the reason to itself. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as {
    message?: string;
    cause?: { message?: string; code?: string };
  };
  return cause?.message || cause?.code || message || String(error);
}
