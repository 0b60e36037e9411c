/** Coming in by a token that an operator gave out: as a new person of a household, or with a new password. */
import { useState, type FormEvent, type ReactNode } from 'react';
import { send } from '../api.js';
import { asProblem } from '../problem.js';

interface ByTokenProps {
  purpose: Purpose;
  /** The person is there and has this password; a reset does not say whose it was. */
  onDone: (user: string | null, password: string) => Promise<void>;
  onBack: () => void;
}

export type Purpose = 'invitation' | 'reset';

const WORDS = {
  invitation: {
    title: 'Join your household',
    token: 'Invitation',
    more: 'Your operator gave it to you. It is good once, for seven days.',
    submit: 'Join',
  },
  reset: {
    title: 'Set a new password',
    token: 'Reset token',
    more: 'Ask your operator for one. It is good once, for a day.',
    submit: 'Set it',
  },
} as const;

export function ByToken({ purpose, onDone, onBack }: ByTokenProps): ReactNode {
  const [typed, setTyped] = useState({ token: '', user: '', name: '', password: '' });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const { title, token, more, submit: word } = WORDS[purpose];
  const joins = purpose === 'invitation';

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem('');
    const { password } = typed;
    const user = typed.user.trim();
    const secret = { token: typed.token.trim(), password };
    try {
      if (joins) {
        const body = { ...secret, user, name: typed.name };
        await send('POST', '/v1/invitations/accept', { body });
      } else {
        await send('POST', '/v1/password-resets', { body: secret });
      }
      await onDone(joins ? user : null, password);
    } catch (error) {
      setProblem(asProblem(error).message);
      setBusy(false);
    }
  };

  const field = (name: keyof typeof typed) => ({
    name,
    required: true,
    value: typed[name],
    onChange: (event: { target: { value: string } }) =>
      setTyped({ ...typed, [name]: event.target.value }),
  });
  return (
    <>
      <h1>{title}</h1>
      <form
        className="log-in-form"
        onSubmit={(event) => void submit(event)}
        data-testid={`by-${purpose}`}
      >
        <label>
          <span>{token}</span>
          <input {...field('token')} autoComplete="off" spellCheck={false} autoFocus />
        </label>
        <p className="hint">{more}</p>
        {joins && (
          <>
            <label>
              <span>Your name</span>
              <input {...field('name')} autoComplete="name" />
            </label>
            <label>
              <span>Name to log in with</span>
              <input
                {...field('user')}
                autoComplete="username"
                autoCapitalize="none"
                spellCheck={false}
              />
            </label>
          </>
        )}
        <label>
          <span>Password, 10 characters or more</span>
          <input
            {...field('password')}
            type="password"
            autoComplete="new-password"
            minLength={10}
          />
        </label>
        <p className="form-problem" role="alert" data-testid="by-token-problem">
          {problem}
        </p>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'One moment …' : word}
        </button>
        <button type="button" className="linked" onClick={onBack}>
          Back to logging in
        </button>
      </form>
    </>
  );
}
