/** The meters, the latest ones to report last: who is late stands on top. */
import type { ReactNode } from 'react';
import type { Microgrid, WatchedMeter } from '../answers.js';
import { formatMoment, formatSpan } from '../format.js';
import type { Resource } from '../resource.js';
import { Loaded, Panel } from './panel.js';

interface MeterListProps {
  meters: Resource<WatchedMeter[]>;
  microgrid: Microgrid;
}

export function MeterList({ meters, microgrid }: MeterListProps): ReactNode {
  const now = Date.parse(microgrid.now);
  const lateMillis = microgrid.slotMinutes * 60_000 + microgrid.graceSeconds * 1000;
  const isLate = (meter: WatchedMeter): boolean => age(meter, now) > lateMillis;
  const late = meters.data?.filter(isLate).length ?? 0;
  return (
    <Panel
      title="Meters"
      name="meters"
      remark={
        meters.data && meters.data.length > 0
          ? `${late === 0 ? 'none' : late} of ${meters.data.length} late`
          : undefined
      }
    >
      <Loaded
        of={meters}
        lines={6}
        isEmpty={(all) => all.length === 0}
        empty="No meter is enrolled yet."
      >
        {(all) => (
          <div className="scroll tall" tabIndex={0} role="group" aria-label="Meters">
            <table className="figures" data-testid="meters">
              <thead>
                <tr>
                  <th scope="col">Meter</th>
                  <th scope="col">Household</th>
                  <th scope="col" className="wide">
                    Role
                  </th>
                  <th scope="col">Last reading</th>
                  <th scope="col" className="number">
                    Behind
                  </th>
                  <th scope="col" className="number wide">
                    Clock
                  </th>
                  <th scope="col">To look at</th>
                </tr>
              </thead>
              <tbody>
                {all
                  .toSorted((a, b) => age(b, now) - age(a, now) || (a.meter < b.meter ? -1 : 1))
                  .map((meter) => (
                    <tr key={meter.meter}>
                      <th scope="row" className="id">
                        {meter.meter}
                      </th>
                      <td>{meter.household}</td>
                      <td className="soft wide">{meter.role}</td>
                      <td className="soft">
                        {meter.lastReadAt === null
                          ? 'never'
                          : formatMoment(meter.lastReadAt, microgrid.timeZone)}
                      </td>
                      <td className="number">
                        <span className={isLate(meter) ? 'tag alert' : 'tag'}>
                          {meter.lastReadAt === null ? 'silent' : formatSpan(age(meter, now))}
                        </span>
                      </td>
                      <td className="number soft wide">{clockOf(meter)}</td>
                      <td className="soft">
                        {meter.flags.map((flag) => flag.replaceAll('_', ' ')).join(', ')}
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

/** How long after they were read its readings come in, by the median of the latest. */
function clockOf({ clockBehindSeconds }: WatchedMeter): string {
  if (clockBehindSeconds === null) return '';
  const sign = clockBehindSeconds < 0 ? '−' : '+';
  return sign + formatSpan(Math.abs(clockBehindSeconds) * 1000);
}

function age({ lastReadAt }: WatchedMeter, now: number): number {
  return lastReadAt === null ? Number.MAX_SAFE_INTEGER : now - Date.parse(lastReadAt);
}
