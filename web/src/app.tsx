/** The page as a whole: who is logged in, which of their places is shown, and whether it is live. */
import { useCallback, useEffect, useMemo, useState, type ReactNode } from 'react';
import type { CurrentSession, Household } from './answers.js';
import { Api } from './api.js';
import type { FeedView } from './feed.js';
import { formatSpan } from './format.js';
import { addressOf, placeAt, placeName, placesOf, type Place } from './grants.js';
import { useLive } from './live.js';
import { HouseholdPage } from './pages/household.js';
import { LogIn } from './pages/log-in.js';
import { NewPassword } from './pages/new-password.js';
import { AuditorPage } from './pages/auditor.js';
import { ChooseMicrogrid } from './pages/choose-microgrid.js';
import { OperatorPage } from './pages/operator.js';
import { RegulatorPage } from './pages/regulator.js';
import { Logo } from './panels/logo.js';
import { Skeleton, Trouble } from './panels/panel.js';
import { useResource } from './resource.js';

const ENDED = 'Your session has ended. Please log in again.';

export function App(): ReactNode {
  const [visit, setVisit] = useState<{ count: number; notice: string | null }>({
    count: 0,
    notice: null,
  });
  const api = useMemo(
    () =>
      new Api((reason) =>
        setVisit(({ count }) => ({
          count: count + 1,
          notice: reason === 'expired' ? ENDED : null,
        })),
      ),
    [],
  );
  if (!api.hasSession()) {
    return (
      <LogIn
        api={api}
        notice={visit.notice}
        onLoggedIn={() => setVisit(({ count }) => ({ count: count + 1, notice: null }))}
      />
    );
  }
  return <SignedIn key={visit.count} api={api} />;
}

function SignedIn({ api }: { api: Api }): ReactNode {
  const session = useResource('session', (signal) =>
    api.get<CurrentSession>('/v1/sessions/current', signal),
  );
  const address = useAddress();
  const places = useMemo(() => placesOf(session.data?.grants ?? []), [session.data]);
  const place = placeAt(address, places);
  const leave = (): void => void api.logOut();

  if (!session.data) {
    return (
      <Frame name="" places={[]} place={undefined} leave={leave}>
        <div className="within sheet">
          {session.problem ? (
            <Trouble problem={session.problem} retry={session.reload} />
          ) : (
            <Skeleton lines={4} />
          )}
        </div>
      </Frame>
    );
  }
  if (session.data.mustChangePassword) {
    return (
      <Frame name={session.data.name} places={[]} place={undefined} leave={leave}>
        <NewPassword api={api} onChanged={session.reload} />
      </Frame>
    );
  }
  if (!place) {
    return (
      <Frame name={session.data.name} places={places} place={undefined} leave={leave}>
        <div className="within sheet">
          <p className="empty">You have not been given a household or a role here yet.</p>
        </div>
      </Frame>
    );
  }
  return (
    <Shown
      key={addressOf(place)}
      api={api}
      place={place}
      places={places}
      name={session.data.name}
      leave={leave}
    />
  );
}

interface ShownProps {
  api: Api;
  place: Place;
  places: Place[];
  name: string;
  leave: () => void;
}

function Shown({ api, place, places, name, leave }: ShownProps): ReactNode {
  // Whoever just logged in or changed place goes on from the top of what they came for.
  useEffect(() => document.getElementById('main')?.focus({ preventScroll: true }), []);
  const ofHousehold = place.role === 'household';
  const household = useResource(ofHousehold ? place.id : null, (signal) =>
    api.get<Household>(`/v1/households/${place.id}`, signal),
  );
  const microgridId = ofHousehold ? (household.data?.microgrid ?? null) : place.id;
  // No room is open to auditors: what they read changes with nothing but their own looks.
  const hasFeed = place.role !== 'auditor';
  const live = useLive(api, microgridId, hasFeed);
  return (
    <Frame
      name={ofHousehold ? (household.data?.alias ?? name) : name}
      street={live.microgrid.data?.name}
      feed={microgridId !== null && hasFeed ? live.feed : undefined}
      places={places}
      place={place}
      leave={leave}
    >
      {ofHousehold ? (
        <HouseholdPage api={api} household={household} live={live} />
      ) : place.id === null ? (
        <ChooseMicrogrid api={api} role={place.role} />
      ) : place.role === 'operator' ? (
        <OperatorPage live={live} microgridId={place.id} />
      ) : place.role === 'auditor' ? (
        <AuditorPage api={api} microgrid={live.microgrid} />
      ) : (
        <RegulatorPage live={live} microgridId={place.id} />
      )}
    </Frame>
  );
}

interface FrameProps {
  name: string;
  street?: string | undefined;
  feed?: FeedView | undefined;
  places: Place[];
  place: Place | undefined;
  leave: () => void;
  children: ReactNode;
}

function Frame({ name, street, feed, places, place, leave, children }: FrameProps): ReactNode {
  useEffect(() => {
    document.title = street === undefined ? 'Neighborwatt' : `${name} · ${street} · Neighborwatt`;
    return () => {
      document.title = 'Neighborwatt';
    };
  }, [name, street]);
  return (
    <>
      <a className="skip" href="#main" onClick={skipToMain}>
        Skip to content
      </a>
      <header className="top band">
        <div className="within top-row">
          <p className="brand">
            <Logo /> <span>Neighborwatt</span>
          </p>
          {street !== undefined && (
            <p className="top-street" data-testid="microgrid-name">
              {street}
            </p>
          )}
          {feed && <FeedMark feed={feed} />}
          <div className="top-person">
            {places.length > 1 && place && <PlaceChoice places={places} place={place} />}
            <span className="top-name" data-testid="person">
              {name}
            </span>
            <button type="button" className="plain" onClick={leave} data-testid="log-out">
              Log out
            </button>
          </div>
        </div>
      </header>
      {feed && <OfflineBanner feed={feed} />}
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

/** The address after `#` is the place, so the link may not change it. */
function skipToMain(event: { preventDefault: () => void }): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function PlaceChoice({ places, place }: { places: Place[]; place: Place }): ReactNode {
  const here = addressOf(place);
  const known = places.some((other) => addressOf(other) === here) ? places : [place, ...places];
  return (
    <label className="top-place">
      <span className="unseen">Shown</span>
      <select
        value={here}
        data-testid="place"
        onChange={(event) => {
          window.location.hash = event.target.value;
        }}
      >
        {known.map((other) => (
          <option key={addressOf(other)} value={addressOf(other)}>
            {placeName(other)}
          </option>
        ))}
      </select>
    </label>
  );
}

function FeedMark({ feed }: { feed: FeedView }): ReactNode {
  const words = { connecting: 'Connecting', live: 'Live', offline: 'Offline' }[feed.status];
  return (
    <p className={`feed-mark ${feed.status}`} data-testid="feed-status">
      <i aria-hidden="true" /> {words}
    </p>
  );
}

/** A break this short mends itself before anyone has read about it. */
const PATIENCE_MILLIS = 2_000;

function OfflineBanner({ feed }: { feed: FeedView }): ReactNode {
  const [offlineSince, setOfflineSince] = useState<number | null>(null);
  const [now, setNow] = useState(() => Date.now());
  const offline = feed.status === 'offline';
  useEffect(() => {
    setOfflineSince(offline ? Date.now() : null);
    if (!offline) return undefined;
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, [offline]);
  const shown = offlineSince !== null && now - offlineSince >= PATIENCE_MILLIS;
  return (
    <div role="status">
      {shown && (
        <p className="offline-banner" data-testid="offline">
          <b>Live updates are interrupted.</b>{' '}
          {feed.heardAt === null
            ? 'Nothing has arrived yet.'
            : `What you see is from ${formatSpan(now - feed.heardAt)} ago.`}{' '}
          Trying again.
        </p>
      )}
    </div>
  );
}

function useAddress(): string {
  const [address, setAddress] = useState(() => window.location.hash);
  const changed = useCallback(() => setAddress(window.location.hash), []);
  useEffect(() => {
    window.addEventListener('hashchange', changed);
    return () => window.removeEventListener('hashchange', changed);
  }, [changed]);
  return address;
}
