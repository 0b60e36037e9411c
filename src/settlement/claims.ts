/**
 * Who used whose energy in one slot: every Wh produced is claimed once, by the household itself, by
 * a neighbor, or by the grid; every Wh used has a source; what a battery holds remembers its own.
 */

/** Where produced energy comes from. Discharge carries the source of what had been charged. */
export const ORIGINS = [
  'direct',
  'storage-own',
  'storage-neighbor',
  'storage-grid',
  'unproven',
] as const;
export type Origin = (typeof ORIGINS)[number];

/** Where used energy comes from, in the order in which sources cover uses. */
export type UseSource = 'own' | 'neighbor' | 'grid' | 'unexplained';

/** Sources that a storage lot can keep. */
export const LOT_SOURCES = ['own', 'neighbor', 'grid'] as const;
export type LotSource = (typeof LOT_SOURCES)[number];

/** Energy in a battery, by the slot it was charged in. First in, first out; sources in their order. */
export type Lot = {
  /** RFC 3339 start of the slot. */
  chargedIn: string;
  source: LotSource;
  energyWh: number;
};

export type Portion = { origin: Origin; energyWh: number };

/** What a household's meters say of the slot; all Wh, see `metering/measurement.ts`. */
export interface SlotEnergy {
  importWh: number;
  exportWh: number;
  generatedWh: number;
  chargedWh: number;
  dischargedWh: number;
  consumptionWh: number;
}

/** The energy of one household while the slot is being settled. */
export interface HouseholdClaims {
  /** G + D. */
  producedWh: number;
  /** L + C. */
  usedWh: number;
  /** PRODUCTION by origin, as minted. */
  minted: Portion[];
  /** min(P, U), by origin. */
  self: Portion[];
  /** X: left to sell, in the order in which it is claimed. */
  toSell: Portion[];
  /** M: left to buy. */
  toBuyWh: number;
  /** U − S − M: used, but seen by no meter. */
  unexplainedUseWh: number;
  fromNeighbors: Portion[];
  lotsDischarged: Lot[];
  lotsKept: Lot[];
}

const STORAGE_ORIGIN: Record<LotSource, Origin> = {
  own: 'storage-own',
  neighbor: 'storage-neighbor',
  grid: 'storage-grid',
};

/** Whether rewards and indicators may count the energy: neither from the grid nor unproven. */
export function isClean(origin: Origin): boolean {
  return origin !== 'storage-grid' && origin !== 'unproven';
}

export function sumWh(portions: readonly { energyWh: number }[]): number {
  return portions.reduce((sum, { energyWh }) => sum + energyWh, 0);
}

/** What a household claims from itself, and what that leaves to sell or to buy (design section 5). */
export function selfClaim(energy: SlotEnergy, lots: readonly Lot[]): HouseholdClaims {
  const producedWh = energy.generatedWh + energy.dischargedWh;
  const usedWh = energy.consumptionWh + energy.chargedWh;
  const [lotsDischarged, lotsKept] = take(lots, energy.dischargedWh);
  const unprovenWh = energy.dischargedWh - sumWh(lotsDischarged);
  const minted = portions([
    { origin: 'direct', energyWh: energy.generatedWh },
    ...LOT_SOURCES.map((source) => ({
      origin: STORAGE_ORIGIN[source],
      energyWh: sumWh(lotsDischarged.filter((lot) => lot.source === source)),
    })),
    { origin: 'unproven', energyWh: unprovenWh },
  ]);
  const selfWh = Math.min(producedWh, usedWh);
  const [self, toSell] = take(minted, selfWh);
  const lackingWh = usedWh - selfWh;
  const toBuyWh = Math.min(lackingWh, Math.max(energy.importWh - energy.exportWh, 0));
  return {
    producedWh,
    usedWh,
    minted,
    self,
    toSell,
    toBuyWh,
    unexplainedUseWh: lackingWh - toBuyWh,
    fromNeighbors: [],
    lotsDischarged,
    lotsKept,
  };
}

/**
 * Moves what a trade can really claim from seller to buyer: at most what the one has left to sell
 * and the other left to buy.
 * @returns the claimed portions
 */
export function neighborClaim(
  seller: HouseholdClaims,
  buyer: HouseholdClaims,
  energyWh: number,
): Portion[] {
  const claimWh = Math.min(energyWh, sumWh(seller.toSell), buyer.toBuyWh);
  const [claimed, left] = take(seller.toSell, claimWh);
  seller.toSell = left;
  buyer.toBuyWh -= claimWh;
  buyer.fromNeighbors.push(...claimed);
  return claimed;
}

/** Where the consumption and the charge of a slot came from, once all neighbor claims are made. */
export interface UseSources {
  /** Wh of consumption by source; zero where a source gave none. */
  consumption: Record<UseSource, number>;
  lotsCharged: Lot[];
  /** Lots beyond the usable capacity, oldest first. */
  lotsLost: Lot[];
  lotsAfter: Lot[];
}

/**
 * Sources cover consumption first, then charge.
 * @param usableWh of all batteries of the household
 */
export function coverUses(
  claims: HouseholdClaims,
  energy: SlotEnergy,
  slot: string,
  usableWh: number,
): UseSources {
  const sources: { source: UseSource; keeps: LotSource; energyWh: number }[] = [
    ...claims.self.map(({ origin, energyWh }) => ({
      source: 'own' as const,
      keeps: ownLot(origin),
      energyWh,
    })),
    ...claims.fromNeighbors.map(({ origin, energyWh }) => ({
      source: 'neighbor' as const,
      keeps: isClean(origin) ? ('neighbor' as const) : ('grid' as const),
      energyWh,
    })),
    { source: 'grid', keeps: 'grid', energyWh: claims.toBuyWh },
    { source: 'unexplained', keeps: 'grid', energyWh: claims.unexplainedUseWh },
  ];
  const [consumed, charged] = take(sources, energy.consumptionWh);
  const consumption = { own: 0, neighbor: 0, grid: 0, unexplained: 0 };
  for (const { source, energyWh } of consumed) consumption[source] += energyWh;
  const lotsCharged = LOT_SOURCES.map((source) => ({
    chargedIn: slot,
    source,
    energyWh: sumWh(charged.filter(({ keeps }) => keeps === source)),
  })).filter(({ energyWh }) => energyWh > 0);
  const held = [...claims.lotsKept, ...lotsCharged];
  const [lotsLost, lotsAfter] = take(held, Math.max(sumWh(held) - usableWh, 0));
  return { consumption, lotsCharged, lotsLost, lotsAfter };
}

/** Energy that a battery took from the grid stays grid energy, however often it is stored again. */
function ownLot(origin: Origin): LotSource {
  if (!isClean(origin)) return 'grid';
  return origin === 'storage-neighbor' ? 'neighbor' : 'own';
}

/** Takes up to `energyWh` from the front. @returns what was taken, and what is left */
function take<Part extends { energyWh: number }>(
  parts: readonly Part[],
  energyWh: number,
): [Part[], Part[]] {
  const taken: Part[] = [];
  const left: Part[] = [];
  let wanted = energyWh;
  for (const part of parts) {
    const takenWh = Math.min(part.energyWh, wanted);
    wanted -= takenWh;
    if (takenWh > 0) taken.push({ ...part, energyWh: takenWh });
    if (takenWh < part.energyWh) left.push({ ...part, energyWh: part.energyWh - takenWh });
  }
  return [taken, left];
}

function portions(all: readonly Portion[]): Portion[] {
  return all.filter(({ energyWh }) => energyWh > 0);
}
