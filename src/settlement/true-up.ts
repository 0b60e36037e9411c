import { billOf, SYSTEM } from '../ledger/accounts.js';
import type { RecordDraft, TransferDraft } from '../ledger/record.js';
import { balanceEnergy, type MeteredEnergy, type MeterSlot } from '../metering/measurement.js';
import type { MeterRole, Tariff } from '../parties/microgrid.js';
import type { JsonObject } from '../units/canonical-json.js';
import { costMicro } from '../units/money.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import { coverUses, selfClaim, sumWh, type Lot, type SlotEnergy } from './claims.js';
import type { SettledSlot } from './close-slot.js';
import { differencesOf, lotsAfterCorrection, unproven } from './correct-slot.js';
import { householdTokens } from './slot-records.js';

/**
 * A true-up: what a late reading shows to have flowed before the correction window, beyond what the
 * slots there were settled with. Those slots stand. Where the first slot that could be corrected now
 * starts elsewhere than the one before it ended, that energy is in no slot, and is booked at once:
 * with the utility alone, at the tariff of the slot that is current. How it was spread over the
 * slots before is not asked: among them what one had too much another had too little.
 */

/** One register at the border between the slots that stand and those that could be corrected. */
export type RegisterGap = {
  meter: string;
  role: MeterRole;
  register: 'import' | 'export';
  /** Where the slot before the border ended. */
  settledWh: number;
  /** Where the slot behind it starts now. */
  nowWh: number;
  /** What earlier true-ups at this border have booked. */
  bookedWh: number;
  /** What is left to book; negative where too much had been settled. */
  energyWh: number;
};

/** Of a `true-up` record. Energy and money are signed; see `RegisterGap`. */
export type TrueUpFacts = JsonObject & {
  household: string;
  /** The last slot that stands. */
  slot: Instant;
  /** Its end. */
  border: Instant;
  /** Of the correction that moved the start behind the border. */
  revision: number;
  /** The slot whose tariff counts: the next one to close. */
  currentSlot: Instant;
  tariff: Tariff;
  registers: RegisterGap[];
  energy: TrueUpEnergy;
  battery: { usableWh: number; before: Lot[]; after: Lot[]; unprovenWh: number };
  money: TrueUpMoney;
};

export type TrueUpEnergy = { [Figure in keyof SlotEnergy | 'unexplainedWh']: number };

export type TrueUpMoney = {
  /** Paid for what was taken from the utility. */
  importMicro: number;
  /** Earned with what was given to it. */
  exportMicro: number;
  /** Positive is earned, negative is paid. */
  netMicro: number;
  currency: string;
};

export interface TrueUps {
  /** One a household, sorted by household. */
  drafts: RecordDraft[];
  /** What these batteries hold now. */
  batteries: { householdId: string; lots: Lot[] }[];
}

/** How registers are named in `ends` and `booked`. */
export function gapKey(of: { meter: string; register: string }): string {
  return `${of.meter} ${of.register}`;
}

/**
 * @param slot corrected; the one before it can be corrected no more
 * @param at market time of the correction, the start of the slot whose `tariff` counts
 * @param registers of the corrected slot, by household
 * @param ends of the slot before as it was last settled, in Wh, by register
 * @param booked by earlier true-ups at this border, in Wh, by register
 * @param lotsNow what batteries hold behind the correction, by household
 */
export function trueUps(of: {
  slot: Pick<SettledSlot, 'terms' | 'households'>;
  revision: number;
  at: Instant;
  tariff: Tariff;
  registers: ReadonlyMap<string, readonly MeterSlot[]>;
  ends: ReadonlyMap<string, number>;
  booked: ReadonlyMap<string, number>;
  lotsNow: ReadonlyMap<string, readonly Lot[]>;
}): TrueUps {
  const { slot, revision, at, tariff, registers, ends, booked, lotsNow } = of;
  const border = slot.terms.slot;
  const stands = slotBefore(slot.terms);
  const drafts: RecordDraft[] = [];
  const batteries: TrueUps['batteries'] = [];
  for (const { input } of slot.households) {
    const id = input.householdId;
    const meters = registers.get(id) ?? [];
    const gaps = gapsOf(meters, ends, booked);
    if (gaps.length === 0) continue;
    const hasGeneration = meters.some(({ role }) => role === 'generation');
    const before = lotsNow.get(id) ?? [];
    const energy = energyOf(gaps, hasGeneration);
    const tokens = tokensOf(id, energy, stands, input.usableWh, before);
    const money = moneyOf(energy.sum, tariff, slot.terms.currency);
    if (input.usableWh > 0) batteries.push({ householdId: id, lots: tokens.after });
    drafts.push({
      kind: 'true-up',
      at,
      cause: `slot/${border}/correction/${revision}/true-up/${id}`,
      keyHolder: id,
      households: [id],
      facts: {
        household: id,
        slot: stands,
        border,
        revision,
        currentSlot: at,
        tariff: { ...tariff },
        registers: gaps,
        energy: energy.sum,
        battery: {
          usableWh: input.usableWh,
          before: [...before],
          after: tokens.after,
          unprovenWh: tokens.unprovenWh,
        },
        money,
      } satisfies TrueUpFacts,
      transfers: [...tokens.transfers, ...moneyLines(id, money)],
    });
  }
  return { drafts, batteries };
}

/** The slot in front of one of the same length. */
export function slotBefore({ slot, slotEnd }: { slot: Instant; slotEnd: Instant }): Instant {
  return formatInstant(2 * parseInstant(slot) - parseInstant(slotEnd));
}

/** Registers that go on elsewhere than they ended, and by how much more than was booked. */
function gapsOf(
  meters: readonly MeterSlot[],
  ends: ReadonlyMap<string, number>,
  booked: ReadonlyMap<string, number>,
): RegisterGap[] {
  return meters
    .flatMap(({ meterId: meter, role, register, start }): RegisterGap[] => {
      const key = gapKey({ meter, register });
      const settledWh = ends.get(key);
      // A register that was not known on one side has no energy there: nothing was settled of it.
      if (settledWh === undefined || start === null) return [];
      const bookedWh = booked.get(key) ?? 0;
      const nowWh = start.valueWh;
      const energyWh = nowWh - settledWh - bookedWh;
      if (energyWh === 0) return [];
      return [{ meter, role, register, settledWh, nowWh, bookedWh, energyWh }];
    })
    .sort((a, b) => (gapKey(a) < gapKey(b) ? -1 : 1));
}

/** What had been left out, what had been too much, and the one less the other. */
interface SignedEnergy {
  missing: TrueUpEnergy;
  surplus: TrueUpEnergy;
  sum: TrueUpEnergy;
}

/** Each part follows the rules of a slot, so that production and use balance in their difference. */
function energyOf(gaps: readonly RegisterGap[], hasGeneration: boolean): SignedEnergy {
  const sumOf = (role: MeterRole, register: RegisterGap['register']) =>
    sumWh(gaps.filter((gap) => gap.role === role && gap.register === register));
  const signed: MeteredEnergy = {
    importWh: sumOf('grid', 'import'),
    exportWh: sumOf('grid', 'export'),
    chargedWh: sumOf('storage', 'import'),
    dischargedWh: sumOf('storage', 'export'),
    generatedWh: hasGeneration ? sumOf('generation', 'export') : null,
  };
  const part = (sign: 1 | -1) => {
    const of = (energyWh: number) => Math.max(sign * energyWh, 0);
    const metered = {
      importWh: of(signed.importWh),
      exportWh: of(signed.exportWh),
      chargedWh: of(signed.chargedWh),
      dischargedWh: of(signed.dischargedWh),
      generatedWh: signed.generatedWh === null ? null : of(signed.generatedWh),
    };
    return { ...metered, ...balanceEnergy(metered) };
  };
  const [missing, surplus] = [part(1), part(-1)];
  return {
    missing,
    surplus,
    sum: {
      importWh: missing.importWh - surplus.importWh,
      exportWh: missing.exportWh - surplus.exportWh,
      generatedWh: missing.generatedWh - surplus.generatedWh,
      chargedWh: missing.chargedWh - surplus.chargedWh,
      dischargedWh: missing.dischargedWh - surplus.dischargedWh,
      consumptionWh: missing.consumptionWh - surplus.consumptionWh,
      unexplainedWh: missing.unexplainedWh - surplus.unexplainedWh,
    },
  };
}

/**
 * Tokens as in a slot without neighbors; what was too much goes back as opposite transfers. Of a
 * battery, charge that was not there comes out of its lots oldest first. Discharge that was not there
 * is in it again, as energy of the grid: the lots it had come from are gone, and nothing counts as
 * clean that cannot be shown to be.
 */
function tokensOf(
  id: string,
  { missing, surplus }: SignedEnergy,
  stands: Instant,
  usableWh: number,
  lots: readonly Lot[],
): { transfers: TransferDraft[]; after: Lot[]; unprovenWh: number } {
  const gridLot = (energyWh: number): Lot[] =>
    energyWh === 0 ? [] : [{ chargedIn: stands, source: 'grid', energyWh }];
  const { held, unprovenWh } = lotsAfterCorrection(
    lots,
    gridLot(surplus.chargedWh),
    gridLot(surplus.dischargedWh),
  );
  const claims = selfClaim(missing, held);
  const uses = coverUses(claims, missing, stands, usableWh);
  const wrong = selfClaim(surplus, gridLot(surplus.dischargedWh));
  const transfers = differencesOf(
    householdTokens(id, {
      energy: surplus,
      claims: wrong,
      uses: coverUses(wrong, surplus, stands, Number.MAX_SAFE_INTEGER),
    }),
    householdTokens(id, { energy: missing, claims, uses }),
  );
  return {
    transfers: unprovenWh > 0 ? [...transfers, unproven(id, unprovenWh)] : transfers,
    // Adds up lots of one slot and source, and sorts them.
    after: lotsAfterCorrection(uses.lotsAfter, [], []).held,
    unprovenWh,
  };
}

/** Each of the two lines is rounded once, half to even. */
function moneyOf(
  { importWh, exportWh }: SlotEnergy,
  { retailMicroPerKwh, feedInMicroPerKwh }: Tariff,
  currency: string,
): TrueUpMoney {
  const importMicro = signedCostMicro(importWh, retailMicroPerKwh);
  const exportMicro = signedCostMicro(exportWh, feedInMicroPerKwh);
  return { importMicro, exportMicro, netMicro: exportMicro - importMicro, currency };
}

/** What energy costs; of negative energy, what is given back. */
export function signedCostMicro(energyWh: number, priceMicroPerKwh: number): number {
  return energyWh >= 0
    ? costMicro(energyWh, priceMicroPerKwh)
    : 0 - costMicro(-energyWh, priceMicroPerKwh);
}

function moneyLines(id: string, { importMicro, exportMicro, currency }: TrueUpMoney) {
  const bill = billOf(id);
  const line = (debit: string, credit: string, amount: number, code: string): TransferDraft[] =>
    amount > 0 ? [{ debit, credit, asset: currency, amount, code }] : [];
  return [
    ...line(bill, SYSTEM.utility, importMicro, 'true-up-import'),
    ...line(SYSTEM.utility, bill, -importMicro, 'true-up-import'),
    ...line(SYSTEM.utility, bill, exportMicro, 'true-up-export'),
    ...line(bill, SYSTEM.utility, -exportMicro, 'true-up-export'),
  ];
}
