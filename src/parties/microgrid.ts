/** The parties of a microgrid as values: what every other room computes with. */

import type { Instant, SlotMinutes } from '../units/slot.js';

export type Mechanism = 'metered' | 'call-auction';
export type Pricing = 'clearing' | 'mid-market';
export type MeterRole = 'grid' | 'generation' | 'storage';

/** One street, island or campus that settles among itself. */
export interface Microgrid {
  microgridId: string;
  name: string;
  /** IANA name; tariff bands are minutes of the day there. */
  timeZone: string;
  /** ISO 4217; money is integer micro-units of it. */
  currency: string;
  slotMinutes: SlotMinutes;
  mechanism: Mechanism;
  pricing: Pricing;
  /** Where in the competitive interval the price lies: 0 the seller's end, 1000 the buyer's. */
  priceKThousandths: number;
  graceSeconds: number;
  gateClosureSeconds: number;
  correctionDays: number;
  unexplainedToleranceWh: number;
  /** Given to every wallet of the microgrid in addition to the household's own. */
  creditLimitMicro: number;
  startsAt: Instant;
}

/** Active in the slots of [activeFrom, activeUntil); both are slot borders. */
export interface Household {
  microgridId: string;
  householdId: string;
  /** What the neighbors see. */
  alias: string;
  feeder: string | null;
  importLimitW: number | null;
  exportLimitW: number | null;
  creditLimitMicro: number;
  activeFrom: Instant;
  activeUntil: Instant | null;
}

export interface Meter {
  microgridId: string;
  meterId: string;
  householdId: string;
  role: MeterRole;
  /** Usable size of the battery; null unless the role is `storage`. */
  usableWh: number | null;
  /** The gateway that may publish for this meter. */
  gatewayId: string | null;
  activeFrom: Instant;
  activeUntil: Instant | null;
}

/** What the utility takes and pays in one slot. */
export interface Tariff {
  retailMicroPerKwh: number;
  feedInMicroPerKwh: number;
  gridFeeMicroPerKwh: number;
}

/** Holds from `fromMinute` of the local day until the next band. */
export interface TariffBand extends Tariff {
  fromMinute: number;
}

/** Holds from `validFrom` until the next version. */
export interface TariffVersion {
  validFrom: Instant;
  bands: TariffBand[];
}

/** A secret shown once: for a meter, a gateway, a household's device, or the service itself. */
export interface IssuedSecret {
  username: string;
  kind: 'meter' | 'gateway' | 'household' | 'service';
  secret: string;
}
