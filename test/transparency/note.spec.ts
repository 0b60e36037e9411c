import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError, fromBase64, toBase64 } from '../../src/transparency/bytes.js';
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from '../../src/transparency/checkpoint.js';
import { cosignatureVerifier, cosigner, timestampOf } from '../../src/transparency/cosignature.js';
import { inclusionProof, verifyConsistency } from '../../src/transparency/merkle-proof.js';
import { leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  addSignatures,
  ed25519Signer,
  ed25519Verifier,
  formatNote,
  formatSignerKey,
  formatVerifierKey,
  parseNote,
  parseSignature,
  parseSignerKey,
  parseVerifierKey,
  signNote,
  verifierKeyOf,
  verifyNote,
} from '../../src/transparency/signed-note.js';
import type { SignerKey } from '../../src/transparency/signed-note.js';
import {
  formatTlogProof,
  parseTlogProof,
  verifyTlogProof,
} from '../../src/transparency/tlog-proof.js';
import { sharedFile } from '../support/shared.js';

const log: SignerKey = {
  name: 'street.example/log',
  algorithm: ALGORITHM.ed25519,
  seed: seed('log'),
};
const wit: SignerKey = {
  name: 'regulator',
  algorithm: ALGORITHM.cosignature,
  seed: seed('witness'),
};
const origin = log.name;
const entries = ['a', 'b', 'c', 'd', 'e'].map((text) => Buffer.from(text));
const checkpoint = { origin, size: 5, root: merkleRoot(entries), extensions: [] };
const logKey = verifierKeyOf(log);
const witnessKey = verifierKeyOf(wit);

describe('a checkpoint signed by its log and a witness', () => {
  const signed = signCheckpoint(checkpoint, [ed25519Signer(log)]);
  const cosigned = addSignatures(parseNote(signed), [cosigner(wit, 1_700_000_000)]);

  test('opens with the keys of both, and says when the witness saw it', () => {
    const verdict = openCheckpoint(cosigned, { origin, log: logKey, witnesses: [witnessKey] });
    expect(verdict).toMatchObject({
      outcome: 'verified',
      checkpoint,
      cosigned: [{ name: 'regulator', timestampSeconds: 1_700_000_000 }],
    });
  });

  test('opens without knowing the witness, and not without the log', () => {
    expect(openCheckpoint(cosigned, { origin, log: logKey })).toMatchObject({ cosigned: [] });
    const other = verifierKeyOf({ ...log, seed: seed('other') });
    expect(openCheckpoint(cosigned, { origin, log: other, witnesses: [witnessKey] })).toEqual({
      outcome: 'not_signed_by_log',
    });
    expect(openCheckpoint(cosigned, { origin: 'another', log: logKey })).toEqual({
      outcome: 'other_origin',
    });
  });

  test('is spoiled by one changed byte of its root or of either signature', () => {
    const keys = { origin, log: logKey, witnesses: [witnessKey] };
    for (const line of [2, 4, 5]) {
      const lines = cosigned.split('\n');
      lines[line] = lines[line]!.replace(
        /(.)(.{10})$/,
        (_, letter, rest) => (letter === 'A' ? 'B' : 'A') + rest,
      );
      expect(openCheckpoint(lines.join('\n'), keys)).toEqual({ outcome: 'bad_signature' });
    }
  });

  test('a later cosignature of one witness replaces the earlier one', () => {
    const again = addSignatures(parseNote(cosigned), [cosigner(wit, 1_700_000_060)]);
    expect(parseNote(again).signatures).toHaveLength(2);
    expect(openCheckpoint(again, { origin, log: logKey, witnesses: [witnessKey] })).toMatchObject({
      cosigned: [{ name: 'regulator', timestampSeconds: 1_700_000_060 }],
    });
  });

  test('proves an entry offline, with as many witnesses as asked', async () => {
    const hashes = await inclusionProof(4, 5, async (nodes) =>
      nodes.map(({ level, index }) =>
        merkleRoot(entries.slice(index * 2 ** level, (index + 1) * 2 ** level)),
      ),
    );
    const text = formatTlogProof({ index: 4, hashes, checkpoint: cosigned });
    const proof = parseTlogProof(text);
    const keys = { origin, log: logKey, witnesses: [witnessKey] };
    const leaf = leafHash(entries[4]!);
    expect(verifyTlogProof(proof, leaf, keys, 1)).toEqual({ outcome: 'verified', checkpoint });
    expect(verifyTlogProof(proof, leaf, keys, 2)).toEqual({ outcome: 'too_few_cosignatures' });
    expect(verifyTlogProof(proof, leafHash(entries[3]!), keys)).toEqual({
      outcome: 'not_included',
    });
    expect(verifyTlogProof({ ...proof, index: 3 }, leaf, keys)).toEqual({
      outcome: 'not_included',
    });
  });
});

describe('keys', () => {
  test('come back as they were written', () => {
    for (const key of [log, wit]) {
      expect(parseSignerKey(formatSignerKey(key))).toEqual(key);
      const known = verifierKeyOf(key);
      expect(parseVerifierKey(formatVerifierKey(known))).toEqual(known);
    }
  });

  test('a name with a space or plus is refused', () => {
    for (const name of ['', 'a b', 'a+b', 'a\u00a0b', 'a\u0085', 'a\nb']) {
      expect(() => formatVerifierKey({ ...logKey, name })).toThrow(MalformedError);
    }
  });

  test('a plain signature is not taken for a cosignature', () => {
    expect(() => cosignatureVerifier(logKey)).toThrow(RangeError);
    expect(() => ed25519Verifier(witnessKey)).toThrow(RangeError);
  });
});

/** One canonical text of each format, its reader and its writer. */
const FORMATS: [string, string, (text: string) => string][] = [
  ['note', signNote('text\n\nmore\n', [ed25519Signer(log)]), (text) => formatNote(parseNote(text))],
  ['checkpoint', formatCheckpoint(checkpoint), (text) => formatCheckpoint(parseCheckpoint(text))],
  ['vkey', formatVerifierKey(logKey), (text) => formatVerifierKey(parseVerifierKey(text))],
  ['skey', formatSignerKey(wit), (text) => formatSignerKey(parseSignerKey(text))],
  [
    'tlog-proof',
    formatTlogProof({
      index: 3,
      hashes: [seed('x'), seed('y')],
      extra: seed('z'),
      checkpoint: 'c\n',
    }),
    (text) => formatTlogProof(parseTlogProof(text)),
  ],
  ['base64', 'bGVhc3VyZS4=', (text) => toBase64(fromBase64(text))],
];

describe.each(FORMATS)('any text read as %s', (_name, good, reencode) => {
  test('is refused by name, or is canonical', () => {
    expect(reencode(good)).toBe(good);
    const piece = fc.oneof(
      fc.constantFrom(
        '\n',
        '\n\n',
        ' ',
        '+',
        '=',
        '\u2014 ',
        '0',
        'A',
        '/',
        '\u0000',
        '\ud800',
        '\ufeff',
      ),
      fc.string({ maxLength: 6 }),
    );
    const mutated = fc
      .tuple(fc.nat(good.length), fc.nat(3), piece)
      .map(([at, cut, added]) => good.slice(0, at) + added + good.slice(at + cut));
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          fc.array(piece).map((pieces) => pieces.join('')),
        ),
        (text) => {
          let again: string;
          try {
            again = reencode(text);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
            return;
          }
          expect(again).toBe(text);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('malformed notes', () => {
  test.each([
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from([0xff]), Buffer.from(signNote('t\n', [ed25519Signer(log)]))]),
    ],
    [
      'over 100 signatures',
      `t\n\n${`${signNote('t\n', [ed25519Signer(log)]).split('\n')[2]}\n`.repeat(101)}`,
    ],
    ['a carriage return', signNote('t\n', [ed25519Signer(log)]).replace('t\n', 't\r\n')],
    ['too many bytes', `${'t'.repeat(1_000_001)}\n\n`],
    ['no text at all', `\n${signNote('t\n', [ed25519Signer(log)]).split('\n')[2]}\n`],
  ])('%s', (_name, note) => {
    expect(() => parseNote(note)).toThrow(MalformedError);
  });
});

interface Vectors {
  signed_note: {
    good: { vkeys: string[]; skey?: string; note: string }[];
    must_reject_malformed: { cases: string[] };
    must_reject_signature: { note_base64: string };
    bad_vkeys: { cases: string[] };
  };
  witness_updates: {
    log_vkey: string;
    log_skey: string;
    witness_note_vkey: string;
    witness_skey: string;
    checkpoint_old: string;
    checkpoint_new: string;
    consistency_proof_hex: string[];
  }[];
  cosignature_v1: {
    note: string;
    witness_vkeys_type01: string[];
    log_vkey_ecdsa_type02: string;
    witness_cosigner_vkeys_type04: string[];
  }[];
  vkey_ids: { cases: { vkey: string; type: number }[] };
  checkpoint_parse: { ok: string[]; bad: string[] };
  tlog_proof: {
    marshal: {
      index: number;
      hashes_sha256_of: string[];
      checkpoint: string;
      extra_utf8?: string;
      want: string;
    }[];
    reject: string[];
  };
  ed25519_cosigned_message_example: { message: string; signature_line: string };
}

const file = sharedFile('vectors/transparency-log.json');
(file === null ? describe.skip : describe)('public vectors of notes', () => {
  const vectors = (file === null ? {} : JSON.parse(readFileSync(file, 'utf8'))) as Vectors;
  const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

  test('good notes verify, and are signed alike', () => {
    for (const { vkeys, skey, note } of vectors.signed_note.good) {
      const parsed = parseNote(note);
      const verdict = verifyNote(
        parsed,
        vkeys.map((key) => ed25519Verifier(parseVerifierKey(key))),
      );
      expect(verdict.outcome).toBe('verified');
      expect(formatNote(parsed)).toBe(note);
      if (skey) expect(signNote(parsed.text, [ed25519Signer(parseSignerKey(skey))])).toBe(note);
    }
  });

  test('malformed and mis-signed notes do not', () => {
    for (const note of vectors.signed_note.must_reject_malformed.cases) {
      expect(() => parseNote(note)).toThrow(MalformedError);
    }
    const verifier = ed25519Verifier(parseVerifierKey(peter));
    const bad = Buffer.from(vectors.signed_note.must_reject_signature.note_base64, 'base64');
    expect(verifyNote(parseNote(bad), [verifier])).toEqual({
      outcome: 'bad_signature',
      name: 'PeterNeumann',
    });
  });

  test('verifier keys: ids and types', () => {
    for (const { vkey, type } of vectors.vkey_ids.cases) {
      const key = parseVerifierKey(vkey);
      expect(key.algorithm).toBe(type);
      expect(formatVerifierKey(key)).toBe(vkey);
    }
    for (const vkey of vectors.signed_note.bad_vkeys.cases) {
      expect(() => parseVerifierKey(vkey)).toThrow(MalformedError);
    }
  });

  test('witnessed updates are signed, opened and consistent', () => {
    for (const one of vectors.witness_updates) {
      const keys = { origin: 'monkeys', log: parseVerifierKey(one.log_vkey) };
      const [older, newer] = [one.checkpoint_old, one.checkpoint_new].map((note) => {
        const verdict = openCheckpoint(note, keys);
        if (verdict.outcome !== 'verified') throw new Error(verdict.outcome);
        expect(
          signCheckpoint(verdict.checkpoint, [ed25519Signer(parseSignerKey(one.log_skey))]),
        ).toBe(note);
        return verdict.checkpoint;
      });
      const proof = one.consistency_proof_hex.map((hash) => Buffer.from(hash, 'hex'));
      expect(
        verifyConsistency({
          oldSize: older!.size,
          newSize: newer!.size,
          oldRoot: older!.root,
          newRoot: newer!.root,
          proof,
        }),
      ).toBe(true);
      expect(formatVerifierKey(verifierKeyOf(parseSignerKey(one.witness_skey)))).toBe(
        one.witness_note_vkey,
      );
    }
  });

  test('cosignatures of real witnesses verify', () => {
    for (const one of vectors.cosignature_v1) {
      const note = parseNote(one.note);
      const verifiers = one.witness_cosigner_vkeys_type04.map((key) =>
        cosignatureVerifier(parseVerifierKey(key)),
      );
      const verdict = verifyNote(note, verifiers);
      expect(verdict).toMatchObject({ outcome: 'verified' });
      if (verdict.outcome === 'verified') expect(verdict.signatures).toHaveLength(2);
      expect(() => parseVerifierKey(one.log_vkey_ecdsa_type02)).toThrow(MalformedError);
      one.witness_vkeys_type01.forEach((vkey, at) => {
        const key = { ...parseVerifierKey(vkey), algorithm: ALGORITHM.cosignature };
        expect(formatVerifierKey(key)).toBe(one.witness_cosigner_vkeys_type04[at]);
      });
    }
    const example = parseSignature(
      vectors.ed25519_cosigned_message_example.signature_line.trimEnd(),
    );
    expect(example.keyId).toBe(0x8d66cf3f);
    expect(timestampOf(example.signature)).toBe(1679315147);
  });

  test('checkpoints: short hashes are refused beside all that the reference refuses', () => {
    for (const text of [...vectors.checkpoint_parse.bad, ...vectors.checkpoint_parse.ok]) {
      expect(() => parseCheckpoint(text)).toThrow(MalformedError);
    }
    for (const text of vectors.checkpoint_parse.ok) {
      const full = text.replace(/\n[^\n]+\n$/, `\n${toBase64(checkpoint.root)}\n`);
      expect(formatCheckpoint(parseCheckpoint(full))).toBe(full);
    }
    const hello = {
      origin: 'go.sum database tree',
      size: 1,
      root: leafHash(Buffer.from('hello world')),
      extensions: [],
    };
    expect(formatCheckpoint(hello)).toContain('\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n');
  });

  test('proof files are written and refused as the reference does', () => {
    for (const one of vectors.tlog_proof.marshal) {
      const proof = {
        index: one.index,
        hashes: one.hashes_sha256_of.map(seed),
        ...(one.extra_utf8 ? { extra: Buffer.from(one.extra_utf8) } : {}),
        checkpoint: one.checkpoint,
      };
      expect(formatTlogProof(proof)).toBe(one.want);
      expect(formatTlogProof(parseTlogProof(one.want))).toBe(one.want);
    }
    for (const text of vectors.tlog_proof.reject) {
      expect(() => parseTlogProof(text)).toThrow(MalformedError);
    }
  });
});

function seed(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest());
}
