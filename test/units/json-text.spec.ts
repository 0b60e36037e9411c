import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { jsonLineOf, jsonSyntaxError } from '../../src/units/json-text.js';

describe('the line of a syntax error', () => {
  const table: [string, number, string][] = [
    ['', 1, 'a value'],
    ['{"a": 1,\n}', 2, 'member name'],
    ['{\n"a" 1}', 2, "':'"],
    ['[1\n2]', 2, "',' or ']'"],
    ['{"a": 1\n\n', 3, "',' or '}'"],
    ['{"a": 01}', 1, "',' or '}'"],
    ['[1] x', 1, 'the end'],
    ['"a\nb"', 1, 'a value'],
    ['[.5]', 1, 'a value'],
    [`${'['.repeat(300)}`, 1, 'levels'],
  ];
  test.each(table)('%j: line %i, %s', (text, line, message) => {
    expect(jsonSyntaxError(text)).toMatchObject({ line });
    expect(jsonSyntaxError(text)!.message).toContain(message);
  });

  test('is found exactly in what JSON.parse refuses', () => {
    const isJson = (text: string): boolean => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const broken = fc
      .tuple(
        fc.json({ maxDepth: 3 }),
        fc.nat(),
        fc.nat({ max: 2 }),
        fc.constantFrom(...'{}[],:"0 \\.e-'),
      )
      .map(([text, at, cut, sign]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + sign + text.slice(place + cut);
      });
    fc.assert(
      fc.property(fc.oneof(fc.json(), broken), (text) => {
        expect(jsonSyntaxError(text) === null).toBe(isJson(text));
      }),
      { numRuns: 2000 },
    );
  });
});

test('the line of a member, or of what would hold it', () => {
  const text = '{\n "bids": [\n  {"id": "a"},\n  {"id": "b",\n   "price": 1}\n ],\n "bids2": {}\n}';
  expect(jsonLineOf(text, [])).toBe(1);
  expect(jsonLineOf(text, ['bids'])).toBe(2);
  expect(jsonLineOf(text, ['bids', 0, 'id'])).toBe(3);
  expect(jsonLineOf(text, ['bids', 1, 'price'])).toBe(5);
  expect(jsonLineOf(text, ['bids', 1, 'trader'])).toBe(4);
  expect(jsonLineOf(text, ['asks', 0])).toBe(1);
});
