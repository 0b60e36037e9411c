import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/transparency/bytes.js';
import { parseCheckpoint, signCheckpoint } from '../../src/transparency/checkpoint.js';
import type { Checkpoint } from '../../src/transparency/checkpoint.js';
import { cosigner } from '../../src/transparency/cosignature.js';
import {
  findEquivocation,
  formatEquivocation,
  judgeEquivocation,
  parseEquivocation,
} from '../../src/transparency/equivocation.js';
import { consistencyProof } from '../../src/transparency/merkle-proof.js';
import type { HashReader } from '../../src/transparency/merkle-proof.js';
import { EMPTY_ROOT, leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  addSignatures,
  ed25519Signer,
  formatNote,
  formatSignature,
  parseNote,
  parseSignerKey,
  parseVerifierKey,
  verifierKeyOf,
} from '../../src/transparency/signed-note.js';
import type { SignerKey } from '../../src/transparency/signed-note.js';
import {
  formatAddCheckpoint,
  formatSizeLine,
  judgeAddCheckpoint,
  parseAddCheckpoint,
  parseSizeLine,
  readCosignature,
} from '../../src/transparency/witness-protocol.js';
import type { WitnessVerdict } from '../../src/transparency/witness-protocol.js';
import { sharedFile } from '../support/shared.js';
import { naiveRoot } from './naive-tree.js';
import { seeded } from './seeded.js';

const log = key('street.example/log', ALGORITHM.ed25519);
const next = { ...key('next', ALGORITHM.ed25519), name: log.name };
const stranger = { ...key('stranger', ALGORITHM.ed25519), name: log.name };
const wit = key('wit.example', ALGORITHM.cosignature);

/** A tree, and another that has the same first 4 entries. */
const ENTRIES = Array.from({ length: 9 }, (_, i) => Buffer.from(`entry ${i}`));
const OTHER = ENTRIES.map((entry, i) => (i === 4 ? Buffer.from('forged') : entry));
const read = readerOf(ENTRIES);

describe('a witness that cosigned size 5 answers', () => {
  const latest = checkpoint(5);
  const table: [string, () => string | Promise<string>, WitnessVerdict['status']][] = [
    ['growth with its proof', () => request(5, 8), 200],
    ['the same size again', () => request(5, 5), 200],
    ['growth signed by the next key of the log', () => request(5, 8, [next]), 200],
    ['growth signed by a known key and a stranger', () => request(5, 8, [stranger, log]), 200],
    ['an older size than it knows, told the one it knows', () => request(3, 8), 409],
    ['a log that begins', () => request(0, 8), 409],
    ['a larger size than it knows', () => request(6, 8), 409],
    ['a step back', () => request(4, 4), 409],
    ['an old size beyond the checkpoint', () => request(9, 8), 400],
    ['another origin', () => request(5, 8, [key('other', ALGORITHM.ed25519)]), 404],
    ['only a stranger’s signature', () => request(5, 8, [stranger]), 403],
    ['a spoiled signature of the log', async () => spoiled(await request(5, 8)), 403],
    ['no proof', async () => without(await request(5, 8)), 422],
    ['the proof of another size', () => request(5, 8, [log], ENTRIES, 7), 422],
    ['another tree', () => request(5, 8, [log], OTHER), 422],
    ['another root of the same size', () => request(5, 5, [log], OTHER), 422],
    ['a proof where nothing grew', async () => withHash(await request(5, 5)), 422],
    ['nothing', () => '', 400],
    ['no checkpoint', () => 'old 5\n\n', 400],
    ['an old size with a leading zero', async () => (await request(5, 8)).replace('5', '05'), 400],
    ['an old size that is signed', async () => (await request(5, 8)).replace('5', '-5'), 400],
    ['64 hashes', async () => withHash(await request(5, 8), 64), 400],
    ['a hash of 31 bytes', async () => withHash(await request(5, 8), 1, 31), 400],
    ['carriage returns', async () => (await request(5, 8)).replaceAll('\n', '\r\n'), 400],
  ];
  test.each(table)('%s', async (_, body, status) => {
    const verdict = judge(await body(), latest);
    expect(verdict.status).toBe(status);
    if (verdict.status === 409) expect(verdict.size).toBe(5);
  });

  test('bytes that are not UTF-8 with 400', () => {
    const verdict = judgeAddCheckpoint(Uint8Array.of(0xff), keysOf, () => latest);
    expect(verdict.status).toBe(400);
  });
});

describe('a witness that knows nothing of a log yet answers', () => {
  test.each([
    ['its first checkpoint', () => request(0, 5), 200],
    ['an empty tree', () => request(0, 0), 200],
    [
      'an empty tree with another root',
      () => sent(0, [], { ...checkpoint(0), root: leafHash(ENTRIES[0]!) }),
      422,
    ],
    ['a proof from nothing', async () => withHash(await request(0, 5)), 422],
    ['an old size', () => request(3, 5), 409],
  ] as const)('%s', async (_, body, status) => {
    const verdict = judge(await body(), null);
    expect(verdict.status).toBe(status);
    if (verdict.status === 409) expect(verdict.size).toBe(0);
  });
});

describe('the answer of a witness', () => {
  const note = parseNote(signCheckpoint(checkpoint(5), [ed25519Signer(log)]));
  const lineOf = (signer: SignerKey, on = note) =>
    formatSignature(
      parseNote(addSignatures(on, [cosigner(signer, 1_700_000_000)])).signatures.at(-1)!,
    );

  test('is taken where it holds, other keys passed over', () => {
    const other = lineOf(key('other.example', ALGORITHM.cosignature));
    const own = readCosignature(other + lineOf(wit), note, verifierKeyOf(wit));
    expect(formatSignature(own!)).toBe(lineOf(wit));
    expect(readCosignature(other, note, verifierKeyOf(wit))).toBeNull();
  });

  test('is not when it is over another checkpoint', () => {
    const elsewhere = parseNote(signCheckpoint(checkpoint(6), [ed25519Signer(log)]));
    expect(readCosignature(lineOf(wit, elsewhere), note, verifierKeyOf(wit))).toBeNull();
  });

  test('is malformed where it is anything but signature lines', () => {
    const line = lineOf(wit);
    for (const answer of [
      '',
      '\n',
      'sorry',
      'old 5\n',
      `${line}\n`,
      line.trimEnd(),
      line.repeat(101),
    ]) {
      expect(() => readCosignature(answer, note, verifierKeyOf(wit))).toThrow(MalformedError);
    }
  });

  test('of 409 is a size and nothing else', () => {
    expect(parseSizeLine(formatSizeLine(42))).toBe(42);
    for (const text of ['42', '042\n', '-1\n', '42\n\n', '\n', '', '9007199254740993\n']) {
      expect(() => parseSizeLine(text)).toThrow(MalformedError);
    }
  });
});

describe('any bytes sent to a witness', () => {
  test('are read in their one form, or refused by name', async () => {
    const good = await request(5, 8);
    const piece = fc.oneof(
      fc.constantFrom('\n', '\n\n', 'old ', '0', '=', ' ', '\u2014 ', '\ufeff', '\u0000'),
      fc.string({ maxLength: 5, unit: 'binary' }),
    );
    seeded(
      fc.property(fc.nat(good.length), fc.nat(4), piece, (at, cut, added) => {
        const text = good.slice(0, at) + added + good.slice(at + cut);
        const { status } = judge(text, checkpoint(5));
        expect([200, 400, 403, 404, 409, 422]).toContain(status);
        // Of what was signed and proven nothing can be changed: only the lines of strangers.
        if (status === 200) expect(text).toBe(good);
        try {
          expect(formatAddCheckpoint(parseAddCheckpoint(text))).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      200,
    );
  });
});

describe('evidence of two stories', () => {
  const logKey = verifierKeyOf(log);
  const note = (size: number, entries = ENTRIES) =>
    signCheckpoint(checkpoint(size, entries), [ed25519Signer(log)]);

  test('is found between a fork’s checkpoints of every two sizes, and only there', async () => {
    for (let size = 1; size <= 9; size += 1) {
      for (let other = 1; other <= 9; other += 1) {
        const larger = size >= other ? ENTRIES : OTHER;
        const found = await findEquivocation(
          logKey,
          [note(size), note(other, OTHER)],
          readerOf(larger),
        );
        // Up to size 4 both trees are one.
        expect([size, other, found !== null]).toEqual([size, other, Math.min(size, other) > 4]);
        if (!found) continue;
        const again = parseEquivocation(formatEquivocation(found));
        expect(judgeEquivocation(again)).toMatchObject({
          outcome: 'proven',
          smaller: { size: Math.min(size, other) },
          larger: { size: Math.max(size, other) },
        });
      }
    }
  });

  test('is not made by hashes that somebody thought up', async () => {
    const honest = await findEquivocation(logKey, [note(5), note(8)], read);
    expect(honest).toBeNull();
    const hashes = await consistencyProof(5, 8, read);
    const made = { key: logKey, smaller: note(5), larger: note(8), hashes };
    expect(judgeEquivocation(made).outcome).toBe('no_contradiction');
    for (let at = 0; at < hashes.length; at += 1) {
      const changed = hashes.map((hash, i) => (i === at ? leafHash(hash) : hash));
      expect(judgeEquivocation({ ...made, hashes: changed }).outcome).toBe('hashes_do_not_fit');
    }
    const forged = await consistencyProof(5, 8, readerOf(OTHER));
    expect(judgeEquivocation({ ...made, hashes: forged }).outcome).toBe('hashes_do_not_fit');
  });

  test('says what is wrong with it', async () => {
    const good = (await findEquivocation(logKey, [note(5), note(5, OTHER)], read))!;
    const bad = signCheckpoint(checkpoint(5, OTHER), [ed25519Signer(stranger)]);
    const other = signCheckpoint({ ...checkpoint(5), origin: 'x' }, [ed25519Signer(log)]);
    expect(judgeEquivocation({ ...good, larger: bad }).outcome).toBe('not_signed_by_log');
    expect(judgeEquivocation({ ...good, larger: other }).outcome).toBe('other_origin');
    expect(judgeEquivocation({ ...good, larger: 'x' }).outcome).toBe('not_a_checkpoint');
    expect(judgeEquivocation({ ...good, larger: spoiled(note(5)) }).outcome).toBe('bad_signature');
    expect(judgeEquivocation({ ...good, hashes: [leafHash(ENTRIES[0]!)] }).outcome).toBe(
      'hashes_do_not_fit',
    );
    for (const text of ['', '{}', 'null', formatEquivocation(good).replace('@v1', '@v2')]) {
      expect(() => parseEquivocation(text)).toThrow(MalformedError);
    }
  });

  test('any file read as evidence is refused by name, or comes back as it was', async () => {
    const good = formatEquivocation(
      (await findEquivocation(logKey, [note(5, OTHER), note(8)], read))!,
    );
    seeded(
      fc.property(fc.nat(good.length), fc.nat(4), fc.string({ maxLength: 3 }), (at, cut, added) => {
        const text = good.slice(0, at) + added + good.slice(at + cut);
        try {
          const evidence = parseEquivocation(text);
          expect(parseEquivocation(formatEquivocation(evidence))).toEqual(evidence);
          judgeEquivocation(evidence);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
      200,
    );
  });
});

const file = sharedFile('vectors/transparency-log.json');
(file === null ? describe.skip : describe)('public vectors of witnesses', () => {
  test('the reference’s update is taken, and nothing beside it', () => {
    const vectors = JSON.parse(readFileSync(file!, 'utf8')) as {
      witness_updates: Record<string, string>[] & { consistency_proof_hex: string[] }[];
    };
    for (const one of vectors.witness_updates) {
      const logKey = parseVerifierKey(one['log_vkey']!);
      const known = parseCheckpoint(parseNote(one['checkpoint_old']!).text);
      const proof = one.consistency_proof_hex.map((hash) => Buffer.from(hash, 'hex'));
      const update = { oldSize: 5, proof, checkpoint: one['checkpoint_new']! };
      const verdict = (request: typeof update) =>
        judgeAddCheckpoint(
          Buffer.from(formatAddCheckpoint(request)),
          () => [logKey],
          () => known,
        );
      expect(verdict(update)).toMatchObject({ status: 200, checkpoint: { size: 8 } });
      expect(verdict({ ...update, proof: proof.slice(1) }).status).toBe(422);
      expect(verdict({ ...update, oldSize: 4 })).toEqual({ status: 409, size: 5 });
      expect(parseSignerKey(one['witness_skey']!).name).toBe('witness');
    }
  });

  test('every group of the file is used by a test', () => {
    const used: Record<string, string> = {
      about: 'says what the file is',
      rfc6962_tree: 'merkle.spec.ts',
      rfc6962_primitives: 'merkle.spec.ts',
      inclusion_cases: 'merkle.spec.ts',
      consistency_cases: 'merkle.spec.ts',
      signed_note: 'note.spec.ts',
      witness_updates: 'note.spec.ts, and above',
      cosignature_v1: 'note.spec.ts',
      vkey_ids: 'note.spec.ts',
      checkpoint_parse: 'note.spec.ts',
      tile_paths: 'tile.spec.ts',
      tlog_proof: 'note.spec.ts',
      ed25519_cosigned_message_example: 'note.spec.ts',
    };
    const groups = Object.keys(JSON.parse(readFileSync(file!, 'utf8')) as object);
    expect(groups.sort()).toEqual(Object.keys(used).sort());
    for (const [group, where] of Object.entries(used)) {
      const spec = /^[a-z]+\.spec\.ts/.exec(where)?.[0];
      if (!spec) continue;
      const text = readFileSync(new URL(spec, import.meta.url), 'utf8');
      expect([group, /\bvectors\b/.test(text) && text.includes(group)]).toEqual([group, true]);
    }
  });
});

function judge(body: string, latest: Checkpoint | null): WitnessVerdict {
  return judgeAddCheckpoint(new TextEncoder().encode(body), keysOf, () => latest);
}

function keysOf(origin: string) {
  return origin === log.name ? [verifierKeyOf(log), verifierKeyOf(next)] : [];
}

function checkpoint(size: number, entries = ENTRIES): Checkpoint {
  const root = size === 0 ? EMPTY_ROOT : merkleRoot(entries.slice(0, size));
  return { origin: log.name, size, root, extensions: [] };
}

/** A log's request, honest unless told otherwise. */
async function request(
  oldSize: number,
  size: number,
  signers: readonly SignerKey[] = [log],
  entries = ENTRIES,
  provenTo = size,
): Promise<string> {
  const isGrowth = oldSize > 0 && oldSize <= provenTo;
  const proof = isGrowth ? await consistencyProof(oldSize, provenTo, readerOf(entries)) : [];
  return sent(oldSize, proof, { ...checkpoint(size, entries), origin: signers[0]!.name }, signers);
}

function sent(
  oldSize: number,
  proof: readonly Uint8Array[],
  of: Checkpoint,
  signers: readonly SignerKey[] = [log],
): string {
  const note = signCheckpoint(of, signers.map(ed25519Signer));
  return formatAddCheckpoint({ oldSize, proof, checkpoint: note });
}

function without(body: string): string {
  return formatAddCheckpoint({ ...parseAddCheckpoint(body), proof: [] });
}

function withHash(body: string, times = 1, bytes = 32): string {
  const line = `${Buffer.alloc(bytes, 7).toString('base64')}\n`;
  return body.replace('\n', `\n${line.repeat(times)}`);
}

/** One byte of the last signature changed. */
function spoiled(text: string): string {
  const border = text.lastIndexOf('\n\n') < text.indexOf('\n\n') ? 0 : text.indexOf('\n\n') + 2;
  const head = text.startsWith('old ') ? text.slice(0, border) : '';
  const note = parseNote(text.slice(head.length));
  const signatures = note.signatures.map((one) => {
    const signature = Uint8Array.from(one.signature);
    signature[9]! ^= 1;
    return { ...one, signature };
  });
  return head + formatNote({ ...note, signatures });
}

function readerOf(entries: readonly Uint8Array[]): HashReader {
  return async (nodes) =>
    nodes.map(({ level, index }) =>
      naiveRoot(entries.slice(index * 2 ** level, (index + 1) * 2 ** level).map(leafHash)),
    );
}

function key(name: string, algorithm: SignerKey['algorithm']): SignerKey {
  return { name, algorithm, seed: createHash('sha256').update(name).digest() };
}
