/** The parties of a microgrid as values: what every other room computes with. */

import type { Instant, SlotMinutes } from '../units/slot.js';

export const MECHANISMS = ['metered', 'call-auction', 'continuous', 'sharing'] as const;
export type Mechanism = (typeof MECHANISMS)[number];
export const PRICINGS = [
  'clearing',
  'mid-market',
  'supply-demand-ratio',
  'pay-as-bid',
  'fixed',
] as const;
export type Pricing = (typeof PRICINGS)[number];
export const RATIONINGS = ['time', 'pro-rata', 'max-min'] as const;
/** How the orders at the margin share what is left for them. */
export type Rationing = (typeof RATIONINGS)[number];
export const SHARING_KEYS = ['static', 'dynamic', 'hybrid', 'cascade'] as const;
/** How a surplus is divided under `sharing`. */
export type SharingKey = (typeof SHARING_KEYS)[number];
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
  rationing: Rationing;
  sharingKey: SharingKey;
  /** The price under `sharing` with pricing `fixed`; null otherwise. */
  sharingPriceMicroPerKwh: number | null;
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
  /** The node of the network that it hangs from; the root where there is no such node. */
  feeder: string | null;
  /** Its parts of a surplus under a static key. */
  shareParts: number;
  /** Its turn under a cascade: lower ranks are served first. */
  shareRank: number;
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

/** A node of the network below the substation, and the edge up to its parent. */
export type NetworkNode = {
  node: string;
  /** Null for the root, which has no edge. */
  parent: string | null;
  /** Taken from every kWh between neighbors that crosses the edge. */
  feeMicroPerKwh: number;
  /** What trades may carry towards the root and away from it; null is no limit. */
  capacityUpW: number | null;
  capacityDownW: number | null;
};

/** Holds from `validFrom` until the next version. */
export type NetworkVersion = {
  validFrom: Instant;
  nodes: NetworkNode[];
};

/** A secret shown once: for a meter, a gateway, a household's device, or the service itself. */
export interface IssuedSecret {
  username: string;
  kind: 'meter' | 'gateway' | 'household' | 'service';
  secret: string;
}

/** Whether households place orders for coming slots, which trade before the energy flows. */
export function takesOrders(mechanism: Mechanism): boolean {
  return mechanism === 'call-auction' || mechanism === 'continuous';
}
