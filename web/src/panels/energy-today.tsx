/** Where today's energy came from and where it went: one bar and one table for each. */
import type { ReactNode } from 'react';
import { largest, type DayBook, type Share } from '../day-book.js';
import { formatEnergy, formatKwh, formatShare } from '../format.js';
import type { Resource } from '../resource.js';
import { Money, SourceMark } from './figures.js';
import { Empty, Loaded, Panel } from './panel.js';

const NAMED_NEIGHBORS = 6;

interface EnergyTodayProps {
  today: Resource<DayBook>;
  currency: string;
}

export function EnergyToday({ today, currency }: EnergyTodayProps): ReactNode {
  return (
    <Panel
      title="Your energy today"
      name="energy"
      remark={today.data && today.data.slots > 0 ? slotsSaid(today.data) : undefined}
    >
      <Loaded
        of={today}
        lines={6}
        isEmpty={(book) => book.slots === 0}
        empty="Your first settlement of the day comes when this slot closes."
      >
        {(book) => (
          <div className="halves">
            <Half
              title="What you used"
              id="used"
              shares={book.used}
              totalWh={book.usedWh}
              empty="Nothing was used yet today."
              say={usedSource}
              paid="Paid"
              currency={currency}
            />
            <Half
              title="What you made"
              id="made"
              shares={book.produced}
              totalWh={book.producedWh}
              empty="Nothing was produced yet today."
              say={producedTaker}
              paid="Earned"
              currency={currency}
            />
          </div>
        )}
      </Loaded>
    </Panel>
  );
}

interface HalfProps {
  title: string;
  id: string;
  shares: readonly Share[];
  totalWh: number;
  empty: string;
  say: (share: Share) => string;
  paid: string;
  currency: string;
}

function Half({ title, id, shares, totalWh, empty, say, paid, currency }: HalfProps): ReactNode {
  const shown = largest(shares, NAMED_NEIGHBORS);
  return (
    <div className="half" data-testid={`energy-${id}`}>
      <h3>
        {title} <b data-testid={`energy-${id}-total`}>{formatEnergy(totalWh)}</b>
      </h3>
      {totalWh === 0 ? (
        <Empty>{empty}</Empty>
      ) : (
        <>
          <StackedBar shares={shown} totalWh={totalWh} />
          <table className="figures">
            <thead>
              <tr>
                <th scope="col">{id === 'used' ? 'From' : 'To'}</th>
                <th scope="col" className="number">
                  kWh
                </th>
                <th scope="col" className="number">
                  Share
                </th>
                <th scope="col" className="number">
                  {paid}
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((share) => (
                <tr key={`${share.kind} ${share.alias}`} data-testid={`source-${share.kind}`}>
                  <th scope="row">
                    <SourceMark kind={share.kind} /> {say(share)}
                  </th>
                  <td className="number">{formatKwh(share.energyWh)}</td>
                  <td className="number soft">{formatShare(share.energyWh, totalWh)}</td>
                  <td className="number soft">
                    {share.micro === null ? (
                      '–'
                    ) : (
                      <Money micro={Math.abs(share.micro)} currency={currency} />
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </div>
  );
}

/** Parts of a whole side by side; the table below says the same in figures. */
function StackedBar({ shares, totalWh }: { shares: Share[]; totalWh: number }): ReactNode {
  let from = 0;
  return (
    <svg className="stack" viewBox="0 0 1000 28" preserveAspectRatio="none" aria-hidden="true">
      {shares.map((share, index) => {
        const x = from;
        const width = (1000 * share.energyWh) / totalWh;
        from += width;
        return (
          <rect
            key={`${share.kind} ${share.alias}`}
            className={`${share.kind} shade-${index % 3}`}
            x={x}
            width={Math.max(width - 2, 1)}
            height="28"
          />
        );
      })}
    </svg>
  );
}

function usedSource({ kind, alias }: Share): string {
  if (kind === 'own') return 'Your own roof';
  return kind === 'grid' ? 'The grid' : alias;
}

function producedTaker({ kind, alias }: Share): string {
  if (kind === 'own') return 'Used or stored at home';
  return kind === 'grid' ? 'The grid' : alias;
}

function slotsSaid({ slots, estimatedSlots }: DayBook): string {
  const settled = slots === 1 ? '1 slot settled' : `${slots} slots settled`;
  return estimatedSlots === 0 ? settled : `${settled}, ${estimatedSlots} of them estimated`;
}
