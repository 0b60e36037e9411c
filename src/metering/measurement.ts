import type { Instant } from '../units/slot.js';
import type { MeterRole } from '../parties/microgrid.js';
import { groupBy } from '../units/group-by.js';
import type { BorderQuality } from './border.js';
import type { Register } from './reading.js';

/**
 * The energy of one household in one slot, from the borders of its meters' registers (the energy
 * accounting of the design): what it took, gave, generated, stored, and therefore used.
 */

export type MeasurementQuality = BorderQuality | 'missing';

/** `unexplained`: more flowed out than in, beyond the tolerance; `meter-missing`: a meter is silent. */
export type MeasurementFlag = 'unexplained' | 'meter-missing';

export interface Border {
  valueWh: number;
  quality: BorderQuality;
  /** Hex, see `readingHash`. */
  readingHashes: string[];
  /** When each of them was read. */
  readAts?: Instant[];
  /**
   * By how much each of them counts for more than its meter showed, in Wh: behind an exchange or a
   * rollover. Absent where none does.
   */
  offsets?: string[];
  /** The UTC dates whose course it follows in a long gap between readings. Absent elsewhere. */
  likeDays?: string[];
}

/** One register of one meter over a slot. Without a start there is no energy. */
export interface MeterSlot {
  meterId: string;
  householdId: string;
  role: MeterRole;
  register: Register;
  start: Border | null;
  end: Border | null;
}

export interface Measurement {
  householdId: string;
  importWh: number;
  exportWh: number;
  generatedWh: number;
  chargedWh: number;
  dischargedWh: number;
  /** P = G + D */
  productionWh: number;
  /** L */
  consumptionWh: number;
  /** V: what would have made consumption negative. */
  unexplainedWh: number;
  /** U = L + C */
  usesWh: number;
  quality: MeasurementQuality;
  flags: MeasurementFlag[];
}

/** Wh of one household in one slot. */
export interface MeteredFlow {
  readonly householdId: string;
  readonly slot: Instant;
  /** Export less import. */
  readonly netWh: number;
  /** The same without what its batteries took and gave. */
  readonly balanceWh: number;
}

/**
 * @param meterSlots of one household, in any order
 * @param toleranceWh unexplained energy up to this is not flagged: meters do not read in step
 * @throws Error when a register falls or production and use do not balance
 */
export function measure(
  householdId: string,
  meterSlots: readonly MeterSlot[],
  toleranceWh: number,
): Measurement {
  const metered = {
    importWh: energyOf(meterSlots, 'grid', 'import'),
    exportWh: energyOf(meterSlots, 'grid', 'export'),
    chargedWh: energyOf(meterSlots, 'storage', 'import'),
    dischargedWh: energyOf(meterSlots, 'storage', 'export'),
    generatedWh: meterSlots.some(({ role }) => role === 'generation')
      ? energyOf(meterSlots, 'generation', 'export')
      : null,
  };
  const { importWh, exportWh, chargedWh, dischargedWh } = metered;
  const { generatedWh, consumptionWh, unexplainedWh } = balanceEnergy(metered);
  const productionWh = generatedWh + dischargedWh;
  const usesWh = consumptionWh + chargedWh;
  if (productionWh + unexplainedWh + importWh !== usesWh + exportWh) {
    throw new Error(`${householdId}: P + V + I differs from U + E`);
  }
  const quality = qualityOf(meterSlots);
  const flags: MeasurementFlag[] = [];
  if (unexplainedWh > toleranceWh) flags.push('unexplained');
  if (quality === 'missing') flags.push('meter-missing');
  return {
    householdId,
    importWh,
    exportWh,
    generatedWh,
    chargedWh,
    dischargedWh,
    productionWh,
    consumptionWh,
    unexplainedWh,
    usesWh,
    quality,
    flags,
  };
}

/** What the meters of a household say, in Wh; `generatedWh` is null where no meter says it. */
export interface MeteredEnergy {
  importWh: number;
  exportWh: number;
  chargedWh: number;
  dischargedWh: number;
  generatedWh: number | null;
}

/** What follows from it: generation where it is not metered, consumption, and what nothing explains. */
export function balanceEnergy(metered: MeteredEnergy) {
  const { importWh, exportWh, chargedWh, dischargedWh } = metered;
  // What left the house or went into the battery, and came from neither battery nor grid.
  const inferredWh = exportWh - dischargedWh + Math.max(chargedWh - importWh, 0);
  const generatedWh = metered.generatedWh ?? Math.max(inferredWh, 0);
  const balanceWh = importWh + generatedWh + dischargedWh - exportWh - chargedWh;
  return {
    generatedWh,
    consumptionWh: Math.max(balanceWh, 0),
    unexplainedWh: Math.max(-balanceWh, 0),
  };
}

/**
 * Households and their meters' slots as measurements, in the order of the households. A household
 * without a meter has no energy and is `missing`.
 */
export function measureAll(
  householdIds: readonly string[],
  meterSlots: readonly MeterSlot[],
  toleranceWh: number,
): Measurement[] {
  const byHousehold = groupBy(meterSlots, ({ householdId }) => householdId);
  return householdIds.map((id) => measure(id, byHousehold.get(id) ?? [], toleranceWh));
}

/** The worst of two qualities. */
export function worse(a: MeasurementQuality, b: MeasurementQuality): MeasurementQuality {
  return QUALITIES.indexOf(a) >= QUALITIES.indexOf(b) ? a : b;
}

/** From the best to the worst. */
export const QUALITIES: readonly MeasurementQuality[] = [
  'measured',
  'interpolated',
  'estimated',
  'missing',
];

function energyOf(meterSlots: readonly MeterSlot[], role: MeterRole, register: Register): number {
  let sumWh = 0;
  for (const slot of meterSlots) {
    if (slot.role !== role || slot.register !== register || !slot.start || !slot.end) continue;
    const energyWh = slot.end.valueWh - slot.start.valueWh;
    if (energyWh < 0) throw new Error(`${slot.meterId}: its ${register} register falls`);
    sumWh += energyWh;
  }
  return sumWh;
}

/**
 * The worst border of all meters. A register that a meter never sends does not make it missing, as
 * long as it sends another one: many grid meters have no export register.
 */
function qualityOf(meterSlots: readonly MeterSlot[]): MeasurementQuality {
  if (meterSlots.length === 0) return 'missing';
  let worst: MeasurementQuality = 'measured';
  for (const slots of groupBy(meterSlots, ({ meterId }) => meterId).values()) {
    const sent = slots.filter(({ start, end }) => start !== null || end !== null);
    if (sent.length === 0) return 'missing';
    for (const { start, end } of sent) {
      worst = worse(worst, start?.quality ?? 'missing');
      worst = worse(worst, end?.quality ?? 'missing');
    }
  }
  return worst;
}
