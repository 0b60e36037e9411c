/** The accounts of the microgrid that are nobody's household, and all of them as a file. */
import { useState, type ReactNode } from 'react';
import type { Microgrid } from '../answers.js';
import type { Api } from '../api.js';
import type { Account } from '../audit.js';
import { asProblem } from '../problem.js';
import type { Resource } from '../resource.js';
import { saveFile } from '../save-file.js';
import { Amount } from './figures.js';
import { Loaded, Panel } from './panel.js';

interface BooksPanelProps {
  api: Api;
  books: Resource<Account[]>;
  microgrid: Microgrid;
}

export function BooksPanel({ api, books, microgrid }: BooksPanelProps): ReactNode {
  const { microgrid: id, currency } = microgrid;
  const [said, setSaid] = useState('');
  const save = async (): Promise<void> => {
    setSaid('');
    try {
      const text = await api.text(`/v1/ledger/${id}/balances?format=csv&limit=1000`);
      saveFile(`accounts-${id}.csv`, text, 'text/csv');
      setSaid(`Saved accounts-${id}.csv.`);
    } catch (error) {
      setSaid(asProblem(error).message);
    }
  };
  return (
    <Panel title="The books" name="books" remark="no households">
      <Loaded
        of={books}
        lines={5}
        isEmpty={(all) => all.length === 0}
        empty="Nothing has been posted yet."
      >
        {(all) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="The books">
            <table className="figures" data-testid="books">
              <thead>
                <tr>
                  <th scope="col">Account</th>
                  <th scope="col">Asset</th>
                  <th scope="col" className="number">
                    Balance
                  </th>
                </tr>
              </thead>
              <tbody>
                {all.map(({ account, asset, balance }) => (
                  <tr key={account}>
                    <th scope="row" className="id">
                      {account}
                    </th>
                    <td>{asset}</td>
                    <td className="number">
                      <Amount asset={asset} amount={balance} currency={currency} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Loaded>
      <button type="button" className="quiet more" onClick={() => void save()}>
        Save as CSV
      </button>
      <p className="soft" role="status" data-testid="books-said">
        {said}
      </p>
    </Panel>
  );
}
