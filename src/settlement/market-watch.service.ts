import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import type { LimitOrder } from '../market/call-auction.js';
import { dealingAlarms, type Dealing } from '../market/dealing.js';
import { askWithin, bidWithin } from '../market/limits.js';
import { priceSetters, type PricedSlot } from '../market/price-setter.js';
import type { Microgrid, Tariff } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { tariffIn } from '../parties/tariff.js';
import { groupBy } from '../units/group-by.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import {
  dealingReport,
  priceSetterReport,
  type MarketAlarm,
  type TradeSample,
  type Window,
} from './market-alarm.js';
import * as store from './market-watch.store.js';
import { SettlementService } from './settlement.service.js';

/** An alarm as a regulator is told of it. */
export interface AnonymousAlarm {
  readonly kind: string;
  readonly severity: string;
  readonly month: string;
  readonly households: readonly string[];
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly pseudonymKey: string;
}

const DAY_MILLIS = 86_400_000;
/** Dealings are looked at over a week, prices over a day. */
const WEEK_MILLIS = 7 * DAY_MILLIS;
/** Trades that an alarm shows for each pair. */
const SAMPLES = 10;

interface OrderRow {
  slot: Instant;
  id: string;
  household: string;
  side: 'bid' | 'ask';
  price: number;
  energyWh: number;
}

interface StandingRow {
  slot: Instant;
  household: string;
  toSellWh: number;
  toBuyWh: number;
  sellAbove: number | null;
  buyBelow: number | null;
}

/**
 * The door to the market's health: once a day of market time has closed, looks back at who dealt with
 * whom and who set prices, and keeps the alarms. It reads what was committed and writes no record: an
 * alarm is an opinion about the books and no part of them.
 */
@Injectable()
export class MarketWatchService {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly settlement: SettlementService,
  ) {}

  /** Looks at every day that has closed since; several instances may. */
  async lookBack(microgrid: Microgrid): Promise<void> {
    const { microgridId } = microgrid;
    for (;;) {
      const [day] = await this.database.query<Window>(store.NEXT_DAY, [microgridId]);
      if (!day) return;
      await this.database.transaction(async (sql) => {
        await keep(sql, microgridId, await this.alarmsOf(sql, microgrid, day));
        await sql.query(store.WATCHED, [microgridId, day.from, day.until]);
      });
    }
  }

  /** Newest first; one more than the limit when there are more. */
  async alarms(
    microgridId: string,
    limit: number,
    after: { readonly until: Instant; readonly alarm: string } | null,
  ): Promise<MarketAlarm[]> {
    return this.database.query<MarketAlarm>(store.ALARMS, [
      microgridId,
      after?.until ?? null,
      after?.alarm ?? null,
      limit + 1,
    ]);
  }

  /** Alarms of months that are over, on streets of at least that many households; newest month first. */
  async alarmsOfMonths(
    sql: Sql,
    microgridId: string,
    leastHouseholds: number,
    limit: number,
  ): Promise<AnonymousAlarm[]> {
    const closedThrough = await this.settlement.closedThrough(sql, microgridId);
    if (closedThrough === null) return [];
    return sql.query<AnonymousAlarm>(store.ALARMS_OF_MONTHS, [
      microgridId,
      closedThrough,
      leastHouseholds,
      limit,
    ]);
  }

  private async alarmsOf(
    sql: Sql,
    microgrid: Microgrid,
    day: Window,
  ): Promise<{ alarms: MarketAlarm[]; streetHouseholds: number }> {
    const { microgridId } = microgrid;
    const from = formatInstant(parseInstant(day.until) - WEEK_MILLIS);
    const week = { from, until: day.until };
    const range = [microgridId, week.from, week.until];
    const dealings = await sql.query<Dealing>(store.DEALINGS, range);
    const owners = await sql.query<{ person: string; households: string[] }>(store.OWNERS, range);
    const dealt = dealingAlarms(
      dealings,
      new Map(owners.map(({ person, households }) => [person, households])),
    );
    const pairs = dealt.flatMap((alarm) => alarm.dealings);
    const samples =
      pairs.length === 0
        ? []
        : await sql.query<TradeSample>(store.LARGEST_TRADES, [
            ...range,
            pairs.map(({ seller }) => seller),
            pairs.map(({ buyer }) => buyer),
            SAMPLES,
          ]);
    const setters = priceSetters(await this.pricedSlots(sql, microgrid, day));
    const [street] = await sql.query<{ households: number }>(store.STREET_HOUSEHOLDS, range);
    return {
      alarms: [
        ...dealt.map((alarm) => dealingReport(microgridId, week, alarm, samples)),
        ...setters.map((alarm) => priceSetterReport(microgridId, day, alarm)),
      ],
      streetHouseholds: street!.households,
    };
  }

  /**
   * The books of a day as they were cleared: orders made ahead, or what was metered with the limits that
   * held. None where prices are agreed rates, or where wires part them.
   */
  private async pricedSlots(sql: Sql, microgrid: Microgrid, day: Window): Promise<PricedSlot[]> {
    const { microgridId, timeZone, priceKThousandths: kThousandths, mechanism } = microgrid;
    if (microgrid.pricing !== 'clearing' || mechanism === 'sharing') return [];
    if ((await this.parties.networkAt(sql, microgridId, day.until)) !== null) return [];
    const range = [microgridId, day.from, day.until];
    const ahead = await sql.query<OrderRow>(store.ORDERS, range);
    const standing = ahead.length > 0 ? [] : await sql.query<StandingRow>(store.STANDING, range);
    const versions = await this.parties.tariffsBetween(sql, microgridId, day.from, day.until);
    const priced = (slot: Instant, orders: (tariff: Tariff) => Placed[]): PricedSlot => {
      const tariff = tariffIn(versions, timeZone, slot);
      const of = (side: 'bid' | 'ask') =>
        orders(tariff)
          .filter((one) => one.side === side)
          .map(({ order }) => order);
      const { feedInMicroPerKwh: feedIn, retailMicroPerKwh, gridFeeMicroPerKwh } = tariff;
      const retail = retailMicroPerKwh - gridFeeMicroPerKwh;
      return { slot, bids: of('bid'), asks: of('ask'), kThousandths, feedIn, retail };
    };
    return [
      ...[...groupBy(ahead, ({ slot }) => slot)].map(([slot, rows]) =>
        priced(slot, (tariff) => rows.flatMap((row) => aheadOrder(row, tariff))),
      ),
      ...[...groupBy(standing, ({ slot }) => slot)].map(([slot, rows]) =>
        priced(slot, (tariff) => rows.flatMap((row) => standingOrder(row, tariff))),
      ),
    ];
  }
}

interface Placed {
  readonly side: 'bid' | 'ask';
  readonly order: LimitOrder;
}

function aheadOrder({ id, household, side, price, energyWh }: OrderRow, tariff: Tariff): Placed[] {
  const limit = side === 'ask' ? askWithin(tariff, price) : bidWithin(tariff, price);
  return limit === null ? [] : [placed(side, id, household, limit, energyWh, tariff)];
}

/** A household that both exported and imported is left out: what it could trade is not told by that. */
function standingOrder(row: StandingRow, tariff: Tariff): Placed[] {
  const { household, toSellWh, toBuyWh } = row;
  if (toSellWh > 0 === toBuyWh > 0) return [];
  const side = toSellWh > 0 ? 'ask' : 'bid';
  const limit = side === 'ask' ? askWithin(tariff, row.sellAbove) : bidWithin(tariff, row.buyBelow);
  if (limit === null) return [];
  return [placed(side, household, household, limit, toSellWh + toBuyWh, tariff)];
}

/** The grid fee is the buyer's, on top of the price. */
function placed(
  side: 'bid' | 'ask',
  id: string,
  trader: string,
  limit: number,
  quantity: number,
  { gridFeeMicroPerKwh }: Tariff,
): Placed {
  const price = side === 'bid' ? limit - gridFeeMicroPerKwh : limit;
  return { side, order: { id, trader, price, quantity } };
}

async function keep(
  sql: Sql,
  microgridId: string,
  found: { alarms: readonly MarketAlarm[]; streetHouseholds: number },
): Promise<void> {
  const { alarms, streetHouseholds } = found;
  if (alarms.length === 0) return;
  await sql.query(store.INSERT_ALARMS, [
    microgridId,
    streetHouseholds,
    alarms.map(({ alarm }) => alarm),
    alarms.map(({ kind }) => kind),
    alarms.map(({ severity }) => severity),
    alarms.map(({ from }) => from),
    alarms.map(({ until }) => until),
    alarms.map(({ households }) => JSON.stringify(households)),
    alarms.map(({ reason }) => reason),
    alarms.map(({ evidence }) => JSON.stringify(evidence)),
  ]);
}
