import { z } from 'zod';
import type { ShownRecord } from '../ledger/receipt.js';
import type { RecordBody } from '../ledger/record.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import { parseInstant } from '../units/slot.js';

/**
 * What a household's receipt shows: of a record that its own key salts everything of its own, of a
 * trade its own side, of any other record no more than that there is one. Pure, and it runs in a
 * browser.
 */

/** The fields of a record that this household may open; what is not named here stays closed. */
export function fieldsFor(body: RecordBody, household: string): (name: string) => boolean {
  const isOwn = ownRecord(body, household);
  const side = body.kind === 'trade' ? ownSide(body, household) : [];
  const shown = new Set([
    ...ENVELOPE,
    // How many records concern it, so that none can be kept from it unnoticed.
    `numbers.${household}`,
    ...(body.kind === 'trade' ? [...TRADE, ...side] : []),
  ]);
  return (name) => {
    // A field of one account is named after it; those of others, the microgrid's too, stay closed.
    if (name.includes('/')) return name.includes(`household/${household}/`);
    return (isOwn && name !== WISHES) || shown.has(name);
  };
}

/** Of the records that registered what a household's meter signs with, and how its device is read. */
export function keyFieldsFor(household: string): (name: string) => boolean {
  const shown = new Set([...ENVELOPE, `numbers.${household}`, ...KEY]);
  return (name) => shown.has(name);
}

/** What tells which record it is. */
const ENVELOPE = ['at', 'cause', 'facts.slot', 'kind', 'microgrid', 'sequence', 'v'];
const KEY = ['action', 'meter', 'number', 'publicKey', 'profile', 'mapping'].map(
  (name) => `facts.${name}`,
);
/** What both sides of a trade know. */
const TRADE = [
  'facts.number',
  'facts.trade',
  'facts.energyWh',
  'facts.settledWh',
  'facts.claimedWh',
  'facts.claimed',
  'facts.firm',
];
const BUYER = ['buyer', 'bid', 'buyerPriceMicroPerKwh', 'costMicro', 'hold', 'wish'];
const SELLER = ['seller', 'ask', 'sellerPriceMicroPerKwh', 'proceedsMicro'];

/** What one household alone says may name a neighbor here, and nowhere else. */
const WISHES = 'facts.wishes';

/** Records of one household alone are salted with its key. */
function ownRecord({ households }: RecordBody, household: string): boolean {
  return households.length === 1 && households[0] === household;
}

function ownSide({ facts }: RecordBody, household: string): string[] {
  const names = [
    ...(facts['buyer'] === household ? BUYER : []),
    ...(facts['seller'] === household ? SELLER : []),
  ];
  return names.map((name) => `facts.${name}`);
}

const instant = z.string().refine(isInstant);
const wh = z.int().nonnegative();
const micro = z.int();
const price = z.int().nonnegative();
const quality = z.string();
const borderValue = z.int().nullable();
const borderQuality = z.string().nullish();
/** By how much a reading counts for more than its meter showed, in Wh. */
const offsets = z.array(z.string().regex(/^-?\d{1,12}(\.\d{1,6})?$/)).optional();
const likeDays = z.array(z.string()).optional();

/** Of a `household-slot` record, and of a household's `correction`. */
const SETTLEMENT = z.object({
  slot: instant,
  slotEnd: instant,
  registers: z.array(
    z.object({
      meter: z.string(),
      role: z.enum(['grid', 'generation', 'storage']),
      register: z.enum(['import', 'export']),
      startWh: borderValue,
      startQuality: borderQuality,
      startReadings: z.array(z.string()),
      startOffsets: offsets,
      startLikeDays: likeDays,
      endWh: borderValue,
      endQuality: borderQuality,
      endReadings: z.array(z.string()),
      endOffsets: offsets,
      endLikeDays: likeDays,
    }),
  ),
  energy: z.object({
    importWh: wh,
    exportWh: wh,
    generatedWh: wh,
    chargedWh: wh,
    dischargedWh: wh,
    consumptionWh: wh,
    unexplainedWh: wh,
  }),
  tariff: z.object({
    retailMicroPerKwh: price,
    feedInMicroPerKwh: price,
    gridFeeMicroPerKwh: price,
  }),
  settlement: z.object({
    household: z.string(),
    slot: z.string(),
    producedWh: wh,
    consumedWh: wh,
    usedWh: wh,
    selfWh: wh,
    fromNeighborsWh: wh,
    toNeighborsWh: wh,
    fromGridWh: wh,
    toGridWh: wh,
    unexplainedUseWh: wh,
    soldWh: wh,
    boughtWh: wh,
    imbalanceWh: z.int(),
    neighborMicro: micro,
    utilityMicro: micro,
    netMicro: micro,
    tariffMicro: micro,
    currency: z.string(),
    quality,
  }),
});
export type SettlementShown = z.infer<typeof SETTLEMENT>;

const signedWh = z.int();

/** Of a `true-up` record. */
const TRUE_UP = z.object({
  household: z.string(),
  slot: z.string(),
  border: z.string(),
  currentSlot: z.string(),
  tariff: z.object({ retailMicroPerKwh: price, feedInMicroPerKwh: price }),
  registers: z.array(
    z.object({
      meter: z.string(),
      role: z.enum(['grid', 'generation', 'storage']),
      register: z.enum(['import', 'export']),
      settledWh: wh,
      nowWh: wh,
      bookedWh: signedWh,
      energyWh: signedWh,
    }),
  ),
  energy: z.object({
    importWh: signedWh,
    exportWh: signedWh,
    generatedWh: signedWh,
    chargedWh: signedWh,
    dischargedWh: signedWh,
    consumptionWh: signedWh,
    unexplainedWh: signedWh,
  }),
  money: z.object({
    importMicro: micro,
    exportMicro: micro,
    netMicro: micro,
    currency: z.string(),
  }),
});
export type TrueUpShown = z.infer<typeof TRUE_UP>;

const DEAL = z.object({
  slot: z.string(),
  number: z.int(),
  settledWh: wh,
  claimedWh: wh,
  claimed: z.array(z.object({ energyWh: wh })),
  firm: z.boolean(),
});
const BOUGHT = DEAL.extend({ buyer: z.string(), buyerPriceMicroPerKwh: price, costMicro: wh });
const SOLD = DEAL.extend({ seller: z.string(), sellerPriceMicroPerKwh: price, proceedsMicro: wh });

/** One side of a trade. */
export interface DealShown {
  readonly sequence: number;
  readonly side: 'bought' | 'sold';
  readonly slot: string;
  readonly number: number;
  readonly settledWh: number;
  readonly claimedWh: number;
  readonly claimed: readonly { readonly energyWh: number }[];
  readonly firm: boolean;
  readonly priceMicroPerKwh: number;
  /** Paid where bought, earned where sold. */
  readonly micro: number;
}

/** What a record says of a settlement or trade; null where it does not say all that such a one has. */
export function settlementOf({ values }: ShownRecord): SettlementShown | null {
  return SETTLEMENT.safeParse(factsOf(values)).data ?? null;
}

/** What a record says of a true-up; null where it does not say all that such a one has. */
export function trueUpOf({ values }: ShownRecord): TrueUpShown | null {
  return TRUE_UP.safeParse(factsOf(values)).data ?? null;
}

/** The sides of a trade that are this household's: one, or both where it traded with itself. */
export function dealsOf({ sequence, values }: ShownRecord, household: string): DealShown[] {
  const facts = factsOf(values);
  const bought = BOUGHT.safeParse(facts).data;
  const sold = SOLD.safeParse(facts).data;
  const shared = (deal: z.infer<typeof DEAL>) => ({
    sequence,
    slot: deal.slot,
    number: deal.number,
    settledWh: deal.settledWh,
    claimedWh: deal.claimedWh,
    claimed: deal.claimed,
    firm: deal.firm,
  });
  return [
    ...(bought?.buyer === household
      ? [
          {
            ...shared(bought),
            side: 'bought' as const,
            priceMicroPerKwh: bought.buyerPriceMicroPerKwh,
            micro: bought.costMicro,
          },
        ]
      : []),
    ...(sold?.seller === household
      ? [
          {
            ...shared(sold),
            side: 'sold' as const,
            priceMicroPerKwh: sold.sellerPriceMicroPerKwh,
            micro: sold.proceedsMicro,
          },
        ]
      : []),
  ];
}

/** The head of a receipt: what happened, in plain fields, all of them repeated from opened ones. */
export function whatHappened(records: readonly ShownRecord[], household: string): JsonObject {
  const [first, ...trades] = records;
  const settlement = isSettlement(first!) ? settlementOf(first!) : null;
  const trueUp = isTrueUp(first!) ? trueUpOf(first!) : null;
  const { sequence, kind, values } = first!;
  const deals = (settlement ? trades : records).flatMap((one) => dealsOf(one, household));
  return {
    record: sequence,
    kind,
    at: values.get('at') ?? null,
    slot: values.get('facts.slot') ?? null,
    ...(settlement ? { settlement: figuresOf(settlement) } : {}),
    ...(settlement ? { readings: readingsOf(settlement) } : {}),
    ...(trueUp
      ? {
          trueUp: {
            border: trueUp.border,
            currentSlot: trueUp.currentSlot,
            ...trueUp.energy,
            ...trueUp.money,
          },
        }
      : {}),
    trades: deals.map(({ sequence: record, side, settledWh, priceMicroPerKwh, micro: money }) => ({
      record,
      side,
      energyWh: settledWh,
      priceMicroPerKwh,
      micro: money,
    })),
  };
}

/** Whether the record books energy of slots that stand. */
export function isTrueUp({ kind }: Pick<ShownRecord, 'kind'>): boolean {
  return kind === 'true-up';
}

/** Whether the record settles a slot: when it closed, or again after a correction. */
export function isSettlement({ kind, values }: Pick<ShownRecord, 'kind' | 'values'>): boolean {
  return kind === 'household-slot' || (kind === 'correction' && values.has('facts.household'));
}

function figuresOf({ settlement, slotEnd }: SettlementShown): JsonObject {
  return { slotEnd, ...settlement };
}

/** Hashes of the readings that the registers' borders rest on, each once. */
function readingsOf({ registers }: SettlementShown): string[] {
  const named = registers.flatMap((one) => [...one.startReadings, ...one.endReadings]);
  return [...new Set(named)].sort();
}

function factsOf(values: ReadonlyMap<string, Json>): JsonObject {
  const facts = [...values].filter(([name]) => name.startsWith('facts.'));
  return Object.fromEntries(facts.map(([name, value]) => [name.slice('facts.'.length), value]));
}

function isInstant(text: string): boolean {
  try {
    parseInstant(text);
    return true;
  } catch {
    return false;
  }
}
