import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { commitment, fieldLeaf, fieldSalts, recordFields } from '../../src/ledger/record.js';
import { merkleRoot } from '../../src/transparency/merkle-tree.js';

test('a commitment is the root over the leaves of its fields, whatever they hold', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    // Longer than what is set aside for a leaf, in one, two, three and four bytes a character.
    fc.constantFrom('a', 'é', '€', '☀️', '𝄞').map((letter) => letter.repeat(3_000)),
  );
  const facts = fc.dictionary(text, fc.oneof(text, fc.maxSafeInteger(), fc.array(text)));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), facts, (key, found) => {
      const body = {
        v: 1 as const,
        microgrid: 'street',
        sequence: 7,
        kind: 'trade' as const,
        at: '2026-06-01T10:00:00Z',
        cause: 'a cause',
        households: ['h1', 'h2'],
        opens: [],
        facts: found,
        transfers: [],
      };
      const fields = recordFields(body);
      const names = fields.map(({ name }) => name);
      const salts = fieldSalts(key, body.sequence, names);
      const leaves = fields.map((field, index) => fieldLeaf(salts[index]!, field));
      expect(Buffer.from(commitment(key, body)).toString('hex')).toBe(
        Buffer.from(merkleRoot(leaves)).toString('hex'),
      );
    }),
    { numRuns: 200 },
  );
});
