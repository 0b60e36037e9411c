import { afterEach, describe, expect, test } from '@jest/globals';
import { closeThrough, householdId, MICROGRID, openStreet, settle, type Street } from './street.js';

const MAY = { microgrid: MICROGRID, from: '2026-05', to: '2026-05', by: 'regina' };
const SLOTS = ['2026-05-01T00:00:00Z', '2026-05-20T12:00:00Z', '2026-05-31T23:45:00Z'];

let street: Street;
afterEach(() => street.drop());

describe('a street of 20 households in May', () => {
  test('is answered in sums and basis points, and logged for every household', async () => {
    street = await openStreet(20, '2026-06-01T00:10:00Z');
    await useAlike(20);
    // June begins with the slot that starts at midnight: not of May.
    await settle(street, [{ slot: '2026-06-01T00:00:00Z', household: 'h01', usedWh: 1_000_000 }]);
    await closeThrough(street, '2026-06-01T00:00:00Z');
    expect(await street.efficiency.efficiency(MAY)).toEqual({
      outcome: 'answered',
      months: [
        {
          month: '2026-05',
          from: '2026-05-01T00:00:00Z',
          to: '2026-06-01T00:00:00Z',
          households: 20,
          producedWh: 60 * 500,
          usedWh: 60 * 1_000,
          selfWh: 60 * 400,
          fromNeighborsWh: 60 * 100,
          withheld: [],
          quality: {
            producedWh: measured(60 * 500),
            usedWh: measured(60 * 1_000),
            selfWh: measured(60 * 400),
            fromNeighborsWh: measured(60 * 100),
          },
          selfConsumptionBasisPoints: 8_000,
          selfSufficiencyBasisPoints: 5_000,
          neighborShareBasisPoints: 1_000,
        },
      ],
    });
    const [entry] = await log('h07');
    expect(entry).toMatchObject({
      by: 'regina',
      question: { what: 'efficiency', from: '2026-05', to: '2026-05' },
      outcome: 'answered',
      concerned: true,
    });
  });

  test('is answered again with the same, and not with one household changed', async () => {
    street = await openStreet(20, '2026-06-01T00:10:00Z');
    await useAlike(20);
    await closeThrough(street, '2026-06-01T00:00:00Z');
    const first = await street.efficiency.efficiency(MAY);
    expect(await street.efficiency.efficiency(MAY)).toEqual(first);
    // A correction of one household's slot: the difference would be its own.
    await settle(street, [
      { slot: SLOTS[1]!, household: 'h03', usedWh: 900, selfWh: 400, revision: 1 },
    ]);
    expect(await street.efficiency.efficiency(MAY)).toEqual({
      outcome: 'too_close_to_earlier_answer',
      month: '2026-05',
    });
    expect((await log('h03')).map(({ outcome }) => outcome)).toEqual([
      'too_close_to_earlier_answer',
      'answered',
      'answered',
    ]);
  });

  test('two queries at once see each other', async () => {
    street = await openStreet(20, '2026-06-01T00:10:00Z');
    await useAlike(20);
    await closeThrough(street, '2026-06-01T00:00:00Z');
    const answers = await Promise.all([1, 2, 3].map(() => street.efficiency.efficiency(MAY)));
    expect(answers.map(({ outcome }) => outcome)).toEqual(['answered', 'answered', 'answered']);
    const kept = await street.database.query('SELECT FROM regulator_answer');
    expect(kept).toHaveLength(1);
  });
});

test.each([
  ['fourteen households', 14, '2026-06-01T00:00:00Z', {}, 'too_few_households'],
  ['a month not closed to its end', 20, '2026-05-31T23:45:00Z', {}, 'month_not_closed'],
  ['a month to come', 20, '2026-06-01T00:00:00Z', { to: '2026-06' }, 'month_not_closed'],
  ['months in the wrong order', 20, '2026-06-01T00:00:00Z', { from: '2026-06' }, 'no_such_months'],
  ['thirteen months', 20, '2026-06-01T00:00:00Z', { from: '2025-05' }, 'no_such_months'],
  ['a month without energy', 20, '2026-06-01T00:00:00Z', { from: '2026-04' }, 'too_few_households'],
])('%s: refused, and logged', async (_name, households, closed, question, outcome) => {
  street = await openStreet(households, '2026-06-01T00:10:00Z');
  await useAlike(households);
  await closeThrough(street, closed);
  expect(await street.efficiency.efficiency({ ...MAY, ...question })).toMatchObject({ outcome });
  expect(await log('h01')).toMatchObject([{ outcome, concerned: false }]);
});

test('a household with a large share of the energy: refused', async () => {
  street = await openStreet(20, '2026-06-01T00:10:00Z');
  await useAlike(20);
  await settle(street, [{ slot: '2026-05-02T00:00:00Z', household: 'h01', usedWh: 30_000 }]);
  await closeThrough(street, '2026-06-01T00:00:00Z');
  expect(await street.efficiency.efficiency(MAY)).toMatchObject({
    outcome: 'dominated_by_one_household',
  });
});

test('three roofs with sun in a street of 20: what they produce is withheld', async () => {
  street = await openStreet(20, '2026-06-01T00:10:00Z');
  const sunny = new Set(['h01', 'h02', 'h03']);
  await settle(
    street,
    Array.from({ length: 20 }, (_, at) => householdId(at + 1)).map((household) => ({
      slot: SLOTS[0]!,
      household,
      usedWh: 1_000,
      ...(sunny.has(household) ? { producedWh: 1_100, selfWh: 300 } : { fromNeighborsWh: 100 }),
    })),
  );
  await closeThrough(street, '2026-06-01T00:00:00Z');
  expect(await street.efficiency.efficiency(MAY)).toMatchObject({
    outcome: 'answered',
    months: [
      {
        usedWh: 20_000,
        fromNeighborsWh: 1_700,
        neighborShareBasisPoints: 850,
        producedWh: null,
        selfWh: null,
        selfConsumptionBasisPoints: null,
        selfSufficiencyBasisPoints: null,
        withheld: ['producedWh', 'selfWh'],
      },
    ],
  });
});

test('a microgrid that does not exist is not answered', async () => {
  street = await openStreet(1, '2026-06-01T00:10:00Z');
  const question = { ...MAY, microgrid: 'elsewhere' };
  expect(await street.efficiency.efficiency(question)).toMatchObject({
    outcome: 'unknown_microgrid',
  });
});

test('the log is read page by page, newest first, and nothing is missed', async () => {
  street = await openStreet(1, '2026-06-01T00:10:00Z');
  for (let asked = 0; asked < 5; asked += 1) await street.efficiency.efficiency(MAY);
  const all = await log('h01');
  const seen: string[] = [];
  let after: { askedAt: string; query: string } | null = null;
  for (;;) {
    const rows = await street.efficiency.queries(MICROGRID, 'h01', { limit: 2, after });
    seen.push(...rows.slice(0, 2).map(({ query }) => query));
    if (rows.length <= 2) break;
    after = rows[1]!;
  }
  expect(seen).toEqual(all.map(({ query }) => query));
  expect(seen).toHaveLength(5);
});

/** A figure that rests on nothing but readings at the borders. */
function measured(energyWh: number) {
  const others = ['interpolated', 'estimated', 'missing'];
  return {
    parts: [
      { qualities: ['measured'], energyWh },
      ...others.map((quality) => ({ qualities: [quality], energyWh: 0 })),
    ],
    measuredAtLeastPercent: 100,
    estimatedAtMostPercent: 0,
  };
}

function log(household: string) {
  return street.efficiency.queries(MICROGRID, household, { limit: 100, after: null });
}

/** Everyone uses 1,000 Wh in each of three slots: 400 of the own 500, and 100 of the neighbors'. */
async function useAlike(households: number): Promise<void> {
  await settle(
    street,
    SLOTS.flatMap((slot) =>
      Array.from({ length: households }, (_, at) => ({
        slot,
        household: householdId(at + 1),
        producedWh: 500,
        usedWh: 1_000,
        selfWh: 400,
        fromNeighborsWh: 100,
      })),
    ),
  );
}
