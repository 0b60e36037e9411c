/** Taking a meter into use: its one-time code, its secret, shown once, and its first reading. */
import { useEffect, useId, useState, type FormEvent, type ReactNode } from 'react';
import type { ClaimedMeter, HouseholdMeter, Microgrid } from '../answers.js';
import { formatMoment } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';
import { asProblem } from '../problem.js';

interface ClaimPanelProps {
  meters: Resource<HouseholdMeter[]>;
  microgrid: Microgrid;
  claim: (meter: string, code: string) => Promise<ClaimedMeter>;
}

/** How often a meter that was just claimed is looked for. */
const LOOK_MILLIS = 5_000;

/** Shown while a code waits to be used, and until the meter that was claimed here is heard. */
export function ClaimPanel({ meters, microgrid, claim }: ClaimPanelProps): ReactNode {
  const [claimed, setClaimed] = useState<ClaimedMeter | null>(null);
  const since = claimed && meters.data?.find(({ meter }) => meter === claimed.meter);
  const isHeard = isReadSince(since ?? undefined);
  const { reload } = meters;
  useEffect(() => {
    if (claimed === null || isHeard) return undefined;
    const timer = window.setInterval(reload, LOOK_MILLIS);
    return () => window.clearInterval(timer);
  }, [claimed, isHeard, reload]);

  const waiting = meters.data?.filter(({ claimable }) => claimable) ?? [];
  if (claimed === null && meters.data && waiting.length === 0) return null;
  if (claimed === null && !meters.data) return null;
  return (
    <Panel title="A new meter" name="claim">
      <Loaded of={meters} lines={3}>
        {() => (
          <div className="autopilot">
            {waiting.map(({ meter }) => (
              <ClaimForm
                key={meter}
                meter={meter}
                claim={async (code) => {
                  setClaimed(await claim(meter, code));
                  reload();
                }}
              />
            ))}
            {claimed && <Credential claimed={claimed} />}
            <p className="limit-words" role="status" data-testid="claim-state">
              {claimed === null
                ? ''
                : isHeard
                  ? `Its first reading has come: ${formatMoment(since!.lastReadAt!, microgrid.timeZone)}.`
                  : 'Waiting for its first reading.'}
            </p>
          </div>
        )}
      </Loaded>
    </Panel>
  );
}

function isReadSince(meter: HouseholdMeter | undefined): boolean {
  return meter !== undefined && meter.lastReadAt !== null;
}

interface ClaimFormProps {
  meter: string;
  claim: (code: string) => Promise<void>;
}

function ClaimForm({ meter, claim }: ClaimFormProps): ReactNode {
  const id = useId();
  const [code, setCode] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem('');
    try {
      await claim(code);
    } catch (error) {
      setProblem(asProblem(error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="wish-actions" onSubmit={(event) => void submit(event)}>
      <label htmlFor={id}>Code for {meter}</label>
      <input
        id={id}
        value={code}
        autoComplete="off"
        required
        maxLength={40}
        data-testid="claim-code"
        onChange={(event) => setCode(event.target.value)}
      />
      <button type="submit" className="primary" disabled={busy} data-testid="claim">
        Claim
      </button>
      <p className="form-problem" role="alert">
        {problem}
      </p>
    </form>
  );
}

function Credential({ claimed }: { claimed: ClaimedMeter }): ReactNode {
  const { username, secret, topic } = claimed;
  return (
    <p className="limit-words" data-testid="claim-secret">
      Enter these in the device now; they are shown only once. User: <strong>{username}</strong>.
      Password: <strong>{secret}</strong>. Topic: <strong>{topic}</strong>.
    </p>
  );
}
