/** The answers of the HTTP interface that the page reads, as the service documents them. */
import type { Instant } from '../../src/units/slot.js';
import type { Limit, Tariff } from './limits.js';
import type { ByQuality, FigureQuality, Quality, QualityBounds } from './quality.js';

/** Everything under /v1 that is a list is one page of it. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Role = 'household' | 'operator' | 'regulator' | 'auditor' | 'simulator';

export interface Grant {
  role: Role;
  microgrid: string | null;
  household: string | null;
}

export interface CurrentSession {
  person: string;
  name: string;
  /** The password was issued for one use: nothing else is open before it is changed. */
  mustChangePassword: boolean;
  grants: Grant[];
  expiresAt: Instant;
}

export interface DemoPerson {
  user: string;
  name?: string;
  role: Role;
  household?: string;
}

export interface Demo {
  people: DemoPerson[];
  /** Where the passwords were written. */
  file?: string;
}

export interface Microgrid {
  microgrid: string;
  name: string;
  timeZone: string;
  currency: string;
  slotMinutes: 5 | 15 | 30 | 60;
  mechanism: string;
  pricing: string;
  households: number;
  now: Instant;
  clock: 'system' | 'simulated';
  slot: { start: Instant; end: Instant };
  tariff: Tariff;
  closedThrough: Instant | null;
  graceSeconds: number;
  startsAt: Instant;
}

export interface ClosedSlot {
  slot: Instant;
  slotEnd: Instant;
  status: string;
  clearingPriceMicroPerKwh: number | null;
  tradedWh: number;
  /** That of the slot; where it is not told, the present one stands in for it. */
  tariff?: Tariff;
}

export interface TapeTrade {
  trade: string;
  sequence: number;
  slot: Instant;
  energyWh: number;
  priceMicroPerKwh: number;
}

export interface Household {
  household: string;
  microgrid: string;
  alias: string;
  currency: string;
  activeFrom: Instant;
  activeUntil: Instant | null;
  meters: { meter: string; role: MeterRole; usableWh: number | null }[];
}

/** A meter of a household, from the code that claims it to its first reading. */
export interface HouseholdMeter {
  meter: string;
  role: MeterRole;
  profile: string;
  claimable: boolean;
  claimedAt: Instant | null;
  /** Of the readings since it was claimed. */
  firstReadAt: Instant | null;
  lastReadAt: Instant | null;
}

/** What a claimed meter needs at the broker. */
export interface ClaimedMeter {
  meter: string;
  username: string;
  secret: string;
  profile: string;
  topic: string;
}

export type MeterRole = 'grid' | 'generation' | 'storage';

export interface Settlement {
  household: string;
  slot: Instant;
  producedWh: number;
  consumedWh: number;
  selfWh: number;
  fromNeighborsWh: number;
  toNeighborsWh: number;
  fromGridWh: number;
  toGridWh: number;
  imbalanceWh: number;
  netMicro: number;
  currency: string;
  quality: Quality;
  tariffMicro: number;
  savedMicro: number;
  /** The record that says so. */
  sequence: number;
  neighbors: { alias: string; side: 'bought' | 'sold'; energyWh: number; micro: number }[];
}

/** A month in sums, at the local months of the microgrid. */
export interface Statement {
  month: string;
  savedMicro: number;
}

/** What a slot's market came to. */
export interface SlotFairness {
  slot: Instant;
  slotEnd: Instant;
  basis: 'gate' | 'close';
  revision: number;
  currency: string;
  priceMicroPerKwh: number | null;
  /** Gain reached of what was possible; null where nothing was. */
  shareThousandths: number | null;
  rule: { pricing: string; kThousandths: number; words: string };
}

/** As members of the microgrid are told it. */
export interface MarketFairness extends SlotFairness {
  priceIntervalMicroPerKwh: [number, number] | null;
  rationing: { rule: string; words: string };
  tradedWh: number;
  possibleWh: number;
  welfareMicro: number;
  possibleWelfareMicro: number;
}

/** With why the household's orders were served as they were. */
export interface HouseholdFairness extends MarketFairness {
  household: string;
  orders: OrderFairness[];
  ordersInAll: number;
}

export interface OrderFairness {
  /** Null: the household's limits. */
  order: string | null;
  side: 'bid' | 'ask';
  limitMicroPerKwh: number | null;
  wantedWh: number;
  filledWh: number;
  reasons: { code: string; energyWh: number; words: string }[];
}

/** A slot with both bills: with neighbors, and by the tariff alone. What is paid is negative. */
export interface BillLine {
  slot: Instant;
  quality: Quality;
  withNeighbors: {
    boughtWh: number;
    boughtMicro: number;
    feeMicro: number;
    soldWh: number;
    soldMicro: number;
    utilityWh: number;
    utilityMicro: number;
    netMicro: number;
  };
  atTariff: { utilityWh: number; netMicro: number };
  savedMicro: number;
  comparison: 'better' | 'same' | 'rounding' | 'firm-order';
  /** Energy of slots too old to be corrected, booked behind this one; not in its sums. */
  trueUps: TrueUp[];
}

export interface TrueUp {
  border: Instant;
  importWh: number;
  exportWh: number;
  netMicro: number;
  /** Its record. */
  sequence: number;
}

export interface Balances {
  walletMicro: number;
  availableMicro: number;
  creditLimitMicro: number;
  billMicro: number;
  productionWh: number;
  storageWh: number;
}

export interface Limits {
  sellAboveMicroPerKwh: Limit;
  buyBelowMicroPerKwh: Limit;
  wishes: Wish[];
  validFrom: Instant | null;
}

/** What a household would rather buy, and what it pays more for it at most. */
export type Wish =
  | { kind: 'neighbor'; alias: string; premiumMicroPerKwh: number }
  | { kind: 'feeder' | 'solar'; premiumMicroPerKwh: number };

/** An order for a coming slot, and what has become of it. */
export interface Order {
  id: string;
  slot: Instant;
  side: 'bid' | 'ask';
  energyWh: number;
  priceMicroPerKwh: number;
  delivery: 'delivered' | 'firm';
  status: 'open' | 'filled' | 'partly-filled' | 'unfilled' | 'cancelled';
  filledWh: number;
}

/** What is left of a slot's open orders, by price, best first. */
export interface OrderBook {
  slot: Instant;
  bids: PriceLevel[];
  asks: PriceLevel[];
}

export interface PriceLevel {
  priceMicroPerKwh: number;
  energyWh: number;
}

/** How a household lets its autopilot quote. */
export interface StrategyChoice {
  strategy: string;
  enabled: boolean;
  validFrom: Instant;
  plan: PlannedSlot[];
}

/** What a battery should do in a slot. */
export interface PlannedSlot {
  slot: Instant;
  chargeWh: number;
  dischargeWh: number;
}

/** What a meter sent and the service refused; the same payload refused again only counts up. */
export interface Rejection {
  meter: string;
  reason: string;
  detail: string;
  count: number;
  firstSeenAt: Instant;
  lastSeenAt: Instant;
}

/** A reason to look at somebody's trades or limits, with its evidence in figures. */
export interface Alarm {
  alarm: string;
  kind: string;
  severity: 'notice' | 'warning' | 'serious';
  from: Instant;
  until: Instant;
  households: string[];
  reason: string;
}

export interface WatchedMeter {
  meter: string;
  household: string;
  role: MeterRole;
  lastReadAt: Instant | null;
  /** How far its clock is behind, by when readings come in; null where nobody can tell. */
  clockBehindSeconds: number | null;
  /** What deserves a look, by name. */
  flags: string[];
}

/** How a meter's device speaks, and the topic below which it does. */
export interface DeviceProfile {
  meter: string;
  profile: string;
  topic: string;
  mapping: object | null;
}

/** What is heard of a device and what is wrong with it, in words for whoever installs it. */
export interface DeviceReport {
  messages: number;
  retained: number;
  registers: { register: string; readAt: Instant; valueWh: string; note?: string }[];
  powerW: number | null;
  clockBehindSeconds: number | null;
  problems: { code: string; advice: string }[];
}

/** A message of a device, newest first, and what its profile made of it. */
export interface DeviceMessage {
  receivedAt: Instant;
  topic: string;
  payload: string;
  retained: boolean;
  readings: DeviceReading[];
  rejections: { reason: string; detail: string }[];
}

/** A register's value as decimal text, or a power. */
export interface DeviceReading {
  meter?: string;
  register: string;
  readAt: Instant;
  valueWh?: string;
  powerW?: number;
  quality: 'measured' | 'partial';
  note?: string;
}

/** What was tried or heard; `since` where it is listened to. */
export interface DeviceHeard {
  since?: Instant;
  report: DeviceReport;
  messages: DeviceMessage[];
}

/** A code by which a household claims a meter; told once. */
export interface ClaimCode {
  meter: string;
  household: string;
  code: string;
  expiresAt: Instant;
}

/** A regulator's cell: one month of one microgrid. Null: one household dominates the figure. */
export interface EfficiencyMonth {
  month: string;
  households: number;
  producedWh: number | null;
  usedWh: number | null;
  selfConsumptionBasisPoints: number | null;
  selfSufficiencyBasisPoints: number | null;
  neighborShareBasisPoints: number | null;
  /** What each sum rests on; null where it is withheld. */
  quality: {
    producedWh: FigureQuality | null;
    usedWh: FigureQuality | null;
    selfWh: FigureQuality | null;
    fromNeighborsWh: FigureQuality | null;
  };
}

export interface Program {
  program: string;
  name: string;
  indicator: string;
  rateMicroPerKwh: number;
  fundMicro: number;
}

export interface Award {
  pseudonym: string;
  periodFrom: Instant;
  periodTo: Instant;
  claimedWh: number;
  amountMicro: number;
  /** Null of awards from before it was told. */
  quality: QualityBounds | null;
}

/** An award as its household sees it. */
export interface OwnAward {
  program: string;
  sequence: number;
  periodFrom: Instant;
  periodTo: Instant;
  claimedWh: number;
  amountMicro: number;
  /** Null of awards from before it was told. */
  byQuality: ByQuality | null;
}
