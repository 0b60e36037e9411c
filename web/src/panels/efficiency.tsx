/** Self-consumption, self-sufficiency and neighbor share by month, or why they are withheld. */
import { useState, type FormEvent, type ReactNode } from 'react';
import type { EfficiencyMonth, Page } from '../answers.js';
import { formatShare } from '../format.js';
import { restsOn } from '../quality.js';
import type { Resource } from '../resource.js';
import { Empty, Loaded, Panel } from './panel.js';
import type { ApiProblem } from '../problem.js';

export interface Period {
  /** Calendar months such as `2026-06`, both included. */
  from: string;
  to: string;
}

interface EfficiencyProps {
  /** Null until a question was asked. */
  asked: Period | null;
  efficiency: Resource<Page<EfficiencyMonth>>;
  /** The last month that may be over. */
  latest: string;
  onAsk: (period: Period) => void;
}

export function Efficiency({ asked, efficiency, latest, onAsk }: EfficiencyProps): ReactNode {
  return (
    <Panel title="Efficiency by month" name="efficiency" remark="months in UTC">
      <Question latest={latest} onAsk={onAsk} />
      {asked === null ? (
        <Empty>Choose the months and ask. The answer, or why there is none, appears here.</Empty>
      ) : efficiency.problem && refusalTitle(efficiency.problem) !== null ? (
        <Refusal problem={efficiency.problem} />
      ) : (
        <Loaded
          of={efficiency}
          lines={5}
          isEmpty={(page) => page.items.length === 0}
          empty="No month in this period has been settled yet."
        >
          {(page) => <Months months={page.items} />}
        </Loaded>
      )}
    </Panel>
  );
}

function Question({ latest, onAsk }: Pick<EfficiencyProps, 'latest' | 'onAsk'>): ReactNode {
  const [from, setFrom] = useState(latest);
  const [to, setTo] = useState(latest);
  const ask = (event: FormEvent): void => {
    event.preventDefault();
    onAsk({ from, to });
  };
  return (
    <form className="months" onSubmit={ask}>
      <label>
        <span>From</span>
        <input
          type="month"
          name="from"
          required
          pattern="\d{4}-\d{2}"
          value={from}
          max={to}
          onChange={({ target }) => setFrom(target.value)}
        />
      </label>
      <label>
        <span>To</span>
        <input
          type="month"
          name="to"
          required
          pattern="\d{4}-\d{2}"
          value={to}
          min={from}
          max={latest}
          onChange={({ target }) => setTo(target.value)}
        />
      </label>
      <button type="submit" className="primary" data-testid="ask-efficiency">
        Ask
      </button>
    </form>
  );
}

const INDICATORS = [
  {
    key: 'selfConsumptionBasisPoints',
    name: 'Self-consumption',
    words: 'of what the street made, used where it was made',
    kind: 'own',
  },
  {
    key: 'selfSufficiencyBasisPoints',
    name: 'Self-sufficiency',
    words: 'of what the street used, from its own roofs and batteries',
    kind: 'own',
  },
  {
    key: 'neighborShareBasisPoints',
    name: 'Neighbor share',
    words: 'of what the street used, bought from neighbors',
    kind: 'neighbor',
  },
] as const;

function Months({ months }: { months: EfficiencyMonth[] }): ReactNode {
  return (
    <div className="scroll">
      <table className="figures efficiency" data-testid="efficiency">
        <thead>
          <tr>
            <th scope="col">Month</th>
            {INDICATORS.map(({ key, name, words }) => (
              <th scope="col" key={key}>
                {name} <small>{words}</small>
              </th>
            ))}
            <th scope="col">
              What it rests on <small>measured, or how else it was told</small>
            </th>
          </tr>
        </thead>
        <tbody>
          {months.map((month) => (
            <tr key={month.month}>
              <th scope="row">{month.month}</th>
              {INDICATORS.map(({ key, kind }) => (
                <td key={key}>
                  <Part basisPoints={month[key]} kind={kind} />
                </td>
              ))}
              <td>
                <Basis quality={month.quality} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const FIGURES = [
  { key: 'producedWh', name: 'Made' },
  { key: 'usedWh', name: 'Used' },
  { key: 'selfWh', name: 'Own use' },
  { key: 'fromNeighborsWh', name: 'From neighbors' },
] as const;

function Basis({ quality }: Pick<EfficiencyMonth, 'quality'>): ReactNode {
  return (
    <ul className="basis" data-testid="basis">
      {FIGURES.map(({ key, name }) => {
        const figure = quality[key];
        return (
          <li key={key}>
            <b>{name}</b> <span>{figure === null ? 'withheld' : restsOn(figure)}</span>
          </li>
        );
      })}
    </ul>
  );
}

function Part({ basisPoints, kind }: { basisPoints: number | null; kind: string }): ReactNode {
  if (basisPoints === null) return <span className="soft">–</span>;
  return (
    <span className="part">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect className="part-ground" width="100" height="6" />
        <rect className={kind} width={basisPoints / 100} height="6" />
      </svg>
      <b>{formatShare(basisPoints, 10_000)}</b>
    </span>
  );
}

function Refusal({ problem }: { problem: ApiProblem }): ReactNode {
  return (
    <div className="refusal" role="status" data-testid="refusal" data-code={problem.code}>
      <h3>{refusalTitle(problem)}</h3>
      <p>{problem.message}</p>
      <p className="soft">The question and this refusal stand in the access log.</p>
    </div>
  );
}

/** A stated refusal is an answer, not a failure: its title, or null for a failure. */
function refusalTitle({ code, status }: ApiProblem): string | null {
  if (code === 'month_not_closed') return 'Not settled yet';
  if (code === 'no_such_months') return 'Not a period that can be asked for';
  if (status !== 403 && status !== 409) return null;
  return code === 'forbidden' ? null : 'Withheld, so that no household can be told apart';
}
