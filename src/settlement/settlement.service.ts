import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import {
  availableBalance,
  billOf,
  consumptionOf,
  postedBalance,
  productionOf,
  storageOf,
  SYSTEM,
  walletOf,
} from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import { LogService } from '../ledger/log.service.js';
import { walletTerms } from '../market/market-records.js';
import { MarketService } from '../market/market.service.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import type { Instant } from '../units/slot.js';
import type { MarkedEnergy } from './by-quality.js';
import type { Settlement } from './close-slot.js';
import * as store from './settlement.store.js';

export interface SettlementTotals {
  lines: number;
  slots: number;
  households: number;
  productionMintedWh: number;
  consumptionMintedWh: number;
  selfClaimedWh: number;
  neighborClaimedWh: number;
  toGridWh: number;
  fromGridWh: number;
  unexplainedWh: number;
  netMicro: number;
  tariffMicro: number;
}

export type DepositOutcome = 'booked' | 'already_booked' | 'other_deposit' | 'exceeds_balance';

export interface DepositRequest {
  direction: 'deposit' | 'payout';
  amountMicro: number;
  /** The operator's own reference, unique per household: what makes a repeat harmless. */
  reference: string;
}

/** A row of the settlement table: what a household is told, and the record that says it. */
export type SettlementRow = Omit<Settlement, 'currency'> & { revision: number; sequence: number };

/** The door to what was settled: sums for other rooms, money in and out, and the figures of a run. */
@Injectable()
export class SettlementService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly log: LogService,
    private readonly market: MarketService,
    private readonly clock: MarketClockService,
  ) {}

  /** The end of the last slot that was closed or passed over; null before the first. */
  async closedThrough(sql: Sql, microgridId: string): Promise<Instant | null> {
    const [row] = await sql.query<{ closedThrough: Instant | null }>(store.CLOSED_THROUGH, [
      microgridId,
    ]);
    return row?.closedThrough ?? null;
  }

  /** Sums per household and quality over the slots that start in [from, to), sorted by household. */
  async energyByQuality(
    sql: Sql,
    microgridId: string,
    from: Instant,
    to: Instant,
  ): Promise<MarkedEnergy[]> {
    return sql.query<MarkedEnergy>(store.ENERGY_BY_QUALITY, [microgridId, from, to]);
  }

  /** Sums over the microgrid, or over one household of it, of the slots in [from, to). */
  async totals(
    sql: Sql,
    microgridId: string,
    of: { household?: string; from?: Instant | null; to?: Instant | null } = {},
  ): Promise<SettlementTotals> {
    const [totals] = await sql.query<SettlementTotals>(store.SETTLEMENT_TOTALS, [
      microgridId,
      of.household ?? null,
      of.from ?? null,
      of.to ?? null,
    ]);
    return totals!;
  }

  /**
   * A household's balances, in micro-units and Wh; accounts never posted to stand at zero.
   * @param through the record after which they stood so; absent: the last
   */
  async balancesOf(sql: Sql, microgrid: Microgrid, household: Household, through?: number) {
    const { microgridId, currency } = microgrid;
    const id = household.householdId;
    const accounts: [string, string][] = [
      [walletOf(id), currency],
      [billOf(id), currency],
      [productionOf(id), 'PRODUCTION'],
      [consumptionOf(id), 'CONSUMPTION'],
      [storageOf(id), 'STORAGE'],
    ];
    const { creditLimit } = walletTerms(microgrid, household);
    const balances = await this.ledger.balances(
      sql,
      microgridId,
      accounts.map(([account]) => account),
      through,
    );
    const items = accounts.map(([account, asset]) => {
      const balance = balances.get(account);
      const posted = balance ? postedBalance(balance) : 0;
      const limited = account === walletOf(id);
      const available = balance ? availableBalance(balance) : creditLimit;
      return {
        account: account.split('/').at(-1)!,
        asset,
        balance: posted,
        available: limited ? available : null,
      };
    });
    const [wallet, bill, production, , storage] = items;
    return {
      items,
      walletMicro: wallet!.balance,
      availableMicro: wallet!.available,
      creditLimitMicro: balances.get(walletOf(id))?.creditLimit ?? creditLimit,
      billMicro: bill!.balance,
      productionWh: production!.balance,
      storageWh: storage!.balance,
      currency,
    };
  }

  /**
   * Books money that came in from outside, or goes out. A repeat with the same reference is harmless.
   * Credit is for energy: only what a wallet has and no hold needs can be paid out.
   */
  async deposit(
    microgrid: Microgrid,
    household: Household,
    request: DepositRequest,
  ): Promise<DepositOutcome> {
    const { microgridId, currency } = microgrid;
    const { householdId } = household;
    const wallet = walletOf(householdId);
    const [debit, credit] =
      request.direction === 'deposit' ? [SYSTEM.bank, wallet] : [wallet, SYSTEM.bank];
    const cause = `deposit/${householdId}/${referenceHash(request.reference)}`;
    return this.database.transaction(async (sql) => {
      await this.ledger.lock(sql, microgridId);
      const earlier = await this.ledger.recordOfCause(sql, microgridId, cause);
      if (earlier) {
        const { direction, amountMicro } = earlier.facts;
        return direction === request.direction && amountMicro === request.amountMicro
          ? 'already_booked'
          : 'other_deposit';
      }
      if (request.direction === 'payout') {
        const balance = (await this.ledger.balances(sql, microgridId, [wallet])).get(wallet);
        const free = balance ? availableBalance({ ...balance, creditLimit: 0 }) : 0;
        if (free < request.amountMicro) return 'exceeds_balance';
      }
      await this.ledger.append(
        sql,
        microgridId,
        [
          {
            kind: 'deposit',
            at: await this.clock.now(sql),
            cause,
            keyHolder: householdId,
            households: [householdId],
            facts: { household: householdId, currency, ...request },
            transfers: [
              {
                debit,
                credit,
                asset: currency,
                amount: request.amountMicro,
                code: request.direction,
              },
            ],
          },
        ],
        [walletTerms(microgrid, household)],
      );
      return 'booked';
    });
  }

  /** The figures of a whole microgrid, for operators and for the summary of a replay. */
  async summary(microgrid: Microgrid) {
    const { microgridId, currency } = microgrid;
    const totals = await this.totals(this.database, microgridId);
    const [traded] = await this.database.query<{ trades: number; tradedWh: number }>(
      store.TRADE_TOTALS,
      [microgridId],
    );
    const books = await this.ledger.summary(this.database, microgridId);
    const checkpoint = await this.log.latestCheckpoint(this.database, microgridId);
    return {
      microgrid: microgridId,
      households: totals.households,
      slots: totals.slots,
      energy: {
        productionMintedWh: totals.productionMintedWh,
        consumptionMintedWh: totals.consumptionMintedWh,
        selfClaimedWh: totals.selfClaimedWh,
        neighborClaimedWh: totals.neighborClaimedWh,
        toGridWh: totals.toGridWh,
        fromGridWh: totals.fromGridWh,
        unexplainedWh: totals.unexplainedWh,
      },
      market: {
        orders: await this.market.orderCount(this.database, microgridId),
        trades: traded!.trades,
        tradedWh: traded!.tradedWh,
      },
      money: {
        currency,
        householdsCostMicro: 0 - totals.netMicro,
        tariffCostMicro: 0 - totals.tariffMicro,
        savedMicro: totals.netMicro - totals.tariffMicro,
      },
      ledger: {
        records: books.records,
        transfers: books.transfers,
        sequence: books.sequence,
        journalSha256: books.journalSha256,
        checkpointSize: checkpoint?.size ?? 0,
      },
    };
  }
}

/** A reference may be any text; a cause is short. */
function referenceHash(reference: string): string {
  return createHash('sha256').update(reference).digest('hex').slice(0, 32);
}
