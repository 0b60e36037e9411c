/** A password issued for one use is changed before anything else is open. */
import { useState, type FormEvent, type ReactNode } from 'react';
import type { Api } from '../api.js';
import { asProblem } from '../problem.js';

interface NewPasswordProps {
  api: Api;
  onChanged: () => void;
}

export function NewPassword({ api, onChanged }: NewPasswordProps): ReactNode {
  const [currentPassword, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(null);
    try {
      await api.post('/v1/people/me/password', { currentPassword, password });
      onChanged();
    } catch (error) {
      setProblem(asProblem(error).message);
      setBusy(false);
    }
  };

  return (
    <div className="within sheet">
      <form className="choose" onSubmit={(event) => void submit(event)} data-testid="new-password">
        <h1>Choose your own password</h1>
        <p>The one you were given was for this once.</p>
        <label>
          <span>The one you were given</span>
          <input
            type="password"
            name="current"
            autoComplete="current-password"
            required
            value={currentPassword}
            onChange={(event) => setCurrent(event.target.value)}
          />
        </label>
        <label>
          <span>Your new one</span>
          <input
            type="password"
            name="new"
            autoComplete="new-password"
            required
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </label>
        {problem !== null && (
          <p className="form-problem" role="alert">
            {problem}
          </p>
        )}
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Changing …' : 'Change it'}
        </button>
      </form>
    </div>
  );
}
