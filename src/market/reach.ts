import { accessPeriod, type Grant } from '../parties/access.js';
import type { Instant } from '../units/slot.js';

/** Whose orders a person sees, and of which slots: a tenant's begin and end with the tenancy. */

export interface Reach {
  readonly microgridId: string;
  readonly householdId: string;
  /** Slots of [from, until), null where there is no border. */
  readonly from: Instant | null;
  readonly until: Instant | null;
}

/** The households that these grants are for, at market time `at`. */
export function ownReach(grants: readonly Grant[], at: Instant): Reach[] {
  const households = new Map<string, string>();
  for (const { role, microgridId, householdId } of grants) {
    if (role === 'household' && householdId !== null && microgridId !== null) {
      households.set(householdId, microgridId);
    }
  }
  return [...households].flatMap(([householdId, microgridId]) =>
    householdReach(grants, { microgridId, householdId }, at),
  );
}

/** One household, as far as these grants open it; none when they do not. */
export function householdReach(
  grants: readonly Grant[],
  { microgridId, householdId }: Pick<Reach, 'microgridId' | 'householdId'>,
  at: Instant,
): Reach[] {
  const period = accessPeriod(grants, { microgrid: microgridId, household: householdId }, at);
  return period === null ? [] : [{ microgridId, householdId, ...period }];
}
