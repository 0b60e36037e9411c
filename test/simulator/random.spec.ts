import { describe, expect, test } from '@jest/globals';
import { randomFrom, randomFromState, shuffled } from '../../simulator/random.js';

describe('seeded randomness', () => {
  // The words that the reference implementation in C gives, as in the tests of Rust's rand_xoshiro.
  test('is xoshiro128** 1.1: the first words from the state 1, 2, 3, 4', () => {
    const random = randomFromState([1, 2, 3, 4]);
    expect(Array.from({ length: 10 }, () => random.next())).toEqual([
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597,
      4258142804,
    ]);
  });

  test('the same name gives the same stream, another name another', () => {
    const draw = (name: string) => {
      const random = randomFrom(name);
      return Array.from({ length: 20 }, () => random.between(0, 1_000_000));
    };
    expect(draw('1/house-01')).toEqual(draw('1/house-01'));
    expect(draw('1/house-01')).not.toEqual(draw('1/house-02'));
  });

  test('between reaches both ends and nothing beyond', () => {
    const random = randomFrom('dice');
    const seen = new Set(Array.from({ length: 500 }, () => random.between(1, 6)));
    expect([...seen].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('shuffling keeps every item and leaves the argument alone', () => {
    const items = Array.from({ length: 50 }, (_, index) => index);
    const result = shuffled(items, randomFrom('cards'));
    expect(result).not.toEqual(items);
    expect([...result].sort((a, b) => a - b)).toEqual(items);
    expect(items[0]).toBe(0);
  });
});
