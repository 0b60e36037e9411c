/** How one device speaks, typed once for a trial of its messages and for the meter it is. */
import { useId, useState, type ReactNode } from 'react';
import type { DeviceHeard, DeviceProfile } from '../answers.js';
import { DEVICE_PROFILES, parseMapping, profileOf, trialOf, type TypedDevice } from '../devices.js';
import { DeviceTrial } from './device-trial.js';
import { MeterDeeds, type MeterDoors } from './meter-deeds.js';

interface DeviceFormProps {
  stored: DeviceProfile;
  timeZone: string;
  tryOut: (trial: object) => Promise<DeviceHeard>;
  /** Null where a payload is tried for no meter. */
  meter: MeterDoors | null;
}

export function DeviceForm({ stored, timeZone, tryOut, meter }: DeviceFormProps): ReactNode {
  const [device, setDevice] = useState(() => typedOf(stored));
  const parsed = parseMapping(device.mapping);
  const mapping = parsed.ok ? parsed.mapping : null;
  const save = async (): Promise<void> => {
    if (meter) setDevice(typedOf(await meter.save(profileOf(device, mapping, meter.ownTopic))));
  };
  return (
    <>
      <DeviceFields
        device={device}
        wrong={parsed.ok ? null : parsed.reason}
        onChange={(change) => setDevice((old) => ({ ...old, ...change }))}
      />
      {meter && (
        <MeterDeeds
          name={stored.meter}
          doors={meter}
          save={parsed.ok ? save : null}
          timeZone={timeZone}
        />
      )}
      <DeviceTrial
        topic={device.topic}
        timeZone={timeZone}
        tryOut={
          parsed.ok
            ? (message) => tryOut(trialOf(device, mapping, message, meter?.role ?? null))
            : null
        }
      />
    </>
  );
}

interface DeviceFieldsProps {
  device: TypedDevice;
  /** What is wrong with the mapping; null where nothing is. */
  wrong: string | null;
  onChange: (change: Partial<TypedDevice>) => void;
}

function DeviceFields({ device, wrong, onChange }: DeviceFieldsProps): ReactNode {
  const id = useId();
  return (
    <div className="device-fields">
      <div className="device-field">
        <label htmlFor={`${id}-profile`}>Profile</label>
        <select
          id={`${id}-profile`}
          name="device-profile"
          value={device.profile}
          aria-describedby={`${id}-profile-words`}
          onChange={(event) => onChange({ profile: event.target.value })}
        >
          {DEVICE_PROFILES.map(({ name, title }) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
        <p id={`${id}-profile-words`} className="limit-words">
          {DEVICE_PROFILES.find(({ name }) => name === device.profile)?.words}
        </p>
      </div>
      <div className="device-field">
        <label htmlFor={`${id}-topic`}>Topic</label>
        <input
          id={`${id}-topic`}
          name="device-topic"
          value={device.topic}
          autoComplete="off"
          spellCheck={false}
          maxLength={200}
          aria-describedby={`${id}-topic-words`}
          onChange={(event) => onChange({ topic: event.target.value })}
        />
        <p id={`${id}-topic-words`} className="limit-words">
          Below which the device publishes, such as shellies/shellyem3-C45BBE6A1B2C.
        </p>
      </div>
      <div className="device-field whole">
        <label htmlFor={`${id}-mapping`}>Mapping, if it needs one</label>
        <textarea
          id={`${id}-mapping`}
          name="device-mapping"
          value={device.mapping}
          rows={4}
          spellCheck={false}
          maxLength={8_192}
          placeholder={MAPPING_EXAMPLE}
          aria-invalid={wrong !== null}
          aria-describedby={`${id}-mapping-words`}
          onChange={(event) => onChange({ mapping: event.target.value })}
        />
        <p
          id={`${id}-mapping-words`}
          className={wrong === null ? 'limit-words' : 'limit-words wrong'}
          data-testid="device-mapping-words"
        >
          {wrong ?? 'JSON: which field of this one device is which register, its unit and sign.'}
        </p>
      </div>
    </div>
  );
}

const MAPPING_EXAMPLE = '{"sources": [{"path": "SML.Bezug", "register": "import", "unit": "kWh"}]}';

function typedOf({ profile, topic, mapping }: DeviceProfile): TypedDevice {
  return { profile, topic, mapping: mapping === null ? '' : JSON.stringify(mapping, null, 2) };
}
