import { sumWh, type Lot, type Portion } from '../../src/settlement/claims.js';
import type { SettledSlot, SlotInput } from '../../src/settlement/close-slot.js';
import { naiveSlot } from './naive-slot.js';
import { SLOT, type RandomStreet } from './random-street.js';

/** The figures of a settled slot in one form, from `closeSlot` and from its naive twin. */

/** What following single Wh says of the same slot, its trades given. */
export function naively(homes: RandomStreet['homes'], input: SlotInput, { trades }: SettledSlot) {
  const naive = naiveSlot(
    homes,
    trades.map((trade) => ({
      ...trade,
      buyerPrice: trade.buyerPriceMicroPerKwh,
      sellerPrice: trade.sellerPriceMicroPerKwh,
    })),
    SLOT,
    tariffOf(input),
  );
  return {
    trades: naive.trades.map(({ claimed, settledWh, costMicro, proceedsMicro }) => ({
      claimed: Object.fromEntries(
        [...new Set(claimed)].map((each) => [each, claimed.filter((one) => one === each).length]),
      ),
      settledWh,
      costMicro,
      proceedsMicro,
    })),
    homes: Object.fromEntries(
      [...naive.homes].map(([id, home]) => [
        id,
        {
          producedWh: home.generatedWh + home.given.dischargedWh,
          consumedWh: home.consumptionWh,
          usedWh: home.consumptionWh + home.given.chargedWh,
          selfWh: home.selfWh,
          cleanSelfWh: home.cleanSelfWh,
          fromNeighborsWh: home.fromNeighborsWh,
          cleanFromNeighborsWh: home.cleanFromNeighborsWh,
          toNeighborsWh: home.toNeighborsWh,
          fromGridWh: home.fromGridWh,
          toGridWh: home.toGridWh,
          unexplainedUseWh: home.unexplainedUseWh,
          soldWh: home.soldWh,
          boughtWh: home.boughtWh,
          imbalanceWh: home.imbalanceWh,
          neighborMicro: home.neighborMicro,
          feeMicro: home.feeMicro,
          utilityMicro: home.utilityMicro,
          netMicro: home.netMicro,
          tariffMicro: home.tariffMicro,
          consumed: home.consumed,
          lostWh: home.lostWh,
          unprovenWh: home.unprovenWh,
          lots: counted(home.lots.map((lot) => ({ ...lot, energyWh: 1 }))),
        },
      ]),
    ),
  };
}

/** The same figures as `closeSlot` has them. */
export function figuresOf({ households, trades }: SettledSlot) {
  return {
    trades: trades.map(({ claimed, settledWh, costMicro, proceedsMicro }) => ({
      claimed: byOrigin(claimed),
      settledWh,
      costMicro,
      proceedsMicro,
    })),
    homes: Object.fromEntries(
      households.map(({ settlement, uses, claims, input }) => {
        const {
          household,
          slot: _slot,
          currency: _currency,
          quality: _quality,
          ...figures
        } = settlement;
        return [
          household,
          {
            ...figures,
            imbalanceWh: figures.imbalanceWh,
            utilityMicro: figures.utilityMicro,
            tariffMicro: figures.tariffMicro,
            consumed: uses.consumption,
            lostWh: sumWh(uses.lotsLost),
            unprovenWh: input.energy.dischargedWh - sumWh(claims.lotsDischarged),
            lots: counted(uses.lotsAfter),
          },
        ];
      }),
    ),
  };
}

function byOrigin(portions: readonly Portion[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { origin, energyWh } of portions) sums[origin] = (sums[origin] ?? 0) + energyWh;
  return sums;
}

/** Lots in their order, those of one slot and source together. */
function counted(lots: readonly Lot[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { chargedIn, source, energyWh } of lots) {
    const key = `${chargedIn} ${source}`;
    sums[key] = (sums[key] ?? 0) + energyWh;
  }
  return sums;
}

export function tariffOf({ terms: { tariff } }: SlotInput) {
  return { retail: tariff.retailMicroPerKwh, feedIn: tariff.feedInMicroPerKwh };
}
