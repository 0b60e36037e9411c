import type { ClearingRules } from '../../src/market/clearing.js';
import { clearOrders, type BookOrder } from '../../src/market/gate-clearing.js';
import type { GatedOrder } from '../../src/market/market-records.js';
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

/** `['b1', 'B', 'bid', 500, 200_000]` */
export type OrderRow = [
  id: string,
  household: string,
  side: 'bid' | 'ask',
  energyWh: number,
  price: number,
];

/** Clears a gate of these orders and explains it. */
export function gated(
  rows: readonly OrderRow[],
  chosen: Chosen = {},
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const terms: SlotTerms = { ...termsOf(chosen), mechanism: 'call-auction' };
  const orders = rows.map(([id, household, side, energyWh, price], index) => ({
    microgrid: 'street',
    id,
    orderId: id,
    household,
    householdId: household,
    slot: terms.slot,
    side,
    energyWh,
    priceMicroPerKwh: price,
    delivery: 'delivered' as const,
    feeder: null,
    holdId: null,
    filledWh: 0,
    sequence: index + 1,
  }));
  return explainedOrders(terms, orders, coverMicro);
}

export function explainedOrders(
  terms: SlotTerms,
  orders: readonly (GatedOrder & BookOrder)[],
  coverMicro: (household: string) => number = () => Infinity,
): ExplainedSlot {
  const { tariff } = terms;
  const { trades } = clearOrders({ orders, tariff, rules: terms.rules, coverMicro });
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
