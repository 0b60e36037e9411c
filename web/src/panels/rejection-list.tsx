/** What was refused at the door, by reason, so that an operator knows which meter to look after. */
import type { ReactNode } from 'react';
import type { Page, Rejection } from '../answers.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

export function RejectionList({
  rejections,
}: {
  rejections: Resource<Page<Rejection>>;
}): ReactNode {
  return (
    <Panel title="Refused readings" name="rejections" remark="kept with their reason">
      <Loaded
        of={rejections}
        lines={5}
        isEmpty={(page) => page.items.length === 0}
        empty="Nothing was refused. Every reading that arrived counts."
      >
        {(page) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="Refused readings">
            <table className="figures" data-testid="rejections">
              <thead>
                <tr>
                  <th scope="col">Meter</th>
                  <th scope="col">Reason</th>
                  <th scope="col" className="number">
                    Times
                  </th>
                  <th scope="col">Last seen</th>
                </tr>
              </thead>
              <tbody>
                {page.items.map((rejection, index) => (
                  <tr key={`${rejection.meter} ${rejection.reason} ${index}`}>
                    <th scope="row" className="id">
                      {rejection.meter || 'unknown'}
                    </th>
                    <td>
                      <span className="tag alert">{words(rejection.reason)}</span>
                      <small className="detail">{rejection.detail}</small>
                    </td>
                    <td className="number">{rejection.count}</td>
                    <td className="soft">
                      <time dateTime={rejection.lastSeenAt}>{here(rejection.lastSeenAt)}</time>
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

function words(reason: string): string {
  return reason.replaceAll(/[-_]/g, ' ');
}

/** Arrival is told by the system's clock, so in the operator's own time zone. */
function here(at: string): string {
  return new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}
