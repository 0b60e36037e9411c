import { z } from 'zod';
import { settlementFields } from './feed-event.js';

/** The facts of the journal's records as far as the feed reads them; more fields are allowed. */

const wh = z.int();
const micro = z.int();
const nullablePrice = z.int().nullable();

export const order = z.object({
  action: z.enum(['placed', 'cancelled']),
  order: z.string(),
  household: z.string(),
  slot: z.string(),
  side: z.enum(['bid', 'ask']),
  energyWh: wh,
  priceMicroPerKwh: micro,
  delivery: z.enum(['delivered', 'firm']),
  timeInForce: z.enum(['ioc', 'fok']).optional(),
  filledWh: wh.optional(),
});

export const limits = z.object({
  action: z.literal('limits'),
  household: z.string(),
  sellAboveMicroPerKwh: nullablePrice,
  buyBelowMicroPerKwh: nullablePrice,
  validFrom: z.string(),
});

/** What became of orders that met, and the trades they made. */
const met = {
  slot: z.string(),
  orders: z.array(
    z.object({ order: z.string(), household: z.string(), status: z.string(), filledWh: wh }),
  ),
  trades: z.array(
    z.object({
      trade: z.string(),
      buyer: z.string(),
      seller: z.string(),
      energyWh: wh,
      buyerPriceMicroPerKwh: micro,
      sellerPriceMicroPerKwh: micro,
      firm: z.boolean(),
    }),
  ),
};

export const gate = z.object({
  ...met,
  clearingPriceMicroPerKwh: nullablePrice,
  tradedWh: wh,
});

export const match = z.object({ ...met, action: z.literal('matched') });

export const trade = z.object({
  slot: z.string(),
  trade: z.string(),
  buyer: z.string(),
  seller: z.string(),
  energyWh: wh,
  settledWh: wh,
  claimedWh: wh,
  buyerPriceMicroPerKwh: micro,
  sellerPriceMicroPerKwh: micro,
  costMicro: micro,
  proceedsMicro: micro,
  firm: z.boolean(),
});

const settlement = z.object({ ...settlementFields, tariffMicro: micro.optional() });

export const householdSlot = z.object({ settlement });

/** A household's part of a corrected slot. */
export const householdCorrection = z.object({
  slot: z.string(),
  revision: z.int().positive(),
  household: z.string(),
  after: settlement,
});

/** The record that completes the correction of a slot. */
export const correction = z.object({ slot: z.string(), revision: z.int().positive() });

/** Energy of slots that stand, and what it costs now. */
export const trueUp = z.object({
  household: z.string(),
  slot: z.string(),
  border: z.string(),
  energy: z.object({ importWh: wh, exportWh: wh }),
  tariff: z.object({ retailMicroPerKwh: micro, feedInMicroPerKwh: micro }),
  money: z.object({ netMicro: micro, currency: z.string() }),
});

const supply = z.object({
  before: z.int(),
  minted: z.int(),
  retired: z.int(),
  after: z.int(),
});

/** The supply of each asset is a fact of its own, `supply.PRODUCTION`, so that it opens alone. */
export const slotClosed = z
  .looseObject({
    slot: z.string(),
    slotEnd: z.string(),
    households: z.int(),
    trades: z.int(),
    tradedWh: wh,
    clearingPriceMicroPerKwh: nullablePrice,
  })
  .transform((facts) => ({
    ...facts,
    supply: Object.fromEntries(
      Object.entries(facts).flatMap(([name, fact]) => {
        const parsed = name.startsWith(SUPPLY) ? supply.safeParse(fact) : null;
        return parsed?.success ? [[name.slice(SUPPLY.length), parsed.data] as const] : [];
      }),
    ),
  }));

const SUPPLY = 'supply.';

export const award = z.object({
  program: z.string(),
  household: z.string(),
  pseudonym: z.string(),
  periodFrom: z.string(),
  periodTo: z.string(),
  claimedWh: wh,
  rateMicroPerKwh: micro,
  amountMicro: micro,
  currency: z.string(),
});

export const deposit = z.object({
  household: z.string(),
  direction: z.enum(['deposit', 'payout']),
  amountMicro: micro,
  currency: z.string(),
  reference: z.string(),
});

export const tariff = z.object({
  validFrom: z.string(),
  bands: z.array(
    z.object({
      fromMinute: z.int(),
      retailMicroPerKwh: micro,
      feedInMicroPerKwh: micro,
      gridFeeMicroPerKwh: micro,
    }),
  ),
});

export type Order = z.output<typeof order>;
export type Limits = z.output<typeof limits>;
export type Gate = z.output<typeof gate>;
export type Match = z.output<typeof match>;
export type Trade = z.output<typeof trade>;
export type Settlement = z.output<typeof settlement>;
export type SlotClosed = z.output<typeof slotClosed>;
export type Correction = z.output<typeof correction>;
export type TrueUp = z.output<typeof trueUp>;
export type Award = z.output<typeof award>;
export type Deposit = z.output<typeof deposit>;
export type Tariff = z.output<typeof tariff>;
