import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { measure, measureAll } from '../../src/metering/measurement.js';
import type { Border, MeterSlot } from '../../src/metering/measurement.js';
import type { MeterRole } from '../../src/parties/microgrid.js';

type Quality = Border['quality'];

/** One register over a slot: 1,000 Wh at its start and so much more at its end. */
function register(
  role: MeterRole,
  name: 'import' | 'export',
  energyWh: number | null,
  quality: Quality = 'measured',
  meterId = `${role}-1`,
): MeterSlot {
  const border = (valueWh: number, of: Quality): Border => ({
    valueWh,
    quality: of,
    readingHashes: [],
  });
  return {
    meterId,
    householdId: 'h1',
    role,
    register: name,
    start: energyWh === null ? null : border(1_000, 'measured'),
    end: energyWh === null ? null : border(1_000 + energyWh, quality),
  };
}

interface Flows {
  I?: number;
  E?: number;
  G?: number;
  C?: number;
  D?: number;
}

function household({ I = 0, E = 0, G, C, D }: Flows): MeterSlot[] {
  const slots = [register('grid', 'import', I), register('grid', 'export', E)];
  if (G !== undefined) slots.push(register('generation', 'export', G));
  if (C !== undefined || D !== undefined) {
    slots.push(register('storage', 'import', C ?? 0), register('storage', 'export', D ?? 0));
  }
  return slots;
}

it.each([
  ['a consumer', { I: 300 }, { G: 0, L: 300, V: 0 }],
  ['a producer with its own meter', { E: 900, G: 1000 }, { G: 1000, L: 100, V: 0 }],
  ['import and export in one slot', { I: 200, E: 300, G: 500 }, { G: 500, L: 400, V: 0 }],
  ['export without a generation meter', { I: 50, E: 300 }, { G: 300, L: 50, V: 0 }],
  ['a battery sold at night', { E: 400, D: 500 }, { G: 0, L: 100, V: 0 }],
  ['a battery charged from the grid', { I: 800, C: 500 }, { G: 0, L: 300, V: 0 }],
  ['a battery charged by an unmetered roof', { I: 100, C: 500 }, { G: 400, L: 0, V: 0 }],
  ['charged by the roof and sold', { E: 200, C: 500 }, { G: 700, L: 0, V: 0 }],
  ['meters out of step', { E: 520, G: 500 }, { G: 500, L: 0, V: 20 }],
] as const)('%s', (_, flows, { G, L, V }) => {
  expect(measure('h1', household(flows), 10)).toMatchObject({
    generatedWh: G,
    consumptionWh: L,
    unexplainedWh: V,
    quality: 'measured',
    flags: V > 10 ? ['unexplained'] : [],
  });
});

it('balances for any flows: P + V + I = U + E', () => {
  const wh = fc.nat(10_000);
  const option = fc.option(wh, { nil: undefined });
  fc.assert(
    fc.property(wh, wh, option, option, option, (I, E, G, C, D) => {
      const flows = Object.fromEntries(
        Object.entries({ I, E, G, C, D }).filter(([, value]) => value !== undefined),
      );
      const m = measure('h1', household(flows), 0);
      expect(m.productionWh + m.unexplainedWh + m.importWh).toBe(m.usesWh + m.exportWh);
      expect(Object.values(m).every((value) => typeof value !== 'number' || value >= 0)).toBe(true);
      if (G === undefined) expect(m.unexplainedWh === 0 || (D ?? 0) > 0).toBe(true);
    }),
  );
});

it('sums several meters of a role', () => {
  const slots = [
    register('grid', 'import', 10, 'measured', 'a'),
    register('grid', 'import', 20, 'measured', 'b'),
  ];
  expect(measure('h1', slots, 0)).toMatchObject({ importWh: 30, consumptionWh: 30 });
});

it.each([
  ['the worst border counts', [register('grid', 'import', 5, 'interpolated')], 'interpolated'],
  [
    'over all meters',
    [
      register('grid', 'import', 5, 'interpolated'),
      register('generation', 'export', 5, 'estimated'),
    ],
    'estimated',
  ],
  [
    'a register never sent is no fault',
    [register('grid', 'import', 5), register('grid', 'export', null)],
    'measured',
  ],
  [
    'a silent meter is',
    [register('grid', 'import', 5), register('generation', 'export', null)],
    'missing',
  ],
  ['a first reading has no energy', [{ ...register('grid', 'import', 5), start: null }], 'missing'],
  ['no meter at all', [], 'missing'],
])('quality: %s', (_, slots, quality) => {
  const measurement = measure('h1', slots, 0);
  expect(measurement.quality).toBe(quality);
  expect(measurement.flags.includes('meter-missing')).toBe(quality === 'missing');
});

it('stops at a register that falls', () => {
  expect(() => measure('h1', [register('grid', 'import', -1)], 0)).toThrow('falls');
});

it('measures households in their order, with or without meters', () => {
  const all = measureAll(['h0', 'h1'], household({ I: 5 }), 0);
  expect(all.map(({ householdId, importWh }) => [householdId, importWh])).toEqual([
    ['h0', 0],
    ['h1', 5],
  ]);
});
