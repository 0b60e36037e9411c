/** The household's latest settlements, each with both bills: with neighbors, and by the tariff alone. */
import { useState, type ReactNode } from 'react';
import type { Microgrid, Settlement } from '../answers.js';
import { formatDay, formatKwh, formatTime } from '../format.js';
import type { Resource } from '../resource.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';

const SHOWN_AT_FIRST = 8;

interface SettlementListProps {
  settlements: Resource<Settlement[]>;
  microgrid: Microgrid;
}

export function SettlementList({ settlements, microgrid }: SettlementListProps): ReactNode {
  return (
    <Panel title="Recent settlements" name="settlements" remark="newest first">
      <Loaded
        of={settlements}
        lines={8}
        isEmpty={(all) => all.length === 0}
        empty="Nothing has been settled for you yet. Each slot is settled a few minutes after it ends."
      >
        {(all) => <List settlements={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

function List({ settlements, microgrid }: { settlements: Settlement[]; microgrid: Microgrid }) {
  const [everything, setEverything] = useState(false);
  const shown = everything ? settlements : settlements.slice(0, SHOWN_AT_FIRST);
  return (
    <>
      <div className="scroll" tabIndex={0} role="group" aria-label="Recent settlements">
        <table className="figures settlements" data-testid="settlements">
          <thead>
            <tr>
              <th scope="col">Slot</th>
              <th scope="col" className="number wide">
                Made
              </th>
              <th scope="col" className="number wide">
                Used
              </th>
              <th scope="col" className="number wide">
                To / from neighbors
              </th>
              <th scope="col" className="number wide">
                To / from grid
              </th>
              <th scope="col" className="number">
                With neighbors
              </th>
              <th scope="col" className="number">
                Tariff alone
              </th>
              <th scope="col" className="number">
                Better off
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((settlement) => (
              <Row key={settlement.slot} settlement={settlement} microgrid={microgrid} />
            ))}
          </tbody>
        </table>
      </div>
      {settlements.length > SHOWN_AT_FIRST && (
        <button
          type="button"
          className="quiet more"
          aria-expanded={everything}
          onClick={() => setEverything(!everything)}
        >
          {everything ? 'Show fewer' : `Show all ${settlements.length} of today and yesterday`}
        </button>
      )}
    </>
  );
}

function Row({ settlement, microgrid }: { settlement: Settlement; microgrid: Microgrid }) {
  const { currency, quality } = settlement;
  return (
    <tr data-testid="settlement">
      <th scope="row">
        <time dateTime={settlement.slot} title={formatDay(settlement.slot, microgrid.timeZone)}>
          {formatTime(settlement.slot, microgrid.timeZone)}
        </time>
        {(quality === 'estimated' || quality === 'missing') && (
          <span className="quality">{quality}</span>
        )}
      </th>
      <td className="number wide soft">{formatKwh(settlement.producedWh)}</td>
      <td className="number wide soft">{formatKwh(settlement.consumedWh)}</td>
      <td className="number wide">{ways(settlement.toNeighborsWh, settlement.fromNeighborsWh)}</td>
      <td className="number wide soft">{ways(settlement.toGridWh, settlement.fromGridWh)}</td>
      <td className="number">
        <Money micro={settlement.netMicro} currency={currency} signed />
      </td>
      <td className="number soft">
        <Money micro={settlement.tariffMicro} currency={currency} signed />
      </td>
      <td className="number good">
        <Money micro={settlement.savedMicro} currency={currency} />
      </td>
    </tr>
  );
}

/** Energy given away as `↑`, taken as `↓`; both only where both happened. */
function ways(outWh: number, inWh: number): ReactNode {
  if (outWh === 0 && inWh === 0) return <span className="soft">–</span>;
  return (
    <>
      {outWh > 0 && (
        <span className="way">
          <span aria-hidden="true">↑</span>
          <span className="unseen">given </span> {formatKwh(outWh)}
        </span>
      )}
      {inWh > 0 && (
        <span className="way">
          <span aria-hidden="true">↓</span>
          <span className="unseen">taken </span> {formatKwh(inWh)}
        </span>
      )}
    </>
  );
}
