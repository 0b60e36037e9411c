/** A day of one meter for the operator: what it said, what of that counts, and why the rest does not. */
import { useId, useState, type ReactNode } from 'react';
import type { Instant } from '../../../src/units/slot.js';
import type { Microgrid, Page, WatchedMeter } from '../answers.js';
import type { Api } from '../api.js';
import { dateOf, formatSecond } from '../format.js';
import { QUALITY_WORDS, type Quality } from '../quality.js';
import { useResource, type Resource } from '../resource.js';
import { SaidLine, useAttempt } from './attempt.js';
import { Empty, Loaded, Panel } from './panel.js';

/** What a meter said at an instant, or, of a border, what counts there. */
interface MeterDayValue {
  at: Instant;
  register: 'import' | 'export';
  kind: 'reading' | 'contradiction' | 'border';
  valueWh: string;
  /** Why a raw value does not count. */
  rule: string | null;
  /** How a border was told. */
  quality: Quality | null;
  revision: number | null;
}

interface MeterDayProps {
  api: Api;
  meters: Resource<WatchedMeter[]>;
  microgrid: Microgrid;
}

export function MeterDayPanel({ api, meters, microgrid }: MeterDayProps): ReactNode {
  const today = dateOf(Date.parse(microgrid.now), microgrid.timeZone);
  const [meter, setMeter] = useState('');
  const [day, setDay] = useState(today);
  const { busy, said, attempt } = useAttempt();
  const root = `/v1/operator/microgrids/${microgrid.microgrid}/meters/${meter}`;
  const path = `${root}/readings?day=${day}&limit=1000`;
  const values = useResource(meter === '' || day === '' ? null : path, (signal) =>
    api.get<Page<MeterDayValue>>(path, signal),
  );
  const save = (): Promise<void> =>
    attempt('Not saved.', async () => {
      const text = await api.text(`${path}&format=csv`);
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
      link.download = `readings-${meter}-${day}.csv`;
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      return `Saved ${link.download}.`;
    });
  return (
    <Panel title="A meter’s day" name="meter-day" remark="what it said, and what counts">
      <div className="months">
        <MeterChoice meters={meters.data ?? []} chosen={meter} onChange={setMeter} />
        <label>
          <span>Day</span>
          <input
            type="date"
            name="meter-day"
            value={day}
            max={today}
            onChange={({ target }) => setDay(target.value)}
          />
        </label>
        <button
          type="button"
          className="quiet"
          disabled={busy || meter === ''}
          data-testid="meter-day-save"
          onClick={() => void save()}
        >
          Save as CSV
        </button>
      </div>
      <SaidLine said={said} testId="meter-day-said" />
      {meter === '' ? (
        <Empty>Choose a meter to see its readings beside what was made of them.</Empty>
      ) : (
        <Loaded
          of={values}
          lines={6}
          isEmpty={(page) => page.items.length === 0}
          empty="The meter said nothing on this day, and no slot of it was settled."
        >
          {(page) => <Values page={page} timeZone={microgrid.timeZone} />}
        </Loaded>
      )}
    </Panel>
  );
}

interface MeterChoiceProps {
  meters: WatchedMeter[];
  chosen: string;
  onChange: (meter: string) => void;
}

function MeterChoice({ meters, chosen, onChange }: MeterChoiceProps): ReactNode {
  const id = useId();
  return (
    <label htmlFor={id}>
      <span>Meter</span>
      <select
        id={id}
        name="day-of-meter"
        value={chosen}
        onChange={({ target }) => onChange(target.value)}
      >
        <option value="">choose one</option>
        {meters.map(({ meter, household }) => (
          <option key={meter} value={meter}>
            {meter} ({household})
          </option>
        ))}
      </select>
    </label>
  );
}

function Values({ page, timeZone }: { page: Page<MeterDayValue>; timeZone: string }): ReactNode {
  return (
    <>
      <div className="scroll tall" tabIndex={0} role="group" aria-label="Readings and borders">
        <table className="figures" data-testid="meter-day">
          <thead>
            <tr>
              <th scope="col">At</th>
              <th scope="col">Register</th>
              <th scope="col" className="number">
                Raw, Wh
              </th>
              <th scope="col" className="number">
                Counts, Wh
              </th>
              <th scope="col">How</th>
            </tr>
          </thead>
          <tbody>
            {page.items.map((value) => (
              <tr key={`${value.at} ${value.register} ${value.kind} ${value.valueWh}`}>
                <th scope="row">{formatSecond(value.at, timeZone)}</th>
                <td className="soft">{value.register}</td>
                <td className="number">{value.kind === 'border' ? '' : value.valueWh}</td>
                <td className="number">{value.kind === 'border' ? value.valueWh : ''}</td>
                <td className="soft">{how(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {page.next !== null && (
        <p className="soft">These are the first 1,000; the interface has the rest.</p>
      )}
    </>
  );
}

function how({ rule, quality, revision }: MeterDayValue): ReactNode {
  if (rule !== null) return <span className="tag alert">{rule.replaceAll('_', ' ')}</span>;
  if (quality === null) return '';
  const corrected = revision !== null && revision > 0 ? ', corrected' : '';
  return `${quality}: ${QUALITY_WORDS[quality]}${corrected}`;
}
