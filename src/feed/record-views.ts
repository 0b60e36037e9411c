import type { z } from 'zod';
import type { StoredRecord } from '../ledger/record.js';
import type { Instant } from '../units/slot.js';
import type { FeedEvent, SettlementMessage } from './feed-event.js';
import * as journal from './journal-facts.js';

export type WithoutEach<T, Keys extends PropertyKey> = T extends unknown ? Omit<T, Keys> : never;

/** What an event says beyond what every event has. */
export type Body = WithoutEach<FeedEvent, 'room' | 'microgrid' | 'sequence' | 'previous' | 'at'>;

/** Household id to the alias under which neighbors know it. */
export type Aliases = ReadonlyMap<string, string>;

/** A record as each view may see it; null where nothing may be said but that it exists. */
export interface Views {
  /** The slot, or the instant, that decides who may see it. */
  of: Instant;
  household(household: string): Body | null;
  microgrid: Body | null;
  operator: Body | null;
  regulator: Body | null;
}

/** What each view sees of a record. A record with other facts than expected shows nothing. */
export function viewsOf(record: StoredRecord, aliases: Aliases): Views {
  const { at } = record;
  switch (record.kind) {
    case 'order':
      return record.facts['action'] === 'matched'
        ? read(record, [journal.match, (facts) => match(facts, aliases)])
        : read(record, [journal.order, order], [journal.limits, limits]);
    case 'gate':
      return read(record, [journal.gate, (facts) => gate(facts, aliases)]);
    case 'trade':
      return read(record, [journal.trade, (facts) => trade(facts, aliases)]);
    case 'household-slot':
      return read(record, [journal.householdSlot, (facts) => settlement(facts.settlement, 0)]);
    case 'slot-closed':
      return read(record, [journal.slotClosed, slotClosed]);
    case 'correction':
      return read(
        record,
        [journal.householdCorrection, (facts) => settlement(facts.after, facts.revision)],
        [journal.correction, correction],
      );
    case 'true-up':
      return read(record, [journal.trueUp, trueUp]);
    case 'award':
      return read(record, [journal.award, award]);
    case 'deposit':
      return read(record, [journal.deposit, (facts) => deposit(facts, at)]);
    case 'tariff':
      return read(record, [journal.tariff, (facts) => tariff(facts, at)]);
    default:
      return nothing(at);
  }
}

/** The settlement that a record makes or corrects, as devices receive it; null for other records. */
export function settlementOf(record: StoredRecord): SettlementMessage | null {
  if (record.kind !== 'household-slot' && record.kind !== 'correction') return null;
  const views = viewsOf(record, new Map());
  for (const household of record.households) {
    const event = views.household(household);
    if (event?.type !== 'settlement') continue;
    const { type: _type, view: _view, tariffMicro: _tariffMicro, ...message } = event;
    return { ...message, sequence: record.sequence };
  }
  return null;
}

/** A shape of facts, and the views of a record with such facts. */
type Reading<T> = readonly [schema: z.ZodType<T>, views: (facts: T) => Views];

function read<A, B = never>(record: StoredRecord, first: Reading<A>, second?: Reading<B>): Views {
  const known = first[0].safeParse(record.facts);
  if (known.success) return first[1](known.data);
  const other = second?.[0].safeParse(record.facts);
  if (second && other?.success) return second[1](other.data);
  return nothing(record.at);
}

function nothing(of: Instant): Views {
  return { of, household: () => null, microgrid: null, operator: null, regulator: null };
}

function order(facts: journal.Order): Views {
  const { household, action, slot, side, energyWh, priceMicroPerKwh, filledWh } = facts;
  const level = {
    action,
    slot,
    side,
    energyWh,
    priceMicroPerKwh,
    ...(filledWh === undefined ? {} : { filledWh }),
  };
  const { timeInForce } = facts;
  const full = {
    type: 'order',
    ...level,
    order: facts.order,
    household,
    delivery: facts.delivery,
    ...(timeInForce === undefined ? {} : { timeInForce }),
  } as const;
  return {
    ...nothing(slot),
    household: (id) => (id === household ? { ...full, view: 'household' } : null),
    microgrid: { type: 'order', view: 'microgrid', ...level },
    operator: { ...full, view: 'operator' },
  };
}

function limits(facts: journal.Limits): Views {
  const { household, sellAboveMicroPerKwh, buyBelowMicroPerKwh, validFrom } = facts;
  const body = {
    type: 'limits',
    household,
    sellAboveMicroPerKwh,
    buyBelowMicroPerKwh,
    validFrom,
  } as const;
  return {
    ...nothing(validFrom),
    household: (id) => (id === household ? { ...body, view: 'household' } : null),
    operator: { ...body, view: 'operator' },
  };
}

function gate(facts: journal.Gate, aliases: Aliases): Views {
  const { slot, clearingPriceMicroPerKwh, tradedWh } = facts;
  const outcome = { type: 'gate', slot, clearingPriceMicroPerKwh } as const;
  return {
    ...nothing(slot),
    household: (id) => ({
      ...outcome,
      view: 'household',
      household: id,
      ...metByHousehold(facts, id, aliases),
    }),
    microgrid: { ...outcome, view: 'microgrid', tradedWh },
    operator: { ...outcome, view: 'operator', tradedWh, ...metForOperator(facts) },
  };
}

function match(facts: journal.Match, aliases: Aliases): Views {
  const { slot } = facts;
  const met = { type: 'match', slot } as const;
  return {
    ...nothing(slot),
    household: (id) => ({
      ...met,
      view: 'household',
      household: id,
      ...metByHousehold(facts, id, aliases),
    }),
    microgrid: {
      ...met,
      view: 'microgrid',
      trades: facts.trades.map(({ energyWh, sellerPriceMicroPerKwh }) => ({
        energyWh,
        priceMicroPerKwh: sellerPriceMicroPerKwh,
      })),
    },
    operator: { ...met, view: 'operator', ...metForOperator(facts) },
  };
}

type Met = Pick<journal.Gate, 'orders' | 'trades'>;

/** A household's own orders, and its own side of its trades. */
function metByHousehold(facts: Met, id: string, aliases: Aliases) {
  return {
    orders: facts.orders.flatMap(({ household, ...own }) => (household === id ? [own] : [])),
    trades: facts.trades.flatMap((made) => {
      const own = ownSide(made, id, aliases);
      const { trade: name, energyWh, firm } = made;
      return own ? [{ trade: name, ...own, energyWh, firm }] : [];
    }),
  };
}

function metForOperator(facts: Met) {
  return {
    orders: facts.orders,
    trades: facts.trades.map(({ trade: name, buyer, seller, energyWh, firm }) => ({
      trade: name,
      buyer,
      seller,
      energyWh,
      firm,
    })),
  };
}

function trade(facts: journal.Trade, aliases: Aliases): Views {
  const { slot, energyWh, settledWh, claimedWh } = facts;
  return {
    ...nothing(slot),
    household: (id) => {
      const own = ownSide(facts, id, aliases);
      if (!own) return null;
      const amountMicro = own.side === 'bought' ? -facts.costMicro : facts.proceedsMicro;
      return {
        type: 'trade',
        view: 'household',
        slot,
        trade: facts.trade,
        household: id,
        ...own,
        energyWh,
        settledWh,
        claimedWh,
        amountMicro,
      };
    },
    microgrid: {
      type: 'trade',
      view: 'microgrid',
      slot,
      trade: facts.trade,
      energyWh,
      priceMicroPerKwh: facts.sellerPriceMicroPerKwh,
    },
    operator: { type: 'trade', view: 'operator', ...facts },
  };
}

/** A trade as one of its two parties sees it; null for everyone else. */
function ownSide(
  made: Pick<
    journal.Trade,
    'buyer' | 'seller' | 'buyerPriceMicroPerKwh' | 'sellerPriceMicroPerKwh'
  >,
  household: string,
  aliases: Aliases,
): { side: 'bought' | 'sold'; counterparty: string; priceMicroPerKwh: number } | null {
  if (household === made.buyer) {
    const counterparty = aliases.get(made.seller) ?? UNKNOWN_ALIAS;
    return { side: 'bought', counterparty, priceMicroPerKwh: made.buyerPriceMicroPerKwh };
  }
  if (household === made.seller) {
    const counterparty = aliases.get(made.buyer) ?? UNKNOWN_ALIAS;
    return { side: 'sold', counterparty, priceMicroPerKwh: made.sellerPriceMicroPerKwh };
  }
  return null;
}

// Never an id: ids are for operators.
const UNKNOWN_ALIAS = 'a neighbor';

function settlement(facts: journal.Settlement, revision: number): Views {
  const body = { type: 'settlement', ...facts, revision } as const;
  return {
    ...nothing(facts.slot),
    household: (id) => (id === facts.household ? { ...body, view: 'household' } : null),
    operator: { ...body, view: 'operator' },
  };
}

function slotClosed(facts: journal.SlotClosed): Views {
  const { slot, slotEnd, clearingPriceMicroPerKwh, trades, tradedWh, households, supply } = facts;
  const closed = { type: 'slot-closed', slot, slotEnd, clearingPriceMicroPerKwh } as const;
  return {
    ...nothing(slot),
    microgrid: { ...closed, view: 'microgrid', trades, tradedWh },
    operator: { ...closed, view: 'operator', trades, tradedWh, households, supply },
    regulator: { ...closed, view: 'regulator' },
  };
}

function correction({ slot, revision }: journal.Correction): Views {
  return {
    ...nothing(slot),
    household: () => ({ type: 'correction', view: 'household', slot, revision }),
    operator: { type: 'correction', view: 'operator', slot, revision },
  };
}

function trueUp(facts: journal.TrueUp): Views {
  const { household, border, energy, tariff: priced, money } = facts;
  const body = { type: 'true-up', household, border, ...energy, ...priced, ...money } as const;
  return {
    // The slot's: who lived there then may see it.
    ...nothing(facts.slot),
    household: (id) => (id === household ? { ...body, view: 'household' } : null),
    operator: { ...body, view: 'operator' },
  };
}

function award({ household, pseudonym, ...awarded }: journal.Award): Views {
  return {
    // The period's: an award for a former tenant's energy is not shown to the next.
    ...nothing(awarded.periodFrom),
    household: (id) =>
      id === household ? { type: 'award', view: 'household', household, ...awarded } : null,
    operator: { type: 'award', view: 'operator', household, ...awarded },
    regulator: { type: 'award', view: 'regulator', pseudonym, ...awarded },
  };
}

function deposit(facts: journal.Deposit, at: Instant): Views {
  return {
    ...nothing(at),
    household: (id) =>
      id === facts.household ? { type: 'deposit', view: 'household', ...facts } : null,
    operator: { type: 'deposit', view: 'operator', ...facts },
  };
}

function tariff(facts: journal.Tariff, at: Instant): Views {
  return {
    ...nothing(at),
    microgrid: { type: 'tariff', view: 'microgrid', ...facts },
    operator: { type: 'tariff', view: 'operator', ...facts },
  };
}
