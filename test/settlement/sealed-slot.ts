import { openedValues, openRecord } from '../../src/ledger/opening.js';
import {
  entryOf,
  RECEIPT_FORMAT,
  SIGNED_RECEIPT_FORMAT,
  type Receipt,
  type ReceiptMessage,
  type ReceiptRecord,
} from '../../src/ledger/receipt.js';
import {
  commitment,
  logEntry,
  recordBody,
  type RecordBody,
  type RecordDraft,
} from '../../src/ledger/record.js';
import { fieldsFor, keyFieldsFor, whatHappened } from '../../src/settlement/receipt-facts.js';
import { signCheckpoint } from '../../src/transparency/checkpoint.js';
import { cosigner } from '../../src/transparency/cosignature.js';
import { leafHash, nodeHash } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  ed25519Signer,
  formatVerifierKey,
  verifierKeyOf,
  type SignerKey,
} from '../../src/transparency/signed-note.js';
import { formatTlogProof } from '../../src/transparency/tlog-proof.js';

/** Records of a slot in a small log of their own, with the receipts that households get of them. */

export const LOG: SignerKey = key('grid.example/log/street', ALGORITHM.ed25519, 1);
const WITNESSES = [2, 3].map((seed) => key(`witness-${seed}.example`, ALGORITHM.cosignature, seed));
export const POLICY = [
  `log ${vkey(LOG)}`,
  ...WITNESSES.map((witness, at) => `witness w${at + 1} ${vkey(witness)}`),
  'group both all w1 w2',
  'quorum both',
  '',
].join('\n');

/** @param before how many other entries the log has, of which nothing is known */
export function sealedSlot(drafts: readonly RecordDraft[], before = 5) {
  const numbers = new Map<string, number>();
  const bodies = drafts.map((draft, at) =>
    recordBody('street', before + 1 + at, draft, {
      opens: [],
      versions: {},
      numbers: Object.fromEntries(
        draft.households.map((household) => {
          numbers.set(household, (numbers.get(household) ?? 0) + 1);
          return [household, numbers.get(household)!];
        }),
      ),
    }),
  );
  const keyOf = (at: number) => keyOfHolder(drafts[at]!.keyHolder);
  const strangers = Array.from({ length: before }, (_, at) => Uint8Array.of(at));
  const entries = bodies.map((body, at) => logEntry(commitment(keyOf(at), body)));
  const leaves = [...strangers, ...entries].map(leafHash);
  return {
    bodies,

    /** Records by their places, opened in part, each with its proof. */
    opened(
      places: readonly number[],
      isOpen: (body: RecordBody) => (name: string) => boolean,
      signers = signersOf(),
    ): ReceiptRecord[] {
      const checkpoint = signCheckpoint(
        { origin: LOG.name, size: leaves.length, root: rootOf(leaves), extensions: [] },
        signers,
      );
      return places.map((at) => {
        const fields = openRecord(keyOf(at), bodies[at]!, isOpen(bodies[at]!));
        const index = before + at;
        return {
          leaves: fields,
          entry: entryOf(fields),
          proof: formatTlogProof({ index, hashes: pathOf(index, leaves), checkpoint }),
        };
      });
    },

    receipt(household: string, places: readonly number[], signers = signersOf()): Receipt {
      const records = this.opened(places, (body) => fieldsFor(body, household), signers);
      const shown = records.map(({ leaves: fields }, at) => ({
        sequence: bodies[places[at]!]!.sequence,
        kind: bodies[places[at]!]!.kind,
        values: openedValues(fields),
      }));
      const what = whatHappened(shown, household);
      return { format: RECEIPT_FORMAT, microgrid: 'street', household, what, records };
    },

    /** The same with messages of its meters, and the records at these places that registered their keys. */
    signedReceipt(
      household: string,
      places: readonly number[],
      keys: readonly number[],
      messages: readonly ReceiptMessage[],
    ): Receipt {
      return {
        ...this.receipt(household, places),
        format: SIGNED_RECEIPT_FORMAT,
        signed: { keys: this.opened(keys, () => keyFieldsFor(household)), messages },
      };
    },

    /** A household's settlement and the trades that it had a part in. */
    placesOf(household: string): number[] {
      return bodies.flatMap((body, at) => (isOf(body, household) ? [at] : []));
    },
  };
}

export function signersOf(cosignatures = 2) {
  const cosigners = WITNESSES.slice(0, cosignatures).map((witness) =>
    cosigner(witness, 1_780_000_000),
  );
  return [ed25519Signer(LOG), ...cosigners];
}

function isOf({ kind, households }: RecordBody, household: string): boolean {
  return (kind === 'household-slot' || kind === 'trade') && households.includes(household);
}

function keyOfHolder(holder: string): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, at) => (at + 7 * holder.length) & 255);
}

function key(name: string, algorithm: SignerKey['algorithm'], seed: number): SignerKey {
  return { name, algorithm, seed: new Uint8Array(32).fill(seed) };
}

function vkey(of: SignerKey): string {
  return formatVerifierKey(verifierKeyOf(of));
}

/** RFC 9162 2.1.1 and 2.1.3.1 as they are written there. */
function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return hashes[0]!;
  const split = splitOf(hashes.length);
  return nodeHash(rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

function pathOf(index: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  if (hashes.length === 1) return [];
  const split = splitOf(hashes.length);
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)];
  return index < split
    ? [...pathOf(index, left), rootOf(right)]
    : [...pathOf(index - split, right), rootOf(left)];
}

function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}
