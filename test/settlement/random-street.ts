import fc from 'fast-check';
import { numberTrades, type MatchedTrade, type Trade } from '../../src/market/trade.js';
import type { ClearingRules } from '../../src/market/clearing.js';
import { measure, type Measurement } from '../../src/metering/measurement.js';
import type { NetworkVersion } from '../../src/parties/microgrid.js';
import type { Lot } from '../../src/settlement/claims.js';
import type { SlotHousehold, SlotInput, SlotTerms } from '../../src/settlement/close-slot.js';
import { metersOf } from './check-scenario.js';
import type { NaiveHousehold } from './naive-slot.js';

/** Streets as they might be on any day, small enough that every Wh can be followed. */
export interface RandomStreet {
  /** As the meters have it. */
  homes: NaiveHousehold[];
  input: SlotInput;
}

export const SLOT = '2026-06-01T12:00:00Z';

const wh = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(40) });
const none = fc.constant(0);
const lotsArbitrary: fc.Arbitrary<Lot[]> = fc
  .array(
    fc.tuple(
      fc.nat(3),
      fc.constantFrom('own', 'neighbor', 'grid'),
      fc.integer({ min: 1, max: 20 }),
    ),
    {
      maxLength: 4,
    },
  )
  .map((lots) =>
    lots
      .map(([hour, source, energyWh]): Lot => ({
        chargedIn: `2026-06-01T0${hour}:00:00Z`,
        source: source as Lot['source'],
        energyWh,
      }))
      .sort((a, b) => (a.chargedIn < b.chargedIn ? -1 : 1)),
  );

const homeArbitrary = fc
  .tuple(fc.boolean(), fc.boolean(), fc.boolean())
  .chain(([pv, battery, bothWays]) =>
    fc.record({
      importWh: wh,
      // Most households do not take and give in one slot.
      exportWh: bothWays ? wh : none,
      generatedWh: pv ? wh : fc.constant(null),
      chargedWh: battery ? wh : none,
      dischargedWh: battery ? wh : none,
      usableWh: battery ? fc.integer({ min: 1, max: 60 }) : none,
      lots: battery ? lotsArbitrary : fc.constant([]),
      swapped: fc.boolean(),
    }),
  )
  .map(({ swapped, ...home }) =>
    swapped ? { ...home, importWh: home.exportWh, exportWh: home.importWh } : home,
  );

const limit = fc.option(fc.integer({ min: 0, max: 400_000 }), { freq: 3 });
const walletArbitrary = fc.oneof(
  { weight: 2, arbitrary: fc.constant(1_000_000_000) },
  { weight: 1, arbitrary: fc.nat(20_000) },
);

/** A root with two feeders, one of them behind the other in some streets. */
const networkArbitrary: fc.Arbitrary<NetworkVersion> = fc
  .record({
    chain: fc.boolean(),
    fees: fc.tuple(fc.nat(40_000), fc.nat(40_000)),
    watts: fc.array(fc.option(fc.nat(400)), { minLength: 4, maxLength: 4 }),
  })
  .map(({ chain, fees, watts }) => ({
    validFrom: SLOT,
    nodes: [
      { node: 'root', parent: null, feeMicroPerKwh: 0, capacityUpW: null, capacityDownW: null },
      {
        node: 'f1',
        parent: 'root',
        feeMicroPerKwh: fees[0],
        capacityUpW: watts[0]!,
        capacityDownW: watts[1]!,
      },
      {
        node: 'f2',
        parent: chain ? 'f1' : 'root',
        feeMicroPerKwh: fees[1],
        capacityUpW: watts[2]!,
        capacityDownW: watts[3]!,
      },
    ],
  }));

const rulesArbitrary: fc.Arbitrary<ClearingRules> = fc
  .record({
    pricing: fc.constantFrom(
      'clearing' as const,
      'mid-market' as const,
      'supply-demand-ratio' as const,
      'pay-as-bid' as const,
    ),
    kThousandths: fc.nat(1000),
    rationing: fc.constantFrom('time' as const, 'pro-rata' as const, 'max-min' as const),
    network: fc.option(networkArbitrary),
    slotMinutes: fc.constant(15),
  })
  .map((rules) => (rules.network === null ? rules : { ...rules, pricing: 'clearing' as const }));

const termsArbitrary = (mechanism: SlotTerms['mechanism']): fc.Arbitrary<SlotTerms> =>
  fc
    .record({
      feedIn: fc.nat(200_000),
      spread: fc.nat(300_000),
      fee: fc.oneof(fc.constant(0), fc.nat(100_000)),
      rules: rulesArbitrary,
    })
    .map(({ feedIn, spread, fee, rules }) => ({
      microgridId: 'street',
      slot: SLOT,
      slotEnd: '2026-06-01T12:15:00Z',
      currency: 'EUR',
      mechanism,
      rules,
      sharing: null,
      tariff: {
        retailMicroPerKwh: feedIn + spread,
        feedInMicroPerKwh: feedIn,
        gridFeeMicroPerKwh: fee,
      },
    }));

/** Under `metered`: the market is made at close. */
export const meteredStreet: fc.Arbitrary<RandomStreet> = fc
  .tuple(termsArbitrary('metered'), fc.array(houseArbitrary(), { minLength: 1, maxLength: 6 }))
  .map(([terms, houses]) => {
    const named = houses.map((house, at) => ({ ...house, home: nameHome(house.home, at) }));
    return {
      homes: named.map(({ home }) => home),
      input: { terms, households: named.map(slotHousehold), trades: [] },
    };
  });

/** Under `sharing`: divided at close by key. */
export const sharedStreet: fc.Arbitrary<RandomStreet> = fc
  .tuple(
    meteredStreet,
    fc.constantFrom('static' as const, 'dynamic' as const, 'hybrid' as const, 'cascade' as const),
    fc.constantFrom('mid-market' as const, 'supply-demand-ratio' as const, 'fixed' as const),
    fc.nat(600_000),
    fc.array(fc.record({ parts: fc.nat(3), rank: fc.nat(2) }), { minLength: 6, maxLength: 6 }),
  )
  .map(([{ homes, input }, key, pricing, price, shares]) => {
    const priceMicroPerKwh = pricing === 'fixed' ? price : null;
    const terms: SlotTerms = {
      ...input.terms,
      mechanism: 'sharing',
      rules: { ...input.terms.rules, pricing, network: null },
      sharing: { key, priceMicroPerKwh },
    };
    const households = input.households.map((one, at) => ({ ...one, share: shares[at]! }));
    return { homes, input: { ...input, terms, households } };
  });

/**
 * With any trades made ahead, also of households that are gone, at prices between the tariffs, or
 * beyond them where a new tariff came after the trade.
 */
export const streetAhead: fc.Arbitrary<RandomStreet> = fc
  .tuple(
    termsArbitrary('call-auction'),
    fc.array(houseArbitrary(), { minLength: 2, maxLength: 6 }),
    fc.array(
      fc.record({
        buyer: fc.nat(6),
        seller: fc.nat(6),
        energyWh: fc.integer({ min: 1, max: 50 }),
        height: fc.integer({ min: -150, max: 1150 }),
        firm: fc.boolean(),
      }),
      { maxLength: 8 },
    ),
  )
  .map(([terms, houses, dealt]) => {
    const named = houses.map((house, at) => ({ ...house, home: nameHome(house.home, at) }));
    const { retailMicroPerKwh, feedInMicroPerKwh, gridFeeMicroPerKwh } = terms.tariff;
    const roomMicro = retailMicroPerKwh - gridFeeMicroPerKwh - feedInMicroPerKwh;
    const matched = dealt.flatMap(({ buyer, seller, energyWh, height, firm }): MatchedTrade[] => {
      // Where the fee takes all the room between the tariffs, nobody trades ahead.
      if (buyer === seller || roomMicro < 0) return [];
      const price = Math.max(0, feedInMicroPerKwh + Math.floor((roomMicro * height) / 1000));
      return [
        {
          buyer: idOf(buyer),
          seller: idOf(seller),
          bidId: null,
          askId: null,
          energyWh,
          buyerPriceMicroPerKwh: price + gridFeeMicroPerKwh,
          sellerPriceMicroPerKwh: price,
          congestionMicroPerKwh: 0,
          firm,
        },
      ];
    });
    const trades: Trade[] = numberTrades('street', SLOT, matched);
    return {
      homes: named.map(({ home }) => home),
      input: { terms, households: named.map(slotHousehold), trades },
    };
  });

interface House {
  home: Omit<NaiveHousehold, 'id'>;
  feeder: string | null;
  sellAbove: number | null;
  buyBelow: number | null;
  availableMicro: number;
}

function houseArbitrary(): fc.Arbitrary<House> {
  return fc.record({
    home: homeArbitrary,
    feeder: fc.constantFrom('f1', 'f2', null),
    sellAbove: limit,
    buyBelow: limit,
    availableMicro: walletArbitrary,
  });
}

function idOf(at: number): string {
  return `h${at}`;
}

function nameHome(home: Omit<NaiveHousehold, 'id'>, at: number): NaiveHousehold {
  return { id: idOf(at), ...home };
}

function slotHousehold(house: House & { home: NaiveHousehold }): SlotHousehold {
  const { householdId, ...energy } = measured(house.home);
  return {
    householdId,
    feeder: house.feeder,
    share: { parts: 1, rank: 0 },
    energy,
    limits: { sellAboveMicroPerKwh: house.sellAbove, buyBelowMicroPerKwh: house.buyBelow },
    availableMicro: house.availableMicro,
    usableWh: house.home.usableWh,
    lots: house.home.lots,
  };
}

export function measured(home: NaiveHousehold): Measurement {
  const hasBattery = home.usableWh > 0;
  return measure(
    home.id,
    metersOf({
      ...home,
      household: home.id,
      chargedWh: hasBattery ? home.chargedWh : null,
      dischargedWh: hasBattery ? home.dischargedWh : null,
    }),
    0,
  );
}
