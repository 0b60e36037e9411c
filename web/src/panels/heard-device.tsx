/** What was read of a device's messages, what its registers show, and what is wrong with it. */
import type { ReactNode } from 'react';
import type { DeviceHeard, DeviceMessage, DeviceReport } from '../answers.js';
import { heardInWords, isWell, NOTHING_IN_IT, readingInWords, refusalInWords } from '../devices.js';
import { formatSecond } from '../format.js';

interface HeardDeviceProps {
  heard: DeviceHeard;
  timeZone: string;
  /** Names the table of messages. */
  label: string;
}

export function HeardDevice({ heard, timeZone, label }: HeardDeviceProps): ReactNode {
  const { report, messages } = heard;
  return (
    <>
      <Verdict report={report} timeZone={timeZone} />
      {messages.length > 0 && (
        <div className="scroll tall" tabIndex={0} role="group" aria-label={label}>
          <table className="figures device-messages">
            <thead>
              <tr>
                <th scope="col">Heard</th>
                <th scope="col">What was read</th>
                <th scope="col">Message</th>
              </tr>
            </thead>
            <tbody>
              {messages.map((message, index) => (
                <tr key={`${message.receivedAt} ${messages.length - index}`}>
                  <th scope="row">
                    <time dateTime={message.receivedAt}>
                      {formatSecond(message.receivedAt, timeZone)}
                    </time>
                    {message.retained && <small className="detail">kept</small>}
                  </th>
                  <td>
                    <WhatWasRead message={message} timeZone={timeZone} />
                  </td>
                  <td className="device-payload">
                    {message.topic}
                    <small className="detail">{message.payload}</small>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

/** As `npm run meter-test` says it: what is heard in all, and what to do. */
function Verdict({ report, timeZone }: { report: DeviceReport; timeZone: string }): ReactNode {
  const { problems, registers } = report;
  return (
    <div className="device-verdict" data-testid="device-verdict">
      <p>
        {heardInWords(report)}
        {registers.map(({ register, valueWh, readAt }) => (
          <span key={register}>
            {' '}
            The {register} register shows <b>{valueWh} Wh</b>, read {formatSecond(readAt, timeZone)}
            .
          </span>
        ))}
      </p>
      {/* Said aloud only when what is wrong changes, not with every count. */}
      <p role="status" className={problems.length > 0 ? 'form-problem' : 'form-said'}>
        {problems.length > 0 && 'Not yet right'}
        <span className="unseen">{problems.map(({ code }) => codeInWords(code)).join(', ')}</span>
        {isWell(report) && 'Nothing is wrong.'}
      </p>
      {problems.length > 0 && (
        <ul>
          {problems.map(({ code, advice }, index) => (
            <li key={`${code} ${index}`} data-code={code}>
              <span className="tag alert">{codeInWords(code)}</span> {advice}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function codeInWords(code: string): string {
  return code.replaceAll('_', ' ');
}

function WhatWasRead({
  message: { readings, rejections },
  timeZone,
}: {
  message: DeviceMessage;
  timeZone: string;
}): ReactNode {
  if (readings.length + rejections.length === 0) {
    return <span className="soft">{NOTHING_IN_IT}</span>;
  }
  return (
    <ul className="device-read">
      {readings.map((reading, index) => (
        <li key={`${reading.register} ${index}`}>
          {readingInWords(reading)}
          <small className="detail">
            {formatSecond(reading.readAt, timeZone)}
            {reading.meter !== undefined && `, from ${reading.meter}`}
            {reading.note !== undefined && `, ${reading.note}`}
          </small>
        </li>
      ))}
      {rejections.map((rejection, index) => (
        <li key={`${rejection.reason} ${index}`} className="refused">
          {refusalInWords(rejection)}
        </li>
      ))}
    </ul>
  );
}
