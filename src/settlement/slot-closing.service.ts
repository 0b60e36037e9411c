import { Injectable } from '@nestjs/common';
import { DatabaseService, type Sql } from '../database/database.service.js';
import {
  availableBalance,
  SYSTEM,
  TOKENS,
  type AccountTerms,
  type Balance,
} from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import type { RecordDraft } from '../ledger/record.js';
import { tallySince } from '../ledger/tally.service.js';
import { clearingRules } from '../market/clearing.js';
import { sharingRules } from '../market/metered-sharing.js';
import { walletTerms, wishFacts } from '../market/market-records.js';
import { MarketService } from '../market/market.service.js';
import { measureAll } from '../metering/measurement.js';
import { MeteringService } from '../metering/metering.service.js';
import type { MeteredSlot } from '../metering/slot-borders.js';
import type { Household, Meter, Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { canonicalJson } from '../units/canonical-json.js';
import { groupBy } from '../units/group-by.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import {
  closeSlot,
  isMadeAtClose,
  type SettledSlot,
  type Settlement,
  type SlotTerms,
} from './close-slot.js';
import type { Lot } from './claims.js';
import { closeManifests, NOTHING_COUNTED, supplyAfter, type ManifestState } from './manifest.js';
import * as store from './settlement.store.js';
import { energyFacts } from './slot-facts.js';
import { slotRecords, type Supply } from './slot-records.js';

/** The registers of a slot by household. */
export type RegistersByHousehold = Map<string, MeteredSlot[]>;

/**
 * The one composition of a slot's close: reads what the rooms to the left have committed, settles it
 * in `closeSlot`, and writes records, transfers and rows in one transaction. A handful of set-based
 * statements, however many households there are.
 */
@Injectable()
export class SlotClosingService {
  constructor(
    private readonly database: DatabaseService,
    private readonly parties: PartiesService,
    private readonly ledger: LedgerService,
    private readonly metering: MeteringService,
    private readonly market: MarketService,
  ) {}

  /**
   * Closes one slot. Safe to be tried by several instances: the head's lock orders them, and all but
   * the first find it closed.
   * @returns whether this call closed it
   */
  async close(microgrid: Microgrid, slotStart: Instant): Promise<boolean> {
    return this.database.transaction(async (sql) => {
      const { microgridId } = microgrid;
      const head = await this.ledger.lock(sql, microgridId);
      const [known] = await sql.query<{ status: string }>(store.SLOT, [microgridId, slotStart]);
      if (known?.status === 'closed') return false;
      if (await this.market.awaitsGate(sql, microgridId, slotStart)) {
        throw new Error('its gate has not been closed: orders are still open');
      }
      const terms = await this.termsOf(sql, microgrid, slotStart);
      const { households, meters } = await this.parties.members(sql, microgridId, slotStart);
      const registers = await this.registersOf(sql, terms, meters);
      const wallets = await this.walletsOf(sql, microgrid, households);
      const slot = closeSlot({
        terms,
        households: await this.slotHouseholds(sql, {
          microgrid,
          terms,
          households,
          meters,
          registers,
          availableMicro: wallets.availableMicro,
        }),
        trades: isMadeAtClose(terms) ? [] : await this.market.tradesOf(sql, microgridId, slotStart),
      });
      const drafts = slotRecords(slot, registers);
      const manifests = await this.manifestsOf(sql, microgrid, slot, drafts, head);
      const sequences = await this.ledger.append(
        sql,
        microgridId,
        [...drafts, ...manifests.drafts],
        wallets.terms,
      );
      await this.save(sql, slot, registers, sequences.slice(0, drafts.length + 1));
      await sql.query(store.KEEP_MANIFEST_STATE, [microgridId, canonicalJson(manifests.state)]);
      return true;
    });
  }

  /** @throws Error when what was counted is not what the accounts say: a broken invariant */
  private async manifestsOf(
    sql: Sql,
    microgrid: Microgrid,
    slot: SettledSlot,
    drafts: readonly RecordDraft[],
    head: number,
  ) {
    const { microgridId } = microgrid;
    const [row] = await sql.query<{ state: string }>(store.MANIFEST_STATE, [microgridId]);
    const state = row ? (JSON.parse(row.state) as ManifestState) : NOTHING_COUNTED;
    const between = await tallySince(sql, microgridId, state.through);
    const counted = supplyAfter(state);
    for (const [token, supply] of Object.entries(await this.supply(sql, microgridId))) {
      const { minted, retired } = between.supply.get(token) ?? { minted: 0, retired: 0 };
      if ((counted[token] ?? 0) + minted - retired === supply) continue;
      throw new Error(`the supply of ${token} is not what its manifests say`);
    }
    return closeManifests({ state, between, head, slot, drafts, microgrid });
  }

  /** The rules that held in a slot. */
  async termsOf(sql: Sql, microgrid: Microgrid, slotStart: Instant): Promise<SlotTerms> {
    const { microgridId } = microgrid;
    const slotEnd = formatInstant(parseInstant(slotStart) + microgrid.slotMinutes * 60_000);
    return {
      microgridId,
      slot: slotStart,
      slotEnd,
      currency: microgrid.currency,
      mechanism: microgrid.mechanism,
      rules: clearingRules(microgrid, await this.parties.networkAt(sql, microgridId, slotStart)),
      sharing: sharingRules(microgrid),
      tariff: await this.parties.tariffAt(sql, microgridId, slotStart),
    };
  }

  /** What the meters say of a slot now, by household; every household has an entry. */
  async registersOf(
    sql: Sql,
    { microgridId, slot, slotEnd }: SlotTerms,
    meters: readonly Meter[],
  ): Promise<RegistersByHousehold> {
    const slots = await this.metering.bordersFor(sql, microgridId, meters, slot, slotEnd);
    return groupBy(slots, ({ householdId }) => householdId);
  }

  private async slotHouseholds(
    sql: Sql,
    slot: {
      microgrid: Microgrid;
      terms: SlotTerms;
      households: readonly Household[];
      meters: readonly Meter[];
      registers: RegistersByHousehold;
      availableMicro: ReadonlyMap<string, number>;
    },
  ) {
    const { microgridId, unexplainedToleranceWh } = slot.microgrid;
    const limits = await this.market.standingOrders(sql, microgridId, slot.terms.slot);
    const lots = await this.lots(sql, microgridId);
    const usableWh = usableByHousehold(slot.meters);
    const measured = measureAll(
      slot.households.map(({ householdId }) => householdId),
      [...slot.registers.values()].flat(),
      unexplainedToleranceWh,
    );
    const members = new Map(slot.households.map((one) => [one.householdId, one]));
    return measured.map(({ householdId, ...energy }) => ({
      householdId,
      feeder: members.get(householdId)!.feeder,
      share: {
        parts: members.get(householdId)!.shareParts,
        rank: members.get(householdId)!.shareRank,
      },
      energy: energyFacts(energy),
      limits: {
        sellAboveMicroPerKwh: limits.get(householdId)?.sellAbove ?? null,
        buyBelowMicroPerKwh: limits.get(householdId)?.buyBelow ?? null,
        ...wishFacts(limits.get(householdId)?.wishes ?? []),
      },
      availableMicro: slot.availableMicro.get(householdId) ?? 0,
      usableWh: usableWh.get(householdId) ?? 0,
      lots: lots.get(householdId) ?? [],
    }));
  }

  /** What wallets cover, and the terms on which those not yet opened will open. */
  private async walletsOf(
    sql: Sql,
    microgrid: Microgrid,
    households: readonly Household[],
  ): Promise<{ availableMicro: Map<string, number>; terms: AccountTerms[] }> {
    const terms = households.map((household) => walletTerms(microgrid, household));
    const balances = await this.ledger.balances(
      sql,
      microgrid.microgridId,
      terms.map(({ account }) => account),
    );
    return {
      terms,
      availableMicro: new Map(
        households.map(({ householdId }, index) => {
          const { account, creditLimit } = terms[index]!;
          const balance = balances.get(account);
          return [householdId, balance ? availableBalance(balance) : creditLimit];
        }),
      ),
    };
  }

  /** Lots of every battery, oldest first. */
  async lots(sql: Sql, microgridId: string): Promise<Map<string, Lot[]>> {
    const rows = await sql.query<Lot & { householdId: string }>(store.LOTS, [microgridId]);
    const lots = new Map<string, Lot[]>();
    for (const { householdId, ...lot } of rows) {
      lots.set(householdId, [...(lots.get(householdId) ?? []), lot]);
    }
    return lots;
  }

  /** Tokens in circulation: issued, less what was retired, lost, or went to the grid. */
  async supply(sql: Sql, microgridId: string): Promise<Supply> {
    const outside = TOKENS.flatMap((token) => [
      SYSTEM.issued(token),
      SYSTEM.retired(token),
      SYSTEM.loss(token),
      SYSTEM.grid(token),
    ]);
    const balances = await this.ledger.balances(sql, microgridId, outside);
    const net = (account: string) => {
      const balance: Balance | undefined = balances.get(account);
      return balance ? balance.debitsPosted - balance.creditsPosted : 0;
    };
    const inCirculation = (token: (typeof TOKENS)[number]) =>
      net(SYSTEM.issued(token)) +
      net(SYSTEM.retired(token)) +
      net(SYSTEM.loss(token)) +
      net(SYSTEM.grid(token));
    return {
      PRODUCTION: inCirculation('PRODUCTION'),
      CONSUMPTION: inCirculation('CONSUMPTION'),
      STORAGE: inCirculation('STORAGE'),
    };
  }

  private async save(
    sql: Sql,
    slot: SettledSlot,
    registers: RegistersByHousehold,
    sequences: readonly number[],
  ): Promise<void> {
    const { microgridId, slot: slotStart, slotEnd } = slot.terms;
    const ofHousehold = sequences.slice(0, slot.households.length);
    const ofTrade = sequences.slice(slot.households.length, -1);
    await this.metering.saveBorders(sql, microgridId, 0, [...registers.values()].flat());
    await this.metering.saveMeasurements(
      sql,
      microgridId,
      slotStart,
      0,
      slot.households.map(({ input: { householdId, energy } }, index) => ({
        householdId,
        ...energy,
        sequence: ofHousehold[index]!,
      })),
    );
    if (isMadeAtClose(slot.terms)) {
      const trades = slot.trades.map((trade, index) => ({ ...trade, sequence: ofTrade[index]! }));
      await this.market.saveTrades(sql, microgridId, slotStart, 0, trades);
    }
    await saveSettlements(
      sql,
      slot,
      0,
      slot.households.map(({ settlement }, index) => ({
        settlement,
        sequence: ofHousehold[index]!,
      })),
    );
    await saveTradeSettlements(sql, slot, 0, ofTrade);
    await saveLots(
      sql,
      microgridId,
      slot.households
        .filter(({ input, uses }) => input.lots.length > 0 || uses.lotsAfter.length > 0)
        .map(({ input, uses }) => ({ householdId: input.householdId, lots: uses.lotsAfter })),
    );
    await sql.query(store.SLOT_CLOSED, [
      microgridId,
      slotStart,
      slotEnd,
      slot.clearingPriceMicroPerKwh,
      slot.tradedWh,
      sequences.at(-1),
    ]);
  }
}

export function usableByHousehold(meters: readonly Meter[]): Map<string, number> {
  const usable = new Map<string, number>();
  for (const { householdId, usableWh } of meters) {
    if (usableWh !== null) usable.set(householdId, (usable.get(householdId) ?? 0) + usableWh);
  }
  return usable;
}

export async function saveSettlements(
  sql: Sql,
  { terms }: Pick<SettledSlot, 'terms'>,
  revision: number,
  rows: readonly { settlement: Settlement; sequence: number }[],
): Promise<void> {
  const column = <Key extends keyof Settlement>(key: Key) =>
    rows.map(({ settlement }) => settlement[key]);
  await sql.query(store.INSERT_SETTLEMENTS, [
    terms.microgridId,
    terms.slot,
    revision,
    column('household'),
    rows.map(({ sequence }) => sequence),
    column('producedWh'),
    column('consumedWh'),
    column('usedWh'),
    column('selfWh'),
    column('cleanSelfWh'),
    column('fromNeighborsWh'),
    column('cleanFromNeighborsWh'),
    column('toNeighborsWh'),
    column('fromGridWh'),
    column('toGridWh'),
    column('unexplainedUseWh'),
    column('soldWh'),
    column('boughtWh'),
    column('imbalanceWh'),
    column('neighborMicro'),
    column('feeMicro'),
    column('utilityMicro'),
    column('netMicro'),
    column('tariffMicro'),
    column('quality'),
  ]);
}

/** @param sequences of the trades' records, in their order */
export async function saveTradeSettlements(
  sql: Sql,
  { terms, trades }: Pick<SettledSlot, 'terms' | 'trades'>,
  revision: number,
  sequences: readonly number[],
): Promise<void> {
  if (trades.length === 0) return;
  await sql.query(store.INSERT_TRADE_SETTLEMENTS, [
    terms.microgridId,
    terms.slot,
    revision,
    trades.map(({ number }) => number),
    sequences,
    trades.map(({ buyer }) => buyer),
    trades.map(({ seller }) => seller),
    trades.map(({ settledWh }) => settledWh),
    trades.map(({ claimed }) => claimed.reduce((sum, { energyWh }) => sum + energyWh, 0)),
    trades.map(({ costMicro }) => costMicro),
    trades.map(({ proceedsMicro }) => proceedsMicro),
    trades.map(({ firm }) => firm),
  ]);
}

/** Replaces all lots of these households. */
export async function saveLots(
  sql: Sql,
  microgridId: string,
  batteries: readonly { householdId: string; lots: readonly Lot[] }[],
): Promise<void> {
  if (batteries.length === 0) return;
  await sql.query(store.DELETE_LOTS, [
    microgridId,
    batteries.map(({ householdId }) => householdId),
  ]);
  const rows = batteries.flatMap(({ householdId, lots }) =>
    lots.map((lot) => ({ householdId, ...lot })),
  );
  await sql.query(store.INSERT_LOTS, [
    microgridId,
    rows.map(({ householdId }) => householdId),
    rows.map(({ chargedIn }) => chargedIn),
    rows.map(({ source }) => source),
    rows.map(({ energyWh }) => energyWh),
  ]);
}
