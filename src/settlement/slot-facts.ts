import type { BorderQuality } from '../metering/border.js';
import type { StandingWish } from '../market/limits.js';
import { wishFacts } from '../market/market-records.js';
import type { SharingRules } from '../market/metered-sharing.js';
import type { PriceInterval } from '../market/pricing.js';
import type { MeterRole, Pricing, Rationing } from '../parties/microgrid.js';
import type { JsonObject } from '../units/canonical-json.js';
import type { Instant } from '../units/slot.js';
import type { Lot } from './claims.js';
import type { Settlement, SlotHousehold, SlotTerms } from './close-slot.js';

/** The facts of a slot's records, as `slot-records.ts` and `correct-slot.ts` write them. */

export type RegisterFacts = {
  meter: string;
  role: MeterRole;
  register: 'import' | 'export';
  startWh: number | null;
  startQuality: BorderQuality | null;
  startReadings: string[];
  /** Where a reading counts for more than its meter showed, by how many Wh each does. */
  startOffsets?: string[];
  /** In a long gap between readings, the UTC dates whose course the border follows. */
  startLikeDays?: string[];
  endWh: number | null;
  endQuality: BorderQuality | null;
  endReadings: string[];
  endOffsets?: string[];
  endLikeDays?: string[];
};

/** Of a `household-slot` record, and of a household's `correction`, which adds the revision. */
export type HouseholdFacts = JsonObject & {
  household: string;
  slot: Instant;
  slotEnd: Instant;
  registers: RegisterFacts[];
  energy: SlotHousehold['energy'];
  tariff: SlotTerms['tariff'];
  limits: Omit<SlotHousehold['limits'], 'wishes'>;
  wishes?: StandingWish[];
  availableMicro: number;
  battery: { usableWh: number; before: Lot[]; after: Lot[] };
  settlement: Settlement;
  /** In a slot that was cleared in a network. */
  feeder?: string | null;
  /** Under `sharing`. */
  share?: SlotHousehold['share'];
  revision?: number;
};

/** Of a `slot-closed` record. */
export type ManifestFacts = JsonObject & {
  slot: Instant;
  slotEnd: Instant;
  mechanism: SlotTerms['mechanism'];
  pricing: Pricing;
  kThousandths: number;
  /** Where it is not pro rata. */
  rationing?: Rationing;
  /** Under `sharing`. */
  sharing?: SharingRules;
  /** Since when the network has been in force that the slot was cleared in, where there was one. */
  network?: Instant;
  clearingPriceMicroPerKwh: number | null;
  priceInterval: PriceInterval | null;
};

/** The terms of a slot as its manifest states them. @param now those of today, with the network then */
export function termsOfManifest(now: SlotTerms, manifest: ManifestFacts): SlotTerms {
  const { mechanism, pricing, kThousandths, rationing = 'pro-rata', sharing = null } = manifest;
  return { ...now, mechanism, sharing, rules: { ...now.rules, pricing, kThousandths, rationing } };
}

const EQUAL_SHARE = { parts: 1, rank: 0 };

/** The household as it was settled, with the energy known now. */
export function settledHousehold(
  facts: HouseholdFacts,
  energy: SlotHousehold['energy'],
): SlotHousehold {
  return {
    householdId: facts.household,
    feeder: facts.feeder ?? null,
    share: facts.share ?? EQUAL_SHARE,
    energy: energyFacts(energy),
    limits: { ...facts.limits, ...wishFacts(facts.wishes ?? []) },
    availableMicro: facts.availableMicro,
    usableWh: facts.battery.usableWh,
    lots: facts.battery.before,
  };
}

/** The members of a measurement that a record keeps. */
export function energyFacts(measured: SlotHousehold['energy']): SlotHousehold['energy'] {
  return {
    importWh: measured.importWh,
    exportWh: measured.exportWh,
    generatedWh: measured.generatedWh,
    chargedWh: measured.chargedWh,
    dischargedWh: measured.dischargedWh,
    consumptionWh: measured.consumptionWh,
    unexplainedWh: measured.unexplainedWh,
    quality: measured.quality,
  };
}
