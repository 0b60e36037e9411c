/** Manifests as an auditor reads them: of every asset what there was, what was minted and retired, what is. */
import type { ReactNode } from 'react';
import type { Microgrid } from '../answers.js';
import { addsUp, type Manifest } from '../audit.js';
import { formatMoment } from '../format.js';
import type { Resource } from '../resource.js';
import { saveFile } from '../save-file.js';
import { Amount } from './figures.js';
import { Empty, Loaded, Panel } from './panel.js';

/** By day or by slot, as the interface names it. */
export type SupplyKind = 'manifest' | 'slot-closed';

interface SupplyPanelProps {
  asked: SupplyKind | null;
  manifests: Resource<Manifest[]>;
  microgrid: Microgrid;
  onAsk: (kind: SupplyKind) => void;
}

export function SupplyPanel({ asked, manifests, microgrid, onAsk }: SupplyPanelProps): ReactNode {
  const save = (all: Manifest[]): void => {
    const name = `manifests-${microgrid.microgrid}-${asked}.json`;
    saveFile(name, `${JSON.stringify(all, null, 2)}\n`, 'application/json');
  };
  return (
    <Panel title="Is anything made out of nothing?" name="supply" remark="each look is logged">
      <p className="wish-actions">
        <button type="button" className="primary" onClick={() => onAsk('manifest')}>
          Show the days
        </button>
        <button type="button" className="quiet" onClick={() => onAsk('slot-closed')}>
          Show the slots
        </button>
      </p>
      {asked === null ? (
        <Empty>
          Every slot and every local day ends with a record that counts what came before it. Choose,
          and its sums appear here.
        </Empty>
      ) : (
        <Loaded
          of={manifests}
          lines={6}
          isEmpty={(all) => all.length === 0}
          empty="None is covered by a published checkpoint yet."
        >
          {(all) => (
            <>
              <Sums manifests={all} microgrid={microgrid} />
              <button type="button" className="quiet more" onClick={() => save(all)}>
                Save these {all.length} as a file
              </button>
            </>
          )}
        </Loaded>
      )}
    </Panel>
  );
}

function Sums({ manifests, microgrid }: { manifests: Manifest[]; microgrid: Microgrid }) {
  const { currency, timeZone } = microgrid;
  return (
    <div className="scroll tall" tabIndex={0} role="group" aria-label="Supply of every asset">
      <table className="figures" data-testid="supplies">
        <thead>
          <tr>
            <th scope="col">Until</th>
            <th scope="col">Asset</th>
            <th scope="col" className="number">
              Before
            </th>
            <th scope="col" className="number">
              Minted
            </th>
            <th scope="col" className="number">
              Retired
            </th>
            <th scope="col" className="number">
              After
            </th>
          </tr>
        </thead>
        <tbody>
          {manifests.flatMap(({ sequence, at, supplies }) =>
            supplies.map((supply) => (
              <tr key={`${sequence} ${supply.asset}`}>
                <th scope="row">{formatMoment(at, timeZone)}</th>
                <td>
                  {supply.asset}
                  {!addsUp(supply) && <span className="tag alert">does not add up</span>}
                </td>
                {(['before', 'minted', 'retired', 'after'] as const).map((name) => (
                  <td key={name} className="number">
                    <Amount asset={supply.asset} amount={supply[name]} currency={currency} />
                  </td>
                ))}
              </tr>
            )),
          )}
        </tbody>
      </table>
    </div>
  );
}
