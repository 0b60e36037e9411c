/** What the market watch noticed: reasons to look at somebody's trades or limits, newest first. */
import type { ReactNode } from 'react';
import type { Alarm, Microgrid, Page } from '../answers.js';
import { formatMoment } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

export function AlarmList({
  alarms,
  microgrid,
}: {
  alarms: Resource<Page<Alarm>>;
  microgrid: Microgrid;
}): ReactNode {
  return (
    <Panel title="Market alarms" name="alarms" remark="looked for once a day">
      <Loaded
        of={alarms}
        lines={4}
        isEmpty={(page) => page.items.length === 0}
        empty="Nobody trades in circles, and nobody sets the price alone."
      >
        {(page) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="Market alarms">
            <table className="figures" data-testid="alarms">
              <thead>
                <tr>
                  <th scope="col">Alarm</th>
                  <th scope="col">Households</th>
                  <th scope="col">Why</th>
                  <th scope="col">Until</th>
                </tr>
              </thead>
              <tbody>
                {page.items.map(({ alarm, kind, severity, households, reason, until }) => (
                  <tr key={alarm}>
                    <th scope="row">
                      <span className={severity === 'notice' ? 'tag' : 'tag alert'}>
                        {kind.replaceAll('-', ' ')}
                      </span>
                      <small className="detail">{severity}</small>
                    </th>
                    <td className="id">{households.join(', ')}</td>
                    <td>{reason}</td>
                    <td className="soft">
                      <time dateTime={until}>{formatMoment(until, microgrid.timeZone)}</time>
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
