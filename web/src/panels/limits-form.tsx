/** The household's limits: two prices, what they will do in plain words, and a rule to see them on. */
import { useEffect, useId, useState, type FormEvent, type ReactNode } from 'react';
import type { Limits, Microgrid } from '../answers.js';
import { currencySymbol, formatPrice, formatTime } from '../format.js';
import { explainBuy, explainSell, parseLimit, type Limit, type Tariff } from '../limits.js';
import { formatMicro } from '../../../src/units/money.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';
import { ApiProblem, asProblem } from '../problem.js';

interface LimitsPanelProps {
  limits: Resource<Limits>;
  microgrid: Microgrid;
  /** The last price of the street; null before the first. */
  priceMicroPerKwh: number | null;
  /** Someone else's limits can be read but not set. */
  readOnly: boolean;
  save: (sell: Limit, buy: Limit) => Promise<Limits>;
}

export function LimitsPanel({ limits, ...rest }: LimitsPanelProps): ReactNode {
  return (
    <Panel title="Your limits" name="limits" remark="count from the next slot">
      <Loaded of={limits} lines={5}>
        {(stored) => <LimitsForm stored={stored} {...rest} />}
      </Loaded>
    </Panel>
  );
}

type FormProps = Omit<LimitsPanelProps, 'limits'> & { stored: Limits };

function LimitsForm({ stored, microgrid, priceMicroPerKwh, readOnly, save }: FormProps): ReactNode {
  const { tariff, currency } = microgrid;
  const [sell, setSell] = useState(() => typed(stored.sellAboveMicroPerKwh));
  const [buy, setBuy] = useState(() => typed(stored.buyBelowMicroPerKwh));
  const [touched, setTouched] = useState(false);
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<{ text: string; bad: boolean } | null>(null);
  const { sellAboveMicroPerKwh: storedSell, buyBelowMicroPerKwh: storedBuy } = stored;

  // Limits set elsewhere show here, unless they are being edited.
  useEffect(() => {
    if (touched) return;
    setSell(typed(storedSell));
    setBuy(typed(storedBuy));
  }, [storedSell, storedBuy, touched]);

  const parsedSell = parseLimit(sell);
  const parsedBuy = parseLimit(buy);
  const edit = (set: (text: string) => void) => (text: string) => {
    setTouched(true);
    setSaid(null);
    set(text);
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy || !parsedSell.ok || !parsedBuy.ok) return;
    setBusy(true);
    setSaid(null);
    try {
      const now = await save(parsedSell.limit, parsedBuy.limit);
      setTouched(false);
      const from = now.validFrom ? ` from ${formatTime(now.validFrom, microgrid.timeZone)} on` : '';
      setSaid({ text: `Saved. Your limits hold${from}.`, bad: false });
    } catch (error) {
      setSaid({ text: refusal(asProblem(error)), bad: true });
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="limits" noValidate onSubmit={(event) => void submit(event)}>
      <Ruler
        tariff={tariff}
        currency={currency}
        sell={parsedSell.ok ? parsedSell.limit : null}
        buy={parsedBuy.ok ? parsedBuy.limit : null}
        price={priceMicroPerKwh}
      />
      <div className="limit-fields">
        <LimitField
          name="sell-above"
          label="Sell above"
          text={sell}
          placeholder={formatMicro(tariff.feedInMicroPerKwh)}
          symbol={currencySymbol(currency)}
          problem={parsedSell.ok ? null : parsedSell.reason}
          words={parsedSell.ok ? explainSell(parsedSell.limit, tariff, currency) : ''}
          readOnly={readOnly}
          onChange={edit(setSell)}
        />
        <LimitField
          name="buy-below"
          label="Buy below"
          text={buy}
          placeholder={formatMicro(tariff.retailMicroPerKwh)}
          symbol={currencySymbol(currency)}
          problem={parsedBuy.ok ? null : parsedBuy.reason}
          words={parsedBuy.ok ? explainBuy(parsedBuy.limit, tariff, currency) : ''}
          readOnly={readOnly}
          onChange={edit(setBuy)}
        />
      </div>
      {!readOnly && (
        <div className="limit-actions">
          <button
            type="submit"
            className="primary"
            disabled={busy || !parsedSell.ok || !parsedBuy.ok}
          >
            {busy ? 'Saving …' : 'Save limits'}
          </button>
          <button
            type="button"
            className="quiet"
            disabled={sell === '' && buy === ''}
            onClick={() => {
              edit(setSell)('');
              edit(setBuy)('');
            }}
          >
            Clear both
          </button>
          <p
            className={said?.bad ? 'form-problem' : 'form-said'}
            role="status"
            data-testid="limits-said"
          >
            {said?.text ?? ''}
          </p>
        </div>
      )}
    </form>
  );
}

interface LimitFieldProps {
  name: string;
  label: string;
  text: string;
  placeholder: string;
  symbol: string;
  problem: string | null;
  words: string;
  readOnly: boolean;
  onChange: (text: string) => void;
}

function LimitField(props: LimitFieldProps): ReactNode {
  const id = useId();
  return (
    <div className="limit-field">
      <label htmlFor={id}>{props.label}</label>
      <div className={props.problem === null ? 'affixed' : 'affixed wrong'}>
        <span aria-hidden="true">{props.symbol}</span>
        <input
          id={id}
          name={props.name}
          inputMode="decimal"
          autoComplete="off"
          value={props.text}
          placeholder={props.placeholder}
          readOnly={props.readOnly}
          aria-invalid={props.problem !== null}
          aria-describedby={`${id}-words`}
          onChange={(event) => props.onChange(event.target.value)}
        />
        <span>per kWh</span>
      </div>
      <p
        id={`${id}-words`}
        className={props.problem === null ? 'limit-words' : 'limit-words wrong'}
        data-testid={`${props.name}-words`}
      >
        {props.problem ?? props.words}
      </p>
    </div>
  );
}

interface RulerProps {
  tariff: Tariff;
  currency: string;
  sell: Limit;
  buy: Limit;
  price: number | null;
}

/** From the feed-in to the retail price, with both limits and the street's price on it. */
function Ruler({ tariff, currency, sell, buy, price }: RulerProps): ReactNode {
  const { feedInMicroPerKwh: low, retailMicroPerKwh: high } = tariff;
  const x = (micro: number): number =>
    high <= low ? 50 : Math.min(100, Math.max(0, (100 * (micro - low)) / (high - low)));
  const sellX = x(sell ?? low);
  const buyX = x(buy ?? high);
  return (
    <div className="ruler" aria-hidden="true">
      <svg viewBox="0 0 100 8" preserveAspectRatio="none">
        <rect className="ruler-ground" y="3" width="100" height="2" />
        <rect className="ruler-sell" x={sellX} y="0.5" width={100 - sellX} height="2.5" />
        <rect className="ruler-buy" x="0" y="5" width={buyX} height="2.5" />
        {price !== null && (
          <rect className="ruler-price" x={x(price) - 0.3} width="0.6" height="8" />
        )}
      </svg>
      <p>
        <span>Feed-in {formatPrice(low, currency)}</span>
        {price !== null && <span>Street now {formatPrice(price, currency)}</span>}
        <span>Retail {formatPrice(high, currency)}</span>
      </p>
      <ul className="legend">
        <li className="legend-sell">you sell</li>
        <li className="legend-buy">you buy</li>
      </ul>
    </div>
  );
}

function typed(limit: Limit): string {
  return limit === null ? '' : formatMicro(limit);
}

function refusal(problem: ApiProblem): string {
  return `Not saved. ${problem.message}`;
}
