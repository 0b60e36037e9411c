import type { RecordBody, RecordDraft } from '../ledger/record.js';
import { numberTrades, type MetWish, type Trade } from '../market/trade.js';
import {
  LOT_SOURCES,
  sumWh,
  type Lot,
  type LotSource,
  type Portion,
} from '../settlement/claims.js';
import {
  closeSlot,
  isMadeAtClose,
  type SettledSlot,
  type SlotHousehold,
  type SlotInput,
} from '../settlement/close-slot.js';
import { readingsIn } from '../settlement/manifest.js';
import { supplyChange, type Supply } from '../settlement/slot-records.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { OpenedRecord } from './opened-record.js';

/**
 * A slot in which a household took part that was erased. Its meters, limits and wallet are unknown,
 * so the auction cannot be held again; but every trade stands in the journal with what it claimed.
 * With these trades taken as made, the slot is settled for all the others.
 */

/** A trade as a record tells it: what was agreed, and what was claimed of it. */
type RecordedTrade = JsonObject & {
  trade: string;
  buyer: string;
  seller: string;
  bid: string | null;
  ask: string | null;
  energyWh: number;
  buyerPriceMicroPerKwh: number;
  sellerPriceMicroPerKwh: number;
  congestionMicroPerKwh?: number;
  firm: boolean;
  wish?: MetWish;
  claimed: Portion[];
};

const NOT_CLEARED: Cleared = { clearingPriceMicroPerKwh: null, priceInterval: null };

/** What the auction gave, as the slot's last record tells it. */
type Cleared = Pick<SettledSlot, 'clearingPriceMicroPerKwh' | 'priceInterval'>;

/**
 * The slot settled; where nobody was erased, as the service settles it.
 * @param input with the households that are known, and the trades of the gate where there was one
 * @param recorded the trades in their order, as the slot's records tell them
 */
export function closeBeside(
  input: SlotInput,
  erased: readonly string[],
  recorded: readonly RecordedTrade[],
  { clearingPriceMicroPerKwh, priceInterval }: Cleared = NOT_CLEARED,
): SettledSlot {
  if (erased.length === 0) return closeSlot(input);
  const { terms, households } = input;
  const standIns = erased.map((household) => standIn(household, recorded, input));
  const slot = closeSlot({
    terms: { ...terms, mechanism: 'call-auction' },
    households: [...households, ...standIns].sort((a, b) =>
      a.householdId < b.householdId ? -1 : 1,
    ),
    trades: isMadeAtClose(terms) ? tradesMade(input, recorded) : input.trades,
  });
  return { ...slot, terms, clearingPriceMicroPerKwh, priceInterval };
}

/**
 * The records of a slot, with what stays of erased ones in the place of their stand-ins, for the
 * manifest that counts them.
 * @param readings that the manifest says all of them name: those that the others do not were theirs
 */
export function asErased(
  drafts: readonly RecordDraft[],
  records: readonly OpenedRecord[],
  readings: number,
): RecordDraft[] {
  if (records.every((one) => !one.erased)) return [...drafts];
  const left = new Map(records.flatMap((one) => (one.erased ? [[one.keyHolder, one.body]] : [])));
  const known = drafts.filter(({ keyHolder }) => !left.has(keyHolder));
  let unknown = Math.max(Math.min(readings - readingsIn(known), MOST_READINGS), 0);
  return drafts.map((draft) => {
    const body = left.get(draft.keyHolder);
    if (!body) return draft;
    const startReadings = Array.from({ length: unknown }, (_, index) => `erased/${index}`);
    unknown = 0;
    const registers = [{ startReadings, endReadings: [] }];
    return { ...draft, facts: { registers }, transfers: body.transfers };
  });
}

/** More readings than households that are erased can have had in a slot. */
const MOST_READINGS = 100_000;

/** The drafts of a correction, without those of erased households, whose transfers count all the same. */
export function correctionBeside(
  drafts: readonly RecordDraft[],
  records: readonly OpenedRecord[],
  erased: readonly string[],
  supplyBefore: Supply,
): (RecordDraft | null)[] {
  if (erased.length === 0) return [...drafts];
  const known = drafts.filter(({ keyHolder }) => !erased.includes(keyHolder));
  const closing = known.pop()!;
  const transfers = [
    ...[...known, closing].flatMap((draft) => draft.transfers),
    ...records.filter((one) => one.erased).flatMap(({ body }) => body.transfers),
  ];
  const supply = supplyChange(transfers, supplyBefore);
  const late = lateWith(closing.facts['late'], records.at(-1)!.body.facts['late'], erased);
  known.push({ ...closing, facts: { ...closing.facts, late, supply } });
  const beside = records.map((one) => (one.erased ? null : (known.shift() ?? null)));
  return [...beside, ...known];
}

/** The households that were late; of those erased only the record knows. */
function lateWith(known: unknown, recorded: unknown, erased: readonly string[]): string[] {
  const ids = (list: unknown) => (Array.isArray(list) ? list.map(String) : []);
  const isErased = (id: string) => erased.includes(id);
  return [
    ...ids(known).filter((id) => !isErased(id)),
    ...ids(recorded).filter((id) => isErased(id)),
  ].sort();
}

/** The trades that the records of a close tell one by one, or the last record of a correction all. */
export function recordedTrades(bodies: readonly RecordBody[]): RecordedTrade[] {
  return bodies.flatMap(({ kind, facts }) => {
    if (kind === 'correction') return facts['trades'] as RecordedTrade[];
    return kind === 'trade' ? [facts as RecordedTrade] : [];
  });
}

function tradesMade({ terms, revision }: SlotInput, recorded: readonly RecordedTrade[]): Trade[] {
  const made = recorded.map(({ bid, ask, ...trade }) => ({
    buyer: trade.buyer,
    seller: trade.seller,
    bidId: bid,
    askId: ask,
    energyWh: trade.energyWh,
    buyerPriceMicroPerKwh: trade.buyerPriceMicroPerKwh,
    sellerPriceMicroPerKwh: trade.sellerPriceMicroPerKwh,
    congestionMicroPerKwh: trade.congestionMicroPerKwh ?? 0,
    firm: trade.firm,
    ...(trade.wish === undefined ? {} : { wish: trade.wish }),
  }));
  return numberTrades(terms.microgridId, terms.slot, made, revision);
}

/** Exactly the energy that its neighbors claimed from it, or it from them, of the same origins. */
function standIn(
  householdId: string,
  recorded: readonly RecordedTrade[],
  { terms }: SlotInput,
): SlotHousehold {
  const sold = recorded.filter(({ seller }) => seller === householdId);
  const portions = sold.flatMap(({ claimed }) => claimed);
  const of = (origin: Portion['origin']) => sumWh(portions.filter((one) => one.origin === origin));
  const soldWh = sumWh(portions);
  const boughtWh = recorded
    .filter(({ buyer }) => buyer === householdId)
    .reduce((sum, { claimed }) => sum + sumWh(claimed), 0);
  const lots = LOT_SOURCES.map((source: LotSource): Lot => ({
    chargedIn: terms.slot,
    source,
    energyWh: of(`storage-${source}`),
  }));
  return {
    householdId,
    feeder: null,
    share: { parts: 1, rank: 0 },
    energy: {
      importWh: boughtWh,
      exportWh: soldWh,
      generatedWh: of('direct'),
      chargedWh: 0,
      dischargedWh: soldWh - of('direct'),
      consumptionWh: boughtWh,
      unexplainedWh: 0,
      quality: 'missing',
    },
    limits: { sellAboveMicroPerKwh: null, buyBelowMicroPerKwh: null },
    availableMicro: 0,
    usableWh: 0,
    lots: lots.filter(({ energyWh }) => energyWh > 0),
  };
}
