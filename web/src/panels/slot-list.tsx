/** The last day's slots, newest first: what was traded, at what price, and how each one closed. */
import type { ReactNode } from 'react';
import type { ClosedSlot, Microgrid } from '../answers.js';
import { formatKwh, formatPrice, formatSlot } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

interface SlotListProps {
  slots: Resource<ClosedSlot[]>;
  microgrid: Microgrid;
}

export function SlotList({ slots, microgrid }: SlotListProps): ReactNode {
  const { currency } = microgrid;
  return (
    <Panel title="Slots" name="slots" remark="last 24 hours">
      <Loaded
        of={slots}
        lines={8}
        isEmpty={(all) => all.length === 0}
        empty="No slot has closed yet."
      >
        {(all) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="Slots">
            <table className="figures" data-testid="slots">
              <thead>
                <tr>
                  <th scope="col">Slot</th>
                  <th scope="col">Status</th>
                  <th scope="col" className="number">
                    Traded, kWh
                  </th>
                  <th scope="col" className="number">
                    Price per kWh
                  </th>
                </tr>
              </thead>
              <tbody>
                {[...all].reverse().map((slot) => (
                  <tr key={slot.slot}>
                    <th scope="row">{formatSlot(slot.slot, microgrid)}</th>
                    <td>
                      <span className={slot.status === 'quarantined' ? 'tag alert' : 'tag'}>
                        {slot.status}
                      </span>
                    </td>
                    <td className="number">{formatKwh(slot.tradedWh)}</td>
                    <td className="number">
                      {slot.clearingPriceMicroPerKwh === null
                        ? 'no trade'
                        : formatPrice(slot.clearingPriceMicroPerKwh, currency)}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
    </Panel>
  );
}
