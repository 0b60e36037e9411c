/** Logging in: by name and password, or, on a demo street, by choosing one of its people first. */
import { useRef, useState, type FormEvent, type ReactNode } from 'react';
import type { Demo, DemoPerson } from '../answers.js';
import { send, type Api } from '../api.js';
import { ByToken, type Purpose } from './by-token.js';
import { Logo, Street } from '../panels/logo.js';
import { useResource } from '../resource.js';
import { ApiProblem, asProblem } from '../problem.js';

interface LogInProps {
  api: Api;
  /** Said above the form, e.g. why the last session ended. */
  notice: string | null;
  onLoggedIn: () => void;
}

export function LogIn({ api, notice, onLoggedIn }: LogInProps): ReactNode {
  const demo = useResource('demo', readDemo);
  const [purpose, setPurpose] = useState<Purpose | null>(null);
  const [said, setSaid] = useState<string | null>(notice);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const passwordField = useRef<HTMLInputElement>(null);
  const people = demo.data?.people ?? [];

  const choose = (person: DemoPerson): void => {
    setUser(person.user);
    setProblem(null);
    passwordField.current?.focus();
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await logIn(api, user.trim(), password);
      onLoggedIn();
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
      passwordField.current?.focus();
    }
  };

  const arrived = async (person: string | null, chosen: string): Promise<void> => {
    if (person !== null) {
      await api.logIn(person, chosen);
      onLoggedIn();
      return;
    }
    setPurpose(null);
    setSaid('Your new password is set. Log in with it.');
  };

  return (
    <div className="log-in">
      <header className="log-in-band band">
        <p className="brand">
          <Logo /> Neighborwatt
        </p>
        <p className="promise">Your street trades its own electricity.</p>
        <p className="promise-more">
          What one roof has too much of, another kitchen uses, at a price between what the grid pays
          and what it charges.
        </p>
        <Street />
      </header>
      <main className="log-in-main" id="main">
        {purpose !== null ? (
          <ByToken
            key={purpose}
            purpose={purpose}
            onDone={arrived}
            onBack={() => setPurpose(null)}
          />
        ) : (
          <>
            <h1>Log in</h1>
            {said !== null && (
              <p className="notice" role="status" data-testid="log-in-notice">
                {said}
              </p>
            )}
            {people.length > 0 && <DemoCards people={people} chosen={user} onChoose={choose} />}
            <form
              onSubmit={(event) => void submit(event)}
              className="log-in-form"
              data-testid="log-in"
            >
              <label>
                <span>Name</span>
                <input
                  name="user"
                  autoComplete="username"
                  autoCapitalize="none"
                  spellCheck={false}
                  required
                  value={user}
                  onChange={(event) => setUser(event.target.value)}
                />
              </label>
              <label>
                <span>Password</span>
                <input
                  ref={passwordField}
                  name="password"
                  type="password"
                  autoComplete="current-password"
                  required
                  value={password}
                  aria-describedby={people.length > 0 ? 'password-hint' : undefined}
                  onChange={(event) => setPassword(event.target.value)}
                />
              </label>
              {people.length > 0 && (
                <p className="hint" id="password-hint">
                  The terminal shows it
                  {demo.data?.file === undefined ? '.' : ', and so does '}
                  {demo.data?.file !== undefined && <code>{demo.data.file}</code>}
                </p>
              )}
              {problem && (
                <p className="form-problem" role="alert" data-testid="log-in-problem">
                  {saying(problem)}
                </p>
              )}
              <button type="submit" className="primary" disabled={busy}>
                {busy ? 'Logging in …' : 'Log in'}
              </button>
              <p className="log-in-else">
                <button type="button" className="linked" onClick={() => setPurpose('invitation')}>
                  I was invited
                </button>
                <button type="button" className="linked" onClick={() => setPurpose('reset')}>
                  I have forgotten my password
                </button>
              </p>
            </form>
          </>
        )}
      </main>
    </div>
  );
}

/** As it was typed; and, where that is nobody's, without the blanks that came along with a copy. */
async function logIn(api: Api, user: string, password: string): Promise<void> {
  try {
    await api.logIn(user, password);
  } catch (error) {
    const bare = password.trim();
    if (bare === password || asProblem(error).status !== 401) throw error;
    await api.logIn(user, bare);
  }
}

interface DemoCardsProps {
  people: readonly DemoPerson[];
  chosen: string;
  onChoose: (person: DemoPerson) => void;
}

function DemoCards({ people, chosen, onChoose }: DemoCardsProps): ReactNode {
  const groups = [
    { title: 'Households', of: people.filter((person) => person.role === 'household') },
    {
      title: 'Who looks after the street',
      of: people.filter((person) => person.role !== 'household'),
    },
  ];
  return (
    <div className="demo" data-testid="demo-people">
      {groups
        .filter((group) => group.of.length > 0)
        .map((group) => (
          <fieldset key={group.title}>
            <legend>{group.title}</legend>
            <ul>
              {group.of.map((person) => (
                <li key={person.user}>
                  <button
                    type="button"
                    className="demo-card"
                    aria-pressed={person.user === chosen}
                    data-testid={`demo-${person.user}`}
                    onClick={() => onChoose(person)}
                  >
                    <b>{person.name ?? person.user}</b>
                    <span>{person.household ?? DUTIES[person.role]}</span>
                  </button>
                </li>
              ))}
            </ul>
          </fieldset>
        ))}
    </div>
  );
}

const DUTIES: Record<DemoPerson['role'], string> = {
  household: 'a household',
  operator: 'runs the street',
  regulator: 'funds rewards',
  auditor: 'checks the books',
  simulator: 'plays the devices',
};

/** The demo street's people; none where the service has no demo. */
async function readDemo(signal: AbortSignal): Promise<Demo> {
  try {
    const demo = await send<Demo>('GET', '/v1/demo', { signal });
    return { ...demo, people: demo.people.filter((person) => person.role !== 'simulator') };
  } catch (error) {
    if (error instanceof ApiProblem && error.status !== 0) return { people: [] };
    throw error;
  }
}

function saying(problem: ApiProblem): string {
  if (problem.status === 401) return 'That name and password do not match.';
  return problem.message;
}
