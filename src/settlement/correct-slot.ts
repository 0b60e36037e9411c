import { storageOf, SYSTEM } from '../ledger/accounts.js';
import type { RecordDraft, StoredTransfer, TransferDraft } from '../ledger/record.js';
import type { MeterSlot } from '../metering/measurement.js';
import type { Json, JsonObject } from '../units/canonical-json.js';
import { canonicalJson } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import { LOT_SOURCES, sumWh, type Lot } from './claims.js';
import type { SettledHousehold, SettledSlot, Settlement } from './close-slot.js';
import {
  householdFacts,
  householdTransfers,
  supplyChange,
  tradeFacts,
  tradeMoney,
  tradeTokens,
  type Supply,
} from './slot-records.js';

/**
 * Settles a closed slot again from better readings and posts the differences. Nothing that was
 * closed changes: what was too much goes back as an opposite transfer, and the money of a correction
 * moves on bills, which no wallet's limit can refuse.
 */

/** A household of the slot as it was last settled, from its latest record. */
export interface SettledBefore {
  facts: JsonObject;
  settlement: Settlement;
  lotsAfter: readonly Lot[];
}

export interface Correction {
  drafts: RecordDraft[];
  /** Of the households whose record is in `drafts`, in their order. */
  changed: SettledHousehold[];
  /** What these batteries hold now. */
  batteries: { householdId: string; lots: Lot[] }[];
}

/**
 * @param slot settled again
 * @param at market time of the correction
 * @param before by household; as last settled
 * @param posted every transfer that the slot has made so far, corrections included
 * @param lotsNow what batteries hold now, by household
 * @param since from when slots may be corrected: the one before stands, see `true-up.ts`. Null in
 * journals that do not say it
 */
export function correctSlot(correction: {
  slot: SettledSlot;
  revision: number;
  at: Instant;
  registers: ReadonlyMap<string, readonly MeterSlot[]>;
  before: ReadonlyMap<string, SettledBefore>;
  posted: readonly StoredTransfer[];
  lotsNow: ReadonlyMap<string, readonly Lot[]>;
  supplyBefore: Supply;
  since: Instant | null;
}): Correction {
  const { slot, revision, at, registers, before, posted } = correction;
  const differences = differencesOf(posted, [
    ...slot.households.flatMap((household) => householdTransfers(slot.terms, household)),
    ...slot.trades.flatMap((trade) => [...tradeTokens(trade), ...tradeMoney(slot.terms, trade)]),
  ]);
  const factsOf = (household: SettledHousehold) =>
    householdFacts(slot.terms, household, registers.get(household.input.householdId) ?? []);
  const changed = slot.households.filter(
    (household) => !isSame(factsOf(household), before.get(household.input.householdId)?.facts),
  );
  const batteries: Correction['batteries'] = [];
  const drafts = changed.map((household): RecordDraft => {
    const id = household.input.householdId;
    const earlier = before.get(id);
    const transfers = differences.filter((line) => isOwnLine(line, id));
    const lots = lotsAfterCorrection(
      correction.lotsNow.get(id) ?? [],
      earlier?.lotsAfter ?? [],
      household.uses.lotsAfter,
    );
    if (lots.unprovenWh > 0) transfers.push(unproven(id, lots.unprovenWh));
    if (household.input.usableWh > 0) batteries.push({ householdId: id, lots: lots.held });
    return {
      kind: 'correction',
      at,
      cause: `slot/${slot.terms.slot}/correction/${revision}/household/${id}`,
      keyHolder: id,
      households: [id],
      facts: {
        ...factsOf(household),
        revision,
        before: earlier?.settlement ?? null,
        after: household.settlement,
      },
      transfers,
    };
  });
  const closing: RecordDraft = {
    kind: 'correction',
    at,
    cause: `slot/${slot.terms.slot}/correction/${revision}/closed`,
    keyHolder: '',
    households: [],
    facts: {
      slot: slot.terms.slot,
      revision,
      ...(correction.since === null ? {} : { since: correction.since }),
      // Whose registers changed: the others' money moves through trades with them alone.
      late: changed
        .filter((household) => isLate(factsOf(household), before))
        .map(({ input }) => input.householdId),
      tradedWh: slot.tradedWh,
      trades: slot.trades.map((trade) => tradeFacts(slot.terms, trade)),
    },
    transfers: differences.filter(({ code }) => TRADE_CODES.has(code)),
  };
  const all = [...drafts, closing];
  const supply = supplyChange(
    all.flatMap(({ transfers }) => transfers),
    correction.supplyBefore,
  );
  return {
    drafts: [...drafts, { ...closing, facts: { ...closing.facts, supply } }],
    changed,
    batteries,
  };
}

const TRADE_CODES = new Set([
  'neighbor-transfer',
  'neighbor-claim',
  'trade',
  'grid-fee',
  'congestion-rent',
  'trade-hold',
]);

/** The transfers that turn what was posted into what should have been, sorted by their line. */
export function differencesOf(
  posted: readonly TransferDraft[],
  wanted: readonly TransferDraft[],
): TransferDraft[] {
  const sums = new Map<string, { line: TransferDraft; amount: number }>();
  const add = (transfer: TransferDraft, sign: 1 | -1) => {
    const debit = onBill(transfer.debit);
    const credit = onBill(transfer.credit);
    const forward = debit < credit;
    const [low, high] = forward ? [debit, credit] : [credit, debit];
    const key = `${low} ${high} ${transfer.asset} ${transfer.code}`;
    const sum = sums.get(key) ?? {
      line: { debit: low, credit: high, asset: transfer.asset, amount: 0, code: transfer.code },
      amount: 0,
    };
    sum.amount += sign * (forward ? transfer.amount : -transfer.amount);
    sums.set(key, sum);
  };
  for (const transfer of wanted) add(transfer, 1);
  for (const transfer of posted) if (transfer.code !== UNPROVEN) add(transfer, -1);
  return [...sums.keys()].sort().flatMap((key) => {
    const { line, amount } = sums.get(key)!;
    if (amount === 0) return [];
    return amount > 0
      ? [{ ...line, amount }]
      : [{ ...line, debit: line.credit, credit: line.debit, amount: -amount }];
  });
}

/** A household's line with itself or the microgrid, no trade. */
function isOwnLine({ debit, credit, code }: TransferDraft, household: string): boolean {
  const owner = `household/${household}/`;
  return !TRADE_CODES.has(code) && (debit.startsWith(owner) || credit.startsWith(owner));
}

function onBill(account: string): string {
  return account.startsWith('household/') ? account.replace(/\/wallet$/, '/bill') : account;
}

const UNPROVEN = 'discharge-unproven';

/** Discharge that turns out to have had no charge: its retirement is taken back. */
export function unproven(household: string, energyWh: number): TransferDraft {
  return {
    debit: SYSTEM.retired('STORAGE'),
    credit: storageOf(household),
    asset: 'STORAGE',
    amount: energyWh,
    code: UNPROVEN,
  };
}

/**
 * Applies to today's lots what the correction changed at the slot's end. Energy that is missing from
 * a lot because it has been discharged since comes out of the other lots, oldest first, as it would
 * have been discharged; what even they do not hold was discharged without proof.
 */
export function lotsAfterCorrection(
  now: readonly Lot[],
  settledThen: readonly Lot[],
  settledNow: readonly Lot[],
): { held: Lot[]; unprovenWh: number } {
  const keyOf = ({ chargedIn, source }: Lot) => `${chargedIn} ${source}`;
  const energy = new Map<string, Lot>();
  const add = (lots: readonly Lot[], sign: 1 | -1) => {
    for (const lot of lots) {
      const sum = energy.get(keyOf(lot)) ?? { ...lot, energyWh: 0 };
      sum.energyWh += sign * lot.energyWh;
      energy.set(keyOf(lot), sum);
    }
  };
  add(now, 1);
  add(settledNow, 1);
  add(settledThen, -1);
  const rank = ({ source }: Lot) => LOT_SOURCES.indexOf(source);
  const lots = [...energy.values()].sort((a, b) =>
    a.chargedIn === b.chargedIn ? rank(a) - rank(b) : a.chargedIn < b.chargedIn ? -1 : 1,
  );
  let missingWh = -sumWh(lots.filter(({ energyWh }) => energyWh < 0));
  const held = lots.filter(({ energyWh }) => energyWh > 0);
  for (const lot of held) {
    const takenWh = Math.min(lot.energyWh, missingWh);
    lot.energyWh -= takenWh;
    missingWh -= takenWh;
  }
  return { held: held.filter(({ energyWh }) => energyWh > 0), unprovenWh: missingWh };
}

function isLate(facts: JsonObject, before: ReadonlyMap<string, SettledBefore>): boolean {
  const earlier = before.get(String(facts['household']))?.facts;
  const metered = (from: JsonObject | undefined) =>
    canonicalJson({ registers: from?.['registers'] ?? null, energy: from?.['energy'] ?? null });
  return metered(facts) !== metered(earlier);
}

/** Whether the facts agree in everything that a settlement rests on. */
function isSame(facts: JsonObject, earlier: JsonObject | undefined): boolean {
  const kept = (from: JsonObject): Json => ({
    registers: from['registers'] ?? null,
    energy: from['energy'] ?? null,
    settlement: from['settlement'] ?? null,
    battery: from['battery'] ?? null,
  });
  return earlier !== undefined && canonicalJson(kept(facts)) === canonicalJson(kept(earlier));
}
