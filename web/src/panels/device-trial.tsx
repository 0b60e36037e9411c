/** A pasted message of a device: what would be read of it, and what is wrong. Nothing is kept. */
import { useId, useState, type FormEvent, type ReactNode } from 'react';
import type { DeviceHeard } from '../answers.js';
import type { TypedMessage } from '../devices.js';
import { SaidLine, useAttempt } from './attempt.js';
import { HeardDevice } from './heard-device.js';

interface DeviceTrialProps {
  topic: string;
  timeZone: string;
  /** Null while the mapping cannot be read. */
  tryOut: ((message: TypedMessage) => Promise<DeviceHeard>) | null;
}

export function DeviceTrial({ topic, timeZone, tryOut }: DeviceTrialProps): ReactNode {
  const id = useId();
  const { busy, said, attempt } = useAttempt();
  const [message, setMessage] = useState<TypedMessage>(NO_MESSAGE);
  const [tried, setTried] = useState<DeviceHeard | null>(null);
  const change = (more: Partial<TypedMessage>): void => setMessage({ ...message, ...more });
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(null);
    void attempt('Not tried.', async () => {
      if (tryOut) setTried(await tryOut(message));
      return '';
    });
  };
  return (
    <section className="device-heard" aria-labelledby={`${id}-title`}>
      <h3 id={`${id}-title`}>Try a message</h3>
      <form className="device-fields" onSubmit={submit}>
        <div className="device-field whole">
          <label htmlFor={`${id}-payload`}>Payload</label>
          <textarea
            id={`${id}-payload`}
            name="device-payload"
            value={message.payload}
            rows={4}
            spellCheck={false}
            maxLength={65_536}
            onChange={(event) => change({ payload: event.target.value })}
          />
        </div>
        <div className="device-field">
          <label htmlFor={`${id}-topic`}>Topic of this message</label>
          <input
            id={`${id}-topic`}
            name="device-message-topic"
            value={message.topic}
            placeholder={topic}
            autoComplete="off"
            spellCheck={false}
            maxLength={512}
            onChange={(event) => change({ topic: event.target.value })}
          />
        </div>
        <div className="device-field">
          <label htmlFor={`${id}-encoding`}>Pasted as</label>
          <select
            id={`${id}-encoding`}
            name="device-encoding"
            value={message.encoding}
            onChange={(event) =>
              change({ encoding: event.target.value as TypedMessage['encoding'] })
            }
          >
            <option value="utf8">text</option>
            <option value="hex">hex</option>
            <option value="base64">base64</option>
          </select>
        </div>
        <div className="wish-actions whole">
          <button
            type="submit"
            className="primary"
            disabled={busy || tryOut === null || (topic.trim() || message.topic.trim()) === ''}
            data-testid="device-try"
          >
            {busy ? 'Trying …' : 'Try it'}
          </button>
          <label className="order-firm">
            <input
              type="checkbox"
              checked={message.retained}
              onChange={(event) => change({ retained: event.target.checked })}
            />
            kept (retained) by the broker
          </label>
          <SaidLine said={said} testId="device-tried" />
        </div>
      </form>
      {tried && <HeardDevice heard={tried} timeZone={timeZone} label="The message tried" />}
    </section>
  );
}

const NO_MESSAGE: TypedMessage = { topic: '', payload: '', encoding: 'utf8', retained: false };
