import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError, toBase64 } from '../../src/transparency/bytes.js';
import { signCheckpoint } from '../../src/transparency/checkpoint.js';
import { cosigner } from '../../src/transparency/cosignature.js';
import { leafHash, merkleRoot } from '../../src/transparency/merkle-tree.js';
import {
  ALGORITHM,
  addSignatures,
  ed25519Signer,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
  verifierKeyOf,
} from '../../src/transparency/signed-note.js';
import type { SignerKey } from '../../src/transparency/signed-note.js';
import {
  formatPolicy,
  meetsQuorum,
  openByPolicy,
  parsePolicy,
} from '../../src/transparency/tlog-policy.js';
import { verifyTlogProofByPolicy } from '../../src/transparency/tlog-proof.js';
import { seeded } from './seeded.js';

const log = key('street.example/log', ALGORITHM.ed25519);
const next = { ...key('next', ALGORITHM.ed25519), name: log.name };
const witnesses = ['w1', 'w2', 'w3', 'w4', 'w5'].map((name) => key(name, ALGORITHM.cosignature));
const [w1, w2, w3, w4, w5] = witnesses.map((one) => vkey(one)) as [
  string,
  string,
  string,
  string,
  string,
];
const LOG = `log ${vkey(log)}\n`;
const THREE = `witness A ${w1}\nwitness B ${w2}\nwitness C ${w3}\n`;

describe('a policy is read', () => {
  test('with comments, tabs, addresses, and groups of groups', () => {
    const policy = parsePolicy(
      `# whom we trust\n\n${LOG}\t log ${vkey(key('other', ALGORITHM.ed25519))} https://log.example/ \n` +
        `${THREE} witness\tY1 ${w4}  https://wit.example/a\nwitness Y2 ${w5}\n` +
        `group X 2 A B C\ngroup Y any Y1 Y2\n  # both\ngroup X-and-Y all X Y\nquorum X-and-Y\n`,
    );
    expect(policy.logs.map(({ key: { name }, url }) => [name, url])).toEqual([
      ['street.example/log', undefined],
      ['other', 'https://log.example/'],
    ]);
    expect(policy.witnesses[3]).toMatchObject({ name: 'Y1', url: 'https://wit.example/a' });
    expect(policy.groups).toEqual([
      { name: 'X', threshold: 2, members: ['A', 'B', 'C'] },
      { name: 'Y', threshold: 1, members: ['Y1', 'Y2'] },
      { name: 'X-and-Y', threshold: 2, members: ['X', 'Y'] },
    ]);
    const met = (...names: string[]) => meetsQuorum(policy, names);
    expect([met('A', 'B', 'Y1'), met('A', 'C', 'Y1', 'Y2')]).toEqual([true, true]);
    expect([met(), met('A', 'B', 'C'), met('A', 'Y1', 'Y2'), met('A', 'A', 'Y1')]).toEqual(
      Array.from({ length: 4 }, () => false),
    );
  });

  test('with a quorum of none, of one witness, and of a group of one', () => {
    expect(meetsQuorum(parsePolicy('quorum none\n'), [])).toBe(true);
    const one = parsePolicy(`${THREE}quorum B\n`);
    expect([meetsQuorum(one, ['A', 'C']), meetsQuorum(one, ['B'])]).toEqual([false, true]);
    expect(meetsQuorum(parsePolicy(`${THREE}group G 1 C\nquorum G\n`), ['C'])).toBe(true);
  });

  test('with names that are octets, whatever they mean', () => {
    const kelvin = parsePolicy(`witness K ${w1}\nwitness \u212a ${w2}\nquorum \u212a\n`);
    expect([meetsQuorum(kelvin, ['K']), kelvin.witnesses[1]!.name]).toEqual([
      false,
      '\u00e2\u0084\u00aa',
    ]);
    const latin = Buffer.from(`witness \u00e9 ${w1}\nquorum \u00e9\n`, 'latin1');
    expect(Buffer.from(formatPolicy(parsePolicy(latin)))).toEqual(latin);
  });

  test('with at least 32 logs, witnesses and groups', () => {
    const many = (kind: string, algorithm: SignerKey['algorithm']) =>
      Array.from({ length: 40 }, (_, i) => vkey(key(`${kind}${i}`, algorithm)));
    const text = [
      ...many('l', ALGORITHM.ed25519).map((one) => `log ${one}`),
      ...many('w', ALGORITHM.cosignature).map((one, i) => `witness w${i} ${one}`),
      ...Array.from({ length: 39 }, (_, i) => `group g${i} all w${i} ${i ? `g${i - 1}` : 'w39'}`),
      'quorum g38\n',
    ].join('\n');
    expect(parsePolicy(text).groups).toHaveLength(39);
  });

  test('with keys of ML-DSA-44, which never count as cosigned', () => {
    const material = toBase64(Uint8Array.of(6, ...new Uint8Array(1312).fill(7)));
    const id = createHash('sha256')
      .update(Buffer.concat([Buffer.from('pq\n'), Buffer.from(material, 'base64')]))
      .digest('hex')
      .slice(0, 8);
    const vkeyText = `pq+${id}+${material}`;
    expect(formatVerifierKey(parseVerifierKey(vkeyText))).toBe(vkeyText);
    const policy = parsePolicy(`${LOG}${THREE}witness P ${vkeyText}\ngroup G any A P\nquorum G\n`);
    const signed = cosigned(witnesses[0]!);
    expect(openByPolicy(signed, policy).outcome).toBe('verified');
    expect(openByPolicy(signed, { ...policy, quorum: 'P' }).outcome).toBe('quorum_not_met');
  });
});

describe('a policy is refused', () => {
  test.each([
    ['no quorum', LOG],
    ['no final newline', `${LOG}quorum none`],
    ['two quorums', 'quorum none\nquorum none\n'],
    ['a quorum not defined', `${THREE}quorum D\n`],
    ['a quorum defined later', `quorum A\n${THREE}`],
    ['a quorum of two', `${THREE}quorum A B\n`],
    ['no name of the quorum', 'quorum\n'],
    ['a member defined later', `group G all A\n${THREE}quorum G\n`],
    ['a group in itself', `${THREE}group G all A G\nquorum G\n`],
    ['none as a member', `${THREE}group G all A none\nquorum G\n`],
    ['a witness of the name none', `witness none ${w1}\nquorum none\n`],
    ['a group of the name none', `${THREE}group none all A\nquorum none\n`],
    ['no members', `${THREE}group G all\nquorum G\n`],
    ['a member twice in a group', `${THREE}group G 1 A A\nquorum G\n`],
    ['a member of two groups', `${THREE}group G all A B\ngroup H all B C\nquorum G\n`],
    ['a threshold of 0', `${THREE}group G 0 A\nquorum G\n`],
    ['a threshold above the members', `${THREE}group G 3 A B\nquorum G\n`],
    ['a threshold with a leading zero', `${THREE}group G 01 A B\nquorum G\n`],
    ['a threshold with a sign', `${THREE}group G +1 A B\nquorum G\n`],
    ['a threshold in words', `${THREE}group G most A B\nquorum G\n`],
    ['ALL in capitals', `${THREE}group G ALL A B\nquorum G\n`],
    ['a name twice', `witness A ${w1}\nwitness A ${w2}\nquorum none\n`],
    ['a group named like a witness', `${THREE}group A all B C\nquorum A\n`],
    ['a key of two witnesses', `witness A ${w1}\nwitness B ${w1}\nquorum none\n`],
    [
      'a key of two witnesses under two names',
      `witness A ${w1}\nwitness B ${vkey({ ...witnesses[0]!, name: 'other' })}\nquorum none\n`,
    ],
    ['a key of two logs', `${LOG}${LOG}quorum none\n`],
    ['the key of a log for a witness', `witness A ${vkey(log)}\nquorum none\n`],
    ['the key of a witness for a log', `log ${w1}\nquorum none\n`],
    ['a witness without a key', 'witness A\nquorum none\n'],
    ['something behind the address', `witness A ${w1} https://a.example more\nquorum none\n`],
    ['something behind the address of a log', `log ${vkey(log)} u more\nquorum none\n`],
    ['another keyword', 'mirror A\nquorum none\n'],
    ['a keyword in capitals', 'Quorum none\n'],
    ['a carriage return', 'quorum none\r\n'],
    ['a NUL', 'quorum none\n\u0000\n'],
    ['a DEL in a comment', '# \u007f\nquorum none\n'],
    ['a no-break space as whitespace', 'quorum\u00a0none\n'],
    [
      'a key with a wrong id',
      `witness A ${w1.replace(/\+[0-9a-f]{8}\+/, '+00000000+')}\nquorum A\n`,
    ],
  ])('%s', (_, text) => {
    expect(() => parsePolicy(text)).toThrow(MalformedError);
  });

  test('with the line that is wrong', () => {
    expect(() => parsePolicy(`${LOG}${THREE}\nquorum D\n`)).toThrow(
      'line 6 of the policy: a quorum not defined before',
    );
  });
});

describe('a checkpoint by a policy', () => {
  const policy = parsePolicy(`${LOG}${THREE}group G 2 A B C\nquorum G\n`);

  test('is good with a quorum, and with more', () => {
    expect(openByPolicy(cosigned(witnesses[0]!, witnesses[2]!), policy)).toMatchObject({
      outcome: 'verified',
      checkpoint: { size: 3 },
      cosigned: [{ name: 'w1' }, { name: 'w3' }],
    });
    expect(openByPolicy(cosigned(...witnesses), policy).outcome).toBe('verified');
  });

  test('is not with fewer, with witnesses not in it, or with one witness twice', () => {
    for (const by of [[], [witnesses[0]!], [witnesses[0]!, witnesses[3]!, witnesses[4]!]]) {
      expect(openByPolicy(cosigned(...by), policy).outcome).toBe('quorum_not_met');
    }
    const note = parseNote(cosigned(witnesses[0]!));
    const again = parseNote(cosigned(witnesses[0]!, witnesses[0]!)).signatures.at(-1)!;
    const doubled = { ...note, signatures: [...note.signatures, again] };
    expect(openByPolicy(formatted(doubled), policy).outcome).toBe('quorum_not_met');
  });

  test('is spoiled by one bad signature of a key that it names', () => {
    const other = { ...witnesses[0]!, seed: seed('w1?') };
    const keyId = parseNote(cosigned(witnesses[0]!)).signatures[1]!.keyId;
    const note = parseNote(cosigned(witnesses[1]!, witnesses[2]!, other));
    const signatures = note.signatures.map((one) => (one.name === 'w1' ? { ...one, keyId } : one));
    expect(openByPolicy(formatted({ ...note, signatures }), policy).outcome).toBe('bad_signature');
  });

  test('may be signed by either key of a log that changes its key', () => {
    const both = parsePolicy(`${LOG}log ${vkey(next)}\nquorum none\n`);
    for (const signers of [[log], [next], [log, next]]) {
      expect(openByPolicy(signedBy(signers), both).outcome).toBe('verified');
    }
    const stranger = { ...key('x', ALGORITHM.ed25519), name: log.name };
    expect(openByPolicy(signedBy([stranger]), both).outcome).toBe('not_signed_by_log');
    const elsewhere = parsePolicy(`log ${vkey(key('else', ALGORITHM.ed25519))}\nquorum none\n`);
    expect(openByPolicy(signedBy([log]), elsewhere).outcome).toBe('other_origin');
  });

  test('proves an entry offline', () => {
    const proof = (checkpoint: string) => ({
      index: 2,
      hashes: [merkleRoot(ENTRIES.slice(0, 2))],
      checkpoint,
    });
    const leaf = leafHash(ENTRIES[2]!);
    const verdict = (checkpoint: string, hash: Uint8Array) =>
      verifyTlogProofByPolicy(proof(checkpoint), hash, policy).outcome;
    expect(verdict(cosigned(witnesses[0]!, witnesses[1]!), leaf)).toBe('verified');
    expect(verdict(cosigned(witnesses[0]!), leaf)).toBe('quorum_not_met');
    expect(verdict(cosigned(...witnesses), leafHash(ENTRIES[1]!))).toBe('not_included');
  });
});

describe('any text read as a policy', () => {
  const good = `${LOG}${THREE}witness D ${w4} https://d.example\ngroup G 2 A B\ngroup H any G C\nquorum H\n`;

  test('is refused by name, or comes back as it was', () => {
    const piece = fc.oneof(
      fc.constantFrom(' ', '\t', '\n', '#', '+', 'A', 'G', 'all', 'any', '2', 'none', 'quorum '),
      fc.string({ maxLength: 4, unit: 'binary' }),
      ...good.split('\n').map((line) => fc.constant(`${line}\n`)),
    );
    const mutated = fc
      .tuple(fc.nat(good.length), fc.nat(5), piece)
      .map(([at, cut, added]) => good.slice(0, at) + added + good.slice(at + cut));
    seeded(
      fc.property(
        fc.oneof(
          mutated,
          fc.array(piece).map((all) => all.join('')),
        ),
        (text) => {
          let policy;
          try {
            policy = parsePolicy(text);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
            return;
          }
          const again = formatPolicy(policy);
          expect(parsePolicy(again)).toEqual(policy);
          expect(formatPolicy(parsePolicy(again))).toEqual(again);
        },
      ),
      2_000,
    );
  });

  test('of random groups has the quorum that counting members says', () => {
    const names = ['A', 'B', 'C', 'D', 'E'];
    const head = names.map((name, i) => `witness ${name} ${vkey(witnesses[i]!)}\n`).join('');
    seeded(
      fc.property(fc.nat(5), fc.nat(5), fc.nat(31), fc.boolean(), (cut, least, mask, whole) => {
        const [left, right] = [names.slice(0, cut), names.slice(cut)];
        if (left.length === 0 || right.length === 0) return;
        const k = 1 + (least % left.length);
        const top = whole ? 'all' : 'any';
        const policy = parsePolicy(
          `${head}group L ${k} ${left.join(' ')}\ngroup R any ${right.join(' ')}\ngroup T ${top} L R\nquorum T\n`,
        );
        const by = names.filter((_, i) => (mask >> i) % 2 === 1);
        const l = by.filter((name) => left.includes(name)).length >= k;
        const r = by.some((name) => right.includes(name));
        expect(meetsQuorum(policy, by)).toBe(whole ? l && r : l || r);
      }),
      500,
    );
  });
});

const ENTRIES = ['a', 'b', 'c'].map((text) => Buffer.from(text));

function signedBy(signers: readonly SignerKey[]): string {
  const root = merkleRoot(ENTRIES);
  const checkpoint = { origin: log.name, size: 3, root, extensions: [] };
  return signCheckpoint(checkpoint, signers.map(ed25519Signer));
}

function cosigned(...by: SignerKey[]): string {
  const signers = by.map((one, i) => cosigner(one, 1_700_000_000 + i));
  return addSignatures(parseNote(signedBy([log])), signers);
}

function formatted(note: ReturnType<typeof parseNote>): string {
  return addSignatures(note, []);
}

function key(name: string, algorithm: SignerKey['algorithm']): SignerKey {
  return { name, algorithm, seed: seed(name) };
}

function vkey(signer: SignerKey): string {
  return formatVerifierKey(verifierKeyOf(signer));
}

function seed(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest());
}
