/** One microgrid, live: its facts over HTTP, its feed, and its clock, for the panels of a page. */
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Microgrid } from './answers.js';
import type { Api } from './api.js';
import { NOTHING_YET } from './feed-reducer.js';
import { Feed, type FeedView } from './feed.js';
import { newMarketClock, observe, type MarketClock } from './market-clock.js';
import { useResource, type Resource } from './resource.js';

export interface Live {
  api: Api;
  microgrid: Resource<Microgrid>;
  feed: FeedView;
  clock: MarketClock;
}

/** The facts are read again this often, for the clock and the tariff. */
const LOOK_MILLIS = { simulated: 5_000, system: 60_000 };
const SILENCE: FeedView = { status: 'connecting', heardAt: null, state: NOTHING_YET };

/**
 * @param microgridId null while it is not known which one
 * @param hasFeed whether any room is open to whoever looks; without, facts are read by the clock alone
 */
export function useLive(api: Api, microgridId: string | null, hasFeed: boolean): Live {
  const feed = useFeed(api, hasFeed ? microgridId : null);
  const [looks, setLooks] = useState(0);
  const { slots, terms } = feed.state.versions;
  const microgrid = useResource(
    microgridId,
    (signal) => api.get<Microgrid>(`/v1/microgrids/${microgridId}`, signal),
    `${looks} ${slots} ${terms}`,
  );

  const mode = microgrid.data?.clock ?? 'system';
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden) setLooks((count) => count + 1);
    }, LOOK_MILLIS[mode]);
    return () => window.clearInterval(timer);
  }, [mode]);

  return { api, microgrid, feed, clock: useClock(microgrid.data, feed) };
}

function useFeed(api: Api, microgridId: string | null): FeedView {
  const [feed, setFeed] = useState<Feed | null>(null);
  useEffect(() => {
    if (microgridId === null) return undefined;
    const opened = new Feed(api, microgridId);
    setFeed(opened);
    return () => {
      opened.close();
      setFeed(null);
    };
  }, [api, microgridId]);
  return useSyncExternalStore(feed?.onChange ?? noChange, feed?.current ?? silence);
}
const noChange = () => () => undefined;
const silence = (): FeedView => SILENCE;

/** The clock of the microgrid, sighted in its facts and in transient events. */
function useClock(microgrid: Microgrid | undefined, feed: FeedView): MarketClock {
  const [clock, setClock] = useState(() => newMarketClock('system'));
  const mode = microgrid?.clock;
  useEffect(() => {
    if (mode) setClock((old) => (old.mode === mode ? old : newMarketClock(mode)));
  }, [mode]);
  const told = microgrid?.now;
  const { marketMillis } = feed.state;
  useEffect(() => {
    const wallMillis = Date.now();
    const seen = [told === undefined ? null : Date.parse(told), marketMillis];
    setClock((old) =>
      seen
        .filter((at) => at !== null)
        .reduce((known, at) => observe(known, { marketMillis: at, wallMillis }), old),
    );
  }, [told, marketMillis]);
  return clock;
}
