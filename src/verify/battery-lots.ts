import { LOT_SOURCES, type Lot } from '../settlement/claims.js';
import { parseInstant } from '../units/slot.js';
import type { Row } from './finding.js';

/** What batteries hold as far as the journal has been told. */
export class BatteryLots {
  private readonly held = new Map<string, Lot[]>();

  /** By household. */
  get now(): ReadonlyMap<string, readonly Lot[]> {
    return this.held;
  }

  /** Lots in the order in which the table gives them back, whatever order they were found in. */
  keep(household: string, lots: readonly Lot[]): void {
    const rank = ({ source }: Lot) => LOT_SOURCES.indexOf(source);
    this.held.set(
      household,
      lots.toSorted(
        (a, b) => parseInstant(a.chargedIn) - parseInstant(b.chargedIn) || rank(a) - rank(b),
      ),
    );
  }

  rows(): Row[] {
    return [...this.held].flatMap(([household, lots]) =>
      lots.map((lot) => ({
        household_id: household,
        charged_in: lot.chargedIn,
        source: lot.source,
        remaining_wh: lot.energyWh,
      })),
    );
  }
}
