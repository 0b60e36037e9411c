/** The household's latest settlements, each with both bills: with neighbors, and by the tariff alone. */
import { useState, type ReactNode } from 'react';
import type { Microgrid, Settlement } from '../answers.js';
import type { Api } from '../api.js';
import { formatDay, formatKwh, formatSlot } from '../format.js';
import { QUALITY_WORDS } from '../quality.js';
import type { Resource } from '../resource.js';
import { saveFile } from '../save-file.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';
import { asProblem } from '../problem.js';

const SHOWN_AT_FIRST = 8;

interface SettlementListProps {
  api: Api;
  settlements: Resource<Settlement[]>;
  microgrid: Microgrid;
}

export function SettlementList({ api, settlements, microgrid }: SettlementListProps): ReactNode {
  const remark = (
    <>
      newest first; <a href="/verify">check a receipt</a>
    </>
  );
  return (
    <Panel title="Recent settlements" name="settlements" remark={remark}>
      <Loaded
        of={settlements}
        lines={8}
        isEmpty={(all) => all.length === 0}
        empty="Nothing has been settled for you yet. Each slot is settled a few minutes after it ends."
      >
        {(all) => <List api={api} settlements={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

interface ListProps {
  api: Api;
  settlements: Settlement[];
  microgrid: Microgrid;
}

function List({ api, settlements, microgrid }: ListProps): ReactNode {
  const [everything, setEverything] = useState(false);
  const [said, setSaid] = useState('');
  const save = async (settlement: Settlement): Promise<void> => {
    setSaid('');
    try {
      setSaid(await saveReceipt(api, microgrid, settlement));
    } catch (error) {
      setSaid(asProblem(error).message);
    }
  };
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
              <th scope="col">
                <span className="unseen">Receipt</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((settlement) => (
              <Row
                key={settlement.slot}
                settlement={settlement}
                microgrid={microgrid}
                save={() => void save(settlement)}
              />
            ))}
          </tbody>
        </table>
      </div>
      <p className="soft" role="status" data-testid="receipt-said">
        {said}
      </p>
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

/** Fetches the receipt and keeps it as a file. @returns what to say then. @throws ApiProblem */
async function saveReceipt(
  api: Api,
  { microgrid }: Microgrid,
  { household, sequence }: Settlement,
): Promise<string> {
  const text = await api.text(
    `/v1/ledger/${microgrid}/records/${sequence}/receipt?household=${household}`,
  );
  const name = `receipt-${microgrid}-${household}-${sequence}.json`;
  saveFile(name, text, 'application/json');
  return `Saved ${name}.`;
}

interface RowProps {
  settlement: Settlement;
  microgrid: Microgrid;
  save: () => void;
}

function Row({ settlement, microgrid, save }: RowProps): ReactNode {
  const { currency, quality } = settlement;
  return (
    <tr data-testid="settlement">
      <th scope="row">
        <time dateTime={settlement.slot} title={formatDay(settlement.slot, microgrid.timeZone)}>
          {formatSlot(settlement.slot, microgrid)}
        </time>
        {quality !== 'measured' && (
          <span className="quality" title={QUALITY_WORDS[quality]}>
            {quality}
          </span>
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
      <td className="number">
        <button type="button" className="linked" onClick={save} data-testid="save-receipt">
          <span className="linked-word">Receipt</span>
          <span className="linked-mark" aria-hidden="true">
            ↓
          </span>
          <span className="unseen"> of {formatSlot(settlement.slot, microgrid)}</span>
        </button>
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
