/** A household's orders for coming slots: a form, the slot's book, and what became of each order. */
import { useId, useRef, useState, type FormEvent, type ReactNode } from 'react';
import type { Microgrid, Order, OrderBook } from '../answers.js';
import type { Api } from '../api.js';
import { currencySymbol, formatEnergy, formatPrice, formatTime } from '../format.js';
import { parseLimit } from '../limits.js';
import {
  explainOrder,
  freshKey,
  levelsInWords,
  orderInWords,
  parseEnergy,
  refusalInWords,
  slotsFrom,
} from '../orders.js';
import { formatMicro } from '../../../src/units/money.js';
import { useResource } from '../resource.js';
import { Loaded, Panel } from './panel.js';
import { asProblem } from '../problem.js';

/** How many slots ahead the form offers, and how many orders are listed. */
const SLOTS_AHEAD = 48;
const LISTED = 20;

interface OrdersPanelProps {
  api: Api;
  household: string;
  microgrid: Microgrid;
  /** Changes when an order of anybody may have. */
  version: number;
}

export function OrdersPanel({ api, household, microgrid, version }: OrdersPanelProps): ReactNode {
  const [slot, setSlot] = useState<string | null>(null);
  const [placed, setPlaced] = useState(0);
  // One resource for all slots: what was typed stays when another slot is chosen.
  const book = useResource(
    `book ${microgrid.microgrid}`,
    async (signal): Promise<ShownBook> => {
      const path = `/v1/microgrids/${microgrid.microgrid}/order-book`;
      const next = await api.get<OrderBook>(path, signal);
      const isAhead = slot !== null && Date.parse(slot) > Date.parse(next.slot);
      if (!isAhead) return { ...next, first: next.slot };
      return { ...(await api.get<OrderBook>(`${path}?slot=${slot}`, signal)), first: next.slot };
    },
    `${slot} ${version} ${placed}`,
  );
  const orders = useResource(
    `orders ${household}`,
    async (signal) => {
      const path = `/v1/orders?household=${household}&limit=${LISTED}`;
      return (await api.get<{ items: Order[] }>(path, signal)).items;
    },
    `${version} ${placed}`,
  );
  const changed = (): void => setPlaced((count) => count + 1);
  return (
    <Panel title="Your orders" name="orders" remark="for coming slots">
      <Loaded of={book} lines={5}>
        {(shown) => (
          <OrderForm
            {...{ api, household, microgrid }}
            book={shown}
            chooseSlot={setSlot}
            changed={changed}
          />
        )}
      </Loaded>
      <h3>Placed lately</h3>
      <Loaded
        of={orders}
        lines={3}
        isEmpty={(items) => items.length === 0}
        empty="You have placed no order yet."
      >
        {(items) => <OrderList {...{ api, microgrid }} orders={items} changed={changed} />}
      </Loaded>
    </Panel>
  );
}

/** A slot's book, and the first slot that takes orders. */
type ShownBook = OrderBook & { first: string };

interface OrderFormProps {
  api: Api;
  household: string;
  microgrid: Microgrid;
  book: ShownBook;
  chooseSlot: (slot: string) => void;
  changed: () => void;
}

type Said = { text: string; bad: boolean } | null;

function OrderForm(props: OrderFormProps): ReactNode {
  const { api, household, microgrid, book, chooseSlot, changed } = props;
  const { currency, timeZone, tariff, mechanism, slotMinutes } = microgrid;
  const id = useId();
  const [side, setSide] = useState<Order['side']>('ask');
  const [energy, setEnergy] = useState('');
  const [price, setPrice] = useState('');
  const [firm, setFirm] = useState(false);
  const [time, setTime] = useState<'gtc' | 'ioc' | 'fok'>('gtc');
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<Said>(null);
  // Sent again after a lost answer, the same order has the same key.
  const sent = useRef({ body: '', key: '' });

  const parsedEnergy = parseEnergy(energy);
  const parsedPrice = parseLimit(price);
  const fallback = side === 'ask' ? tariff.feedInMicroPerKwh : tariff.retailMicroPerKwh;
  const limit = parsedPrice.ok ? (parsedPrice.limit ?? fallback) : null;
  const isReady = parsedEnergy.ok && limit !== null;

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (busy || !parsedEnergy.ok || limit === null) return;
    setBusy(true);
    setSaid(null);
    const order = {
      microgrid: microgrid.microgrid,
      household,
      slot: book.slot,
      side,
      energyWh: parsedEnergy.energyWh,
      priceMicroPerKwh: limit,
      delivery: firm ? 'firm' : 'delivered',
      ...(time === 'gtc' ? {} : { timeInForce: time }),
    };
    const body = JSON.stringify(order);
    if (sent.current.body !== body) sent.current = { body, key: freshKey() };
    try {
      const answer = await api.post<Order>('/v1/orders', order, sent.current.key);
      sent.current = { body: '', key: '' };
      setEnergy('');
      setSaid({ text: `Placed: ${orderInWords(answer)}.`, bad: false });
      changed();
    } catch (error) {
      setSaid({ text: `Not placed. ${refusalInWords(asProblem(error))}`, bad: true });
    } finally {
      setBusy(false);
    }
  };

  const words =
    energy === ''
      ? ''
      : !parsedEnergy.ok
        ? parsedEnergy.reason
        : !parsedPrice.ok
          ? parsedPrice.reason
          : explainOrder(
              { side, energyWh: parsedEnergy.energyWh, priceMicroPerKwh: limit!, firm },
              currency,
            );
  const isWrong = energy !== '' && !isReady;
  const slots = slotsFrom(book.first, slotMinutes, SLOTS_AHEAD);
  return (
    <form className="order-form" noValidate onSubmit={(event) => void submit(event)}>
      <div className="wish-actions">
        <label htmlFor={`${id}-side`}>I want to</label>
        <select
          id={`${id}-side`}
          name="order-side"
          value={side}
          onChange={(event) => setSide(event.target.value as Order['side'])}
        >
          <option value="ask">sell</option>
          <option value="bid">buy</option>
        </select>
        <label htmlFor={`${id}-slot`}>in the slot from</label>
        <select
          id={`${id}-slot`}
          name="order-slot"
          value={book.slot}
          onChange={(event) => chooseSlot(event.target.value)}
        >
          {slots.map((one) => (
            <option key={one} value={one}>
              {formatTime(one, timeZone)}
            </option>
          ))}
        </select>
      </div>
      <div className="limit-fields">
        <div className="limit-field">
          <label htmlFor={`${id}-energy`}>How much</label>
          <div className={isWrong && !parsedEnergy.ok ? 'affixed wrong' : 'affixed'}>
            <input
              id={`${id}-energy`}
              name="order-energy"
              inputMode="decimal"
              autoComplete="off"
              placeholder="0.5"
              value={energy}
              aria-invalid={isWrong && !parsedEnergy.ok}
              aria-describedby={`${id}-words`}
              onChange={(event) => setEnergy(event.target.value)}
            />
            <span>kWh</span>
          </div>
        </div>
        <div className="limit-field">
          <label htmlFor={`${id}-price`}>{side === 'ask' ? 'For at least' : 'For at most'}</label>
          <div className={parsedPrice.ok ? 'affixed' : 'affixed wrong'}>
            <span aria-hidden="true">{currencySymbol(currency)}</span>
            <input
              id={`${id}-price`}
              name="order-price"
              inputMode="decimal"
              autoComplete="off"
              placeholder={formatMicro(fallback)}
              value={price}
              aria-invalid={!parsedPrice.ok}
              aria-describedby={`${id}-words`}
              onChange={(event) => setPrice(event.target.value)}
            />
            <span>per kWh</span>
          </div>
        </div>
      </div>
      <div className="wish-actions">
        <label className="order-firm">
          <input
            type="checkbox"
            name="order-firm"
            checked={firm}
            onChange={(event) => setFirm(event.target.checked)}
          />
          Binding
        </label>
        {mechanism === 'continuous' && (
          <>
            <label htmlFor={`${id}-time`}>It waits</label>
            <select
              id={`${id}-time`}
              name="order-time"
              value={time}
              onChange={(event) => setTime(event.target.value as typeof time)}
            >
              <option value="gtc">until its gate closes</option>
              <option value="ioc">not at all: what trades now</option>
              <option value="fok">not at all: everything now, or nothing</option>
            </select>
          </>
        )}
      </div>
      <p
        id={`${id}-words`}
        className={isWrong ? 'limit-words wrong' : 'limit-words'}
        data-testid="order-words"
      >
        {words}
      </p>
      <BookWords book={book} currency={currency} />
      <div className="limit-actions">
        <button type="submit" className="primary" disabled={busy || !isReady}>
          {busy ? 'Placing …' : 'Place order'}
        </button>
        <p
          className={said?.bad ? 'form-problem' : 'form-said'}
          role="status"
          data-testid="order-said"
        >
          {said?.text ?? ''}
        </p>
      </div>
    </form>
  );
}

/** What others offer in the slot, without names. */
function BookWords({ book, currency }: { book: OrderBook; currency: string }): ReactNode {
  const offered = levelsInWords(book.asks, currency);
  const wanted = levelsInWords(book.bids, currency);
  return (
    <dl className="order-book" data-testid="order-book">
      <dt>For sale</dt>
      <dd>{offered.length === 0 ? 'nothing yet' : offered.join(' · ')}</dd>
      <dt>Wanted</dt>
      <dd>{wanted.length === 0 ? 'nothing yet' : wanted.join(' · ')}</dd>
    </dl>
  );
}

interface OrderListProps {
  api: Api;
  microgrid: Microgrid;
  orders: readonly Order[];
  changed: () => void;
}

function OrderList({ api, microgrid, orders, changed }: OrderListProps): ReactNode {
  const { currency, timeZone } = microgrid;
  const [busy, setBusy] = useState<string | null>(null);
  const [said, setSaid] = useState<Said>(null);
  const takeBack = async (order: Order): Promise<void> => {
    setBusy(order.id);
    setSaid(null);
    try {
      await api.delete<Order>(`/v1/orders/${order.id}`);
      setSaid({ text: 'Taken back.', bad: false });
    } catch (error) {
      setSaid({ text: `Not taken back. ${refusalInWords(asProblem(error))}`, bad: true });
    } finally {
      setBusy(null);
      changed();
    }
  };
  return (
    <>
      <ul className="wishes orders" data-testid="order-list">
        {orders.map((order) => {
          const what = `${order.side === 'ask' ? 'Sell' : 'Buy'} ${formatEnergy(order.energyWh)} at ${formatPrice(order.priceMicroPerKwh, currency)}, ${formatTime(order.slot, timeZone)}`;
          return (
            <li key={order.id} data-testid="order" data-status={order.status}>
              <span>
                {what}
                <small>
                  {orderInWords(order)}
                  {order.delivery === 'firm' ? ', binding' : ''}
                </small>
              </span>
              {order.status === 'open' && (
                <button
                  type="button"
                  className="quiet"
                  disabled={busy !== null}
                  aria-label={`Take back: ${what}`}
                  onClick={() => void takeBack(order)}
                >
                  Take back
                </button>
              )}
            </li>
          );
        })}
      </ul>
      <p
        className={said?.bad ? 'form-problem' : 'form-said'}
        role="status"
        data-testid="orders-said"
      >
        {said?.text ?? ''}
      </p>
    </>
  );
}
