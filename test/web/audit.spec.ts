import { describe, expect, test } from '@jest/globals';
import { addsUp, manifestOf } from '../../web/src/audit.js';

describe('a manifest', () => {
  const leaf = (name: string, value: unknown) => ({ name, value, salt: 'AA' });
  const supply = { before: 5, minted: 3, retired: 1, after: 7 };

  test('tells the supply of every asset that it opens, by name', () => {
    const leaves = [
      leaf('at', '2026-06-02T00:00:00Z'),
      { leafHash: 'AA' },
      leaf('facts.supply.STORAGE', supply),
      leaf('facts.supply.EUR', { ...supply, after: 8 }),
      leaf('facts.readings', 12),
      leaf('sequence', 41),
    ];
    const { supplies, ...manifest } = manifestOf({ leaves });
    expect(manifest).toEqual({ sequence: 41, at: '2026-06-02T00:00:00Z' });
    expect(supplies).toEqual([
      { asset: 'EUR', ...supply, after: 8 },
      { asset: 'STORAGE', ...supply },
    ]);
    expect(supplies.map(addsUp)).toEqual([false, true]);
  });
});
