import { expect, it } from '@jest/globals';
import { csvOf } from '../../src/units/csv.js';

it('numbers stay numbers, and text stays in its cell', () => {
  const rows = [{ slot: '2026-06-01T00:00:00Z', netMicro: -120, neighbors: 'Ash, "the" tree\nB' }];
  expect(csvOf(rows)).toBe(
    'slot,netMicro,neighbors\n2026-06-01T00:00:00Z,-120,"Ash, ""the"" tree\nB"\n',
  );
});

it.each([
  '=HYPERLINK("https://evil.example","Bill")',
  '+1+1',
  '-2+3',
  '@SUM(A1)',
  '\t=1',
  '\uFF1D1+1',
])('%j is no formula', (alias) => {
  const cell = csvOf([{ alias }]).slice('alias\n'.length);
  expect(cell.replace(/^"/, '')).toMatch(/^'/);
  expect(cell.replaceAll('"', '')).toContain(alias.replaceAll('"', ''));
});
