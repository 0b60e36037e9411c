import { expect, it } from '@jest/globals';
import { z } from 'zod';
import { parse, positive } from '../../src/parties/parse.js';
import { Problem } from '../../src/units/problem.js';

/** What somebody sent wrongly is answered in words, not in those of the library. */

const ORDER = z.strictObject({
  name: z.string().min(2),
  side: z.enum(['bid', 'ask']),
  energyWh: positive,
  limit: z.coerce.number().int().min(1).max(1000),
  tags: z.array(z.string()).max(1),
});
const GOOD = { name: 'north', side: 'bid', energyWh: 5, limit: 5, tags: [] };

it.each([
  [
    'no body',
    undefined,
    'nothing was sent: send JSON with the header content-type: application/json',
  ],
  ['a list', [], 'must be an object'],
  ['an absent field', { ...GOOD, name: undefined }, 'name: is missing'],
  ['a number for a text', { ...GOOD, name: 5 }, 'name: must be a text'],
  ['too short a text', { ...GOOD, name: 'n' }, 'name: must have at least 2 characters'],
  ['an unknown word', { ...GOOD, side: 'buy' }, 'side: must be bid or ask'],
  ['a fraction', { ...GOOD, energyWh: 1.5 }, 'energyWh: must be a whole number'],
  ['no number', { ...GOOD, limit: 'many' }, 'limit: must be a number'],
  ['too small', { ...GOOD, limit: '0' }, 'limit: must be at least 1'],
  ['too large', { ...GOOD, limit: 5000 }, 'limit: must be at most 1000'],
  ['too many', { ...GOOD, tags: ['a', 'b'] }, 'tags: must have at most 1 entries'],
  ['an unknown field', { ...GOOD, prize: 1 }, 'there is no field prize'],
])('%s', (_, sent, words) => {
  expect(() => parse(ORDER, sent)).toThrow(
    new Problem(400, 'invalid_request', `${words}. Correct and send again.`),
  );
});

it('says each field that does not fit, and takes what does', () => {
  expect(() => parse(ORDER, { ...GOOD, name: 1, side: 2 })).toThrow(
    'name: must be a text; side: must be bid or ask. Correct and send again.',
  );
  expect(parse(ORDER, GOOD)).toEqual(GOOD);
});
