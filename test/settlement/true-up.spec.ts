import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isOutOfCirculation } from '../../src/ledger/accounts.js';
import type { MeterSlot } from '../../src/metering/measurement.js';
import type { MeterRole } from '../../src/parties/microgrid.js';
import { sumWh, type Lot } from '../../src/settlement/claims.js';
import { RECEIPT_FORMAT } from '../../src/ledger/receipt.js';
import { closeSlot, type SlotHousehold } from '../../src/settlement/close-slot.js';
import { whatHappened } from '../../src/settlement/receipt-facts.js';
import { checkSums } from '../../src/settlement/receipt-sums.js';
import { gapKey, trueUps, type TrueUpFacts } from '../../src/settlement/true-up.js';
import type { JsonObject } from '../../src/units/canonical-json.js';
import { rules } from '../market/rules.js';

/** What is booked where a register goes on elsewhere than the slot that stands ended. */

const BORDER = '2026-06-08T10:00:00Z';
const NOW = '2026-06-09T10:00:00Z';
/** Retail 0.30, feed-in 0.05. */
const TARIFF = { retailMicroPerKwh: 300_000, feedInMicroPerKwh: 50_000, gridFeeMicroPerKwh: 0 };

/** What flowed beyond what was settled, in Wh, by the letters of the design: negative was too much. */
type Gap = { I?: number; E?: number; G?: number; C?: number; D?: number };

const REGISTERS: Record<keyof Gap, [role: MeterRole, register: 'import' | 'export']> = {
  I: ['grid', 'import'],
  E: ['grid', 'export'],
  G: ['generation', 'export'],
  C: ['storage', 'import'],
  D: ['storage', 'export'],
};

interface Scenario {
  gap: Gap;
  /** What was booked at the border before. */
  booked?: Gap;
  lots?: Lot[];
  usableWh?: number;
}

/** Every register had been settled up to 10,000 Wh. */
const SETTLED_WH = 10_000;

function book({ gap, booked = {}, lots = [], usableWh = 0 }: Scenario) {
  const letters = Object.keys(gap) as (keyof Gap)[];
  const key = (letter: keyof Gap) => {
    const [role, register] = REGISTERS[letter];
    return gapKey({ meter: `a-${role}`, register });
  };
  const registers = letters.map((letter): MeterSlot => {
    const [role, register] = REGISTERS[letter];
    const valueWh = SETTLED_WH + (gap[letter] ?? 0);
    const start = { valueWh, quality: 'interpolated' as const, readingHashes: [] };
    return { meterId: `a-${role}`, householdId: 'a', role, register, start, end: start };
  });
  const { drafts, batteries } = trueUps({
    slot: closeSlot({ terms: TERMS, households: [household(usableWh, lots)], trades: [] }),
    revision: 1,
    at: NOW,
    tariff: TARIFF,
    registers: new Map([['a', registers]]),
    ends: new Map(letters.map((letter) => [key(letter), SETTLED_WH])),
    booked: new Map(letters.map((letter) => [key(letter), booked[letter] ?? 0])),
    lotsNow: new Map([['a', lots]]),
  });
  expect(drafts.length).toBeLessThanOrEqual(1);
  return { draft: drafts[0], lots: batteries[0]?.lots ?? [] };
}

const TERMS = {
  microgridId: 'street',
  slot: BORDER,
  slotEnd: '2026-06-08T10:15:00Z',
  currency: 'EUR',
  mechanism: 'metered' as const,
  rules: rules(),
  sharing: null,
  tariff: TARIFF,
};

function household(usableWh: number, lots: readonly Lot[]): SlotHousehold {
  const none = { importWh: 0, exportWh: 0, generatedWh: 0, chargedWh: 0, dischargedWh: 0 };
  return {
    householdId: 'a',
    feeder: null,
    share: { parts: 1, rank: 0 },
    energy: { ...none, consumptionWh: 0, unexplainedWh: 0, quality: 'measured' },
    limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
    availableMicro: 0,
    usableWh,
    lots,
  };
}

const lot = (energyWh: number, source: Lot['source'] = 'own'): Lot => ({
  chargedIn: '2026-06-08T08:00:00Z',
  source,
  energyWh,
});

/** Transfers as `debit > credit amount code`, of the household's accounts and the system's. */
function told(scenario: Scenario): string[] {
  const short = (account: string) => account.replace('household/a/', '').replace('system/', '');
  return (book(scenario).draft?.transfers ?? []).map(
    ({ debit, credit, amount, code }) => `${short(debit)} > ${short(credit)} ${amount} ${code}`,
  );
}

describe('a household', () => {
  const table: [what: string, scenario: Scenario, transfers: string[]][] = [
    ['that took what was settled', { gap: { I: 0, E: 0 } }, []],
    [
      'that took more than was estimated pays the difference, half to even',
      { gap: { I: 1_005, E: 0 } },
      [
        'consumption > consumption-retired 1005 consume-grid',
        'consumption-issued > consumption 1005 mint-consumption',
        'bill > utility 301500 true-up-import',
      ],
    ],
    [
      'that took less gets it back, by opposite transfers',
      { gap: { I: -700 } },
      [
        'consumption-retired > consumption 700 consume-grid',
        'consumption > consumption-issued 700 mint-consumption',
        'utility > bill 210000 true-up-import',
      ],
    ],
    [
      'that gave more is paid for it: what a meter of the grid alone saw leave was generated',
      { gap: { I: 0, E: 400 } },
      [
        'production > production-grid 400 to-grid',
        'production-issued > production 400 mint-direct',
        'utility > bill 20000 true-up-export',
      ],
    ],
    [
      'that took less and gave more: two lines, of two prices',
      { gap: { I: -100, E: 300 } },
      [
        'consumption-retired > consumption 100 consume-grid',
        'consumption > consumption-issued 100 mint-consumption',
        'production > production-grid 300 to-grid',
        'production-issued > production 300 mint-direct',
        'utility > bill 30000 true-up-import',
        'utility > bill 15000 true-up-export',
      ],
    ],
    [
      'that gave back part of what was booked before at the same border',
      { gap: { I: 900 }, booked: { I: 1_000 } },
      [
        'consumption-retired > consumption 100 consume-grid',
        'consumption > consumption-issued 100 mint-consumption',
        'utility > bill 30000 true-up-import',
      ],
    ],
    ['of which all was booked before', { gap: { I: 900 }, booked: { I: 900 } }, []],
    [
      'that generated more, and used it',
      { gap: { I: 0, E: 0, G: 250 } },
      [
        'consumption > consumption-retired 250 consume-own',
        'consumption-issued > consumption 250 mint-consumption',
        'production > production-retired 250 self-claim',
        'production-issued > production 250 mint-direct',
      ],
    ],
    [
      'whose battery gave more: oldest lots first, and beyond them unproven',
      { gap: { I: 0, C: 0, D: 500 }, lots: [lot(300), lot(0, 'grid')], usableWh: 2_000 },
      [
        'consumption > consumption-retired 500 consume-own',
        'consumption-issued > consumption 500 mint-consumption',
        'production > production-retired 500 self-claim',
        'production-issued > production 300 mint-storage-own',
        'production-issued > production 200 mint-unproven',
        'storage > storage-retired 300 discharge',
      ],
    ],
    [
      'whose battery was not charged: what has been discharged of it since is unproven',
      { gap: { I: -500, C: -500, D: 0 }, lots: [lot(200)], usableWh: 2_000 },
      [
        'storage > storage-issued 500 mint-storage',
        'storage-retired > storage 300 discharge-unproven',
        'utility > bill 150000 true-up-import',
      ],
    ],
  ];
  test.each(table)('%s', (_, scenario, transfers) => {
    expect(told(scenario).sort()).toEqual([...transfers].sort());
  });
});

describe('what a battery holds', () => {
  const before = '2026-06-08T09:45:00Z';
  const table: [what: string, scenario: Scenario, lots: Lot[]][] = [
    [
      'after a charge from the grid that was left out',
      { gap: { I: 600, C: 600, D: 0 }, lots: [lot(300)], usableWh: 2_000 },
      [lot(300), { chargedIn: before, source: 'grid', energyWh: 600 }],
    ],
    [
      'beyond what it can hold is lost, oldest first',
      { gap: { I: 600, C: 600, D: 0 }, lots: [lot(300)], usableWh: 700 },
      [lot(100), { chargedIn: before, source: 'grid', energyWh: 600 }],
    ],
    [
      'after a discharge that was none: energy that nobody can call clean',
      { gap: { I: 0, C: 0, D: -400 }, lots: [lot(300)], usableWh: 2_000 },
      [lot(300), { chargedIn: before, source: 'grid', energyWh: 400 }],
    ],
    [
      'of the slot that stands and of one source is one lot',
      {
        gap: { I: 50, C: 50, D: 0 },
        lots: [{ chargedIn: before, source: 'grid', energyWh: 70 }],
        usableWh: 2_000,
      },
      [{ chargedIn: before, source: 'grid', energyWh: 120 }],
    ],
  ];
  test.each(table)('%s', (_, scenario, lots) => {
    expect(book(scenario).lots).toEqual(lots);
  });
});

test('its receipt adds up, and no figure of it can be another', () => {
  const { draft } = book({
    gap: { I: 700, E: -300, G: 250, C: 100, D: -50 },
    booked: { I: 20 },
    usableWh: 2_000,
  });
  const judged = (facts: JsonObject) => {
    const values = new Map(Object.entries(facts).map(([name, fact]) => [`facts.${name}`, fact]));
    const shown = [{ sequence: 7, kind: 'true-up', values }];
    const what = whatHappened(shown, 'a');
    return checkSums(
      { format: RECEIPT_FORMAT, microgrid: 'm', household: 'a', what, records: [] },
      shown,
    );
  };
  expect(judged(draft!.facts)).toMatchObject({
    good: true,
    says: expect.stringContaining('true-up'),
  });
  const { registers, energy, money } = draft!.facts as TrueUpFacts;
  const changed = [
    ...Object.entries(energy).map(([name, wh]) => ({ energy: { ...energy, [name]: wh + 1 } })),
    ...Object.entries(money).flatMap(([name, micro]) =>
      typeof micro === 'number' ? [{ money: { ...money, [name]: micro + 1 } }] : [],
    ),
    ...registers.map((gap, at) => ({
      registers: registers.with(at, { ...gap, energyWh: gap.energyWh + 1 }),
    })),
    { tariff: { ...TARIFF, retailMicroPerKwh: 300_001 } },
  ];
  expect(changed.length).toBeGreaterThan(10);
  for (const facts of changed) {
    expect(judged({ ...draft!.facts, ...facts }).good).toBe(false);
  }
});

test('whatever is booked, tokens come and go alike, storage is its lots, and money is energy at its price', () => {
  const wh = fc.integer({ min: -3_000, max: 3_000 });
  const gap = fc.oneof(
    fc.record({ I: wh, E: wh }),
    fc.record({ I: wh, E: wh, G: wh }),
    fc.record({ I: wh, E: wh, C: wh, D: wh }),
    fc.record({ I: wh, E: wh, G: wh, C: wh, D: wh }),
  );
  const lots = fc
    .tuple(fc.nat(2_000), fc.nat(2_000))
    .map(([own, grid]) => [lot(own), lot(grid, 'grid')].filter(({ energyWh }) => energyWh > 0));
  fc.assert(
    fc.property(
      gap,
      lots,
      fc.integer({ min: 4_000, max: 9_000 }),
      (flowed: Gap, held, usableWh) => {
        const { draft, lots: after } = book({ gap: flowed, lots: held, usableWh });
        const all = [flowed.I, flowed.E, flowed.G, flowed.C, flowed.D].map((one) => one ?? 0);
        if (all.every((one) => one === 0)) return expect(draft).toBeUndefined();
        const moved = new Map<string, number>();
        for (const { debit, credit, amount } of draft!.transfers) {
          expect(amount).toBeGreaterThan(0);
          moved.set(debit, (moved.get(debit) ?? 0) - amount);
          moved.set(credit, (moved.get(credit) ?? 0) + amount);
        }
        const of = (purpose: string) => moved.get(`household/a/${purpose}`) ?? 0;
        expect([of('production'), of('consumption'), of('wallet')]).toEqual([0, 0, 0]);
        expect(of('storage')).toBe(sumWh(after) - sumWh(held));
        const { energy, money, registers } = draft!.facts as TrueUpFacts;
        expect(of('bill')).toBe(money.netMicro);
        // 0.30 and 0.05 a kWh are 300 and 50 micro-units a Wh: nothing is left to round.
        expect(money.netMicro).toBe(50 * energy.exportWh - 300 * energy.importWh);
        expect([energy.importWh, energy.exportWh]).toEqual([flowed.I, flowed.E]);
        expect([energy.chargedWh, energy.dischargedWh]).toEqual([flowed.C ?? 0, flowed.D ?? 0]);
        if (flowed.G !== undefined) expect(energy.generatedWh).toBe(flowed.G);
        // P + V + I = U + E, as in a slot.
        expect(
          energy.generatedWh + energy.dischargedWh + energy.unexplainedWh + energy.importWh,
        ).toBe(energy.consumptionWh + energy.chargedWh + energy.exportWh);
        expect(sumWh(registers)).toBe(sumWh(all.map((energyWh) => ({ energyWh }))));
        const out = [...moved].filter(([account]) => isOutOfCirculation(account));
        const issued = [...moved].filter(([account]) => account.endsWith('-issued'));
        const sum = (some: [string, number][]) => some.reduce((total, [, one]) => total + one, 0);
        expect(sum(out) + sum(issued)).toBe(0 - of('storage'));
      },
    ),
  );
});
