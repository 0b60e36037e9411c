import type { Household, Tariff } from '../parties/microgrid.js';
import type { JsonObject } from '../units/canonical-json.js';
import { affordableWh, costMicro } from '../units/money.js';
import { formatInstant, type Instant, type SlotMinutes } from '../units/slot.js';
import { STORED_PERMILLE } from './battery-plan.js';
import { forecast, slotsLookedAt, type Series } from './forecast.js';
import { askWithin, bidWithin, type StandingLimits } from './limits.js';
import { connectionWh, MAX_OPEN_ORDERS, orderId, type OrderRequest } from './order.js';
import type {
  Outcome,
  PlannedSlot,
  Quote,
  SlotAhead,
  Storage,
  Strategy,
  StreetEnergy,
} from './strategy.js';

/**
 * When the autopilot quotes, what it looks at, and what becomes of a strategy's quotes: orders that the
 * household's limits, connection and wallet allow. The same measurements give the same orders, whoever
 * computes them and when.
 */

/** What of a microgrid its autopilot goes by. */
export interface AutopilotTerms {
  readonly microgridId: string;
  readonly slotMinutes: SlotMinutes;
  readonly gateClosureSeconds: number;
  readonly graceSeconds: number;
}

export interface PilotedHousehold {
  readonly household: Household;
  readonly strategy: Strategy;
  readonly limits: StandingLimits;
  readonly last: Outcome | null;
  /** What its batteries can hold, in Wh; 0 where none is to be planned. */
  readonly usableWh: number;
  readonly state: JsonObject;
  /** What its wallet covers. */
  readonly availableMicro: number;
}

export interface PilotInput {
  readonly terms: AutopilotTerms;
  readonly slotMillis: number;
  readonly tariffAt: (slot: Instant) => Tariff;
  readonly energy: StreetHistory;
  readonly households: readonly PilotedHousehold[];
}

/** What all meters of a street have told of its closed slots. */
export interface StreetHistory {
  /** Export less import at the grid meter, in Wh. */
  readonly net: (household: string) => Series;
  /** The same without what its battery took and gave. */
  readonly balance: (household: string) => Series;
  /** What all households had to sell, and to buy. */
  readonly street: (startMillis: number) => StreetEnergy | undefined;
}

export interface Piloted {
  readonly household: string;
  readonly orders: readonly PilotedOrder[];
  readonly state: JsonObject;
  readonly plan: readonly PlannedSlot[];
}

export interface PilotedOrder {
  readonly id: string;
  readonly idempotencyKey: string;
  readonly request: OrderRequest;
}

/** What the households do in one slot, in the order given. */
export function pilot(input: PilotInput): Piloted[] {
  const { terms, slotMillis } = input;
  const slot = formatInstant(slotMillis);
  const tariff = input.tariffAt(slot);
  const newestMillis = newestSlot(slotMillis, terms);
  const street = streetLately(input.energy, slotMillis, newestMillis);
  return input.households.map((piloted) => {
    const { householdId } = piloted.household;
    const decision = piloted.strategy({
      household: householdId,
      slot,
      forecast: forecast({ slotMillis, newestMillis, history: input.energy.net(householdId) }),
      street,
      limits: {
        askMicroPerKwh: askWithin(tariff, piloted.limits.sellAbove),
        bidMicroPerKwh: bidWithin(tariff, piloted.limits.buyBelow),
      },
      tariff,
      last: piloted.last,
      storage: storageOf(piloted, input),
      state: piloted.state,
    });
    const quotes = withinBounds(decision.quotes, piloted, terms, tariff);
    return {
      household: householdId,
      orders: quotes.map((quote, index) =>
        ordered(terms.microgridId, householdId, slot, quote, index),
      ),
      state: decision.state ?? {},
      plan: decision.plan ?? [],
    };
  });
}

/**
 * When a slot is quoted: as soon as the last slot that can still count before the gate is closed for
 * certain, and so as early as nothing more can be learnt. Its orders can be seen, and taken back, from
 * then until the gate.
 */
export function quotedAt(slotMillis: number, terms: AutopilotTerms): number {
  return newestSlot(slotMillis, terms) + slotLength(terms) + terms.graceSeconds * 1000;
}

/** The newest slot that a quote may look at: it is closed by then, whatever its meters did. */
export function newestSlot(slotMillis: number, terms: AutopilotTerms): number {
  const gate = slotMillis - terms.gateClosureSeconds * 1000;
  const latest = gate - terms.graceSeconds * 1000 - ROOM_MILLIS;
  const length = slotLength(terms);
  return Math.floor(latest / length) * length - length;
}

/** The first slot that is quoted after this instant. */
export function firstQuoted(nowMillis: number, terms: AutopilotTerms): number {
  const length = slotLength(terms);
  let slot = Math.floor(nowMillis / length) * length;
  while (quotedAt(slot, terms) <= nowMillis) slot += length;
  return slot;
}

/** Between quote and gate there is at least a minute. */
const ROOM_MILLIS = 60_000;
/** Days over which it is told what the street has to sell and to buy at a time of day. */
const STREET_DAYS = 7;
const DAY_MILLIS = 86_400_000;
/** How far a battery's plan reaches, and the history that its forecasts rest on. */
const PLAN_MILLIS = DAY_MILLIS;
const PLAN_HISTORY_MILLIS = 8 * DAY_MILLIS;

/** What a quote looks at: some slots of everyone; where batteries are planned, days on end. */
export function slotsNeeded(
  slotMillis: number,
  terms: AutopilotTerms,
): { starts: number[]; untilMillis: number; planFromMillis: number; streetFromMillis: number } {
  const newestMillis = newestSlot(slotMillis, terms);
  const untilMillis = newestMillis + slotLength(terms);
  return {
    starts: slotsLookedAt({ slotMillis, newestMillis }).filter((start) => start <= newestMillis),
    untilMillis,
    planFromMillis: untilMillis - PLAN_HISTORY_MILLIS,
    // The last time that each of the slots ahead came round.
    streetFromMillis: untilMillis - PLAN_MILLIS - (slotMillis - newestMillis),
  };
}

/** A key that no person can use: a household's id names no person. */
function ordered(
  microgrid: string,
  household: string,
  slot: Instant,
  quote: Quote,
  index: number,
): PilotedOrder {
  const idempotencyKey = `autopilot/${slot}/${index}`;
  return {
    id: orderId(microgrid, household, idempotencyKey),
    idempotencyKey,
    request: { microgrid, household, slot, ...quote, delivery: 'delivered' },
  };
}

/**
 * Quotes cut to what connection and wallet carry, in their order; a bid's worst cost is rounded on its
 * own, so a micro-unit of the wallet is set aside for each.
 */
function withinBounds(
  quotes: readonly Quote[],
  { household, availableMicro }: PilotedHousehold,
  terms: AutopilotTerms,
  tariff: Tariff,
): Quote[] {
  const side = quotes[0]?.side ?? 'bid';
  let leftWh = connectionWh(side, { ...household, slotMinutes: terms.slotMinutes });
  let leftMicro = side === 'bid' ? availableMicro - quotes.length : Infinity;
  const kept: Quote[] = [];
  for (const quote of quotes.slice(0, MAX_OPEN_ORDERS)) {
    const { priceMicroPerKwh: price } = quote;
    if (quote.side !== side) throw new Error('a strategy quoted both sides of a slot');
    if (price < tariff.feedInMicroPerKwh || price > tariff.retailMicroPerKwh) {
      throw new Error(`a strategy quoted ${price}, beyond the tariffs`);
    }
    const coveredWh = side === 'bid' ? affordableWh(leftMicro, price) : Infinity;
    const energyWh = Math.min(quote.energyWh, leftWh, coveredWh);
    if (energyWh <= 0) continue;
    kept.push({ ...quote, energyWh });
    leftWh -= energyWh;
    if (side === 'bid') leftMicro -= costMicro(energyWh, price);
  }
  return kept;
}

/** The same time of day on recent days; before there was one, the newest slot. */
function streetLately(
  { street }: StreetHistory,
  slotMillis: number,
  newestMillis: number,
): StreetEnergy {
  const days = Array.from({ length: STREET_DAYS }, (_, day) => slotMillis - (day + 1) * DAY_MILLIS);
  const known = days.flatMap((start) => street(start) ?? []);
  if (known.length === 0) known.push(...[street(newestMillis) ?? []].flat());
  return {
    supplyWh: known.reduce((sum, { supplyWh }) => sum + supplyWh, 0),
    demandWh: known.reduce((sum, { demandWh }) => sum + demandWh, 0),
  };
}

function storageOf({ household, usableWh }: PilotedHousehold, input: PilotInput): Storage | null {
  if (usableWh === 0) return null;
  const { terms, energy, tariffAt, slotMillis } = input;
  const newestMillis = newestSlot(slotMillis, terms);
  const history = energy.balance(household.householdId);
  const ahead: SlotAhead[] = [];
  for (let at = slotMillis; at < slotMillis + PLAN_MILLIS; at += slotLength(terms)) {
    const slot = formatInstant(at);
    ahead.push({
      slot,
      balance: forecast({ slotMillis: at, newestMillis, history }),
      street: streetLately(energy, at, newestMillis),
      tariff: tariffAt(slot),
    });
  }
  return {
    usableWh,
    chargeWh: chargeOf(household.householdId, usableWh, input, newestMillis),
    chargedThrough: formatInstant(newestMillis + slotLength(terms)),
    slotMinutes: terms.slotMinutes,
    ahead,
  };
}

/**
 * What a battery holds, counted from what its meter told: no meter shows the charge itself. The count
 * starts empty days ago and comes right whenever the battery is full or empty.
 */
function chargeOf(
  household: string,
  usableWh: number,
  { energy, terms }: PilotInput,
  newestMillis: number,
): number {
  const [net, balance] = [energy.net(household), energy.balance(household)];
  let chargePermille = 0;
  const length = slotLength(terms);
  for (let at = newestMillis + length - PLAN_HISTORY_MILLIS; at <= newestMillis; at += length) {
    const takenWh = (balance(at) ?? 0) - (net(at) ?? 0);
    chargePermille += takenWh * (takenWh > 0 ? STORED_PERMILLE : 1000);
    chargePermille = Math.min(usableWh * 1000, Math.max(0, chargePermille));
  }
  return Math.floor(chargePermille / 1000);
}

function slotLength({ slotMinutes }: AutopilotTerms): number {
  return slotMinutes * 60_000;
}
