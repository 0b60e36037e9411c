/** Checking a receipt, step by step and in the browser alone: for everyone, without a log-in. */
import { useDeferredValue, useMemo, useState, type DragEvent, type ReactNode } from 'react';
import type { ReceiptReport, StepReport } from '../../../src/settlement/receipt-check.js';
import { formatEnergy } from '../format.js';
import { Money } from '../panels/figures.js';
import { Logo } from '../panels/logo.js';
import { Panel } from '../panels/panel.js';
import { judge, microgridOf, STEP_TITLES, type Judgement } from '../receipt.js';

/** Larger than any receipt: a file beyond that is another one, taken by mistake. */
const MOST_BYTES = 8_000_000;

type Fetched = 'not yet' | 'fetching' | 'here' | 'failed';

export function VerifyPage(): ReactNode {
  const [receipt, setReceipt] = useState<string | null>(null);
  /** A new round empties the file field, so that it names no file that is not looked at. */
  const [source, setSource] = useState<{ name: string | null; round: number }>({
    name: null,
    round: 0,
  });
  const [unreadable, setUnreadable] = useState<string | null>(null);
  const [policy, setPolicy] = useState('');
  const [fetched, setFetched] = useState<Fetched>('not yet');
  const typed = useDeferredValue(policy);
  const judgement = useMemo(() => judge(receipt, typed), [receipt, typed]);

  const take = async (file: File): Promise<void> => {
    setSource({ name: file.name, round: source.round });
    setUnreadable(null);
    setReceipt(null);
    if (file.size > MOST_BYTES) {
      setUnreadable('This file is too large to be a receipt.');
      return;
    }
    try {
      read(await file.text());
    } catch {
      setUnreadable('This file could not be read. Choose it again.');
    }
  };

  const paste = (text: string): void => {
    setSource({ name: null, round: source.round + 1 });
    setUnreadable(null);
    read(text);
  };

  const read = (text: string): void => {
    setReceipt(text);
    if (policy === '') void fetchPolicy(text);
  };

  const fetchPolicy = async (text: string): Promise<void> => {
    const microgrid = microgridOf(text);
    if (microgrid === null) return;
    setFetched('fetching');
    try {
      const response = await fetch(`/log/${microgrid}/policy`);
      if (!response.ok) throw new Error(`status ${response.status}`);
      const found = await response.text();
      setPolicy((own) => (own === '' ? found : own));
      setFetched('here');
    } catch {
      setFetched('failed');
    }
  };

  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="top band">
        <div className="within top-row">
          <p className="brand">
            <Logo /> <span>Neighborwatt</span>
          </p>
          <p className="top-person">
            <a href="/">To the street</a>
          </p>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <div className="band hero verify-hero">
          <div className="within">
            <h1>Check a receipt</h1>
            <p className="hero-words">
              Everything happens in this browser; the file goes nowhere. Once this page is here it
              works without a network.
            </p>
          </div>
        </div>
        <div className="within sheet verify-sheet">
          <Panel title="The receipt" name="receipt">
            <ReceiptField
              key={source.round}
              name={source.name}
              unreadable={unreadable}
              onFile={take}
            />
            <PasteField onText={paste} />
          </Panel>
          <Panel title="Whose signatures count" name="policy">
            <PolicyField
              policy={policy}
              fetched={fetched}
              wrong={judgement.state === 'bad-policy' ? judgement.why : null}
              onChange={setPolicy}
            />
          </Panel>
          <Panel title="What was found" name="verdict">
            <Verdict judgement={judgement} fetching={fetched === 'fetching'} />
          </Panel>
        </div>
      </main>
    </>
  );
}

interface ReceiptFieldProps {
  name: string | null;
  unreadable: string | null;
  onFile: (file: File) => Promise<void>;
}

function ReceiptField({ name, unreadable, onFile }: ReceiptFieldProps): ReactNode {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    const [file] = event.dataTransfer.files;
    if (file) void onFile(file);
  };
  return (
    <div
      className={over ? 'drop over' : 'drop'}
      data-testid="drop"
      onDrop={drop}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
    >
      <label>
        <span>Choose the file, or drop it here</span>
        <input
          type="file"
          name="receipt"
          accept=".json,application/json"
          onChange={(event) => {
            const [file] = event.target.files ?? [];
            if (file) void onFile(file);
          }}
        />
      </label>
      <p className="soft" data-testid="receipt-name">
        {name === null ? 'No file yet.' : `Looking at ${name}.`}
      </p>
      {unreadable !== null && (
        <p className="form-problem" role="alert" data-testid="receipt-problem">
          {unreadable}
        </p>
      )}
    </div>
  );
}

function PasteField({ onText }: { onText: (text: string) => void }): ReactNode {
  return (
    <details>
      <summary>Paste its text instead</summary>
      <label>
        <span className="unseen">Text of the receipt</span>
        <textarea
          name="receipt-text"
          rows={6}
          spellCheck={false}
          maxLength={MOST_BYTES}
          onChange={(event) => onText(event.target.value)}
        />
      </label>
    </details>
  );
}

interface PolicyFieldProps {
  policy: string;
  fetched: Fetched;
  wrong: string | null;
  onChange: (policy: string) => void;
}

const POLICY_NOTES: Readonly<Record<Fetched, string>> = {
  'not yet':
    'Paste the policy that you kept, or were given by somebody other than the operator. Without one, the one of this service is fetched.',
  fetching: 'Asking this service for its policy …',
  here: 'This is the policy of this very service. To take nobody’s word for it, paste one that you kept or were given by somebody else.',
  failed: 'This service could not be asked for its policy. Paste the one that you kept.',
};

function PolicyField({ policy, fetched, wrong, onChange }: PolicyFieldProps): ReactNode {
  return (
    <div className="policy">
      <label>
        <span>Policy of the log</span>
        <textarea
          name="policy"
          rows={6}
          spellCheck={false}
          value={policy}
          aria-describedby="policy-note"
          aria-invalid={wrong !== null}
          onChange={(event) => onChange(event.target.value)}
        />
      </label>
      <p id="policy-note" className="soft" data-testid="policy-note">
        {POLICY_NOTES[fetched]}
      </p>
      {wrong !== null && (
        <p className="form-problem" role="alert" data-testid="policy-problem">
          This is no policy: {wrong}.
        </p>
      )}
    </div>
  );
}

interface VerdictProps {
  judgement: Judgement;
  fetching: boolean;
}

function Verdict({ judgement, fetching }: VerdictProps): ReactNode {
  if (judgement.state !== 'judged') {
    const words = {
      empty: 'Nothing yet: choose a receipt. You find one beside each of your settlements.',
      'no-policy': fetching
        ? 'One moment …'
        : 'The receipt is here. What is missing is the policy, which says whose signatures count.',
      'bad-policy': 'The policy cannot be read, so that nothing can be said.',
    }[judgement.state];
    return (
      <p className="empty" role="status" data-testid="verdict" data-state={judgement.state}>
        {words}
      </p>
    );
  }
  const { report } = judgement;
  return (
    <>
      <p
        className={report.ok ? 'verdict good' : 'verdict bad'}
        role="status"
        data-testid="verdict"
        data-state={report.ok ? 'good' : 'bad'}
      >
        {report.ok ? 'Everything fits.' : 'This receipt does not fit.'}
      </p>
      <ol className="steps" data-testid="steps">
        {report.steps.map((step) => (
          <Step key={step.step} step={step} />
        ))}
      </ol>
      {report.what && <Happened what={report.what} />}
    </>
  );
}

const MARKS = { good: '✓', bad: '✗', unchecked: '–' } as const;
const SAID = { good: 'holds', bad: 'does not hold', unchecked: 'was not looked at' } as const;

function Step({ step: { step, outcome, says } }: { step: StepReport }): ReactNode {
  return (
    <li className={`step ${outcome}`} data-testid={`step-${step}`} data-outcome={outcome}>
      <span className="step-mark" aria-hidden="true">
        {MARKS[outcome]}
      </span>
      <div>
        <h3>
          {STEP_TITLES[step]} <span className="unseen">{SAID[outcome]}</span>
        </h3>
        <p>{outcome === 'unchecked' ? 'Not looked at: what comes before does not hold.' : says}</p>
      </div>
    </li>
  );
}

interface Settled {
  producedWh: number;
  consumedWh: number;
  toNeighborsWh: number;
  fromNeighborsWh: number;
  toGridWh: number;
  fromGridWh: number;
  netMicro: number;
  tariffMicro: number;
  currency: string;
}

/** What a good receipt says happened. */
function Happened({ what }: { what: NonNullable<ReceiptReport['what']> }): ReactNode {
  const { settlement, slot, record, trades } = what;
  const settled = settlement as unknown as Settled | undefined;
  const time = typeof slot === 'string' ? slot.replace('T', ' ').replace('Z', ' UTC') : null;
  const rows: [string, ReactNode][] = [
    ['Record of the journal', String(record)],
    ...(time === null ? [] : ([['Slot from', time]] satisfies [string, ReactNode][])),
    ...(settled ? figuresOf(settled) : []),
    ['Trades', String((trades as unknown[]).length)],
  ];
  return (
    <dl className="happened" data-testid="happened">
      {rows.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function figuresOf(settled: Settled): [string, ReactNode][] {
  const { currency } = settled;
  return [
    ['Made', formatEnergy(settled.producedWh)],
    ['Used', formatEnergy(settled.consumedWh)],
    ['To neighbors', formatEnergy(settled.toNeighborsWh)],
    ['From neighbors', formatEnergy(settled.fromNeighborsWh)],
    ['To the grid', formatEnergy(settled.toGridWh)],
    ['From the grid', formatEnergy(settled.fromGridWh)],
    ['Earned or paid', <Money key="net" micro={settled.netMicro} currency={currency} signed />],
    [
      'By the tariff alone',
      <Money key="tariff" micro={settled.tariffMicro} currency={currency} signed />,
    ],
  ];
}
