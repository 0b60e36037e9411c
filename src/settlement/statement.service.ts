import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../database/database.service.js';
import { billOf, walletOf } from '../ledger/accounts.js';
import { LedgerService } from '../ledger/ledger.service.js';
import type { Period } from '../parties/access.js';
import { MarketClockService } from '../parties/market-clock.service.js';
import type { Household, Microgrid } from '../parties/microgrid.js';
import { PartiesService } from '../parties/parties.service.js';
import { tariffIn } from '../parties/tariff.js';
import { groupBy } from '../units/group-by.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { Settlement } from './close-slot.js';
import {
  billLine,
  type BillLine,
  type CorrectionLine,
  type SettledLine,
  type TrueUpLine,
} from './bill-line.js';
import { SettlementService } from './settlement.service.js';
import * as store from './settlement.store.js';
import { monthAt, monthOf, type Month } from './statement.js';

/**
 * Monthly statements: what moved on a household's wallet and bill, line by line of its kind, that it
 * adds up from the opening to the closing balance, and the same energy at the tariff beside it.
 */
@Injectable()
export class StatementService {
  constructor(
    private readonly database: DatabaseService,
    private readonly ledger: LedgerService,
    private readonly settlement: SettlementService,
    private readonly parties: PartiesService,
    private readonly clock: MarketClockService,
  ) {}

  /** The month asked for, or the current one; nothing outside the period that the reader may see. */
  async statements(
    microgrid: Microgrid,
    household: Household,
    { month, period }: { month: Month | null; period: Period },
  ) {
    const shown = await this.shownMonth(microgrid, month, period);
    return { items: shown ? [await this.statement(microgrid, household, shown)] : [] };
  }

  /**
   * A month slot by slot, oldest first, both bills side by side.
   * @param page the slot after which to go on, and how many; one more comes if there are more
   */
  async lines(
    microgrid: Microgrid,
    household: Household,
    { month, period }: { month: Month | null; period: Period },
    page: { after: Instant | null; limit: number },
  ): Promise<BillLine[]> {
    const shown = await this.shownMonth(microgrid, month, period);
    if (!shown) return [];
    const { microgridId, timeZone } = microgrid;
    const settled = await this.database.query<SettledLine>(store.BILL_LINES, [
      microgridId,
      household.householdId,
      shown.from,
      shown.to,
      page.after,
      page.limit + 1,
    ]);
    const last = settled.at(-1);
    if (!last) return [];
    const tariffs = await this.parties.tariffsBetween(
      this.database,
      microgridId,
      settled[0]!.slot,
      last.slot,
    );
    const corrections = await this.corrections(
      microgridId,
      household.householdId,
      settled.map(({ slot }) => slot),
    );
    const trueUps = groupBy(
      await this.database.query<TrueUpLine & { slot: Instant }>(store.TRUE_UPS_IN_SLOTS, [
        microgridId,
        household.householdId,
        settled.map(({ slot }) => slot),
      ]),
      ({ slot }) => slot,
    );
    return settled.map((line) =>
      billLine(
        line,
        tariffIn(tariffs, timeZone, line.slot),
        corrections.get(line.slot),
        trueUps.get(line.slot)?.map(({ slot: _slot, ...one }) => one),
      ),
    );
  }

  /** What corrections changed for a household, by slot. */
  private async corrections(
    microgridId: string,
    householdId: string,
    slots: readonly Instant[],
  ): Promise<Map<Instant, CorrectionLine[]>> {
    const rows = await this.database.query<
      Omit<CorrectionLine, 'reason'> & { slot: Instant; own: boolean }
    >(store.CORRECTIONS_IN_SLOTS, [microgridId, householdId, slots]);
    const bySlot = new Map<Instant, CorrectionLine[]>();
    for (const { slot, own, ...line } of rows) {
      const reason = own ? 'own-late-reading' : 'late-reading-of-neighbor';
      bySlot.set(slot, [...(bySlot.get(slot) ?? []), { ...line, reason }]);
    }
    return bySlot;
  }

  private async shownMonth(
    { timeZone }: Microgrid,
    month: Month | null,
    period: Period,
  ): Promise<Month | null> {
    if (month) return clip(month, period);
    const now = parseInstant(await this.clock.now());
    return clip(monthOf(monthAt(now, timeZone), timeZone), period);
  }

  private async statement(microgrid: Microgrid, household: Household, month: Month) {
    const { microgridId, currency } = microgrid;
    const { householdId } = household;
    const totals = await this.settlement.totals(this.database, microgridId, {
      household: householdId,
      from: month.from,
      to: month.to,
    });
    const [trueUps] = await this.database.query<TrueUpSums>(store.TRUE_UP_SUMS, [
      microgridId,
      householdId,
      month.from,
      month.to,
    ]);
    const [wallet, bill] = await Promise.all(
      [walletOf(householdId), billOf(householdId)].map((account) =>
        this.ledger.movements(this.database, microgridId, account, month.from, month.to),
      ),
    );
    const byQuality = await this.database.query<QualityTotals>(store.TOTALS_BY_QUALITY, [
      microgridId,
      householdId,
      month.from,
      month.to,
    ]);
    return {
      household: householdId,
      ...month,
      currency,
      slots: totals.slots,
      energy: {
        producedWh: totals.productionMintedWh,
        consumedWh: totals.consumptionMintedWh,
        selfWh: totals.selfClaimedWh,
        fromNeighborsWh: totals.neighborClaimedWh,
        fromGridWh: totals.fromGridWh,
        toGridWh: totals.toGridWh,
        byQuality,
      },
      trueUps: trueUps!,
      wallet: wallet!,
      bill: bill!,
      netMicro: totals.netMicro,
      tariffMicro: totals.tariffMicro,
      savedMicro: totals.netMicro - totals.tariffMicro,
    };
  }
}

/** What of a month was settled on readings of one quality; qualities that no slot had are left out. */
interface QualityTotals {
  quality: Settlement['quality'];
  slots: number;
  producedWh: number;
  consumedWh: number;
}

/** What true-ups booked in a month, beside the sums of its slots. */
interface TrueUpSums {
  records: number;
  importWh: number;
  exportWh: number;
  netMicro: number;
}

/** The month within the readable period, or null where they do not meet. */
function clip(month: Month, { from, until }: Period): Month | null {
  const later = (a: Instant, b: Instant | null) =>
    b !== null && parseInstant(b) > parseInstant(a) ? b : a;
  const earlier = (a: Instant, b: Instant | null) =>
    b !== null && parseInstant(b) < parseInstant(a) ? b : a;
  const clipped = { ...month, from: later(month.from, from), to: earlier(month.to, until) };
  return parseInstant(clipped.from) < parseInstant(clipped.to) ? clipped : null;
}
