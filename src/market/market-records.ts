import { SYSTEM, walletOf, type AccountTerms } from '../ledger/accounts.js';
import { transferId, type RecordDraft, type TransferDraft } from '../ledger/record.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import type { JsonObject } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import type { Instant } from '../units/slot.js';
import { tradeCostMicro, type ClearedGate } from './gate-clearing.js';
import type { OrderRequest } from './order.js';
import type { StandingWish } from './limits.js';
import type { MatchedOrder, OrderMatch } from './slot-book.js';
import { numberTrades, type MatchedTrade, type Trade } from './trade.js';

/** What the market writes into the journal, and the money that it holds in wallets meanwhile. */

/** An order in the book, with the hold on its worst cost; asks hold nothing. */
export type HeldOrder = OrderRequest & {
  readonly id: string;
  readonly holdId: string | null;
  readonly filledWh: number;
};

/** As a gate takes it. */
export type GatedOrder = HeldOrder & { readonly sequence: number; readonly feeder: string | null };

/** Wallets may owe what the microgrid grants everyone and what the household has on top. */
export function walletTerms(microgrid: Microgrid, household: Household): AccountTerms {
  return {
    account: walletOf(household.householdId),
    limited: true,
    creditLimit: microgrid.creditLimitMicro + household.creditLimitMicro,
  };
}

/** The record that places an order, and the id of the hold in it. */
export function orderPlaced(
  microgrid: Microgrid,
  request: OrderRequest,
  id: string,
  at: Instant,
): { draft: RecordDraft; holdId: string | null } {
  const cause = `order/${id}/placed`;
  const worstMicro =
    request.side === 'bid' ? costMicro(request.energyWh, request.priceMicroPerKwh) : 0;
  const transfers = worstMicro > 0 ? [hold(microgrid, request.household, worstMicro, 'order')] : [];
  const holdId = worstMicro > 0 ? transferId(microgrid.microgridId, cause, 0) : null;
  return { draft: orderRecord('placed', request, id, cause, at, transfers), holdId };
}

/** The record that takes an open order out of the book and frees its money. */
export function orderCancelled(microgrid: Microgrid, order: HeldOrder, at: Instant): RecordDraft {
  const cause = `order/${order.id}/cancelled`;
  const draft = orderRecord('cancelled', order, order.id, cause, at, released(microgrid, order));
  // What was traded before stays traded.
  const { filledWh } = order;
  return filledWh === 0 ? draft : { ...draft, facts: { ...draft.facts, filledWh } };
}

/** The one record of a gate: every hold of the book is freed, and each trade holds its exact cost. */
export function gateRecord(
  microgrid: Microgrid,
  slot: Instant,
  at: Instant,
  book: readonly HeldOrder[],
  cleared: ClearedGate,
): { draft: RecordDraft; trades: Trade[] } {
  const cause = `gate/${slot}`;
  const transfers = book.flatMap((order) => released(microgrid, order));
  const numbered = numberTrades(microgrid.microgridId, slot, cleared.trades);
  const trades = held(microgrid, cause, numbered, transfers);
  const draft: RecordDraft = {
    kind: 'gate',
    at,
    cause,
    keyHolder: '',
    households: book.map(({ household }) => household),
    facts: {
      slot,
      clearingPriceMicroPerKwh: cleared.clearingPrice,
      tradedWh: cleared.tradedWh,
      orders: servedFacts(cleared.orders),
      trades: trades.map(tradeFacts),
    },
    transfers,
  };
  return { draft, trades };
}

/** Where an order of a match stands afterwards; `holdId` is the last hold that it had. */
export type ReheldOrder = MatchedOrder & { readonly holdId: string | null };

/**
 * The record of what an order met when it came, right behind the one that placed it: the holds of all
 * these orders are freed, each trade holds its exact cost, and what goes on resting the cost of its rest.
 * @param firstNumber of its trades: those of a slot are numbered through
 */
export function matchRecord(
  microgrid: Microgrid,
  slot: Instant,
  at: Instant,
  match: OrderMatch,
  holdOf: (orderId: string) => string | null,
  firstNumber: number,
): { draft: RecordDraft; trades: Trade[]; orders: ReheldOrder[] } {
  const { microgridId } = microgrid;
  const cause = `order/${match.by}/matched`;
  const households = [...new Set(match.orders.map(({ householdId }) => householdId))];
  const transfers = match.orders.flatMap(({ orderId, householdId }) =>
    released(microgrid, { household: householdId, holdId: holdOf(orderId) }),
  );
  const numbered = numberTrades(microgridId, slot, match.trades, 0, firstNumber);
  const trades = held(microgrid, cause, numbered, transfers);
  const orders = match.orders.map((order): ReheldOrder => {
    const { status, householdId, heldMicro } = order;
    if (status !== 'open') return { ...order, holdId: holdOf(order.orderId) };
    if (heldMicro === 0) return { ...order, holdId: null };
    const line = transfers.push(hold(microgrid, householdId, heldMicro, 'order')) - 1;
    return { ...order, holdId: transferId(microgridId, cause, line) };
  });
  const draft: RecordDraft = {
    kind: 'order',
    at,
    cause,
    // A neighbor's trades stay when a household is forgotten.
    keyHolder: households.length === 1 ? households[0]! : '',
    households,
    facts: {
      action: 'matched',
      order: match.by,
      slot,
      orders: servedFacts(match.orders),
      trades: trades.map(tradeFacts),
    },
    transfers,
  };
  return { draft, trades, orders };
}

/** Adds a hold on the exact cost of each trade. @returns the trades with their holds */
function held(
  microgrid: Microgrid,
  cause: string,
  trades: readonly Trade[],
  transfers: TransferDraft[],
): Trade[] {
  return trades.map((trade): Trade => {
    const micro = tradeCostMicro(trade);
    if (micro === 0) return trade;
    const line = transfers.push(hold(microgrid, trade.buyer, micro, 'trade')) - 1;
    return { ...trade, holdId: transferId(microgrid.microgridId, cause, line) };
  });
}

function servedFacts(
  orders: readonly Pick<MatchedOrder, 'orderId' | 'householdId' | 'status' | 'filledWh'>[],
): JsonObject[] {
  return orders.map(({ orderId, householdId, status, filledWh }) => ({
    order: orderId,
    household: householdId,
    status,
    filledWh,
  }));
}

function tradeFacts(trade: Trade): JsonObject {
  return {
    number: trade.number,
    trade: trade.tradeId,
    buyer: trade.buyer,
    seller: trade.seller,
    bid: trade.bidId,
    ask: trade.askId,
    hold: trade.holdId,
    energyWh: trade.energyWh,
    buyerPriceMicroPerKwh: trade.buyerPriceMicroPerKwh,
    sellerPriceMicroPerKwh: trade.sellerPriceMicroPerKwh,
    firm: trade.firm,
    ...congestionFacts(trade),
  };
}

/** Only where wires were full: most trades of most streets pay no such rent. */
export function congestionFacts({ congestionMicroPerKwh }: MatchedTrade): JsonObject {
  return congestionMicroPerKwh === 0 ? {} : { congestionMicroPerKwh };
}

/** The record of new limits; `sequence` is the one it will get, which tells changes of a slot apart. */
export function limitsRecord(
  household: string,
  limits: {
    validFrom: Instant;
    sellAboveMicroPerKwh: number | null;
    buyBelowMicroPerKwh: number | null;
    wishes?: StandingWish[];
  },
  sequence: number,
  at: Instant,
): RecordDraft {
  return {
    kind: 'order',
    at,
    cause: `limits/${household}/${sequence}`,
    keyHolder: household,
    households: [household],
    facts: {
      action: 'limits',
      household,
      validFrom: limits.validFrom,
      sellAboveMicroPerKwh: limits.sellAboveMicroPerKwh,
      buyBelowMicroPerKwh: limits.buyBelowMicroPerKwh,
      ...wishFacts(limits.wishes ?? []),
    },
    transfers: [],
  };
}

/** Only where there are any: most households take what comes. */
export function wishFacts(wishes: StandingWish[]): { wishes?: StandingWish[] } {
  return wishes.length === 0 ? {} : { wishes };
}

function orderRecord(
  action: 'placed' | 'cancelled',
  order: OrderRequest,
  id: string,
  cause: string,
  at: Instant,
  transfers: readonly TransferDraft[],
): RecordDraft {
  const { household, slot, side, energyWh, priceMicroPerKwh, delivery, timeInForce } = order;
  return {
    kind: 'order',
    at,
    cause,
    keyHolder: household,
    households: [household],
    facts: {
      action,
      order: id,
      household,
      slot,
      side,
      energyWh,
      priceMicroPerKwh,
      delivery,
      ...(timeInForce === undefined ? {} : { timeInForce }),
    },
    transfers,
  };
}

function hold(
  { currency }: Microgrid,
  household: string,
  amount: number,
  what: 'order' | 'trade',
): TransferDraft {
  return {
    debit: walletOf(household),
    credit: SYSTEM.market,
    asset: currency,
    amount,
    code: `${what}-hold`,
    state: 'pending',
  };
}

function released(
  { currency }: Microgrid,
  { household, holdId }: Pick<HeldOrder, 'household' | 'holdId'>,
): TransferDraft[] {
  if (holdId === null) return [];
  return [
    {
      debit: walletOf(household),
      credit: SYSTEM.market,
      asset: currency,
      amount: 0,
      code: 'order-release',
      state: 'void',
      pendingId: holdId,
    },
  ];
}
