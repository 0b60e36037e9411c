import {
  explainBook,
  limitWithin,
  orderKey,
  type ExplainedBook,
  type FairOrder,
} from '../market/fairness.js';
import { priceRuleWords, rationingWords, reasonWords } from '../market/fairness-words.js';
import { coveredWh, standingBook } from '../market/metered-market.js';
import { shareOut, type Share, type SharingHousehold } from '../market/metered-sharing.js';
import { reasonsFor, type Reason } from '../market/order-reasons.js';
import type { Order } from '../market/order.js';
import type { MatchedTrade } from '../market/trade.js';
import { parseInstant, type Instant } from '../units/slot.js';
import { selfClaim } from './claims.js';
import { atMarket, type SlotHousehold, type SlotTerms } from './close-slot.js';
import { timeAt } from './statement.js';

/**
 * The fairness of one slot, told from what its records say: figures that anybody in the microgrid may
 * see, and for a household why each of its orders was served as it was.
 */

export interface ExplainedSlot {
  readonly terms: SlotTerms;
  /** Where orders met: at the gate, or, with the energy metered, when the slot closed. */
  readonly basis: 'gate' | 'close';
  /** How often the slot has been corrected. */
  readonly revision: number;
  /** Market time of the record that made its trades. */
  readonly at: Instant;
  readonly timeZone: string;
  readonly book: ExplainedBook;
}

export type SlotFairness = ReturnType<typeof slotFairness>;
export type RegulatorFairness = ReturnType<typeof regulatorFairness>;
export type OrderFairness = ReturnType<typeof orderFairness>[number];

/** The standing orders of a slot that made its trades when it closed. */
export function explainClose(
  terms: SlotTerms,
  households: readonly SlotHousehold[],
  trades: readonly MatchedTrade[],
): ExplainedBook {
  const { rules, tariff, sharing } = terms;
  const claims = new Map(
    households.map(({ householdId, energy, lots }) => [householdId, selfClaim(energy, lots)]),
  );
  const metered = atMarket(households, claims);
  if (sharing === null) {
    const { bids, asks, walletLimited } = standingBook({ households: metered, tariff, rules });
    const limited = new Set(walletLimited);
    const booked = new Map([...bids, ...asks].map((order) => [order.id, order]));
    const orders = metered.flatMap((one) => {
      const { quantity = 0, wishes = [], solar = false } = booked.get(one.householdId) ?? {};
      const enteredWh = limited.has(one.householdId) ? quantity : one.toBuyWh;
      return standingOrder(one, enteredWh).map((order) => ({ ...order, wishes, solar }));
    });
    return explainBook({ rules, tariff, orders, trades, pool: null, continuous: false });
  }
  const pool = shareOut({ households: metered, tariff, pricing: rules.pricing, sharing });
  const shares = new Map(pool.households.map((one, at) => [one.householdId, pool.shares[at]!]));
  const sellers = metered.filter(
    (one) => limitWithin(tariff, 'ask', one.sellAboveMicroPerKwh) !== null && one.toSellWh > 0,
  ).length;
  const entered = (one: SharingHousehold, { wantedWh, coveredWh: inPool }: Share) => {
    const limit = limitWithin(tariff, 'bid', one.buyBelowMicroPerKwh);
    return wantedWh > 0 || limit === null ? inPool : coveredWh(one, limit, sellers);
  };
  return explainBook({
    rules,
    tariff,
    orders: metered.flatMap((one) =>
      standingOrder(one, entered(one, shares.get(one.householdId)!)),
    ),
    trades,
    pool: { rules: sharing, price: pool.price, buyerPrice: pool.buyerPrice, shares },
    continuous: false,
  });
}

/** The orders of a slot that met ahead of it. */
export function explainOrders(
  { rules, tariff, mechanism }: SlotTerms,
  orders: readonly (Order & { readonly feeder: string | null })[],
  trades: readonly MatchedTrade[],
): ExplainedBook {
  const fair = orders.map((order) => ({
    id: order.id,
    household: order.household,
    side: order.side,
    feeder: order.feeder,
    setMicroPerKwh: order.priceMicroPerKwh,
    wantedWh: order.energyWh,
    enteredWh: order.status === 'cancelled' ? order.filledWh : order.energyWh,
    isTakenBack: order.status === 'cancelled',
    isAtOnce: order.timeInForce !== 'gtc',
    sequence: order.sequence,
  }));
  const continuous = mechanism === 'continuous';
  return explainBook({ rules, tariff, orders: fair, trades, pool: null, continuous });
}

/** What every member may see of a slot, nodes and wires aside. */
export function slotFairness(slot: ExplainedSlot) {
  const { terms, book } = slot;
  const { figures } = book;
  return {
    ...outline(slot),
    priceIntervalMicroPerKwh: figures.interval === null ? null : [...figures.interval],
    rule: {
      pricing: terms.rules.pricing,
      kThousandths: terms.rules.kThousandths,
      words: priceRuleWords(terms.mechanism, terms.rules, figures, wordingOf(slot)),
    },
    rationing: {
      rule: terms.sharing?.key ?? terms.rules.rationing,
      words: rationingWords(terms.mechanism, terms.rules, terms.sharing),
    },
    tradedWh: figures.tradedWh,
    possibleWh: figures.possibleWh,
    welfareMicro: figures.welfareMicro,
    possibleWelfareMicro: figures.possibleWelfareMicro,
  };
}

/** What a regulator may see: no energy of a single slot, and no household's limit. */
export function regulatorFairness(slot: ExplainedSlot) {
  const { terms, book } = slot;
  const { pricing, kThousandths } = terms.rules;
  const words = priceRuleWords(
    terms.mechanism,
    terms.rules,
    { ...book.figures, interval: null },
    wordingOf(slot),
  );
  return { ...outline(slot), rule: { pricing, kThousandths, words } };
}

function outline({ terms, basis, revision, book: { figures } }: ExplainedSlot) {
  return {
    slot: terms.slot,
    slotEnd: terms.slotEnd,
    mechanism: terms.mechanism,
    basis,
    revision,
    currency: terms.currency,
    priceMicroPerKwh: figures.price,
    shareThousandths: figures.shareThousandths,
  };
}

/** Each node with its price and its wire, by id. */
export function nodeFairness({ book: { figures } }: ExplainedSlot) {
  const wires = new Map(figures.wires.map(({ node, ...wire }) => [node, wire]));
  return figures.nodes.map(({ node, price, interval }) => ({
    node,
    priceMicroPerKwh: price,
    priceIntervalMicroPerKwh: interval === null ? null : [...interval],
    wire: wires.get(node) ?? null,
  }));
}

/** Why each order of a household was served as it was, by id. */
export function orderFairness(slot: ExplainedSlot, household: string) {
  const { book, terms } = slot;
  const wording = wordingOf(slot);
  return book.orders
    .filter((order) => order.household === household)
    .map((order) => {
      const standing = slot.basis === 'close';
      const told = { ...wording, side: order.side, standing, rationing: terms.rules.rationing };
      return {
        order: standing ? null : order.id,
        side: order.side,
        limitMicroPerKwh: order.setMicroPerKwh,
        wantedWh: order.wantedWh,
        filledWh: book.served.get(orderKey(order.side, order.id))?.filledWh ?? 0,
        reasons: reasonsFor(book, order).map((reason: Reason) => ({
          code: reason.code,
          energyWh: reason.energyWh,
          figures: reason.figures,
          words: reasonWords(reason, told),
        })),
      };
    });
}

function standingOrder(one: SharingHousehold, enteredWh: number): FairOrder[] {
  const { householdId: id, feeder, toSellWh, toBuyWh } = one;
  const order = { id, household: id, feeder };
  if (toSellWh > 0) {
    const setMicroPerKwh = one.sellAboveMicroPerKwh;
    return [{ ...order, side: 'ask', setMicroPerKwh, wantedWh: toSellWh, enteredWh: toSellWh }];
  }
  if (toBuyWh === 0) return [];
  const setMicroPerKwh = one.buyBelowMicroPerKwh;
  return [{ ...order, side: 'bid', setMicroPerKwh, wantedWh: toBuyWh, enteredWh }];
}

function wordingOf({ terms, timeZone }: ExplainedSlot) {
  const time = (instant: Instant) => timeAt(parseInstant(instant), timeZone);
  return { currency: terms.currency, when: `from ${time(terms.slot)} to ${time(terms.slotEnd)}` };
}
