/** A day's statement, slot by slot: the bill with neighbors and the bill by the tariff alone, side by side. */
import { Fragment, useState, type ReactNode } from 'react';
import type { BillLine, Microgrid, TrueUp } from '../answers.js';
import { dateOf, formatDate, formatKwh, formatTime } from '../format.js';
import type { Live } from '../live.js';
import { QUALITY_WORDS } from '../quality.js';
import { useResource } from '../resource.js';
import { Money } from './figures.js';
import { Loaded, Panel } from './panel.js';

const DAY_MILLIS = 86_400_000;

interface BillLinesProps {
  live: Live;
  household: string;
  microgrid: Microgrid;
}

export function BillLinesPanel({ live, household, microgrid }: BillLinesProps): ReactNode {
  const today = dateOf(Date.parse(microgrid.now), microgrid.timeZone);
  const [chosen, setChosen] = useState<string | null>(null);
  const day = chosen ?? today;
  const { versions, base } = live.feed.state;
  const lines = useResource(
    `bill lines ${household} ${day}`,
    async (signal) => {
      const path = `/v1/households/${household}/statements/lines?day=${day}`;
      return (await live.api.list<BillLine>(path, signal)).items;
    },
    day === today ? versions.household + versions.slots : base,
  );
  const step = (days: number): void => {
    // Noon lies on the same date in UTC whatever is added.
    const next = new Date(Date.parse(`${day}T12:00:00Z`) + days * DAY_MILLIS)
      .toISOString()
      .slice(0, 10);
    setChosen(next >= today ? null : next);
  };
  return (
    <Panel title="Both bills, slot by slot" name="bills" remark="what you pay is negative">
      <div className="days">
        <button type="button" className="quiet" onClick={() => step(-1)}>
          Day before
        </button>
        <b data-testid="bills-day">
          {day === today ? 'Today' : formatDate(`${day}T12:00:00Z`, 'UTC')}
        </b>
        <button type="button" className="quiet" disabled={day >= today} onClick={() => step(1)}>
          Day after
        </button>
      </div>
      <Loaded
        of={lines}
        lines={8}
        isEmpty={(all) => all.length === 0}
        empty="Nothing was settled for you on this day."
      >
        {(all) => <Lines lines={all} microgrid={microgrid} />}
      </Loaded>
    </Panel>
  );
}

function Lines({ lines, microgrid }: { lines: BillLine[]; microgrid: Microgrid }): ReactNode {
  const { currency, timeZone } = microgrid;
  const sum = (of: (line: BillLine) => number): number =>
    lines.reduce((all, line) => all + of(line), 0);
  const trueUps = lines.flatMap((line) => line.trueUps);
  const trueUpWh = trueUps.reduce((all, one) => all + one.exportWh - one.importWh, 0);
  const trueUpMicro = trueUps.reduce((all, one) => all + one.netMicro, 0);
  const money = (micro: number): ReactNode => <Money micro={micro} currency={currency} signed />;
  return (
    <div className="scroll tall" tabIndex={0} role="group" aria-label="Both bills, slot by slot">
      <table className="figures settlements" data-testid="bill-lines">
        <thead>
          <tr>
            <th scope="col">Slot</th>
            <th scope="col" className="number wide">
              Neighbors, kWh
            </th>
            <th scope="col" className="number wide">
              Neighbors
            </th>
            <th scope="col" className="number wide">
              Utility, kWh
            </th>
            <th scope="col" className="number wide">
              Utility
            </th>
            <th scope="col" className="number">
              With neighbors
            </th>
            <th scope="col" className="number wide">
              All by tariff, kWh
            </th>
            <th scope="col" className="number">
              Tariff alone
            </th>
            <th scope="col" className="number">
              Better off
            </th>
          </tr>
        </thead>
        <tbody>
          {[...lines].reverse().map((line) => {
            const { withNeighbors: own, atTariff } = line;
            return (
              <Fragment key={line.slot}>
                {[...line.trueUps].reverse().map((one) => (
                  <TrueUpRow key={one.sequence} of={one} microgrid={microgrid} />
                ))}
                <tr data-testid="bill-line">
                  <th scope="row">
                    {formatTime(line.slot, timeZone)}
                    {line.quality !== 'measured' && (
                      <span className="quality" title={QUALITY_WORDS[line.quality]}>
                        {line.quality}
                      </span>
                    )}
                  </th>
                  <td className="number wide">{formatKwh(own.soldWh - own.boughtWh)}</td>
                  <td className="number wide">{money(own.soldMicro + own.boughtMicro)}</td>
                  <td className="number wide soft">{formatKwh(own.utilityWh)}</td>
                  <td className="number wide soft">{money(own.utilityMicro)}</td>
                  <td className="number">{money(own.netMicro)}</td>
                  <td className="number wide soft">{formatKwh(atTariff.utilityWh)}</td>
                  <td className="number soft">{money(atTariff.netMicro)}</td>
                  <td className={line.savedMicro < 0 ? 'number' : 'number good'}>
                    <Money micro={line.savedMicro} currency={currency} />
                    {WHY[line.comparison] !== undefined && (
                      <span className="quality">{WHY[line.comparison]}</span>
                    )}
                  </td>
                </tr>
              </Fragment>
            );
          })}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">In all</th>
            <td className="number wide">
              {formatKwh(sum(({ withNeighbors: own }) => own.soldWh - own.boughtWh))}
            </td>
            <td className="number wide">
              {money(sum(({ withNeighbors: own }) => own.soldMicro + own.boughtMicro))}
            </td>
            <td className="number wide">
              {formatKwh(sum(({ withNeighbors: own }) => own.utilityWh) + trueUpWh)}
            </td>
            <td className="number wide">
              {money(sum(({ withNeighbors: own }) => own.utilityMicro) + trueUpMicro)}
            </td>
            <td className="number">
              {money(sum(({ withNeighbors: own }) => own.netMicro) + trueUpMicro)}
            </td>
            <td className="number wide">
              {formatKwh(sum(({ atTariff }) => atTariff.utilityWh) + trueUpWh)}
            </td>
            <td className="number">
              {money(sum(({ atTariff }) => atTariff.netMicro) + trueUpMicro)}
            </td>
            <td className="number">
              <Money micro={sum(({ savedMicro }) => savedMicro)} currency={currency} />
            </td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

interface TrueUpRowProps {
  of: TrueUp;
  microgrid: Microgrid;
}

/** Energy that a reading showed too late for its slots: with the utility alone, whatever is traded. */
function TrueUpRow({ of, microgrid }: TrueUpRowProps): ReactNode {
  const { currency, timeZone } = microgrid;
  const kwh = formatKwh(of.exportWh - of.importWh);
  const money = <Money micro={of.netMicro} currency={currency} signed />;
  return (
    <tr data-testid="true-up">
      <th scope="row">
        True-up
        <span className="quality">
          a late reading showed it, up to {formatDate(of.border, timeZone)}{' '}
          {formatTime(of.border, timeZone)}
        </span>
      </th>
      <td className="number wide" />
      <td className="number wide" />
      <td className="number wide soft">{kwh}</td>
      <td className="number wide soft">{money}</td>
      <td className="number">{money}</td>
      <td className="number wide soft">{kwh}</td>
      <td className="number soft">{money}</td>
      <td className="number" />
    </tr>
  );
}

/** Why a slot was no better than the tariff. */
const WHY: Readonly<Partial<Record<BillLine['comparison'], string>>> = {
  rounding: 'rounding',
  'firm-order': 'a firm order',
};
