import type { Tariff } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import type { Settlement } from './close-slot.js';

/**
 * One slot of a household's statement: its bill with neighbors and its bill at the tariff alone, side
 * by side, so that the household can see slot by slot that it was never worse off, or why it was.
 */

/** A settlement with what its trades add up to. */
export type SettledLine = Omit<Settlement, 'currency'> & {
  readonly boughtMicro: number;
  readonly earnedMicro: number;
  /** Trades of the household in the slot, and how many of them were firm. */
  readonly trades: number;
  readonly firmTrades: number;
};

/** What a correction of the slot changed for the household, and whose late readings were why. */
export interface CorrectionLine {
  readonly revision: number;
  /** When it was posted, in market time. */
  readonly at: Instant;
  readonly reason: 'own-late-reading' | 'late-reading-of-neighbor';
  /** Aliases of the neighbors whose readings came late. */
  readonly neighbors: readonly string[];
  /** What it moved on the bill: earned where positive. */
  readonly changedMicro: number;
}

/**
 * Energy that a late reading showed of slots too old to be corrected: with the utility alone, at the
 * tariff of the slot in which it was booked. It stands behind the household's last slot until then.
 */
export interface TrueUpLine {
  /** Up to when it had flowed. */
  readonly border: Instant;
  /** When it was booked, in market time. */
  readonly at: Instant;
  /** Its record. */
  readonly sequence: number;
  /** Negative where more had been settled than flowed. */
  readonly importWh: number;
  readonly exportWh: number;
  readonly retailMicroPerKwh: number;
  readonly feedInMicroPerKwh: number;
  /** Earned where positive; neighbors or none, it is the same. */
  readonly importMicro: number;
  readonly exportMicro: number;
  readonly netMicro: number;
}

/** Why a slot cost what it cost, compared with the tariff. */
export type Comparison = 'better' | 'same' | 'rounding' | 'firm-order';

export interface BillLine {
  readonly slot: Instant;
  readonly quality: Settlement['quality'];
  readonly tariff: Tariff;
  /** Energy in Wh, money in micro-units; what the household pays is negative. */
  readonly withNeighbors: {
    readonly boughtWh: number;
    /** Grid fees included. */
    readonly boughtMicro: number;
    readonly feeMicro: number;
    readonly soldWh: number;
    readonly soldMicro: number;
    /** From the utility where negative, to it where positive. */
    readonly utilityWh: number;
    readonly utilityMicro: number;
    readonly netMicro: number;
  };
  readonly atTariff: { readonly utilityWh: number; readonly netMicro: number };
  readonly savedMicro: number;
  /** One micro-unit a trade and one for the utility: what rounding may cost at most. */
  readonly roundingMicro: number;
  readonly comparison: Comparison;
  /** Oldest first; included in the sums above. */
  readonly corrections: readonly CorrectionLine[];
  /** Oldest first; not included in the sums above, which are the slot's. */
  readonly trueUps: readonly TrueUpLine[];
}

/** @throws Error when the slot cost more than the tariff and no firm trade explains it */
export function billLine(
  settled: SettledLine,
  tariff: Tariff,
  corrections: readonly CorrectionLine[] = [],
  trueUps: readonly TrueUpLine[] = [],
): BillLine {
  const savedMicro = settled.netMicro - settled.tariffMicro;
  const roundingMicro = settled.trades + 1;
  return {
    slot: settled.slot,
    quality: settled.quality,
    tariff,
    withNeighbors: {
      boughtWh: settled.boughtWh,
      boughtMicro: 0 - settled.boughtMicro,
      feeMicro: 0 - settled.feeMicro,
      soldWh: settled.soldWh,
      soldMicro: settled.earnedMicro,
      utilityWh: settled.imbalanceWh,
      utilityMicro: settled.utilityMicro,
      netMicro: settled.netMicro,
    },
    atTariff: {
      utilityWh: settled.imbalanceWh + settled.soldWh - settled.boughtWh,
      netMicro: settled.tariffMicro,
    },
    savedMicro,
    roundingMicro,
    comparison: comparisonOf(settled, savedMicro, roundingMicro),
    corrections,
    trueUps,
  };
}

function comparisonOf(
  { slot, household, firmTrades }: SettledLine,
  savedMicro: number,
  roundingMicro: number,
): Comparison {
  if (savedMicro > 0) return 'better';
  if (savedMicro === 0) return 'same';
  if (savedMicro >= -roundingMicro) return 'rounding';
  if (firmTrades > 0) return 'firm-order';
  throw new Error(
    `slot ${slot}: ${household} is worse off than at its tariff without a firm trade`,
  );
}

type BillRow = Record<string, string | number>;

/** The line as rows of a spreadsheet, all with the same columns: the slot's, and one a true-up. */
export function billRows(line: BillLine): BillRow[] {
  const row = billRow(line);
  const blank = Object.fromEntries(Object.keys(row).map((column) => [column, '']));
  return [row, ...line.trueUps.map((one) => ({ ...blank, ...trueUpRow(line.slot, one) }))];
}

function trueUpRow(slot: Instant, line: TrueUpLine): BillRow {
  const utilityWh = line.exportWh - line.importWh;
  return {
    slot,
    retailMicroPerKwh: line.retailMicroPerKwh,
    feedInMicroPerKwh: line.feedInMicroPerKwh,
    utilityWh,
    utilityMicro: line.netMicro,
    netMicro: line.netMicro,
    tariffUtilityWh: utilityWh,
    tariffNetMicro: line.netMicro,
    savedMicro: 0,
    line: 'true-up',
    trueUpTo: line.border,
  };
}

function billRow(line: BillLine): BillRow {
  return {
    slot: line.slot,
    quality: line.quality,
    ...line.tariff,
    ...line.withNeighbors,
    tariffUtilityWh: line.atTariff.utilityWh,
    tariffNetMicro: line.atTariff.netMicro,
    savedMicro: line.savedMicro,
    comparison: line.comparison,
    correctedMicro: line.corrections.reduce((sum, { changedMicro }) => sum + changedMicro, 0),
    correctedFor: [
      ...new Set(
        line.corrections.flatMap(({ reason, neighbors }) =>
          reason === 'own-late-reading' ? ['own', ...neighbors] : neighbors,
        ),
      ),
    ].join(', '),
    line: 'slot',
    trueUpTo: '',
  };
}
