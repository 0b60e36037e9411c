/** What reward programs paid the household, for which energy, and on which readings that rests. */
import type { ReactNode } from 'react';
import type { Microgrid, OwnAward, Page } from '../answers.js';
import { formatKwh, formatMoment } from '../format.js';
import type { Live } from '../live.js';
import { splitInWords } from '../quality.js';
import { useResource } from '../resource.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';

interface RewardPanelProps {
  live: Live;
  household: string;
  microgrid: Microgrid;
}

export function RewardPanel({ live, household, microgrid }: RewardPanelProps): ReactNode {
  const path = `/v1/households/${household}/awards?limit=20`;
  const awards = useResource(
    path,
    async (signal) => (await live.api.get<Page<OwnAward>>(path, signal)).items,
    live.feed.state.versions.household,
  );
  return (
    <Panel title="Rewards" name="rewards" remark="for energy from neighbors; newest first">
      <Loaded
        of={awards}
        lines={3}
        isEmpty={(all) => all.length === 0}
        empty="Nothing was awarded yet. Who joins a program is paid for energy bought from neighbors."
      >
        {(all) => <Awards awards={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

function Awards({ awards, microgrid }: { awards: OwnAward[]; microgrid: Microgrid }): ReactNode {
  const { timeZone, currency } = microgrid;
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label="Rewards">
      <table className="figures" data-testid="own-awards">
        <thead>
          <tr>
            <th scope="col">Period</th>
            <th scope="col" className="wide">
              Program
            </th>
            <th scope="col" className="number">
              From neighbors, kWh
            </th>
            <th scope="col">What it rests on</th>
            <th scope="col" className="number">
              Reward
            </th>
          </tr>
        </thead>
        <tbody>
          {awards.map((award) => (
            <tr key={award.sequence}>
              <th scope="row">
                {formatMoment(award.periodFrom, timeZone)} –{' '}
                {formatMoment(award.periodTo, timeZone)}
              </th>
              <td className="soft wide">{award.program}</td>
              <td className="number">{formatKwh(award.claimedWh)}</td>
              <td className="soft">{splitInWords(award.byQuality)}</td>
              <td className="number good">
                <Money micro={award.amountMicro} currency={currency} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
