import type { RecordBody, RecordDraft } from '../ledger/record.js';
import type { HouseholdFacts } from '../settlement/slot-facts.js';
import { gapKey, slotBefore, trueUps, type TrueUpFacts } from '../settlement/true-up.js';
import { formatInstant, parseInstant, type Instant } from '../units/slot.js';
import type { BatteryLots } from './battery-lots.js';
import type { Findings } from './finding.js';
import type { Members } from './members.js';
import type { OpenedRecord } from './opened-record.js';
import type { ReadRecords, SlotStates } from './slot-states.js';

/** A correction as it was told again. */
type Corrected = Omit<Parameters<typeof trueUps>[0], 'tariff' | 'ends' | 'booked'>;

/**
 * True-ups told again: behind the correction of the first slot that could be corrected there has to
 * stand, for each household whose registers go on elsewhere than the slot before ended, one record
 * with exactly that energy, less what was booked at that border before.
 */
export class TrueUpBook {
  /** In Wh, by border and register. */
  private readonly booked = new Map<string, number>();
  private awaited: RecordDraft[] = [];
  /** Journals older than true-ups do not say from when slots could be corrected; new ones always do. */
  private saysWindow = false;

  constructor(
    private readonly members: Members,
    private readonly states: SlotStates,
    private readonly lots: BatteryLots,
    private readonly readRecords: ReadRecords,
    private readonly findings: Findings,
  ) {}

  /** Whether a correction is waiting for its true-ups. */
  get pending(): boolean {
    return this.awaited.length > 0;
  }

  /** From when slots could be corrected; null in a journal that does not say it yet. */
  windowOf({ at, facts, sequence }: RecordBody): Instant | null {
    this.saysWindow ||= 'since' in facts;
    if (!this.saysWindow) return null;
    const { correctionDays } = this.members.microgrid!;
    const since = formatInstant(parseInstant(at) - correctionDays * 86_400_000);
    const slot = String(facts['slot']);
    if (parseInstant(slot) < parseInstant(since)) {
      this.findings.add('record_body', sequence, 'facts.slot', `a slot from ${since} on`, slot);
    }
    return since;
  }

  /** Takes note of a correction, and of the true-ups that have to follow it. */
  async follow(corrected: Corrected, since: Instant | null): Promise<void> {
    const { terms } = corrected.slot;
    const before = slotBefore(terms);
    if (since === null || parseInstant(before) >= parseInstant(since)) return;
    const records = await this.readRecords(this.states.spansOf(before));
    const ends = endsOf(records);
    const { drafts, batteries } = trueUps({
      ...corrected,
      tariff: this.members.tariffAt(corrected.at),
      ends,
      booked: new Map(
        [...ends.keys()].map((key) => [key, this.booked.get(`${terms.slot} ${key}`) ?? 0]),
      ),
    });
    for (const gap of drafts.flatMap(({ facts }) => (facts as TrueUpFacts).registers)) {
      const key = `${terms.slot} ${gapKey(gap)}`;
      this.booked.set(key, (this.booked.get(key) ?? 0) + gap.energyWh);
    }
    for (const { householdId, lots } of batteries) this.lots.keep(householdId, lots);
    this.awaited = drafts;
  }

  /** What a true-up has to be; null where none has to follow, or where nobody can tell any more. */
  next({ erased }: OpenedRecord): RecordDraft | null {
    return erased ? null : (this.awaited.shift() ?? null);
  }
}

/** Where registers ended as last settled. @param records of a slot, oldest first */
function endsOf(records: readonly RecordBody[]): Map<string, number> {
  const ends = new Map<string, number>();
  for (const { facts } of records) {
    if (!('household' in facts)) continue;
    for (const gap of (facts as HouseholdFacts).registers) {
      if (gap.endWh !== null) ends.set(gapKey(gap), gap.endWh);
    }
  }
  return ends;
}
