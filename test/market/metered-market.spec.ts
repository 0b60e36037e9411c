import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  meteredMarket,
  type MeteredHousehold,
  type MeteredMarketInput,
  type MeteredMarketResult,
} from '../../src/market/metered-market.js';
import type { StandingWish } from '../../src/market/limits.js';
import type { Tariff } from '../../src/parties/microgrid.js';
import { rules } from './rules.js';
import { costMicro } from '../../src/units/money.js';

const TARIFF: Tariff = {
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 0,
};

/** `+900` sells 900 Wh, `-800` buys 800 Wh. */
function home(householdId: string, netWh: number, more: Partial<MeteredHousehold> = {}) {
  return {
    householdId,
    feeder: null,
    toSellWh: Math.max(netWh, 0),
    toBuyWh: Math.max(-netWh, 0),
    sellAboveMicroPerKwh: null,
    buyBelowMicroPerKwh: null,
    availableMicro: 1_000_000_000,
    ...more,
  };
}

function clear(
  households: MeteredHousehold[],
  more: Partial<Omit<MeteredMarketInput, 'households'>> = {},
): MeteredMarketResult {
  return meteredMarket({
    households,
    tariff: TARIFF,
    rules: rules(),
    ...more,
  });
}

const brief = ({ trades }: MeteredMarketResult): string[] =>
  trades.map(
    (trade) =>
      `${trade.seller} > ${trade.buyer}: ${trade.energyWh} Wh at ${trade.sellerPriceMicroPerKwh}`,
  );

describe('the metered market', () => {
  test('more sun than need: the sellers share by what they have, at the feed-in tariff', () => {
    const result = clear([home('A', 900), home('B', -800), home('C', 300)]);
    expect(brief(result)).toEqual(['A > B: 600 Wh at 50000', 'C > B: 200 Wh at 50000']);
    expect(result.tradedWh).toBe(800);
    expect(result.trades.every(({ firm, bidId, askId }) => !firm && !bidId && !askId)).toBe(true);
  });

  test('more need than sun: the buyers share by what they lack, at the retail tariff', () => {
    const result = clear([home('A', 300), home('B', -800), home('C', -400)]);
    expect(brief(result)).toEqual(['A > B: 200 Wh at 300000', 'A > C: 100 Wh at 300000']);
  });

  test('as much sun as need: the price lies in the middle of the limits', () => {
    expect(clear([home('A', 300), home('B', -300)]).price).toBe(175_000);
    const end = clear([home('A', 300), home('B', -300)], { rules: rules({ kThousandths: 0 }) });
    expect(end.price).toBe(50_000);
  });

  test('mid-market is the middle of the tariffs whoever is short', () => {
    const result = clear([home('A', 900), home('B', -800)], {
      rules: rules({ pricing: 'mid-market' }),
    });
    expect(result.price).toBe(175_000);
    const modest = clear([home('A', 900), home('B', -800, { buyBelowMicroPerKwh: 120_000 })], {
      rules: rules({ pricing: 'mid-market' }),
    });
    expect(modest.price).toBe(120_000);
  });

  test('limits decide who trades; they are moved between the tariffs, and beyond them do not trade', () => {
    const result = clear([
      home('A', 500, { sellAboveMicroPerKwh: 10_000 }),
      home('B', -500, { buyBelowMicroPerKwh: 900_000 }),
      home('C', 500, { sellAboveMicroPerKwh: 300_001 }),
      home('D', -500, { buyBelowMicroPerKwh: 49_999 }),
    ]);
    expect(result.interval).toEqual([50_000, 300_000]);
    expect(brief(result)).toEqual(['A > B: 500 Wh at 175000']);
  });

  test('the buyer pays the grid fee on top; who would gain less than the fee does not trade', () => {
    const tariff = { ...TARIFF, gridFeeMicroPerKwh: 40_000 };
    const result = clear(
      [
        home('A', 500),
        home('B', -700, { buyBelowMicroPerKwh: 200_000 }),
        home('C', -900, { buyBelowMicroPerKwh: 89_999 }),
      ],
      { tariff },
    );
    expect(result.trades).toHaveLength(1);
    expect(result.trades[0]).toMatchObject({
      buyer: 'B',
      buyerPriceMicroPerKwh: 200_000,
      sellerPriceMicroPerKwh: 160_000,
    });
    const never = clear([home('A', 500), home('B', -700)], {
      tariff: { ...TARIFF, gridFeeMicroPerKwh: 250_001 },
    });
    expect(never).toMatchObject({ price: null, tradedWh: 0, trades: [], walletLimited: [] });
  });

  test('a wallet that runs dry caps its buyer, who is told; the grid supplies the rest', () => {
    const result = clear([
      home('A', 1000),
      home('B', -1000, { availableMicro: 30_001 }),
      home('C', -1000, { availableMicro: 0 }),
    ]);
    expect(brief(result)).toEqual(['A > B: 100 Wh at 50000']);
    expect(result.walletLimited).toEqual(['B', 'C']);
    expect(clear([home('B', -1000, { availableMicro: 0 })]).walletLimited).toEqual([]);
  });

  describe('wishes', () => {
    const WITH_ROOM = { buyBelowMicroPerKwh: 200_000 };
    const solar = (premiumMicroPerKwh: number): StandingWish => ({
      kind: 'solar',
      premiumMicroPerKwh,
    });
    const ofNeighbor = (household: string): StandingWish => ({
      kind: 'neighbor',
      household,
      premiumMicroPerKwh: 10_000,
    });
    const met = (result: MeteredMarketResult): string[] =>
      result.trades
        .map(
          ({ buyer, seller, energyWh, wish }) =>
            `${seller} > ${buyer} ${energyWh}${wish ? ` ${wish.kind} +${wish.extraMicroPerKwh}` : ''}`,
        )
        .sort();

    test('are met by whoever has what is wished for, and cost nothing where nobody has to give way', () => {
      const result = clear([
        home('A', 300, { sellsClean: true }),
        home('B', 300),
        home('C', -300, { ...WITH_ROOM, wishes: [solar(30_000)] }),
        home('D', -300, WITH_ROOM),
      ]);
      expect(met(result)).toEqual(['A > C 300 solar +0', 'B > D 300']);
      const turned = clear([
        home('A', 300, { sellsClean: true }),
        home('B', 300),
        home('C', -300, { ...WITH_ROOM, wishes: [ofNeighbor('B')] }),
        home('D', -300, WITH_ROOM),
      ]);
      expect(met(turned)).toEqual(['A > D 300', 'B > C 300 neighbor +0']);
    });

    test('two that want the same sun: the higher premium has it, for what the other would have paid', () => {
      const result = clear([
        home('A', 300, { sellsClean: true }),
        home('B', 300),
        home('C', -300, { ...WITH_ROOM, wishes: [solar(30_000)] }),
        home('D', -300, { ...WITH_ROOM, wishes: [solar(20_000)] }),
      ]);
      expect(met(result)).toEqual(['A > C 300 solar +20000', 'B > D 300']);
      const [outcome] = result.wishes;
      expect(outcome).toMatchObject({
        metQuantity: 300,
        extra: 300 * 20_000,
        filled: 300,
        filledWithout: 300,
      });
    });

    test('limit and premium together stay within the retail tariff: who is at it has no room', () => {
      const all = [home('A', 300, { sellsClean: true }), home('B', 300)];
      const wish = { wishes: [solar(500_000)] };
      const none = clear([...all, home('C', -600, wish)]);
      expect(none.wishes).toEqual([]);
      const result = clear([
        ...all,
        home('C', -300, { buyBelowMicroPerKwh: 290_000, ...wish }),
        home('D', -300, { buyBelowMicroPerKwh: 250_000, ...wish }),
      ]);
      for (const { buyerPriceMicroPerKwh } of result.trades) {
        expect(buyerPriceMicroPerKwh).toBeLessThanOrEqual(TARIFF.retailMicroPerKwh);
      }
      // D has room for 50,000 of its premium, C for 10,000.
      expect(met(result)).toContain('A > D 300 solar +10000');
    });

    test('for the own feeder count where there are wires, and nowhere else', () => {
      const node = (id: string, parent: string | null) => ({
        node: id,
        parent,
        feeMicroPerKwh: 0,
        capacityUpW: null,
        capacityDownW: null,
      });
      const network = {
        validFrom: '2026-06-01T00:00:00Z',
        nodes: [node('hub', null), node('east', 'hub'), node('west', 'hub')],
      };
      const own: StandingWish = { kind: 'feeder', premiumMicroPerKwh: 5_000 };
      const street = [
        home('A', 300, { feeder: 'east' }),
        home('B', 300, { feeder: 'west' }),
        home('C', -300, { ...WITH_ROOM, feeder: 'west', wishes: [own] }),
        home('D', -300, { ...WITH_ROOM, feeder: 'west' }),
      ];
      const wired = clear(street, { rules: rules({ network }) });
      expect(met(wired)).toEqual(['A > D 300', 'B > C 300 feeder +0']);
      expect(clear(street).wishes).toEqual([]);
    });

    test('are left aside under other prices', () => {
      const wishing = home('C', -300, { ...WITH_ROOM, wishes: [solar(1)] });
      const result = clear([home('A', 300, { sellsClean: true }), wishing], {
        rules: rules({ pricing: 'mid-market' }),
      });
      expect(result.wishes).toEqual([]);
      expect(result.tradedWh).toBe(300);
    });

    test('never overdraw a wallet, break a limit by more than the premium, or cost more than the tariff', () => {
      const wish = fc.oneof(
        fc.record({ kind: fc.constant('solar' as const), premiumMicroPerKwh: fc.nat(400) }),
        fc.record({
          kind: fc.constant('neighbor' as const),
          household: fc.constantFrom('h0', 'h1', 'h2', 'gone'),
          premiumMicroPerKwh: fc.nat(400),
        }),
      );
      const household = fc.record({
        netWh: fc.integer({ min: -2000, max: 2000 }),
        buyBelowMicroPerKwh: fc.option(fc.integer({ min: 0, max: 600 })),
        wishes: fc.array(wish, { maxLength: 2 }),
        sellsClean: fc.boolean(),
        availableMicro: fc.oneof(fc.integer({ min: -5, max: 900 }), fc.constant(10_000_000)),
      });
      const tariff = { retailMicroPerKwh: 500, feedInMicroPerKwh: 100, gridFeeMicroPerKwh: 20 };
      fc.assert(
        fc.property(fc.array(household, { maxLength: 8 }), (rows) => {
          const homes = rows.map(({ netWh, ...row }, index) => home(`h${index}`, netWh, row));
          const byId = new Map(homes.map((one) => [one.householdId, one]));
          const { trades } = clear(homes, { tariff });
          const spent = new Map<string, number>();
          for (const trade of trades) {
            const buyer = byId.get(trade.buyer)!;
            const premium = trade.wish
              ? Math.max(...buyer.wishes!.map((one) => one.premiumMicroPerKwh))
              : 0;
            const most = Math.min(buyer.buyBelowMicroPerKwh ?? 500, 500) + premium;
            expect(trade.buyerPriceMicroPerKwh).toBeLessThanOrEqual(Math.min(most, 500));
            expect(trade.wish?.extraMicroPerKwh ?? 0).toBeLessThanOrEqual(premium);
            expect(trade.sellerPriceMicroPerKwh).toBeGreaterThanOrEqual(100);
            expect(trade.wish?.kind === 'solar').toBe(
              trade.wish?.kind === 'solar' && byId.get(trade.seller)!.sellsClean,
            );
            const cost = costMicro(trade.energyWh, trade.buyerPriceMicroPerKwh);
            spent.set(trade.buyer, (spent.get(trade.buyer) ?? 0) + cost);
          }
          for (const [buyer, micro] of spent) {
            expect(micro).toBeLessThanOrEqual(byId.get(buyer)!.availableMicro);
          }
        }),
        { numRuns: 300 },
      );
    });
  });

  test('nobody to trade with, or nothing to trade', () => {
    expect(clear([])).toMatchObject({ price: null, trades: [] });
    expect(clear([home('A', 500), home('B', 0)])).toMatchObject({ price: null, trades: [] });
  });

  test('a household that sells and buys in one slot is a broken measurement', () => {
    expect(() => clear([home('A', 500, { toBuyWh: 1 })])).toThrow('household A');
  });

  test('no wallet is ever overdrawn, no limit broken, and default limits trade all that meets', () => {
    const limit = fc.option(fc.integer({ min: 0, max: 700 }));
    const household = fc.record({
      netWh: fc.integer({ min: -3000, max: 3000 }),
      sellAboveMicroPerKwh: limit,
      buyBelowMicroPerKwh: limit,
      availableMicro: fc.oneof(fc.integer({ min: -5, max: 900 }), fc.constant(10_000_000)),
    });
    const tariff = fc
      .tuple(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 600 }), fc.nat(60))
      .map(([a, b, fee]) => ({
        retailMicroPerKwh: Math.max(a, b),
        feedInMicroPerKwh: Math.min(a, b),
        gridFeeMicroPerKwh: fee,
      }));
    const pricing = fc.constantFrom('clearing' as const, 'mid-market' as const);
    fc.assert(
      fc.property(
        fc.array(household, { maxLength: 12 }),
        tariff,
        pricing,
        fc.nat(1000),
        (rows, t, p, kThousandths) => {
          const households = rows.map(({ netWh, ...row }, index) => home(`h${index}`, netWh, row));
          const result = clear(households, {
            tariff: t,
            rules: rules({ pricing: p, kThousandths }),
          });
          const byId = new Map(households.map((one) => [one.householdId, one]));
          const spent = new Map<string, number>();
          const energy = new Map<string, number>();
          for (const trade of result.trades) {
            const { buyer, seller, energyWh, buyerPriceMicroPerKwh, sellerPriceMicroPerKwh } =
              trade;
            const cost = costMicro(energyWh, buyerPriceMicroPerKwh);
            spent.set(buyer, (spent.get(buyer) ?? 0) + cost);
            for (const id of [buyer, seller]) energy.set(id, (energy.get(id) ?? 0) + energyWh);
            expect(buyerPriceMicroPerKwh).toBe(sellerPriceMicroPerKwh + t.gridFeeMicroPerKwh);
            expect(sellerPriceMicroPerKwh).toBeGreaterThanOrEqual(t.feedInMicroPerKwh);
            expect(buyerPriceMicroPerKwh).toBeLessThanOrEqual(t.retailMicroPerKwh);
            expect(sellerPriceMicroPerKwh).toBeGreaterThanOrEqual(
              byId.get(seller)!.sellAboveMicroPerKwh ?? 0,
            );
            expect(buyerPriceMicroPerKwh).toBeLessThanOrEqual(
              byId.get(buyer)!.buyBelowMicroPerKwh ?? Infinity,
            );
          }
          for (const [id, micro] of spent) {
            expect(micro).toBeLessThanOrEqual(byId.get(id)!.availableMicro);
          }
          for (const [id, wh] of energy) {
            const { toSellWh, toBuyWh } = byId.get(id)!;
            expect(wh).toBeLessThanOrEqual(Math.max(toSellWh, toBuyWh));
          }
        },
      ),
      { numRuns: 600 },
    );
  });
});
