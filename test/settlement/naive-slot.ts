import type { Lot, Origin } from '../../src/settlement/claims.js';

/**
 * The twin of `closeSlot`: every Wh is a thing of its own that is produced, claimed, stored and lost
 * one after the other, and money is counted in fractions until each line is rounded. Slow, and
 * without a formula: it follows the energy accounting and the settlement sentence by sentence.
 */
export interface NaiveHousehold {
  id: string;
  importWh: number;
  exportWh: number;
  /** Null without a generation meter. */
  generatedWh: number | null;
  chargedWh: number;
  dischargedWh: number;
  usableWh: number;
  lots: readonly Lot[];
}

export interface NaiveTrade {
  buyer: string;
  seller: string;
  energyWh: number;
  buyerPrice: number;
  sellerPrice: number;
  firm: boolean;
}

type Source = 'own' | 'neighbor' | 'grid' | 'unexplained';
type Stored = { chargedIn: string; source: 'own' | 'neighbor' | 'grid' };

class Home {
  readonly consumptionWh: number;
  readonly unexplainedWh: number;
  readonly generatedWh: number;
  produced: Origin[] = [];
  /** Sources of the Wh used, in the order in which they were covered. */
  used: { source: Source; origin: Origin | null }[] = [];
  wantedWh = 0;
  lots: Stored[];
  unprovenWh = 0;
  selfWh = 0;
  cleanSelfWh = 0;
  fromNeighborsWh = 0;
  cleanFromNeighborsWh = 0;
  toNeighborsWh = 0;
  soldWh = 0;
  boughtWh = 0;
  neighborMicro = 0;
  feeMicro = 0;
  toGridWh = 0;
  fromGridWh = 0;
  unexplainedUseWh = 0;
  lostWh = 0;
  consumed: Record<Source, number> = { own: 0, neighbor: 0, grid: 0, unexplained: 0 };

  constructor(readonly given: NaiveHousehold) {
    const { importWh, exportWh, chargedWh, dischargedWh } = given;
    this.generatedWh =
      given.generatedWh ?? Math.max(exportWh - dischargedWh + Math.max(chargedWh - importWh, 0), 0);
    const balance = importWh + this.generatedWh + dischargedWh - exportWh - chargedWh;
    this.consumptionWh = balance < 0 ? 0 : balance;
    this.unexplainedWh = balance < 0 ? -balance : 0;
    this.lots = given.lots.flatMap(({ chargedIn, source, energyWh }) =>
      Array.from({ length: energyWh }, () => ({ chargedIn, source })),
    );
  }
}

export function naiveSlot(
  households: readonly NaiveHousehold[],
  trades: readonly NaiveTrade[],
  slot: string,
  tariff: { retail: number; feedIn: number },
) {
  const homes = new Map(households.map((household) => [household.id, new Home(household)]));
  for (const home of homes.values()) produceAndUse(home);
  const settled = trades.map((trade) => deliver(trade, homes, tariff));
  return {
    trades: settled,
    homes: new Map(
      [...homes].map(([id, home]) => {
        leftToGrid(home);
        store(home, slot);
        const { importWh, exportWh } = home.given;
        const imbalanceWh = exportWh - importWh - home.soldWh + home.boughtWh;
        const utilityMicro = utility(imbalanceWh, tariff);
        return [
          id,
          {
            ...home,
            imbalanceWh,
            utilityMicro,
            netMicro: home.neighborMicro + utilityMicro,
            tariffMicro: utility(exportWh - importWh, tariff),
          },
        ];
      }),
    ),
  };
}

/** Mint: generation first, then what the lots give up, oldest first; and claim from oneself. */
function produceAndUse(home: Home): void {
  for (let wh = 0; wh < home.generatedWh; wh += 1) home.produced.push('direct');
  const discharged: Origin[] = [];
  for (let wh = 0; wh < home.given.dischargedWh; wh += 1) {
    const lot = home.lots.shift();
    discharged.push(lot ? `storage-${lot.source}` : 'unproven');
    if (!lot) home.unprovenWh += 1;
  }
  for (const origin of ['storage-own', 'storage-neighbor', 'storage-grid', 'unproven'] as const) {
    home.produced.push(...discharged.filter((one) => one === origin));
  }
  let uses = home.consumptionWh + home.given.chargedWh;
  while (uses > 0 && home.produced.length > 0) {
    const origin = home.produced.shift()!;
    home.used.push({ source: 'own', origin });
    home.selfWh += 1;
    if (isClean(origin)) home.cleanSelfWh += 1;
    uses -= 1;
  }
  const netImportWh = Math.max(home.given.importWh - home.given.exportWh, 0);
  home.wantedWh = uses < netImportWh ? uses : netImportWh;
  home.unexplainedUseWh = uses - home.wantedWh;
}

/** One Wh after the other, as long as there is one to give and one wanted. */
function deliver(
  trade: NaiveTrade,
  homes: ReadonlyMap<string, Home>,
  tariff: { retail: number; feedIn: number },
) {
  const seller = homes.get(trade.seller);
  const buyer = homes.get(trade.buyer);
  const claimed: Origin[] = [];
  const outOfDate = trade.buyerPrice > tariff.retail || trade.sellerPrice < tariff.feedIn;
  if (!seller || !buyer || (outOfDate && !trade.firm)) {
    return { claimed, settledWh: 0, costMicro: 0, proceedsMicro: 0 };
  }
  while (claimed.length < trade.energyWh && seller.produced.length > 0 && buyer.wantedWh > 0) {
    const origin = seller.produced.shift()!;
    buyer.wantedWh -= 1;
    claimed.push(origin);
    buyer.used.push({ source: 'neighbor', origin });
    buyer.fromNeighborsWh += 1;
    if (isClean(origin)) buyer.cleanFromNeighborsWh += 1;
    seller.toNeighborsWh += 1;
  }
  const settledWh = trade.firm ? trade.energyWh : claimed.length;
  const costMicro = rounded(settledWh, trade.buyerPrice);
  const proceedsMicro = rounded(settledWh, trade.sellerPrice);
  seller.soldWh += settledWh;
  seller.neighborMicro += proceedsMicro;
  buyer.boughtWh += settledWh;
  buyer.neighborMicro -= costMicro;
  buyer.feeMicro += costMicro - proceedsMicro;
  return { claimed, settledWh, costMicro, proceedsMicro };
}

function leftToGrid(home: Home): void {
  home.toGridWh = home.produced.length;
  home.fromGridWh = home.wantedWh;
  for (let wh = 0; wh < home.wantedWh; wh += 1) home.used.push({ source: 'grid', origin: null });
  for (let wh = 0; wh < home.unexplainedUseWh; wh += 1) {
    home.used.push({ source: 'unexplained', origin: null });
  }
}

/** Sources cover consumption first; what is charged goes into lots: own, neighbor, grid. */
function store(home: Home, slot: string): void {
  const charged: Stored[] = [];
  home.used.forEach(({ source, origin }, index) => {
    if (index < home.consumptionWh) home.consumed[source] += 1;
    else charged.push({ chargedIn: slot, source: keptAs(source, origin) });
  });
  for (const source of ['own', 'neighbor', 'grid'] as const) {
    home.lots.push(...charged.filter((one) => one.source === source));
  }
  while (home.lots.length > home.given.usableWh) {
    home.lots.shift();
    home.lostWh += 1;
  }
}

/** What once came from the grid or from nowhere stays the grid's; the rest keeps who produced it. */
function keptAs(source: Source, origin: Origin | null): Stored['source'] {
  if (origin === null || !isClean(origin)) return 'grid';
  if (source === 'neighbor') return 'neighbor';
  return origin === 'storage-neighbor' ? 'neighbor' : 'own';
}

function isClean(origin: Origin): boolean {
  return origin === 'direct' || origin === 'storage-own' || origin === 'storage-neighbor';
}

function utility(surplusWh: number, tariff: { retail: number; feedIn: number }): number {
  return surplusWh < 0 ? 0 - rounded(-surplusWh, tariff.retail) : rounded(surplusWh, tariff.feedIn);
}

/** Thousandths of a micro-unit to the nearest whole one, the even one of two equally near. */
export function rounded(energyWh: number, priceMicroPerKwh: number): number {
  const thousandths = energyWh * priceMicroPerKwh;
  const whole = Math.floor(thousandths / 1000);
  const rest = thousandths - whole * 1000;
  if (rest > 500 || (rest === 500 && whole % 2 === 1)) return whole + 1;
  return whole;
}
