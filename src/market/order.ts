import { createHash } from 'node:crypto';
import { takesOrders, type Mechanism, type Tariff } from '../parties/microgrid.js';
import { canonicalJson } from '../units/canonical-json.js';
import {
  formatInstant,
  isSlotBorder,
  parseInstant,
  slotStartOf,
  type Instant,
  type SlotMinutes,
} from '../units/slot.js';

/** An order with an energy for a coming slot: what it says, whether it may be placed, its names. */

export type Side = 'bid' | 'ask';
export type Delivery = 'delivered' | 'firm';
/**
 * How long an order stays under `continuous`: until its gate; `ioc`, immediate or cancel: what does not
 * trade at once is dropped; `fok`, fill or kill: all of it trades at once, or nothing.
 */
export const TIMES_IN_FORCE = ['gtc', 'ioc', 'fok'] as const;
export type TimeInForce = (typeof TIMES_IN_FORCE)[number];
export type OrderStatus = 'open' | 'filled' | 'partly-filled' | 'unfilled' | 'cancelled';

/** What a person asks for; already parsed, with a canonical slot. */
export type OrderRequest = {
  readonly microgrid: string;
  readonly household: string;
  readonly slot: Instant;
  readonly side: Side;
  readonly energyWh: number;
  /** A bid's price includes the grid fee. */
  readonly priceMicroPerKwh: number;
  readonly delivery: Delivery;
  /** Absent: `gtc`, which is never spelt out, so that records and hashes of such orders stay the same. */
  readonly timeInForce?: Exclude<TimeInForce, 'gtc'>;
};

export type Order = Omit<OrderRequest, 'timeInForce'> & {
  readonly timeInForce: TimeInForce;
  readonly id: string;
  readonly status: OrderStatus;
  readonly filledWh: number;
  /** The record that placed it. */
  readonly sequence: number;
};

/** Why an order is not taken; the first that applies, in this order. */
export const REFUSALS = [
  'idempotency_conflict',
  'mechanism_takes_no_orders',
  'never_at_once',
  'unknown_slot',
  'gate_closed',
  'price_outside_tariffs',
  'energy_not_positive',
  'above_connection_limit',
  'opposite_side_open',
  'too_many_orders',
  'exceeds_balance',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** What decides about an order besides the order itself. */
export interface OrderContext {
  readonly now: Instant;
  readonly mechanism: Mechanism;
  readonly slotMinutes: SlotMinutes;
  readonly startsAt: Instant;
  readonly gateClosureSeconds: number;
  /** Whether the gate of the slot has been cleared already. */
  readonly gateCleared: boolean;
  readonly tariff: Tariff;
  readonly importLimitW: number | null;
  readonly exportLimitW: number | null;
  readonly activeFrom: Instant;
  readonly activeUntil: Instant | null;
  /** The household's open orders for the slot, with what is not traded of them. */
  readonly open: readonly { readonly side: Side; readonly energyWh: number }[];
  /** What it has bought and sold for the slot already. */
  readonly traded: Readonly<Record<Side, number>>;
}

export const MAX_DAYS_AHEAD = 7;
export const MAX_OPEN_ORDERS = 50;

/** Whether the order may be placed, as far as it can be told before its money is held. */
export function judgeOrder(request: OrderRequest, context: OrderContext): Refusal | 'accepted' {
  const { mechanism } = context;
  if (!takesOrders(mechanism)) return 'mechanism_takes_no_orders';
  if (request.timeInForce && mechanism !== 'continuous') return 'never_at_once';
  if (!isSlotOf(request.slot, context)) return 'unknown_slot';
  if (context.gateCleared || isGateClosed(request.slot, context)) return 'gate_closed';
  const { retailMicroPerKwh, feedInMicroPerKwh } = context.tariff;
  if (
    request.priceMicroPerKwh < feedInMicroPerKwh ||
    request.priceMicroPerKwh > retailMicroPerKwh
  ) {
    return 'price_outside_tariffs';
  }
  if (request.energyWh <= 0) return 'energy_not_positive';
  if (committedWh(request, context) + request.energyWh > connectionWh(request.side, context)) {
    return 'above_connection_limit';
  }
  // Where orders meet one by one, an older one of its own gives way instead (`slot-book.ts`).
  const isOpposite = context.open.some(({ side }) => side !== request.side);
  if (mechanism === 'call-auction' && isOpposite) return 'opposite_side_open';
  if (context.open.length >= MAX_OPEN_ORDERS) return 'too_many_orders';
  return 'accepted';
}

/** Whether orders for the slot are no longer taken or given back: from its gate closure on. */
export function isGateClosed(
  slot: Instant,
  { now, gateClosureSeconds }: Pick<OrderContext, 'now' | 'gateClosureSeconds'>,
): boolean {
  return parseInstant(now) >= parseInstant(slot) - gateClosureSeconds * 1000;
}

/** The next slot whose gate is still open. */
export function firstOpenSlot(
  now: Instant,
  { slotMinutes, gateClosureSeconds }: Pick<OrderContext, 'slotMinutes' | 'gateClosureSeconds'>,
): Instant {
  const closing = parseInstant(now) + gateClosureSeconds * 1000;
  return formatInstant(slotStartOf(closing, slotMinutes) + slotMinutes * 60_000);
}

/** 16 bytes in hex: the same person and key always name the same order. */
export function orderId(microgridId: string, personId: string, idempotencyKey: string): string {
  return sha256(canonicalJson(['neighborwatt/order/v1', microgridId, personId, idempotencyKey]))
    .toString('hex')
    .slice(0, 32);
}

/** What tells a repeated request from another one under the same key. */
export function requestHash(request: OrderRequest): Buffer {
  return sha256(canonicalJson(request));
}

/** A slot in the microgrid's life in which the household is a member, not too far ahead. */
function isSlotOf(slot: Instant, context: OrderContext): boolean {
  const start = parseInstant(slot);
  return (
    isSlotBorder(start, context.slotMinutes) &&
    start >= parseInstant(context.startsAt) &&
    start >= parseInstant(context.activeFrom) &&
    (context.activeUntil === null || start < parseInstant(context.activeUntil)) &&
    start <= parseInstant(context.now) + MAX_DAYS_AHEAD * 86_400_000
  );
}

function committedWh({ side }: OrderRequest, { open, traded }: OrderContext): number {
  return open.reduce(
    (sum, order) => (order.side === side ? sum + order.energyWh : sum),
    traded[side],
  );
}

/** The energy that the household's connection carries in one slot. */
export function connectionWh(
  side: Side,
  context: Pick<OrderContext, 'importLimitW' | 'exportLimitW' | 'slotMinutes'>,
): number {
  const limitW = side === 'bid' ? context.importLimitW : context.exportLimitW;
  return limitW === null ? Infinity : Math.floor((limitW * context.slotMinutes) / 60);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
