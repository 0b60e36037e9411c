import type { RecordBody, RecordDraft } from '../ledger/record.js';
import type { HeldOrder } from '../market/market-records.js';
import type { OrderStatus } from '../market/order.js';
import type { Trade } from '../market/trade.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Row } from './finding.js';

/** Orders and their trades as records tell them, and the row that an order leaves. */

export type ServedOrderFacts = {
  order: string;
  household: string;
  status: OrderStatus;
  filledWh: number;
};

export type BookedOrder = HeldOrder & { sequence: number; requestHash: Uint8Array };

export function servedIn({ facts }: { facts: JsonObject }): ServedOrderFacts[] {
  return facts['orders'] as ServedOrderFacts[];
}

/** A record that cannot be made again, as it is. */
export function asTold({ kind, at, cause, households, facts, transfers }: RecordBody): RecordDraft {
  const posted = transfers.map(({ pending, ...line }) =>
    pending === undefined ? line : { ...line, pendingId: pending },
  );
  return { kind, at, cause, keyHolder: '', households, facts, transfers: posted };
}

type TradeFacts = Omit<Trade, 'congestionMicroPerKwh'> & {
  trade: string;
  bid: string;
  ask: string;
  hold: string | null;
  congestionMicroPerKwh?: number;
};

/** The trades as the record of a gate, or of a match, tells them. */
export function tradesIn({ facts }: RecordBody): Trade[] {
  const { trades } = facts as JsonObject & { trades: TradeFacts[] };
  return trades.map(({ trade, bid, ask, hold, congestionMicroPerKwh = 0, ...rest }) => ({
    ...rest,
    congestionMicroPerKwh,
    tradeId: trade,
    bidId: bid,
    askId: ask,
    holdId: hold,
  }));
}

/** Who placed it and under which key is hashed into the order's id, and held against it there. */
export function rowOf(order: BookedOrder, status: OrderStatus): Row {
  return {
    order_id: order.id,
    household_id: order.household,
    slot_start: order.slot,
    side: order.side,
    energy_wh: order.energyWh,
    price_micro_per_kwh: order.priceMicroPerKwh,
    delivery: order.delivery,
    time_in_force: order.timeInForce ?? 'gtc',
    status,
    filled_wh: order.filledWh,
    hold_id: order.holdId,
    sequence: order.sequence,
    request_hash: order.requestHash,
    placed_by: undefined,
    idempotency_key: undefined,
  };
}
