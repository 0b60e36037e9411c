/** Devices: a payload is tried; a meter is listened to, told its profile, and given a claim code. */
import { useId, useState, type ReactNode } from 'react';
import type { DeviceHeard, DeviceProfile, Microgrid, WatchedMeter } from '../answers.js';
import type { Api } from '../api.js';
import { useResource, type Resource } from '../resource.js';
import { DeviceForm } from './device-form.js';
import { Loaded, Panel } from './panel.js';

interface DevicesPanelProps {
  api: Api;
  microgrid: Microgrid;
  meters: Resource<WatchedMeter[]>;
}

/** What the form begins with where no meter is chosen. */
const NO_DEVICE: DeviceProfile = { meter: '', profile: 'tasmota', topic: '', mapping: null };

export function DevicesPanel({ api, microgrid, meters }: DevicesPanelProps): ReactNode {
  const [chosen, setChosen] = useState('');
  const path = `/v1/operator/microgrids/${microgrid.microgrid}`;
  const meterPath = `${path}/meters/${chosen}`;
  const stored = useResource(chosen === '' ? null : `profile ${meterPath}`, (signal) =>
    api.get<DeviceProfile>(`${meterPath}/profile`, signal),
  );
  const shared = {
    timeZone: microgrid.timeZone,
    tryOut: (trial: object) => api.post<DeviceHeard>(`${path}/device-trials`, trial),
  };
  return (
    <Panel title="Devices" name="devices" remark="try, listen, set up">
      <Loaded of={meters} lines={6}>
        {(all) => (
          <div className="devices">
            <MeterChoice meters={all} chosen={chosen} onChange={setChosen} />
            {chosen === '' ? (
              <DeviceForm stored={NO_DEVICE} meter={null} {...shared} />
            ) : (
              <Loaded of={stored} lines={6}>
                {(device) => (
                  <DeviceForm
                    key={chosen}
                    stored={device}
                    meter={{
                      role: all.find(({ meter }) => meter === chosen)?.role ?? null,
                      ownTopic: `microgrids/${microgrid.microgrid}/meters/${chosen}`,
                      save: (profile) => api.put(`${meterPath}/profile`, profile),
                      hear: (signal) => api.get(`${meterPath}/heard`, signal),
                      makeCode: () => api.post(`${meterPath}/claim-code`, {}),
                    }}
                    {...shared}
                  />
                )}
              </Loaded>
            )}
          </div>
        )}
      </Loaded>
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
    <div className="device-field">
      <label htmlFor={id}>Meter</label>
      <select
        id={id}
        name="device-meter"
        value={chosen}
        aria-describedby={`${id}-words`}
        onChange={(event) => onChange(event.target.value)}
      >
        <option value="">none: only try a message</option>
        {meters
          .map(({ meter }) => meter)
          .toSorted()
          .map((meter) => (
            <option key={meter} value={meter}>
              {meter}
            </option>
          ))}
      </select>
      <p id={`${id}-words`} className="limit-words">
        {meters.length === 0
          ? 'No meter is enrolled yet. What a device says can be tried all the same.'
          : 'One that is enrolled can be listened to and set up here.'}
      </p>
    </div>
  );
}
