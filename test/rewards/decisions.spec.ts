import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { MeasurementQuality } from '../../src/metering/measurement.js';
import {
  awardsOf,
  claimWindows,
  periodFault,
  pseudonymOf,
  totalMicro,
} from '../../src/rewards/awards.js';
import { indicatorsOf } from '../../src/rewards/indicators.js';
import { monthsThrough } from '../../src/rewards/month.js';
import { differing, judgeCell } from '../../src/rewards/privacy.js';
import type { HouseholdFigures } from '../../src/rewards/quality.js';
import { NOTHING, only } from '../../src/settlement/by-quality.js';
import { formatInstant, parseInstant } from '../../src/units/slot.js';

describe('awards', () => {
  test.each([
    // Wh, micro per kWh, micro
    [1_000, 50_000, 50_000],
    [1, 50_000, 50],
    [3, 500, 2], // 1.5: half to even
    [5, 500, 2], // 2.5: half to even
    [7, 500, 4], // 3.5: half to even
  ])('%d Wh at %d is %d', (claimedWh, rate, amountMicro) => {
    const claim = { householdId: 'h01', pseudonym: 'p', byQuality: only('measured', claimedWh) };
    expect(awardsOf([claim], rate)).toEqual([{ ...claim, claimedWh, amountMicro }]);
  });

  test('nothing claimed, or less than a micro-unit, is no award', () => {
    const claim = (claimedWh: number) => ({
      householdId: 'h01',
      pseudonym: 'p',
      byQuality: only('measured', claimedWh),
    });
    expect(awardsOf([claim(0)], 50_000)).toEqual([]);
    expect(awardsOf([claim(1)], 499)).toEqual([]);
  });

  test('each household is rounded once, whatever parts its claims come in', () => {
    const claim = fc.record({ who: fc.nat(5), claimedWh: fc.nat(100_000) });
    fc.assert(
      fc.property(fc.array(claim), fc.integer({ min: 1, max: 1_000_000 }), (claims, rate) => {
        const awards = awardsOf(
          claims.map(({ who, claimedWh }) => ({
            householdId: `h${who}`,
            pseudonym: `p${9 - who}`,
            byQuality: only(who % 2 === 0 ? 'measured' : 'estimated', claimedWh),
          })),
          rate,
        );
        for (const { householdId, claimedWh, amountMicro } of awards) {
          const own = claims.filter(({ who }) => `h${who}` === householdId);
          expect(claimedWh).toBe(own.reduce((sum, one) => sum + one.claimedWh, 0));
          expect(Math.abs(amountMicro * 1000 - claimedWh * rate)).toBeLessThanOrEqual(500);
        }
        expect(awards.map(({ pseudonym }) => pseudonym)).toEqual(
          awards.map(({ pseudonym }) => pseudonym).sort(),
        );
        expect(totalMicro(awards)).toBe(awards.reduce((sum, one) => sum + one.amountMicro, 0));
      }),
    );
  });

  test('a pseudonym is stable in its program and tells nothing of another', () => {
    const [one, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    expect(pseudonymOf(one, 'h01')).toBe(pseudonymOf(one, 'h01'));
    expect(pseudonymOf(one, 'h01')).not.toBe(pseudonymOf(other, 'h01'));
    expect(pseudonymOf(one, 'h01')).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('memberships', () => {
  const hour = (at: number) => formatInstant(Date.UTC(2026, 5, 1, at));

  test('a household counts in the slots of its membership, and in no others', () => {
    const span = fc.tuple(fc.nat(23), fc.option(fc.nat(23))).map(([from, until]) => ({
      from,
      until: until === null ? null : Math.max(from, until),
    }));
    fc.assert(
      fc.property(fc.array(span, { maxLength: 6 }), fc.nat(22), fc.nat(23), (spans, from, to) => {
        const members = spans.map(({ from: joined, until }, at) => ({
          householdId: `h${at}`,
          pseudonym: `p${at}`,
          joinedFrom: hour(joined),
          leftAt: until === null ? null : hour(until),
        }));
        const windows = claimWindows(members, { from: hour(from), to: hour(to) });
        for (let slot = 0; slot < 24; slot += 1) {
          const counted = windows
            .filter((window) => hour(slot) >= window.from && hour(slot) < window.to)
            .flatMap((window) => window.members.map(({ householdId }) => householdId));
          const consenting = members
            .filter(
              ({ joinedFrom, leftAt }) =>
                joinedFrom <= hour(slot) && (leftAt === null || hour(slot) < leftAt),
            )
            .filter(() => slot >= from && slot < to)
            .map(({ householdId }) => householdId);
          expect(counted.sort()).toEqual(consenting.sort());
        }
        expect(new Set(windows.map((window) => `${window.from}${window.to}`)).size).toBe(
          windows.length,
        );
      }),
    );
  });
});

describe('a run’s period', () => {
  const june = (text: string) => `2026-06-${text}Z`;
  const context = {
    slotMinutes: 15 as const,
    closedThrough: june('02T00:00:00'),
    earlierRuns: [{ from: june('01T00:00:00'), to: june('01T12:00:00') }],
  };

  test.each([
    ['01T12:00:00', '02T00:00:00', null],
    ['01T12:00:00', '01T12:00:00', 'not_whole_slots'],
    ['01T13:00:00', '01T12:00:00', 'not_whole_slots'],
    ['01T12:00:00', '01T12:20:00', 'not_whole_slots'],
    ['01T12:00:00', '02T00:15:00', 'not_closed_yet'],
    ['01T11:45:00', '02T00:00:00', 'overlaps_earlier_run'],
    ['01T00:00:00', '01T00:15:00', 'overlaps_earlier_run'],
    ['01T00:00:00', '03T00:00:00', 'not_closed_yet'],
  ])('from %s to %s: %s', (from, to, fault) => {
    expect(periodFault({ from: june(from), to: june(to) }, context)).toBe(fault);
  });

  test('nothing is closed yet', () => {
    const period = { from: june('01T12:00:00'), to: june('01T12:15:00') };
    expect(periodFault(period, { ...context, closedThrough: null })).toBe('not_closed_yet');
  });
});

describe('indicators', () => {
  test('the house with a battery and a neighbor', () => {
    // 10 kWh of sun: 1 to the own load, 2 by the own battery, 7 to the neighbor, who uses 7 of 10.
    const sums = { producedWh: 10_000, usedWh: 13_000, selfWh: 3_000, fromNeighborsWh: 7_000 };
    expect(indicatorsOf(sums)).toEqual({
      selfConsumptionBasisPoints: 3_000,
      selfSufficiencyBasisPoints: 7_692,
      neighborShareBasisPoints: 5_385,
    });
  });

  test('nothing to divide by, or a withheld sum, is null and not zero', () => {
    const sums = { producedWh: 0, usedWh: 10, selfWh: null, fromNeighborsWh: 10 };
    expect(indicatorsOf(sums)).toEqual({
      selfConsumptionBasisPoints: null,
      selfSufficiencyBasisPoints: null,
      neighborShareBasisPoints: 10_000,
    });
  });
});

describe('the privacy rule', () => {
  test.each([
    ['15 alike', street(15, 100), 'released'],
    ['14 alike', street(14, 100), 'too_few_households'],
    [
      '15, one of them without energy',
      [...street(14, 100), household(14, 0)],
      'too_few_households',
    ],
    ['17 and one with exactly 15 %', [...street(17, 500), household(17, 1_500)], 'released'],
    [
      '17 and one just above',
      [...street(17, 500), household(17, 1_501)],
      'dominated_by_one_household',
    ],
    ['nobody has any', street(20, 0), 'too_few_households'],
  ])('%s: %s', (_name, cell, outcome) => {
    expect(judgeCell(cell, []).outcome).toBe(outcome);
  });

  test('a sum that one household dominates is withheld, the others are not', () => {
    const cell = street(20, 1_000).map((one, at) =>
      at < 3 ? household(at, 1_000, { producedWh: 200 }) : one,
    );
    const verdict = judgeCell(cell, []);
    expect(verdict).toMatchObject({
      outcome: 'released',
      sums: { usedWh: 20_000, producedWh: null, selfWh: 0, fromNeighborsWh: 0 },
    });
  });

  test.each([
    ['the same again', street(40, 100), 'released'],
    ['one household more', street(41, 100), 'too_close_to_earlier_answer'],
    ['one household fewer', street(39, 100), 'too_close_to_earlier_answer'],
    ['fourteen fewer', street(26, 100), 'too_close_to_earlier_answer'],
    ['fifteen fewer', street(25, 100), 'released'],
    [
      'one household corrected',
      street(40, 100).map((one, at) => (at === 7 ? household(at, 101) : one)),
      'too_close_to_earlier_answer',
    ],
    ['all corrected', street(40, 101), 'released'],
    [
      'one household’s estimate read after all, to the same energy',
      street(40, 100).map((one, at) =>
        at === 7 ? household(at, 100, { quality: 'estimated' }) : one,
      ),
      'too_close_to_earlier_answer',
    ],
  ])('after an answer about 40: %s: %s', (_name, cell, outcome) => {
    expect(judgeCell(cell, [answerOf(street(40, 100))]).outcome).toBe(outcome);
  });

  test('an answer from before qualities were told is compared by its figures', () => {
    const told = [...answerOf(street(40, 100))];
    const earlier = new Map(told.map(([id, text]) => [id, text.split(' ').slice(0, 4).join(' ')]));
    expect(judgeCell(street(40, 100), [earlier])).toMatchObject({
      outcome: 'released',
      repeated: false,
    });
    const corrected = street(40, 100).map((one, at) => (at === 7 ? household(at, 101) : one));
    expect(judgeCell(corrected, [earlier]).outcome).toBe('too_close_to_earlier_answer');
  });

  test('no sequence of answers ever differs by 1 to 14 households', () => {
    const cells = fc.array(
      fc
        .subarray(street(45, 100), { minLength: 10 })
        .chain((cell) =>
          fc
            .subarray(cell, { maxLength: 3 })
            .map((corrected) =>
              cell.map((one, at) =>
                corrected.includes(one)
                  ? { ...household(at, 99), householdId: one.householdId }
                  : one,
              ),
            ),
        ),
      { minLength: 2, maxLength: 12 },
    );
    fc.assert(
      fc.property(cells, (asked) => {
        const given: ReadonlyMap<string, string>[] = [];
        for (const cell of asked) {
          const verdict = judgeCell(cell, given);
          if (verdict.outcome !== 'released') continue;
          expect(verdict.answer.size).toBeGreaterThanOrEqual(15);
          for (const earlier of given) {
            const distance = differing(verdict.answer, earlier);
            expect(distance === 0 || distance >= 15).toBe(true);
          }
          given.push(verdict.answer);
        }
      }),
    );
  });

  test('every released sum hides each household below 15 % of it', () => {
    const energies = fc.array(fc.tuple(fc.nat(1_000), fc.nat(1_000), fc.nat(100)), {
      minLength: 15,
      maxLength: 40,
    });
    fc.assert(
      fc.property(energies, (rows) => {
        const cell = rows.map(([usedWh, producedWh, selfWh], at) =>
          // Nobody claims from itself what it did not produce or did not use.
          household(at, usedWh, { producedWh, selfWh: Math.min(selfWh, usedWh, producedWh) }),
        );
        const verdict = judgeCell(cell, []);
        if (verdict.outcome !== 'released') return;
        for (const figure of ['usedWh', 'producedWh', 'selfWh'] as const) {
          const sum = verdict.sums[figure];
          const most = Math.max(...cell.map((one) => one[figure]));
          const all = cell.reduce((total, one) => total + one[figure], 0);
          expect(sum).toBe(most * 100 <= all * 15 ? all : null);
        }
      }),
    );
  });
});

test('months are calendar months in UTC, both ends included', () => {
  expect(monthsThrough('2026-11', '2027-01')).toEqual([
    { month: '2026-11', from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z' },
    { month: '2026-12', from: '2026-12-01T00:00:00Z', to: '2027-01-01T00:00:00Z' },
    { month: '2027-01', from: '2027-01-01T00:00:00Z', to: '2027-02-01T00:00:00Z' },
  ]);
  expect(monthsThrough('2026-02', '2026-01')).toEqual([]);
  const [leap] = monthsThrough('2028-02', '2028-02');
  expect(parseInstant(leap!.to) - parseInstant(leap!.from)).toBe(29 * 86_400_000);
});

function household(
  number: number,
  usedWh: number,
  { producedWh = 0, selfWh = 0, quality = 'measured' as MeasurementQuality } = {},
): HouseholdFigures {
  const figures = { usedWh, producedWh, selfWh, fromNeighborsWh: 0 };
  const byQuality = {
    usedWh: only(quality, usedWh),
    producedWh: only(quality, producedWh),
    selfWh: only(quality, selfWh),
    fromNeighborsWh: NOTHING,
  };
  return { householdId: `h${number}`, ...figures, byQuality };
}

function street(size: number, usedWh: number): HouseholdFigures[] {
  return Array.from({ length: size }, (_, number) => household(number, usedWh));
}

function answerOf(cell: readonly HouseholdFigures[]): ReadonlyMap<string, string> {
  const verdict = judgeCell(cell, []);
  if (verdict.outcome !== 'released') throw new Error(verdict.outcome);
  return verdict.answer;
}
