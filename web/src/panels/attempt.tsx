/** A button's deed: one at a time, and in a line beside it what came of the last. */
import { useState, type ReactNode } from 'react';
import { asProblem } from '../problem.js';

export type Said = { text: string; bad: boolean } | null;

/** `attempt` runs a deed that answers what to say, and says why where it fails. */
export function useAttempt(): {
  busy: boolean;
  said: Said;
  attempt: (failed: string, deed: () => Promise<string>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<Said>(null);
  const attempt = async (failed: string, deed: () => Promise<string>): Promise<void> => {
    if (busy) return;
    setBusy(true);
    setSaid(null);
    try {
      setSaid({ text: await deed(), bad: false });
    } catch (error) {
      setSaid({ text: `${failed} ${asProblem(error).message}`, bad: true });
    } finally {
      setBusy(false);
    }
  };
  return { busy, said, attempt };
}

export function SaidLine({ said, testId }: { said: Said; testId: string }): ReactNode {
  return (
    <p className={said?.bad ? 'form-problem' : 'form-said'} role="status" data-testid={testId}>
      {said?.text ?? ''}
    </p>
  );
}
