/** An auditor's page: the log and how it is checked, the supply of every asset, the books, and who looked. */
import { useState, type ReactNode } from 'react';
import type { Microgrid, Page } from '../answers.js';
import type { Api } from '../api.js';
import {
  manifestOf,
  type AccessLogEntry,
  type Account,
  type Manifest,
  type ManifestList,
} from '../audit.js';
import { formatMoment } from '../format.js';
import { BooksPanel } from '../panels/books.js';
import { Empty, Loaded, Panel } from '../panels/panel.js';
import { SupplyPanel, type SupplyKind } from '../panels/supply.js';
import { useResource, type Resource } from '../resource.js';
import { OfMicrogrid } from './of-microgrid.js';

interface AuditorPageProps {
  api: Api;
  microgrid: Resource<Microgrid>;
}

export function AuditorPage({ api, microgrid }: AuditorPageProps): ReactNode {
  return (
    <OfMicrogrid microgrid={microgrid}>
      {(known) => <Panels api={api} microgrid={known} />}
    </OfMicrogrid>
  );
}

function Panels({ api, microgrid }: { api: Api; microgrid: Microgrid }): ReactNode {
  const id = microgrid.microgrid;
  const checkpoint = useResource(`/log/${id}/checkpoint`, (signal) =>
    api.text(`/log/${id}/checkpoint`, signal),
  );
  const [asked, setAsked] = useState<{ kind: SupplyKind; times: number } | null>(null);
  // Every look stands in the access log that the households read: none without a person's will.
  const path = `/v1/regulator/manifests?microgrid=${id}&kind=${asked?.kind ?? ''}`;
  const manifests = useResource<Manifest[]>(asked && `${path} ${asked.times}`, async (signal) => {
    const found: Manifest[] = [];
    for (let after: number | null = 0; after !== null && found.length < MOST_MANIFESTS;) {
      const list: ManifestList = await api.get(`${path}&after=${after}`, signal);
      found.push(...list.records.map(manifestOf));
      after = list.next;
    }
    return found.reverse();
  });
  const books = useResource(
    `/v1/ledger/${id}/balances`,
    async (signal) => (await api.list<Account>(`/v1/ledger/${id}/balances`, signal)).items,
  );
  const looks = useResource(
    `/v1/microgrids/${id}/access-log`,
    (signal) => api.get<Page<AccessLogEntry>>(`/v1/microgrids/${id}/access-log?limit=50`, signal),
    asked === null ? 0 : `${asked.kind} ${asked.times} ${manifests.loading}`,
  );
  return (
    <>
      <div className="band hero">
        <div className="within">
          <h1>{microgrid.name}</h1>
          <p className="hero-words">
            You check the books of this microgrid, not its people: the log that everything is
            committed to, the supply of every asset, money too, and all accounts but those of
            households. Each look at the sums is written to an access log that the households can
            read.
          </p>
        </div>
      </div>
      <div className="within sheet">
        <LogPanel checkpoint={checkpoint} id={id} />
        <SupplyPanel
          asked={asked?.kind ?? null}
          manifests={manifests}
          microgrid={microgrid}
          onAsk={(kind) => setAsked({ kind, times: (asked?.times ?? 0) + 1 })}
        />
        <BooksPanel api={api} books={books} microgrid={microgrid} />
        <LooksPanel looks={looks} microgrid={microgrid} />
      </div>
    </>
  );
}

/** Of the longest month, slot by slot. */
const MOST_MANIFESTS = 3_000;

function LogPanel({ checkpoint, id }: { checkpoint: Resource<string>; id: string }): ReactNode {
  const { origin } = window.location;
  return (
    <Panel title="The log" name="log" remark="open to everyone">
      <div className="audit">
        {checkpoint.problem?.status === 404 ? (
          <Empty>No checkpoint has been published yet. The first one follows the first slot.</Empty>
        ) : (
          <Loaded of={checkpoint} lines={4}>
            {(note) => (
              <pre className="scroll" tabIndex={0} data-testid="checkpoint">
                {note}
              </pre>
            )}
          </Loaded>
        )}
        <p>
          Keep it: <a href={`/log/${id}/checkpoint`}>the checkpoint</a>,{' '}
          <a href={`/log/${id}/policy`}>whose signatures make it good</a>,{' '}
          <a href={`/log/${id}/vkey`}>the log’s own key</a>, and{' '}
          <a href={`/log/${id}/manifests`}>the sums that are open to everyone</a>. A log that
          contradicts a checkpoint you kept is found out. A household’s receipt is checked on{' '}
          <a href="/verify">the page for receipts</a>.
        </p>
        <p>On your own computer, with nothing of the service but its public files:</p>
        <pre className="scroll" tabIndex={0}>
          {`npm run verify -- http ${origin} --microgrid ${id} --remember ${id}.checkpoint`}
        </pre>
        <p>
          With every manifest opened for you, by a bundle that the operator makes with{' '}
          <code>npm run export -- --for auditor</code> and names you in:
        </p>
        <pre className="scroll" tabIndex={0}>
          npm run verify -- bundle DIR --policy FILE
        </pre>
      </div>
    </Panel>
  );
}

interface LooksPanelProps {
  looks: Resource<Page<AccessLogEntry>>;
  microgrid: Microgrid;
}

function LooksPanel({ looks, microgrid }: LooksPanelProps): ReactNode {
  return (
    <Panel title="Who looked at what" name="looks" remark="as the households read it">
      <Loaded
        of={looks}
        isEmpty={(page) => page.items.length === 0}
        empty="Nobody has asked for anything yet."
      >
        {(page) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="Who looked at what">
            <table className="figures" data-testid="looks">
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">What</th>
                  <th scope="col">Outcome</th>
                </tr>
              </thead>
              <tbody>
                {page.items.map(({ query, askedAt, by, question, outcome }) => (
                  <tr key={query}>
                    <th scope="row">{formatMoment(askedAt, microgrid.timeZone)}</th>
                    <td className="id">{by}</td>
                    <td className="soft">
                      {Object.entries(question)
                        .map(([name, value]) => `${name} ${String(value)}`)
                        .join(', ')}
                    </td>
                    <td>{outcome.replaceAll('_', ' ')}</td>
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
