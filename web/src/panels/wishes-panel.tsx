/** What the household would rather buy, and how much more it pays for that; beside its limits. */
import { useId, useState, type FormEvent, type ReactNode } from 'react';
import type { Limits, Microgrid, Wish } from '../answers.js';
import { formatPrice, formatTime } from '../format.js';
import { parseLimit } from '../limits.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';
import { asProblem } from '../problem.js';

interface WishesPanelProps {
  limits: Resource<Limits>;
  microgrid: Microgrid;
  save: (wishes: Wish[]) => Promise<Limits>;
}

export function WishesPanel({ limits, ...rest }: WishesPanelProps): ReactNode {
  return (
    <Panel title="Your wishes" name="wishes" remark="count from the next slot">
      <Loaded of={limits} lines={4}>
        {(stored) => <WishesForm stored={stored} {...rest} />}
      </Loaded>
    </Panel>
  );
}

type FormProps = Omit<WishesPanelProps, 'limits'> & { stored: Limits };

function WishesForm({ stored, microgrid, save }: FormProps): ReactNode {
  const id = useId();
  const { wishes } = stored;
  const { currency, tariff, timeZone } = microgrid;
  const [kind, setKind] = useState<Wish['kind']>('solar');
  const [alias, setAlias] = useState('');
  const [premium, setPremium] = useState('');
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<{ text: string; bad: boolean } | null>(null);

  const keep = async (wished: Wish[]): Promise<void> => {
    setBusy(true);
    setSaid(null);
    try {
      const { validFrom } = await save(wished);
      const from = validFrom ? ` It counts from ${formatTime(validFrom, timeZone)} on.` : '';
      setSaid({ text: `Saved.${from}`, bad: false });
      setPremium('');
    } catch (error) {
      setSaid({ text: `Not saved. ${asProblem(error).message}`, bad: true });
    } finally {
      setBusy(false);
    }
  };

  const parsed = parseLimit(premium);
  const add = (event: FormEvent): void => {
    event.preventDefault();
    if (busy) return;
    if (!parsed.ok || !parsed.limit) {
      const reason = parsed.ok ? 'Write what you pay more per kWh, such as 0.02.' : parsed.reason;
      return setSaid({ text: reason, bad: true });
    }
    const premiumMicroPerKwh = parsed.limit;
    const wish: Wish =
      kind === 'neighbor'
        ? { kind, alias: alias.trim(), premiumMicroPerKwh }
        : { kind, premiumMicroPerKwh };
    void keep([...wishes, wish]);
  };

  const room = tariff.retailMicroPerKwh - (stored.buyBelowMicroPerKwh ?? tariff.retailMicroPerKwh);
  return (
    <form className="limits" noValidate onSubmit={add}>
      <p className="limit-words">
        Name what you would rather buy and what you pay more for it at most. You pay it only where
        somebody else has to give way, and never more than the retail price.
      </p>
      {wishes.length === 0 ? (
        <p className="limit-words" data-testid="no-wishes">
          You have none: you take what comes at the best price.
        </p>
      ) : (
        <ul className="wishes" data-testid="wishes-list">
          {wishes.map((wish, index) => (
            <li key={`${wish.kind} ${'alias' in wish ? wish.alias : ''} ${index}`}>
              <span>
                {inWords(wish)}, up to {formatPrice(wish.premiumMicroPerKwh, currency)} more
              </span>
              <button
                type="button"
                className="quiet"
                disabled={busy}
                aria-label={`Give up: ${inWords(wish)}`}
                onClick={() => void keep(wishes.filter((_, at) => at !== index))}
              >
                Give up
              </button>
            </li>
          ))}
        </ul>
      )}
      {wishes.length > 0 && room <= 0 && (
        <p className="limit-words">
          You already buy at up to the retail price, so there is no room for more: a lower “Buy
          below” makes room for your wishes.
        </p>
      )}
      <div className="wish-actions">
        <label htmlFor={`${id}-kind`}>I would rather buy</label>
        <select
          id={`${id}-kind`}
          value={kind}
          disabled={busy}
          onChange={(event) => setKind(event.target.value as Wish['kind'])}
        >
          <option value="solar">clean energy</option>
          <option value="feeder">from my own feeder</option>
          <option value="neighbor">from a neighbor</option>
        </select>
        {kind === 'neighbor' && (
          <>
            <label htmlFor={`${id}-alias`}>called</label>
            <input
              id={`${id}-alias`}
              value={alias}
              autoComplete="off"
              onChange={(event) => setAlias(event.target.value)}
            />
          </>
        )}
        <label htmlFor={`${id}-premium`}>for up to</label>
        <input
          id={`${id}-premium`}
          name="premium"
          inputMode="decimal"
          autoComplete="off"
          value={premium}
          onChange={(event) => setPremium(event.target.value)}
        />
        <span>per kWh more</span>
        <button
          type="submit"
          className="primary"
          disabled={busy || (kind === 'neighbor' && alias.trim() === '')}
        >
          {busy ? 'Saving …' : 'Add wish'}
        </button>
      </div>
      <p
        className={said?.bad ? 'form-problem' : 'form-said'}
        role="status"
        data-testid="wishes-said"
      >
        {said?.text ?? ''}
      </p>
    </form>
  );
}

function inWords(wish: Wish): string {
  if (wish.kind === 'neighbor') return `Energy from ${wish.alias}`;
  return wish.kind === 'solar' ? 'Clean energy' : 'Energy from my own feeder';
}
