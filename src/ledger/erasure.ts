import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { sha256 } from '../transparency/sha256.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import type { RecordDraft } from './record.js';

/**
 * The record of an erasure: what has to be known of a household once everything it said is gone. Its
 * own key salts nothing of it, so that it can be opened for ever.
 */
export type ErasureFacts = JsonObject & {
  household: string;
  by: string;
  activeFrom: Instant;
  activeUntil: Instant;
  /** On top of the microgrid's. */
  creditLimitMicro: number;
  /** All its accounts, sorted; cumulative sides as they stood for good. */
  balances: ErasedBalance[];
  /** How many records were erased, and the hash of their sequences: which ones. */
  records: number;
  sequencesSha256: string;
};

export type ErasedBalance = {
  account: string;
  asset: string;
  debitsPending: number;
  creditsPending: number;
  debitsPosted: number;
  creditsPosted: number;
};

export function erasureDraft(facts: ErasureFacts, at: Instant): RecordDraft {
  return {
    kind: 'erasure',
    at,
    cause: `household/${facts.household}/erased`,
    keyHolder: '',
    households: [facts.household],
    facts,
    transfers: [],
  };
}

/** SHA-256 over the sequences in order, each in decimal with a newline behind it; hex. */
export function sequencesHash(sequences: readonly number[]): string {
  return bytesToHex(sha256(utf8ToBytes(sequences.map((one) => `${one}\n`).join(''))));
}
