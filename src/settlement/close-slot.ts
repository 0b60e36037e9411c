import type { ClearingRules } from '../market/clearing.js';
import type { StandingWish } from '../market/limits.js';
import { meteredMarket } from '../market/metered-market.js';
import {
  meteredSharing,
  type SharingHousehold,
  type SharingRules,
} from '../market/metered-sharing.js';
import { numberTrades, type Trade } from '../market/trade.js';
import type { PriceInterval } from '../market/pricing.js';
import type { MeasurementQuality } from '../metering/measurement.js';
import type { Mechanism } from '../parties/microgrid.js';
import { costMicro } from '../units/money.js';
import type { Instant } from '../units/slot.js';
import {
  coverUses,
  isClean,
  neighborClaim,
  selfClaim,
  sumWh,
  type HouseholdClaims,
  type Lot,
  type Portion,
  type SlotEnergy,
  type UseSources,
} from './claims.js';

/**
 * Settles one slot: what was metered and traded becomes claims, imbalance and money. Pure, so that
 * the same inputs give the same result on any day; `slot-records.ts` writes it as records.
 */

/** The rules that held in the slot. */
export interface SlotTerms {
  microgridId: string;
  slot: Instant;
  slotEnd: Instant;
  currency: string;
  mechanism: Mechanism;
  rules: ClearingRules;
  /** Under `sharing`, how a surplus is divided. */
  sharing: SharingRules | null;
  tariff: {
    retailMicroPerKwh: number;
    feedInMicroPerKwh: number;
    gridFeeMicroPerKwh: number;
  };
}

export interface SlotHousehold {
  householdId: string;
  /** Where it hangs from in the network. */
  feeder: string | null;
  share: { parts: number; rank: number };
  energy: SlotEnergy & { unexplainedWh: number; quality: MeasurementQuality };
  /** The standing order; null is the tariff. */
  limits: {
    sellAboveMicroPerKwh: number | null;
    buyBelowMicroPerKwh: number | null;
    /** Absent where there are none. */
    wishes?: StandingWish[];
  };
  /** What the wallet covers at close. */
  availableMicro: number;
  usableWh: number;
  /** What its batteries held when the slot began, first in first. */
  lots: readonly Lot[];
}

export interface SlotInput {
  terms: SlotTerms;
  /** Sorted by id. */
  households: readonly SlotHousehold[];
  /** Trades made at gate closure, in their order; ignored under `metered`, which makes its own. */
  trades: readonly Trade[];
  /** 0 or absent as the slot is closed; a correction's trades have names of their own. */
  revision?: number;
}

/** What a household is told of its slot; the fields of `contracts.md` and the sums behind them. */
export type Settlement = {
  household: string;
  slot: Instant;
  producedWh: number;
  consumedWh: number;
  /** Consumption and charge. */
  usedWh: number;
  selfWh: number;
  cleanSelfWh: number;
  fromNeighborsWh: number;
  cleanFromNeighborsWh: number;
  toNeighborsWh: number;
  fromGridWh: number;
  toGridWh: number;
  unexplainedUseWh: number;
  /** Settled with neighbors; the same as claimed unless a trade was firm. */
  soldWh: number;
  boughtWh: number;
  imbalanceWh: number;
  /** Earned from neighbors less paid to them, fees included. */
  neighborMicro: number;
  /** Of what was paid, the grid fees. */
  feeMicro: number;
  /** Earned from the utility, or paid to it where negative. */
  utilityMicro: number;
  /** All of it: positive is earned, negative is paid. */
  netMicro: number;
  /** What the same import and export would have earned or cost without neighbors. */
  tariffMicro: number;
  currency: string;
  quality: MeasurementQuality;
};

export interface SettledTrade extends Trade {
  settledWh: number;
  claimed: Portion[];
  /** What the buyer pays, fee included. */
  costMicro: number;
  /** What the seller receives. */
  proceedsMicro: number;
  /** Of the difference, what goes to `congestion-rent`; the rest goes to `grid-fees`. */
  congestionMicro: number;
}

export interface SettledHousehold {
  input: SlotHousehold;
  claims: HouseholdClaims;
  uses: UseSources;
  settlement: Settlement;
}

export interface SettledSlot {
  terms: SlotTerms;
  households: SettledHousehold[];
  trades: SettledTrade[];
  tradedWh: number;
  /** Null where nothing was traded at close, and under mechanisms that cleared at the gate. */
  clearingPriceMicroPerKwh: number | null;
  priceInterval: PriceInterval | null;
  /** Households that could have bought more if their wallet covered it. */
  walletLimited: string[];
}

/**
 * @throws Error when an equation of design section 5 or 7 does not hold: a broken invariant
 * @example see `test/settlement/close-slot.spec.ts`: the worked examples of the design as tables
 */
export function closeSlot(input: SlotInput): SettledSlot {
  const { terms, households } = input;
  const claims = new Map(
    households.map(({ householdId, energy, lots }) => [householdId, selfClaim(energy, lots)]),
  );
  const market = isMadeAtClose(terms) ? makeMarket(input, claims) : null;
  const trades = (market?.trades ?? input.trades).map((trade) =>
    settleTrade(trade, claims, terms.tariff),
  );
  const dealings = dealingsOf(trades);
  const settled = households.map((household) => {
    const own = claims.get(household.householdId)!;
    const uses = coverUses(own, household.energy, terms.slot, household.usableWh);
    const dealt = dealings.get(household.householdId) ?? NO_DEALINGS;
    const settlement = settlementOf(terms, household, own, dealt);
    return { input: household, claims: own, uses, settlement };
  });
  const slot = {
    terms,
    households: settled,
    trades,
    tradedWh: trades.reduce((sum, trade) => sum + trade.settledWh, 0),
    clearingPriceMicroPerKwh: market?.price ?? null,
    priceInterval: market?.interval ?? null,
    walletLimited: market?.walletLimited ?? [],
  };
  assertEquations(slot);
  assertNeverWorse(slot);
  return slot;
}

/** Whether trades are made of what was metered, rather than of orders at a gate or before. */
export function isMadeAtClose({ mechanism }: Pick<SlotTerms, 'mechanism'>): boolean {
  return mechanism === 'metered' || mechanism === 'sharing';
}

/** What households bring to a market at close: what their own uses leave to sell or to buy. */
export function atMarket(
  households: readonly SlotHousehold[],
  claims: ReadonlyMap<string, Pick<HouseholdClaims, 'toSell' | 'toBuyWh'>>,
): SharingHousehold[] {
  return households.map(({ householdId, feeder, share, limits, availableMicro }) => ({
    householdId,
    feeder,
    share,
    toSellWh: sumWh(claims.get(householdId)!.toSell),
    sellsClean: claims.get(householdId)!.toSell.every(({ origin }) => isClean(origin)),
    toBuyWh: claims.get(householdId)!.toBuyWh,
    ...limits,
    availableMicro,
  }));
}

function makeMarket(
  { terms, households, revision }: SlotInput,
  claims: Map<string, HouseholdClaims>,
) {
  const { tariff, rules, sharing } = terms;
  const metered = atMarket(households, claims);
  const cleared =
    sharing === null
      ? meteredMarket({ households: metered, tariff, rules })
      : meteredSharing({ households: metered, tariff, pricing: rules.pricing, sharing });
  const { microgridId, slot } = terms;
  return { ...cleared, trades: numberTrades(microgridId, slot, cleared.trades, revision) };
}

/**
 * A delivered trade settles what it claims, a firm one in full; nothing when a side is no member of
 * the microgrid any more, or when a tariff that came after a delivered trade has made the utility
 * the better neighbor of one of them.
 */
function settleTrade(
  trade: Trade,
  claims: Map<string, HouseholdClaims>,
  tariff: SlotTerms['tariff'],
): SettledTrade {
  const seller = claims.get(trade.seller);
  const buyer = claims.get(trade.buyer);
  const present =
    seller !== undefined && buyer !== undefined && (trade.firm || isBetterThan(tariff, trade));
  const claimed = present ? neighborClaim(seller, buyer, trade.energyWh) : [];
  const settledWh = present && trade.firm ? trade.energyWh : sumWh(claimed);
  const paidMicro = costMicro(settledWh, trade.buyerPriceMicroPerKwh);
  const proceedsMicro = costMicro(settledWh, trade.sellerPriceMicroPerKwh);
  const rentMicro = costMicro(settledWh, trade.congestionMicroPerKwh);
  return {
    ...trade,
    settledWh,
    claimed,
    costMicro: paidMicro,
    proceedsMicro,
    // Each was rounded on its own; what is handed on is what was paid.
    congestionMicro: Math.min(rentMicro, Math.max(paidMicro - proceedsMicro, 0)),
  };
}

function isBetterThan(tariff: SlotTerms['tariff'], trade: Trade): boolean {
  return (
    trade.buyerPriceMicroPerKwh <= tariff.retailMicroPerKwh &&
    trade.sellerPriceMicroPerKwh >= tariff.feedInMicroPerKwh
  );
}

/** What one household's trades of the slot add up to. */
interface Dealings {
  soldWh: number;
  boughtWh: number;
  claimedFromItWh: number;
  paidMicro: number;
  feeMicro: number;
  earnedMicro: number;
}

const NO_DEALINGS: Dealings = {
  soldWh: 0,
  boughtWh: 0,
  claimedFromItWh: 0,
  paidMicro: 0,
  feeMicro: 0,
  earnedMicro: 0,
};

function dealingsOf(trades: readonly SettledTrade[]): Map<string, Dealings> {
  const dealings = new Map<string, Dealings>();
  const of = (household: string) => {
    const dealt = dealings.get(household) ?? { ...NO_DEALINGS };
    dealings.set(household, dealt);
    return dealt;
  };
  for (const trade of trades) {
    const seller = of(trade.seller);
    seller.soldWh += trade.settledWh;
    seller.claimedFromItWh += sumWh(trade.claimed);
    seller.earnedMicro += trade.proceedsMicro;
    const buyer = of(trade.buyer);
    buyer.boughtWh += trade.settledWh;
    buyer.paidMicro += trade.costMicro;
    buyer.feeMicro += trade.costMicro - trade.proceedsMicro;
  }
  return dealings;
}

function settlementOf(
  terms: SlotTerms,
  { householdId, energy }: SlotHousehold,
  claims: HouseholdClaims,
  { soldWh, boughtWh, claimedFromItWh, paidMicro, feeMicro, earnedMicro }: Dealings,
): Settlement {
  const netExportWh = energy.exportWh - energy.importWh;
  const imbalanceWh = netExportWh - (soldWh - boughtWh);
  const utilityMicro = withUtility(imbalanceWh, terms.tariff);
  const clean = (portions: readonly Portion[]) =>
    sumWh(portions.filter(({ origin }) => isClean(origin)));
  return {
    household: householdId,
    slot: terms.slot,
    producedWh: claims.producedWh,
    consumedWh: energy.consumptionWh,
    usedWh: claims.usedWh,
    selfWh: sumWh(claims.self),
    cleanSelfWh: clean(claims.self),
    fromNeighborsWh: sumWh(claims.fromNeighbors),
    cleanFromNeighborsWh: clean(claims.fromNeighbors),
    toNeighborsWh: claimedFromItWh,
    fromGridWh: claims.toBuyWh,
    toGridWh: sumWh(claims.toSell),
    unexplainedUseWh: claims.unexplainedUseWh,
    soldWh,
    boughtWh,
    imbalanceWh,
    neighborMicro: earnedMicro - paidMicro,
    feeMicro,
    utilityMicro,
    netMicro: earnedMicro - paidMicro + utilityMicro,
    tariffMicro: withUtility(netExportWh, terms.tariff),
    currency: terms.currency,
    quality: energy.quality,
  };
}

/** What the utility pays for a surplus, or, negative, takes for a lack of energy. */
function withUtility(surplusWh: number, tariff: SlotTerms['tariff']): number {
  return surplusWh >= 0
    ? costMicro(surplusWh, tariff.feedInMicroPerKwh)
    : 0 - costMicro(-surplusWh, tariff.retailMicroPerKwh);
}

/** Without a firm trade nobody is worse off than at the tariff, one micro-unit of rounding a line aside. */
function assertNeverWorse({ terms, households, trades }: SettledSlot): void {
  const lines = new Map<string, number>();
  for (const { buyer, seller, firm } of trades) {
    for (const side of [buyer, seller]) {
      lines.set(side, (lines.get(side) ?? 0) + (firm ? Infinity : 1));
    }
  }
  for (const { settlement } of households) {
    const { household, netMicro, tariffMicro } = settlement;
    if (netMicro < tariffMicro - 1 - (lines.get(household) ?? 0)) {
      throw new Error(`slot ${terms.slot}: ${household} is worse off than at its tariff`);
    }
  }
}

/** Section 5 and 7 in sums over the microgrid, and each battery's balance. */
function assertEquations({ terms, households, trades }: SettledSlot): void {
  const total = (of: (household: SettledHousehold) => number) =>
    households.reduce((sum, household) => sum + of(household), 0);
  const fail = (what: string) => {
    throw new Error(`slot ${terms.slot} of ${terms.microgridId}: ${what}`);
  };
  for (const { input, claims, uses } of households) {
    const { energy } = input;
    const supplied = claims.producedWh + energy.unexplainedWh + energy.importWh;
    if (supplied !== claims.usedWh + energy.exportWh) {
      fail(`${input.householdId} breaks P + V + I = U + E`);
    }
    const unprovenWh = energy.dischargedWh - sumWh(claims.lotsDischarged);
    const change = sumWh(uses.lotsAfter) - sumWh(input.lots);
    if (energy.chargedWh + unprovenWh !== energy.dischargedWh + sumWh(uses.lotsLost) + change) {
      fail(`the battery of ${input.householdId} does not balance`);
    }
  }
  const claimedWh = trades.reduce((sum, { claimed }) => sum + sumWh(claimed), 0);
  const own = total(({ settlement }) => settlement.selfWh);
  const bought = total(({ settlement }) => settlement.fromNeighborsWh);
  if (claimedWh !== bought) fail('neighbor claims differ from what trades claimed');
  if (
    total(({ settlement }) => settlement.producedWh) !==
    own + claimedWh + total(({ settlement }) => settlement.toGridWh)
  ) {
    fail('production differs from its claims');
  }
  if (
    total(({ settlement }) => settlement.usedWh) !==
    own + claimedWh + total(({ settlement }) => settlement.fromGridWh + settlement.unexplainedUseWh)
  ) {
    fail('use differs from its sources');
  }
  const netExportWh = total(({ input }) => input.energy.exportWh - input.energy.importWh);
  if (total(({ settlement }) => settlement.imbalanceWh) !== netExportWh) {
    fail("imbalance differs from the microgrid's exchange with the grid");
  }
}
