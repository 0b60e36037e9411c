import { equalBytes } from './bytes.js';
import { EMPTY_ROOT, foldRight, nodeHash, perfectSubtrees } from './merkle-tree.js';
import type { NodeAddress } from './merkle-tree.js';

/**
 * Proofs over the tree of RFC 9162: that an entry is in it, and that a later tree only appends to
 * an earlier one. They are made from stored hashes, all of one proof fetched at once, and checked
 * from nothing but the roots.
 */

/** The hashes of these perfect subtrees, in the order asked. All lie within the tree proven. */
export type HashReader = (nodes: readonly NodeAddress[]) => Promise<readonly Uint8Array[]>;

/** Checks that `leafHash` is leaf `index` of the tree with this size and root (2.1.3.2). */
export function verifyInclusion(claim: {
  index: number;
  size: number;
  leafHash: Uint8Array;
  proof: readonly Uint8Array[];
  root: Uint8Array;
}): boolean {
  const { index, size, proof, root } = claim;
  if (!isSize(index) || !isSize(size) || index >= size) return false; // step 1
  if (![claim.leafHash, root, ...proof].every(isHash)) return false;
  let node = index;
  let last = size - 1;
  let hash = claim.leafHash;
  for (const sibling of proof) {
    if (last === 0) return false; // step 4a
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      // Step 4b: without this inner shift, proofs of the ragged right edge fail (2 of 3, 4 of 5 ...).
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && equalBytes(hash, root); // step 5
}

/**
 * Checks that the tree of `newSize` only appends to the tree of `oldSize` (2.1.4.2). Every tree
 * extends the empty one: there is nothing to prove for an old size of 0, and it is refused here.
 */
export function verifyConsistency(claim: {
  oldSize: number;
  newSize: number;
  oldRoot: Uint8Array;
  newRoot: Uint8Array;
  proof: readonly Uint8Array[];
}): boolean {
  const { oldSize, newSize, oldRoot, newRoot, proof } = claim;
  if (!isSize(oldSize) || !isSize(newSize) || oldSize === 0 || oldSize > newSize) return false;
  if (![oldRoot, newRoot, ...proof].every(isHash)) return false;
  if (oldSize === newSize) return proof.length === 0 && equalBytes(oldRoot, newRoot);
  if (proof.length === 0) return false; // step 1
  // Step 2: a perfect old tree is itself the first hash, and the proof leaves it out.
  const roots = foldGrowth(oldSize, newSize, isPerfect(oldSize) ? [oldRoot, ...proof] : proof);
  return roots !== null && equalBytes(roots.old, oldRoot) && equalBytes(roots.new, newRoot);
}

/**
 * The roots of both trees that the hashes of a consistency proof come to, a perfect old tree's own
 * root among them (2.1.4.2). With a new root that somebody signed, `old` is what the first `oldSize`
 * leaves of that tree have for a root, whatever else was signed for them.
 * @returns null when there are too few or too many of them
 */
export function foldGrowth(
  oldSize: number,
  newSize: number,
  hashes: readonly Uint8Array[],
): { old: Uint8Array; new: Uint8Array } | null {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize === 0 || oldSize >= newSize) return null;
  const [first, ...rest] = hashes;
  if (!first || !hashes.every(isHash)) return null;
  let node = oldSize - 1;
  let last = newSize - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)]; // step 3
  let oldHash = first;
  let newHash = first;
  for (const sibling of rest) {
    if (last === 0) return null; // step 5
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 ? { old: oldHash, new: newHash } : null; // step 6
}

/** The hashes that `foldGrowth` takes, from the larger tree. @throws RangeError unless 0 < oldSize < newSize */
export async function growthHashes(
  oldSize: number,
  newSize: number,
  read: HashReader,
): Promise<Uint8Array[]> {
  const proof = await consistencyProof(oldSize, newSize, read);
  return isPerfect(oldSize) ? [await treeRoot(oldSize, read), ...proof] : proof;
}

/** PATH(index, D[size]), leaf's sibling first. @throws RangeError unless index < size */
export async function inclusionProof(
  index: number,
  size: number,
  read: HashReader,
): Promise<Uint8Array[]> {
  return (await inclusionProofs([index], size, read))[0]!;
}

/** The inclusion proofs of several leaves, all hashes read in one go. @throws RangeError as above */
export async function inclusionProofs(
  indices: readonly number[],
  size: number,
  read: HashReader,
): Promise<Uint8Array[][]> {
  const paths = indices.map((index) => siblingRanges(index, size));
  const hashes = await hashRanges(paths.flat(), read);
  let at = 0;
  return paths.map((path) => hashes.slice(at, (at += path.length)));
}

/** What the hashes of an inclusion proof stand for. */
function siblingRanges(index: number, size: number): LeafRange[] {
  if (!isSize(index) || !isSize(size) || index >= size) {
    throw new RangeError(`no leaf ${index} in a tree of ${size}`);
  }
  const ranges: LeafRange[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const split = start + largestPowerBelow(end - start);
    ranges.push(index < split ? [split, end] : [start, split]);
    [start, end] = index < split ? [start, split] : [split, end];
  }
  return ranges.reverse();
}

/** PROOF(oldSize, D[newSize]). @throws RangeError unless 0 < oldSize <= newSize */
export async function consistencyProof(
  oldSize: number,
  newSize: number,
  read: HashReader,
): Promise<Uint8Array[]> {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize === 0 || oldSize > newSize) {
    throw new RangeError(`no consistency proof from size ${oldSize} to ${newSize}`);
  }
  const ranges: LeafRange[] = [];
  let [start, end] = [0, newSize];
  while (end !== oldSize) {
    const split = start + largestPowerBelow(end - start);
    ranges.push(oldSize <= split ? [split, end] : [start, split]);
    [start, end] = oldSize <= split ? [start, split] : [split, end];
  }
  // SUBPROOF's flag: the old tree itself, where it is a subtree of the new one, is known already.
  if (start !== 0) ranges.push([start, end]);
  return hashRanges(ranges.reverse(), read);
}

/** MTH(D[size]) from stored hashes. */
export async function treeRoot(size: number, read: HashReader): Promise<Uint8Array> {
  if (!isSize(size)) throw new RangeError(`not a tree size: ${size}`);
  return size === 0 ? EMPTY_ROOT : (await hashRanges([[0, size]], read))[0]!;
}

type LeafRange = readonly [start: number, end: number];

/** MTH of each range, reading all perfect subtrees they consist of in one go. */
async function hashRanges(ranges: readonly LeafRange[], read: HashReader): Promise<Uint8Array[]> {
  const parts = ranges.map(([start, end]) => perfectSubtrees(start, end));
  const wanted = parts.flat();
  const hashes = wanted.length === 0 ? [] : await read(wanted);
  if (hashes.length !== wanted.length) {
    throw new RangeError(`asked for ${wanted.length} hashes, was given ${hashes.length}`);
  }
  let at = 0;
  return parts.map((nodes) => foldRight(hashes.slice(at, (at += nodes.length))));
}

function largestPowerBelow(length: number): number {
  let power = 1;
  while (power * 2 < length) power *= 2;
  return power;
}

/** Whether a tree of this size has no ragged edge: a power of two of leaves. */
function isPerfect(size: number): boolean {
  let odd = size;
  while (odd % 2 === 0) odd = half(odd);
  return odd === 1;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === 32;
}
