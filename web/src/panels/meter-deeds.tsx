/** What an operator does with an enrolled meter's device: listen, save its profile, make a claim code. */
import { useEffect, useState, type ReactNode } from 'react';
import type { ClaimCode, DeviceHeard, DeviceProfile, MeterRole } from '../answers.js';
import { formatMoment } from '../format.js';
import { useResource } from '../resource.js';
import { SaidLine, useAttempt } from './attempt.js';
import { HeardDevice } from './heard-device.js';
import { Loaded } from './panel.js';

/** What can be done with an enrolled meter. */
export interface MeterDoors {
  role: MeterRole | null;
  /** The topic that is the meter's whatever its device. */
  ownTopic: string;
  save: (profile: object) => Promise<DeviceProfile>;
  hear: (signal: AbortSignal) => Promise<DeviceHeard>;
  makeCode: () => Promise<ClaimCode>;
}

interface MeterDeedsProps {
  name: string;
  doors: MeterDoors;
  /** Null while the mapping cannot be read. */
  save: (() => Promise<void>) | null;
  timeZone: string;
}

export function MeterDeeds({ name, doors, save, timeZone }: MeterDeedsProps): ReactNode {
  const { busy, said, attempt } = useAttempt();
  const [listens, setListens] = useState(false);
  const [made, setMade] = useState<ClaimCode | null>(null);
  return (
    <>
      <div className="wish-actions">
        <button
          type="button"
          className="primary"
          aria-pressed={listens}
          data-testid="device-listen"
          onClick={() => setListens(!listens)}
        >
          {listens ? 'Stop listening' : 'Listen to it'}
        </button>
        <button
          type="button"
          className="quiet"
          disabled={busy || save === null}
          data-testid="device-save"
          onClick={() =>
            void attempt('Not saved.', async () => {
              await save?.();
              return `Saved. ${name} is read like this from now on.`;
            })
          }
        >
          Save its profile
        </button>
        <button
          type="button"
          className="quiet"
          disabled={busy}
          data-testid="device-make-code"
          onClick={() =>
            void attempt('No code was made.', async () => {
              setMade(await doors.makeCode());
              return 'A code was made.';
            })
          }
        >
          Make a claim code
        </button>
        <SaidLine said={said} testId="device-said" />
      </div>
      {made && (
        <p className="limit-words" data-testid="device-code">
          The code of {made.meter} for {made.household}:{' '}
          <strong className="device-code">{made.code}</strong>. It is shown only now, and good once
          until {formatMoment(made.expiresAt, timeZone)}; one made before is worth nothing any more.
          The household types it on its page.
        </p>
      )}
      {listens && <Listening name={name} hear={doors.hear} timeZone={timeZone} />}
    </>
  );
}

/** How often a meter that is listened to is asked for. */
const HEAR_MILLIS = 3_000;
/** Before that, silence means nothing yet. */
const PATIENCE_MILLIS = 30_000;

interface ListeningProps {
  name: string;
  hear: MeterDoors['hear'];
  timeZone: string;
}

function Listening({ name, hear, timeZone }: ListeningProps): ReactNode {
  const [startedMillis] = useState(() => Date.now());
  const heard = useResource(`heard ${name}`, hear);
  const { reload } = heard;
  useEffect(() => {
    const timer = window.setInterval(reload, HEAR_MILLIS);
    return () => window.clearInterval(timer);
  }, [reload]);
  return (
    <section className="device-heard" aria-label={`Listening to ${name}`}>
      <h3>Listening to {name}</h3>
      <Loaded
        of={heard}
        isEmpty={({ report }) =>
          report.messages === 0 && Date.now() - startedMillis < PATIENCE_MILLIS
        }
        empty="Nothing was heard yet. Many devices speak only every few minutes."
      >
        {(shown) => <HeardDevice heard={shown} timeZone={timeZone} label={`Messages of ${name}`} />}
      </Loaded>
    </section>
  );
}
