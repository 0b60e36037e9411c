import {
  billOf,
  consumptionOf,
  productionOf,
  storageOf,
  SYSTEM,
  TOKENS,
  isOutOfCirculation,
  walletOf,
  type Token,
} from '../ledger/accounts.js';
import type { RecordDraft, TransferDraft } from '../ledger/record.js';
import { congestionFacts, wishFacts } from '../market/market-records.js';
import type { MeterSlot } from '../metering/measurement.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import { sumWh, type HouseholdClaims, type SlotEnergy, type UseSources } from './claims.js';
import type { SettledHousehold, SettledSlot, SettledTrade, SlotTerms } from './close-slot.js';

/**
 * A settled slot as records of the journal: one a household, one a trade; `manifest.ts` closes the
 * slot behind them. Everything needed to settle the slot again stands in the facts.
 */

/** Tokens in circulation per asset. */
export type Supply = Record<Token, number>;

/** A slot's records in the order in which they are posted, but for the manifests behind them. */
export function slotRecords(
  slot: SettledSlot,
  registers: ReadonlyMap<string, readonly MeterSlot[]>,
): RecordDraft[] {
  return [
    ...slot.households.map((household) =>
      householdRecord(slot.terms, household, registers.get(household.input.householdId) ?? []),
    ),
    ...slot.trades.map((trade) => tradeRecord(slot.terms, trade)),
  ];
}

/** Where a slot's records come from; a slot is closed once, so each cause is used once. */
export const causeOf = {
  household: (slot: Instant, household: string) => `slot/${slot}/household/${household}`,
  trade: (slot: Instant, number: number) => `slot/${slot}/trade/${number}`,
  closed: (slot: Instant) => `slot/${slot}/closed`,
};

function householdRecord(
  terms: SlotTerms,
  household: SettledHousehold,
  registers: readonly MeterSlot[],
): RecordDraft {
  const id = household.input.householdId;
  return {
    kind: 'household-slot',
    at: terms.slotEnd,
    cause: causeOf.household(terms.slot, id),
    keyHolder: id,
    households: [id],
    facts: householdFacts(terms, household, registers),
    transfers: householdTransfers(terms, household),
  };
}

/** The facts of a `household-slot` record; a `correction` carries the same as its `after`. */
export function householdFacts(
  terms: SlotTerms,
  { input, uses, claims, settlement }: SettledHousehold,
  registers: readonly MeterSlot[],
): JsonObject {
  // Wishes are a field of their own: they may name a neighbor, and a receipt names none.
  const { wishes = [], ...limits } = input.limits;
  return {
    household: input.householdId,
    slot: terms.slot,
    slotEnd: terms.slotEnd,
    registers: registers.map(registerFacts),
    energy: { ...input.energy },
    tariff: { ...terms.tariff },
    limits,
    ...wishFacts(wishes),
    ...(terms.rules.network === null ? {} : { feeder: input.feeder }),
    ...(terms.sharing === null ? {} : { share: { ...input.share } }),
    availableMicro: input.availableMicro,
    battery: {
      usableWh: input.usableWh,
      before: [...input.lots],
      discharged: claims.lotsDischarged,
      charged: uses.lotsCharged,
      lost: uses.lotsLost,
      after: uses.lotsAfter,
    },
    sources: { ...uses.consumption },
    settlement,
  };
}

function registerFacts({ meterId, role, register, start, end }: MeterSlot): JsonObject {
  return {
    meter: meterId,
    role,
    register,
    startWh: start?.valueWh ?? null,
    startQuality: start?.quality ?? null,
    startReadings: [...(start?.readingHashes ?? [])],
    ...(start?.offsets === undefined ? {} : { startOffsets: start.offsets }),
    ...(start?.likeDays === undefined ? {} : { startLikeDays: start.likeDays }),
    endWh: end?.valueWh ?? null,
    endQuality: end?.quality ?? null,
    endReadings: [...(end?.readingHashes ?? [])],
    ...(end?.offsets === undefined ? {} : { endOffsets: end.offsets }),
    ...(end?.likeDays === undefined ? {} : { endLikeDays: end.likeDays }),
  };
}

/** Tokens minted and retired for the household alone, and its money with the utility. */
export function householdTransfers(
  terms: SlotTerms,
  { input, claims, uses, settlement }: SettledHousehold,
): TransferDraft[] {
  const bill = billOf(input.householdId);
  const { currency } = terms;
  const { utilityMicro } = settlement;
  const money =
    utilityMicro >= 0
      ? line(SYSTEM.utility, bill, currency, utilityMicro, 'to-utility')
      : line(bill, SYSTEM.utility, currency, -utilityMicro, 'from-utility');
  return [
    ...householdTokens(input.householdId, { energy: input.energy, claims, uses }),
    ...(money.amount > 0 ? [money] : []),
  ];
}

/** Tokens minted and retired for the household alone; what neighbors claim, trades retire. */
export function householdTokens(
  id: string,
  of: { energy: SlotEnergy; claims: HouseholdClaims; uses: UseSources },
): TransferDraft[] {
  const { energy, claims, uses } = of;
  const production = token('PRODUCTION');
  const consumption = token('CONSUMPTION');
  const storage = token('STORAGE');
  const transfers = [
    ...claims.minted.map(({ origin, energyWh }) =>
      production(SYSTEM.issued('PRODUCTION'), productionOf(id), energyWh, `mint-${origin}`),
    ),
    consumption(
      SYSTEM.issued('CONSUMPTION'),
      consumptionOf(id),
      energy.consumptionWh,
      'mint-consumption',
    ),
    storage(SYSTEM.issued('STORAGE'), storageOf(id), energy.chargedWh, 'mint-storage'),
    production(productionOf(id), SYSTEM.retired('PRODUCTION'), sumWh(claims.self), 'self-claim'),
    production(productionOf(id), SYSTEM.grid('PRODUCTION'), sumWh(claims.toSell), 'to-grid'),
    ...(['own', 'neighbor', 'grid', 'unexplained'] as const).map((source) =>
      consumption(
        consumptionOf(id),
        SYSTEM.retired('CONSUMPTION'),
        uses.consumption[source],
        `consume-${source}`,
      ),
    ),
    storage(storageOf(id), SYSTEM.retired('STORAGE'), sumWh(claims.lotsDischarged), 'discharge'),
    storage(storageOf(id), SYSTEM.loss('STORAGE'), sumWh(uses.lotsLost), 'storage-loss'),
  ];
  return transfers.filter(({ amount }) => amount > 0);
}

function tradeRecord(terms: SlotTerms, trade: SettledTrade): RecordDraft {
  return {
    kind: 'trade',
    at: terms.slotEnd,
    cause: causeOf.trade(terms.slot, trade.number),
    keyHolder: '',
    households: [trade.buyer, trade.seller],
    facts: tradeFacts(terms, trade),
    transfers: [...tradeTokens(trade), ...tradeMoney(terms, trade)],
  };
}

/** What the journal says of a trade; its readers get the fields that concern them. */
export function tradeFacts(terms: SlotTerms, trade: SettledTrade): JsonObject {
  return {
    slot: terms.slot,
    number: trade.number,
    trade: trade.tradeId,
    buyer: trade.buyer,
    seller: trade.seller,
    bid: trade.bidId,
    ask: trade.askId,
    energyWh: trade.energyWh,
    settledWh: trade.settledWh,
    claimedWh: sumWh(trade.claimed),
    claimed: trade.claimed,
    buyerPriceMicroPerKwh: trade.buyerPriceMicroPerKwh,
    sellerPriceMicroPerKwh: trade.sellerPriceMicroPerKwh,
    costMicro: trade.costMicro,
    proceedsMicro: trade.proceedsMicro,
    firm: trade.firm,
    hold: trade.holdId,
    ...congestionFacts(trade),
    ...(trade.wish === undefined ? {} : { wish: trade.wish }),
  };
}

/** The claim moves PRODUCTION to the buyer, who retires it against its uses. */
export function tradeTokens({ buyer, seller, claimed }: SettledTrade): TransferDraft[] {
  const claimedWh = sumWh(claimed);
  if (claimedWh === 0) return [];
  const production = token('PRODUCTION');
  return [
    production(productionOf(seller), productionOf(buyer), claimedWh, 'neighbor-transfer'),
    production(productionOf(buyer), SYSTEM.retired('PRODUCTION'), claimedWh, 'neighbor-claim'),
  ];
}

/** A trade made ahead settles its hold and frees the rest; one made at close is paid directly. */
export function tradeMoney(terms: SlotTerms, trade: SettledTrade): TransferDraft[] {
  const { currency } = terms;
  const feeMicro = trade.costMicro - trade.proceedsMicro - trade.congestionMicro;
  const payer = trade.holdId === null ? walletOf(trade.buyer) : SYSTEM.market;
  const paid = [
    line(payer, walletOf(trade.seller), currency, trade.proceedsMicro, 'trade'),
    line(payer, SYSTEM.gridFees, currency, feeMicro, 'grid-fee'),
    line(payer, SYSTEM.congestionRent, currency, trade.congestionMicro, 'congestion-rent'),
  ].filter(({ amount }) => amount > 0);
  if (trade.holdId === null) return paid;
  const hold = line(walletOf(trade.buyer), SYSTEM.market, currency, trade.costMicro, 'trade-hold');
  const state = trade.costMicro > 0 ? ('post' as const) : ('void' as const);
  return [{ ...hold, state, pendingId: trade.holdId }, ...paid];
}

/** Per token: in circulation before, minted, retired (grid and loss included), and after. */
export function supplyChange(transfers: readonly TransferDraft[], before: Supply): JsonObject {
  return Object.fromEntries(
    TOKENS.map((asset) => {
      let minted = 0;
      let retired = 0;
      for (const transfer of transfers) {
        if (transfer.asset !== asset) continue;
        const { debit, credit, amount } = transfer;
        if (debit === SYSTEM.issued(asset)) minted += amount;
        if (credit === SYSTEM.issued(asset)) minted -= amount;
        if (isOutOfCirculation(credit)) retired += amount;
        if (isOutOfCirculation(debit)) retired -= amount;
      }
      return [
        asset,
        { before: before[asset], minted, retired, after: before[asset] + minted - retired },
      ];
    }),
  );
}

function token(asset: Token) {
  return (debit: string, credit: string, amount: number, code: string): TransferDraft =>
    line(debit, credit, asset, amount, code);
}

function line(
  debit: string,
  credit: string,
  asset: string,
  amount: number,
  code: string,
): TransferDraft {
  return { debit, credit, asset, amount, code };
}
