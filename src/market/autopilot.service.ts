import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import { availableBalance } from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { MeteringService } from '../metering/metering.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import { takesOrders, type Household, type Microgrid, type Tariff } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { tariffIn } from '../parties/tariff.js';
import { canonicalJson, type JsonObject } from '../units/canonical-json.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import {
  firstQuoted,
  pilot,
  quotedAt,
  slotsNeeded,
  type PilotedHousehold,
  type PilotedOrder,
  type StreetHistory,
} from './autopilot.js';
import * as store from './autopilot.store.js';
import { orderCancelled, walletTerms, type HeldOrder } from './market-records.js';
import { MarketService } from './market.service.js';
import { decideOrders, writeMatches } from './order-taking.store.js';
import { firstOpenSlot, judgeOrder, requestHash } from './order.js';
import { batteriesOf, historyOf } from './street-history.js';
import { STRATEGIES, type StrategyName } from './strategies.js';
import type { Outcome, PlannedSlot } from './strategy.js';

/** How a household lets its autopilot quote. */
export interface StrategyChoice {
  readonly strategy: StrategyName;
  readonly enabled: boolean;
  /** The first slot that is quoted so. */
  readonly validFrom: Instant;
  /** What its battery should do, as planned with the latest quote; empty without a battery. */
  readonly plan: readonly PlannedSlot[];
}

/**
 * The door to the autopilot: who has it on, and before each gate the orders of all of them, placed in
 * one transaction from what was measured in closed slots. A slot is quoted once, whatever crashes and
 * however many instances try.
 */
@Injectable()
export class AutopilotService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly parties: PartiesService,
    private readonly metering: MeteringService,
    private readonly market: MarketService,
    private readonly clock: MarketClockService,
  ) {}

  async choice(sql: Sql, household: Household): Promise<StrategyChoice> {
    const [row] = await sql.query<StrategyChoice>(store.STRATEGY_OF_HOUSEHOLD, [
      household.microgridId,
      household.householdId,
    ]);
    return row ?? { strategy: 'fixed', enabled: false, validFrom: household.activeFrom, plan: [] };
  }

  /**
   * Chooses a strategy, or switches it off, from the next slot that is quoted. Off also takes back
   * what it has in the book for slots whose gates are open. A choice that holds already changes nothing.
   */
  async choose(
    microgrid: Microgrid,
    household: Household,
    chosen: Pick<StrategyChoice, 'strategy' | 'enabled'>,
    by: string,
  ): Promise<StrategyChoice> {
    const { microgridId } = microgrid;
    const { householdId } = household;
    return this.database.transaction(async (sql) => {
      const head = await this.ledger.lock(sql, microgridId);
      const current = await this.choice(sql, household);
      if (current.strategy === chosen.strategy && current.enabled === chosen.enabled) {
        return current;
      }
      const now = await this.clock.now(sql);
      const first = firstQuoted(parseInstant(now), microgrid);
      const validFrom = formatInstant(Math.max(first, parseInstant(household.activeFrom)));
      await this.ledger.append(sql, microgridId, [
        {
          kind: 'operator-action',
          at: now,
          cause: `strategy/${householdId}/${head + 1}`,
          keyHolder: householdId,
          households: [householdId],
          facts: { action: 'strategy-chosen', by, household: householdId, ...chosen, validFrom },
          transfers: [],
        },
      ]);
      await sql.query(store.SET_STRATEGY, [
        microgridId,
        householdId,
        chosen.strategy,
        chosen.enabled,
        validFrom,
      ]);
      if (!chosen.enabled) await this.takeBack(sql, microgrid, householdId, now);
      return { ...chosen, validFrom, plan: [] };
    });
  }

  /** The next slot to be quoted and when; null where nobody has it on, or nothing is traded ahead. */
  async nextQuote(
    sql: Sql,
    microgrid: Microgrid,
  ): Promise<{ slotStart: Instant; dueMillis: number } | null> {
    if (!takesOrders(microgrid.mechanism)) return null;
    const { microgridId, slotMinutes } = microgrid;
    const [row] = await sql.query<{ slotStart: Instant | null }>(store.NEXT_SLOT, [
      microgridId,
      slotMinutes,
    ]);
    const slotStart = row?.slotStart ?? null;
    if (slotStart === null) return null;
    return { slotStart, dueMillis: quotedAt(parseInstant(slotStart), microgrid) };
  }

  /** Quotes one slot for every household that has its autopilot on; nothing if that was done before. */
  async quote(microgrid: Microgrid, slotStart: Instant): Promise<void> {
    const { microgridId } = microgrid;
    await this.database.transaction(async (sql) => {
      await this.ledger.lock(sql, microgridId);
      if ((await this.nextQuote(sql, microgrid))?.slotStart !== slotStart) return;
      const piloted = await this.pilotedIn(sql, microgrid, slotStart);
      if (piloted.length > 0) await this.place(sql, microgrid, slotStart, piloted);
      await sql.query(store.QUOTED_THROUGH, [microgridId, slotStart]);
    });
  }

  /** Passes over a slot that cannot be quoted: a fault of a strategy stops neither gate nor close. */
  async skip(microgrid: Microgrid, slotStart: Instant): Promise<void> {
    await this.database.query(store.QUOTED_THROUGH, [microgrid.microgridId, slotStart]);
  }

  private async place(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
    households: readonly PilotedHousehold[],
  ): Promise<void> {
    const { microgridId, timeZone } = microgrid;
    const slotMillis = parseInstant(slotStart);
    const tariffs = await this.parties.tariffsBetween(
      sql,
      microgridId,
      slotStart,
      formatInstant(slotMillis + 2 * DAY_MILLIS),
    );
    const tariffAt = (slot: Instant) => tariffIn(tariffs, timeZone, slot);
    const decided = pilot({
      terms: microgrid,
      slotMillis,
      tariffAt,
      energy: await this.energyFor(sql, microgrid, slotMillis, households),
      households,
    });
    const at = formatInstant(quotedAt(slotMillis, microgrid));
    const tariff = tariffAt(slotStart);
    const byId = new Map(households.map(({ household }) => [household.householdId, household]));
    const orders = decided.flatMap(({ household, orders: wanted }) => {
      const context = {
        ...microgrid,
        ...byId.get(household)!,
        now: at,
        gateCleared: false,
        tariff,
      };
      return wanted.filter(
        ({ request }) =>
          judgeOrder(request, { ...context, open: [], traded: NOTHING }) === 'accepted',
      );
    });
    await this.append(sql, microgrid, slotStart, { at, tariff }, orders, byId);
    await sql.query(store.REMEMBER, [
      microgridId,
      decided.map(({ household }) => household),
      decided.map(({ state }) => canonicalJson(state)),
      decided.map(({ plan }) => canonicalJson(plan)),
    ]);
  }

  private async append(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
    { at, tariff }: { at: Instant; tariff: Tariff },
    orders: readonly PilotedOrder[],
    households: ReadonlyMap<string, Household>,
  ): Promise<void> {
    if (orders.length === 0) return;
    const terms = [...households.values()].map((household) => walletTerms(microgrid, household));
    const { microgridId } = microgrid;
    const place = { microgrid, slot: slotStart, at, tariff };
    const decided = await decideOrders(sql, this.ledger, place, orders, terms);
    const { taken } = decided;
    const keys = new Map(orders.map(({ id, idempotencyKey }) => [id, idempotencyKey]));
    const sequences = await this.ledger.append(sql, microgridId, decided.drafts, terms);
    await sql.query(store.INSERT_ORDERS, [
      microgridId,
      slotStart,
      taken.map(({ id }) => id),
      taken.map(({ request }) => request.household),
      taken.map(({ request }) => request.side),
      taken.map(({ request }) => request.energyWh),
      taken.map(({ request }) => request.priceMicroPerKwh),
      taken.map(({ request }) => request.delivery),
      taken.map(({ id }) => keys.get(id)!),
      taken.map(({ request }) => requestHash(request)),
      taken.map(({ holdId }) => holdId),
      taken.map(({ draft }) => sequences[draft]!),
    ]);
    await writeMatches(sql, microgridId, slotStart, decided, sequences);
  }

  /** Who is to be quoted, with all that is not measured. */
  private async pilotedIn(
    sql: Sql,
    microgrid: Microgrid,
    slotStart: Instant,
  ): Promise<PilotedHousehold[]> {
    const { microgridId } = microgrid;
    const rows = await sql.query<{
      householdId: string;
      strategy: StrategyName;
      state: JsonObject;
    }>(store.PILOTED, [microgridId, slotStart]);
    if (rows.length === 0) return [];
    const { households, meters } = await this.parties.members(sql, microgridId, slotStart);
    const members = new Map(households.map((household) => [household.householdId, household]));
    const limits = await this.market.standingOrders(sql, microgridId, slotStart);
    const outcomes = await this.outcomesBefore(sql, microgridId, slotStart);
    const planning = rows.filter(({ strategy }) => strategy === 'battery');
    const batteries = batteriesOf(
      meters,
      planning.map(({ householdId }) => householdId),
    );
    const terms = households.map((household) => walletTerms(microgrid, household));
    const balances = await this.ledger.balances(
      sql,
      microgridId,
      terms.map(({ account }) => account),
    );
    const walletTermsOf = new Map(
      households.map(({ householdId }, index) => [householdId, terms[index]!]),
    );
    return rows.flatMap(({ householdId, strategy, state }) => {
      const household = members.get(householdId);
      if (!household) return [];
      const wallet = walletTermsOf.get(householdId)!;
      const balance = balances.get(wallet.account);
      return [
        {
          household,
          strategy: STRATEGIES[strategy],
          state,
          limits: limits.get(householdId) ?? { sellAbove: null, buyBelow: null },
          last: outcomes.get(householdId) ?? null,
          usableWh: batteries.get(householdId) ?? 0,
          availableMicro: balance ? availableBalance(balance) : wallet.creditLimit,
        },
      ];
    });
  }

  private async outcomesBefore(
    sql: Sql,
    microgridId: string,
    slotStart: Instant,
  ): Promise<Map<string, Outcome>> {
    const since = formatInstant(parseInstant(slotStart) - OUTCOME_DAYS * DAY_MILLIS);
    const rows = await sql.query<Outcome & { householdId: string }>(store.LAST_OUTCOMES, [
      microgridId,
      slotStart,
      since,
    ]);
    return new Map(rows.map(({ householdId, ...outcome }) => [householdId, outcome]));
  }

  /** What the closed slots tell: a fixed number of statements, however many households there are. */
  private async energyFor(
    sql: Sql,
    microgrid: Microgrid,
    slotMillis: number,
    households: readonly PilotedHousehold[],
  ): Promise<StreetHistory> {
    const { microgridId } = microgrid;
    const needed = slotsNeeded(slotMillis, microgrid);
    const until = formatInstant(needed.untilMillis);
    const flows = await this.metering.flowsIn(sql, microgridId, {
      starts: needed.starts.map(formatInstant),
    });
    const planning = households.flatMap(({ usableWh, household }) =>
      usableWh === 0 ? [] : [household.householdId],
    );
    const ofBatteries =
      planning.length === 0
        ? []
        : await this.metering.flowsIn(sql, microgridId, {
            from: formatInstant(needed.planFromMillis),
            until,
            householdIds: planning,
          });
    const street =
      planning.length === 0
        ? []
        : await this.metering.streetFlows(
            sql,
            microgridId,
            formatInstant(needed.streetFromMillis),
            until,
          );
    return historyOf(flows, ofBatteries, street);
  }

  private async takeBack(
    sql: Sql,
    microgrid: Microgrid,
    householdId: string,
    now: Instant,
  ): Promise<void> {
    const { microgridId } = microgrid;
    const open = await sql.query<HeldOrder>(store.OPEN_OF_PILOT, [
      microgridId,
      householdId,
      firstOpenSlot(now, microgrid),
    ]);
    if (open.length === 0) return;
    const drafts = open.map((order) => orderCancelled(microgrid, order, now));
    await this.ledger.append(sql, microgridId, drafts);
    await sql.query(store.TAKE_BACK, [microgridId, open.map(({ id }) => id)]);
  }
}

const DAY_MILLIS = 86_400_000;
const NOTHING = { bid: 0, ask: 0 };
/** Older outcomes teach nothing about today's prices. */
const OUTCOME_DAYS = 2;
