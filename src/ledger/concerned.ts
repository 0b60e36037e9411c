import { accessPeriod, type Grant } from '../parties/access.js';
import { parseInstant, type Instant } from '../units/slot.js';
import type { StoredRecord } from './record.js';

/**
 * The households of a record for which these grants let their holder read it at market time `now`:
 * those that may be read at all, where the record's slot, or its time, lies in the holder's tenancy.
 */
export function concernedBy(
  { microgridId: microgrid, households, facts, at }: StoredRecord,
  grants: readonly Grant[],
  now: Instant,
): string[] {
  const { slot } = facts;
  const time = parseInstant(typeof slot === 'string' ? slot : at);
  return households.filter((household) => {
    const period = accessPeriod(grants, { microgrid, household }, now);
    if (!period) return false;
    const { from, until } = period;
    return (
      (from === null || time >= parseInstant(from)) &&
      (until === null || time < parseInstant(until))
    );
  });
}
