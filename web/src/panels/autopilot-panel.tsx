/** The household's autopilot: how it quotes in plain words, on or off, and what it plans for a battery. */
import { useId, useState, type ReactNode } from 'react';
import type { Microgrid, StrategyChoice } from '../answers.js';
import { formatEnergy, formatTime } from '../format.js';
import type { Resource } from '../resource.js';
import { nextPlanned, STRATEGIES } from '../strategies.js';
import { Loaded, Panel } from './panel.js';
import { asProblem } from '../problem.js';

interface AutopilotPanelProps {
  choice: Resource<StrategyChoice>;
  microgrid: Microgrid;
  hasStorage: boolean;
  save: (chosen: Pick<StrategyChoice, 'strategy' | 'enabled'>) => Promise<StrategyChoice>;
}

export function AutopilotPanel({ choice, ...rest }: AutopilotPanelProps): ReactNode {
  return (
    <Panel title="Your autopilot" name="autopilot" remark="within your limits">
      <Loaded of={choice} lines={4}>
        {(stored) => <AutopilotForm stored={stored} {...rest} />}
      </Loaded>
    </Panel>
  );
}

type FormProps = Omit<AutopilotPanelProps, 'choice'> & { stored: StrategyChoice };

function AutopilotForm({ stored, microgrid, hasStorage, save }: FormProps): ReactNode {
  const id = useId();
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<{ text: string; bad: boolean } | null>(null);
  const { strategy, enabled } = stored;

  const choose = async (chosen: Pick<StrategyChoice, 'strategy' | 'enabled'>): Promise<void> => {
    if (busy) return;
    setBusy(true);
    setSaid(null);
    try {
      const now = await save(chosen);
      const from = formatTime(now.validFrom, microgrid.timeZone);
      setSaid({ text: outcomeInWords(now.enabled, enabled, from), bad: false });
    } catch (error) {
      setSaid({ text: `Not changed. ${asProblem(error).message}`, bad: true });
    } finally {
      setBusy(false);
    }
  };

  const offered = STRATEGIES.filter(
    ({ name, forStorage }) => name === strategy || !forStorage || hasStorage,
  );
  const next = nextPlanned(stored.plan);
  return (
    <div className="autopilot">
      <p className="limit-words">
        This street trades before the energy flows. Your autopilot forecasts what you will have or
        need from your own meters, and offers it for you.
      </p>
      <div className="autopilot-actions">
        <button
          type="button"
          className={enabled ? 'quiet' : 'primary'}
          role="switch"
          aria-checked={enabled}
          disabled={busy}
          data-testid="autopilot-switch"
          onClick={() => void choose({ strategy, enabled: !enabled })}
        >
          {enabled ? 'Switch off' : 'Switch on'}
        </button>
        <label htmlFor={id}>How it quotes</label>
        <select
          id={id}
          value={strategy}
          disabled={busy}
          onChange={(event) => void choose({ strategy: event.target.value, enabled })}
        >
          {offered.map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </div>
      <p className="limit-words">{STRATEGIES.find(({ name }) => name === strategy)?.words}</p>
      {enabled && next !== null && (
        <p className="limit-words" data-testid="autopilot-plan">
          Its plan for your battery: from {formatTime(next.slot, microgrid.timeZone)}{' '}
          {next.chargeWh > 0
            ? `charge ${formatEnergy(next.chargeWh)}`
            : `use ${formatEnergy(next.dischargeWh)} of it`}
          .
        </p>
      )}
      <p
        className={said?.bad ? 'form-problem' : 'form-said'}
        role="status"
        data-testid="autopilot-said"
      >
        {said?.text ?? ''}
      </p>
    </div>
  );
}

function outcomeInWords(isOn: boolean, wasOn: boolean, from: string): string {
  if (isOn) return `On. It trades for you from the slot of ${from} on.`;
  return wasOn
    ? 'Off. What was open is taken back; place orders yourself.'
    : 'Chosen. It trades once you switch it on.';
}
