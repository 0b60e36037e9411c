import { concatBytes } from '@noble/hashes/utils.js';
import { MalformedError } from './bytes.js';
import { sha256 } from './sha256.js';

/**
 * The append-only tree of RFC 6962 (RFC 9162 2.1) over SHA-256, held as its right edge: the roots
 * of the perfect subtrees it consists of, largest first. Appending needs nothing else, so a log of
 * any length is continued from at most 53 hashes.
 */
export class CompactRange {
  #size: number;
  readonly #hashes: Uint8Array[];

  private constructor(size: number, hashes: Uint8Array[]) {
    this.#size = size;
    this.#hashes = hashes;
  }

  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /** Number of leaves. */
  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    let node = assertHash(leaf);
    // Each trailing one of the old size is a subtree as large as the node: they pair up.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = nodeHash(this.#hashes.pop()!, node);
    }
    this.#hashes.push(node);
    this.#size += 1;
  }

  /** MTH(D[size]); SHA-256 of nothing when empty. */
  root(): Uint8Array {
    return this.#hashes.length === 0 ? EMPTY_ROOT : foldRight(this.#hashes);
  }

  /** The hashes one after another, largest subtree first; whoever keeps them keeps the size too. */
  toBytes(): Uint8Array {
    return concatBytes(...this.#hashes);
  }

  /** @throws MalformedError unless there is one hash per bit set in `size` */
  static fromBytes(size: number, bytes: Uint8Array): CompactRange {
    if (!Number.isSafeInteger(size) || size < 0) throw new MalformedError('not a size of a tree');
    const count = perfectSubtrees(0, size).length;
    if (bytes.length !== 32 * count) {
      throw new MalformedError(`a compact range of ${size} leaves needs ${count} hashes`);
    }
    const hashes = Array.from({ length: count }, (_, i) => bytes.slice(32 * i, 32 * (i + 1)));
    return new CompactRange(size, hashes);
  }
}

/** MTH over entries: the root of the tree whose leaves they are. */
export function merkleRoot(entries: readonly Uint8Array[]): Uint8Array {
  const range = CompactRange.empty();
  for (const entry of entries) range.append(leafHash(entry));
  return range.root();
}

/** MTH({d}): SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + entry.length);
  message.set(entry, 1);
  return sha256(message);
}

/** SHA-256(0x01 || left || right): the prefix keeps a node from passing for a leaf. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  NODE.set(assertHash(left), 1);
  NODE.set(assertHash(right), 33);
  return sha256(NODE);
}

/** Filled anew for every node, of which there are as many as entries. */
const NODE = Uint8Array.of(1, ...new Uint8Array(64));

/** MTH({}) = SHA-256(""). */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

/** A perfect subtree: the root over leaves [index · 2^level, (index + 1) · 2^level). */
export interface NodeAddress {
  readonly level: number;
  readonly index: number;
}

/**
 * The perfect subtrees, largest first, that make up the leaves [start, end) of a tree, where
 * `start` is a multiple of every power of two below twice the length, as all ranges of RFC 9162 are.
 */
export function perfectSubtrees(start: number, end: number): NodeAddress[] {
  const nodes: NodeAddress[] = [];
  let at = start;
  let length = 2 ** 52;
  for (let level = 52; level >= 0; level -= 1, length /= 2) {
    if (end - at >= length) {
      nodes.push({ level, index: at / length });
      at += length;
    }
  }
  return nodes;
}

/** The root over perfect subtrees given largest first: the smallest pair is joined first. */
export function foldRight(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

function assertHash(hash: Uint8Array): Uint8Array {
  if (hash.length !== 32) throw new RangeError(`a hash of ${hash.length} bytes instead of 32`);
  return hash;
}
