/** For operators and regulators: slot by slot, the price, its rule, and the share of the possible gain. */
import type { ReactNode } from 'react';
import type { MarketFairness, Microgrid, SlotFairness } from '../answers.js';
import { formatKwh, formatPrice, formatSlot } from '../format.js';
import type { Resource } from '../resource.js';
import { priceText, shareText } from './fairness-figures.js';
import { Loaded, Panel } from './panel.js';

interface MarketFairnessPanelProps {
  /** A regulator is told no energy, and no interval. */
  slots: Resource<(SlotFairness & Partial<MarketFairness>)[]>;
  microgrid: Microgrid;
}

export function MarketFairnessPanel({ slots, microgrid }: MarketFairnessPanelProps): ReactNode {
  return (
    <Panel title="Market fairness" name="market-fairness" remark="the last slots">
      <Loaded
        of={slots}
        lines={6}
        isEmpty={(all) => all.length === 0}
        empty="No orders have met yet."
      >
        {(all) => <Table slots={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

function Table({
  slots,
  microgrid,
}: {
  slots: (SlotFairness & Partial<MarketFairness>)[];
  microgrid: Microgrid;
}): ReactNode {
  const latest = slots[0]!;
  const hasEnergy = latest.tradedWh !== undefined;
  return (
    <>
      <p className="fairness-rule">{latest.rule.words}</p>
      <div
        className="scroll tall"
        tabIndex={0}
        role="group"
        aria-label="Fairness of the last slots"
      >
        <table className="figures" data-testid="market-fairness">
          <thead>
            <tr>
              <th scope="col">Slot</th>
              <th scope="col" className="number">
                Price per kWh
              </th>
              {hasEnergy && (
                <>
                  <th scope="col" className="number wide">
                    Competitive
                  </th>
                  <th scope="col" className="number wide">
                    Traded of possible, kWh
                  </th>
                </>
              )}
              <th scope="col" className="number">
                Gain of possible
              </th>
            </tr>
          </thead>
          <tbody>
            {slots.map((slot) => (
              <tr key={slot.slot}>
                <th scope="row">
                  {formatSlot(slot.slot, microgrid)}
                  {slot.revision > 0 && <span className="quality">corrected</span>}
                </th>
                <td className="number">{priceText(slot)}</td>
                {hasEnergy && (
                  <>
                    <td className="number wide soft">{interval(slot)}</td>
                    <td className="number wide">
                      {formatKwh(slot.tradedWh ?? 0)} / {formatKwh(slot.possibleWh ?? 0)}
                    </td>
                  </>
                )}
                <td className="number">{shareText(slot.shareThousandths)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function interval({ priceIntervalMicroPerKwh: bounds, currency }: Partial<MarketFairness>): string {
  if (!bounds || currency === undefined) return '–';
  return `${formatPrice(bounds[0], currency)} – ${formatPrice(bounds[1], currency)}`;
}
