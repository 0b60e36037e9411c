/** Every trade of the street as it is settled, newest slot first, without names. */
import { useMemo, useRef, type ReactNode } from 'react';
import type { Microgrid, TapeTrade } from '../answers.js';
import { formatEnergy, formatPrice, formatSlot } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

const SHOWN_SLOTS = 6;
const SHOWN_TRADES = 8;

interface TradeTapeProps {
  tape: Resource<TapeTrade[]>;
  microgrid: Microgrid;
}

export function TradeTape({ tape, microgrid }: TradeTapeProps): ReactNode {
  return (
    <Panel title="Trades" name="tape" remark="without names">
      <Loaded
        of={tape}
        lines={8}
        isEmpty={(trades) => trades.length === 0}
        empty="No trades yet. They appear here the moment a slot is settled."
      >
        {(trades) => <Tape trades={trades} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

interface TapeSlot {
  slot: string;
  energyWh: number;
  trades: TapeTrade[];
}

function Tape({ trades, microgrid }: { trades: TapeTrade[]; microgrid: Microgrid }): ReactNode {
  const slots = useMemo(() => bySlot(trades), [trades]);
  const largest = Math.max(1, ...trades.map((trade) => trade.energyWh));
  const price = (micro: number): string => formatPrice(micro, microgrid.currency);
  const newest = slots[0];
  // What was there when the panel opened is not news.
  const opened = useRef(newest?.slot);
  return (
    <>
      <p className="unseen" aria-live="polite" data-testid="tape-news">
        {newest && newest.slot !== opened.current
          ? `Slot ${formatSlot(newest.slot, microgrid)}: ${plural(newest.trades.length)}, ${formatEnergy(newest.energyWh)}.`
          : ''}
      </p>
      <div className="scroll tape-scroll" tabIndex={0} role="group" aria-label="Trades">
        <table className="tape" data-testid="tape">
          <thead className="unseen">
            <tr>
              <td />
              <th scope="col">Energy</th>
              <th scope="col">Price per kWh</th>
            </tr>
          </thead>
          {slots.slice(0, SHOWN_SLOTS).map(({ slot, energyWh, trades: all }, index) => (
            <tbody key={slot} className={index === 0 && slot !== opened.current ? 'fresh' : ''}>
              <tr className="tape-slot">
                <th scope="rowgroup">
                  {formatSlot(slot, microgrid)} <span>{plural(all.length)}</span>
                </th>
                <td className="number">{formatEnergy(energyWh)}</td>
                <td />
              </tr>
              {shownOf(all, index).map((trade) => (
                <tr key={trade.trade} data-testid="tape-trade">
                  <td>
                    <svg
                      className="tape-bar"
                      viewBox="0 0 100 4"
                      preserveAspectRatio="none"
                      aria-hidden="true"
                    >
                      <rect width={(100 * trade.energyWh) / largest} height="4" />
                    </svg>
                  </td>
                  <td className="number">{formatEnergy(trade.energyWh)}</td>
                  <td className="number">{price(trade.priceMicroPerKwh)}</td>
                </tr>
              ))}
              {all.length > shownOf(all, index).length && (
                <tr>
                  <td className="soft" colSpan={3}>
                    and {all.length - shownOf(all, index).length} more
                  </td>
                </tr>
              )}
            </tbody>
          ))}
        </table>
      </div>
    </>
  );
}

/** Trades, newest first, gathered under their slots. */
function bySlot(trades: readonly TapeTrade[]): TapeSlot[] {
  const slots: TapeSlot[] = [];
  for (const trade of trades) {
    let slot = slots.find((known) => known.slot === trade.slot);
    if (!slot) {
      slot = { slot: trade.slot, energyWh: 0, trades: [] };
      slots.push(slot);
    }
    slot.trades.push(trade);
    slot.energyWh += trade.energyWh;
  }
  return slots;
}

/** The newest slot is shown at more length than the others. */
function shownOf(trades: TapeTrade[], index: number): TapeTrade[] {
  return trades.slice(0, index === 0 ? 2 * SHOWN_TRADES : SHOWN_TRADES);
}

function plural(count: number): string {
  return count === 1 ? '1 trade' : `${count} trades`;
}
