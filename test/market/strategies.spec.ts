import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { planBattery, STORED_PERMILLE } from '../../src/market/battery-plan.js';
import { STRATEGIES, STRATEGY_NAMES } from '../../src/market/strategies.js';
import {
  stakeOf,
  type Decision,
  type Outcome,
  type Situation,
  type SlotAhead,
  type Strategy,
} from '../../src/market/strategy.js';
import { STRATEGIES as REPLAYED } from '../../simulator/replay-options.js';

/** Quoting strategies: what each offers a household, and what none of them may ever do. */

const SLOT = '2026-06-01T12:00:00Z';
const TARIFF = {
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 10_000,
};

function situation(outcomesWh: number[], more: Partial<Situation> = {}): Situation {
  const sorted = [...outcomesWh].sort((a, b) => a - b);
  return {
    household: 'A',
    slot: SLOT,
    forecast: sorted.length === 0 ? null : { expectedWh: sorted[0]!, outcomesWh: sorted },
    street: { supplyWh: 1000, demandWh: 1000 },
    limits: { askMicroPerKwh: 80_000, bidMicroPerKwh: 250_000 },
    tariff: TARIFF,
    last: null,
    storage: null,
    state: {},
    ...more,
  };
}

const told = ({ quotes }: Decision) => ({
  sides: [...new Set(quotes.map(({ side }) => side))],
  prices: [...new Set(quotes.map(({ priceMicroPerKwh }) => priceMicroPerKwh))],
  energyWh: quotes.reduce((sum, { energyWh }) => sum + energyWh, 0),
});

// what may come | street has : lacks | side
const SIDES = `
  500 500 500      | 1000 : 1000 | ask
  -500 -500 -500   | 1000 : 1000 | bid
  900 900 -300     | 1000 : 1000 | ask
  900 900 -300     | 9000 : 1000 | bid
  -900 -900 300    | 1000 : 9000 | ask
  500 500 500      | 1000 : 0    | none
  -500 -500        | 0 : 1000    | none
  0 0 0            | 1000 : 1000 | none
`;

describe('the side to take', () => {
  test.each(
    SIDES.trim()
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()) as [string, string, string]),
  )('%s on a street of %s: %s', (outcomes, street, side) => {
    const [supplyWh, demandWh] = street.split(':').map(Number) as [number, number];
    const stake = stakeOf(
      situation(outcomes.split(' ').map(Number), { street: { supplyWh, demandWh } }),
      { quantileThousandths: 1000, times: 1, slices: 1 },
    );
    expect(stake?.side ?? 'none').toBe(side);
  });

  test('none where the household will not trade on it, or nothing is known', () => {
    const limits = { askMicroPerKwh: null, bidMicroPerKwh: 250_000 };
    expect(stakeOf(situation([500], { limits }))).toBeNull();
    expect(stakeOf(situation([]))).toBeNull();
  });
});

test('fixed quotes the limits, several times what may come, in several orders', () => {
  const { quotes } = STRATEGIES.fixed(situation([401]));
  expect(told({ quotes })).toEqual({ sides: ['ask'], prices: [80_000], energyWh: 401 * 8 });
  expect(quotes.map(({ energyWh }) => energyWh)).toEqual([802, 802, 802, 802]);
  expect(told(STRATEGIES.fixed(situation([-100])))).toMatchObject({
    sides: ['bid'],
    prices: [250_000],
  });
});

test('zero-intelligence draws anew for each slot and household, and the same when asked again', () => {
  const draw = (household: string, slot: string) =>
    told(STRATEGIES['zero-intelligence'](situation([500], { household, slot }))).prices[0]!;
  expect(draw('A', SLOT)).toBe(draw('A', SLOT));
  const drawn = Array.from({ length: 200 }, (_, minute) =>
    draw('A', new Date(Date.parse(SLOT) + minute * 900_000).toISOString()),
  );
  expect(new Set(drawn).size).toBeGreaterThan(190);
  expect(Math.min(...drawn)).toBeLessThan(100_000);
  expect(Math.max(...drawn)).toBeGreaterThan(280_000);
});

describe('adaptive', () => {
  const outcome = (more: Partial<Outcome>): Outcome => ({
    slot: '2026-06-01T11:00:00Z',
    side: 'ask',
    priceMicroPerKwh: 91_000,
    energyWh: 400,
    filledWh: 400,
    clearingMicroPerKwh: 200_000,
    ...more,
  });
  const asked = (last: Outcome | null) =>
    told(STRATEGIES.adaptive(situation([500], { last }))).prices[0]!;
  const first = asked(null);

  test.each([
    ['asks for more after selling all of it', outcome({}), 1],
    ['comes down when it was left out', outcome({ filledWh: 0, clearingMicroPerKwh: 85_000 }), -1],
    ['comes down when nobody traded', outcome({ filledWh: 0, clearingMicroPerKwh: null }), -1],
  ])('%s', (_, last, direction) => {
    expect(Math.sign(asked(last) - first)).toBe(direction);
  });

  test('learns once from each outcome', () => {
    const last = outcome({});
    const { state } = STRATEGIES.adaptive(situation([500], { last }));
    const again = STRATEGIES.adaptive(situation([500], { last, state: state! }));
    expect(again.state).toEqual(state);
  });

  test('finds the price that others pay', () => {
    let state = {};
    let price = first;
    for (let slot = 0; slot < 200; slot += 1) {
      // Whoever asks for 0.15 or less sells, at 0.15.
      const last = outcome({
        slot: `slot ${slot}`,
        priceMicroPerKwh: price,
        filledWh: price <= 150_000 ? 400 : 0,
        clearingMicroPerKwh: 150_000,
      });
      const decision = STRATEGIES.adaptive(situation([500], { last, state }));
      state = decision.state!;
      price = told(decision).prices[0]!;
    }
    expect(Math.abs(price - 150_000)).toBeLessThan(10_000);
  });
});

describe('battery', () => {
  const hour = (index: number) => `2026-06-01T${String(index).padStart(2, '0')}:00:00Z`;
  const day = (balanceWh: (hour: number) => number, street = { supplyWh: 1000, demandWh: 1000 }) =>
    Array.from({ length: 24 }, (_, index): SlotAhead => ({
      slot: hour(index),
      balance: { expectedWh: balanceWh(index), outcomesWh: [balanceWh(index)] },
      street,
      tariff: TARIFF,
    }));
  const storage = (ahead: SlotAhead[], chargeWh = 0) => ({
    usableWh: 4000,
    chargeWh,
    chargedThrough: hour(0),
    slotMinutes: 60,
    ahead,
  });

  test('keeps the noon for the evening, and says so in plan and orders', () => {
    const sun = (at: number) => (at >= 10 && at < 15 ? 1500 : at >= 18 && at < 22 ? -900 : 0);
    const plan = planBattery(storage(day(sun, { supplyWh: 0, demandWh: 0 })));
    const total = (of: 'chargeWh' | 'dischargeWh', from: number, to: number) =>
      plan.slice(from, to).reduce((sum, slot) => sum + slot[of], 0);
    expect(total('chargeWh', 10, 15)).toBe(total('chargeWh', 0, 24));
    expect(total('dischargeWh', 18, 22)).toBe(total('dischargeWh', 0, 24));
    expect(total('dischargeWh', 18, 22)).toBeGreaterThan(3000);
    const ahead = day(sun).slice(10);
    const decision = STRATEGIES.battery(situation([1500], { storage: storage(ahead) }));
    const now = decision.plan![0]!;
    expect(told(decision).energyWh).toBe((1500 - now.chargeWh + now.dischargeWh) * 8);
  });

  test('takes what it planned for slots that nobody has measured yet as done', () => {
    const ahead = day(() => -900).slice(2);
    const pending = [{ slot: hour(1), chargeWh: 0, dischargeWh: 4000 }];
    const spent = STRATEGIES.battery(
      situation([-900], { storage: storage(ahead, 4000), state: { pending } }),
    );
    expect(spent.plan!.every(({ dischargeWh }) => dischargeWh === 0)).toBe(true);
  });

  test('quotes as fixed does where there is none', () => {
    const plain = situation([700]);
    expect(STRATEGIES.battery(plain)).toEqual(STRATEGIES.fixed(plain));
  });

  test('never holds more than it can, nor less than nothing, and beats every simple plan', () => {
    const wh = fc.integer({ min: -2000, max: 2000 });
    fc.assert(
      fc.property(
        fc.array(wh, { minLength: 1, maxLength: 12 }),
        fc.nat(4000),
        (balances, charge) => {
          const ahead = day((at) => balances[at] ?? 0).slice(0, balances.length);
          const task = storage(ahead, charge);
          const plan = planBattery(task);
          let held = charge - (charge % 100);
          for (const { chargeWh, dischargeWh } of plan) {
            held += Math.floor((chargeWh * STORED_PERMILLE) / 1000) - dischargeWh;
            expect(held).toBeGreaterThanOrEqual(0);
            expect(held).toBeLessThanOrEqual(4000);
          }
          const idle = plan.map(({ slot }) => ({ slot, chargeWh: 0, dischargeWh: 0 }));
          expect(worth(plan, task)).toBeGreaterThanOrEqual(worth(idle, task));
          return true;
        },
      ),
      { numRuns: 200 },
    );
  });

  /** By the prices of a balanced street: the middle of the tariffs, the fee on top for who buys. */
  function worth(
    plan: ReturnType<typeof planBattery>,
    { ahead, chargeWh }: ReturnType<typeof storage>,
  ) {
    let held = chargeWh - (chargeWh % 100);
    const traded = plan.reduce((sum, step, index) => {
      held += Math.floor((step.chargeWh * STORED_PERMILLE) / 1000) - step.dischargeWh;
      const atGrid = ahead[index]!.balance!.expectedWh - step.chargeWh + step.dischargeWh;
      return sum + atGrid * (atGrid >= 0 ? 175_000 : 185_000);
    }, 0);
    return traded + held * TARIFF.feedInMicroPerKwh;
  }
});

describe('every strategy', () => {
  test('has a name that the replay knows', () => {
    expect(REPLAYED).toEqual([...STRATEGY_NAMES]);
  });

  test.each(Object.entries(STRATEGIES) as [string, Strategy][])(
    '%s keeps to one side, to the limits and to the tariffs, and decides the same again',
    (_, strategy) => {
      const price = fc.integer({ min: 50_000, max: 300_000 });
      const last = fc.record({
        slot: fc.constant('2026-06-01T11:00:00Z'),
        side: fc.constantFrom('bid' as const, 'ask' as const),
        priceMicroPerKwh: price,
        energyWh: fc.constant(400),
        filledWh: fc.nat(400),
        clearingMicroPerKwh: fc.option(price),
      });
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 14 }),
          fc.tuple(fc.nat(5000), fc.nat(5000)),
          fc.tuple(fc.option(price), fc.option(price)),
          fc.array(fc.option(last), { minLength: 1, maxLength: 5 }),
          (outcomes, [supplyWh, demandWh], [askMicroPerKwh, bidMicroPerKwh], lasts) => {
            let state = {};
            for (const [index, each] of lasts.entries()) {
              const asked = situation(outcomes, {
                street: { supplyWh, demandWh },
                limits: { askMicroPerKwh, bidMicroPerKwh },
                last: each && { ...each, slot: `${each.slot} ${index}` },
                state,
              });
              const decision = strategy(asked);
              expect(strategy(asked)).toEqual(decision);
              expect(told(decision).sides.length).toBeLessThanOrEqual(1);
              for (const { side, priceMicroPerKwh: quoted, energyWh } of decision.quotes) {
                expect(Number.isSafeInteger(energyWh) && energyWh > 0).toBe(true);
                expect(quoted).toBeGreaterThanOrEqual(side === 'ask' ? askMicroPerKwh! : 50_000);
                expect(quoted).toBeLessThanOrEqual(side === 'bid' ? bidMicroPerKwh! : 300_000);
              }
              state = decision.state ?? {};
            }
            return true;
          },
        ),
        { numRuns: 200 },
      );
    },
  );
});
