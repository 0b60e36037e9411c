/** Taking a meter into use: its one-time code, its secret, shown once, and its first reading. */
import { useId, useRef, useState, type FormEvent, type ReactNode } from 'react';
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

/** Shown while a code waits to be used, and until the meter that was claimed is heard, as the feed tells. */
export function ClaimPanel({ meters, microgrid, claim }: ClaimPanelProps): ReactNode {
  const [claimed, setClaimed] = useState<ClaimedMeter | null>(null);
  const { reload } = meters;
  // Also one that was claimed before the page was opened, until it is closed.
  const unheard = useRef<string | undefined>(undefined);
  unheard.current ??= meters.data?.find(isUnheard)?.meter;
  const watched = meters.data?.find(({ meter }) => meter === (claimed?.meter ?? unheard.current));
  const waiting = meters.data?.filter(({ claimable }) => claimable) ?? [];
  if (claimed === null && waiting.length === 0 && watched === undefined) return null;
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
              {stateOf(watched, microgrid)}
            </p>
          </div>
        )}
      </Loaded>
    </Panel>
  );
}

function isUnheard({ claimedAt, firstReadAt }: HouseholdMeter): boolean {
  return claimedAt !== null && firstReadAt === null;
}

function stateOf(watched: HouseholdMeter | undefined, { timeZone }: Microgrid): string {
  if (watched === undefined) return '';
  const { meter, firstReadAt } = watched;
  if (firstReadAt === null) return `Waiting for the first reading of ${meter}.`;
  return `The first reading of ${meter} has come: ${formatMoment(firstReadAt, timeZone)}.`;
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
