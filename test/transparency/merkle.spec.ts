import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../src/transparency/bytes.js';
import {
  consistencyProof,
  inclusionProof,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../src/transparency/merkle-proof.js';
import type { HashReader } from '../../src/transparency/merkle-proof.js';
import {
  CompactRange,
  leafHash,
  merkleRoot,
  nodeHash,
} from '../../src/transparency/merkle-tree.js';
import { sharedFile } from '../support/shared.js';
import { naiveLeaf, naivePath, naiveRoot, naiveSubproof } from './naive-tree.js';

const SIZE = 300;
const entries = Array.from({ length: SIZE }, (_, i) => Buffer.from(`entry ${i}`));
const leaves = entries.map(naiveLeaf);
const roots = Array.from({ length: SIZE + 1 }, (_, size) => naiveRoot(leaves.slice(0, size)));

/** Stored hashes as the definition has them, each computed once. */
function storeOf(leafHashes: readonly Uint8Array[]): HashReader {
  const known = new Map<string, Uint8Array>();
  return async (nodes) =>
    nodes.map(({ level, index }) => {
      const key = `${level}/${index}`;
      const span = 2 ** level;
      const hash = known.get(key) ?? naiveRoot(leafHashes.slice(index * span, (index + 1) * span));
      known.set(key, hash);
      return hash;
    });
}
const read = storeOf(leaves);

describe('the tree against its definition, every size to 300', () => {
  test('roots, grown leaf by leaf, from bytes, and from stored hashes', async () => {
    let range = CompactRange.empty();
    for (let size = 0; size <= SIZE; size += 1) {
      expect(hex(range.root())).toBe(hex(roots[size]!));
      expect(hex(await treeRoot(size, read))).toBe(hex(roots[size]!));
      range = CompactRange.fromBytes(size, range.toBytes());
      if (size < SIZE) range.append(leafHash(entries[size]!));
    }
    expect(hex(merkleRoot(entries))).toBe(hex(roots[SIZE]!));
  });

  test('every inclusion proof is the definition’s and verifies, at no other place', async () => {
    for (let size = 1; size <= SIZE; size += 1) {
      const part = leaves.slice(0, size);
      const root = roots[size]!;
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(index, size, read);
        if (sampled(index, size)) expect(proof.map(hex)).toEqual(naivePath(index, part).map(hex));
        const claim = { index, size, leafHash: leaves[index]!, proof, root };
        if (!verifyInclusion(claim)) throw new Error(`${index} of ${size} fails`);
        if (!sampled(index, size)) continue;
        if (verifyInclusion({ ...claim, index: (index + 1) % size }) && size > 1) {
          throw new Error(`${index} of ${size} passes for its neighbor`);
        }
      }
    }
  }, 120_000);

  test('every consistency proof is the definition’s and verifies, for no other root', async () => {
    for (let newSize = 1; newSize <= SIZE; newSize += 1) {
      const part = leaves.slice(0, newSize);
      for (let oldSize = 1; oldSize <= newSize; oldSize += 1) {
        const proof = await consistencyProof(oldSize, newSize, read);
        const [oldRoot, newRoot] = [roots[oldSize]!, roots[newSize]!];
        const claim = { oldSize, newSize, oldRoot, newRoot, proof };
        if (!verifyConsistency(claim)) throw new Error(`${oldSize} to ${newSize} fails`);
        if (!sampled(oldSize, newSize)) continue;
        expect(proof.map(hex)).toEqual(naiveSubproof(oldSize, part, true).map(hex));
        if (verifyConsistency({ ...claim, oldRoot: roots[oldSize - 1]! })) {
          throw new Error(`${oldSize} to ${newSize} passes with another old root`);
        }
        if (verifyConsistency({ ...claim, newRoot: roots[0]! })) {
          throw new Error(`${oldSize} to ${newSize} passes with another new root`);
        }
      }
    }
  }, 120_000);

  test('a proof with one hash more, fewer or changed fails', async () => {
    for (const [index, size] of [
      [0, 1],
      [2, 3],
      [4, 6],
      [130, 300],
      [299, 300],
    ] as const) {
      const proof = await inclusionProof(index, size, read);
      const claim = { index, size, leafHash: leaves[index]!, root: roots[size]! };
      for (const bad of spoiled(proof))
        expect(verifyInclusion({ ...claim, proof: bad })).toBe(false);
    }
    for (const [oldSize, newSize] of [
      [1, 2],
      [6, 8],
      [64, 300],
      [299, 300],
    ] as const) {
      const proof = await consistencyProof(oldSize, newSize, read);
      const claim = { oldSize, newSize, oldRoot: roots[oldSize]!, newRoot: roots[newSize]! };
      for (const bad of spoiled(proof))
        expect(verifyConsistency({ ...claim, proof: bad })).toBe(false);
    }
  });

  test('a compact range whose bytes do not fit its size is malformed', () => {
    for (const size of [-1, 1, 3, 0.5, 2 ** 53]) {
      expect(() => CompactRange.fromBytes(size, new Uint8Array(96))).toThrow(MalformedError);
    }
  });

  test('sizes beyond 32 bits are counted, not wrapped', async () => {
    const size = 2 ** 40 + 1;
    const blank = new Uint8Array(32);
    const allAlike: HashReader = async (nodes) => nodes.map(() => blank);
    const proof = await inclusionProof(2 ** 40, size, allAlike);
    expect(proof).toHaveLength(1);
    const root = nodeHash(blank, blank);
    expect(verifyInclusion({ index: 2 ** 40, size, leafHash: blank, proof, root })).toBe(true);
    expect(verifyInclusion({ index: 0, size, leafHash: blank, proof, root })).toBe(false);
  });
});

interface Vectors {
  rfc6962_tree: { leaf_inputs_hex: string[]; root_hashes_hex_by_size_0_to_8: string[] };
  rfc6962_primitives: {
    cases: { hash_hex: string; leaf_utf8?: string; left_utf8?: string; right_utf8?: string }[];
  };
  inclusion_cases: {
    cases: {
      leafIdx: number;
      treeSize: number;
      root: string;
      leafHash: string;
      proof: string[] | null;
      desc: string;
      wantErr: boolean;
    }[];
  };
  consistency_cases: {
    cases: {
      size1: number;
      size2: number;
      root1: string;
      root2: string;
      proof: string[] | null;
      desc: string;
      wantErr: boolean;
    }[];
  };
}

const file = sharedFile('vectors/transparency-log.json');
(file === null ? describe.skip : describe)('public vectors', () => {
  const vectors = (file === null ? {} : JSON.parse(readFileSync(file, 'utf8'))) as Vectors;

  test('the tree of RFC 6962', () => {
    const inputs = vectors.rfc6962_tree.leaf_inputs_hex.map((input) => Buffer.from(input, 'hex'));
    vectors.rfc6962_tree.root_hashes_hex_by_size_0_to_8.forEach((root, size) => {
      expect(hex(merkleRoot(inputs.slice(0, size)))).toBe(root);
    });
  });

  test('leaves and nodes', () => {
    for (const { hash_hex, leaf_utf8, left_utf8, right_utf8 } of vectors.rfc6962_primitives.cases) {
      if (leaf_utf8 !== undefined) expect(hex(leafHash(Buffer.from(leaf_utf8)))).toBe(hash_hex);
      else if (left_utf8 === undefined) expect(hex(CompactRange.empty().root())).toBe(hash_hex);
      // The vector joins texts of four bytes, which are no hashes and which nodeHash refuses.
      else
        expect(() => nodeHash(Buffer.from(left_utf8), Buffer.from(right_utf8!))).toThrow(
          RangeError,
        );
    }
  });

  test('98 inclusion proofs, good and bad', () => {
    expect(vectors.inclusion_cases.cases).toHaveLength(98);
    for (const one of vectors.inclusion_cases.cases) {
      const verdict = verifyInclusion({
        index: one.leafIdx,
        size: one.treeSize,
        leafHash: base64(one.leafHash),
        proof: (one.proof ?? []).map(base64),
        root: base64(one.root),
      });
      expect([one.desc, verdict]).toEqual([one.desc, !one.wantErr]);
    }
  });

  test('98 consistency proofs, good and bad', () => {
    expect(vectors.consistency_cases.cases).toHaveLength(98);
    for (const one of vectors.consistency_cases.cases) {
      const verdict = verifyConsistency({
        oldSize: one.size1,
        newSize: one.size2,
        oldRoot: base64(one.root1),
        newRoot: base64(one.root2),
        proof: (one.proof ?? []).map(base64),
      });
      // The reference takes placeholders of 12 bytes for roots; ours must be hashes.
      const good = !one.wantErr && base64(one.root1).length === 32;
      expect([one.desc, verdict]).toEqual([one.desc, good]);
    }
  });
});

/** Whether the slow comparisons are made for this pair: all of the small trees, some of the others. */
function sampled(index: number, size: number): boolean {
  return size <= 40 || (index * 31 + size) % 29 === 0;
}

function spoiled(proof: readonly Uint8Array[]): Uint8Array[][] {
  const changed = proof.map((hash, at) => {
    const other = Uint8Array.from(hash);
    other[at % 32]! ^= 1;
    return proof.map((same, place) => (place === at ? other : same));
  });
  const shorter = proof.length > 0 ? [proof.slice(1), proof.slice(0, -1)] : [];
  return [[...proof, new Uint8Array(32)], [new Uint8Array(32), ...proof], ...shorter, ...changed];
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function base64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}
