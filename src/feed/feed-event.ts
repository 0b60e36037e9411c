import { z } from 'zod';

/**
 * Everything that goes over the `/feed` namespace, in both directions: the one contract between the
 * service and whoever listens. Fields may be added; a changed meaning is a new event.
 *
 * The server emits `feed` with a list of events; all events of one record are in one list. An event
 * belongs to a room. `sequence` is the journal's; `previous` is the last sequence that this room saw
 * before, so a `previous` beyond what was received shows a gap. `at` is market time. `view` says
 * whose eyes the event is made for, and so which fields it has.
 */

const wh = z.int().nonnegative();
const micro = z.int();
const price = z.int().nonnegative();
const instant = z.iso.datetime();
const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
const sequence = z.int().nonnegative();

const VIEWS = ['household', 'microgrid', 'operator', 'regulator'] as const;
export type View = (typeof VIEWS)[number];

/** An event of `type` for one or more views, with what every event has. */
function event<
  Type extends string,
  Views extends readonly [View, ...View[]],
  Shape extends z.core.$ZodLooseShape,
>(type: Type, views: Views, shape: Shape) {
  return z.object({
    type: z.literal(type),
    view: z.literal(views),
    room: z.string(),
    microgrid: name,
    sequence,
    previous: sequence,
    at: instant,
    ...shape,
  });
}

/** What a household was settled for a slot; the same over MQTT. */
export const settlementFields = {
  household: name,
  slot: instant,
  producedWh: wh,
  consumedWh: wh,
  selfWh: wh,
  fromNeighborsWh: wh,
  toNeighborsWh: wh,
  fromGridWh: wh,
  toGridWh: wh,
  imbalanceWh: z.int(),
  netMicro: micro,
  currency: z.string().regex(/^[A-Z]{3}$/),
  quality: z.enum(['measured', 'interpolated', 'estimated', 'missing']),
};

const side = z.enum(['bid', 'ask']);
const filled = z.object({ order: z.string(), status: z.string(), filledWh: wh });
/** A trade as it was made, before it is settled. */
const madeForHousehold = z.object({
  trade: z.string(),
  side: z.enum(['bought', 'sold']),
  counterparty: z.string(),
  energyWh: wh,
  priceMicroPerKwh: price,
  firm: z.boolean(),
});
const madeForOperator = z.object({
  trade: z.string(),
  buyer: name,
  seller: name,
  energyWh: wh,
  firm: z.boolean(),
});
const awarded = {
  program: name,
  periodFrom: instant,
  periodTo: instant,
  claimedWh: wh,
  rateMicroPerKwh: price,
  amountMicro: micro,
  currency: z.string(),
};
const orderShape = {
  slot: instant,
  side,
  energyWh: wh,
  priceMicroPerKwh: price,
  /** Of an order that is cancelled, what had been traded. */
  filledWh: wh.optional(),
};
const orderAction = z.enum(['placed', 'cancelled']);
const closedSlot = { slot: instant, slotEnd: instant, clearingPriceMicroPerKwh: price.nullable() };

/** An order was placed or cancelled; the microgrid hears of the price level only. */
export const orderEvent = z.discriminatedUnion('view', [
  event('order', ['household', 'operator'], {
    action: orderAction,
    order: z.string(),
    household: name,
    ...orderShape,
    delivery: z.enum(['delivered', 'firm']),
    /** Absent: until its gate. */
    timeInForce: z.enum(['ioc', 'fok']).optional(),
  }),
  event('order', ['microgrid'], { action: orderAction, ...orderShape }),
]);

/** A household's limits changed, from `validFrom` on; null is the tariff. */
export const limitsEvent = event('limits', ['household', 'operator'], {
  household: name,
  sellAboveMicroPerKwh: price.nullable(),
  buyBelowMicroPerKwh: price.nullable(),
  validFrom: instant,
});

/** A gate closed: what became of the orders for a slot. */
export const gateEvent = z.discriminatedUnion('view', [
  event('gate', ['household'], {
    household: name,
    slot: instant,
    clearingPriceMicroPerKwh: price.nullable(),
    orders: z.array(filled),
    trades: z.array(madeForHousehold),
  }),
  event('gate', ['microgrid'], {
    slot: instant,
    clearingPriceMicroPerKwh: price.nullable(),
    tradedWh: wh,
  }),
  event('gate', ['operator'], {
    slot: instant,
    clearingPriceMicroPerKwh: price.nullable(),
    tradedWh: wh,
    orders: z.array(filled.extend({ household: name })),
    trades: z.array(madeForOperator),
  }),
]);

/**
 * Under `continuous`, what an order met the moment it was placed: to both sides of each trade, with what
 * became of their orders. Settled are these trades when the slot closes.
 */
export const matchEvent = z.discriminatedUnion('view', [
  event('match', ['household'], {
    household: name,
    slot: instant,
    orders: z.array(filled),
    trades: z.array(madeForHousehold),
  }),
  event('match', ['microgrid'], {
    slot: instant,
    trades: z.array(z.object({ energyWh: wh, priceMicroPerKwh: price })),
  }),
  event('match', ['operator'], {
    slot: instant,
    orders: z.array(filled.extend({ household: name })),
    trades: z.array(madeForOperator),
  }),
]);

/** A trade was settled. A household knows its counterparty by alias; the tape has no names. */
export const tradeEvent = z.discriminatedUnion('view', [
  event('trade', ['household'], {
    slot: instant,
    trade: z.string(),
    household: name,
    side: z.enum(['bought', 'sold']),
    counterparty: z.string(),
    energyWh: wh,
    settledWh: wh,
    claimedWh: wh,
    priceMicroPerKwh: price,
    amountMicro: micro,
  }),
  event('trade', ['microgrid'], {
    slot: instant,
    trade: z.string(),
    energyWh: wh,
    priceMicroPerKwh: price,
  }),
  event('trade', ['operator'], {
    slot: instant,
    trade: z.string(),
    buyer: name,
    seller: name,
    energyWh: wh,
    settledWh: wh,
    claimedWh: wh,
    buyerPriceMicroPerKwh: price,
    sellerPriceMicroPerKwh: price,
    costMicro: micro,
    proceedsMicro: micro,
    firm: z.boolean(),
  }),
]);

/** A slot is closed. A regulator sees no energy here: its cells are months, not slots. */
export const slotClosedEvent = z.discriminatedUnion('view', [
  event('slot-closed', ['microgrid'], { ...closedSlot, trades: z.int(), tradedWh: wh }),
  event('slot-closed', ['operator'], {
    ...closedSlot,
    trades: z.int(),
    tradedWh: wh,
    households: z.int(),
    supply: z.record(
      z.string(),
      z.object({ before: z.int(), minted: z.int(), retired: z.int(), after: z.int() }),
    ),
  }),
  event('slot-closed', ['regulator'], closedSlot),
]);

/** A household's settlement of a slot; `revision` 0, or counted up where it was corrected. */
export const settlementEvent = event('settlement', ['household', 'operator'], {
  ...settlementFields,
  /** The same net import and export at the tariff, without neighbors. */
  tariffMicro: micro.optional(),
  revision: z.int().nonnegative(),
});

/** The correction of a slot is complete: read its trades again. */
export const correctionEvent = event('correction', ['household', 'operator'], {
  slot: instant,
  revision: z.int().positive(),
});

/** Energy of slots too old to be corrected, up to `border`, booked at today's tariff; see `TrueUpFacts`. */
export const trueUpEvent = event('true-up', ['household', 'operator'], {
  household: name,
  border: instant,
  importWh: z.int(),
  exportWh: z.int(),
  retailMicroPerKwh: price,
  feedInMicroPerKwh: price,
  netMicro: micro,
  currency: z.string(),
});

/** A reward program paid; the regulator knows the household by the program's pseudonym. */
export const awardEvent = z.discriminatedUnion('view', [
  event('award', ['household', 'operator'], { household: name, ...awarded }),
  event('award', ['regulator'], { pseudonym: z.string(), ...awarded }),
]);

/** Money was paid into or out of a wallet. */
export const depositEvent = event('deposit', ['household', 'operator'], {
  household: name,
  direction: z.enum(['deposit', 'payout']),
  amountMicro: micro,
  currency: z.string(),
  reference: z.string(),
});

/** A tariff that will hold, or holds, from `validFrom` on. */
export const tariffEvent = event('tariff', ['microgrid', 'operator'], {
  validFrom: instant,
  bands: z.array(
    z.object({
      fromMinute: z.int(),
      retailMicroPerKwh: price,
      feedInMicroPerKwh: price,
      gridFeeMicroPerKwh: price,
    }),
  ),
});

/** Any other record that concerns the room, without its content; only operators see whom it names. */
export const recordEvent = event('record', VIEWS, {
  kind: z.string(),
  households: z.array(name),
});

/** Live power of a household, in W. Transient: stamped with the latest sequence, never resumed. */
export const readingEvent = event('reading', ['household'], {
  household: name,
  meter: name,
  role: z.enum(['grid', 'generation', 'storage']),
  powerW: z.int(),
});

/**
 * A meter that the household claimed was read for the first time since, at `at`. Transient: what of the
 * last days is so already comes first.
 */
export const firstReadingEvent = event('first-reading', ['household'], {
  household: name,
  meter: name,
  claimedAt: instant,
});

/** The log's latest published checkpoint, with its cosignatures. Transient. */
export const checkpointEvent = event('checkpoint', ['microgrid', 'operator', 'regulator'], {
  size: z.int().nonnegative(),
  note: z.string(),
});

const explainedSlot = {
  slot: instant,
  slotEnd: instant,
  mechanism: z.string(),
  /** Where orders met: at the gate, or, with what was metered, when the slot closed. */
  basis: z.enum(['gate', 'close']),
  revision: z.int().nonnegative(),
  currency: z.string(),
  priceMicroPerKwh: price.nullable(),
  /** Welfare reached of what the orders made possible; null where nothing was. */
  shareThousandths: z.int().nullable(),
  rule: z.object({ pricing: z.string(), kThousandths: z.int(), words: z.string() }),
};

/**
 * What the latest slot's market reached and made possible, and why a household's orders were served
 * as they were. Transient: the present state comes first, then what changes; earlier slots are at
 * `GET /v1/households/{household}/fairness` and `/v1/microgrids/{microgrid}/slots/{slot}/fairness`.
 */
export const fairnessEvent = z.discriminatedUnion('view', [
  event('fairness', ['household'], {
    household: name,
    slot: instant,
    slotEnd: instant,
    basis: explainedSlot.basis,
    revision: explainedSlot.revision,
    orders: z.array(
      z.object({
        /** Null: the household's limits, its standing order. */
        order: z.string().nullable(),
        side,
        limitMicroPerKwh: price.nullable(),
        wantedWh: wh,
        filledWh: wh,
        /** Their energy sums to what was wanted. */
        reasons: z.array(
          z.object({
            code: z.string(),
            energyWh: wh,
            figures: z.record(z.string(), z.union([z.int(), z.string()])),
            words: z.string(),
          }),
        ),
      }),
    ),
  }),
  event('fairness', ['microgrid', 'operator'], {
    ...explainedSlot,
    priceIntervalMicroPerKwh: z.array(price).nullable(),
    rationing: z.object({ rule: z.string(), words: z.string() }),
    tradedWh: wh,
    possibleWh: wh,
    welfareMicro: micro,
    possibleWelfareMicro: micro,
  }),
  event('fairness', ['regulator'], explainedSlot),
]);

export const feedEvent = z.discriminatedUnion('type', [
  orderEvent,
  limitsEvent,
  gateEvent,
  matchEvent,
  tradeEvent,
  slotClosedEvent,
  settlementEvent,
  correctionEvent,
  trueUpEvent,
  awardEvent,
  depositEvent,
  tariffEvent,
  recordEvent,
  readingEvent,
  firstReadingEvent,
  checkpointEvent,
  fairnessEvent,
]);
export type FeedEvent = z.output<typeof feedEvent>;

/** What the server emits as `feed`. */
export const feedFrame = z.array(feedEvent).min(1);

/** Client to server, answered by `subscribeAck`: events of a microgrid, after `since` if given. */
export const subscribeMessage = z.strictObject({ microgrid: name, since: sequence.optional() });

/** Every event of `rooms` after `sequence` will follow; a refusal says what to do. */
export const subscribeAck = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), sequence, rooms: z.array(z.string()) }),
  z.object({ ok: z.literal(false), code: z.string(), detail: z.string() }),
]);
export type SubscribeAck = z.output<typeof subscribeAck>;

/** Client to server: another token of the same person; keeps the socket open beyond the first. */
export const authenticateMessage = z.strictObject({ token: z.string().min(1).max(512) });
export const authenticateAck = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), expiresAt: instant }),
  z.object({ ok: z.literal(false), code: z.string(), detail: z.string() }),
]);
export type AuthenticateAck = z.output<typeof authenticateAck>;

/** Server to client: too much was missed. Reload over HTTP; events after `sequence` follow. */
export const resyncMessage = z.object({ microgrid: name, sequence });
export type Resync = z.output<typeof resyncMessage>;

/** Server to client: no more events; the socket closes unless `authenticate` comes first. */
export const authExpiredMessage = z.object({ closesInMillis: z.int() });

/** What a device without sockets receives on `microgrids/{m}/households/{h}/settlements`. */
export const settlementMessage = z.object({
  ...settlementFields,
  revision: z.int().nonnegative(),
  /** The record's; a message that comes twice has the same one. */
  sequence: z.int().positive(),
});
export type SettlementMessage = z.output<typeof settlementMessage>;
