/** A reward program's awards, each under the pseudonym the household has in this program alone. */
import type { ReactNode } from 'react';
import type { Award, Microgrid, Program } from '../answers.js';
import { formatKwh, formatMoment, formatPrice } from '../format.js';
import type { Resource } from '../resource.js';
import { boundsInWords } from '../quality.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';

interface AwardListProps {
  programs: Resource<Program[]>;
  program: Program | null;
  awards: Resource<Award[]>;
  microgrid: Microgrid;
  onProgram: (program: string) => void;
}

export function AwardList(props: AwardListProps): ReactNode {
  const { programs, program, awards, microgrid, onProgram } = props;
  return (
    <Panel title="Reward programs" name="programs">
      <Loaded
        of={programs}
        lines={4}
        isEmpty={(all) => all.length === 0}
        empty="You fund no program here yet."
      >
        {(all) => (
          <>
            {all.length > 1 && (
              <label className="choose-program">
                <span>Program</span>
                <select
                  value={program?.program}
                  onChange={(event) => onProgram(event.target.value)}
                >
                  {all.map((each) => (
                    <option key={each.program} value={each.program}>
                      {each.name}
                    </option>
                  ))}
                </select>
              </label>
            )}
            {program && <Terms program={program} currency={microgrid.currency} />}
            <Loaded
              of={awards}
              lines={4}
              isEmpty={(list) => list.length === 0}
              empty="Nothing has been awarded yet. Run the program for a period that is settled."
            >
              {(list) => <Awards awards={list} microgrid={microgrid} />}
            </Loaded>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Terms({ program, currency }: { program: Program; currency: string }): ReactNode {
  return (
    <p className="terms">
      <b>{program.name}</b> pays {formatPrice(program.rateMicroPerKwh, currency)} for each kWh
      claimed from a neighbor. <Money micro={program.fundMicro} currency={currency} /> are left in
      its fund.
    </p>
  );
}

function Awards({ awards, microgrid }: { awards: Award[]; microgrid: Microgrid }): ReactNode {
  const { timeZone, currency } = microgrid;
  const total = awards.reduce((sum, award) => sum + award.amountMicro, 0);
  const claimed = awards.reduce((sum, award) => sum + award.claimedWh, 0);
  return (
    <div className="scroll tall" tabIndex={0} role="group" aria-label="Awards">
      <table className="figures" data-testid="awards">
        <thead>
          <tr>
            <th scope="col">Pseudonym</th>
            <th scope="col">Period</th>
            <th scope="col" className="number">
              Claimed, kWh
            </th>
            <th scope="col">What it rests on</th>
            <th scope="col" className="number">
              Award
            </th>
          </tr>
        </thead>
        <tbody>
          {awards.map((award) => (
            <tr key={`${award.pseudonym} ${award.periodFrom}`}>
              <th scope="row" className="pseudonym">
                {award.pseudonym}
              </th>
              <td className="soft">
                {formatMoment(award.periodFrom, timeZone)} –{' '}
                {formatMoment(award.periodTo, timeZone)}
              </td>
              <td className="number">{formatKwh(award.claimedWh)}</td>
              <td className="soft">{boundsInWords(award.quality)}</td>
              <td className="number">
                <Money micro={award.amountMicro} currency={currency} />
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colSpan={2}>
              In all
            </th>
            <td className="number">{formatKwh(claimed)}</td>
            <td />
            <td className="number">
              <Money micro={total} currency={currency} />
            </td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}
