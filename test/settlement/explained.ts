import type { ClearingRules } from '../../src/market/clearing.js';
import { clearOrders } from '../../src/market/gate-clearing.js';
import type { BookedOrder } from '../../src/market/market.service.js';
import type { TimeInForce } from '../../src/market/order.js';
import { SlotBook } from '../../src/market/slot-book.js';
import type { MatchedTrade } from '../../src/market/trade.js';
import type { NetworkNode, Tariff } from '../../src/parties/microgrid.js';
import { closeSlot, type SlotHousehold, type SlotTerms } from '../../src/settlement/close-slot.js';
import {
  explainClose,
  explainOrders,
  type ExplainedSlot,
} from '../../src/settlement/slot-fairness.js';
import { rules } from '../market/rules.js';

/** Slots that were closed, and gates that were cleared, and then explained. */

const TARIFF: Tariff = {
  retailMicroPerKwh: 300_000,
  feedInMicroPerKwh: 50_000,
  gridFeeMicroPerKwh: 0,
};

export interface Chosen {
  rules?: Partial<ClearingRules>;
  tariff?: Partial<Tariff>;
  sharing?: SlotTerms['sharing'];
}

export function termsOf({ rules: chosen, tariff, sharing = null }: Chosen): SlotTerms {
  return {
    microgridId: 'street',
    slot: '2026-06-01T10:15:00Z',
    slotEnd: '2026-06-01T10:30:00Z',
    currency: 'EUR',
    mechanism: sharing === null ? 'metered' : 'sharing',
    rules: rules(chosen),
    sharing,
    tariff: { ...TARIFF, ...tariff },
  };
}

interface Home {
  sellAbove?: number;
  buyBelow?: number;
  wallet?: number;
  feeder?: string;
  parts?: number;
  /** A premium for solar energy. */
  sun?: number;
}

/** `+900` has 900 Wh to sell, `-800` needs 800 Wh. */
export function home(householdId: string, netWh: number, more: Home = {}): SlotHousehold {
  const [exportWh, importWh] = [Math.max(netWh, 0), Math.max(-netWh, 0)];
  return {
    householdId,
    feeder: more.feeder ?? null,
    share: { parts: more.parts ?? 1, rank: 0 },
    energy: {
      importWh,
      exportWh,
      generatedWh: exportWh,
      chargedWh: 0,
      dischargedWh: 0,
      consumptionWh: importWh,
      unexplainedWh: 0,
      quality: 'measured',
    },
    limits: {
      sellAboveMicroPerKwh: more.sellAbove ?? null,
      buyBelowMicroPerKwh: more.buyBelow ?? null,
      ...(more.sun === undefined
        ? {}
        : { wishes: [{ kind: 'solar', premiumMicroPerKwh: more.sun }] }),
    },
    availableMicro: more.wallet ?? 1_000_000_000,
    usableWh: 0,
    lots: [],
  };
}

/** Closes a slot of these households and explains it from what its records would say. */
export function closed(households: SlotHousehold[], chosen: Chosen = {}): ExplainedSlot {
  const terms = termsOf(chosen);
  const { trades } = closeSlot({ terms, households, trades: [] });
  const book = explainClose(terms, households, trades);
  return { terms, basis: 'close', revision: 0, at: terms.slotEnd, timeZone: 'Europe/Berlin', book };
}

/** `['b1', 'B', 'bid', 500, 200_000]`; under `continuous` with how long it stays. */
export type OrderRow = [
  id: string,
  household: string,
  side: 'bid' | 'ask',
  energyWh: number,
  price: number,
  timeInForce?: TimeInForce,
];

/** An order of a slot, as it was placed. */
export function order(row: OrderRow, at: number, feeder: string | null = null): BookedOrder {
  const [id, household, side, energyWh, priceMicroPerKwh, timeInForce = 'gtc'] = row;
  return {
    microgrid: 'street',
    id,
    household,
    slot: '2026-06-01T10:15:00Z',
    side,
    energyWh,
    priceMicroPerKwh,
    delivery: 'delivered',
    timeInForce,
    status: 'open',
    filledWh: 0,
    sequence: at + 1,
    feeder,
  };
}

/** Clears a gate of these orders and explains it. */
export function gated(
  rows: readonly OrderRow[],
  chosen: Chosen = {},
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const orders = rows.map((row, at) => order(row, at));
  return explainedOrders(termsOf(chosen), orders, coverMicro);
}

export function explainedOrders(
  chosen: SlotTerms,
  orders: readonly BookedOrder[],
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const terms: SlotTerms = { ...chosen, mechanism: 'call-auction' };
  const { trades } = clearOrders({
    orders: orders.map((one) => ({ ...one, orderId: one.id, householdId: one.household })),
    tariff: terms.tariff,
    rules: terms.rules,
    coverMicro,
  });
  return asGate(terms, orders, trades);
}

/** Lets orders come one after the other, and explains the slot at its gate. */
export function traded(rows: readonly OrderRow[], chosen: Chosen = {}): ExplainedSlot {
  const terms: SlotTerms = { ...termsOf(chosen), mechanism: 'continuous' };
  const book = new SlotBook(terms.tariff, []);
  const orders = new Map(rows.map((row, at) => [row[0], order(row, at)]));
  const trades: MatchedTrade[] = [];
  for (const came of orders.values()) {
    const { timeInForce, ...placed } = came;
    const arrival = book.place(
      { ...placed, ...(timeInForce === 'gtc' ? {} : { timeInForce }) },
      () => Infinity,
    );
    if (arrival.outcome !== 'taken' || arrival.match === null) continue;
    trades.push(...arrival.match.trades);
    for (const { orderId, status, filledWh } of arrival.match.orders) {
      orders.set(orderId, { ...orders.get(orderId)!, status, filledWh });
    }
  }
  const known = [...orders.values()].filter(
    (one) => one.status !== 'cancelled' || one.filledWh > 0,
  );
  return asGate(terms, known, trades);
}

function asGate(
  terms: SlotTerms,
  orders: readonly BookedOrder[],
  trades: readonly MatchedTrade[],
): ExplainedSlot {
  const book = explainOrders(terms, orders, trades);
  return { terms, basis: 'gate', revision: 0, at: terms.slotEnd, timeZone: 'Europe/Berlin', book };
}

/** Substation, and a feeder to the east whose wire carries 1,000 W, 250 Wh in a quarter of an hour. */
export function wires(east: Partial<NetworkNode> = {}): Partial<ClearingRules> {
  const node = { feeMicroPerKwh: 0, capacityUpW: null, capacityDownW: null };
  return {
    network: {
      validFrom: '2026-06-01T00:00:00Z',
      nodes: [
        { node: 'substation', parent: null, ...node },
        { node: 'east', parent: 'substation', ...node, ...east },
      ],
    },
  };
}
