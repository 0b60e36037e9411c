import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { QUALITIES, type MeasurementQuality } from '../../src/metering/measurement.js';
import { boundsOf, figuresOf, shownQuality } from '../../src/rewards/quality.js';
import { NOTHING, only, plus, totalWh, type ByQuality } from '../../src/settlement/by-quality.js';
import { formatInstant } from '../../src/units/slot.js';
import { readClaims } from '../../src/verify/claims.store.js';
import { TableRows } from '../../src/verify/table-rows.store.js';
import {
  closeThrough,
  householdId,
  MICROGRID,
  openStreet,
  settle,
  trade,
  type Claimed,
  type Settled,
  type Street,
} from './street.js';

/** What share of the energy behind a figure was measured: exact, and telling of no single household. */

const SEED = Number(process.env['QUALITY_SEED'] ?? Date.now() % 1_000_000);

describe('of a cell', () => {
  const each = (households: number, byQuality: Partial<ByQuality>): ByQuality[] =>
    Array.from({ length: households }, () => ({ ...NOTHING, ...byQuality }));

  test.each([
    ['all measured', each(20, { measuredWh: 100 }), '2000/0/0/0', 100, 0],
    [
      'many of each',
      [...each(20, { measuredWh: 100 }), ...each(15, { measuredWh: 60, estimatedWh: 40 })],
      '2900/0/600/0',
      80,
      20,
    ],
    [
      'fourteen with estimates: told with what was interpolated',
      [...each(20, { interpolatedWh: 100 }), ...each(14, { estimatedWh: 10 })],
      '0/2140',
      0,
      10,
    ],
    [
      'one dead meter: how much of it, in tenths',
      [...each(20, { measuredWh: 100 }), ...each(1, { estimatedWh: 100 })],
      '2100',
      90,
      10,
    ],
    [
      'a silent meter and fourteen estimated ones: together they hide each other',
      [
        ...each(20, { measuredWh: 100 }),
        ...each(14, { estimatedWh: 50 }),
        ...each(1, { missingWh: 50 }),
      ],
      '2000/0/750',
      70,
      30,
    ],
    [
      'fifteen of whom one has most of it',
      [
        ...each(20, { measuredWh: 100 }),
        ...each(14, { estimatedWh: 1 }),
        ...each(1, { estimatedWh: 9 }),
      ],
      '2023',
      90,
      10,
    ],
  ])('%s', (_name, households, parts, measured, estimated) => {
    const shown = shownQuality(households);
    expect(shown.parts.map(({ energyWh }) => energyWh).join('/')).toBe(parts);
    expect(shown.measuredAtLeastPercent).toBe(measured);
    expect(shown.estimatedAtMostPercent).toBe(estimated);
  });

  test('the parts add up, and each of them is empty or hides everyone in it', () => {
    const wh = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000 }));
    const energies = fc.record({
      measuredWh: wh,
      interpolatedWh: wh,
      estimatedWh: wh,
      missingWh: wh,
    });
    fc.assert(
      fc.property(fc.array(energies, { minLength: 15, maxLength: 60 }), (households) => {
        const { parts } = shownQuality(households);
        expect(parts.flatMap(({ qualities }) => qualities).sort()).toEqual([...QUALITIES].sort());
        const energyIn = (one: ByQuality, qualities: readonly MeasurementQuality[]) =>
          qualities.reduce((sum, quality) => sum + one[`${quality}Wh`], 0);
        for (const { qualities, energyWh } of parts) {
          const own = households.map((one) => energyIn(one, qualities));
          expect(energyWh).toBe(own.reduce((sum, one) => sum + one, 0));
          if (parts.length === 1 || energyWh === 0) continue;
          expect(own.filter((one) => one > 0).length).toBeGreaterThanOrEqual(15);
          expect(Math.max(...own) * 100).toBeLessThanOrEqual(energyWh * 15);
        }
      }),
      { seed: SEED },
    );
  });

  test('its bounds hold, and are the closest tenths that do', () => {
    const wh = fc.oneof(fc.nat(20), fc.nat(10 ** 12));
    const sums = fc.record({ measuredWh: wh, interpolatedWh: wh, estimatedWh: wh, missingWh: wh });
    fc.assert(
      fc.property(sums, (sum) => {
        const whole = BigInt(totalWh(sum));
        const { measuredAtLeastPercent, estimatedAtMostPercent } = boundsOf(sum);
        const measured = BigInt(sum.measuredWh) * 100n;
        const estimated = BigInt(sum.estimatedWh + sum.missingWh) * 100n;
        fc.pre(whole > 0n);
        expect(measured >= whole * BigInt(measuredAtLeastPercent)).toBe(true);
        expect(measured < whole * BigInt(measuredAtLeastPercent + 10)).toBe(true);
        expect(estimated <= whole * BigInt(estimatedAtMostPercent)).toBe(true);
        expect(estimated > whole * BigInt(estimatedAtMostPercent - 10)).toBe(true);
      }),
      { seed: SEED },
    );
  });

  test('one household alone can move a bound by two steps at most', () => {
    const wh = fc.nat(1_000);
    fc.assert(
      fc.property(fc.array(wh, { minLength: 15, maxLength: 40 }), fc.nat(39), (energies, at) => {
        const whole = energies.reduce((sum, one) => sum + one, 0);
        const own = energies[at % energies.length]!;
        // Nobody has more than 15 % of a figure that is told.
        fc.pre(own * 100 <= whole * 15);
        const others = only('measured', whole - own);
        const [read, guessed] = (['measured', 'estimated'] as const).map((quality) =>
          boundsOf(plus(others, only(quality, own))),
        );
        expect(read!.measuredAtLeastPercent - guessed!.measuredAtLeastPercent).toBeLessThanOrEqual(
          20,
        );
      }),
      { seed: SEED },
    );
  });
});

describe(`a street of 6 by chance (QUALITY_SEED=${SEED}):`, () => {
  const HOUSEHOLDS = 6;
  const PROGRAM = {
    microgrid: MICROGRID,
    program: 'sun-shared',
    name: 'Sun shared',
    indicator: 'neighbor-claimed' as const,
    rateMicroPerKwh: 1_000_000,
    fundMicro: 1_000_000_000_000,
  };
  let street: Street;

  beforeAll(async () => {
    street = await openStreet(HOUSEHOLDS, '2026-05-01T00:00:00Z');
    await street.rewards.createProgram(PROGRAM, 'regina');
    for (let at = 1; at <= HOUSEHOLDS; at += 1) {
      await street.rewards.join(householdId(at), PROGRAM.program, 'tenant');
    }
    await closeThrough(street, '2026-06-01T00:00:00Z');
  });
  afterAll(() => street.drop());

  const days = fc.sample(day(HOUSEHOLDS), { seed: SEED, numRuns: 4 });
  test.each(days.map((one, at) => ({ ...one, at })))(
    'day $at: figures, awards, and what verify makes of them are those of the naive count',
    async ({ lines, trades, at }) => {
      const slotOf = (slot: number) => formatInstant(Date.UTC(2026, 4, 2 + at) + slot * 900_000);
      const settled = lines.map((line) => ({ ...line, slot: slotOf(line.slot) }));
      const traded = trades.map((one) => ({ ...one, slot: slotOf(one.slot) }));
      await settle(street, settled);
      await trade(street, traded);
      const expected = naive(settled, traded);

      const period = { from: slotOf(0), to: slotOf(96) };
      const rows = figuresOf(await energies(period.from, period.to));
      for (const { householdId: id, byQuality, ...figures } of rows) {
        expect(byQuality).toEqual(expected.get(id));
        expect(figures.usedWh).toBe(totalWh(byQuality.usedWh));
      }
      expect(rows.map(({ householdId: id }) => id).sort()).toEqual([...expected.keys()].sort());

      const claimed = await street.database.transaction(async (sql) =>
        readClaims(await TableRows.open(sql, MICROGRID), period, 1_000),
      );
      for (const [id, { fromNeighborsWh }] of expected) {
        expect(claimed.get(id)).toEqual({ byQuality: fromNeighborsWh, hidden: false });
      }

      await street.awards.run(MICROGRID, PROGRAM.program, period, 'regina');
      for (const [id, { fromNeighborsWh }] of expected) {
        const filter = { ...period, until: period.to, limit: 10, after: null };
        const [award] = await street.awards.awardsOf(MICROGRID, id, filter);
        if (totalWh(fromNeighborsWh) === 0) expect(award).toBeUndefined();
        else expect(award).toMatchObject({ byQuality: fromNeighborsWh });
      }
      const page = { periodFrom: period.from, limit: 10, after: null };
      const shown = (await street.awards.awards(MICROGRID, PROGRAM.program, page, 'regina'))!;
      expect(JSON.stringify(shown)).not.toMatch(/byQuality|edWh":\{/);
      const newest = { limit: 1, after: null };
      const [run] = (await street.awards.runs(MICROGRID, PROGRAM.program, newest, 'regina'))!;
      const all = [...expected.values()].map((one) => one.fromNeighborsWh).reduce(plus, NOTHING);
      expect(run!.quality).toEqual(boundsOf(all));
    },
  );

  const energies = (from: string, to: string) =>
    street.settlement.energyByQuality(street.database, MICROGRID, from, to);
});

/** Lines and trades of some slots, some of them corrected, each household in each slot at most once. */
function day(households: number) {
  const wh = fc.nat(2_000);
  const household = fc.integer({ min: 1, max: households }).map(householdId);
  const line = fc.record({
    slot: fc.nat(7),
    household,
    revision: fc.nat(1),
    quality: fc.constantFrom(...QUALITIES),
    producedWh: wh,
    usedWh: wh,
    selfWh: wh,
    fromNeighborsWh: wh,
  });
  const deal = fc.record({
    slot: fc.nat(7),
    buyer: household,
    seller: household,
    revision: fc.nat(1),
    claimedWh: fc.oneof(fc.constant(0), wh),
  });
  const key = (one: { slot: number; household: string; revision: number }) =>
    `${one.slot} ${one.household} ${one.revision}`;
  return fc.record({
    lines: fc.uniqueArray(line, { selector: key, minLength: 20, maxLength: 60 }),
    trades: fc.array(deal, { minLength: 8, maxLength: 30 }),
  });
}

type Named = 'producedWh' | 'usedWh' | 'selfWh' | 'fromNeighborsWh';

/** Line by line: the last revision of each, marked as badly as the worst that its energy came from. */
function naive(lines: readonly Settled[], trades: readonly Claimed[]) {
  const current = lines.filter(
    (line) =>
      !lines.some(
        (other) =>
          other.slot === line.slot &&
          other.household === line.household &&
          other.revision! > line.revision!,
      ),
  );
  const sums = new Map<string, Record<Named, ByQuality>>();
  for (const line of current) {
    const inSlot = trades.filter(({ slot }) => slot === line.slot);
    const revision = Math.max(...inSlot.map((one) => one.revision!));
    const sellers = inSlot
      .filter((one) => one.revision === revision && one.buyer === line.household)
      .filter(({ claimedWh }) => claimedWh > 0)
      .map(({ seller }) =>
        current.find((one) => one.slot === line.slot && one.household === seller),
      );
    const marks = [line, ...sellers].map((one) => QUALITIES.indexOf(one?.quality ?? 'measured'));
    const worst = QUALITIES[Math.max(...marks)]!;
    const before = sums.get(line.household) ?? {
      producedWh: NOTHING,
      usedWh: NOTHING,
      selfWh: NOTHING,
      fromNeighborsWh: NOTHING,
    };
    sums.set(line.household, {
      producedWh: plus(before.producedWh, only(line.quality!, line.producedWh!)),
      usedWh: plus(before.usedWh, only(line.quality!, line.usedWh!)),
      selfWh: plus(before.selfWh, only(line.quality!, line.selfWh!)),
      fromNeighborsWh: plus(before.fromNeighborsWh, only(worst, line.fromNeighborsWh!)),
    });
  }
  return sums;
}
