/** Why the household's orders were served as they were, and whether its street's market did all it could. */
import { useState, type ReactNode } from 'react';
import type { HouseholdFairness, Microgrid, OrderFairness } from '../answers.js';
import { formatEnergy, formatKwh, formatSlot, formatTime } from '../format.js';
import type { Resource } from '../resource.js';
import { PriceRuler, ShareBar, shareText } from './fairness-figures.js';
import { Loaded, Panel } from './panel.js';

interface FairnessPanelProps {
  slots: Resource<HouseholdFairness[]>;
  microgrid: Microgrid;
}

export function FairnessPanel({ slots, microgrid }: FairnessPanelProps): ReactNode {
  return (
    <Panel title="Was it fair?" name="fairness" remark="every order, and what was possible">
      <Loaded
        of={slots}
        lines={8}
        isEmpty={(all) => all.length === 0}
        empty="No orders have met yet. Once the first slot is cleared, it is explained here."
      >
        {(all) => <Slots slots={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

/** One slot in full, the latest unless another was chosen, and the others to choose from. */
function Slots({
  slots,
  microgrid,
}: {
  slots: HouseholdFairness[];
  microgrid: Microgrid;
}): ReactNode {
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = slots.find(({ slot }) => slot === chosen) ?? slots[0]!;
  return (
    <div className="fairness">
      <OneSlot shown={shown} microgrid={microgrid} />
      <History
        slots={slots}
        shown={shown}
        microgrid={microgrid}
        choose={(slot) => setChosen(slot === slots[0]!.slot ? null : slot)}
      />
    </div>
  );
}

function OneSlot({
  shown,
  microgrid,
}: {
  shown: HouseholdFairness;
  microgrid: Microgrid;
}): ReactNode {
  const { timeZone } = microgrid;
  const more = shown.ordersInAll - shown.orders.length;
  return (
    <div className="fairness-slot" data-testid="fairness-slot">
      <h3>
        {formatSlot(shown.slot, microgrid)} – {formatTime(shown.slotEnd, timeZone)}
        {shown.revision > 0 && <span className="tag">corrected</span>}
      </h3>
      {shown.orders.length === 0 ? (
        <p className="soft" data-testid="fairness-none">
          You had nothing to trade in this slot.
        </p>
      ) : (
        shown.orders.map((order) => (
          <OneOrder key={`${order.side} ${order.order ?? ''}`} order={order} basis={shown.basis} />
        ))
      )}
      {more > 0 && <p className="soft">And {more} more orders.</p>}
      <h4>The street’s price</h4>
      <PriceRuler slot={shown} microgrid={microgrid} />
      <p>{shown.rule.words}</p>
      <p className="soft">{shown.rationing.words}</p>
      <h4>What the market reached of what was possible</h4>
      <ShareBar slot={shown} />
    </div>
  );
}

function OneOrder({
  order,
  basis,
}: {
  order: OrderFairness;
  basis: HouseholdFairness['basis'];
}): ReactNode {
  const { side, wantedWh, filledWh, reasons } = order;
  const verb = basis === 'gate' ? ['offered', 'wanted'] : ['had over', 'needed'];
  return (
    <div className="fate" data-testid="fate">
      <p>
        You {side === 'ask' ? verb[0] : verb[1]} <b>{formatEnergy(wantedWh)}</b>; neighbors{' '}
        {side === 'ask' ? 'bought' : 'sold you'} <b>{formatEnergy(filledWh)}</b>.
      </p>
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect className="part-ground" width="100" height="6" />
        <rect
          className="neighbor"
          width={wantedWh === 0 ? 0 : (filledWh / wantedWh) * 100}
          height="6"
        />
      </svg>
      <ul>
        {reasons.map(({ code, energyWh, words }) => (
          <li key={code} data-code={code}>
            <b>{formatEnergy(energyWh)}</b>
            <span>{words}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface HistoryProps {
  slots: HouseholdFairness[];
  shown: HouseholdFairness;
  microgrid: Microgrid;
  choose: (slot: string) => void;
}

function History({ slots, shown, microgrid, choose }: HistoryProps): ReactNode {
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label="The last slots">
      <table className="figures" data-testid="fairness-history">
        <thead>
          <tr>
            <th scope="col">Slot</th>
            <th scope="col" className="number wide">
              Wanted, kWh
            </th>
            <th scope="col" className="number">
              Traded, kWh
            </th>
            <th scope="col">What held the rest</th>
            <th scope="col" className="number">
              Of the possible
            </th>
          </tr>
        </thead>
        <tbody>
          {slots.map((slot) => (
            <tr key={slot.slot}>
              <th scope="row">
                <button
                  type="button"
                  className="linked"
                  aria-pressed={slot.slot === shown.slot}
                  onClick={() => choose(slot.slot)}
                >
                  {formatSlot(slot.slot, microgrid)}
                </button>
              </th>
              <td className="number wide">{sumOf(slot.orders, ({ wantedWh }) => wantedWh)}</td>
              <td className="number">{sumOf(slot.orders, ({ filledWh }) => filledWh)}</td>
              <td>{heldBy(slot.orders)}</td>
              <td className="number">{shareText(slot.shareThousandths)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** In a word or two, what each reason but the trade itself comes to. */
const HELD: Readonly<Record<string, string>> = {
  'outside-tariffs': 'your limit',
  wallet: 'your wallet',
  'taken-back': 'taken back',
  'not-met': 'nobody left',
  'not-at-once': 'nobody left',
  'wallet-rounding': 'rounding',
  wish: 'a neighbor’s wish',
  'no-counterpart': 'nobody there',
  'beyond-limit': 'your limit',
  outbid: 'better limits',
  rationed: 'shared out',
  'own-orders': 'your own order',
  'wire-full': 'a full wire',
  'wire-fees': 'fees of the wires',
  'node-price': 'your limit',
  'beyond-price': 'your limit',
  'shared-out': 'shared out',
  'surplus-left': 'nobody needed it',
};

function heldBy(orders: readonly OrderFairness[]): ReactNode {
  const words = new Set(
    orders.flatMap(({ reasons }) =>
      reasons.flatMap(({ code }) => (code === 'filled' ? [] : [HELD[code] ?? code])),
    ),
  );
  return words.size === 0 ? <span className="soft">–</span> : [...words].join(', ');
}

function sumOf(orders: readonly OrderFairness[], of: (order: OrderFairness) => number): ReactNode {
  if (orders.length === 0) return <span className="soft">–</span>;
  return formatKwh(orders.reduce((sum, order) => sum + of(order), 0));
}
