import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FIRST_PLAN, replan, stepBattery } from '../../simulator/battery.js';

const battery = { usableWh: 5_000, powerW: 3_000 };
const all = { chargePermille: 1000, dischargePermille: 1000 };
const empty = { chargeWh: 0, restPermille: 0 };
const settled = { toNeighborsWh: 0, toGridWh: 0, fromNeighborsWh: 0, fromGridWh: 0 };

describe('the battery', () => {
  test.each([
    [
      'keeps the plan’s part of a surplus',
      100,
      { chargePermille: 500, dischargePermille: 0 },
      0,
      50,
      0,
    ],
    ['is limited by its power', 9_999, all, 0, 250, 0],
    ['stops when full', 200, all, 4_990, 10, 0],
    [
      'covers the plan’s part of a shortage',
      -100,
      { chargePermille: 0, dischargePermille: 700 },
      900,
      0,
      70,
    ],
    ['gives no more than it has', -200, all, 30, 0, 30],
    ['rests when there is nothing to do', 0, all, 30, 0, 0],
  ])('%s', (_, surplusWh, plan, chargeWh, chargedWh, dischargedWh) => {
    const step = stepBattery(battery, { ...empty, chargeWh }, plan, surplusWh, 5);
    expect(step).toMatchObject({ chargedWh, dischargedWh });
  });

  test('loses a twentieth on the way in, over many steps exactly', () => {
    let charge = empty;
    for (let step = 0; step < 40; step += 1) {
      charge = stepBattery(battery, charge, all, 50, 5).charge;
    }
    expect(charge).toEqual({ chargeWh: 1_900, restPermille: 0 });
  });

  test('never exceeds what it can use, nor falls below nothing', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: -2_000, max: 2_000 }), fc.nat(1000), fc.nat(1000)),
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 6_000 }), (days, usableWh) => {
        let charge = empty;
        for (const [surplusWh, chargePermille, dischargePermille] of days) {
          const plan = { chargePermille, dischargePermille };
          ({ charge } = stepBattery({ usableWh, powerW: 3_000 }, charge, plan, surplusWh, 15));
          expect(charge.chargeWh).toBeGreaterThanOrEqual(0);
          expect(charge.chargeWh * 1000 + charge.restPermille).toBeLessThanOrEqual(usableWh * 1000);
        }
      }),
    );
  });
});

describe('the plan', () => {
  test.each([
    [
      'sold to the grid: keep more',
      { toGridWh: 10, toNeighborsWh: 90 },
      { chargePermille: 600, dischargePermille: 700 },
    ],
    [
      'neighbors took all: keep less',
      { toNeighborsWh: 90 },
      { chargePermille: 450, dischargePermille: 700 },
    ],
    [
      'bought from the grid: give more',
      { fromGridWh: 10, fromNeighborsWh: 5 },
      { chargePermille: 500, dischargePermille: 800 },
    ],
    [
      'neighbors gave all: give less',
      { fromNeighborsWh: 5 },
      { chargePermille: 500, dischargePermille: 650 },
    ],
    ['nothing happened', {}, FIRST_PLAN],
  ])('%s', (_, energy, plan) => {
    expect(replan(FIRST_PLAN, { ...settled, ...energy })).toEqual(plan);
  });

  test('stays between its ends', () => {
    let eager = FIRST_PLAN;
    let shy = FIRST_PLAN;
    for (let slot = 0; slot < 50; slot += 1) {
      eager = replan(eager, { ...settled, toGridWh: 1, fromGridWh: 1 });
      shy = replan(shy, { ...settled, toNeighborsWh: 1, fromNeighborsWh: 1 });
    }
    expect(eager).toEqual({ chargePermille: 1000, dischargePermille: 1000 });
    expect(shy).toEqual({ chargePermille: 200, dischargePermille: 300 });
  });
});
