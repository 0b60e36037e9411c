/** How fair the latest slots were, read again whenever the feed tells of one. */
import type { HouseholdFairness, MarketFairness, Page, SlotFairness } from './answers.js';
import type { Live } from './live.js';
import { useResource, type Resource } from './resource.js';

const SLOTS = 12;

/** The latest slots with the reasons for a household's orders, newest first. */
export function useHouseholdFairness(live: Live, household: string): Resource<HouseholdFairness[]> {
  return useFairness<HouseholdFairness>(live, `/v1/households/${household}/fairness`);
}

/** The latest slots as a member or an operator is told them, newest first. */
export function useMarketFairness(live: Live, microgrid: string): Resource<MarketFairness[]> {
  return useFairness<MarketFairness>(live, `/v1/microgrids/${microgrid}/fairness`);
}

/** The latest slots as a regulator is told them. */
export function useSlotFairness(live: Live, microgrid: string): Resource<SlotFairness[]> {
  return useFairness<SlotFairness>(live, `/v1/microgrids/${microgrid}/fairness`);
}

function useFairness<Item>(live: Live, path: string): Resource<Item[]> {
  const { fairness, slots } = live.feed.state.versions;
  return useResource(
    path,
    async (signal) => (await live.api.get<Page<Item>>(`${path}?limit=${SLOTS}`, signal)).items,
    `${fairness} ${slots}`,
  );
}
